; IN and OUT of ports that a domain does not own: nothing is there, but for its virtual UART, ports that end it, and the
; monitor's. An access is taken apart into bytes. String forms are skipped: no memory is touched for them.

.global exit_io

.section .text

exit_io:
        mov  eax, dword ptr [rbx + VMCB_EXITINFO1]
        mov  r13d, eax
        shr  r13d, IOIO_PORT_SHIFT                      ; r13 = port, r14 = bytes, r15 = value
        mov  r14d, eax
        shr  r14d, IOIO_SIZE_SHIFT
        and  r14d, IOIO_SIZE_MASK
        test al, IOIO_STRING
        jnz  string
        test al, IOIO_IN
        jnz  input
        mov  r15, qword ptr [rbx + VMCB_RAX]
.next:
        mov  edi, r13d
        movzx esi, r15b
        call write_port
        inc  r13d
        shr  r15, 8
        dec  r14d
        jnz  .next

behind:
        mov  rax, qword ptr [rbx + VMCB_EXITINFO2]
        jmp  behind_instruction

string:
        test al, IOIO_REP
        jz   behind
        mov  qword ptr [rbp + VCPU_RCX], 0
        jmp  behind

; in:  r13d = port, r14d = bytes
input:
        xor  r15d, r15d
        add  r13d, r14d                 ; from the last byte, which is the highest, to the first
        mov  r8d, r14d
.next:
        dec  r13d
        mov  edi, r13d
        push r8
        call read_port
        pop  r8
        shl  r15d, 8
        movzx eax, al
        or   r15d, eax
        dec  r8d
        jnz  .next
        cmp  r14d, 2
        jb   .byte
        je   .word
        mov  qword ptr [rbx + VMCB_RAX], r15            ; 32 bits clear the rest
        jmp  behind
.byte:
        mov  byte ptr [rbx + VMCB_RAX], r15b
        jmp  behind
.word:
        mov  word ptr [rbx + VMCB_RAX], r15w
        jmp  behind

; One byte to a port. What resets a machine ends the domain.
; in:  edi = port, esi = byte, rbp, rbx, r12
; clobbers: rax, rcx, rdx, rsi, rdi, r8 to r11
write_port:
        call own_uart
        jb   write_uart
        call own_monitor
        jb   write_monitor
        cmp  edi, PORT_SLEEP_CONTROL
        je   .sleep
        cmp  edi, PORT_DOMAIN_RESET
        je   .reset
        cmp  edi, PORT_RESET
        je   .chipset
        cmp  edi, PORT_KEYBOARD
        je   .keyboard
        ret
.sleep:
        test sil, SLEEP_CONTROL_SLP_EN
        jz   .done
        xor  edx, edx
        mov  eax, END_SLEEP
        jmp  end_domain
.reset:
        cmp  sil, DOMAIN_RESET_VALUE
        je   .end
        ret
.chipset:                               ; a byte alone is for it: more is of the PCI configuration address around it
        test dword ptr [rbx + VMCB_EXITINFO1], IOIO_SIZE_8
        jz   .done
        test sil, RESET_CPU
        jnz  .end
        ret
.keyboard:
        cmp  sil, KEYBOARD_RESET
        je   .end
.done:
        ret
.end:
        mov  edx, edi
        mov  eax, END_RESET
        jmp  end_domain

; One byte from a port.
; in:  edi = port, r12; out: al
; clobbers: rcx, rdx, rsi, rdi, r8 to r11
read_port:
        call own_uart
        jb   read_uart
        call own_monitor
        jb   read_monitor
        lea  rsi, [rip + zero_ports]
        mov  ecx, (zero_ports_end - zero_ports) / 2
.next:
        cmp  di, word ptr [rsi]
        je   .zero
        add  rsi, 2
        dec  ecx
        jnz  .next
        mov  al, 0xff
        ret
.zero:
        xor  eax, eax
        ret

; in:  edi = port, r12
; out: CF set if it is the monitor's and the domain may use that, eax = which byte of its registers then
own_monitor:
        test dword ptr [r12 + DOMAIN_FLAGS], DOMAIN_CONTROL
        jz   .none
        lea  eax, [rdi - PORT_MONITOR]
        cmp  eax, PORT_PARTITION_END - PORT_MONITOR
        ret
.none:
        clc
        ret

; in:  edi = port, r12
; out: CF set if it is of the domain's virtual UART, eax = which register then
own_uart:
        cmp  dword ptr [r12 + DOMAIN_CONSOLE_KIND], CONSOLE_VIRTUAL
        jb   .none
        mov  eax, edi
        sub  eax, dword ptr [r12 + DOMAIN_CONSOLE_PORT]
        cmp  eax, UART_PORTS
        ret
.none:
        clc
        ret
.assert CONSOLE_RING > CONSOLE_VIRTUAL, "what is not below CONSOLE_VIRTUAL is a UART of ours"

.section .rodata
.align 2
zero_ports:                             ; what waits for a bit of these to be 0 would wait for ever
        .word PORT_CMOS_DATA, PORT_PIT_2, PORT_SYSTEM_B, PORT_KEYBOARD
        .word PORT_SLEEP_CONTROL, PORT_SLEEP_STATUS, PORT_DOMAIN_RESET
zero_ports_end:
