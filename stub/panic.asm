; The end of a boot that failed: a number, a sentence, and what the description asks for afterwards.
; Shared with our own kernels.

.include "macros.inc"

.section .text

; in:  esi = number, rdi = text, rdx, rcx, r8, r9 = values
; never returns
panic:
        mov  dword ptr [rip + panic_number], esi
        mov  qword ptr [rip + panic_values], rdi
        mov  qword ptr [rip + panic_values + 8], rdx
        mov  qword ptr [rip + panic_values + 16], rcx
        mov  qword ptr [rip + panic_values + 24], r8
        mov  qword ptr [rip + panic_values + 32], r9
        call console_start              ; if it failed before the console was there
        lea  rax, [rip + print_panic]
        call on_each_console

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

; in:  panic_number, panic_values
; clobbers: all but rbp, r13 to r15, rsp
print_panic:
        lea  rdi, [rip + M_PREFIX]
        call print
        mov  edi, 'E'
        call put_char
        mov  ebx, dword ptr [rip + panic_number]
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
        mov  rdi, qword ptr [rip + panic_values]
        mov  rsi, qword ptr [rip + panic_values + 8]
        mov  rdx, qword ptr [rip + panic_values + 16]
        mov  rcx, qword ptr [rip + panic_values + 24]
        mov  r8, qword ptr [rip + panic_values + 32]
        call print
        mov  edi, 10
        jmp  put_char

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

.section .bss
.align 8
panic_values:   .space 5 * 8
panic_number:   .space 4

.section .data
.align 8
no_idt:         .space 10
on_failure:     .long ON_FAILURE_HALT
reboot_seconds: .long 0
