; What the domains can reach, found out again from ranges alone: their nested tables are walked as the cpu does it, and
; nothing is believed of what made them. AMD64 APM volume 2, 5.3 and 15.25.

.include "lib/macros.inc"

.global check_isolation

.set TOP_SHIFT, 39                      ; of a guest address: what the first table is indexed by
.set INDEX_SHIFT, 9
.set TABLE_FLAGS, PTE_PRESENT | PTE_WRITABLE | PTE_USER
.set LEAF_FLAGS, PTE_PRESENT | PTE_USER | PTE_LARGE     ; and PTE_WRITABLE
.set LAPIC_FLAGS, PTE_PRESENT | PTE_USER | PTE_WRITE_THROUGH | PTE_CACHE_DISABLE

.section .boot

; Ends the boot unless every page that a domain's cpus reach is one of its own banks, of a range that it shares, or its
; LAPIC's; all of these are reached; and no two ranges of all domains and of the resident part overlap.
; in:  build_domains has run
; clobbers: all but rsp
; fails: E_NESTED_ENTRY, E_NESTED_PAGES, E_NESTED_ROOT, E_RANGES_OVERLAP
check_isolation:
        mov  qword ptr [rip + leaves], 0
        mov  r12d, PARTITION_BASE
        mov  r15d, dword ptr [r12 + PARTITION_NR_DOMAINS]
        mov  r12, qword ptr [r12 + PARTITION_DOMAINS]
.domain:
        call domain_vcpus
.vcpu:
        call check_vcpu
        add  r13, VCPU_SIZEOF
        dec  r14d
        jnz  .vcpu
        add  r12, DOMAIN_SIZEOF
        dec  r15d
        jnz  .domain
        call list_ranges
        call check_ranges
        mov  ecx, PARTITION_BASE
        mov  esi, dword ptr [rcx + PARTITION_NR_DOMAINS]
        mov  rdx, qword ptr [rip + leaves]
        mov  ecx, dword ptr [rcx + PARTITION_NR_SHARED]
        say  M_PARTITION_ISOLATION
        ret

; All that one cpu reaches.
; in:  r12 = struct domain, r13 = struct vcpu
; clobbers: rax, rbx, rcx, rdx, rsi, rdi, rbp, r8 to r11
; fails: E_NESTED_ENTRY, E_NESTED_PAGES, E_NESTED_ROOT
check_vcpu:
        mov  rdi, qword ptr [r13 + VCPU_ROOT]
        call is_own_table
        mov  rcx, rdi
        jc   .root
        mov  r11, qword ptr [rip + leaves]
        xor  esi, esi
        mov  ecx, TOP_SHIFT
        call check_table
        mov  rcx, qword ptr [rip + leaves]
        sub  rcx, r11
        call count_pages
        cmp  rcx, r8
        jne  .pages
        ret
.root:
        fail_of E_NESTED_ROOT
.pages:
        fail_of E_NESTED_PAGES

; in:  rdi = a page; r12 = struct domain
; out: CF set unless it is one of the domain's tables
; clobbers: rax, rdx
is_own_table:
        mov  rax, rdi
        sub  rax, qword ptr [r12 + DOMAIN_TABLES]
        jb   .done
        test eax, PAGE_SIZE - 1
        jnz  .no
        shr  rax, PAGE_SHIFT
        mov  rdx, qword ptr [r12 + DOMAIN_NR_TABLES]
        dec  rdx
        cmp  rdx, rax
.done:
        ret
.no:
        stc
        ret

; in:  r12 = struct domain
; out: r8 = leaves that map its memory and its LAPIC
; clobbers: rax, rdx, r9
count_pages:
        mov  r8, qword ptr [r12 + DOMAIN_BANKS + BANK_SIZE]
        add  r8, qword ptr [r12 + DOMAIN_BANKS + BANK_SIZEOF + BANK_SIZE]
        lea  rdx, [r12 + DOMAIN_SHARES]
        mov  r9d, dword ptr [r12 + DOMAIN_NR_SHARES]
.share:
        test r9d, r9d
        jz   .shares
        call shared_range_of
        add  r8, qword ptr [rax + SHARED_RANGE_SIZE]
        add  rdx, SHARE_SIZEOF
        dec  r9d
        jmp  .share
.shares:
        shr  r8, PAGE_SHIFT_2M
        cmp  dword ptr [rip + x2apic], 0
        jne  .done
        inc  r8
.done:
        ret

