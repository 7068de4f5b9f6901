; The machine's memory: what the loader handed over is copied, since it may lie where a domain's memory is going to be;
; then every domain's banks and every shared range get their places.

.include "lib/macros.inc"

.global keep_start_info, kept_rsdp, kept_modules, nr_kept_modules, find_low_page, place_domains, find_bank_room

; A wish: bytes, where the answer goes, name of who has it.
.set WISH_SIZE, 24
.set MAX_TAKEN, 2 + MAX_MODULES + MAX_DOMAINS * MAX_BANKS + MAX_SHARED

.section .boot

; in:  edi = hvm_start_info
; out: kept_rsdp, kept_modules, memory_map
; clobbers: all but rbp, rsp
; fails: E_LOADER, E_NO_MEMORY_MAP, E_TOO_MANY_RANGES, E_TOO_MANY_MODULES
keep_start_info:
        mov  ebx, edi
        mov  edx, dword ptr [rbx + HVM_START_INFO_MAGIC]
        cmp  edx, XEN_HVM_START_MAGIC_VALUE
        jne  .loader
        mov  rax, qword ptr [rbx + HVM_START_INFO_RSDP_PADDR]
        mov  qword ptr [rip + kept_rsdp], rax

        mov  edx, MAX_MODULES
        mov  ecx, dword ptr [rbx + HVM_START_INFO_NR_MODULES]
        mov  dword ptr [rip + nr_kept_modules], ecx
        cmp  ecx, edx
        ja   .modules
        imul ecx, ecx, HVM_MODLIST_ENTRY_SIZEOF
        mov  rsi, qword ptr [rbx + HVM_START_INFO_MODLIST_PADDR]
        lea  rdi, [rip + kept_modules]
        rep movsb

        mov  edx, MAX_RANGES
        mov  ecx, dword ptr [rbx + HVM_START_INFO_MEMMAP_ENTRIES]
        cmp  dword ptr [rbx + HVM_START_INFO_VERSION], 1
        jb   .no_map
        test ecx, ecx
        jz   .no_map
        cmp  ecx, edx
        ja   .ranges
        imul ecx, ecx, HVM_MEMMAP_TABLE_ENTRY_SIZEOF
        mov  rsi, qword ptr [rbx + HVM_START_INFO_MEMMAP_PADDR]
        lea  rdi, [rip + memory_map]
        mov  eax, ecx
        add  rax, rdi
        mov  qword ptr [rip + memory_map_end], rax
        rep movsb
        ret
.loader:
        fail E_LOADER
.modules:
        fail E_TOO_MANY_MODULES
.no_map:
        lea  rdx, [rip + pvh_word]
        fail E_NO_MEMORY_MAP
.ranges:
        fail E_TOO_MANY_RANGES

; Lists what no domain gets: the first MiB, the resident part with its data, and the modules, from which a domain may
; be loaded again.
; out: taken
; clobbers: rax, rcx, rdx, rsi, rdi, r8
; fails: E_PARTITION_MODULE
take_what_stays:
        lea  rax, [rip + taken]
        mov  qword ptr [rip + taken_end], rax
        xor  edi, edi
        mov  esi, FIRST_MIB
        call take
        lea  rdi, [rip + __image_start]
        mov  esi, PARTITION_BASE
        add  rsi, qword ptr [rsi + PARTITION_LENGTH]
        call take
        lea  r8, [rip + kept_modules]
        mov  ecx, dword ptr [rip + nr_kept_modules]
.module:
        test ecx, ecx
        jz   .done
        mov  rdi, qword ptr [r8 + HVM_MODLIST_ENTRY_PADDR]
        mov  rsi, qword ptr [r8 + HVM_MODLIST_ENTRY_SIZE]
        add  rsi, rdi
        jc   .beyond
        lea  rax, [rsi - 1]
        shr  rax, 32
        jz   .take
        cmp  rsi, rdi
        jne  .beyond                    ; not mapped
.take:
        call take
        add  r8, HVM_MODLIST_ENTRY_SIZEOF
        dec  ecx
        jmp  .module
.done:
        ret
.beyond:
        mov  edx, dword ptr [rip + nr_kept_modules]
        sub  edx, ecx
        mov  rcx, rdi
        mov  r8, rsi
        fail E_PARTITION_MODULE

; in:  rdi = start, rsi = end
; out: one more in `taken`, unless it is empty
; clobbers: rax
take:
        cmp  rdi, rsi
        je   .done
        mov  rax, qword ptr [rip + taken_end]
        mov  qword ptr [rax], rdi
        mov  qword ptr [rax + 8], rsi
        add  qword ptr [rip + taken_end], 16
.done:
        ret

