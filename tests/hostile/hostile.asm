; A kernel that tries what no domain may: entered by PVH in a domain of 32 MiB. It is made of sections, each a list of
; tries; which, its command line says: `try=all`, or `try=` and names with commas between, and `short` for a sample of each.
;
; A try may raise an exception, which counts as refused; it may end the domain, or make it stand still. Then another life
; goes on with the next one.

.include "lib/macros.inc"
.include "lib/long_mode.asm"
.include "lib/descriptors.asm"
.include "lib/console.asm"
.include "lib/panic.asm"
.include "progress.inc"
.include "cpu.inc"
.include "memory.inc"
.include "ports.inc"
.include "registers.inc"
.include "apic.inc"
.include "instructions.inc"

.global start

        pvh_note start

.set USUAL, 1 << 34                     ; patience: ticks of the TSC, some seconds
.set LITTLE, 1 << 30                    ; for tries that are to make it stand still

.set SECTION_NAME, 0                    ; a record of sections
.set SECTION_ROUTINE, 8                 ; does all tries from step r12 on, each behind begin_try; r15 = PROGRESS
.set SECTION_PATIENCE, 16                ; 0: nobody is to start it again from outside
.set SECTION_SIZE, 24

.section .text
.code32

; in: ebx = hvm_start_info
start:
        to_long_mode                    ; ebp = what the loader told
        call console_start
        call start_cpu
        mov  rdi, qword ptr [rbp + HVM_START_INFO_CMDLINE_PADDR]
        call read_command_line
        mov  r15d, PROGRESS
.ready:
        pause
        cmp  qword ptr [r15 + PROGRESS_READY], 0
        je   .ready
        cmp  qword ptr [r15 + PROGRESS_TRYING], 0
        je   next_section
        inc  qword ptr [r15 + PROGRESS_ENDED]   ; the last life was ended by its last try
        inc  qword ptr [r15 + PROGRESS_STEP]

next_section:
        mov  r15d, PROGRESS
        mov  rsp, stack_end
        call this_section
        jae  over
        call is_wanted
        jne  .skip
        call restore_machine
        mov  rax, qword ptr [rbp + SECTION_PATIENCE]
        mov  qword ptr [r15 + PROGRESS_PATIENCE], rax
        inc  qword ptr [r15 + PROGRESS_BEAT]
        mov  r12, qword ptr [r15 + PROGRESS_STEP]
        cmp  qword ptr [r15 + PROGRESS_TRYING], 0
        jne  .run
        lea  rdi, [rip + begin_line]
        mov  rsi, qword ptr [rbp + SECTION_NAME]
        call print
        mov  qword ptr [r15 + PROGRESS_TRYING], 1
.run:
        call qword ptr [rbp + SECTION_ROUTINE]
        mov  r15d, PROGRESS
        mov  qword ptr [r15 + PROGRESS_TRYING], 0
        inc  qword ptr [r15 + PROGRESS_BEAT]
        mov  rax, USUAL
        mov  qword ptr [r15 + PROGRESS_PATIENCE], rax
        call restore_machine
        call this_section
        lea  rdi, [rip + end_line]
        mov  rsi, qword ptr [rbp + SECTION_NAME]
        mov  rdx, qword ptr [r15 + PROGRESS_TRIES]
        mov  rcx, qword ptr [r15 + PROGRESS_REFUSED]
        mov  r8, qword ptr [r15 + PROGRESS_ENDED]
        mov  r9, qword ptr [r15 + PROGRESS_SURVIVED]
        mov  rax, qword ptr [r15 + PROGRESS_INTERRUPTS]
        mov  qword ptr [rip + sixth_value], rax
        call print
        lea  rax, [rbx + 1]
        mov  qword ptr [r15 + PROGRESS_FINISHED], rax
.wait:                                  ; until the watcher has looked
        pause
        inc  qword ptr [r15 + PROGRESS_BEAT]
        cmp  qword ptr [r15 + PROGRESS_WATCHED], rax
        jne  .wait
.skip:
        xor  eax, eax
        mov  qword ptr [r15 + PROGRESS_STEP], rax
        mov  qword ptr [r15 + PROGRESS_TRIES], rax
        mov  qword ptr [r15 + PROGRESS_REFUSED], rax
        mov  qword ptr [r15 + PROGRESS_ENDED], rax
        mov  qword ptr [r15 + PROGRESS_SURVIVED], rax
        mov  qword ptr [r15 + PROGRESS_INTERRUPTS], rax
        inc  qword ptr [r15 + PROGRESS_SECTION]
        jmp  next_section

over:
        lea  rdi, [rip + over_line]
        call print
        mov  qword ptr [r15 + PROGRESS_OVER], 1
.halt:
        cli
        hlt
        jmp  .halt

; out: ebx = number of the section, rbp = its record; CF set if there is one
; clobbers: rax
this_section:
        mov  ebx, dword ptr [r15 + PROGRESS_SECTION]
        imul eax, ebx, SECTION_SIZE
        lea  rbp, [rip + sections]
        add  rbp, rax
        cmp  ebx, (sections_end - sections) / SECTION_SIZE
        ret

