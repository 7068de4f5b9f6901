; The rate of the time-stamp counter: as CPUID says it, else measured against the PIT's second channel. And what a guest
; multiplies by to make nanoseconds of it.

.include "lib/macros.inc"

.global measure_tsc, wait_microseconds, tsc_khz, clock_multiplier, clock_shift

.set RUN_COUNTS, 11932                  ; 10 ms
.set READS, 1 << 16                     ; of the PIT that find the same count, at most: a read takes 0.1 us to 5 us
.set RUNS, 5                            ; at most, that are not dropped
.set TRIES, 12                          ; at most, with those
.set AGREE_SHIFT, 13                    ; two runs that differ by less than 1 in 2 to the power of this agree
.set SURE_PART, 50000                   ; of a second: 20 us between the two readings around one of the PIT's

.section .boot

; out: tsc_khz, clock_multiplier, clock_shift
; clobbers: all but rbp, rsp
; fails: E_NO_TSC_RATE
measure_tsc:
        call ask_tsc_rate
        test rax, rax
        jnz  .known
        call time_tsc
        test rax, rax
        jz   .unknown
.known:
        mov  rbx, rax                   ; rbx = Hz
        xor  edx, edx
        mov  ecx, 1000
        div  rcx
        mov  qword ptr [rip + tsc_khz], rax
; in:  rbx = Hz, not 0
; out: clock_multiplier, clock_shift: ns = (ticks << shift) * multiplier >> 32, of a shift below 0 to the right
.scale:
        mov  eax, NANOSECONDS
        lea  rcx, [rax * 2]
        xor  edx, edx                   ; dl = shift
.down:
        cmp  rbx, rcx
        jbe  .up
        shr  rbx, 1
        dec  edx
        jmp  .down
.up:
        cmp  rbx, rax
        ja   .divide                    ; NANOSECONDS < rbx <= twice that
        shl  rbx, 1
        inc  edx
        jmp  .up
.divide:
        mov  dword ptr [rip + clock_shift], edx
        xor  edx, edx
        shl  rax, 32
        div  rbx
        mov  dword ptr [rip + clock_multiplier], eax
        ret
.unknown:
        fail E_NO_TSC_RATE

; out: rax = Hz as CPUID says, 0 if it does not
; clobbers: rbx, rcx, rdx, rsi
ask_tsc_rate:
        xor  eax, eax
        cpuid
        cmp  eax, CPUID_TSC
        jb   .hypervisor
        mov  eax, CPUID_TSC             ; EBX / EAX of a crystal of ECX Hz
        xor  ecx, ecx
        cpuid
        test eax, eax
        jz   .hypervisor
        mov  esi, eax
        mov  eax, ecx
        imul rax, rbx
        xor  edx, edx
        div  rsi
        test rax, rax
        jnz  .done
.hypervisor:
        mov  eax, CPUID_FEATURES
        cpuid
        xor  eax, eax
        test ecx, CPUID_FEATURES_ECX_HYPERVISOR
        jz   .done
        mov  eax, CPUID_HYPERVISOR
        cpuid
        mov  ecx, eax
        xor  eax, eax
        cmp  ecx, CPUID_HYPERVISOR_TSC  ; VMware's, QEMU's with KVM: kHz
        jb   .done
        cmp  ecx, CPUID_HYPERVISOR_LAST
        ja   .done
        mov  eax, CPUID_HYPERVISOR_TSC
        cpuid
        imul rax, rax, 1000
.done:
        ret

; The least of a few measured rates: what disturbs makes the counter seem faster. A run whose readings of the PIT took
; long is dropped, unless all are.
; out: rax = Hz, 0 if there is no PIT
; clobbers: rbx, rcx, rdx, rsi, rdi, r8 to r15
time_tsc:
        or   r12, -1                    ; r12 = the least of the sure runs, r13 = of all
        or   r13, -1
        xor  r14d, r14d                 ; r14 = sure runs, r15 = tries
        xor  r15d, r15d
