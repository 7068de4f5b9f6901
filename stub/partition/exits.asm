; What is done when a guest exits: one routine for each reason, found by its code. A handler gets rbp = struct vcpu,
; rbx = its VMCB, r12 = its struct domain, may write every other register, and returns; the guest's RAX, RSP, RIP and
; RFLAGS are in the VMCB, its other registers in struct vcpu. AMD APM volume 2, chapter 15 and appendix C.

.global handle_exit, skip_instruction, behind_instruction, inject_event, inject_protection, inject_undefined
.global next_rip_saved

.macro on_exit code, kind, routine
        .word \code, \kind
        .long \routine
.endm

.section .text

; in:  rbp = struct vcpu, rbx = VMCB, r12 = struct domain
; clobbers: all but rbp, rbx, r12, rsp
handle_exit:
        mov  byte ptr [rbx + VMCB_TLB_CONTROL], TLB_CONTROL_NOTHING
        mov  rax, qword ptr [rbx + VMCB_EXITINTINFO]
        mov  ecx, eax                   ; an event that the exit cut short comes again, unless its own instruction
        and  ecx, EVENT_TYPE_MASK | EVENT_VECTOR_MASK   ; makes it do so
        mov  edx, ecx
        and  edx, EVENT_TYPE_MASK
        cmp  edx, EVENT_TYPE_SOFTWARE
        je   .no_event
        sub  ecx, EVENT_TYPE_EXCEPTION | VECTOR_BREAKPOINT
        cmp  ecx, VECTOR_OVERFLOW - VECTOR_BREAKPOINT
        ja   .event
.no_event:
        xor  eax, eax
.event:
        mov  qword ptr [rbx + VMCB_EVENTINJ], rax
        mov  rdx, qword ptr [rbx + VMCB_EXITCODE]
        lea  rsi, [rip + exits]
        lea  rdi, [rip + exits_end]
.next:
        movzx eax, word ptr [rsi + EXIT_RECORD_CODE]
        cmp  rax, rdx
        je   .found
        add  rsi, EXIT_RECORD_SIZEOF
        cmp  rsi, rdi
        jb   .next
        inc  qword ptr [rbp + VCPU_EXITS + EXIT_OTHER * 8]
        mov  eax, END_EXIT
        call end_domain
        jmp  serve_requests
.found:
        movzx eax, word ptr [rsi + EXIT_RECORD_KIND]
        inc  qword ptr [rbp + rax * 8 + VCPU_EXITS]
        mov  eax, dword ptr [rsi + EXIT_RECORD_ROUTINE]
        call rax
        cmp  dword ptr [rbp + VCPU_REQUEST], 0
        jne  serve_requests
        ret

; Goes on behind the instruction that exited.
; in:  eax = its length, if the cpu does not say where the next one is; rbp, rbx
; clobbers: rax
skip_instruction:
        cmp  byte ptr [rip + next_rip_saved], 0
        jne  .saved
        add  rax, qword ptr [rbx + VMCB_RIP]
        jmp  behind_instruction
.saved:
        mov  rax, qword ptr [rbx + VMCB_NRIP]

; The same, where the next one is known.
; in:  rax = RIP, rbp, rbx
; clobbers: rax
behind_instruction:
        mov  qword ptr [rbx + VMCB_RIP], rax
        and  byte ptr [rbx + VMCB_INTERRUPT_SHADOW], ~INTERRUPT_SHADOW & 0xff
        test dword ptr [rbx + VMCB_RFLAGS], EFLAGS_TF
        jnz  .step
        ret
.step:
        or   dword ptr [rbx + VMCB_DR6], DR6_BS
        cmp  dword ptr [rbp + VCPU_STEPPING], 0
        je   inject_debug
        ret                             ; the next #DB ends the step

; #DB and #AC exit only so that no guest can keep its cpu busy with raising them; it gets them all.
exit_debug:
        cmp  dword ptr [rbp + VCPU_STEPPING], 0
        jne  finish_step
        dec  qword ptr [rbp + VCPU_EXITS + EXIT_STEP * 8]
        inc  qword ptr [rbp + VCPU_EXITS + EXIT_EXCEPTION * 8]
inject_debug:
        mov  eax, EVENT_VALID | EVENT_TYPE_EXCEPTION | VECTOR_DEBUG
        jmp  inject_event

exit_alignment:
        mov  eax, EVENT_VALID | EVENT_ERROR_CODE_VALID | EVENT_TYPE_EXCEPTION | VECTOR_ALIGNMENT
        jmp  inject_event

