; The neighbour of the hostile kernel: fills its memory with a pattern, ticks, and says after each section of tries what is
; left of both. Its local APIC is on and takes no interrupt, so that one which comes stays there. It controls the other domain: when that stands still, it is started again.

.include "lib/macros.inc"
.include "lib/long_mode.asm"
.include "lib/descriptors.asm"
.include "lib/console.asm"
.include "lib/crc32.asm"
.include "lib/panic.asm"
.include "progress.inc"

.global start

        pvh_note start

.set PATTERN, 0x800000                  ; of memory, to PATTERN_END; the kernel lies below
.set PATTERN_END, 0x1f00000
.set CHECKED_END, 0xc00000              ; of it, to here each time; all of it is looked at from outside
.set PATTERN_FACTOR, 0x9e3779b1         ; odd, so that every number of 32 bits comes once
.set LAPIC_REGISTERS, 27
.set SPURIOUS, 0xff                     ; vector of an interrupt that is none
.set TICK, 1 << 22                      ; of the TSC
.set TICKS_FOR_GOOD, 512                ; so long a restart does not take
.set OTHER, 1                           ; number of the hostile domain: the second that is built

.section .text
.code32

; in: ebx = hvm_start_info
start:
        cli
        cld
        mov  esp, stack_end
        xor  ebp, ebp                   ; it lies where it is linked
        call check_long_mode
        call enter_long_mode
.code64
        call load_descriptors
        call console_start
        call fill_pattern
        call make_table
        call start_lapic
        mov  r15d, PROGRESS
        xor  r12d, r12d                 ; r12 = ticks, r13 = TSC of the last, r14 = TSC of the last beat
        call now
        mov  r13, rax
        mov  r14, rax
        xor  ebx, ebx                   ; rbx = the last beat
        call checksum
        lea  rdi, [rip + start_line]
        mov  esi, eax
        mov  rdx, r12
        call print
        mov  qword ptr [r15 + PROGRESS_READY], 1
.next:
        pause
        call now
        mov  rcx, rax
        sub  rcx, r13
        cmp  rcx, TICK
        jb   .beat
        mov  r13, rax
        inc  r12
        call watch_end
        call now
.beat:
        mov  rcx, qword ptr [r15 + PROGRESS_BEAT]
        cmp  rcx, rbx
        mov  rbx, rcx
        jne  .alive
        mov  rcx, rax
        sub  rcx, r14
        cmp  rcx, qword ptr [r15 + PROGRESS_PATIENCE]
        jbe  .finished
        cmp  qword ptr [r15 + PROGRESS_PATIENCE], 0     ; it has not begun, or is to be left alone
        je   .alive
        cmp  qword ptr [r15 + PROGRESS_OVER], 0
        jne  .finished
        call restart_other
        call now
.alive:
        mov  r14, rax
.finished:
        mov  rax, qword ptr [r15 + PROGRESS_FINISHED]
        cmp  rax, qword ptr [r15 + PROGRESS_WATCHED]
        je   .over
        push rax
        push rax
        call checksum
        lea  rdi, [rip + after_line]
        mov  rsi, qword ptr [rsp]
        mov  edx, eax
        mov  rcx, r12
        call print
        pop  rax
        pop  rax
        mov  qword ptr [r15 + PROGRESS_WATCHED], rax
        jmp  .next
.over:
        cmp  qword ptr [r15 + PROGRESS_OVER], 1
        jne  .next
        call checksum
        lea  rdi, [rip + over_line]
        mov  esi, eax
        mov  rdx, r12
        mov  rcx, qword ptr [r15 + PROGRESS_KICKS]
        call print
        call forget_progress
        jmp  .next

; out: rax = TSC; clobbers: rdx
now:
        rdtsc
        shl  rdx, 32
        or   rax, rdx
        ret

; What is over is said once. in: r15
forget_progress:
        mov  qword ptr [r15 + PROGRESS_OVER], 2
        ret

; A domain that is left alone, and does not come back, has reached the limit of its restarts. Said once.
; in:  r12, r15; clobbers: rax, rcx, rdx, rsi, rdi, r8 to r11
watch_end:
        cmp  qword ptr [r15 + PROGRESS_BEAT], 0
        je   .done
        cmp  qword ptr [r15 + PROGRESS_PATIENCE], 0
        jne  .done
        mov  eax, MONITOR_STATE
        call ask_monitor
        cmp  ax, DOMAIN_ENDED
        jne  .runs
        inc  dword ptr [rip + ended_ticks]
        cmp  dword ptr [rip + ended_ticks], TICKS_FOR_GOOD
        jne  .done
        call checksum
        push rax
        mov  eax, MONITOR_RESTARTS
        call ask_monitor
        movzx ecx, ax
        pop  rsi
        mov  rdx, r12
        lea  rdi, [rip + gone_line]
        jmp  print
.runs:
        mov  dword ptr [rip + ended_ticks], 0
.done:
        ret

; in:  eax = command; out: ax = its result, about the other domain; clobbers: rdx, rcx
ask_monitor:
        mov  ecx, eax
        mov  edx, PORT_MONITOR_DOMAIN
        mov  eax, OTHER
        out  dx, ax
        mov  edx, PORT_MONITOR_COMMAND
        mov  eax, ecx
        out  dx, ax
        mov  edx, PORT_MONITOR_RESULT
        in   ax, dx
        ret