; in:  rdx = struct share
; out: rax = struct shared_range
shared_range_of:
        mov  eax, dword ptr [rdx + SHARE_NUMBER]
        imul eax, eax, SHARED_RANGE_SIZEOF
        push rdx
        mov  edx, PARTITION_BASE
        add  rax, qword ptr [rdx + PARTITION_SHARED]
        pop  rdx
        ret

; A table and all below it. Depth is bounded by the shift, so whatever is in them, it ends.
; in:  rdi = table, rsi = guest address that it begins at, ecx = shift of its index; r12 = domain, r13 = vcpu
; out: leaves
; clobbers: rax, rbx, rdx, rbp, r8, r9, r10
; fails: E_NESTED_ENTRY
check_table:
        push rdi
        push rsi
        mov  r10d, PAGE_ENTRIES         ; r10 = entries that are left
.next:
        mov  rbx, qword ptr [rdi]       ; rbx = entry
        test rbx, rbx
        jz   .step
        cmp  ecx, PAGE_SHIFT
        je   .small
        cmp  ecx, PAGE_SHIFT_2M
        jne  .table
        test ebx, PTE_LARGE
        jnz  .large
.table:
        mov  rax, rbx
        and  ebx, PAGE_SIZE - 1
        sub  rax, rbx
        cmp  ebx, TABLE_FLAGS
        jne  .bad
        push rdi
        mov  rdi, rax
        call is_own_table
        jc   .bad_table
        push r10
        push rcx
        sub  ecx, INDEX_SHIFT
        call check_table
        pop  rcx
        pop  r10
        pop  rdi
        jmp  .step
.large:
        call wanted_leaf
        jc   .bad
        cmp  rbx, rax
        jne  .bad
        inc  qword ptr [rip + leaves]
        jmp  .step
.small:                                 ; of these there is one: the LAPIC's page, for this cpu alone
        mov  eax, LAPIC_ADDRESS
        cmp  rsi, rax
        jne  .bad
        or   rax, LAPIC_FLAGS
        bts  rax, PTE_NO_EXECUTE_BIT
        cmp  rbx, rax
        jne  .bad
        cmp  rdi, qword ptr [r13 + VCPU_LAPIC_ENTRY]
        jne  .bad
        call lapic_entry_is_own
        jne  .bad
        inc  qword ptr [rip + leaves]
.step:
        add  rdi, 8
        mov  eax, 1
        shl  rax, cl
        add  rsi, rax
        dec  r10d
        jnz  .next
        pop  rsi
        pop  rdi
        ret
.bad_table:
        pop  rdi
.bad:
        mov  rcx, qword ptr [rdi]
        mov  r8, rdi
        mov  r9, rsi
        fail_of E_NESTED_ENTRY

; in:  rsi = guest address, a multiple of 2 MiB; r12 = struct domain
; out: rax = the entry that maps it; CF set if the domain has nothing there
; clobbers: rdx, rbp, r8, r9
wanted_leaf:
        lea  rdx, [r12 + DOMAIN_BANKS]
        mov  r9d, MAX_BANKS
.bank:
        mov  rax, rsi
        sub  rax, qword ptr [rdx + BANK_GUEST]
        jb   .next_bank
        cmp  rax, qword ptr [rdx + BANK_SIZE]
        jb   .in_bank
.next_bank:
        add  rdx, BANK_SIZEOF
        dec  r9d
        jnz  .bank
        lea  rdx, [r12 + DOMAIN_SHARES]
        mov  r9d, dword ptr [r12 + DOMAIN_NR_SHARES]
.share:
        sub  r9d, 1
        jb   .done                      ; CF set: none
        call shared_range_of
        mov  r8, rsi
        sub  r8, qword ptr [rdx + SHARE_GUEST]
        jb   .next_share
        cmp  r8, qword ptr [rax + SHARED_RANGE_SIZE]
        jb   .in_share
.next_share:
        add  rdx, SHARE_SIZEOF
        jmp  .share
.in_bank:
        add  rax, qword ptr [rdx + BANK_MACHINE]
        or   rax, LEAF_FLAGS | PTE_WRITABLE
        ret
.in_share:
        add  r8, qword ptr [rax + SHARED_RANGE_MACHINE]
        lea  rax, [r8 + LEAF_FLAGS]
        cmp  dword ptr [rdx + SHARE_WRITABLE], 0
        je   .read_only
        add  rax, PTE_WRITABLE
.read_only:
        clc
.done:
        ret

; What one cpu's LAPIC page is replaced by must not show on another.
; in:  rdi = entry, r12 = struct domain, r13 = struct vcpu
; out: ZF set if no other cpu of the domain has the same
; clobbers: rax, rdx
lapic_entry_is_own:
        push r13
        push r14
        mov  rdx, r13
        call domain_vcpus
