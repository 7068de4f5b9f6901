; Which cpu runs what, and starting the others: AMD64 APM volume 2, 14.1 and 16.5 (INIT, SIPI, start-up code in real mode).

.include "lib/macros.inc"

.global assign_cpus, start_cpus

.set INIT_MICROSECONDS, 10000
.set SIPI_MICROSECONDS, 200
.set ANSWER_STEP, 50                    ; microseconds between two looks
.set ANSWER_LOOKS, 2000                 ; 100 ms

.section .boot

; Gives every vcpu a cpu: those that are wanted by id first, then the boot cpu to the first domain, then the others in the
; MADT's order.
; in:  machine_cpus
; out: apic_id of every vcpu
; clobbers: all but rbp, rsp
; fails: E_CPU_MISSING, E_CPU_TWICE, E_TOO_FEW_CPUS
assign_cpus:
        mov  ebx, PARTITION_BASE
        mov  r13, qword ptr [rbx + PARTITION_VCPUS]     ; r13 = vcpu, r14 = how many are left
        mov  r14d, dword ptr [rbx + PARTITION_NR_VCPUS]
.wanted:
        mov  edi, dword ptr [r13 + VCPU_WANTED_ID]
        mov  dword ptr [r13 + VCPU_APIC_ID], edi
        mov  dword ptr [r13 + VCPU_STATE], VCPU_ABSENT
        cmp  edi, ANY_CPU
        je   .any
        call find_machine_cpu
        jc   .missing
        lea  rdx, [rip + cpu_is_given]
        bts  dword ptr [rdx], ecx
        jc   .twice
.any:
        add  r13, VCPU_SIZEOF
        dec  r14d
        jnz  .wanted

        mov  r12, qword ptr [rbx + PARTITION_DOMAINS]   ; r12 = domain, r15 = how many are left
        mov  r15d, dword ptr [rbx + PARTITION_NR_DOMAINS]
        mov  edi, dword ptr [rip + boot_apic_id]
        call find_machine_cpu
        mov  esi, ecx                   ; esi = number of the next one
        lea  rdx, [rip + cpu_is_given]
        xor  eax, eax
        bt   dword ptr [rdx], ecx
        cmovc esi, eax
.domain:
        call domain_vcpus
.vcpu:
        cmp  dword ptr [r13 + VCPU_WANTED_ID], ANY_CPU
        jne  .next
        lea  rdx, [rip + cpu_is_given]
.free:
        bts  dword ptr [rdx], esi
        jnc  .give
        inc  esi
        cmp  esi, dword ptr [rip + nr_machine_cpus]
        jb   .free
        jmp  .too_few
.give:
        lea  rdx, [rip + machine_cpus]
        mov  edx, dword ptr [rdx + rsi * 4]
        mov  dword ptr [r13 + VCPU_APIC_ID], edx
        xor  esi, esi
.next:
        add  r13, VCPU_SIZEOF
        dec  r14d
        jnz  .vcpu
        add  r12, DOMAIN_SIZEOF
        dec  r15d
        jnz  .domain
        ret
.missing:
        mov  ecx, edi
        mov  r12, qword ptr [r13 + VCPU_DOMAIN]
        fail_of E_CPU_MISSING
.twice:
        mov  ecx, edi
        mov  r12, qword ptr [r13 + VCPU_DOMAIN]
        fail_of E_CPU_TWICE
.too_few:
        mov  ecx, dword ptr [r13 + VCPU_NUMBER]
        mov  r8d, dword ptr [rbx + PARTITION_NR_VCPUS]
        mov  r9d, dword ptr [rip + nr_machine_cpus]
        fail_of E_TOO_FEW_CPUS

; Takes every other cpu away from the firmware, and has those that a domain has been given wait in enter_cpu. What is not
; used waits for a SIPI that does not come.
; in:  apic_id of every vcpu
; out: state of every vcpu: VCPU_OFF
; clobbers: all but rbp, rsp
; fails: E_NO_LOW_PAGE, E_CPU_SILENT
start_cpus:
        call find_low_page
        mov  r15d, eax                  ; r15 = the page
        mov  edi, eax
        lea  rsi, [rip + trampoline]
        mov  ecx, trampoline_end - trampoline
        rep movsb
        lea  rbx, [rip + machine_cpus]
        mov  r12d, dword ptr [rip + nr_machine_cpus]
.init:
        mov  edi, dword ptr [rbx]
        cmp  edi, dword ptr [rip + boot_apic_id]
        je   .init_next
        mov  esi, DELIVERY_INIT | ICR_ASSERT
        call send_ipi
.init_next:
        add  rbx, 4
        dec  r12d
        jnz  .init
        mov  edi, INIT_MICROSECONDS
        call wait_microseconds
        call .start
        mov  edi, SIPI_MICROSECONDS
        call wait_microseconds
        call .start

        mov  r15d, ANSWER_LOOKS
