; The domain builder, as far as a machine without a hypervisor goes: of the domains that the tables
; describe it builds the initial one. host/bootwright/hyperlaunch/builder.py is the reference and prints the same lines.

.include "lib/macros.inc"

.global builder_init, load_hypervisor, builder_create_domains, next_domain_module, builder_get_hwdom
.global kernel_probe

.set VCPU_ALLOCATED, 1
.set VCPU_INITIALISED, 2

.section .text

; out: domains, kextra; the stub's own command line without it; ZF set unless a hypervisor builds the domains
; clobbers: rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11
builder_init:
        mov  rcx, qword ptr [rip + tables]
        mov  eax, dword ptr [rcx + TABLES_DOMAINS]
        add  rax, rcx
        mov  qword ptr [rip + domains], rax
        mov  esi, dword ptr [rcx + TABLES_NR_DOMAINS]
        say  M_BUILDER
        call split_cmdline
        mov  rcx, qword ptr [rip + tables]
        cmp  dword ptr [rcx + TABLES_HYPERVISOR], NO_MODULE
        ret

; A hypervisor builds the domains that it is given a kernel for: says which it is not, loads it, and unpacks what it is
; to find.
; out: boot_modules, launch_target
; clobbers: all but rsp
; fails: what check_module, load_module and evacuate_modules fail with
load_hypervisor:
        mov  rcx, qword ptr [rip + tables]
        mov  ecx, dword ptr [rcx + TABLES_HYPERVISOR]
        call module_record_at
        mov  rdi, rax
        call record_name
        mov  rsi, rax
        call list_domains
        mov  ecx, r15d
        xor  edx, edx
.count:
        test r15d, r15d
        jz   .counted
        cmp  dword ptr [r13 + BOOT_DOMAIN_KERNEL], NO_MODULE
        je   .without
        inc  edx
.without:
        add  r13, BOOT_DOMAIN_SIZEOF
        dec  r15d
        jmp  .count
.counted:
        say  M_HYPERVISOR
        call .name_others
        call evacuate_modules
        xor  ebp, ebp
.check:
        call check_module
        call .next
        jb   .check
        xor  ebp, ebp
.load:
        call load_module
        call .next
        jb   .load
        lea  rdi, [rip + launch_target]
        mov  rcx, qword ptr [rip + tables]
        mov  eax, dword ptr [rcx + TABLES_HYPERVISOR_ENTRY]
        mov  qword ptr [rdi + LAUNCH_TARGET_ENTRY], rax
        mov  eax, dword ptr [rcx + TABLES_HYPERVISOR_CMDLINE]
        add  rax, rcx
        mov  qword ptr [rdi + LAUNCH_TARGET_CMDLINE], rax
        mov  eax, dword ptr [rcx + TABLES_HYPERVISOR_PROTOCOL]
        mov  dword ptr [rdi + LAUNCH_TARGET_PROTOCOL], eax
        mov  ecx, dword ptr [rcx + TABLES_HYPERVISOR]
        mov  dword ptr [rdi + LAUNCH_TARGET_MODULE], ecx
        call module_record_at
        mov  qword ptr [rdi + LAUNCH_TARGET_RECORD], rax
        ret
; in: ebp = number of a module; out: ebp = the next one, CF set if there is one; clobbers: rcx
.next:
        mov  rcx, qword ptr [rip + tables]
        inc  ebp
        cmp  ebp, dword ptr [rcx + TABLES_NR_MODULES]
        ret
; Names the domains without a kernel. clobbers: all but rsp
.name_others:
        lea  rbx, [rip + M_SKIPPED_XEN]
        xor  ecx, ecx
        call module_record_at
        cmp  dword ptr [rax + MODULE_RECORD_KIND], BOOTMOD_FDT
        je   .all_built                 ; the device tree has all others
        mov  rcx, qword ptr [rip + tables]
        cmp  dword ptr [rcx + TABLES_HYPERVISOR_PROTOCOL], PROTOCOL_PVH
        jne  .others                    ; our own resident part has all others too
.all_built:
        lea  rbx, [rip + M_NO_KERNEL]
