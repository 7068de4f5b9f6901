; The domain builder, as far as a machine without a hypervisor goes: of the domains that the tables
; describe it builds the initial one. host/bootwright/builder.py is the reference and prints the same lines.

.include "macros.inc"

.set VCPU_ALLOCATED, 1
.set VCPU_INITIALISED, 2

.section .text

; out: domains
; clobbers: rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11
builder_init:
        lea  rcx, [rip + __start_tables]
        mov  eax, dword ptr [rcx + TABLES_DOMAINS]
        add  rax, rcx
        mov  qword ptr [rip + domains], rax
        mov  esi, dword ptr [rcx + TABLES_NR_DOMAINS]
        say  M_BUILDER
        ret

; Builds the initial domain; says of each other one that it is not built.
; out: domains' `constructed`
; clobbers: all but rsp
; fails: E_NO_INITIAL_DOMAIN and what create_domain fails with
builder_create_domains:
        xor  r14d, r14d                 ; r13 = domain, r14 = number built, r15 = domains left
        call .domains
.next:
        test r15d, r15d
        jz   .done
        test dword ptr [r13 + BOOT_DOMAIN_FUNCTIONS], FUNCTION_INITIAL_DOMAIN
        jz   .skip
        inc  r14d
        push r14
        push r15
        call create_domain
        pop  r15
        pop  r14
        call .report
        jmp  .step
.skip:
        mov  rdi, r13
        call record_name
        mov  rsi, rax
        warn M_SKIPPED
.step:
        add  r13, BOOT_DOMAIN_SIZEOF
        dec  r15d
        jmp  .next
.done:
        test r14d, r14d
        jz   .none
        ret
.none:
        call .domains
        mov  edx, r15d
        fail E_NO_INITIAL_DOMAIN

.report:
        movzx esi, word ptr [r13 + BOOT_DOMAIN_DOMID]
        mov  edx, r14d
        lea  rcx, [rip + __start_tables]
        mov  ecx, dword ptr [rcx + TABLES_NR_DOMAINS]
        say  M_BUILT
        ret

; out: r13 = the first domain, r15 = their number; clobbers: rcx
.domains:
        mov  r13, qword ptr [rip + domains]
        lea  rcx, [rip + __start_tables]
        mov  r15d, dword ptr [rcx + TABLES_NR_DOMAINS]
        ret

; in:  r13 = the initial domain
; clobbers: all but r13, rsp
; fails: E_NO_KERNEL and what the routines that it calls fail with
create_domain:
        mov  ecx, dword ptr [r13 + BOOT_DOMAIN_KERNEL]
        cmp  ecx, NO_MODULE
        je   .no_kernel
        cmp  dword ptr [rip + vcpu0], 0     ; a second initial domain finds it taken
        jne  construct_domain
        mov  dword ptr [rip + vcpu0], VCPU_ALLOCATED

        call module_record_at
        mov  rdi, rax
        call record_name
        mov  rcx, rax
        xor  r8d, r8d
        mov  eax, dword ptr [r13 + BOOT_DOMAIN_RAMDISK]
        cmp  eax, NO_MODULE
        je   .no_ramdisk
        mov  rbx, rcx
        mov  ecx, eax
        call module_record_at
        mov  rdi, rax
        call record_name
        mov  r8, rax
        mov  rcx, rbx
.no_ramdisk:
        mov  rbx, rcx
        mov  rdi, r13
        call record_name
        mov  rdx, rax
        mov  rcx, rbx
        mov  r9, qword ptr [r13 + BOOT_DOMAIN_MEM_SIZE_VALUE]
        shr  r9, 8                      ; pages to MiB
        movzx esi, word ptr [r13 + BOOT_DOMAIN_DOMID]
        say  M_DOMAIN

        call compose_cmdline
        movzx esi, word ptr [r13 + BOOT_DOMAIN_DOMID]
        lea  rdx, [rip + domain_cmdline]
        say  M_CMDLINE
        jmp  construct_domain
.no_kernel:
        mov  rdi, r13
        call record_name
        mov  rdx, rax
        fail E_NO_KERNEL

; The kernel module's string without leading spaces, and what stands behind " -- " on the stub's own
; command line, with one space before it.
; in:  r13 = domain
; out: domain_cmdline
; clobbers: rax, rbx, rcx, rdx, rsi, rdi
; fails: E_CMDLINE_TOO_LONG
compose_cmdline:
        mov  ecx, dword ptr [r13 + BOOT_DOMAIN_KERNEL]
        imul ecx, ecx, BOOT_MODULE_SIZEOF
        lea  rax, [rip + boot_modules]
        mov  rsi, qword ptr [rax + rcx + BOOT_MODULE_STRING]
        lea  rdi, [rip + domain_cmdline]
        lea  rbx, [rdi + MAX_STRING]
        call skip_spaces
        call .append

        mov  rsi, qword ptr [rip + boot_info + BOOT_INFO_CMDLINE]