; Gives every bank and every shared range its place, the largest first, as low as it fits: first all first banks, which
; lie below 4 GiB, since they are filled from here; then the shared ranges, which are cleared; then what is left.
; out: bank.machine, shared_range.machine
; clobbers: all but rbp, rsp
; fails: E_NO_BANK, E_PARTITION_MODULE
place_domains:
        call take_what_stays
        lea  r15, [rip + domain_word]
        mov  r14d, 1
        shl  r14, 32                    ; r14 = limit
        mov  ecx, DOMAIN_BANKS
        call .banks
        mov  ebx, PARTITION_BASE
        mov  ecx, dword ptr [rbx + PARTITION_NR_SHARED]
        mov  rdx, qword ptr [rbx + PARTITION_SHARED]
        lea  rdi, [rip + wishes]
.shared:
        test ecx, ecx
        jz   .shared_listed
        mov  rax, qword ptr [rdx + SHARED_RANGE_SIZE]
        mov  qword ptr [rdi], rax
        lea  rax, [rdx + SHARED_RANGE_MACHINE]
        mov  qword ptr [rdi + 8], rax
        mov  rax, qword ptr [rdx + SHARED_RANGE_NAME]
        mov  qword ptr [rdi + 16], rax
        add  rdi, WISH_SIZE
        add  rdx, SHARED_RANGE_SIZEOF
        dec  ecx
        jmp  .shared
.shared_listed:
        lea  r15, [rip + shared_word]
        call grant_wishes
        call clear_shared
        lea  r15, [rip + domain_word]
        or   r14, -1
        mov  ecx, DOMAIN_BANKS + BANK_SIZEOF
; in: ecx = offset of the bank in struct domain
.banks:
        mov  ebx, PARTITION_BASE
        mov  r12, qword ptr [rbx + PARTITION_DOMAINS]
        mov  ebx, dword ptr [rbx + PARTITION_NR_DOMAINS]
        lea  rdi, [rip + wishes]
.bank:
        lea  rdx, [r12 + rcx]
        mov  rax, qword ptr [rdx + BANK_SIZE]
        mov  qword ptr [rdi], rax
        lea  rax, [rdx + BANK_MACHINE]
        mov  qword ptr [rdi + 8], rax
        mov  rax, qword ptr [r12 + DOMAIN_NAME]
        mov  qword ptr [rdi + 16], rax
        add  rdi, WISH_SIZE
        add  r12, DOMAIN_SIZEOF
        dec  ebx
        jnz  .bank
; Fulfils a list of wishes: size, where to write the place, whose name.
; in:  wishes, rdi = their end, r14 = limit, r15 = what they are for
; out: taken
; clobbers: rax, rbx, rcx, rdx, rsi, rdi, r8 to r13
; fails: E_NO_BANK
grant_wishes:
        mov  r13, rdi                   ; r13 = end, r12 = wish that is looked at, rbx = the largest
.largest:
        lea  r12, [rip + wishes]
        mov  rbx, r12
.next:
        cmp  r12, r13
        jae  .found
        mov  rax, qword ptr [r12]
        cmp  rax, qword ptr [rbx]
        cmova rbx, r12
        add  r12, WISH_SIZE
        jmp  .next
.found:
        cmp  rbx, r13
        jae  .done                      ; there is none at all
        mov  rdi, qword ptr [rbx]
        test rdi, rdi
        jz   .done
        mov  rsi, r14
        call find_bank_room
        jc   .no_room
        mov  rdx, qword ptr [rbx + 8]
        mov  qword ptr [rdx], rax
        lea  rsi, [rax + rdi]
        mov  rdi, rax
        call take
        mov  qword ptr [rbx], 0
        jmp  .largest
.done:
        ret
.no_room:
        mov  rdx, r15
        mov  rcx, qword ptr [rbx + 16]
        mov  r8, rdi
        shr  r8, 20
        mov  r9, r14
        fail E_NO_BANK

; in:  shared_range.machine
; clobbers: rax, rcx, rdx, rdi, r8
clear_shared:
        mov  edx, PARTITION_BASE
        mov  r8d, dword ptr [rdx + PARTITION_NR_SHARED]
        mov  rdx, qword ptr [rdx + PARTITION_SHARED]
        xor  eax, eax
.next:
        test r8d, r8d
        jz   .done
        mov  rdi, qword ptr [rdx + SHARED_RANGE_MACHINE]
        mov  rcx, qword ptr [rdx + SHARED_RANGE_SIZE]
        shr  rcx, 3
        rep stosq
        add  rdx, SHARED_RANGE_SIZEOF
        dec  r8d
        jmp  .next
.done:
        ret

; The lowest place of a size that is RAM and not taken, at a multiple of BANK_ALIGNMENT.
; in:  rdi = bytes, rsi = limit
; out: rax; CF set if there is none
; clobbers: rcx, rdx, r8, r9, r10, r11
find_bank_room:
        or   r8, -1                     ; r8 = the best so far
        lea  r11, [rip + memory_map]