.others:
        call list_domains
.other:
        test r15d, r15d
        jz   .named
        cmp  dword ptr [r13 + BOOT_DOMAIN_KERNEL], NO_MODULE
        jne  .given
        mov  rdi, r13
        call record_name
        mov  rsi, rax
        mov  rdi, rbx
        call print_line
.given:
        add  r13, BOOT_DOMAIN_SIZEOF
        dec  r15d
        jmp  .other
.named:
        ret

; Builds the initial domain; says of each other one that it is not built.
; out: domains' `constructed`
; clobbers: all but rsp
; fails: E_NO_INITIAL_DOMAIN and what create_domain fails with
builder_create_domains:
        xor  r14d, r14d                 ; r13 = domain, r14 = number built, r15 = domains left
        call list_domains
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
        call list_domains
        mov  edx, r15d
        fail E_NO_INITIAL_DOMAIN

.report:
        movzx esi, word ptr [r13 + BOOT_DOMAIN_DOMID]
        mov  edx, r14d
        mov  rcx, qword ptr [rip + tables]
        mov  ecx, dword ptr [rcx + TABLES_NR_DOMAINS]
        say  M_BUILT
        ret

; out: r13 = the first domain, r15 = their number
; clobbers: rcx
list_domains:
        mov  r13, qword ptr [rip + domains]
        mov  rcx, qword ptr [rip + tables]
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
        mov  rax, qword ptr [rip + kernel_probe]
        test rax, rax
        jz   .probed
        call rax
.probed:
        mov  ecx, dword ptr [r13 + BOOT_DOMAIN_KERNEL]
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
        lea  rdi, [r13 + BOOT_DOMAIN_MEM_SIZE]
        call memory_pages
        mov  r9, rax
        shr  r9, 8                      ; pages to MiB
        movzx esi, word ptr [r13 + BOOT_DOMAIN_DOMID]
        say  M_DOMAIN

        call compose_cmdline
        movzx esi, word ptr [r13 + BOOT_DOMAIN_DOMID]
        lea  rdx, [rip + domain_cmdline]
        say  M_CMDLINE
        jmp  construct_domain
.no_kernel:
        mov  rdx, r13
        fail_named E_NO_KERNEL

; How much memory that is on this machine.
; in:  rdi = memory_size
; out: rax = pages
; clobbers: rdi, r10, r11
memory_pages:
        mov  rax, qword ptr [rdi + MEMORY_SIZE_VALUE]
        cmp  dword ptr [rdi + MEMORY_SIZE_KIND], MEMORY_PAGES
        je   .done
        mov  r10, qword ptr [rip + memory_kib]
        shr  r10, 2
        cmp  dword ptr [rdi + MEMORY_SIZE_KIND], MEMORY_SHARE
        je   .share
        sub  r10, rax                   ; MEMORY_MINUS: what is left over
        mov  eax, 0
        cmovae rax, r10
.done:
        ret
.share:
        mov  r11, rax
        xor  eax, eax
        test r11, r11
        jz   .done
        push rdx
        xor  edx, edx
        mov  rax, r10
        div  r11
        pop  rdx
        ret

; in:  r13 = domain
; out: domain's `constructed`, vcpu0
; clobbers: all but r13, rsp
; fails: E_DOMID, E_VCPU, E_NO_GUEST_INTERFACE, E_TOO_LITTLE_MEMORY and what load_module fails with
construct_domain:
        mov  rdx, r13                   ; for what fails
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
        lea  rdi, [r13 + BOOT_DOMAIN_MEM_MIN]
        push rdx
        call memory_pages
        pop  rdx
        lea  rcx, [rax * 4]             ; pages to KiB
        mov  r8, qword ptr [rip + memory_kib]
        cmp  rcx, r8
        ja   .memory

        lea  rax, [rip + __start_movers]
        lea  rcx, [rip + __end_movers]
        cmp  rax, rcx
        jae  .placed                    ; no kernel of this image may be moved
        mov  eax, dword ptr [rax + MOVER_RECORD_MOVE]
        lea  rcx, [rip + __image_start]
        add  rax, rcx
        call rax
.placed:
        push r13
        call evacuate_modules
        pop  r13
        mov  ebp, dword ptr [r13 + BOOT_DOMAIN_KERNEL]
        call check_module
        lea  rsi, [rip + check_module]
        call .each_module
        lea  rsi, [rip + load_module]
        call .each_module
        mov  ebp, dword ptr [r13 + BOOT_DOMAIN_KERNEL]
        call load_module
        mov  word ptr [r13 + BOOT_DOMAIN_CONSTRUCTED], 1
        mov  dword ptr [rip + vcpu0], VCPU_INITIALISED
        ret
; in: rsi = routine to call with each module that the domain's kernel is told of, in ebp
.each_module:
        mov  r12d, -1
.next_module:
        mov  rbx, r13
        call next_domain_module
        je   .all_modules
        mov  ebp, eax
        push r12
        push rsi
        call rsi
        pop  rsi
        pop  r12
        jmp  .next_module
.all_modules:
        ret
.domid:
        fail_named E_DOMID
.vcpu:
        fail_named E_VCPU
.mode:
        fail_named E_NO_GUEST_INTERFACE
.memory:
        fail_named E_TOO_LITTLE_MEMORY

; The modules that a domain's kernel is told of: its ramdisk, and what is handed to it behind that, by number.
; in:  rbx = boot_domain, r12d = the last answer, -1 before the first
; out: r12d to go on with, eax = number of the next one; ZF set at the end
; clobbers: rcx
next_domain_module:
        inc  r12d                       ; 0: the ramdisk's turn; above: 1 + number of a module
        jnz  .handed
        mov  eax, dword ptr [rbx + BOOT_DOMAIN_RAMDISK]
        cmp  eax, NO_MODULE
        jne  .done
.skip:
        inc  r12d
.handed:
        mov  rcx, qword ptr [rip + tables]
        cmp  r12d, dword ptr [rcx + TABLES_NR_MODULES]
        ja   .end
        lea  ecx, [r12 - 1]
        call module_record_at
        mov  ecx, dword ptr [rax + MODULE_RECORD_HANDED_TO]
        sub  ecx, 1
        jb   .skip
        imul ecx, ecx, BOOT_DOMAIN_SIZEOF
        add  rcx, qword ptr [rip + domains]
        cmp  rcx, rbx
        jne  .skip
        lea  eax, [r12 - 1]
        test rbx, rbx                   ; clears ZF
.done:
        ret
.end:
        cmp  eax, eax                   ; sets ZF
        ret

; The first hardware domain that was built.
; out: launch_target
; clobbers: all but rsp
; fails: E_NO_HARDWARE_DOMAIN
builder_get_hwdom:
        call list_domains
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
        lea  rdi, [rip + launch_target]
        mov  qword ptr [rdi + LAUNCH_TARGET_RECORD], r13
        mov  qword ptr [rdi + LAUNCH_TARGET_DOMAIN], r13
        mov  rax, qword ptr [r13 + BOOT_DOMAIN_ENTRY]
        mov  qword ptr [rdi + LAUNCH_TARGET_ENTRY], rax
        lea  rax, [rip + domain_cmdline]
        mov  qword ptr [rdi + LAUNCH_TARGET_CMDLINE], rax
        mov  eax, dword ptr [r13 + BOOT_DOMAIN_PROTOCOL]
        mov  dword ptr [rdi + LAUNCH_TARGET_PROTOCOL], eax
        mov  eax, dword ptr [r13 + BOOT_DOMAIN_KERNEL]
        mov  dword ptr [rdi + LAUNCH_TARGET_MODULE], eax
        mov  rdi, r13
        call record_name
        mov  rdx, rax
        movzx esi, word ptr [r13 + BOOT_DOMAIN_DOMID]
        say  M_HWDOM
        ret
.none:
        fail E_NO_HARDWARE_DOMAIN

.section .bss
.align 8
kernel_probe:           .space 8        ; routine that finds out about a kernel; 0 where the host has
domains:                .space 8
vcpu0:                  .space 4        ; 0, VCPU_ALLOCATED or VCPU_INITIALISED
