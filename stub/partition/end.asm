; The end of a domain, by itself or from outside, and its restart. Whoever ends it says so and asks all its cpus to stop;
; the first of them, once all are in the host, loads its memory again if it is to.

.include "lib/macros.inc"

.global end_domain, restart_domain, serve_restart

.section .text

; Ends a domain that runs.
; in:  eax = END_*, rdx = value, r12 = struct domain; rbp, rbx = this cpu's struct vcpu and VMCB, of whatever domain
; out: ZF set if it ran
; clobbers: rax, rcx, rdx, rsi, rdi, r8 to r11
end_domain:
        mov  ecx, eax
        mov  eax, DOMAIN_RUNS
        mov  edi, DOMAIN_ENDS
        lock cmpxchg dword ptr [r12 + DOMAIN_STATE], edi
        je   .end
        ret                             ; another cpu was first, and asks this one to stop
.end:
        mov  dword ptr [r12 + DOMAIN_END_REASON], ecx
        mov  qword ptr [r12 + DOMAIN_END_VALUE], rdx
        mov  rax, qword ptr [rbx + VMCB_RIP]
        mov  qword ptr [r12 + DOMAIN_END_RIP], rax
        push r13
        push r14
        push r15
        call may_restart
        mov  r13d, eax                  ; r13 = REQUEST_RESTART or 0
        call first_vcpu
        mov  r14d, dword ptr [r12 + DOMAIN_NR_VCPUS]
        mov  r15, rsi
.next:
        mov  eax, REQUEST_STOP
        call request
        add  rsi, VCPU_SIZEOF
        dec  r14d
        jnz  .next
        mov  dword ptr [r12 + DOMAIN_STATE], DOMAIN_ENDED
        mov  edi, r13d
        call print_end
        mov  rsi, r15
        mov  eax, r13d
        test eax, eax
        jz   .done
        call request
.done:
        pop  r15
        pop  r14
        pop  r13
        cmp  eax, eax                   ; sets ZF
        ret

; Whether a domain that has ended starts again: if its description says so, and not too often. Counts it.
; in:  r12 = struct domain
; out: eax = REQUEST_RESTART, or 0
; clobbers: rcx, rdx
may_restart:
        test dword ptr [r12 + DOMAIN_FLAGS], DOMAIN_RESTARTS
        jz   .no
        cmp  dword ptr [r12 + DOMAIN_END_REASON], END_STOPPED   ; or END_RESTARTED, which is not counted
        jae  .no
        rdtsc
        shl  rdx, 32
        or   rdx, rax
        imul rcx, qword ptr [rip + tsc_khz], RESTART_WINDOW_MS
        mov  rax, rdx
        sub  rax, qword ptr [r12 + DOMAIN_WINDOW_START]
        cmp  rax, rcx
        jb   .count
        mov  qword ptr [r12 + DOMAIN_WINDOW_START], rdx
        mov  dword ptr [r12 + DOMAIN_WINDOW_RESTARTS], 0
.count:
        mov  eax, dword ptr [r12 + DOMAIN_WINDOW_RESTARTS]
        cmp  eax, dword ptr [r12 + DOMAIN_RESTART_LIMIT]
        jae  .no
        inc  dword ptr [r12 + DOMAIN_WINDOW_RESTARTS]
        mov  eax, REQUEST_RESTART
        ret
.no:
        xor  eax, eax
        ret

; From outside: a domain that runs is ended first.
; in:  r12 = struct domain; rbp, rbx
; out: ZF set if it will start
; clobbers: rax, rcx, rdx, rsi, rdi, r8 to r11
restart_domain:
        xor  edx, edx
        mov  eax, END_RESTARTED
        call end_domain
        cmp  dword ptr [r12 + DOMAIN_STATE], DOMAIN_ENDED
        jne  .done
        call first_vcpu
        mov  eax, REQUEST_RESTART
        call request
        cmp  eax, eax                   ; sets ZF
.done:
        ret

; Starts this cpu's domain again, if that is asked for. In the host, where NMIs may come.
; in:  rbp = struct vcpu, the domain's first; rbx = its VMCB, r12 = struct domain
; clobbers: all but rbp, rbx, r12, rsp
serve_restart:
        test byte ptr [rbp + VCPU_REQUEST], REQUEST_RESTART
        jz   .done
        cmp  dword ptr [r12 + DOMAIN_STATE], DOMAIN_ENDED
        jne  .served
        call wait_for_vcpus
        jne  .stuck
        call reach_all
        call load_domain
        call reach_own
        test rax, rax
        jnz  .not_loaded
        inc  dword ptr [r12 + DOMAIN_RESTARTS_OFFSET]
        mov  dword ptr [r12 + DOMAIN_LINE_LENGTH], eax
        lea  rdi, [r12 + DOMAIN_UART_IER]
        mov  ecx, DOMAIN_LINE_LENGTH - DOMAIN_UART_IER
        rep stosb
        push rbx
        call prepare_vcpus
        pop  rbx
        mov  dword ptr [r12 + DOMAIN_STATE], DOMAIN_RUNS
.served:
        lock and dword ptr [rbp + VCPU_REQUEST], ~REQUEST_RESTART
.done:
        ret
.stuck:
        lea  rdi, [rip + M_PARTITION_STUCK]
        jmp  .failed
.not_loaded:
        lea  rdi, [rip + M_PARTITION_NOT_LOADED]
.failed:
        mov  dword ptr [r12 + DOMAIN_STATE], DOMAIN_FAILED
        mov  esi, dword ptr [r12 + DOMAIN_DOMID]
        call print_locked
        jmp  .served

; Waits a bounded time until no other cpu of a domain is in its guest, or on its way from there.
; in:  rbp = struct vcpu, r12 = its struct domain
; out: ZF set if so
; clobbers: rax, rcx, rdx, rsi
wait_for_vcpus:
        mov  ecx, STOP_TRIES
.again:
        call first_vcpu
        mov  edx, dword ptr [r12 + DOMAIN_NR_VCPUS]
.next:
        cmp  rsi, rbp
        je   .step
        cmp  dword ptr [rsi + VCPU_STATE], VCPU_ABSENT
        je   .step
        cmp  dword ptr [rsi + VCPU_STATE], VCPU_RUNS
        je   .runs
        cmp  dword ptr [rsi + VCPU_REQUEST], 0
        jne  .runs
.step:
        add  rsi, VCPU_SIZEOF
        dec  edx
        jnz  .next
        ret
.runs:
        pause
        dec  ecx
        jnz  .again
        test rsp, rsp                   ; clears ZF
        ret
