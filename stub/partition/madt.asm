; The cpus of the machine, by ACPI's MADT: ACPI 6.5, 5.2.12. Nothing outside of a table's length is read. The I/O APICs that
; it names are silenced: no domain has a device that interrupts, and what a firmware has left on would interrupt one.

.include "lib/macros.inc"

.global find_cpus, find_machine_cpu, machine_cpus, nr_machine_cpus

.section .boot

; in:  kept_rsdp
; out: machine_cpus: APIC ids of the enabled cpus in the MADT's order, each once; no interrupts of devices
; clobbers: all but rbp, rsp
; fails: E_NO_RSDP, E_NO_MADT, E_MADT, E_TOO_MANY_CPUS, E_BOOT_CPU
find_cpus:
        or   eax, -1
        out  PORT_PIC_1_MASK, al
        out  PORT_PIC_2_MASK, al
        mov  rbx, qword ptr [rip + kept_rsdp]
        mov  rdx, rbx
        test rbx, rbx
        jz   .no_rsdp
        lea  rax, [rbx + RSDP_SIZEOF]
        shr  rax, 32
        jnz  .no_rsdp
        mov  rax, RSDP_SIGNATURE
        cmp  rax, qword ptr [rbx]
        jne  .no_rsdp
        mov  rdi, rbx
        mov  ecx, RSDP_V1_LENGTH
        call sum_bytes
        jne  .no_rsdp
        mov  r14d, 4                    ; r14 = bytes of a table's address, r13 = root table: RSDT, XSDT
        mov  r13d, dword ptr [rbx + RSDP_RSDT]
        cmp  byte ptr [rbx + RSDP_REVISION], 2
        jb   .root
        cmp  qword ptr [rbx + RSDP_XSDT], 0
        je   .root
        mov  r13, qword ptr [rbx + RSDP_XSDT]
        mov  r14d, 8
.root:
        mov  rdi, r13
        call check_acpi_table
        mov  rdx, r13
        jne  .no_madt
        mov  r12d, dword ptr [r13 + ACPI_HEADER_LENGTH]
        add  r12, r13                   ; r12 = its end
        add  r13, ACPI_HEADER_SIZEOF
.table:
        lea  rax, [r13 + r14]
        cmp  rax, r12
        ja   .no_madt
        mov  edi, dword ptr [r13]
        cmp  r14d, 4
        je   .look
        mov  rdi, qword ptr [r13]
.look:
        mov  r13, rax
        lea  rax, [rdi + ACPI_HEADER_SIZEOF]
        shr  rax, 32
        jnz  .table
        cmp  dword ptr [rdi + ACPI_HEADER_SIGNATURE], MADT_SIGNATURE
        jne  .table
        mov  rbx, rdi
        call check_acpi_table
        mov  rdx, rbx
        jne  .bad
        mov  r12d, dword ptr [rbx + ACPI_HEADER_LENGTH]
        add  r12, rbx
        add  rbx, MADT_SIZEOF
        call read_madt
        jne  .bad
        mov  edi, dword ptr [rip + boot_apic_id]
        call find_machine_cpu
        mov  edx, edi
        jc   .no_boot_cpu
        ret
.no_rsdp:
        fail E_NO_RSDP
.no_madt:
        fail E_NO_MADT
.bad:
        fail E_MADT
.no_boot_cpu:
        fail E_BOOT_CPU

; in:  rbx = first entry, r12 = end of the table
; out: machine_cpus; ZF set if the entries end where the table does
; clobbers: rax, rcx, rbx, rdi
; fails: E_TOO_MANY_CPUS
read_madt:
        cmp  rbx, r12
        je   .done
        lea  rax, [rbx + MADT_LOCAL_APIC_LENGTH + 1]
        cmp  rax, r12
        ja   .done
        movzx ecx, byte ptr [rbx + MADT_LOCAL_APIC_LENGTH]
        lea  rax, [rbx + rcx]
        cmp  rax, r12
        ja   .done
        cmp  ecx, MADT_LOCAL_APIC_LENGTH + 1
        jb   .done                      ; it would go round for ever
        cmp  byte ptr [rbx + MADT_LOCAL_APIC_TYPE], MADT_LOCAL_APIC
        je   .xapic
        cmp  byte ptr [rbx + MADT_LOCAL_APIC_TYPE], MADT_IO_APIC
        je   .io_apic
        cmp  byte ptr [rbx + MADT_LOCAL_APIC_TYPE], MADT_LOCAL_X2APIC
        jne  .next
        cmp  ecx, MADT_LOCAL_X2APIC_SIZEOF
        jb   .next
        mov  edi, dword ptr [rbx + MADT_LOCAL_X2APIC_APIC_ID]
        mov  ecx, dword ptr [rbx + MADT_LOCAL_X2APIC_FLAGS]
        cmp  dword ptr [rip + x2apic], 0
        jne  .found
        cmp  edi, ICR_BROADCAST       ; without x2APIC there are 8 bits to address it by
        jb   .found
        jmp  .next
