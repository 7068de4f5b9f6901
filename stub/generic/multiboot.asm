; Kernels with a multiboot header that no host has looked into: what it requires, and its own addresses and entry.
; Multiboot 0.6.96, section 3.1; Multiboot2 2.0, section 3.1. The rules are the host's (docs/kernels.md).

.include "lib/macros.inc"
.include "broken.inc"

.global probe_multiboot1, probe_multiboot2, refused_header, refused_what, refused_number

.set MULTIBOOT1_KNOWN, MULTIBOOT1_PAGE_ALIGN | MULTIBOOT1_MEMORY_INFO | MULTIBOOT1_VIDEO_MODE
; Header tags that need nothing of the stub, as bits.
.set HARMLESS_TAGS, 1 << MULTIBOOT2_HEADER_TAG_CONSOLE | 1 << MULTIBOOT2_HEADER_TAG_FRAMEBUFFER | 1 << MULTIBOOT2_HEADER_TAG_MODULE_ALIGN | 1 << MULTIBOOT2_HEADER_TAG_ENTRY_EFI32 | 1 << MULTIBOOT2_HEADER_TAG_ENTRY_EFI64 | 1 << MULTIBOOT2_HEADER_TAG_RELOCATABLE

.section .text

; Has it a multiboot1 header, and is it an ELF file, or does the header say where it goes?
; in:  as probe_elf, but edx
; out: as probe_elf
; clobbers: all but rbp, r13, rsp
; fails: as probe_elf
probe_multiboot1:
        mov  r11d, MULTIBOOT1_SEARCH
        cmp  rdi, r11
        cmovb r11, rdi
        add  r11, rsi                   ; r11 = end of where the header can be
        mov  rax, rsi
.next:
        lea  rcx, [rax + MULTIBOOT1_HEADER_SIZEOF]
        cmp  rcx, r11
        ja   no_header
        mov  edx, dword ptr [rax + MULTIBOOT1_HEADER_MAGIC_OFFSET]
        cmp  edx, MULTIBOOT1_HEADER_MAGIC
        jne  .step
        add  edx, dword ptr [rax + MULTIBOOT1_HEADER_FLAGS]
        add  edx, dword ptr [rax + MULTIBOOT1_HEADER_CHECKSUM]
        jz   .found
.step:
        add  rax, 4
        jmp  .next
.found:
        mov  rcx, NO_ENTRY
        mov  qword ptr [rip + header_entry], rcx
        mov  r8d, dword ptr [rax + MULTIBOOT1_HEADER_FLAGS]
        mov  ecx, r8d
        and  r8d, MULTIBOOT1_REQUIREMENTS & ~MULTIBOOT1_KNOWN
        jnz  .refused
        mov  edx, PROBE_ENTRY
        test ecx, MULTIBOOT1_ADDRESSES
        jz   probe_elf
        lea  rcx, [rax + MULTIBOOT1_ADDRESSES_SIZEOF]
        cmp  rcx, r11
        ja   cut_header
        mov  ecx, dword ptr [rax + MULTIBOOT1_ADDRESSES_ENTRY_ADDR]
        mov  qword ptr [rip + header_entry], rcx
        lea  rdx, [rax + MULTIBOOT1_ADDRESSES_HEADER_ADDR]
        mov  ecx, dword ptr [rdx]
        mov  r9d, dword ptr [rdx + LOAD_ADDR]
        sub  rax, rsi
        jmp  probe_flat
.refused:
        lea  rcx, [rip + multiboot1_launcher_name]
        lea  rdx, [rip + K_FLAGS]
        jmp  refuse
; in: rsi = the file, rax = header
cut_header:
        sub  rax, rsi
        mov  r8, rax
        broken K_HEADER
no_header:
        or   eax, 1                     ; clears ZF
        ret

; Another protocol may do: what the first header requires is kept, in case none does.
; in:  rcx = the header's name, rdx = what it requires, r8d = its number
; out: refused_*; ZF clear
; clobbers: rax
refuse:
        cmp  qword ptr [rip + refused_header], 0
        jne  no_header
        mov  qword ptr [rip + refused_header], rcx
        mov  qword ptr [rip + refused_what], rdx
        mov  dword ptr [rip + refused_number], r8d
        jmp  no_header

