; A boot, stage by stage. Each stage prints its line, or fails with its number.

.include "lib/macros.inc"

.global main, start_consoles, report_entry, check_entry, launch_target

.section .text

main:
        stage STAGE_ENTRY
        call start_consoles
        call report_entry
        call report_last_boot
        call report_machine
        call report_caching
        stage STAGE_TABLES
        call find_tables
        stage STAGE_MEMORY
        call normalise_memory
        call keep_stages
        stage STAGE_MODULES
        call find_modules
        stage STAGE_BUILDER
        call builder_init
        jne  .hypervisor
        call builder_create_domains
        call builder_get_hwdom
        jmp  launch
.hypervisor:
        call load_hypervisor
        jmp  launch

; The serial port and the screen, whichever are wanted and there.
; clobbers: rax, rcx, rdx, rsi, rdi, r8, r9
start_consoles:
        cmp  dword ptr [rip + boot_info + BOOT_INFO_HAS_FRAMEBUFFER], 0
        je   console_start
        lea  rsi, [rip + boot_info + BOOT_INFO_FRAMEBUFFER]
        call framebuffer_start
        jmp  console_start

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

; Launches what is loaded: its launcher tells it, and enters it.
; in:  launch_target
; never returns
; fails: E_PROTOCOL and what check_entry, open_handover and the launchers fail with
launch:
        stage STAGE_LAUNCH
        lea  rbp, [rip + launch_target]
        mov  ecx, dword ptr [rbp + LAUNCH_TARGET_PROTOCOL]
        lea  rbx, [rip + __start_launchers]
        lea  rax, [rip + __end_launchers]
.next:
        cmp  rbx, rax
        jae  .unknown
        cmp  ecx, dword ptr [rbx + LAUNCHER_RECORD_PROTOCOL]
        je   .found
        add  rbx, LAUNCHER_RECORD_SIZEOF
        jmp  .next
.found:
        lea  rcx, [rip + __image_start]
        mov  eax, dword ptr [rbx + LAUNCHER_RECORD_NAME]
        add  rax, rcx
        mov  qword ptr [rbp + LAUNCH_TARGET_LAUNCHER_NAME], rax
        mov  eax, dword ptr [rbx + LAUNCHER_RECORD_ENTER]
        add  rax, rcx
        push rax
        mov  eax, dword ptr [rbx + LAUNCHER_RECORD_TELL]
        add  rax, rcx
        push rax
        call check_entry
        call open_handover
        call qword ptr [rsp]            ; to see how long it is
        call place_handover
        je   .placed
        call qword ptr [rsp]            ; and again, where it is to be
.placed:
        stage STAGE_LAUNCHED
        pop  rax
        pop  rax                        ; the launcher's way to enter it
        jmp  rax
.unknown:
        mov  rdx, qword ptr [rbp + LAUNCH_TARGET_RECORD]
        fail_named E_PROTOCOL

; The entry must lie in a piece of what is launched.
; in:  launch_target
; clobbers: rax, rbx, rcx, rbp, r12, r13, r14, r15
; fails: E_ENTRY
check_entry:
        mov  ebp, dword ptr [rip + launch_target + LAUNCH_TARGET_MODULE]
        call first_piece
        mov  r13, qword ptr [rip + launch_target + LAUNCH_TARGET_ENTRY]
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
        mov  rdx, qword ptr [rip + launch_target + LAUNCH_TARGET_RECORD]
        mov  rcx, r13
        fail_named E_ENTRY

.section .bss
.align 8
launch_target:  .space LAUNCH_TARGET_SIZEOF
cpu_brand:      .space 4 * 16           ; three times 16 bytes and a zero
build_digits:   .space BUILD_ID_SHOWN + 1       ; the first of the build id, and a zero