.io_apic:
        cmp  ecx, MADT_IO_APIC_SIZEOF
        jb   .next
        mov  edi, dword ptr [rbx + MADT_IO_APIC_ADDRESS]
        call mask_io_apic
        jmp  .next
.xapic:
        cmp  ecx, MADT_LOCAL_APIC_SIZEOF
        jb   .next
        movzx edi, byte ptr [rbx + MADT_LOCAL_APIC_APIC_ID]
        mov  ecx, dword ptr [rbx + MADT_LOCAL_APIC_FLAGS]
        cmp  edi, ICR_BROADCAST
        je   .next
.found:
        test ecx, MADT_ENABLED
        jz   .next
        call find_machine_cpu
        jnc  .next                      ; it is there by an entry of the other kind
        cmp  ecx, MAX_MACHINE_CPUS
        jae  .too_many
        lea  rax, [rip + machine_cpus]
        mov  dword ptr [rax + rcx * 4], edi
        inc  dword ptr [rip + nr_machine_cpus]
.next:
        movzx eax, byte ptr [rbx + MADT_LOCAL_APIC_LENGTH]
        add  rbx, rax
        jmp  read_madt
.done:
        ret                             ; ZF by the comparison that led here
.too_many:
        mov  edx, MAX_MACHINE_CPUS
        fail E_TOO_MANY_CPUS

; in:  edi = address of its registers
; clobbers: rax, rcx
mask_io_apic:
        mov  dword ptr [rdi], IOAPIC_VERSION
        mov  ecx, dword ptr [rdi + IOAPIC_WINDOW]
        shr  ecx, IOAPIC_VERSION_LAST_SHIFT
        movzx ecx, cl
.next:
        lea  eax, [rcx * 2 + IOAPIC_REDIRECTION]
        mov  dword ptr [rdi], eax
        mov  dword ptr [rdi + IOAPIC_WINDOW], IOAPIC_MASKED
        sub  ecx, 1
        jae  .next
        ret

; in:  edi = APIC id
; out: ecx = its number among machine_cpus; CF set, and their number, if it is none of them
; clobbers: rax
find_machine_cpu:
        lea  rax, [rip + machine_cpus]
        xor  ecx, ecx
.next:
        cmp  ecx, dword ptr [rip + nr_machine_cpus]
        jae  .none
        cmp  edi, dword ptr [rax + rcx * 4]
        je   .found
        inc  ecx
        jmp  .next
.found:
        clc
        ret
.none:
        stc
        ret

; in:  rdi = a table
; out: ZF set if it lies below 4 GiB, has a length that can be, and its bytes add up to 0
; clobbers: rax, rcx, rdx
check_acpi_table:
        lea  rax, [rdi + ACPI_HEADER_SIZEOF]
        shr  rax, 32
        jnz  .done
        mov  ecx, dword ptr [rdi + ACPI_HEADER_LENGTH]
        lea  eax, [rcx - ACPI_HEADER_SIZEOF]
        cmp  eax, ACPI_TABLE_LIMIT
        ja   .done
        lea  rax, [rdi + rcx]
        dec  rax
        shr  rax, 32
        jz   sum_bytes
.done:
        ret

; in:  rdi = bytes, ecx = their number, not 0
; out: ZF set if they add up to 0
; clobbers: rax, rcx, rdx
sum_bytes:
        xor  eax, eax
        xor  edx, edx
.next:
        add  al, byte ptr [rdi + rdx]
        inc  edx
        dec  ecx
        jnz  .next
        test al, al
        ret

.section .bss
.align 8
machine_cpus:           .space MAX_MACHINE_CPUS * 4     ; APIC ids
nr_machine_cpus:        .space 4
