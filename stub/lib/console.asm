; The console: a 16550 UART, and the VGA text screen or a framebuffer, whichever are there. Shared with our own kernels.
; Nothing here waits for ever: a port without a UART reads 0xff, a UART that does not empty is given up.

.global console_start, console_started, print_debug, print_normal, print_line, print, put_char, hex_digits, sixth_value, line_error
.global firmware_console, framebuffer_console, serial_port, serial_divisor, log_level, console_sinks

.section .text

; Starts the console unless it runs already.
; clobbers: rax, rcx, rdx, rdi
console_start:
        cmp  byte ptr [rip + console_started], 0
        je   .start
        ret
.start:
        mov  byte ptr [rip + console_started], 1

; Finds out what there is. Settings: console_sinks, serial_port, serial_divisor.
; out: console_sinks without what is missing
; clobbers: rax, rcx, rdx, rdi
console_init:
        test byte ptr [rip + console_sinks], CONSOLE_SERIAL
        jz   .vga
        movzx ecx, word ptr [rip + serial_port]
        lea  edx, [rcx + UART_SCRATCH]  ; a UART keeps what is written to its scratch register
        mov  al, UART_SCRATCH_TEST
        out  dx, al
        in   al, dx
        cmp  al, UART_SCRATCH_TEST
        jne  .no_serial
        lea  edx, [rcx + UART_IER]
        xor  eax, eax
        out  dx, al
        lea  edx, [rcx + UART_LCR]
        mov  al, UART_LCR_DLAB | UART_LCR_8N1
        out  dx, al
        movzx edi, word ptr [rip + serial_divisor]
        lea  edx, [rcx + UART_DIVISOR_LOW]
        mov  eax, edi
        out  dx, al
        lea  edx, [rcx + UART_DIVISOR_HIGH]
        shr  eax, 8
        out  dx, al
        lea  edx, [rcx + UART_LCR]
        mov  al, UART_LCR_8N1
        out  dx, al
        lea  edx, [rcx + UART_FCR]
        mov  al, UART_FCR_ENABLE
        out  dx, al
        lea  edx, [rcx + UART_MCR]
        mov  al, UART_MCR_DTR_RTS
        out  dx, al
        jmp  .vga
.no_serial:
        and  byte ptr [rip + console_sinks], ~CONSOLE_SERIAL & 0xff
.vga:
        test byte ptr [rip + console_sinks], CONSOLE_VGA
        jz   .done
        mov  edi, VGA_TEXT
        mov  eax, VGA_BLANK
        mov  ecx, VGA_ROWS * VGA_COLUMNS
        rep stosw
        mov  dword ptr [rip + vga_cursor], 0
.done:
        ret

; Prints one character; a line feed also returns the carriage.
; in:  dil = character
; clobbers: rax, rcx, rdx, rsi, rdi
put_char:
        mov  rax, qword ptr [rip + firmware_console]
        test rax, rax
        jz   .uart
        push rdi
        call rax
        pop  rdi
.uart:
        test byte ptr [rip + console_sinks], CONSOLE_SERIAL
        jz   .vga
        mov  eax, edi
        cmp  al, 10
        jne  .serial
        mov  al, 13
        call put_serial
        mov  al, 10
.serial:
        call put_serial
.vga:
        mov  rax, qword ptr [rip + framebuffer_console]
        test rax, rax
        jz   .text
        jmp  rax
.text:
        test byte ptr [rip + console_sinks], CONSOLE_VGA
        jz   .done
        mov  ecx, dword ptr [rip + vga_cursor]
        cmp  dil, 10
        je   .line_feed
        mov  eax, edi
        mov  ah, VGA_GREY
        lea  edx, [rcx * 2 + VGA_TEXT]
        mov  word ptr [rdx], ax
        inc  ecx
        jmp  .scroll
.line_feed:
        mov  eax, ecx
        xor  edx, edx
        mov  esi, VGA_COLUMNS
        div  esi
        sub  esi, edx                   ; to the start of the next row
        add  ecx, esi
.scroll:
        cmp  ecx, VGA_ROWS * VGA_COLUMNS
        jb   .keep
        mov  esi, VGA_TEXT + VGA_COLUMNS * 2
        mov  edi, VGA_TEXT
        mov  ecx, (VGA_ROWS - 1) * VGA_COLUMNS
        rep movsw
        mov  eax, VGA_BLANK
        mov  ecx, VGA_COLUMNS
        rep stosw
        mov  ecx, (VGA_ROWS - 1) * VGA_COLUMNS
.keep:
        mov  dword ptr [rip + vga_cursor], ecx
.done:
        ret

; Sends one byte to the UART, or gives the UART up.
; in:  al = byte
; clobbers: rax, rcx, rdx
put_serial:
        mov  ah, al
        mov  ecx, UART_TRIES
        movzx edx, word ptr [rip + serial_port]
        add  edx, UART_LSR
.wait:
        in   al, dx
        test al, UART_LSR_THRE
        jnz  .send
        dec  ecx
        jnz  .wait
        and  byte ptr [rip + console_sinks], ~CONSOLE_SERIAL & 0xff
        ret
.send:
        sub  edx, UART_LSR - UART_DATA
        mov  al, ah
        out  dx, al
        ret

; Print a line if the log level lets it through. As print_line.
print_debug:
        cmp  byte ptr [rip + log_level], LOG_DEBUG
        jae  print_line
        ret
print_normal:
        cmp  byte ptr [rip + log_level], LOG_NORMAL
        jae  print_line
        ret