; The same for multiboot2, with a header for this architecture.
; in:  as probe_elf, but edx
; out: as probe_elf
; clobbers: all but rbp, r13, rsp
; fails: as probe_elf
probe_multiboot2:
        mov  r11d, MULTIBOOT2_SEARCH
        cmp  rdi, r11
        cmovb r11, rdi
        add  r11, rsi                   ; r11 = end of where the header can be
        mov  rax, rsi                   ; rax = header
.next:
        lea  rcx, [rax + MULTIBOOT2_HEADER_SIZEOF]
        cmp  rcx, r11
        ja   no_header
        mov  edx, dword ptr [rax + MULTIBOOT2_HEADER_MAGIC_OFFSET]
        cmp  edx, MULTIBOOT2_HEADER_MAGIC
        jne  .step
        add  edx, dword ptr [rax + MULTIBOOT2_HEADER_ARCHITECTURE]
        add  edx, dword ptr [rax + MULTIBOOT2_HEADER_HEADER_LENGTH]
        add  edx, dword ptr [rax + MULTIBOOT2_HEADER_CHECKSUM]
        jnz  .step
        cmp  dword ptr [rax + MULTIBOOT2_HEADER_ARCHITECTURE], MULTIBOOT2_ARCHITECTURE_I386
        je   .found
.step:
        add  rax, MULTIBOOT2_ALIGN
        jmp  .next
.found:
        mov  ecx, dword ptr [rax + MULTIBOOT2_HEADER_HEADER_LENGTH]
        cmp  ecx, MULTIBOOT2_HEADER_SIZEOF
        jb   cut_header
        add  rcx, rax                   ; rcx = end of the tags
        cmp  rcx, r11
        ja   cut_header
        mov  r8, NO_ENTRY
        mov  qword ptr [rip + header_entry], r8
        xor  r9d, r9d                   ; r9 = address tag, 0 for none
        lea  rdx, [rax + MULTIBOOT2_HEADER_SIZEOF]      ; rdx = tag, r10d = its type, r12 = its bytes
.tag:
        lea  r8, [rdx + MULTIBOOT2_HEADER_TAG_SIZEOF]
        cmp  r8, rcx
        ja   .all
        movzx r10d, word ptr [rdx + MULTIBOOT2_HEADER_TAG_TYPE]
        test r10d, r10d                 ; MULTIBOOT2_HEADER_TAG_END
        jz   .all
        mov  r12d, dword ptr [rdx + MULTIBOOT2_HEADER_TAG_SIZE]
        cmp  r12d, MULTIBOOT2_HEADER_TAG_SIZEOF
        jb   .bad_tag
        lea  rbx, [rdx + r12]           ; rbx = its end, r8 = its content
        cmp  rbx, rcx
        ja   .bad_tag
        cmp  r10d, MULTIBOOT2_HEADER_TAG_ADDRESS
        je   .address
        cmp  r10d, MULTIBOOT2_HEADER_TAG_ENTRY
        je   .entry
        cmp  r10d, MULTIBOOT2_HEADER_TAG_ENTRY_EFI64
        je   .efi_entry
        test word ptr [rdx + MULTIBOOT2_HEADER_TAG_FLAGS], MULTIBOOT2_HEADER_TAG_OPTIONAL
        jnz  .step_tag
        cmp  r10d, MULTIBOOT2_HEADER_TAG_INFO_REQUEST
        je   .information
        cmp  r10d, MULTIBOOT2_HEADER_TAG_RELOCATABLE
        ja   .refused
        mov  r8d, HARMLESS_TAGS
        bt   r8d, r10d
        jnc  .refused
.step_tag:
        add  r12, MULTIBOOT2_ALIGN - 1
        and  r12, -MULTIBOOT2_ALIGN
        add  rdx, r12
        jmp  .tag
.address:
        cmp  r12d, MULTIBOOT2_HEADER_TAG_ADDRESS_SIZEOF
        jb   .bad_tag
        mov  r9, rdx
        jmp  .step_tag
.entry:
        cmp  r12d, MULTIBOOT2_HEADER_TAG_ENTRY_SIZEOF
        jb   .bad_tag
        mov  r8d, dword ptr [r8]
        mov  qword ptr [rip + header_entry], r8
        jmp  .step_tag
.efi_entry:                             ; of a domain's kernel nobody will use it
        cmp  r12d, MULTIBOOT2_HEADER_TAG_ENTRY_SIZEOF
        jb   .bad_tag
        jmp  .step_tag
