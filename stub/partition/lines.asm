; What appears on the image's console once domains run: their lines with their number in front, and what is said of them.
; One lock keeps lines whole. It is waited for a bounded time: rather a mixed line than a cpu that stands still.

.include "lib/macros.inc"

.global put_text, print_end, print_locked, poll_input, give_console

.section .boot

; If the image's console is a UART that is passed to a domain, there is nobody else's from now on.
; in:  r12 = struct domain
; clobbers: rax
give_console:
        cmp  dword ptr [r12 + DOMAIN_CONSOLE_KIND], CONSOLE_PASSED
        jne  .done
        movzx eax, word ptr [rip + serial_port]
        cmp  eax, dword ptr [r12 + DOMAIN_CONSOLE_PORT]
        jne  .done
        mov  byte ptr [rip + console_sinks], 0
.done:
        ret

.section .text

; One character of a domain: into its ring and, if its console is the image's, to the line that is printed once it ends.
; in:  esi = character, r12 = struct domain
; clobbers: rax, rcx, rdx, rsi, rdi, r8 to r11
put_text:
        cmp  sil, CARRIAGE_RETURN
        je   .done
        test sil, sil
        jz   .done
        mov  rdi, qword ptr [r12 + DOMAIN_RING]
        mov  rax, qword ptr [rdi + RING_WRITTEN]
        xor  edx, edx
        mov  ecx, RING_SIZE - RING_SIZEOF
        div  rcx
        mov  byte ptr [rdi + rdx + RING_SIZEOF], sil
        inc  qword ptr [rdi + RING_WRITTEN]
        cmp  dword ptr [r12 + DOMAIN_CONSOLE_KIND], CONSOLE_VIRTUAL
        jne  .done
        mov  eax, dword ptr [r12 + DOMAIN_LINE_LENGTH]
        cmp  sil, LINE_FEED
        je   .print
        cmp  eax, LINE_ROOM             ; another cpu of the domain is about to print it
        jae  .print
        mov  byte ptr [r12 + rax + DOMAIN_LINE], sil
        inc  eax
        mov  dword ptr [r12 + DOMAIN_LINE_LENGTH], eax
        cmp  eax, LINE_ROOM
        jae  .print
.done:
        ret
.print:
        mov  dword ptr [r12 + DOMAIN_LINE_LENGTH], 0
        push r13
        push r14
        mov  r14d, eax
        call lock_console
        lea  rdi, [rip + M_PARTITION_DOMAIN]
        mov  esi, dword ptr [r12 + DOMAIN_DOMID]
        call print
        lea  r13, [r12 + DOMAIN_LINE]
        add  r14, r13
.next:
        cmp  r13, r14
        jae  .end
        movzx edi, byte ptr [r13]
        call put_char
        inc  r13
        jmp  .next
.end:
        mov  edi, LINE_FEED
        call put_char
        pop  r14
        pop  r13
        jmp  unlock_console

; Says that a domain has ended, why, and what comes of it.
; in:  r12 = struct domain, edi = REQUEST_RESTART or 0
; clobbers: rax, rcx, rdx, rsi, rdi, r8 to r11
print_end:
        push rdi
        call lock_console
        lea  rdi, [rip + M_PREFIX]
        call print
        lea  rdi, [rip + M_PARTITION_ENDED]
        mov  esi, dword ptr [r12 + DOMAIN_DOMID]
        call print
        mov  eax, dword ptr [r12 + DOMAIN_END_REASON]
        lea  rdi, [rip + end_texts]
        mov  rdi, qword ptr [rdi + rax * 8 - 8]
        mov  rsi, qword ptr [r12 + DOMAIN_END_VALUE]
        mov  rdx, qword ptr [r12 + DOMAIN_END_RIP]
        call print
        pop  rax
        lea  rdi, [rip + M_PARTITION_RESTARTED]
        mov  esi, dword ptr [r12 + DOMAIN_WINDOW_RESTARTS]
        mov  edx, dword ptr [r12 + DOMAIN_RESTART_LIMIT]
        test eax, eax
        jnz  .outcome
        lea  rdi, [rip + M_PARTITION_LIMIT]
        test dword ptr [r12 + DOMAIN_FLAGS], DOMAIN_RESTARTS
        jz   .line_feed
        cmp  dword ptr [r12 + DOMAIN_END_REASON], END_STOPPED   ; or END_RESTARTED
        jae  .line_feed
.outcome:
        call print
.line_feed:
        mov  edi, LINE_FEED
        call put_char
        jmp  unlock_console

; print_line, whole.
; in:  rdi = format, rsi, rdx, rcx, r8, r9 = values
; clobbers: rax, rcx, rdx, rsi, rdi, r8 to r11
print_locked:
        push rcx
        call lock_console
        pop  rcx
        call print_line
        jmp  unlock_console

