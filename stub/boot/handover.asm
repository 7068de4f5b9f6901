; The hand-over area: all that outlives the stub. It lies outside of the stub, which a kernel may overwrite:
; page tables, descriptors, the last few instructions, and what the kernel is told.

.include "lib/macros.inc"

.global HANDOVER_CODE, open_handover, place_handover, keep_state, alloc, alloc_copy, alloc_string, next_module
.global report_launch, enter_kernel, fill_page_tables, handover, handover_size, information_end, deferred, deferred_count, efi_told

; The area, by offset: PAGE_TABLES pages, then these.
.set HANDOVER_CODE, PAGE_TABLES * PAGE_SIZE
.set HANDOVER_STACK, HANDOVER_INFORMATION       ; grows down from here, in the page of the code

.section .text

; Finds room in which the area can be made, however long it gets. While memory is the firmware's it stays there.
; out: handover, handover_size, information_end
; clobbers: all but rbp, rsp
; fails: E_HANDOVER_ROOM
open_handover:
        cmp  qword ptr [rip + room_finder], 0
        je   .ours
        mov  edi, HANDOVER_SIZE
        mov  esi, FIRMWARE_LIMIT
        call find_room_below
        test rax, rax
        jnz  .found
.ours:
        mov  edi, HANDOVER_SIZE
        mov  esi, HANDOVER_LIMIT
        call find_room_below
        test rax, rax
        jnz  .found
        mov  edx, HANDOVER_SIZE
        fail E_HANDOVER_ROOM
.found:
        mov  ecx, HANDOVER_SIZE

; The area has nothing in it yet.
; in:  rax = its start, rcx = its bytes, whole pages
; out: handover, handover_size, information_end
; clobbers: rax, rcx, rdi
start_handover:
        mov  qword ptr [rip + handover], rax
        mov  qword ptr [rip + handover_size], rcx
        mov  rdi, rax
        add  rax, HANDOVER_INFORMATION
        mov  qword ptr [rip + information_end], rax
        xor  eax, eax
        shr  ecx, 3
        rep stosq
        ret

; Now that what the kernel is told is there, and its length is known: finds the area's place for good. Kernels that first
; map little rely on it being as low as loaders put it. Where all modules lay when they came is no longer of use.
; in:  handover, information_end
; out: ZF set if the area stays; or as open_handover
; clobbers: all but rbp, rsp
place_handover:
        cmp  qword ptr [rip + room_finder], 0
        jne  .stays
        mov  dword ptr [rip + boot_info + BOOT_INFO_NR_MODULES], 0
        mov  rdi, qword ptr [rip + information_end]
        sub  rdi, qword ptr [rip + handover]
        add  rdi, PAGE_SIZE - 1
        and  rdi, -PAGE_SIZE
        push rdi
        call find_low_room
        pop  rcx
        test rax, rax
        jz   .done
        call start_handover
        or   eax, 1                     ; clears ZF
.done:
        ret
.stays:
        xor  eax, eax
        ret

; Takes the next bytes of the area. All that is ever told is bounded, and fits.
; in:  rdi = bytes
; out: rax = their address, 8-byte aligned; zero
; clobbers: rdi
alloc:
        mov  rax, qword ptr [rip + information_end]
        lea  rdi, [rax + rdi + 7]
        and  rdi, -8
        mov  qword ptr [rip + information_end], rdi
        ret

; Copies bytes into the area.
; in:  rsi = bytes, rcx = their number
; out: rax = the copy, rdi = its end
; clobbers: rcx, rsi
alloc_copy:
        mov  rdi, rcx
        call alloc
        mov  rdi, rax
        rep movsb
        ret

; Copies a string into the area.
; in:  rsi = string
; out: rax = the copy, rdi = its end
; clobbers: rcx, rsi
alloc_string:
        xor  ecx, ecx
.length:
        inc  ecx
        cmp  byte ptr [rsi + rcx - 1], 0
        jne  .length
        jmp  alloc_copy

; The modules that a kernel is told of: those of the hardware domain, or for a hypervisor all modules but itself.
; in:  r12d = the last answer, -1 before the first
; out: r12d to go on with, rbx = boot_module of the next one; ZF set at the end
; clobbers: rax, rcx
next_module:
        mov  rbx, qword ptr [rip + launch_target + LAUNCH_TARGET_DOMAIN]
        test rbx, rbx
        jnz  .domain
        mov  rcx, qword ptr [rip + tables]
        inc  r12d
        cmp  r12d, dword ptr [rip + launch_target + LAUNCH_TARGET_MODULE]
        jne  .bounded
        inc  r12d
.bounded:
        cmp  r12d, dword ptr [rcx + TABLES_NR_MODULES]
        jae  .end
        mov  eax, r12d
        jmp  .found
.domain:
        call next_domain_module
        je   .end
.found:
        imul eax, eax, BOOT_MODULE_SIZEOF
        lea  rbx, [rip + boot_modules]
        add  rbx, rax
        test rbx, rbx                   ; clears ZF
        ret
.end:
        xor  eax, eax
        ret

; The last line of the transcript, with a checksum of all that the kernel is told; in front of it what that says of EFI.
; in:  launch_target, handover, information_end, efi_told
; clobbers: rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11
report_launch:
        cmp  byte ptr [rip + efi_told], 0
        je   .launch
        mov  rsi, qword ptr [rip + efi_system]
        lea  rdx, [rip + efi_map]
        mov  rcx, qword ptr [rip + efi_map_size]
        add  rcx, rdx
        mov  r8d, dword ptr [rip + efi_descriptor_size]
        mov  r9d, dword ptr [rip + efi_descriptor_version]
        detail M_EFI
.launch:
        mov  rsi, qword ptr [rip + handover]
        add  rsi, HANDOVER_INFORMATION
        mov  rcx, qword ptr [rip + information_end]
        sub  rcx, rsi
        push rsi
        mov  eax, -1
        call update_crc32
        not  eax
        mov  r9d, eax
        mov  rdx, qword ptr [rip + launch_target + LAUNCH_TARGET_ENTRY]
        mov  rsi, qword ptr [rip + launch_target + LAUNCH_TARGET_LAUNCHER_NAME]
        pop  rcx
        mov  r8, qword ptr [rip + information_end]
        say  M_LAUNCH
        ret

; What telling a kernel ends with: how enter_kernel is to enter it.
; in:  r8d = ENTER_*, eax, ebx, esi = what the kernel finds in EAX, EBX, ESI (RSI)
; out: entered
keep_state:
        mov  dword ptr [rip + entered + ENTER_STATE_EAX], eax
        mov  dword ptr [rip + entered + ENTER_STATE_EBX], ebx
        mov  dword ptr [rip + entered + ENTER_STATE_ESI], esi
        mov  dword ptr [rip + entered + ENTER_STATE_MODE], r8d
        ret