.run:
        inc  r15d
        call time_run
        test rax, rax
        jz   .failed
        cmp  rax, r13
        cmovb r13, rax
        imul rdx, rdx, SURE_PART
        cmp  rdx, rax
        ja   .next
        mov  rdx, r12
        sub  rdx, rax
        mov  rcx, rdx
        sar  rcx, 63
        xor  rdx, rcx                   ; how much they differ
        cmp  rax, r12
        cmovb r12, rax
        shr  rax, AGREE_SHIFT
        cmp  rdx, rax
        jb   .done
        inc  r14d
        cmp  r14d, RUNS
        jae  .done
        jmp  .next
.failed:
        add  r15d, TRIES / 2            ; twice, and there is none
.next:
        cmp  r15d, TRIES
        jb   .run
.done:
        mov  rax, r12
        cmp  rax, -1
        cmove rax, r13
        inc  rax                        ; -1: not one
        jz   .none
        dec  rax
.none:
        ret

; out: rax = Hz by one run, 0 if the PIT does not count; rdx = ticks between the two readings around the PIT's, the
;      longer of both times
; clobbers: rbx, rcx, rsi, rdi, r8 to r11
time_run:
        in   al, PORT_SYSTEM_B
        and  al, ~SYSTEM_B_SPEAKER & 0xff
        or   al, SYSTEM_B_GATE
        out  PORT_SYSTEM_B, al
        mov  al, PIT_MODE_0
        out  PORT_PIT_COMMAND, al
        mov  al, 0xff                   ; from 0xffff down
        out  PORT_PIT_2, al
        out  PORT_PIT_2, al
        call read_pit                   ; it takes its first count with the next pulse
        call read_pit
        mov  ebx, edx
        mov  r8, rsi
        mov  r9, rdi
.moved:
        mov  r10d, edx
        mov  ecx, READS
.count:
        dec  ecx
        jz   .none
        call read_pit
        mov  eax, ebx
        sub  eax, edx
        jb   .none                      ; it was read wrong, or went round
        cmp  eax, RUN_COUNTS
        jae  .counted
        cmp  edx, r10d
        je   .count
        jmp  .moved
.counted:
        mov  ecx, eax                   ; ecx = counts, rsi = ticks, from the middle of readings to the middle
        sub  rsi, r8
        mov  rax, rsi
        mov  edx, PIT_HZ
        mul  rdx
        div  rcx
        mov  rdx, r9
        cmp  rdi, r9
        cmova rdx, rdi
        ret
.none:
        xor  eax, eax
        ret

; out: edx = the second channel's count, rsi = the time-stamp counter then, rdi = how unsure that is
; clobbers: rax
read_pit:
        rdtsc
        mov  esi, eax
        shl  rdx, 32
        or   rsi, rdx
        mov  al, PIT_LATCH_2
        out  PORT_PIT_COMMAND, al
        rdtsc
        shl  rdx, 32
        or   rdx, rax
        sub  rdx, rsi
        mov  rdi, rdx
        shr  rdx, 1
        add  rsi, rdx
        in   al, PORT_PIT_2
        movzx edx, al
        in   al, PORT_PIT_2
        mov  dh, al
        ret

.section .text

; Waits by the time-stamp counter.
; in:  edi = microseconds, below 2^20
; clobbers: rax, rcx, rdx
wait_microseconds:
        mov  eax, edi
        imul rax, qword ptr [rip + tsc_khz]
        xor  edx, edx
        mov  ecx, 1000
        div  rcx
        mov  rcx, rax
        rdtsc
        shl  rdx, 32
        or   rax, rdx
        add  rcx, rax
.wait:
        pause
        rdtsc
        shl  rdx, 32
        or   rax, rdx
        cmp  rax, rcx
        jb   .wait
        ret

.section .bss
.align 8
tsc_khz:                .space 8
clock_multiplier:       .space 4
clock_shift:            .space 4        ; signed
