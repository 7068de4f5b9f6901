; The state that a vcpu starts in: at the launch, at a restart of its domain, and by INIT.

.global reset_vcpu, prepare_vcpus, domain_vcpus, fail_of_domain

.section .text

; Every vcpu of a domain as the launch leaves it: the first one at the kernel's entry, the others off.
; in:  r12 = struct domain
; clobbers: rax, rcx, rdx, rsi, rdi, r8, r13, r14
prepare_vcpus:
        push rbp
        call domain_vcpus
        mov  rbp, r13
        mov  rsi, qword ptr [r12 + DOMAIN_VMCB]
        call reset_vcpu
        mov  rax, qword ptr [r12 + DOMAIN_ENTRY_RBX]
        mov  qword ptr [rbp + VCPU_RBX], rax
        mov  rax, qword ptr [r12 + DOMAIN_ENTRY_RSI]
        mov  qword ptr [rbp + VCPU_RSI], rax
        mov  dword ptr [rbp + VCPU_STATE], VCPU_RUNS
.next:
        dec  r14d
        jz   .done
        add  rbp, VCPU_SIZEOF
        mov  esi, PARTITION_BASE
        mov  rsi, qword ptr [rsi + PARTITION_RESET_VMCB]
        call reset_vcpu
        mov  dword ptr [rbp + VCPU_STATE], VCPU_OFF
        jmp  .next
.done:
        pop  rbp
        ret

; Its VMCB as the host has made it, with what is its own; its registers 0, and nothing half done. Its state stays,
; and so does what others ask of it.
; in:  rbp = struct vcpu, rsi = VMCB to begin with: domain.vmcb or partition.reset_vmcb
; clobbers: rax, rcx, rdx, rsi, rdi, r8
reset_vcpu:
        mov  r8, qword ptr [rbp + VCPU_VMCB]
        mov  rdi, r8
        mov  ecx, PAGE_SIZE / 8
        rep movsq
        mov  eax, dword ptr [rbp + VCPU_ASID]
        mov  dword ptr [r8 + VMCB_GUEST_ASID], eax
        mov  rax, qword ptr [rbp + VCPU_ROOT]
        mov  qword ptr [r8 + VMCB_N_CR3], rax
        mov  rax, qword ptr [rbp + VCPU_DOMAIN]
        mov  rax, qword ptr [rax + DOMAIN_IO_BITMAP]
        mov  qword ptr [r8 + VMCB_IOPM_BASE_PA], rax
        mov  edx, PARTITION_BASE
        mov  rax, qword ptr [rdx + PARTITION_MSR_BITMAP_X2APIC]
        cmp  dword ptr [rip + x2apic], 0
        jne  .bitmap
        mov  rax, qword ptr [rdx + PARTITION_MSR_BITMAP_XAPIC]
.bitmap:
        mov  qword ptr [r8 + VMCB_MSRPM_BASE_PA], rax
        xor  eax, eax
        lea  rdi, [rbp + VCPU_RBX]
        mov  ecx, (VCPU_VMCB - VCPU_RBX) / 8
        rep stosq
        mov  dword ptr [rbp + VCPU_STEPPING], eax
        mov  dword ptr [rbp + VCPU_LDR], eax
        mov  dword ptr [rbp + VCPU_DFR], DFR_FLAT
        mov  qword ptr [rbp + VCPU_CLOCK], rax
        mov  qword ptr [rbp + VCPU_CLOCK_VERSION], rax
        ret

; The end of a boot for a reason that a domain gives.
; in:  si = number, rdi = text, r12 = struct domain, whose name is the first value; rcx, r8, r9 = others
; never returns
fail_of_domain:
        mov  rdx, qword ptr [r12 + DOMAIN_NAME]
        jmp  panic

; in:  r12 = struct domain
; out: r13 = its first vcpu, r14d = how many it has
; clobbers: rax
domain_vcpus:
        mov  r13d, dword ptr [r12 + DOMAIN_FIRST_VCPU]
        imul r13, r13, VCPU_SIZEOF
        mov  eax, PARTITION_BASE
        add  r13, qword ptr [rax + PARTITION_VCPUS]
        mov  r14d, dword ptr [r12 + DOMAIN_NR_VCPUS]
        ret