; The end of the stub: prints the launch, moves to the area, and goes.
; in:  launch_target, entered, the area in its place
; never returns
enter_kernel:
        mov  r15, qword ptr [rip + handover]
        lea  rsi, [rip + handover_code]         ; the code, with its descriptors and the state, behind each other
        lea  rdi, [r15 + HANDOVER_CODE]
        mov  ecx, handover_end - handover_code
        rep movsb
        lea  rsi, [rip + deferred]
        mov  ecx, MAX_DEFERRED * DEFERRED_SIZEOF
        rep movsb
        mov  rax, qword ptr [rip + launch_target + LAUNCH_TARGET_ENTRY]
        mov  qword ptr [rip + entered + ENTER_STATE_ENTRY], rax
        lea  rsi, [rip + entered]
        lea  rdi, [r15 + HANDOVER_CODE + enter_state - handover_code]
        mov  ecx, ENTER_STATE_SIZEOF
        rep movsb
        call report_launch
        cli
        mov  qword ptr [rip + framebuffer_console], 0   ; the tables to come do not map it

        mov  ebp, dword ptr [rip + deferred_count]
        lea  rax, [r15 + HANDOVER_CODE + handover_gdt - handover_code]
        mov  qword ptr [r15 + HANDOVER_CODE + handover_gdt_pointer - handover_code + 2], rax
        lea  rax, [r15 + HANDOVER_CODE]
        mov  word ptr [r15 + HANDOVER_CODE + handover_code16 - handover_code + 2], ax
        shr  eax, 16
        mov  byte ptr [r15 + HANDOVER_CODE + handover_code16 - handover_code + 4], al
        shr  eax, 8
        mov  byte ptr [r15 + HANDOVER_CODE + handover_code16 - handover_code + 7], al

        mov  rdi, r15
        call fill_page_tables
        mov  cr3, r15
        lea  rsp, [r15 + HANDOVER_STACK]
        lea  rax, [r15 + HANDOVER_CODE]
        jmp  rax

; Fills page tables that map the first 4 GiB to themselves, as enter_long_mode has them.
; in:  rdi = PAGE_TABLES pages, zero
; clobbers: rax, rcx, rdx
fill_page_tables:
        lea  rax, [rdi + PAGE_SIZE + (PTE_PRESENT | PTE_WRITABLE)]
        mov  qword ptr [rdi], rax
        lea  rdx, [rdi + PAGE_SIZE]     ; rdx = the four page directory pointers
        xor  ecx, ecx
.directory:
        add  rax, PAGE_SIZE
        mov  qword ptr [rdx + rcx * 8], rax
        inc  ecx
        cmp  ecx, 4
        jb   .directory
        add  rdx, PAGE_SIZE             ; rdx = the four page directories
        mov  eax, PTE_PRESENT | PTE_WRITABLE | PTE_LARGE
.page:
        mov  qword ptr [rdx], rax
        add  rdx, 8
        add  eax, PAGE_SIZE_2M
        jnc  .page                      ; up to 4 GiB
        ret

; From here to handover_end all is copied into the area, and refers to nothing else. What differs from boot to boot is
; filled in there: the stub's own code cannot be written to.
.align 16
handover_code:
        lgdt [rip + handover_gdt_pointer]
        lea  rbx, [rip + handover_end]  ; ebp = number of deferred pieces
.piece:                                 ; what goes to where the stub was
        test ebp, ebp
        jz   .enter
        mov  rsi, qword ptr [rbx + DEFERRED_FROM]
        mov  rdi, qword ptr [rbx + DEFERRED_DEST]
        mov  rcx, qword ptr [rbx + DEFERRED_SIZE]
        rep movsb
        xor  eax, eax
        mov  rcx, qword ptr [rbx + DEFERRED_ZERO_SIZE]
        rep stosb
        add  rbx, DEFERRED_SIZEOF
        dec  ebp
        jmp  .piece
.enter:
        mov  eax, HANDOVER_DATA
        mov  ds, eax
        mov  es, eax
        mov  ss, eax
        mov  fs, eax
        mov  gs, eax
        mov  eax, dword ptr [rip + enter_state + ENTER_STATE_EAX]
        mov  ebx, dword ptr [rip + enter_state + ENTER_STATE_EBX]
        mov  esi, dword ptr [rip + enter_state + ENTER_STATE_ESI]
        mov  rdi, qword ptr [rip + enter_state + ENTER_STATE_ENTRY]
        xor  ebp, ebp
        cmp  dword ptr [rip + enter_state + ENTER_STATE_MODE], ENTER_LONG_MODE
        jne  .leave
        push HANDOVER_CODE_SEGMENT
        push rdi
        xor  edi, edi
        retfq