exit_undefined:
inject_undefined:
        mov  eax, EVENT_VALID | EVENT_TYPE_EXCEPTION | VECTOR_UNDEFINED
        jmp  inject_event

inject_protection:
        mov  eax, EVENT_VALID | EVENT_ERROR_CODE_VALID | EVENT_TYPE_EXCEPTION | VECTOR_PROTECTION

; The guest goes on with this exception; its error code, if it has one, is 0. In real mode it has none.
; in:  eax = event, rbx
; clobbers: rax
inject_event:
        test byte ptr [rbx + VMCB_CR0], CR0_PE
        jnz  .inject
        and  eax, ~EVENT_ERROR_CODE_VALID
.inject:
        mov  qword ptr [rbx + VMCB_EVENTINJ], rax
        ret

; WBINVD and INVD: a guest's caches are everybody's, and nothing of its own depends on what they hold.
exit_cache:
        mov  eax, WBINVD_LENGTH
        jmp  skip_instruction

; XSETBV is carried out: XCR0 is the guest's. What the cpu does not take is the guest's #GP.
exit_xsetbv:
        bt   dword ptr [rbx + VMCB_CR4], CR4_OSXSAVE_BIT
        jnc  inject_undefined
        cmp  byte ptr [rbx + VMCB_CPL], 0
        jne  inject_protection
        mov  rcx, qword ptr [rbp + VCPU_RCX]
        mov  eax, dword ptr [rbx + VMCB_RAX]
        mov  edx, dword ptr [rbp + VCPU_RDX]
        call write_xcr
        jc   inject_protection
        mov  eax, XSETBV_LENGTH
        jmp  skip_instruction

exit_nmi:
        call take_nmi                   ; who sent it has set a request, which handle_exit looks at
        ret

exit_shutdown:
        mov  rdx, qword ptr [rbx + VMCB_RIP]
        mov  eax, END_SHUTDOWN
        jmp  end_domain

.section .rodata
.align 8
exits:                                  ; in the order of frequency
        on_exit SVM_EXIT_EXCP_BASE + VECTOR_DEBUG, EXIT_STEP, exit_debug
        on_exit SVM_EXIT_NPF, EXIT_LAPIC, exit_nested_fault
        on_exit SVM_EXIT_MSR, EXIT_MSR, exit_msr
        on_exit SVM_EXIT_IOIO, EXIT_IO, exit_io
        on_exit SVM_EXIT_CPUID, EXIT_CPUID, exit_cpuid
        on_exit SVM_EXIT_NMI, EXIT_NMI, exit_nmi
        on_exit SVM_EXIT_EXCP_BASE + VECTOR_ALIGNMENT, EXIT_EXCEPTION, exit_alignment
        on_exit SVM_EXIT_WBINVD, EXIT_CACHE, exit_cache
        on_exit SVM_EXIT_INVD, EXIT_CACHE, exit_cache
        on_exit SVM_EXIT_XSETBV, EXIT_XSETBV, exit_xsetbv
        on_exit SVM_EXIT_SHUTDOWN, EXIT_OTHER, exit_shutdown
        on_exit SVM_EXIT_VMMCALL, EXIT_REFUSED, exit_undefined
        on_exit SVM_EXIT_VMRUN, EXIT_REFUSED, exit_undefined
        on_exit SVM_EXIT_VMLOAD, EXIT_REFUSED, exit_undefined
        on_exit SVM_EXIT_VMSAVE, EXIT_REFUSED, exit_undefined
        on_exit SVM_EXIT_STGI, EXIT_REFUSED, exit_undefined
        on_exit SVM_EXIT_CLGI, EXIT_REFUSED, exit_undefined
        on_exit SVM_EXIT_SKINIT, EXIT_REFUSED, exit_undefined
        on_exit SVM_EXIT_INVLPGA, EXIT_REFUSED, exit_undefined
        on_exit SVM_EXIT_MONITOR, EXIT_REFUSED, exit_undefined
        on_exit SVM_EXIT_MWAIT, EXIT_REFUSED, exit_undefined
        on_exit SVM_EXIT_MWAIT_COND, EXIT_REFUSED, exit_undefined
        on_exit SVM_EXIT_RDPRU, EXIT_REFUSED, exit_undefined
exits_end:

.section .data
next_rip_saved: .byte 0                 ; 1: the cpu says where the instruction behind the one that exited is
