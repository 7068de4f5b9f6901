; A cpu between its guest and the host: the loop, and all that needs SVM's own instructions. What an exit asks for is done
; by handle_exit (exits.asm). GIF is 0 from an exit to the next VMRUN, so nothing interrupts it; and interrupts are never
; allowed right before VMRUN: the shadow of an STI would go into the guest.

.global vcpu_start, take_nmi, accept_interrupts

.section .text

; The rest of this cpu's life: in the host while its vcpu is off or stopped, else in the guest.
; in:  rbp = struct vcpu
; never returns
vcpu_start:
        clgi
        lea  rsp, [rbp + VCPU_STACK_SIZE]
        call reach_own
        mov  rbx, qword ptr [rbp + VCPU_VMCB]
        mov  r12, qword ptr [rbp + VCPU_DOMAIN]
        cmp  dword ptr [rbp + VCPU_STATE], VCPU_RUNS
        je   .start
.wait:
        stgi                            ; also lets in an NMI that came meanwhile
        lea  rdi, [rbp + VCPU_REQUEST]
        call wait_for_word
        call serve_requests
        call serve_restart
        clgi
        cmp  dword ptr [rbp + VCPU_STATE], VCPU_RUNS
        jne  .wait
.start:
        call reset_cpu
        mov  rax, rbx
        vmload rax                      ; FS, GS, TR, LDTR and the MSRs that exits leave alone
        cmp  dword ptr [rbp + VCPU_REQUEST], 0          ; its NMI may have come already; from here on it waits for VMRUN
        jne  .wait
.run:
        mov  rcx, qword ptr [rbp + VCPU_RCX]
        mov  rdx, qword ptr [rbp + VCPU_RDX]
        mov  rsi, qword ptr [rbp + VCPU_RSI]
        mov  rdi, qword ptr [rbp + VCPU_RDI]
        mov  r8, qword ptr [rbp + VCPU_R8]
        mov  r9, qword ptr [rbp + VCPU_R9]
        mov  r10, qword ptr [rbp + VCPU_R10]
        mov  r11, qword ptr [rbp + VCPU_R11]
        mov  r12, qword ptr [rbp + VCPU_R12]
        mov  r13, qword ptr [rbp + VCPU_R13]
        mov  r14, qword ptr [rbp + VCPU_R14]
        mov  r15, qword ptr [rbp + VCPU_R15]
        mov  rax, rbx
        mov  rbx, qword ptr [rbp + VCPU_RBX]
        mov  rbp, qword ptr [rbp + VCPU_RBP]
        vmrun rax
        mov  qword ptr [rsp + VCPU_RBP - VCPU_STACK_SIZE], rbp  ; the exit has given RSP back, and nothing else
        lea  rbp, [rsp - VCPU_STACK_SIZE]
        mov  qword ptr [rbp + VCPU_RBX], rbx
        mov  qword ptr [rbp + VCPU_RCX], rcx
        mov  qword ptr [rbp + VCPU_RDX], rdx
        mov  qword ptr [rbp + VCPU_RSI], rsi
        mov  qword ptr [rbp + VCPU_RDI], rdi
        mov  qword ptr [rbp + VCPU_R8], r8
        mov  qword ptr [rbp + VCPU_R9], r9
        mov  qword ptr [rbp + VCPU_R10], r10
        mov  qword ptr [rbp + VCPU_R11], r11
        mov  qword ptr [rbp + VCPU_R12], r12
        mov  qword ptr [rbp + VCPU_R13], r13
        mov  qword ptr [rbp + VCPU_R14], r14
        mov  qword ptr [rbp + VCPU_R15], r15
        mov  rbx, qword ptr [rbp + VCPU_VMCB]
        mov  r12, qword ptr [rbp + VCPU_DOMAIN]
        call handle_exit
        cmp  dword ptr [rbp + VCPU_STATE], VCPU_RUNS
        je   .run
        jmp  .wait

; The NMI that made a guest exit is still to come: it goes through the host's gate.
; clobbers: none
take_nmi:
        stgi
        clgi
        ret

; Lets in all interrupts that wait for this cpu.
; clobbers: none
accept_interrupts:
        stgi
        sti
        nop                             ; the first instruction is in STI's shadow
        nop
        cli
        clgi
        ret