; By the monitor's ports. in: r15; clobbers: rax, rcx, rdx, rsi, rdi, r8 to r11
restart_other:
        inc  qword ptr [r15 + PROGRESS_KICKS]
        lea  rdi, [rip + restart_line]
        mov  rsi, qword ptr [r15 + PROGRESS_SECTION]
        mov  rdx, qword ptr [r15 + PROGRESS_STEP]
        call print
        mov  eax, MONITOR_RESTART
        jmp  ask_monitor

; clobbers: rax, rcx, rdi
fill_pattern:
        mov  edi, PATTERN
        mov  ecx, PATTERN_FACTOR
        xor  eax, eax
.next:
        add  eax, ecx
        mov  dword ptr [rdi], eax
        add  rdi, 4
        cmp  rdi, PATTERN_END
        jb   .next
        ret

; The table of the CRC-32 of each byte. clobbers: rax, rbx, rcx, rdx, rsi, rdi, r8
make_table:
        push rbx
        xor  ebx, ebx
.next:
        mov  byte ptr [rip + one_byte], bl
        xor  eax, eax
        lea  rsi, [rip + one_byte]
        mov  ecx, 1
        call update_crc32
        lea  rdx, [rip + table]
        mov  dword ptr [rdx + rbx * 4], eax
        inc  ebx
        cmp  ebx, 256
        jb   .next
        pop  rbx
        ret

; clobbers: rax, rcx, rdx
start_lapic:
        mov  ecx, MSR_APIC_BASE
        rdmsr
        test eax, APIC_BASE_X2APIC
        jnz  .msr
        mov  eax, LAPIC_ADDRESS
        mov  dword ptr [rax + LAPIC_SVR], SVR_ENABLED | SPURIOUS
        ret
.msr:
        mov  ecx, MSR_X2APIC_SVR
        mov  eax, SVR_ENABLED | SPURIOUS
        xor  edx, edx
        wrmsr
        ret

; What the local APIC has been told, and what has come to it, into lapic_state.
; clobbers: rax, rcx, rdx, rsi, rdi
read_lapic:
        mov  ecx, MSR_APIC_BASE
        rdmsr
        mov  r8d, eax
        lea  rsi, [rip + lapic_registers]
        lea  rdi, [rip + lapic_state]
.next:
        movzx ecx, word ptr [rsi]
        test r8d, APIC_BASE_X2APIC
        jnz  .msr
        mov  eax, LAPIC_ADDRESS
        mov  eax, dword ptr [rax + rcx]
        jmp  .keep
.msr:
        shr  ecx, LAPIC_REGISTER_SHIFT
        add  ecx, MSR_X2APIC
        rdmsr
.keep:
        mov  dword ptr [rdi], eax
        add  rdi, 4
        add  rsi, 2
        lea  rax, [rip + lapic_registers_end]
        cmp  rsi, rax
        jb   .next
        ret

; out: eax = CRC-32 of the code, the constants, some of the pattern, and the local APIC's state
; clobbers: rcx, rdx, rsi, rdi, r8
checksum:
        call read_lapic
        mov  eax, -1
        lea  rsi, [rip + __start_text]
        lea  rcx, [rip + __end_rodata]
        call .add
        mov  esi, PATTERN
        mov  ecx, CHECKED_END
        call .add
        lea  rsi, [rip + lapic_state]
        lea  rcx, [rip + lapic_state_end]
        call .add
        not  eax
        ret
.add:                                   ; [rsi, rcx)
        lea  rdi, [rip + table]
.byte:
        movzx edx, byte ptr [rsi]
        xor  dl, al
        shr  eax, 8
        xor  eax, dword ptr [rdi + rdx * 4]
        inc  rsi
        cmp  rsi, rcx
        jb   .byte
        ret

.section .rodata
lapic_registers:
        .word LAPIC_ID, LAPIC_TPR, LAPIC_LDR, LAPIC_SVR, LAPIC_LVT_TIMER, LAPIC_LVT_LINT0, LAPIC_LVT_LINT1, LAPIC_LVT_ERROR
        .word LAPIC_INITIAL_COUNT, LAPIC_CURRENT_COUNT, LAPIC_DIVIDE
        .word LAPIC_ISR, LAPIC_ISR + 0x10, LAPIC_ISR + 0x20, LAPIC_ISR + 0x30, LAPIC_ISR + 0x40, LAPIC_ISR + 0x50, LAPIC_ISR + 0x60, LAPIC_ISR + 0x70
        .word LAPIC_IRR, LAPIC_IRR + 0x10, LAPIC_IRR + 0x20, LAPIC_IRR + 0x30, LAPIC_IRR + 0x40, LAPIC_IRR + 0x50, LAPIC_IRR + 0x60, LAPIC_IRR + 0x70
lapic_registers_end:
.assert lapic_registers_end - lapic_registers == LAPIC_REGISTERS * 2, "LAPIC_REGISTERS counts the list"
start_line:     .asciz "watcher: begins: crc %x, ticks %u\n"
restart_line:   .asciz "watcher: section %u stands still in step %u\n"
after_line:     .asciz "watcher: after %u: crc %x, ticks %u\n"
gone_line:      .asciz "watcher: it has ended for good: crc %x, ticks %u, %u restarts by itself\n"
over_line:      .asciz "watcher: over: crc %x, ticks %u, %u restarts from outside\n"

.section .bss
.align 16
table:          .space 256 * 4
lapic_state:    .space LAPIC_REGISTERS * 4
lapic_state_end:
ended_ticks:    .space 4                ; ticks since which the other domain has not run
one_byte:       .space 1
