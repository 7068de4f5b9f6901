; CPUID: the machine's answer by the host's rules, but for what only the moment knows.

.global exit_cpuid

.section .text

exit_cpuid:
        mov  eax, CPUID_LENGTH
        call skip_instruction
        mov  r13d, dword ptr [rbx + VMCB_RAX]           ; r13 = leaf, r14 = subleaf
        mov  r14d, dword ptr [rbp + VCPU_RCX]
        push rbx
        call guest_cpuid
        mov  r8d, ebx
        pop  rbx
        mov  r9, qword ptr [rbx + VMCB_CR4]
        cmp  r13d, CPUID_FEATURES
        je   .features
        cmp  r13d, CPUID_STRUCTURED
        je   .structured
.done:
        mov  qword ptr [rbx + VMCB_RAX], rax
        mov  qword ptr [rbp + VCPU_RBX], r8
        mov  qword ptr [rbp + VCPU_RCX], rcx
        mov  qword ptr [rbp + VCPU_RDX], rdx
        ret
.features:                              ; OSXSAVE is what the guest has set, and x2APIC what is passed through
        and  ecx, ~CPUID_FEATURES_ECX_OSXSAVE
        bt   r9d, CR4_OSXSAVE_BIT
        jnc  .no_xsave
        or   ecx, CPUID_FEATURES_ECX_OSXSAVE
.no_xsave:
        cmp  dword ptr [rip + x2apic], 0
        jne  .done
        and  ecx, ~CPUID_FEATURES_ECX_X2APIC
        jmp  .done
.structured:                            ; the same for keys of pages
        test r14d, r14d
        jnz  .done
        and  ecx, ~CPUID_STRUCTURED_ECX_OSPKE
        bt   r9d, CR4_PKE_BIT
        jnc  .done
        or   ecx, CPUID_STRUCTURED_ECX_OSPKE
        jmp  .done

; in:  r13d = leaf, r14d = subleaf
; out: eax, ebx, ecx, edx
; clobbers: rsi, rdi
guest_cpuid:
        mov  eax, r13d
        shr  eax, CPUID_HYPERVISOR_SHIFT
        cmp  eax, CPUID_HYPERVISOR >> CPUID_HYPERVISOR_SHIFT
        je   .ours
        mov  eax, r13d
        mov  ecx, r14d
        cpuid
        mov  esi, PARTITION_BASE
        mov  edi, dword ptr [rsi + PARTITION_NR_CPUID_RULES]
        mov  rsi, qword ptr [rsi + PARTITION_CPUID_RULES]
.next:
        sub  edi, 1
        jb   .done
        cmp  dword ptr [rsi + CPUID_RULE_LEAF], r13d
        jne  .step
        cmp  dword ptr [rsi + CPUID_RULE_SUBLEAF], r14d
        je   .apply
        cmp  dword ptr [rsi + CPUID_RULE_SUBLEAF], CPUID_ANY_SUBLEAF
        jne  .step
.apply:
        and  eax, dword ptr [rsi + CPUID_RULE_AND_EAX]
        or   eax, dword ptr [rsi + CPUID_RULE_OR_EAX]
        and  ebx, dword ptr [rsi + CPUID_RULE_AND_EBX]
        or   ebx, dword ptr [rsi + CPUID_RULE_OR_EBX]
        and  ecx, dword ptr [rsi + CPUID_RULE_AND_ECX]
        or   ecx, dword ptr [rsi + CPUID_RULE_OR_ECX]
        and  edx, dword ptr [rsi + CPUID_RULE_AND_EDX]
        or   edx, dword ptr [rsi + CPUID_RULE_OR_EDX]
        ret
.step:
        add  rsi, CPUID_RULE_SIZEOF
        jmp  .next
.ours:                                  ; KVM's name and clock; never what is below us, if something is
        xor  eax, eax
        xor  ebx, ebx
        xor  ecx, ecx
        xor  edx, edx
        cmp  r13d, KVM_CPUID_SIGNATURE
        je   .signature
        cmp  r13d, KVM_CPUID_FEATURES
        jne  .done
        mov  eax, KVM_FEATURE_CLOCKSOURCE2 | KVM_FEATURE_NOP_IO_DELAY | KVM_FEATURE_CLOCKSOURCE_STABLE
        ret
.signature:
        mov  eax, KVM_CPUID_FEATURES
        mov  ebx, KVM_SIGNATURE_EBX
        mov  ecx, KVM_SIGNATURE_ECX
        mov  edx, KVM_SIGNATURE_EDX
.done:
        ret
