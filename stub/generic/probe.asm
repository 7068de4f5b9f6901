; Looking into kernels that no host has looked into: for each launch protocol, does it fit?

.include "lib/macros.inc"

.global probe_kernel

.section .text

; Finds out how to launch a kernel that no host has looked into: each probe looks at it in turn.
; in:  r13 = boot_domain
; out: its protocol and entry, its kernel's pieces
; clobbers: all but r13, rsp
; fails: E_KERNEL_UNKNOWN, E_KERNEL_REQUIRES and what the probes fail with
probe_kernel:
        lea  rbx, [rip + probes]
.probe:
        lea  rax, [rip + probes_end]
        cmp  rbx, rax
        jae  .unknown
        mov  ebp, dword ptr [r13 + BOOT_DOMAIN_KERNEL]
        imul eax, ebp, BOOT_MODULE_SIZEOF
        lea  rcx, [rip + boot_modules]
        mov  rsi, qword ptr [rcx + rax + BOOT_MODULE_START]
        mov  rdi, qword ptr [rcx + rax + BOOT_MODULE_SIZE]
        mov  eax, dword ptr [rbx + PROBE_RECORD_PROBE]
        lea  rcx, [rip + __image_start]
        add  rax, rcx
        push rbx
        call rax
        pop  rbx
        je   .found
        add  rbx, PROBE_RECORD_SIZEOF
        jmp  .probe
.found:
        mov  qword ptr [r13 + BOOT_DOMAIN_ENTRY], rax
        mov  eax, dword ptr [rbx + PROBE_RECORD_PROTOCOL]
        mov  dword ptr [r13 + BOOT_DOMAIN_PROTOCOL], eax
        mov  rdi, r13
        call record_name
        mov  rdx, rax
        movzx esi, word ptr [r13 + BOOT_DOMAIN_DOMID]
        mov  ecx, dword ptr [rbx + PROBE_RECORD_NAME]
        lea  rax, [rip + __image_start]
        add  rcx, rax
        mov  r8, qword ptr [r13 + BOOT_DOMAIN_ENTRY]
        say  M_PROBED
        ret
.unknown:
        mov  rdx, r13
        mov  rcx, qword ptr [rip + refused_header]
        mov  r8, qword ptr [rip + refused_what]
        mov  r9d, dword ptr [rip + refused_number]
        test rcx, rcx
        jnz  .requires
        mov  ecx, dword ptr [r13 + BOOT_DOMAIN_KERNEL]
        call module_record_at
        mov  rdi, rax
        call record_name
        mov  rcx, rax
        fail_named E_KERNEL_UNKNOWN
.requires:
        fail_named E_KERNEL_REQUIRES

; Is it an ELF file with the note XEN_ELFNOTE_PHYS32_ENTRY?
; in:  as probe_elf
; out: as probe_elf; ZF set if so, with rax = entry
; clobbers: all but rbp, r13, rsp
; fails: as probe_elf
probe_pvh:
        mov  edx, PROBE_PVH_NOTE
        jmp  probe_elf

.section .rodata
.align 4
probes:                                 ; struct probe_record, in the order in which they are tried
        .long PROTOCOL_MULTIBOOT2, probe_multiboot2 - __image_start, multiboot2_launcher_name - __image_start
        .long PROTOCOL_MULTIBOOT1, probe_multiboot1 - __image_start, multiboot1_launcher_name - __image_start
        .long PROTOCOL_LINUX, probe_linux - __image_start, linux_name - __image_start
        .long PROTOCOL_PVH, probe_pvh - __image_start, pvh_launcher_name - __image_start
probes_end:
