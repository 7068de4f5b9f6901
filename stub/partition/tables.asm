; The nested tables of a domain: the host has made every entry, but for where the machine's memory is.

.global relocate_tables

.section .boot

; Gives the entries of a domain's nested tables their machine addresses, each by its kind. What it does not know it leaves
; as it is; check_isolation refuses that.
; in:  r12 = struct domain, whose banks and shared ranges have their places
; clobbers: rax, rbx, rcx, rdx, rsi, rdi, r8
relocate_tables:
        mov  rbx, qword ptr [r12 + DOMAIN_TABLES]       ; rbx = entry, rsi = end
        mov  rsi, qword ptr [r12 + DOMAIN_NR_TABLES]
        shl  rsi, PAGE_SHIFT
        add  rsi, rbx
        mov  edi, PARTITION_BASE
        mov  r8, NESTED_MARKS << NESTED_KIND_SHIFT
.next:
        cmp  rbx, rsi
        jae  .done
        mov  rax, qword ptr [rbx]
        mov  rcx, rax
        shr  rcx, NESTED_KIND_SHIFT
        and  ecx, NESTED_MARKS
        jz   .step                      ; another table, or nothing
        mov  edx, ecx
        shr  edx, NESTED_NUMBER_SHIFT - NESTED_KIND_SHIFT
        and  ecx, (1 << (NESTED_NUMBER_SHIFT - NESTED_KIND_SHIFT)) - 1
        cmp  ecx, NESTED_KIND_BANK
        je   .bank
        cmp  ecx, NESTED_KIND_SHARED
        je   .shared
        cmp  ecx, NESTED_KIND_LAPIC
        jne  .step
        cmp  dword ptr [rip + x2apic], 0
        je   .clear_marks
        xor  eax, eax
        jmp  .write
.bank:
        cmp  edx, MAX_BANKS
        jae  .step
        imul edx, edx, BANK_SIZEOF
        add  rax, qword ptr [r12 + rdx + DOMAIN_BANKS + BANK_MACHINE]
        jmp  .clear_marks
.shared:
        cmp  edx, dword ptr [rdi + PARTITION_NR_SHARED]
        jae  .step
        imul edx, edx, SHARED_RANGE_SIZEOF
        add  rdx, qword ptr [rdi + PARTITION_SHARED]
        add  rax, qword ptr [rdx + SHARED_RANGE_MACHINE]
.clear_marks:
        mov  rcx, r8
        not  rcx
        and  rax, rcx
.write:
        mov  qword ptr [rbx], rax
.step:
        add  rbx, 8
        jmp  .next
.done:
        ret
