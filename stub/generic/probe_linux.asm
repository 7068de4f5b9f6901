; Looking into a bzImage that no host has looked into. Documentation/arch/x86/boot.rst. The rules are the host's
; (docs/kernels.md).

.include "lib/macros.inc"
.include "broken.inc"

.global probe_linux

.section .text

; Is it a bzImage? Then its protected-mode part goes where it wants to be, or to free room if it can be moved.
; in:  r13 = boot_domain, ebp = number of its kernel's module, rsi = the file, rdi = its bytes
; out: ZF set if so, with rax = entry; the module's record has its piece, the domain its cmdline_room
; clobbers: all but rbp, r13, rsp
; fails: E_KERNEL_SHORT, E_KERNEL_BROKEN, E_NO_FREE_ROOM
probe_linux:
        cmp  rdi, BOOT_PARAMS_PAD7
        jb   .other
        cmp  dword ptr [rsi + BOOT_PARAMS_HEADER], LINUX_HEADER_MAGIC
        jne  .other
        cmp  word ptr [rsi + BOOT_PARAMS_BOOT_FLAG], LINUX_BOOT_FLAG
        jne  .other
        test byte ptr [rsi + BOOT_PARAMS_LOADFLAGS], LINUX_LOADED_HIGH
        jz   .other
        mov  r14, rsi                   ; r14 = file, r15 = its bytes
        mov  r15, rdi
        call check_linux                ; rbx = offset of the protected-mode part, ecx = version of the protocol
        sub  r15, rbx                   ; r15 = its bytes
        mov  eax, LINUX_OLD_CMDLINE_ROOM
        cmp  ecx, LINUX_VERSION_CMDLINE_SIZE
        jb   .cmdline
        mov  eax, dword ptr [r14 + BOOT_PARAMS_CMDLINE_SIZE]
        inc  eax
.cmdline:
        mov  dword ptr [r13 + BOOT_DOMAIN_CMDLINE_ROOM], eax
        mov  r12, r15                   ; r12 = bytes that it needs in memory, r8 = where it wants to be
        mov  r8d, LINUX_LEGACY_ADDRESS
        cmp  ecx, LINUX_VERSION_INIT_SIZE
        jb   .place                     ; nobody says how much memory it would need elsewhere
        mov  eax, dword ptr [r14 + BOOT_PARAMS_INIT_SIZE]
        cmp  r12, rax
        cmovb r12, rax
        mov  r8, qword ptr [r14 + BOOT_PARAMS_PREF_ADDRESS]
.place:
        cmp  r8, IMAGE_BASE
        jb   .no_place
        mov  r9, 1 << 32                ; r9 = end of where it may be
        mov  rax, r8
        add  rax, r12
        jc   .no_place
        cmp  rax, r9
        ja   .no_place
        cmp  ecx, LINUX_VERSION_INIT_SIZE
        jb   .fixed
        cmp  byte ptr [r14 + BOOT_PARAMS_RELOCATABLE_KERNEL], 0
        je   .fixed
        cmp  dword ptr [rip + linux_entry], 0
        jne  .reach
        mov  r9d, dword ptr [r14 + BOOT_PARAMS_INITRD_ADDR_MAX] ; 32 bits: no farther than for its ramdisk
        inc  r9
.reach:
        mov  edx, dword ptr [r14 + BOOT_PARAMS_KERNEL_ALIGNMENT]
        cmp  edx, PAGE_SIZE
        jb   .no_alignment
        lea  ecx, [rdx - 1]
        test ecx, edx
        jnz  .no_alignment
        mov  rdi, r8
        mov  rsi, rax
        call find_place                 ; not below: from there it would move itself up again
        mov  r8, rax
        test rax, rax
        jz   .no_room
.fixed:
        mov  rdi, rbx
        mov  rsi, r15
        mov  rdx, r8
        xor  ecx, ecx                   ; nothing to clear
        mov  r8, r12
        sub  r8, r15
        add  r8, PAGE_SIZE - 1
        shr  r8, PAGE_SHIFT
        call add_piece
        mov  eax, dword ptr [rip + linux_entry]
        add  rax, rdx
        cmp  eax, eax                   ; sets ZF
        ret
.other:
        or   eax, 1                     ; clears ZF
        ret
.no_place:
        broken K_PLACE
.no_alignment:
        mov  r8d, edx
        broken K_ALIGNMENT
.no_room:
        mov  rdi, r13
        call record_name
        mov  rcx, rax
        mov  rdx, r12
        fail E_NO_FREE_ROOM

; Is all of a bzImage there, and has its setup code room?
; in:  r14 = the bzImage, r15 = its bytes, r13 = boot_domain
; out: rbx = offset of the protected-mode part, ecx = version of the protocol; linux_entry
; clobbers: rax, rdx, r8
; fails: E_KERNEL_SHORT, E_KERNEL_BROKEN
check_linux:
        movzx ebx, byte ptr [r14 + BOOT_PARAMS_SETUP_SECTS]
        test ebx, ebx
        jnz  .sectors
        mov  ebx, LINUX_DEFAULT_SECTORS
.sectors:
        inc  ebx                        ; the boot sector
        imul ebx, ebx, LINUX_SECTOR
        call starts_in_real_mode
        jne  .protected
        cmp  ebx, REAL_MODE_HEAP_END
        ja   .setup
.protected:
        movzx ecx, word ptr [r14 + BOOT_PARAMS_VERSION]
        xor  eax, eax
        cmp  ecx, LINUX_VERSION_SYSSIZE
        jb   .said
        mov  eax, dword ptr [r14 + BOOT_PARAMS_SYSSIZE]
        imul rax, rax, LINUX_PARAGRAPH
.said:
        add  rax, rbx                   ; rax = where it ends, as it says
        cmp  rbx, r15
        jae  fail_short
        lea  rdx, [r15 + LINUX_PARAGRAPH]    ; the last paragraph need not be whole
        cmp  rax, rdx
        jae  fail_short
        mov  dword ptr [rip + linux_entry], 0
        cmp  ecx, LINUX_VERSION_XLOADFLAGS
        jb   .done
        test word ptr [r14 + BOOT_PARAMS_XLOADFLAGS], LINUX_XLF_KERNEL_64
        jz   .done
        mov  dword ptr [rip + linux_entry], LINUX_ENTRY64
        lea  rax, [rbx + LINUX_ENTRY64]
        cmp  rax, r15
        jae  fail_short
.done:
        ret
.setup:
        mov  r8, rbx
        broken K_SETUP

.section .bss
.align 4
linux_entry:    .space 4                ; offset of its entry: 0, or LINUX_ENTRY64
