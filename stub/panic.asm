; The end of a boot that failed: a number, a sentence, and what the description asks for afterwards.
; Shared with our own kernels.

.include "macros.inc"

.section .text

; in:  esi = number, rdi = text, rdx, rcx, r8, r9 = values
; never returns
panic:
        push rdi
        push rdx
        push rcx
        push r8
        push r9
        mov  ebx, esi
        call console_start              ; if it failed before the console was there
        lea  rdi, [rip + M_PREFIX]
        call print
        mov  edi, 'E'
        call put_char
        mov  r12d, 16                   ; four hex digits of 16 bits
.digit:
        sub  r12d, 4
        mov  eax, ebx
        mov  ecx, r12d
        shr  eax, cl
        and  eax, 15
        lea  edi, [rax + '0']           ; the numbers of errors.h use decimal digits only
        call put_char
        test r12d, r12d
        jnz  .digit
        mov  edi, ':'
        call put_char
        mov  edi, ' '
        call put_char
        pop  r8
        pop  rcx
        pop  rdx
        pop  rsi
        pop  rdi
        call print
        mov  edi, 10
        call put_char

        cmp  dword ptr [rip + on_failure], ON_FAILURE_REBOOT
        je   .reboot
        warn M_FAILED_HALT
        jmp  halt
.reboot:
        mov  esi, dword ptr [rip + reboot_seconds]
        warn M_FAILED_REBOOT
        mov  ebx, dword ptr [rip + reboot_seconds]
.second:
        test ebx, ebx
        jz   reset
        call wait_second
        dec  ebx
        jmp  .second

; Waits until the clock's second changes; a clock that stands still is given up on.
; clobbers: rax, rcx, rdx
wait_second:
        call read_second
        mov  edx, eax
        mov  ecx, CMOS_TRIES
.wait:
        call read_second
        cmp  eax, edx
        jne  .done
        dec  ecx
        jnz  .wait
.done:
        ret

; out: eax = the clock's second, BCD
read_second:
        mov  al, CMOS_SECONDS
        out  PORT_CMOS_INDEX, al
        in   al, PORT_CMOS_DATA
        movzx eax, al
        ret

; Resets the machine: by the chipset, by the keyboard controller, and at last by a triple fault.
; never returns
reset:
        mov  edx, PORT_RESET
        mov  al, RESET_HARD
        out  dx, al
        mov  ecx, CMOS_TRIES            ; some milliseconds for it to act
.wait:
        pause
        dec  ecx
        jnz  .wait
        mov  al, KEYBOARD_RESET
        out  PORT_KEYBOARD, al
        lea  rax, [rip + no_idt]
        lidt [rax]
        ud2

; never returns
halt:
        cli
        hlt
        jmp  halt

.section .data
.align 8
no_idt:         .space 10
on_failure:     .long ON_FAILURE_HALT
reboot_seconds: .long 0
