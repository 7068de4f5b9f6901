; A cpu before it enters a guest, and behind one that has ended: what VMRUN and VMLOAD do not set is as after a reset.

.global reset_cpu, write_xcr

.section .text

; In the host, GIF 0: no interrupt that was meant for the last guest reaches the next one.
; in:  rbp = struct vcpu, rbx = its VMCB
; clobbers: rax, rcx, rdx, rsi, rdi, r8
reset_cpu:
        call protect_lapic
        call quiet_lapic
        xor  eax, eax
        mov  dr0, rax
        mov  dr1, rax
        mov  dr2, rax
        mov  dr3, rax
        fninit
        ldmxcsr [rip + mxcsr]
        lea  rsi, [rip + msrs]
        mov  edi, (msrs_end - msrs) / 4
.msr:
        mov  ecx, dword ptr [rsi]
        xor  eax, eax
        xor  edx, edx
        call write_msr                  ; those that are there
        add  rsi, 4
        dec  edi
        jnz  .msr
        push rbx
        mov  eax, CPUID_FEATURES
        cpuid
        pop  rbx
        test ecx, CPUID_FEATURES_ECX_XSAVE
        jz   .done
        xor  ecx, ecx
        mov  eax, XCR0_X87
        xor  edx, edx
        call write_xcr
.done:
        ret

; Writes an extended control register. It wants CR4.OSXSAVE, which stays.
; in:  rcx = its number, edx:eax = value; a cpu that has XSAVE
; out: CF set if the cpu refused
; clobbers: rdi
write_xcr:
        mov  rdi, cr4
        bts  rdi, CR4_OSXSAVE_BIT
        mov  cr4, rdi
set_xcr:
        xsetbv
        clc
        ret
xcr_refused:
        stc
        ret
.section .fixups
        .quad set_xcr, xcr_refused
.section .text

; The local APIC as INIT leaves it, and nothing pending: what waits is taken, by gates that only acknowledge it.
; clobbers: rax, rcx, rdx, rsi, rdi, r8
quiet_lapic:
        xor  eax, eax
        mov  edi, LAPIC_INITIAL_COUNT
        call put_lapic
        mov  esi, LAPIC_LVT_TIMER
.lvt:
        mov  edi, esi
        mov  eax, LVT_MASKED
        call put_lapic
        add  esi, 1 << LAPIC_REGISTER_SHIFT
        cmp  esi, LAPIC_LVT_ERROR
        jbe  .lvt
        xor  eax, eax
        mov  edi, LAPIC_TPR
        call put_lapic
        mov  r8d, 256                   ; at most: one for each vector
.served:
        mov  esi, LAPIC_ISR
        xor  eax, eax
.isr:
        mov  edi, esi
        push rax
        call get_lapic
        pop  rcx
        or   eax, ecx
        add  esi, 1 << LAPIC_REGISTER_SHIFT
        cmp  esi, LAPIC_TMR
        jb   .isr
        test eax, eax
        jz   .pending
        call end_interrupt
        dec  r8d
        jnz  .served
.pending:
        call fill_gates
        lidt [rip + quiet_idt_pointer]
        call accept_interrupts
        lidt [rip + idt_pointer]
        mov  edi, LAPIC_SVR
        mov  eax, SVR_RESET
        call put_lapic
        cmp  dword ptr [rip + x2apic], 0
        jne  .done
        mov  edi, LAPIC_LDR
        xor  eax, eax
        call put_lapic
        mov  edi, LAPIC_DFR
        or   eax, -1
        call put_lapic
.done:
        ret

; Every vector from 32 on leads to quiet_gate. What all cpus write here is the same.
; clobbers: rax, rcx, rdi
fill_gates:
        lea  rdi, [rip + quiet_idt]
        lea  rax, [rip + quiet_gate]
        mov  ecx, 256
.gate:
        mov  word ptr [rdi + IDT_GATE_OFFSET_LOW], ax
        mov  word ptr [rdi + IDT_GATE_SELECTOR], GDT_CODE64
        mov  byte ptr [rdi + IDT_GATE_TYPE], IDT_INTERRUPT_GATE
        push rax
        shr  rax, 16
        mov  word ptr [rdi + IDT_GATE_OFFSET_MIDDLE], ax
        shr  rax, 16
        mov  dword ptr [rdi + IDT_GATE_OFFSET_HIGH], eax
        pop  rax
        add  rdi, IDT_GATE_SIZEOF
        dec  ecx
        jnz  .gate
        ret

; An interrupt that nobody waits for. An NMI may come here too: that it came is all that there is to it.
quiet_gate:
        push rax
        push rcx
        push rdx
        push rdi
        call end_interrupt
        pop  rdi
        pop  rdx
        pop  rcx
        pop  rax
        iretq

; clobbers: rax, rcx, rdx, rdi
end_interrupt:
        xor  eax, eax
        mov  edi, LAPIC_EOI

; A register of this cpu's local APIC that it may not have.
; in:  edi = offset in the page, eax = value
; clobbers: rcx, rdx, rdi
put_lapic:
        cmp  dword ptr [rip + x2apic], 0
        jne  .msr
        mov  ecx, LAPIC_ADDRESS
        mov  dword ptr [rcx + rdi], eax
        ret
.msr:
        shr  edi, LAPIC_REGISTER_SHIFT
        lea  ecx, [rdi + MSR_X2APIC]
        xor  edx, edx
        jmp  write_msr

; in:  edi = offset in the page
; out: eax
; clobbers: rcx, rdx, rdi
get_lapic:
        cmp  dword ptr [rip + x2apic], 0
        jne  .msr
        mov  ecx, LAPIC_ADDRESS
        mov  eax, dword ptr [rcx + rdi]
        ret
.msr:
        shr  edi, LAPIC_REGISTER_SHIFT
        lea  ecx, [rdi + MSR_X2APIC]
        jmp  read_msr

.section .rodata
.align 4
mxcsr:  .long MXCSR_RESET
msrs:   .long MSR_SPEC_CTRL, MSR_XSS, MSR_TSC_AUX, MSR_DEBUGCTL
msrs_end:

.section .data
.align 8
quiet_idt_pointer:
        .word 256 * IDT_GATE_SIZEOF - 1
        .quad quiet_idt

.section .bss
.align 16
quiet_idt:      .space 256 * IDT_GATE_SIZEOF
