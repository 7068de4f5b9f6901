; A guest's local APIC, where it is not used by MSRs: its page is read-only. A write is let through for one instruction,
; to a page that stands in for it; what is there then is looked at, and written. So no instruction needs to be decoded.

.global exit_nested_fault, finish_step, protect_lapic, flush_guest, filter_lvt, tlb_flush

.set REGISTER, LAPIC_REGISTER_SHIFT
; What may be written, a bit for each register.
.set LOW_REGISTERS, 1 << (LAPIC_TPR >> REGISTER) | 1 << (LAPIC_EOI >> REGISTER) | 1 << (LAPIC_LDR >> REGISTER) | 1 << (LAPIC_DFR >> REGISTER) | 1 << (LAPIC_SVR >> REGISTER)
.set HIGH_REGISTERS, 1 << (LAPIC_ESR >> REGISTER) | 1 << (LAPIC_ICR_HIGH >> REGISTER) | 1 << (LAPIC_INITIAL_COUNT >> REGISTER) | 1 << (LAPIC_DIVIDE >> REGISTER)
.set LVT_REGISTERS, (1 << (LAPIC_LVT_ERROR >> REGISTER) + 1) - (1 << (LAPIC_LVT_TIMER >> REGISTER))

.section .text

; A guest reached for memory that its nested tables do not give it.
exit_nested_fault:
        mov  rdx, qword ptr [rbx + VMCB_EXITINFO2]
        mov  rax, qword ptr [rbx + VMCB_EXITINFO1]
        mov  rcx, rdx
        shr  rcx, PAGE_SHIFT
        cmp  rcx, LAPIC_ADDRESS >> PAGE_SHIFT
        jne  .outside
        test al, NPF_WRITE
        jz   .outside
        bt   rax, NPF_TABLES_BIT        ; the cpu's own, into a table of the guest's
        jc   .outside
        cmp  dword ptr [rip + x2apic], 0
        jne  .outside
        bt   dword ptr [rbx + VMCB_EXITINTINFO], EVENT_VALID_BIT        ; an event's frame
        jc   .outside
        cmp  dword ptr [rbp + VCPU_STEPPING], 0
        jne  .outside
        and  edx, LAPIC_OFFSET_MASK
        mov  dword ptr [rbp + VCPU_STEP_OFFSET], edx
        xor  eax, eax                   ; of what is there at present: an instruction may change it
        cmp  edx, LAPIC_EOI             ; which is not to be read
        je   .put
        mov  ecx, LAPIC_ADDRESS
        mov  eax, dword ptr [rcx + rdx]
.put:
        mov  rsi, qword ptr [rbp + VCPU_SCRATCH]
        mov  dword ptr [rsi + rdx], eax
        or   rsi, PTE_PRESENT | PTE_WRITABLE | PTE_USER
        mov  rdi, qword ptr [rbp + VCPU_LAPIC_ENTRY]
        mov  qword ptr [rdi], rsi
        mov  eax, dword ptr [rbx + VMCB_RFLAGS]
        mov  ecx, eax
        and  ecx, EFLAGS_TF | EFLAGS_IF
        mov  dword ptr [rbp + VCPU_STEP_FLAGS], ecx
        and  eax, ~EFLAGS_IF
        or   eax, EFLAGS_TF
        mov  dword ptr [rbx + VMCB_RFLAGS], eax
        mov  dword ptr [rbp + VCPU_STEPPING], 1
        jmp  flush_guest
.outside:
        mov  rdx, qword ptr [rbx + VMCB_EXITINFO2]
        mov  eax, END_ACCESS
        jmp  end_domain

; The #DB behind the instruction.
finish_step:
        mov  eax, dword ptr [rbx + VMCB_RFLAGS]
        and  eax, ~(EFLAGS_TF | EFLAGS_IF)
        or   eax, dword ptr [rbp + VCPU_STEP_FLAGS]
        mov  dword ptr [rbx + VMCB_RFLAGS], eax
        call protect_lapic
        test byte ptr [rbp + VCPU_STEP_FLAGS + 1], EFLAGS_TF >> 8
        jnz  .debugged
        and  dword ptr [rbx + VMCB_DR6], ~DR6_BS
        test byte ptr [rbx + VMCB_DR7], DR7_ENABLES
        jz   .write
        test byte ptr [rbx + VMCB_DR6], DR6_BREAKPOINTS
        jz   .write
.debugged:                              ; it would have come to the guest without us, too
        mov  eax, EVENT_VALID | EVENT_TYPE_EXCEPTION | VECTOR_DEBUG
        call inject_event
.write:
        mov  edi, dword ptr [rbp + VCPU_STEP_OFFSET]
        mov  rsi, qword ptr [rbp + VCPU_SCRATCH]
        mov  eax, dword ptr [rsi + rdi]

; Writes a register of this cpu's local APIC as far as a guest may.
; in:  edi = offset in the page, a multiple of 16, eax = value, rbp, r12
; clobbers: all but rbp, rbx, r12, rsp
write_lapic:
        mov  esi, LAPIC_ADDRESS
        cmp  edi, LAPIC_ICR
        je   .icr
        mov  ecx, edi
        shr  ecx, LAPIC_REGISTER_SHIFT
        cmp  ecx, 64
        jae  .done
        mov  rdx, LOW_REGISTERS | HIGH_REGISTERS | LVT_REGISTERS
        bt   rdx, rcx
        jnc  .done
        lea  ecx, [rdi - LAPIC_LVT_TIMER]
        cmp  ecx, LAPIC_LVT_ERROR - LAPIC_LVT_TIMER
        ja   .plain
        call filter_lvt
.plain:
        cmp  edi, LAPIC_LDR
        jne  .dfr
        mov  dword ptr [rbp + VCPU_LDR], eax
.dfr:
        cmp  edi, LAPIC_DFR
        jne  .put
        mov  dword ptr [rbp + VCPU_DFR], eax
.put:
        mov  dword ptr [rsi + rdi], eax
.done:
        ret
.icr:
        mov  edx, dword ptr [rsi + LAPIC_ICR_HIGH]
        shr  edx, LAPIC_ID_SHIFT
        jmp  filter_icr

; A local interrupt is a vector, or it is masked: NMI, SMI, INIT and ExtINT are none of a guest's.
; in:  eax = value for an LVT register
; out: eax
filter_lvt:
        test eax, DELIVERY_MASK
        jz   .done
        or   eax, LVT_MASKED
.done:
        ret

; The page is the local APIC's again, read-only, and no write is under way.
; in:  rbp, rbx
; clobbers: rax, rcx
protect_lapic:
        mov  dword ptr [rbp + VCPU_STEPPING], 0
        cmp  dword ptr [rip + x2apic], 0
        jne  flush_guest
        mov  rcx, qword ptr [rbp + VCPU_LAPIC_ENTRY]
        mov  rax, LAPIC_ADDRESS | PTE_PRESENT | PTE_USER | PTE_WRITE_THROUGH | PTE_CACHE_DISABLE | (1 << PTE_NO_EXECUTE_BIT)
        mov  qword ptr [rcx], rax

; The next VMRUN forgets what the cpu knows of the nested tables.
; in:  rbx
; clobbers: rax
flush_guest:
        mov  al, byte ptr [rip + tlb_flush]
        mov  byte ptr [rbx + VMCB_TLB_CONTROL], al
        ret

.section .data
tlb_flush:      .byte TLB_CONTROL_ALL   ; what does that: of this guest alone, where the cpu can