.look:
        mov  ebx, PARTITION_BASE
        mov  r13, qword ptr [rbx + PARTITION_VCPUS]
        mov  r14d, dword ptr [rbx + PARTITION_NR_VCPUS]
        mov  edx, 1                     ; answers: the boot cpu's
.vcpu:
        mov  eax, dword ptr [r13 + VCPU_APIC_ID]
        cmp  eax, dword ptr [rip + boot_apic_id]
        je   .ours
        cmp  dword ptr [r13 + VCPU_STATE], VCPU_ABSENT
        je   .silent
        inc  edx
        jmp  .answered
.ours:
        push rdx
        push rbp
        mov  rbp, r13
        call enable_svm
        mov  dword ptr [r13 + VCPU_STATE], VCPU_OFF
        pop  rbp
        pop  rdx
.answered:
        add  r13, VCPU_SIZEOF
        dec  r14d
        jnz  .vcpu
        mov  esi, dword ptr [rip + nr_machine_cpus]
        say  M_PARTITION_CPUS
        ret
.silent:
        mov  edi, ANSWER_STEP
        call wait_microseconds
        dec  r15d
        jnz  .look
        mov  r12, qword ptr [r13 + VCPU_DOMAIN]
        mov  ecx, dword ptr [r13 + VCPU_NUMBER]
        mov  r8d, dword ptr [r13 + VCPU_APIC_ID]
        fail_of E_CPU_SILENT

; in: r15 = the page; clobbers: rax, rbx, rcx, rdx, rsi, rdi, r13, r14
.start:
        mov  ebx, PARTITION_BASE
        mov  r13, qword ptr [rbx + PARTITION_VCPUS]
        mov  r14d, dword ptr [rbx + PARTITION_NR_VCPUS]
        mov  ebx, r15d
        shr  ebx, PAGE_SHIFT
        or   ebx, DELIVERY_START | ICR_ASSERT
.sipi:
        mov  edi, dword ptr [r13 + VCPU_APIC_ID]
        cmp  edi, dword ptr [rip + boot_apic_id]
        je   .sipi_next
        mov  esi, ebx
        call send_ipi
.sipi_next:
        add  r13, VCPU_SIZEOF
        dec  r14d
        jnz  .sipi
        ret

; Copied to a page below 640 KiB. What it refers to is below 16 MiB, which is as far as a 16-bit lgdt reaches.
.code16
trampoline:
        cli
        mov  ax, cs
        mov  ds, ax
        lgdt [trampoline_gdt - trampoline]
        mov  eax, cr0
        or   al, CR0_PE
        mov  cr0, eax
        ljmp fword ptr [trampoline_target - trampoline]
trampoline_gdt:
        .word GDT_TSS64 + 16 - 1
        .long gdt
trampoline_target:
        .long enter_cpu32
        .word GDT_CODE32
trampoline_end:

.code32
enter_cpu32:
        mov  eax, GDT_DATA
        mov  ds, eax
        mov  es, eax
        mov  ss, eax
        mov  fs, eax
        mov  gs, eax
        mov  eax, CR4_OURS
        mov  cr4, eax
        lea  eax, [page_map]
        mov  cr3, eax
        mov  ecx, MSR_EFER
        mov  eax, EFER_LME
        xor  edx, edx
        wrmsr
        mov  eax, CR0_OURS
        mov  cr0, eax
        ljmp fword ptr [enter_cpu_target]

; A cpu finds out which one it is, and has a stack from then on. It answers by the state of its vcpu.
; in: 64-bit mode, without a stack
; never returns
.code64
enter_cpu:
        lidt [rip + idt_pointer]
        mov  eax, CPUID_FEATURES
        xor  ecx, ecx
        cmp  dword ptr [rip + x2apic], 0
        je   .ask
        mov  eax, CPUID_TOPOLOGY
.ask:
        cpuid                           ; EBX 24 to 31, EDX
        shr  ebx, LAPIC_ID_SHIFT
        cmp  dword ptr [rip + x2apic], 0
        cmovne ebx, edx
        mov  eax, PARTITION_BASE
        mov  ecx, dword ptr [rax + PARTITION_NR_VCPUS]
        mov  rbp, qword ptr [rax + PARTITION_VCPUS]
.vcpu:
        cmp  ebx, dword ptr [rbp + VCPU_APIC_ID]
        je   .found
        add  rbp, VCPU_SIZEOF
        dec  ecx
        jnz  .vcpu
.stop:
        hlt
        jmp  .stop
.found:
        lea  rsp, [rbp + VCPU_STACK_SIZE]
        call enable_apic
        call enable_svm
        mov  dword ptr [rbp + VCPU_STATE], VCPU_OFF
        lea  rdi, [rip + partition_launched]
        call wait_for_word
        jmp  vcpu_start

.section .rodata
enter_cpu_target:
        .long enter_cpu
        .word GDT_CODE64

.section .bss
.align 8
cpu_is_given:           .space MAX_MACHINE_CPUS / 8     ; bit = number among machine_cpus
