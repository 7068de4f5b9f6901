; RDMSR and WRMSR of what does not pass: by the host's rules, and a few by routines.

.global exit_msr

.section .text

exit_msr:
        mov  r13d, dword ptr [rbp + VCPU_RCX]           ; r13 = MSR, r14 = its rule
        mov  esi, PARTITION_BASE
        mov  edi, dword ptr [rsi + PARTITION_NR_MSR_RULES]
        mov  r14, qword ptr [rsi + PARTITION_MSR_RULES]
.next:
        sub  edi, 1
        jb   .no_rule
        cmp  r13d, dword ptr [r14 + MSR_RULE_FIRST]
        jb   .step
        cmp  r13d, dword ptr [r14 + MSR_RULE_LAST]
        jbe  .rule
.step:
        add  r14, MSR_RULE_SIZEOF
        jmp  .next
.no_rule:
        lea  r14, [rip + other_msrs]
.rule:
        cmp  dword ptr [rbx + VMCB_EXITINFO1], MSR_EXIT_WRITE
        je   write
        mov  eax, dword ptr [r14 + MSR_RULE_READ]
        cmp  eax, RULE_REFUSED
        je   inject_protection
        cmp  eax, RULE_HANDLED
        je   read_handled
        mov  rdx, qword ptr [r14 + MSR_RULE_VALUE]
        cmp  eax, RULE_FIXED
        je   answer
        xor  edx, edx
        cmp  eax, RULE_IGNORED
        je   answer
        mov  ecx, r13d
        call read_msr
        jc   inject_protection
        shl  rdx, 32
        or   rdx, rax

; in:  rdx = what the guest reads
answer:
        mov  eax, edx
        mov  qword ptr [rbx + VMCB_RAX], rax
        shr  rdx, 32
        mov  qword ptr [rbp + VCPU_RDX], rdx
done:
        mov  eax, RDMSR_LENGTH
        jmp  skip_instruction

; in:  r13d = MSR, r14 = its rule
write:
        mov  eax, dword ptr [r14 + MSR_RULE_WRITE]
        cmp  eax, RULE_REFUSED
        je   inject_protection
        cmp  eax, RULE_HANDLED
        jne  done
        mov  eax, dword ptr [rbx + VMCB_RAX]            ; rsi = value
        mov  esi, dword ptr [rbp + VCPU_RDX]
        shl  rsi, 32
        or   rsi, rax
        cmp  r13d, MSR_X2APIC_ICR
        je   write_icr
        cmp  r13d, MSR_EFER
        je   write_efer
        cmp  r13d, MSR_APIC_BASE
        je   done                       ; it stays where and what it is
        cmp  r13d, MSR_KVM_SYSTEM_TIME_NEW
        je   .clock
        cmp  r13d, MSR_KVM_WALL_CLOCK_NEW
        je   .wall_clock
        lea  eax, [r13 - MSR_X2APIC_LVT_TIMER]
        cmp  eax, MSR_X2APIC_LVT_ERROR - MSR_X2APIC_LVT_TIMER
        jbe  write_lvt
        cmp  r13d, MSR_X2APIC_LVT_CMCI
        je   write_lvt
        jmp  inject_protection
.clock:
        call set_clock
        jne  inject_protection
        jmp  done
.wall_clock:
        call set_wall_clock
        jne  inject_protection
        jmp  done

; in:  r13d = MSR
read_handled:
        mov  rdx, qword ptr [rbx + VMCB_EFER]
        and  rdx, ~EFER_SVME
        cmp  r13d, MSR_EFER
        je   answer
        cmp  r13d, MSR_APIC_BASE
        je   .apic_base
        mov  rdx, qword ptr [rbp + VCPU_CLOCK]
        cmp  r13d, MSR_KVM_SYSTEM_TIME_NEW
        je   answer
        xor  edx, edx
        cmp  r13d, MSR_KVM_WALL_CLOCK_NEW
        je   answer
        lea  eax, [r13 - MSR_X2APIC]    ; what of x2APIC exits when it is written can be read
        cmp  eax, MSR_X2APIC_LAST - MSR_X2APIC
        ja   inject_protection
        cmp  dword ptr [rip + x2apic], 0
        je   inject_protection
        mov  ecx, r13d
        call read_msr
        jc   inject_protection
        shl  rdx, 32
        or   rdx, rax
        jmp  answer
.apic_base:
        mov  edx, LAPIC_ADDRESS | APIC_BASE_ENABLE
        cmp  dword ptr [rip + x2apic], 0
        je   .boot_cpu
        or   edx, APIC_BASE_X2APIC
.boot_cpu:
        cmp  dword ptr [rbp + VCPU_NUMBER], 0
        jne  answer
        or   edx, APIC_BASE_BSP
        jmp  answer

; EFER as the cpu would take it, with SVME set behind the guest's back. VMRUN would end the domain for less.
; in:  rsi = value
write_efer:
        push rbx
        mov  eax, CPUID_EXTENDED
        cpuid
        pop  rbx
        mov  edi, EFER_SCE | EFER_LME | EFER_LMA | (1 << EFER_NXE_BIT)
        test edx, CPUID_EXTENDED_EDX_FFXSR
        jz   .tce
        or   edi, EFER_FFXSR
.tce:
        test ecx, CPUID_EXTENDED_ECX_TCE
        jz   .check
        or   edi, EFER_TCE
.check:
        not  rdi
        test rsi, rdi
        jnz  inject_protection
        mov  rax, qword ptr [rbx + VMCB_EFER]
        mov  edx, eax
        xor  edx, esi
        test edx, EFER_LME              ; not while paging is on
        jz   .write
        bt   dword ptr [rbx + VMCB_CR0], CR0_PG_BIT
        jc   inject_protection
.write:
        and  eax, EFER_LMA | EFER_SVME  ; LMA is the cpu's
        and  esi, ~EFER_LMA
        or   rsi, rax
        mov  qword ptr [rbx + VMCB_EFER], rsi
        call flush_guest                ; NXE may have changed
        jmp  done

; in:  rsi = value
write_icr:
        cmp  dword ptr [rip + x2apic], 0
        je   inject_protection
        mov  rdx, rsi
        shr  rdx, 32
        call filter_icr
        jmp  done

; in:  rsi = value, r13d = MSR
write_lvt:
        cmp  dword ptr [rip + x2apic], 0
        je   inject_protection
        mov  eax, esi
        call filter_lvt
        mov  rdx, rsi
        shr  rdx, 32
        mov  ecx, r13d
        call write_msr
        jc   inject_protection
        jmp  done

.section .rodata
.align 8
other_msrs:                             ; a struct msr_rule: what the machine has may be read
        .long 0, 0xffffffff, RULE_MACHINE, RULE_IGNORED
        .quad 0