; Prints the prefix, a line with its values, and a line feed; with line_error as an error of that number.
; in:  rdi = format, rsi, rdx, rcx, r8, r9, sixth_value = values in their order
; clobbers: rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11
print_line:
        lea  rax, [rip + line_values]
        mov  qword ptr [rax], rdi
        mov  qword ptr [rax + 8], rsi
        mov  qword ptr [rax + 16], rdx
        mov  qword ptr [rax + 24], rcx
        mov  qword ptr [rax + 32], r8
        mov  qword ptr [rax + 40], r9
        lea  rax, [rip + .print]
        jmp  on_each_console
.print:
        lea  rdi, [rip + M_PREFIX]
        call print_string
        mov  edi, dword ptr [rip + line_error]
        test edi, edi
        jz   .text
        push rdi
        lea  rdi, [rip + error_start]
        call print_string
        pop  rdi
        mov  esi, 16
        call print_number
        lea  rdi, [rip + error_end]
        call print_string
.text:
        lea  rax, [rip + line_values]
        mov  rdi, qword ptr [rax]
        mov  rsi, qword ptr [rax + 8]
        mov  rdx, qword ptr [rax + 16]
        mov  rcx, qword ptr [rax + 24]
        mov  r8, qword ptr [rax + 32]
        mov  r9, qword ptr [rax + 40]
        call print
        mov  edi, 10
        jmp  put_char

; Calls a routine that prints, once for the firmware's console and once for all others: a firmware may show its
; own on the same serial line, and two lines are easier to read than one of double letters. Ours come first: a
; firmware that is asked when it should not may not come back.
; in:  rax = routine
; clobbers: rax, rcx and what the routine clobbers
on_each_console:
        mov  rcx, qword ptr [rip + firmware_console]
        test rcx, rcx
        jnz  .both
        jmp  rax
.both:
        push rcx
        push rax
        mov  qword ptr [rip + firmware_console], 0
        call rax
        pop  rax
        pop  rcx
        mov  qword ptr [rip + firmware_console], rcx
        movzx ecx, byte ptr [rip + console_sinks]
        push rcx
        mov  byte ptr [rip + console_sinks], 0
        call rax
        pop  rcx
        mov  byte ptr [rip + console_sinks], cl
        ret

; Prints text in which %s stands for a string (0: "-"), %u for a decimal and %x for a hex number.
; in:  rdi = format, rsi, rdx, rcx, r8, r9, sixth_value = values in their order
; clobbers: rax, rcx, rdx, rsi, rdi, r10, r11
print:
        push rbx
        push r12
        push qword ptr [rip + sixth_value]
        push r9
        push r8
        push rcx
        push rdx
        push rsi
        mov  rbx, rdi                   ; rbx = cursor, r12 = next value
        mov  r12, rsp
.next:
        movzx edi, byte ptr [rbx]
        inc  rbx
        test edi, edi
        jz   .done
        cmp  edi, '%'
        je   .value
        call put_char
        jmp  .next
.value:
        movzx eax, byte ptr [rbx]
        inc  rbx
        mov  rdi, qword ptr [r12]
        add  r12, 8
        cmp  al, 's'
        je   .string
        cmp  al, 'u'
        je   .decimal
        call print_hex
        jmp  .next
.decimal:
        call print_decimal
        jmp  .next
.string:
        call print_string
        jmp  .next
.done:
        pop  rsi
        pop  rdx
        pop  rcx
        pop  r8
        pop  r9
        pop  rax
        pop  r12
        pop  rbx
        ret

; in:  rdi = string; 0 is printed as "-"
; clobbers: rax, rcx, rdx, rsi, rdi
print_string:
        push rbx
        mov  rbx, rdi
        test rdi, rdi
        jnz  .next
        mov  edi, '-'
        call put_char
        pop  rbx
        ret
.next:
        movzx edi, byte ptr [rbx]
        inc  rbx
        test edi, edi
        jz   .done
        call put_char
        jmp  .next
.done:
        pop  rbx
        ret

; in:  rdi = number, printed in decimal
; clobbers: rax, rcx, rdx, rsi, rdi
print_decimal:
        mov  esi, 10
; in:  rdi = number, esi = base; leaves digits on the stack, highest on top
print_number:
        mov  rax, rdi
        push 0                          ; ends the digits
.divide:
        xor  edx, edx
        div  rsi
        mov  ecx, edx
        lea  rdx, [rip + hex_digits]
        movzx edx, byte ptr [rdx + rcx]
        push rdx
        test rax, rax
        jnz  .divide
.digit:
        pop  rdi
        test edi, edi
        jz   .done
        call put_char
        jmp  .digit
.done:
        ret

; in:  rdi = number, printed in hex behind 0x, without leading zeros
; clobbers: rax, rcx, rdx, rsi, rdi
print_hex:
        push rdi
        mov  edi, '0'
        call put_char
        mov  edi, 'x'
        call put_char
        pop  rdi
        mov  esi, 16
        jmp  print_number

.section .rodata
hex_digits:
        .ascii "0123456789abcdef"
error_start:    .asciz "E0"             ; the numbers of errors.h have three digits behind a zero
error_end:      .asciz ": "

.section .bss
.align 8
line_values:    .space 6 * 8            ; of the line that is being printed
sixth_value:    .space 8                ; what no register has room for
line_error:     .space 4                ; its number in errors.h; 0 for a line that is no error

.section .data
.align 8
firmware_console: .quad 0               ; routine that prints a character, as put_char; 0 for none
framebuffer_console: .quad 0            ; the same, for a screen without text mode
vga_cursor:     .long 0                 ; cell, from the top left
serial_port:    .word UART_COM1
serial_divisor: .word 1                 ; 115200 baud
console_started: .byte 0
log_level:      .byte LOG_NORMAL
console_sinks:  .byte CONSOLE_SERIAL | CONSOLE_VGA
