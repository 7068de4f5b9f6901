; A sign of life where something takes long. On most machines nothing does; but a cpu may be a program that interprets
; one, a few hundred thousand instructions in a second, and memory may be uncached.

.global start_watch, show_life

.section .text

; From now on the time counts that passes without a line.
; clobbers: rax, rdx
start_watch:
        call read_tsc
        mov  qword ptr [rip + last_sign], rax
        ret

; Prints a line, if none was printed for LIFE_TICKS of the time-stamp counter.
; in:  rdi = format, rsi, rdx = values
; clobbers: rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11
show_life:
        mov  r8, rdx
        call read_tsc
        mov  rcx, rax
        sub  rcx, qword ptr [rip + last_sign]
        mov  rdx, LIFE_TICKS
        cmp  rcx, rdx
        jb   .too_early
        mov  qword ptr [rip + last_sign], rax
        mov  rdx, r8
        jmp  print_normal
.too_early:
        ret

.section .bss
.align 8
last_sign:              .space 8        ; the counter, when the last line was printed or the watch started
