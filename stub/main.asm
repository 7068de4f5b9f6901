; A boot, stage by stage. Each stage prints its line, or fails with its number.

.include "macros.inc"

.section .text

main:
        cmp  dword ptr [rip + boot_info + BOOT_INFO_NO_VGA], 0
        je   .console
        and  byte ptr [rip + console_sinks], ~CONSOLE_VGA & 0xff
.console:
        call console_start
        mov  rsi, qword ptr [rip + image_name]
        mov  rdx, qword ptr [rip + boot_info + BOOT_INFO_ENTRY_NAME]
        mov  rcx, qword ptr [rip + boot_info + BOOT_INFO_LOADER_NAME]
        say  M_ENTRY
        call report_cpu
        call check_tables
        call normalise_memory
        call find_modules
        call builder_init
        call builder_create_domains
        call builder_get_hwdom
        jmp  launch

; Prints what the cpu calls itself.
; clobbers: rax, rbx, rcx, rdx, rsi, rdi
report_cpu:
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
        ret

; Enters the hardware domain's kernel by the protocol that the tables name.
; in:  hardware_domain
; fails: E_PROTOCOL
launch:
        mov  rbp, qword ptr [rip + hardware_domain]
        mov  eax, dword ptr [rbp + BOOT_DOMAIN_PROTOCOL]
        lea  rbx, [rip + __start_launchers]
        lea  rdx, [rip + __end_launchers]
.next:
        cmp  rbx, rdx
        jae  .unknown
        cmp  eax, dword ptr [rbx + LAUNCHER_RECORD_PROTOCOL]
        je   .found
        add  rbx, LAUNCHER_RECORD_SIZEOF
        jmp  .next
.found:
        lea  rcx, [rip + __image_start]
        mov  eax, dword ptr [rbx + LAUNCHER_RECORD_LAUNCH]
        add  rax, rcx
        mov  rdi, rbp
        mov  esi, dword ptr [rbx + LAUNCHER_RECORD_NAME]
        add  rsi, rcx
        jmp  rax
.unknown:
        mov  rdi, rbp
        call record_name
        mov  rdx, rax
        mov  ecx, dword ptr [rbp + BOOT_DOMAIN_PROTOCOL]
        fail E_PROTOCOL

.section .bss
.align 8
cpu_brand:      .space 4 * 16           ; three times 16 bytes and a zero
