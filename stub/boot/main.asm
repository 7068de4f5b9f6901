; A boot, stage by stage. Each stage prints its line, or fails with its number.

.include "lib/macros.inc"

.global main, report_entry, check_entry, launcher_name

.section .text

main:
        cmp  dword ptr [rip + boot_info + BOOT_INFO_HAS_FRAMEBUFFER], 0
        je   .console
        lea  rsi, [rip + boot_info + BOOT_INFO_FRAMEBUFFER]
        call framebuffer_start
.console:
        call console_start
        call report_entry
        call report_machine
        call report_caching
        call find_tables
        call normalise_memory
        call find_modules
        call builder_init
        jne  .hypervisor
        call builder_create_domains
        call builder_get_hwdom
        jmp  launch
.hypervisor:
        call load_hypervisor
        jmp  launch

; The first line: what runs, of which build, where it lies, and who started it.
; clobbers: rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11
report_entry:
        lea  rsi, [rip + __end_note_gnu_build_id - BUILD_ID_SIZE]
        lea  rdi, [rip + build_digits]
        mov  ecx, BUILD_ID_SHOWN / 2
.byte:
        lodsb
        mov  edx, eax
        shr  al, 4
        call .digit
        mov  eax, edx
        and  al, 15
        call .digit
        dec  ecx
        jnz  .byte
        mov  rsi, qword ptr [rip + image_name]
        lea  rdx, [rip + build_digits]
        lea  rcx, [rip + __image_start]
        lea  r8, [rip + __image_end]
        mov  r9, qword ptr [rip + boot_info + BOOT_INFO_ENTRY_NAME]
        mov  rax, qword ptr [rip + boot_info + BOOT_INFO_LOADER_NAME]
        mov  qword ptr [rip + sixth_value], rax
        say  M_ENTRY
        ret
.digit:
        movzx eax, al
        lea  r8, [rip + hex_digits]
        mov  al, byte ptr [r8 + rax]
        stosb
        ret

; Prints what the cpu calls itself, and what the screen and the boot device are, where somebody said so.
; clobbers: rax, rbx, rcx, rdx, rsi, rdi, r8, r9, r10, r11
report_machine:
        lea  rdi, [rip + cpu_brand]
        mov  r8d, CPUID_BRAND_FIRST
        mov  eax, CPUID_MAX_EXTENDED
        cpuid
        cmp  eax, CPUID_BRAND_LAST
        jb   .vendor
.brand:
        mov  eax, r8d
        cpuid
        mov  dword ptr [rdi], eax
        mov  dword ptr [rdi + 4], ebx
        mov  dword ptr [rdi + 8], ecx
        mov  dword ptr [rdi + 12], edx
        add  rdi, 16
        inc  r8d
        cmp  r8d, CPUID_BRAND_LAST
        jbe  .brand
        jmp  .print
.vendor:
        xor  eax, eax
        cpuid
        mov  dword ptr [rdi], ebx
        mov  dword ptr [rdi + 4], edx
        mov  dword ptr [rdi + 8], ecx
.print:
        lea  rsi, [rip + cpu_brand - 1]
.leading_space:                         ; some cpus pad on the left
        inc  rsi
        cmp  byte ptr [rsi], ' '
        je   .leading_space
        say  M_CPU
        lea  rax, [rip + boot_info]
        cmp  dword ptr [rax + BOOT_INFO_HAS_FRAMEBUFFER], 0
        je   .done
        mov  esi, dword ptr [rax + BOOT_INFO_FRAMEBUFFER_WIDTH]
        mov  edx, dword ptr [rax + BOOT_INFO_FRAMEBUFFER_HEIGHT]
        movzx ecx, byte ptr [rax + BOOT_INFO_FRAMEBUFFER_BPP]
        mov  r8, qword ptr [rax + BOOT_INFO_FRAMEBUFFER]
        mov  r9d, dword ptr [rax + BOOT_INFO_FRAMEBUFFER_PITCH]
        say  M_SCREEN
