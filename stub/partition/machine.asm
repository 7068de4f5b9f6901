; What the machine must have, before anything of it is used: AMD's SVM, nested paging. AMD64 APM volume 2, 15.

.include "lib/macros.inc"

.global find_machine, enable_svm, x2apic, boot_apic_id

.section .boot

; Checks the cpu, takes the local APIC into the mode that it is used in, and measures the time-stamp counter.
; out: x2apic, boot_apic_id, next_rip_saved, tlb_flush, tsc_khz, clock_multiplier, clock_shift
; clobbers: all but rbp, rsp
; fails: E_PARTITION_INTEL, E_NO_SVM, E_SVM_OFF, E_NO_NESTED_PAGING, E_NO_TSC_RATE
find_machine:
        mov  eax, CPUID_EXTENDED        ; check_long_mode has seen that it is there
        cpuid
        test ecx, CPUID_EXTENDED_ECX_SVM
        jz   .no_svm
        mov  eax, CPUID_SVM
        cpuid
        test edx, CPUID_SVM_EDX_NP
        jz   .no_nested_paging
        test edx, CPUID_SVM_EDX_NRIP
        setnz byte ptr [rip + next_rip_saved]
        test edx, CPUID_SVM_EDX_FLUSH_ASID
        jz   .flush_all
        mov  byte ptr [rip + tlb_flush], TLB_CONTROL_ASID
.flush_all:
        mov  ecx, MSR_VM_CR             ; a cpu without it cannot switch SVM off
        call read_msr
        test eax, VM_CR_SVMDIS
        jnz  .off
        mov  eax, CPUID_FEATURES
        cpuid
        test ecx, CPUID_FEATURES_ECX_X2APIC
        setnz byte ptr [rip + x2apic]
        call enable_apic
        mov  dword ptr [rip + boot_apic_id], eax
        call measure_tsc
        lea  rsi, [rip + amd_word]
        lea  rdx, [rip + x2apic_word]
        cmp  dword ptr [rip + x2apic], 0
        jne  .say
        lea  rdx, [rip + xapic_word]
.say:
        mov  rax, qword ptr [rip + tsc_khz]
        add  rax, 500
        mov  rcx, rdx
        xor  edx, edx
        mov  edi, 1000
        div  rdi
        mov  rdx, rcx
        mov  rcx, rax
        say  M_PARTITION
        ret
.no_svm:
        xor  eax, eax
        cpuid
        cmp  ebx, CPUID_VENDOR_INTEL
        jne  .none
        fail E_PARTITION_INTEL
.none:
        fail E_NO_SVM
.no_nested_paging:
        fail E_NO_NESTED_PAGING
.off:
        lea  rdx, [rip + to_unlock_word]
        test eax, VM_CR_LOCK
        jz   .say_off
        lea  rdx, [rip + locked_word]
.say_off:
        fail E_SVM_OFF

; Switches this cpu's SVM on. Nested tables may forbid to execute if the host's own may.
; in:  rbp = struct vcpu
; clobbers: rax, rcx, rdx
enable_svm:
        mov  ecx, MSR_EFER
        rdmsr
        or   eax, EFER_SVME | (1 << EFER_NXE_BIT)
        wrmsr
        mov  ecx, MSR_VM_HSAVE_PA
        mov  rax, qword ptr [rbp + VCPU_HOST_SAVE]
        mov  rdx, rax
        shr  rdx, 32
        wrmsr
        ret

.section .rodata
amd_word:          .asciz "AMD SVM"
x2apic_word:       .asciz "x2APIC"
xapic_word:        .asciz "xAPIC"
to_unlock_word:    .asciz "not locked"
locked_word:       .asciz "locked"

.section .data
x2apic:         .long 0                 ; 1: local APICs are used by MSRs
boot_apic_id:   .long 0