; clobbers: rcx
lock_console:
        mov  ecx, LOCK_TRIES
.try:
        lock bts dword ptr [rip + console_lock], 0
        jnc  .done
        pause
        dec  ecx
        jnz  .try
.done:
        ret

; clobbers: none
unlock_console:
        mov  dword ptr [rip + console_lock], 0
        ret

; Takes what was typed at the image's console, for the domain that has it: the first with a virtual UART, until Ctrl-A and
; a digit give it to another. Ctrl-A twice is one. Looked at when a domain polls its UART.
; in:  r12 = struct domain that polls
; clobbers: rax, rcx, rdx, rsi, rdi, r8 to r11
poll_input:
        test byte ptr [rip + console_sinks], CONSOLE_SERIAL
        jz   .done
        lock bts dword ptr [rip + input_lock], 0
        jc   .done                      ; another cpu is at it
        call find_input_domain
        jne  .unlock
        cmp  dword ptr [rsi + DOMAIN_UART_HAS_INPUT], 0
        je   .room
        dec  dword ptr [rip + input_patience]
        jnz  .unlock                    ; it has not read the last one yet; one that never does may lose it
.room:
        mov  dword ptr [rip + input_patience], INPUT_PATIENCE
        movzx edx, word ptr [rip + serial_port]
        add  edx, UART_LSR
        in   al, dx
        cmp  al, 0xff                   ; there is no UART
        je   .unlock
        test al, UART_LSR_DATA
        jz   .unlock
        sub  edx, UART_LSR - UART_DATA
        in   al, dx
        mov  cl, byte ptr [rip + input_escaped]
        mov  byte ptr [rip + input_escaped], 0
        cmp  al, CONTROL_A
        je   .escape
        test cl, cl
        jz   .give
        sub  al, '0'
        movzx eax, al
        cmp  eax, 9
        ja   .unlock
        call choose_input_domain
        jmp  .unlock
.escape:
        xor  cl, 1
        mov  byte ptr [rip + input_escaped], cl
        jnz  .unlock
.give:
        mov  byte ptr [rsi + DOMAIN_UART_INPUT], al
        mov  dword ptr [rsi + DOMAIN_UART_HAS_INPUT], 1
.unlock:
        mov  dword ptr [rip + input_lock], 0
.done:
        ret

; out: rsi = struct domain that has the input, ZF set if there is one
; clobbers: rcx
find_input_domain:
        mov  rsi, qword ptr [rip + input_domain]
        test rsi, rsi
        jnz  .found
        mov  ecx, PARTITION_BASE
        mov  rsi, qword ptr [rcx + PARTITION_DOMAINS]
        mov  ecx, dword ptr [rcx + PARTITION_NR_DOMAINS]
.next:
        cmp  dword ptr [rsi + DOMAIN_CONSOLE_KIND], CONSOLE_VIRTUAL
        je   .first
        add  rsi, DOMAIN_SIZEOF
        dec  ecx
        jnz  .next
        test rsp, rsp                   ; clears ZF
        ret
.first:
        mov  qword ptr [rip + input_domain], rsi
.found:
        cmp  eax, eax                   ; sets ZF
        ret

; Gives the input to a domain, if it can have it.
; in:  eax = domid
; clobbers: rax, rcx, rdx, rsi, rdi, r8 to r11
choose_input_domain:
        mov  ecx, PARTITION_BASE
        mov  rsi, qword ptr [rcx + PARTITION_DOMAINS]
        mov  ecx, dword ptr [rcx + PARTITION_NR_DOMAINS]
.next:
        cmp  dword ptr [rsi + DOMAIN_DOMID], eax
        je   .found
        add  rsi, DOMAIN_SIZEOF
        dec  ecx
        jnz  .next
.done:
        ret
.found:
        cmp  dword ptr [rsi + DOMAIN_CONSOLE_KIND], CONSOLE_VIRTUAL
        jne  .done
        mov  qword ptr [rip + input_domain], rsi
        lea  rdi, [rip + M_PARTITION_INPUT]
        mov  esi, eax
        jmp  print_locked

.section .rodata
.align 8
end_texts:                              ; by END_*
        .quad L_END_SLEEP, L_END_RESET, L_END_SHUTDOWN, L_END_ACCESS, L_END_EXIT, L_END_STOPPED, L_END_RESTARTED

.section .data
.align 8
input_domain:   .quad 0                 ; struct domain, 0: none has been chosen yet
console_lock:   .long 0
input_lock:     .long 0
input_patience: .long INPUT_PATIENCE    ; looks at a domain that does not read
input_escaped:  .byte 0                 ; 1: the last one was Ctrl-A