.information:                           ; any that the specification knows may be asked for
        add  r8, 4
        cmp  r8, rbx
        ja   .step_tag
        cmp  dword ptr [r8 - 4], MULTIBOOT2_TAG_LAST
        jbe  .information
        mov  r8d, dword ptr [r8 - 4]
        lea  rdx, [rip + K_INFORMATION]
        jmp  .refuse
.refused:
        mov  r8d, r10d
        lea  rdx, [rip + K_HEADER_TAG]
.refuse:
        lea  rcx, [rip + multiboot2_launcher_name]
        jmp  refuse
.bad_tag:
        mov  r8d, r10d
        broken K_TAG
.all:
        mov  edx, PROBE_ENTRY
        test r9, r9
        jz   probe_elf
        sub  rax, rsi                   ; from here on its offset in the file
        mov  r8, rax
        cmp  qword ptr [rip + header_entry], NO_ENTRY
        je   .no_entry
        lea  rdx, [r9 + MULTIBOOT2_HEADER_TAG_ADDRESS_HEADER_ADDR]
        mov  ecx, dword ptr [rdx]
        mov  r9d, dword ptr [rdx + LOAD_ADDR]
        cmp  r9d, MULTIBOOT2_LOAD_FROM_START
        jne  probe_flat
        mov  r9d, ecx
        sub  r9, rax
        jae  probe_flat
        mov  r8d, ecx
        broken K_ADDRESSES
.no_entry:
        broken K_NO_ENTRY

; A kernel whose header says where it goes: one piece, and what is to be cleared.
; in:  rax = offset of the header, rdx = its four addresses, ecx = where the header goes, r9 = where loading starts,
;      rsi = the file, rdi = its bytes, r13 = boot_domain, ebp = number of its kernel's module; header_entry
; out: ZF set, with rax = entry
; clobbers: all but rbp, r13, rsp
; fails: E_KERNEL_SHORT, E_KERNEL_BROKEN
probe_flat:
        mov  r14, rsi                   ; r14 = file, r15 = its bytes
        mov  r15, rdi
        mov  r8, r9                     ; for the messages
        sub  rcx, r9
        jb   .addresses
        mov  rdi, rax                   ; rdi = offset of what is loaded, rsi = its bytes
        sub  rdi, rcx
        jb   .addresses
        mov  esi, dword ptr [rdx + LOAD_END_ADDR]
        test esi, esi
        jz   .whole
        sub  rsi, r9
        jbe  .addresses
        call check_bytes
        jmp  .sized
.whole:
        mov  rsi, r15
        sub  rsi, rdi
.sized:
        lea  r10, [r9 + rsi]            ; r10 = its end
        mov  rax, 1 << 32
        cmp  r10, rax
        ja   .beyond
        mov  ecx, dword ptr [rdx + BSS_END_ADDR]
        jrcxz .add
        sub  rcx, r10
        jb   .addresses
.add:
        mov  rdx, r9
        xor  r8d, r8d
        call add_piece
        mov  rax, qword ptr [rip + header_entry]
        jmp  check_probed
.addresses:
        broken K_ADDRESSES
.beyond:
        broken K_BEYOND

; The addresses, from header_addr on: alike in both headers.
.set LOAD_ADDR, MULTIBOOT1_ADDRESSES_LOAD_ADDR - MULTIBOOT1_ADDRESSES_HEADER_ADDR
.set LOAD_END_ADDR, MULTIBOOT1_ADDRESSES_LOAD_END_ADDR - MULTIBOOT1_ADDRESSES_HEADER_ADDR
.set BSS_END_ADDR, MULTIBOOT1_ADDRESSES_BSS_END_ADDR - MULTIBOOT1_ADDRESSES_HEADER_ADDR
.assert LOAD_ADDR == MULTIBOOT2_HEADER_TAG_ADDRESS_LOAD_ADDR - MULTIBOOT2_HEADER_TAG_ADDRESS_HEADER_ADDR, "both have the load address there"
.assert LOAD_END_ADDR == MULTIBOOT2_HEADER_TAG_ADDRESS_LOAD_END_ADDR - MULTIBOOT2_HEADER_TAG_ADDRESS_HEADER_ADDR, "both have the load end there"
.assert BSS_END_ADDR == MULTIBOOT2_HEADER_TAG_ADDRESS_BSS_END_ADDR - MULTIBOOT2_HEADER_TAG_ADDRESS_HEADER_ADDR, "both have the end of bss there"

.section .bss
.align 8
refused_header:         .space 8        ; string: the first header that requires too much, 0 for none
refused_what:           .space 8        ; string
refused_number:         .space 4
