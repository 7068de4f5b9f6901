; A domain's virtual 16550: what is written to it goes into the domain's ring and, line by line, to the image's console.
; It is always ready; it has no interrupt, and says in its registers what an interrupt would: for a driver that polls.

.global read_uart, write_uart

.section .text

; in:  eax = register, esi = byte, r12 = struct domain
; clobbers: rax, rcx, rdx, rsi, rdi, r8 to r11
write_uart:
        test byte ptr [r12 + DOMAIN_UART_LCR], UART_LCR_DLAB
        jz   .plain
        cmp  eax, UART_DIVISOR_HIGH
        ja   .plain
        mov  byte ptr [r12 + rax + DOMAIN_UART_DIVISOR_LOW], sil
        ret
.plain:
        cmp  eax, UART_IER
        jb   .data
        je   .ier
        cmp  eax, UART_LCR
        jb   .fcr
        je   .lcr
        cmp  eax, UART_SCRATCH
        je   .scratch
        cmp  eax, UART_MCR
        jne  .done                      ; LSR and MSR are read only
        and  esi, UART_MCR_BITS
        mov  byte ptr [r12 + DOMAIN_UART_MCR], sil
        ret
.ier:
        and  esi, UART_IER_BITS
        mov  byte ptr [r12 + DOMAIN_UART_IER], sil
        ret
.fcr:
        mov  byte ptr [r12 + DOMAIN_UART_FCR], sil
        test sil, UART_FCR_CLEAR_INPUT
        jz   .done
        mov  dword ptr [r12 + DOMAIN_UART_HAS_INPUT], 0
        ret
.lcr:
        mov  byte ptr [r12 + DOMAIN_UART_LCR], sil
        ret
.scratch:
        mov  byte ptr [r12 + DOMAIN_UART_SCRATCH], sil
.done:
        ret
.data:
        test byte ptr [r12 + DOMAIN_UART_MCR], UART_MCR_LOOP
        jz   put_text
        mov  byte ptr [r12 + DOMAIN_UART_INPUT], sil
        mov  dword ptr [r12 + DOMAIN_UART_HAS_INPUT], 1
        ret
.assert DOMAIN_UART_DIVISOR_HIGH == DOMAIN_UART_DIVISOR_LOW + 1, "the divisor's bytes are numbered as its registers"

; in:  eax = register, r12 = struct domain
; out: al = byte
; clobbers: rcx, rdx, rsi, rdi, r8 to r11
read_uart:
        test byte ptr [r12 + DOMAIN_UART_LCR], UART_LCR_DLAB
        jz   .plain
        cmp  eax, UART_DIVISOR_HIGH
        ja   .plain
        mov  al, byte ptr [r12 + rax + DOMAIN_UART_DIVISOR_LOW]
        ret
.plain:
        cmp  eax, UART_IER
        jb   .data
        je   .ier
        cmp  eax, UART_LCR
        jb   .iir
        je   .lcr
        cmp  eax, UART_LSR
        jb   .mcr
        je   .lsr
        cmp  eax, UART_SCRATCH
        jne  .msr
        mov  al, byte ptr [r12 + DOMAIN_UART_SCRATCH]
        ret
.data:
        xor  eax, eax
        xchg dword ptr [r12 + DOMAIN_UART_HAS_INPUT], eax
        test eax, eax
        jz   .done
        mov  al, byte ptr [r12 + DOMAIN_UART_INPUT]
.done:
        ret
.ier:
        mov  al, byte ptr [r12 + DOMAIN_UART_IER]
        ret
.lcr:
        mov  al, byte ptr [r12 + DOMAIN_UART_LCR]
        ret
.mcr:
        mov  al, byte ptr [r12 + DOMAIN_UART_MCR]
        ret
.lsr:
        call poll_input
        mov  al, UART_LSR_THRE | UART_LSR_TEMT
        or   al, byte ptr [r12 + DOMAIN_UART_HAS_INPUT]
        ret
.assert UART_LSR_DATA == 1, "uart_has_input is the bit of LSR"
.iir:
        call poll_input
        mov  cl, byte ptr [r12 + DOMAIN_UART_IER]
        mov  al, UART_IIR_DATA
        and  cl, UART_IER_DATA | UART_IER_THRE
        test byte ptr [r12 + DOMAIN_UART_HAS_INPUT], cl
        jnz  .fifo
        mov  al, UART_IIR_THRE
        test cl, UART_IER_THRE
        jnz  .fifo
        mov  al, UART_IIR_NOTHING
.fifo:
        test byte ptr [r12 + DOMAIN_UART_FCR], UART_FCR_ON
        jz   .done
        or   al, UART_IIR_FIFO
        ret
.assert UART_IER_DATA == 1, "uart_has_input is the bit of IER"
.msr:
        mov  cl, byte ptr [r12 + DOMAIN_UART_MCR]
        mov  al, UART_MSR_CONNECTED
        test cl, UART_MCR_LOOP
        jz   .done
        mov  al, cl                     ; DTR, RTS, OUT1, OUT2 come back as DSR, CTS, RI, DCD
        and  al, UART_MCR_OUTS
        shl  al, 4
        and  cl, UART_MCR_DTR_RTS
        shl  cl, 1                      ; DTR's DSR is above RTS's CTS
        mov  dl, cl
        shr  dl, 2
        or   cl, dl
        and  cl, UART_MCR_DTR_RTS
        shl  cl, 4
        or   al, cl
        ret
