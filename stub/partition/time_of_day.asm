; When the guests' time begins: by the time-stamp counter, and by the CMOS clock, which is taken to run in UTC and in this
; century.

.global start_clock

.section .boot

; The guests' time begins now.
; out: clock_start, clock_start_seconds
; clobbers: rax, rcx, rdx, rsi, rdi, r8, r9, r10
start_clock:
        call read_time_of_day
        mov  dword ptr [rip + clock_start_seconds], eax
        rdtsc
        mov  dword ptr [rip + clock_start], eax
        mov  dword ptr [rip + clock_start + 4], edx
        ret

; out: rax = seconds since 1970
; clobbers: rcx, rdx, rsi, rdi, r8, r9, r10
read_time_of_day:
        mov  ecx, CMOS_TRIES
.changing:
        mov  al, CMOS_STATUS_A
        call read_cmos
        test al, CMOS_CHANGES
        jz   .steady
        dec  ecx
        jnz  .changing
.steady:                                ; for at least 244 us
        mov  al, CMOS_STATUS_B
        call read_cmos
        mov  r8d, eax                   ; r8 = how the values are written
        mov  al, CMOS_YEAR
        call read_value
        lea  esi, [rax + 2000]          ; esi = year, edi = month, r9 = day, of years that begin in March
        mov  al, CMOS_MONTH
        call read_value
        mov  edi, eax
        mov  al, CMOS_DAY
        call read_value
        mov  r9d, eax
        sub  edi, 3
        jae  .days
        add  edi, 12
        dec  esi
.days:
        imul eax, edi, 153              ; every five months have 153 days
        add  eax, 2
        xor  edx, edx
        mov  ecx, 5
        div  ecx
        lea  r9, [r9 + rax - 1 - DAYS_TO_1970]
        imul eax, esi, 365
        add  r9, rax
        mov  eax, esi
        shr  eax, 2
        add  r9, rax
        mov  eax, esi
        xor  edx, edx
        mov  ecx, 100
        div  ecx
        sub  r9, rax
        shr  eax, 2
        add  r9, rax
        mov  al, CMOS_HOURS
        call read_cmos
        mov  r10d, eax
        and  eax, ~CMOS_PM & 0xff
        call convert_value
        test r8b, CMOS_24_HOURS
        jnz  .hours
        cmp  eax, 12
        jne  .half
        xor  eax, eax
.half:
        test r10b, CMOS_PM
        jz   .hours
        add  eax, 12
.hours:
        imul r9, r9, 24
        add  r9, rax
        mov  al, CMOS_MINUTES
        call read_value
        imul r9, r9, 60
        add  r9, rax
        mov  al, CMOS_SECONDS
        call read_value
        imul r9, r9, 60
        add  rax, r9
        ret

; in:  al = register of the CMOS clock
; out: eax = its byte
read_cmos:
        out  PORT_CMOS_INDEX, al
        in   al, PORT_CMOS_DATA
        movzx eax, al
        ret

; in:  al = register, r8d = CMOS_STATUS_B
; out: rax = its value
; clobbers: rdx
read_value:
        call read_cmos

; in:  eax = byte, r8d = CMOS_STATUS_B
; out: rax = its value
; clobbers: rdx
convert_value:
        test r8b, CMOS_BINARY
        jnz  .done
        mov  edx, eax
        shr  edx, 4
        and  eax, 15
        imul edx, edx, 10
        add  eax, edx
.done:
        ret
