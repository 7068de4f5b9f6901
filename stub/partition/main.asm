; The resident part of the partition launcher: entered by PVH, it gives every domain its cpus and its memory, starts them
; all, and stays to handle what they may not do themselves (exits.asm). Stage by stage; each prints its line, or fails
; with its number, and until the domains' memory is filled nothing is lost.

.include "lib/macros.inc"

.global start, partition_launched

        pvh_note start

.section .boot
.code32

; in: ebx = hvm_start_info; 32-bit protected mode, flat segments, paging off; all other registers are unspecified
start:
        to_long_mode                    ; ebp = what the loader told
        call set_gates
        mov  edi, ebp
        call keep_start_info
        call find_partition
        call find_machine
        call find_cpus
        call assign_cpus
        call start_cpus
        call place_domains
        call build_domains
        call check_isolation
        call make_reach
        jmp  launch_domains

; Checks what the host made, and takes the console's settings from it.
; clobbers: rax, rbx, rcx, rdx, rsi, rdi, r8, r9
; fails: E_PARTITION_MAGIC, E_PARTITION_LENGTH, E_PARTITION_CHECKSUM, E_PARTITION_COUNT
find_partition:
        mov  ebx, PARTITION_BASE
        mov  rcx, PARTITION_MAGIC_VALUE
        mov  rdx, qword ptr [rbx + PARTITION_MAGIC]
        cmp  rdx, rcx
        jne  .magic
        mov  eax, dword ptr [rbx + PARTITION_CHECKSUM]
        push rax
        mov  dword ptr [rbx + PARTITION_CHECKSUM], 0
        mov  rsi, rbx
        mov  rcx, qword ptr [rbx + PARTITION_LENGTH]
        mov  eax, MAX_PARTITION
        cmp  rcx, rax
        ja   .length
        or   eax, -1
        call update_crc32
        not  eax
        pop  rcx
        mov  dword ptr [rbx + PARTITION_CHECKSUM], ecx
        mov  edx, eax
        cmp  edx, ecx
        jne  .checksum

        mov  al, byte ptr [rbx + PARTITION_CONSOLE]
        mov  byte ptr [rip + console_sinks], al
        mov  al, byte ptr [rbx + PARTITION_LOG]
        mov  byte ptr [rip + log_level], al
        mov  ax, word ptr [rbx + PARTITION_SERIAL_PORT]
        mov  word ptr [rip + serial_port], ax
        mov  ax, word ptr [rbx + PARTITION_SERIAL_DIVISOR]
        mov  word ptr [rip + serial_divisor], ax
        mov  eax, dword ptr [rbx + PARTITION_ON_FAILURE]
        mov  dword ptr [rip + on_failure], eax
        mov  eax, dword ptr [rbx + PARTITION_REBOOT_SECONDS]
        mov  dword ptr [rip + reboot_seconds], eax
        call console_start

        mov  edx, dword ptr [rbx + PARTITION_NR_DOMAINS]
        mov  ecx, dword ptr [rbx + PARTITION_NR_VCPUS]
        mov  r8d, MAX_DOMAINS
        mov  r9d, MAX_CPUS
        lea  eax, [rdx - 1]
        cmp  eax, r8d
        jae  .count
        lea  eax, [rcx - 1]
        cmp  eax, r9d
        jae  .count
        ret
.magic:
        mov  rcx, rdx
        mov  edx, ebx
        fail E_PARTITION_MAGIC
.length:
        mov  rdx, rcx
        mov  ecx, eax
        fail E_PARTITION_LENGTH
.checksum:
        fail E_PARTITION_CHECKSUM
.count:
        fail E_PARTITION_COUNT

; The last lines, and off: every cpu that waits goes to its guest, this one last.
; never returns
launch_domains:
        lea  rdx, [rip + __start_text]
        lea  rcx, [rip + __end_fixups]
        mov  rsi, rcx
        sub  rsi, rdx
        say  M_PARTITION_RESIDENT
        mov  esi, dword ptr [rip + built_domains]
        mov  edx, dword ptr [rip + running_vcpus]
        say  M_PARTITION_LAUNCH
        call start_clock
        mov  ebx, PARTITION_BASE
        mov  r12, qword ptr [rbx + PARTITION_DOMAINS]
        mov  ecx, dword ptr [rbx + PARTITION_NR_DOMAINS]
.domain:
        cmp  dword ptr [r12 + DOMAIN_STATE], DOMAIN_BUILT
        jne  .next_domain
        mov  dword ptr [r12 + DOMAIN_STATE], DOMAIN_RUNS
        call give_console
.next_domain:
        add  r12, DOMAIN_SIZEOF
        dec  ecx
        jnz  .domain
        mov  dword ptr [rip + partition_launched], 1
        mov  rbx, qword ptr [rbx + PARTITION_VCPUS]
        xor  r13d, r13d                 ; r13 = number of vcpu, r14 = that of this cpu
        xor  r14d, r14d
.next:
        mov  edi, dword ptr [rbx + VCPU_APIC_ID]
        cmp  edi, dword ptr [rip + boot_apic_id]
        cmove r14, rbx
        je   .step
        mov  esi, DELIVERY_NMI | ICR_ASSERT
        call send_ipi
.step:
        add  rbx, VCPU_SIZEOF
        inc  r13d
        mov  eax, PARTITION_BASE
        cmp  r13d, dword ptr [rax + PARTITION_NR_VCPUS]
        jb   .next
        mov  rbp, r14
        test r14, r14
        jnz  vcpu_start
.unused:                                ; no domain has the boot cpu
        hlt
        jmp  .unused

.section .data
partition_launched:     .long 0         ; what the other cpus wait for