.search:
        mov  eax, dword ptr [rsi]
        test al, al
        jz   .no_extra
        inc  rsi
        cmp  eax, KEXTRA_MARK
        jne  .search
        add  rsi, 3
        call skip_spaces
        mov  al, ' '
        stosb                           ; over the zero byte that .append left
        cmp  rdi, rbx
        jae  .too_long
        jmp  .append
.no_extra:
        ret

; in: rsi = string, rdi = place, rbx = end of the buffer; out: rdi = its zero byte
.append:
        cmp  rdi, rbx
        jae  .too_long
        lodsb
        stosb
        test al, al
        jnz  .append
        dec  rdi
        ret
.too_long:
        mov  rdi, r13
        call record_name
        mov  rdx, rax
        mov  ecx, MAX_STRING - 1
        fail E_CMDLINE_TOO_LONG

; in: rsi = string; out: rsi = its first character that is no space
skip_spaces:
        cmp  byte ptr [rsi], ' '
        jne  .done
        inc  rsi
        jmp  skip_spaces
.done:
        ret

; in:  r13 = domain
; out: domain's `constructed`, vcpu0
; clobbers: all but r13, rsp
; fails: E_DOMID, E_VCPU, E_NO_GUEST_INTERFACE, E_TOO_LITTLE_MEMORY and what load_module fails with
construct_domain:
        mov  rdi, r13
        call record_name
        mov  rdx, rax
        movzx ecx, word ptr [r13 + BOOT_DOMAIN_DOMID]
        mov  r8d, INITIAL_DOMAIN_ID
        cmp  ecx, r8d
        jne  .domid
        mov  ecx, dword ptr [rip + vcpu0]
        mov  r8d, VCPU_ALLOCATED
        cmp  ecx, r8d
        jne  .vcpu
        mov  ecx, dword ptr [r13 + BOOT_DOMAIN_MODE]
        test ecx, MODE_PARAVIRTUALIZED | MODE_DEVICE_MODEL
        jnz  .mode
        mov  rcx, qword ptr [r13 + BOOT_DOMAIN_MEM_MIN_VALUE]
        shl  rcx, 2                     ; pages to KiB
        mov  r8, qword ptr [rip + memory_kib]
        cmp  rcx, r8
        ja   .memory

        mov  ebp, dword ptr [r13 + BOOT_DOMAIN_KERNEL]
        call check_module
        mov  ebp, dword ptr [r13 + BOOT_DOMAIN_RAMDISK]
        cmp  ebp, NO_MODULE
        je   .load
        call check_module
        call load_module
.load:
        mov  ebp, dword ptr [r13 + BOOT_DOMAIN_KERNEL]
        call load_module
        mov  word ptr [r13 + BOOT_DOMAIN_CONSTRUCTED], 1
        mov  dword ptr [rip + vcpu0], VCPU_INITIALISED
        ret
.domid:
        fail E_DOMID
.vcpu:
        fail E_VCPU
.mode:
        fail E_NO_GUEST_INTERFACE
.memory:
        fail E_TOO_LITTLE_MEMORY

; The first hardware domain that was built.
; out: hardware_domain
; clobbers: all but rsp
; fails: E_NO_HARDWARE_DOMAIN
builder_get_hwdom:
        call builder_create_domains.domains
        mov  edx, r15d
.next:
        test r15d, r15d
        jz   .none
        cmp  word ptr [r13 + BOOT_DOMAIN_CONSTRUCTED], 0
        je   .step
        test dword ptr [r13 + BOOT_DOMAIN_FUNCTIONS], FUNCTION_INITIAL_DOMAIN
        jnz  .found
        test dword ptr [r13 + BOOT_DOMAIN_PERMISSIONS], PERMISSION_HARDWARE
        jnz  .found
.step:
        add  r13, BOOT_DOMAIN_SIZEOF
        dec  r15d
        jmp  .next
.found:
        mov  qword ptr [rip + hardware_domain], r13
        mov  rdi, r13
        call record_name
        mov  rdx, rax
        movzx esi, word ptr [r13 + BOOT_DOMAIN_DOMID]
        say  M_HWDOM
        ret
.none:
        fail E_NO_HARDWARE_DOMAIN

.set KEXTRA_MARK, 0x202d2d20            ; " -- "

.section .bss
.align 8
domains:                .space 8
hardware_domain:        .space 8
vcpu0:                  .space 4        ; 0, VCPU_ALLOCATED or VCPU_INITIALISED
domain_cmdline:         .space MAX_STRING