.range:
        cmp  r11, qword ptr [rip + memory_map_end]
        jae  .done
        cmp  dword ptr [r11 + HVM_MEMMAP_TABLE_ENTRY_TYPE], XEN_HVM_MEMMAP_TYPE_RAM
        jne  .next
        mov  r10, qword ptr [r11 + HVM_MEMMAP_TABLE_ENTRY_ADDR]
        mov  rax, r10
        add  r10, qword ptr [r11 + HVM_MEMMAP_TABLE_ENTRY_SIZE] ; r10 = its end
        jc   .next
.try:
        add  rax, BANK_ALIGNMENT - 1
        jc   .next
        and  rax, -BANK_ALIGNMENT
        mov  rcx, rax
        add  rcx, rdi
        jc   .next
        cmp  rcx, r10
        ja   .next
        cmp  rcx, rsi
        ja   .next
        cmp  rax, r8
        jae  .next
        call find_hindrance
        jc   .try
        mov  r8, rax
.next:
        add  r11, HVM_MEMMAP_TABLE_ENTRY_SIZEOF
        jmp  .range
.done:
        mov  rax, r8
        cmp  r8, -1
        cmc
        ret                             ; CF: below 2 to the power of 64 - 1 it is a place

; What of a range is not to be had: another entry of the map, or taken.
; in:  rax = start, rcx = end
; out: CF set if there is something; rax = its end then
; clobbers: rdx, r9
find_hindrance:
        lea  rdx, [rip + memory_map]
.entry:
        cmp  rdx, qword ptr [rip + memory_map_end]
        jae  .taken
        cmp  dword ptr [rdx + HVM_MEMMAP_TABLE_ENTRY_TYPE], XEN_HVM_MEMMAP_TYPE_RAM
        je   .next_entry
        cmp  qword ptr [rdx + HVM_MEMMAP_TABLE_ENTRY_SIZE], 0
        je   .next_entry
        mov  r9, qword ptr [rdx + HVM_MEMMAP_TABLE_ENTRY_ADDR]
        cmp  r9, rcx
        jae  .next_entry
        add  r9, qword ptr [rdx + HVM_MEMMAP_TABLE_ENTRY_SIZE]
        jc   .to_the_end
        cmp  r9, rax
        ja   .found
.next_entry:
        add  rdx, HVM_MEMMAP_TABLE_ENTRY_SIZEOF
        jmp  .entry
.taken:
        lea  rdx, [rip + taken]
.next:
        cmp  rdx, qword ptr [rip + taken_end]
        jae  .none
        mov  r9, qword ptr [rdx + 8]
        cmp  r9, rax
        jbe  .step
        cmp  qword ptr [rdx], rcx
        jb   .found
.step:
        add  rdx, 16
        jmp  .next
.none:
        clc
        ret
.to_the_end:
        or   r9, -1
.found:
        mov  rax, r9
        stc
        ret

; A page below 640 KiB for the first instructions of the other cpus: the lowest that is RAM.
; out: eax
; clobbers: rcx, rdx, r8, r9
; fails: E_NO_LOW_PAGE
find_low_page:
        lea  rax, [rip + taken]         ; nothing is taken yet
        mov  qword ptr [rip + taken_end], rax
        mov  r8d, PAGE_SIZE             ; the first page is the BIOS's
.next:
        lea  rdx, [rip + memory_map]
.range:
        cmp  rdx, qword ptr [rip + memory_map_end]
        jae  .step
        cmp  dword ptr [rdx + HVM_MEMMAP_TABLE_ENTRY_TYPE], XEN_HVM_MEMMAP_TYPE_RAM
        jne  .next_range
        mov  rax, r8
        sub  rax, qword ptr [rdx + HVM_MEMMAP_TABLE_ENTRY_ADDR]
        jb   .next_range
        add  rax, PAGE_SIZE
        cmp  rax, qword ptr [rdx + HVM_MEMMAP_TABLE_ENTRY_SIZE]
        jbe  .is_ram
.next_range:
        add  rdx, HVM_MEMMAP_TABLE_ENTRY_SIZEOF
        jmp  .range
.is_ram:
        mov  eax, r8d
        lea  rcx, [r8 + PAGE_SIZE]
        call find_hindrance
        mov  eax, r8d
        jnc  .done
.step:
        add  r8d, PAGE_SIZE
        cmp  r8d, LOW_PAGES_END
        jb   .next
        mov  edx, PAGE_SIZE
        mov  ecx, LOW_PAGES_END
        fail E_NO_LOW_PAGE
.done:
        ret

.section .rodata
pvh_word:       .asciz "PVH"
domain_word:    .asciz "domain"
shared_word:    .asciz "shared range"

.section .bss
.align 8
wishes:                 .space MAX_DOMAINS * WISH_SIZE
memory_map:             .space MAX_RANGES * HVM_MEMMAP_TABLE_ENTRY_SIZEOF
memory_map_end:         .space 8
taken:                  .space MAX_TAKEN * 16           ; start, end
taken_end:              .space 8
kept_modules:           .space MAX_MODULES * HVM_MODLIST_ENTRY_SIZEOF
kept_rsdp:              .space 8
nr_kept_modules:        .space 4
