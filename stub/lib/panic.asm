; The end of a boot that failed: a number, a sentence, and what the description asks for afterwards.
; Shared with our own kernels.

.include "macros.inc"

.global panic, end_boot, on_failure, reboot_seconds, start_second, second_passed, read_tsc, seal_record, boot_record

.section .text

; in:  si = number, rdi = text, rdx, rcx, r8, r9 = values
; never returns
panic:
        movzx esi, si
        mov  dword ptr [rip + line_error], esi
        mov  eax, esi
        shr  eax, 8
        or   al, STAGE_ERROR
        out  PORT_POST, al
        push rdi
        mov  rdi, qword ptr [rip + boot_record]
        test rdi, rdi
        jz   .noted
        mov  word ptr [rdi + LAST_BOOT_ERROR], si
        call seal_record
.noted:
        push rcx
        push rdx
        call console_start              ; if it failed before the console was there
        pop  rsi
        pop  rdx
        pop  rdi
        mov  rcx, r8
        mov  r8, r9
        call print_line
        mov  dword ptr [rip + line_error], 0
        mov  esi, dword ptr [rip + reboot_seconds]
        lea  rdi, [rip + M_FAILED_REBOOT]
        cmp  dword ptr [rip + on_failure], ON_FAILURE_REBOOT
        je   .last_line
        lea  rdi, [rip + M_FAILED_HALT]
.last_line:
        call print_line

; What the description asks for after a failure, without a word.
; never returns
end_boot:
        cmp  dword ptr [rip + on_failure], ON_FAILURE_REBOOT
        jne  halt
        mov  ebx, dword ptr [rip + reboot_seconds]
.second:
        test ebx, ebx
        jz   reset
        call wait_second
        dec  ebx
        jmp  .second

; in:  rdi = a last_boot that was changed
; out: its check sum
; clobbers: rax
seal_record:
        mov  eax, dword ptr [rdi + LAST_BOOT_BUILD - 4]
        xor  eax, dword ptr [rdi + LAST_BOOT_BUILD]
        not  eax
        mov  dword ptr [rdi + LAST_BOOT_CHECK], eax
        ret

; Waits until the clock's second changes; a clock that stands still is given up on.
; clobbers: rax, rcx, rdx
wait_second:
        call start_second
.wait:
        call second_passed
        je   .wait
        ret

; A second begins for second_passed.
; clobbers: rax, rdx
start_second:
        call read_second
        mov  dword ptr [rip + second], eax
        call read_tsc
        mov  qword ptr [rip + second_ticks], rax
        ret

; Has the clock's second changed since start_second? As many ticks of the time-stamp counter as no cpu makes in one stand
; for a second, too: the clock may stand still. Reads of the clock cannot be counted for that, since in a machine that is
; a program they take next to no time.
; out: ZF clear if so
; clobbers: rax, rdx
second_passed:
        call read_second
        cmp  eax, dword ptr [rip + second]
        jne  .done
        call read_tsc
        sub  rax, qword ptr [rip + second_ticks]
        shr  rax, STILL_TICKS_SHIFT
.done:
        ret

; out: eax = the clock's second, BCD
read_second:
        mov  al, CMOS_SECONDS
        out  PORT_CMOS_INDEX, al
        in   al, PORT_CMOS_DATA
        movzx eax, al
        ret

; out: rax = the time-stamp counter; clobbers: rdx
read_tsc:
        rdtsc
        shl  rdx, 32
        or   rax, rdx
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
boot_record:    .quad 0                 ; the last_boot of this boot; 0 while there is no place for it
on_failure:     .long ON_FAILURE_HALT
reboot_seconds: .long 0

.section .bss
.align 8
second_ticks:   .space 8                ; the time-stamp counter when the second began
second:         .space 4