.leave:                                 ; the segment becomes one of 32-bit code
        mov  byte ptr [rip + handover_code_segment + 6], GDT_FLAGS_CODE32
        push rdi
        push rax
        mov  edx, dword ptr [rip + enter_state + ENTER_STATE_MODE]
        push rdx
        lea  rcx, [rip + .protected]
        push HANDOVER_CODE_SEGMENT
        push rcx
        retfq

; Compatibility mode: on the stack the mode, EAX and the entry, 8 bytes each.
.code32
.protected:
        mov  eax, CR0_PE | CR0_ET       ; leaves long mode
        mov  cr0, eax
        mov  ecx, MSR_EFER
        xor  eax, eax
        xor  edx, edx
        wrmsr
        mov  cr4, eax
        mov  eax, HANDOVER_TSS
        ltr  ax
        xor  ecx, ecx
        xor  edi, edi
        pop  edx
        pop  eax                        ; its upper half
        pop  eax
        cmp  edx, ENTER_REAL_MODE
        je   .real
        pop  edx
        ret

; On to 16-bit protected mode, and out of it: SDM 3, 10.9.2. EBX = handover_code as copied.
.real:
        lidt [ebx + (handover_idt_pointer - handover_code)]
        push HANDOVER_CODE16
        push .segments16 - handover_code
        retf
.code16
.segments16:
        mov  ax, HANDOVER_DATA16
        mov  ds, ax
        mov  es, ax
        mov  ss, ax
        mov  fs, ax
        mov  gs, ax
        mov  eax, cr0
        and  al, 0xfe                   ; CR0_PE
        mov  cr0, eax
        .byte 0xea                      ; jmp far, which Keystone does not have
        .word REAL_MODE_SWITCH, REAL_MODE_SEGMENT
.code64

.align 8
handover_gdt:
        .quad 0
        .quad 0
handover_code_segment:                  ; HANDOVER_CODE_SEGMENT, Linux' __BOOT_CS: 64-bit code
        .quad 0x00af9a000000ffff
        .quad 0x00cf92000000ffff        ; HANDOVER_DATA, Linux' __BOOT_DS: flat 4 GiB, writable
        .quad 0x0000890000000067        ; HANDOVER_TSS: base 0, limit 0x67, what PVH wants TR to be
handover_code16:                        ; HANDOVER_CODE16: 64 KiB from handover_code on; the base is filled in
        .quad 0x00009a000000ffff
        .quad 0x000092000000ffff        ; HANDOVER_DATA16
handover_gdt_end:
handover_gdt_pointer:
        .word handover_gdt_end - handover_gdt - 1
        .quad 0
handover_idt_pointer:                   ; the BIOS's interrupt vectors
        .word REAL_MODE_IDT_LIMIT
        .long 0
.align 8
enter_state:
        .space ENTER_STATE_SIZEOF
handover_end:                           ; the list of deferred pieces lies behind
.assert (MAX_MODULES + 1) * (MULTIBOOT2_TAG_MODULE_SIZEOF + MAX_STRING) + MAX_RANGES * MEMORY_RANGE_SIZEOF + EFI_MAP_SIZE + 2 * PAGE_SIZE <= HANDOVER_SIZE - HANDOVER_INFORMATION, "all that is ever told fits into the hand-over area"
.assert handover_end - handover_code + MAX_DEFERRED * DEFERRED_SIZEOF <= HANDOVER_STACK - HANDOVER_CODE - 256, "code of the hand-over area, and 256 bytes of stack, in one page"

.section .bss
.align 8
handover:               .space 8        ; start of the area
handover_size:          .space 8        ; its bytes, whole pages
information_end:        .space 8        ; what is told: from HANDOVER_INFORMATION to here
deferred:               .space MAX_DEFERRED * DEFERRED_SIZEOF
deferred_count:         .space 4
entered:                .space ENTER_STATE_SIZEOF
efi_told:               .space 1        ; 1 once a launcher has told the kernel of EFI
