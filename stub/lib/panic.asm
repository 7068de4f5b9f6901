; The end of a boot that failed: a number, a sentence, and what the description asks for afterwards.
; Shared with our own kernels.

.include "macros.inc"

.global panic, end_boot, on_failure, reboot_seconds, seal_record, boot_record

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
boot_record:    .quad 0                 ; the last_boot of this boot; 0 while there is no place for it
on_failure:     .long ON_FAILURE_HALT
reboot_seconds: .long 0