.next:
        cmp  r13, rdx
        je   .step
        cmp  rdi, qword ptr [r13 + VCPU_LAPIC_ENTRY]
        je   .shared
.step:
        add  r13, VCPU_SIZEOF
        dec  r14d
        jnz  .next
        jmp  .done                      ; ZF is set
.shared:
        or   eax, 1                     ; clears ZF
.done:
        pop  r14
        pop  r13
        ret

; Every range that must not meet another: first what the resident part keeps, then what domains have.
; out: ranges, nr_kept_ranges, nr_ranges
; clobbers: rax, rcx, rdx, rsi, rdi, r8
list_ranges:
        lea  rdi, [rip + ranges]
        xor  eax, eax
        mov  ecx, FIRST_MIB
        call .add
        lea  rax, [rip + __image_start]
        mov  ecx, PARTITION_BASE
        add  rcx, qword ptr [rcx + PARTITION_LENGTH]
        sub  rcx, rax
        call .add
        lea  rdx, [rip + kept_modules]
        mov  esi, dword ptr [rip + nr_kept_modules]
.module:
        sub  esi, 1
        jb   .modules
        mov  rax, qword ptr [rdx + HVM_MODLIST_ENTRY_PADDR]
        mov  rcx, qword ptr [rdx + HVM_MODLIST_ENTRY_SIZE]
        call .add
        add  rdx, HVM_MODLIST_ENTRY_SIZEOF
        jmp  .module
.modules:
        mov  qword ptr [rip + kept_ranges_end], rdi
        mov  edx, PARTITION_BASE
        mov  esi, dword ptr [rdx + PARTITION_NR_DOMAINS]
        mov  r8d, dword ptr [rdx + PARTITION_NR_SHARED]
        push qword ptr [rdx + PARTITION_SHARED]
        mov  rdx, qword ptr [rdx + PARTITION_DOMAINS]
.domain:
        mov  rax, qword ptr [rdx + DOMAIN_BANKS + BANK_MACHINE]
        mov  rcx, qword ptr [rdx + DOMAIN_BANKS + BANK_SIZE]
        call .add
        mov  rax, qword ptr [rdx + DOMAIN_BANKS + BANK_SIZEOF + BANK_MACHINE]
        mov  rcx, qword ptr [rdx + DOMAIN_BANKS + BANK_SIZEOF + BANK_SIZE]
        call .add
        add  rdx, DOMAIN_SIZEOF
        dec  esi
        jnz  .domain
        pop  rdx
.shared:
        sub  r8d, 1
        jb   .done
        mov  rax, qword ptr [rdx + SHARED_RANGE_MACHINE]
        mov  rcx, qword ptr [rdx + SHARED_RANGE_SIZE]
        call .add
        add  rdx, SHARED_RANGE_SIZEOF
        jmp  .shared
.done:
        mov  qword ptr [rip + ranges_end], rdi
        ret
; in: rax = start, rcx = bytes; out: rdi = behind it in the list
.add:
        test rcx, rcx
        jz   .nothing
        mov  qword ptr [rdi], rax
        add  rcx, rax
        mov  qword ptr [rdi + 8], rcx
        add  rdi, 16
.nothing:
        ret

; Every range of a domain, against all that stand before it in the list.
; clobbers: rax, rcx, rdx, rsi, rdi, r8, r9
; fails: E_RANGES_OVERLAP
check_ranges:
        mov  rdi, qword ptr [rip + kept_ranges_end]
.next:
        cmp  rdi, qword ptr [rip + ranges_end]
        jae  .done
        mov  rdx, qword ptr [rdi]
        mov  rcx, qword ptr [rdi + 8]
        lea  rsi, [rip + ranges]
.other:
        mov  r8, qword ptr [rsi]
        mov  r9, qword ptr [rsi + 8]
        cmp  rdx, r9
        jae  .step
        cmp  r8, rcx
        jb   .overlap
.step:
        add  rsi, 16
        cmp  rsi, rdi
        jb   .other
        add  rdi, 16
        jmp  .next
.done:
        ret
.overlap:
        fail E_RANGES_OVERLAP

.section .bss
.align 8
leaves:                 .space 8
ranges:                 .space (2 + MAX_MODULES + MAX_DOMAINS * MAX_BANKS + MAX_SHARED) * 16   ; start, end
kept_ranges_end:        .space 8
ranges_end:             .space 8