; All that is in a table of routines, ended by 0, a try each.
; in:  rbp = table, r12 = step, r15
run_table:
        cmp  qword ptr [rbp + r12 * 8], 0
        je   .done
        call begin_try
        jne  .step
        call qword ptr [rbp + r12 * 8]
.step:
        call restore_machine
        inc  r12
        jmp  run_table
.done:
        ret

; in:  rdi = command line; out: short_form, wanted
; clobbers: rax, rcx, rdx, rsi, rdi
read_command_line:
        push rdi
        lea  rsi, [rip + short_word]
        call find_text
        test rax, rax
        setne byte ptr [rip + short_form]
        pop  rdi
        lea  rsi, [rip + try_word]
        call find_text
        test rax, rax
        jnz  .wanted
        lea  rax, [rip + all_word]
.wanted:
        mov  qword ptr [rip + wanted], rax
        ret

; in:  rdi = text, rsi = what to look for; out: rax = what stands behind it, 0 for not found
; clobbers: rcx, rdx, rdi
find_text:
        xor  ecx, ecx
.character:
        mov  al, byte ptr [rsi + rcx]
        test al, al
        jz   .found
        cmp  al, byte ptr [rdi + rcx]
        lea  rcx, [rcx + 1]
        je   .character
        inc  rdi
        cmp  byte ptr [rdi - 1], 0
        jne  find_text
        xor  eax, eax
        ret
.found:
        lea  rax, [rdi + rcx]
        ret

; in:  rbp = section; out: ZF set if the command line asks for it, by its name or by `all`
; clobbers: rax, rcx, rdx, rsi
is_wanted:
        mov  rdx, qword ptr [rip + wanted]
.word:
        lea  rcx, [rip + sections_of_all]
        cmp  rbp, rcx
        jae  .name
        lea  rsi, [rip + all_word]
        call .compare
        je   .done
.name:
        mov  rsi, qword ptr [rbp + SECTION_NAME]
        call .compare
        je   .done
.next:                                  ; the word behind the next comma
        movzx eax, byte ptr [rdx]
        inc  rdx
        cmp  al, ','
        je   .word
        test al, ~' ' & 0xff
        jnz  .next
        test rsp, rsp                   ; clears ZF
.done:
        ret
.compare:                               ; whether the word at rdx is the string at rsi
        xor  ecx, ecx
.character:
        mov  al, byte ptr [rsi + rcx]
        test al, al
        jz   .end
        cmp  al, byte ptr [rdx + rcx]
        lea  rcx, [rcx + 1]
        je   .character
        ret
.end:
        cmp  byte ptr [rdx + rcx], ','
        je   .done
        test byte ptr [rdx + rcx], ~' ' & 0xff          ; a space, or the string's end
        ret

.section .rodata
.align 8
sections:
        .quad name_off, memory_off, LITTLE
        .quad name_large, memory_large, LITTLE
        .quad name_pae, memory_pae, LITTLE
        .quad name_tables, memory_tables, LITTLE
        .quad name_ports, ports, USUAL
        .quad name_values, port_values, USUAL
        .quad name_monitor, monitor_ports, USUAL
        .quad name_msrs, msrs, USUAL
        .quad name_clock, clock, USUAL
        .quad name_registers, control_registers, LITTLE
        .quad name_base, apic_base, USUAL
        .quad name_icr, icr, LITTLE
        .quad name_lvt, lvt, LITTLE
        .quad name_forms, lapic_forms, LITTLE
        .quad name_kernel, kernel_instructions, LITTLE
        .quad name_user, user_instructions, LITTLE
        .quad name_vectors, vectors, LITTLE
        .quad name_tasks, tasks, LITTLE
        .quad name_still, standing_still, LITTLE
        .quad name_storms, storms, USUAL
        .quad name_flood, flood, USUAL
sections_of_all:                        ; those behind it are asked for by name alone
        .quad name_frame, debug_frame, LITTLE
        .quad name_reset, reset_storm, 0
sections_end:
name_off:       .asciz "memory-off"
name_large:     .asciz "memory-large"
name_pae:       .asciz "memory-pae"
name_tables:    .asciz "memory-tables"
name_ports:     .asciz "ports"
name_values:    .asciz "port-values"
name_monitor:   .asciz "monitor"
name_msrs:      .asciz "msrs"
name_clock:     .asciz "clock"
name_registers: .asciz "registers"
name_base:      .asciz "apic-base"
name_icr:       .asciz "icr"
name_lvt:       .asciz "lvt"
name_forms:     .asciz "lapic-forms"
name_kernel:    .asciz "kernel-instructions"
name_user:      .asciz "user-instructions"
name_vectors:   .asciz "vectors"
name_tasks:     .asciz "tasks"
name_still:     .asciz "standing-still"
name_storms:    .asciz "storms"
name_flood:     .asciz "flood"
name_frame:     .asciz "debug-frame"
name_reset:     .asciz "reset-storm"
begin_line:     .asciz "hostile: %s: begin\n"
end_line:       .asciz "hostile: %s: %u tries, %u refused, %u ended, %u survived, %u interrupts\n"
over_line:      .asciz "hostile: over\n"
try_word:       .asciz "try="
all_word:       .asciz "all"
short_word:     .asciz "short"

.section .bss
.align 8
wanted:         .space 8                ; word of the command line
short_form:     .space 1