.done:
        lea  rax, [rip + boot_info]
        cmp  dword ptr [rax + BOOT_INFO_HAS_BOOT_DEVICE], 0
        je   .no_device
        mov  esi, dword ptr [rax + BOOT_INFO_BOOT_DEVICE]
        mov  edx, dword ptr [rax + BOOT_INFO_BOOT_PARTITION]
        mov  ecx, dword ptr [rax + BOOT_INFO_BOOT_SUB_PARTITION]
        detail M_BOOT_DEVICE
.no_device:
        ret

; Enters what is to run: the hypervisor, if the tables name one, or the hardware domain's kernel.
; in:  hardware_domain or a hypervisor, loaded
; fails: E_PROTOCOL, E_ENTRY and what the launchers fail with
launch:
        mov  rdx, qword ptr [rip + tables]
        mov  r12d, dword ptr [rdx + TABLES_HYPERVISOR_PROTOCOL]
        mov  ecx, dword ptr [rdx + TABLES_HYPERVISOR]
        call module_record_at
        mov  rbp, rax                   ; rbp = record of what is launched, for its name
        cmp  dword ptr [rdx + TABLES_HYPERVISOR], NO_MODULE
        jne  .find
        mov  rbp, qword ptr [rip + hardware_domain]
        mov  r12d, dword ptr [rbp + BOOT_DOMAIN_PROTOCOL]
.find:
        lea  rbx, [rip + __start_launchers]
        lea  rdx, [rip + __end_launchers]
.next:
        cmp  rbx, rdx
        jae  .unknown
        cmp  r12d, dword ptr [rbx + LAUNCHER_RECORD_PROTOCOL]
        je   .found
        add  rbx, LAUNCHER_RECORD_SIZEOF
        jmp  .next
.found:
        lea  rcx, [rip + __image_start]
        mov  eax, dword ptr [rbx + LAUNCHER_RECORD_LAUNCH]
        lea  rsi, [rax + rcx]
        mov  eax, dword ptr [rbx + LAUNCHER_RECORD_NAME]
        add  rax, rcx
        mov  qword ptr [rip + launcher_name], rax
        push rsi
        call check_entry
        call open_handover
        call qword ptr [rsp]            ; what the kernel is told, to see how long it is
        call place_handover
        je   .placed
        call qword ptr [rsp]            ; and again, where it is to be
.placed:
        jmp  go
.unknown:
        mov  rdx, rbp
        mov  ecx, r12d
        fail_named E_PROTOCOL

; The entry must lie in a piece of what is launched.
; in:  rbp = its record, for its name
; clobbers: all but rbp, rsp
; fails: E_ENTRY
check_entry:
        call launch_target
        mov  r13, rax                   ; r13 = entry
        mov  rcx, qword ptr [rip + tables]
        mov  eax, dword ptr [rcx + TABLES_HYPERVISOR]
        cmp  eax, NO_MODULE
        jne  .pieces
        mov  eax, dword ptr [rbp + BOOT_DOMAIN_KERNEL]
.pieces:
        push rbp
        mov  ebp, eax
        call first_piece
        pop  rbp
.piece:
        test r14d, r14d
        jz   .outside
        mov  rax, r13
        sub  rax, qword ptr [r12 + PIECE_DEST]
        jb   .next
        cmp  rax, qword ptr [r12 + PIECE_DEST_SIZE]
        jb   .inside
.next:
        add  r12, PIECE_SIZEOF
        dec  r14d
        jmp  .piece
.inside:
        ret
.outside:
        mov  rdx, rbp
        mov  rcx, r13
        fail_named E_ENTRY

.section .bss
.align 8
launcher_name:  .space 8                ; string
cpu_brand:      .space 4 * 16           ; three times 16 bytes and a zero
build_digits:   .space BUILD_ID_SHOWN + 1       ; the first of the build id, and a zero
