; The domains, each built in its turn: its kernel and what it is told go into its memory, its nested tables get machine
; addresses, its cpus their first state.

.include "lib/macros.inc"

.global build_domains, load_domain, built_domains, running_vcpus

.section .boot

; in:  domains' places and cpus
; out: their state, built_domains, running_vcpus
; clobbers: all but rsp
; fails: E_DOMAIN_LOAD, E_NO_INITIAL_DOMAIN
build_domains:
        mov  ebx, PARTITION_BASE
        mov  r12, qword ptr [rbx + PARTITION_DOMAINS]   ; r12 = domain, r15 = how many are left
        mov  r15d, dword ptr [rbx + PARTITION_NR_DOMAINS]
        mov  esi, r15d
        say  M_BUILDER
.next:
        call introduce_domain
        call relocate_tables
        push r15
        call load_domain
        pop  r15
        test rax, rax
        jnz  .failed
        mov  dword ptr [r12 + DOMAIN_STATE], DOMAIN_BUILT
        inc  dword ptr [rip + built_domains]
        mov  eax, dword ptr [r12 + DOMAIN_NR_VCPUS]
        add  dword ptr [rip + running_vcpus], eax
        test dword ptr [r12 + DOMAIN_FLAGS], DOMAIN_INITIAL
        jz   .built
        mov  byte ptr [rip + initial_is_built], 1
.built:
        call prepare_vcpus
        mov  esi, dword ptr [r12 + DOMAIN_DOMID]
        mov  edx, dword ptr [rip + built_domains]
        mov  ecx, PARTITION_BASE
        mov  ecx, dword ptr [rcx + PARTITION_NR_DOMAINS]
        say  M_BUILT
        mov  esi, dword ptr [r12 + DOMAIN_DOMID]
        mov  rdx, qword ptr [r12 + DOMAIN_PROTOCOL]
        mov  rcx, qword ptr [r12 + DOMAIN_ENTRY]
        mov  r8, qword ptr [r12 + DOMAIN_BUILT_CRC]
        say  M_PARTITION_ENTRY
.step:
        add  r12, DOMAIN_SIZEOF
        dec  r15d
        jnz  .next
        cmp  byte ptr [rip + initial_is_built], 0
        je   .none
        ret
.failed:
        mov  dword ptr [r12 + DOMAIN_STATE], DOMAIN_FAILED
        mov  rcx, rax
        mov  r8, rdx
        test dword ptr [r12 + DOMAIN_FLAGS], DOMAIN_INITIAL
        jnz  .fatal
        mov  rsi, qword ptr [r12 + DOMAIN_NAME]
        mov  rdx, rcx
        mov  rcx, r8
        warn M_PARTITION_FAILED
        call stop_vcpus
        jmp  .step
.fatal:
        fail_of E_DOMAIN_LOAD
.none:
        mov  edx, PARTITION_BASE
        mov  edx, dword ptr [rdx + PARTITION_NR_DOMAINS]
        fail E_NO_INITIAL_DOMAIN

; What the domain is, and where: the lines in front of its building.
; in:  r12 = struct domain
; clobbers: rax, rbx, rcx, rdx, rsi, rdi, r8, r9, r10, r11, r13, r14
introduce_domain:
        mov  esi, dword ptr [r12 + DOMAIN_DOMID]
        mov  rdx, qword ptr [r12 + DOMAIN_NAME]
        mov  rcx, qword ptr [r12 + DOMAIN_KERNEL]
        mov  r8, qword ptr [r12 + DOMAIN_RAMDISK]
        mov  r9, qword ptr [r12 + DOMAIN_BANKS + BANK_SIZE]
        add  r9, qword ptr [r12 + DOMAIN_BANKS + BANK_SIZEOF + BANK_SIZE]
        shr  r9, 20                     ; MiB
        say  M_DOMAIN
        mov  esi, dword ptr [r12 + DOMAIN_DOMID]
        mov  rdx, qword ptr [r12 + DOMAIN_CMDLINE]
        say  M_CMDLINE
        call list_cpus
        mov  esi, dword ptr [r12 + DOMAIN_DOMID]
        lea  rdx, [rip + cpu_list]
        mov  rcx, qword ptr [r12 + DOMAIN_NR_TABLES]
        mov  r8, qword ptr [r12 + DOMAIN_TABLES]
        say  M_PARTITION_TABLES
        lea  rbx, [r12 + DOMAIN_BANKS]
        mov  r13d, MAX_BANKS
.bank:
        cmp  qword ptr [rbx + BANK_SIZE], 0
        je   .next_bank
        mov  esi, dword ptr [r12 + DOMAIN_DOMID]
        mov  rdx, qword ptr [rbx + BANK_MACHINE]
        mov  rcx, qword ptr [rbx + BANK_SIZE]
        add  rcx, rdx
        mov  r8, qword ptr [rbx + BANK_GUEST]
        say  M_PARTITION_BANK
.next_bank:
        add  rbx, BANK_SIZEOF
        dec  r13d
        jnz  .bank
        lea  rbx, [r12 + DOMAIN_SHARES]
        mov  r13d, dword ptr [r12 + DOMAIN_NR_SHARES]
.share:
        test r13d, r13d
        jz   .done
        mov  ecx, dword ptr [rbx + SHARE_NUMBER]
        imul ecx, ecx, SHARED_RANGE_SIZEOF
        mov  eax, PARTITION_BASE
        add  rcx, qword ptr [rax + PARTITION_SHARED]
        mov  esi, dword ptr [r12 + DOMAIN_DOMID]
        mov  rdx, qword ptr [rcx + SHARED_RANGE_NAME]
        mov  r8, qword ptr [rcx + SHARED_RANGE_SIZE]
        mov  rcx, qword ptr [rcx + SHARED_RANGE_MACHINE]
        add  r8, rcx
        mov  r9, qword ptr [rbx + SHARE_GUEST]
        lea  rax, [rip + read_only_word]
        cmp  dword ptr [rbx + SHARE_WRITABLE], 0
        je   .say
        lea  rax, [rip + writable_word]
.say:
        mov  qword ptr [rip + sixth_value], rax
        say  M_PARTITION_SHARE
        add  rbx, SHARE_SIZEOF
        dec  r13d
        jmp  .share
.done:
        ret

; in:  r12 = struct domain
; out: cpu_list: the APIC ids of its cpus, as text
; clobbers: rax, rcx, rdx, rdi, r13, r14
list_cpus:
        call domain_vcpus
        lea  rdi, [rip + cpu_list]
        mov  ecx, 10
.cpu:
        mov  eax, dword ptr [r13 + VCPU_APIC_ID]
        push 0                          ; ends the digits
.divide:
        xor  edx, edx
        div  ecx
        add  edx, '0'
        push rdx
        test eax, eax
        jnz  .divide
.digit:
        pop  rax
        stosb
        test eax, eax
        jnz  .digit
        mov  byte ptr [rdi - 1], ' '
        add  r13, VCPU_SIZEOF
        dec  r14d
        jnz  .cpu
        mov  byte ptr [rdi - 1], 0
        ret

; Marks the cpus of a domain that is not launched.
; in:  r12 = struct domain
; clobbers: rax, r13, r14
stop_vcpus:
        call domain_vcpus
.next:
        mov  dword ptr [r13 + VCPU_STATE], VCPU_STOPPED
        add  r13, VCPU_SIZEOF
        dec  r14d
        jnz  .next
        ret

.section .text

; Puts into a domain's memory what belongs there: its modules' pieces, the host's blocks, and in these what only the
; machine can say. Every byte is checked to come from where it may and to go where it may. For the launch and for each
; restart, on any cpu; the rest of the memory stays as it is.
; in:  r12 = struct domain
; out: rax = 0, domain.built_crc: CRC-32 of the blocks in their order, patches carried out; or rax = text of what is wrong,
;      rdx = with which piece, block or patch
; clobbers: rcx, rsi, rdi, r8 to r11, r13, r14, r15, xmm0
load_domain:
        push rbx
        mov  rbx, qword ptr [r12 + DOMAIN_LOADS]        ; rbx = load, r15 = how many are left
        mov  r15d, dword ptr [r12 + DOMAIN_NR_LOADS]
.load:
        test r15d, r15d
        jz   .loaded
        push rbx
        call load_pieces
        pop  rbx
        test rax, rax
        jnz  .done
        add  rbx, LOAD_SIZEOF
        dec  r15d
        jmp  .load
.loaded:
        call copy_blocks
        test rax, rax
        jnz  .done
        call apply_patches
        test rax, rax
        jnz  .done
        or   eax, -1
        mov  rbx, qword ptr [r12 + DOMAIN_BLOCKS]
        mov  r15d, dword ptr [r12 + DOMAIN_NR_BLOCKS]
.block:
        test r15d, r15d
        jz   .sum
        mov  rsi, qword ptr [rbx + BLOCK_GUEST]
        call bank_address
        mov  rcx, qword ptr [rbx + BLOCK_SIZE]
        call update_crc32
        add  rbx, BLOCK_SIZEOF
        dec  r15d
        jmp  .block
.sum:
        not  eax
        mov  qword ptr [r12 + DOMAIN_BUILT_CRC], rax
        xor  eax, eax
.done:
        pop  rbx
        ret

; in:  rsi = address in the first bank, as the domain sees it; r12 = struct domain
; out: rsi = as the machine does
bank_address:
        sub  rsi, qword ptr [r12 + DOMAIN_BANKS + BANK_GUEST]
        add  rsi, qword ptr [r12 + DOMAIN_BANKS + BANK_MACHINE]
        ret

; in:  rsi = address as the domain sees it, rcx = bytes; r12 = struct domain
; out: CF set unless all of it lies in the first bank; else rsi = as the machine sees it
; clobbers: rdx
check_bank:
        sub  rsi, qword ptr [r12 + DOMAIN_BANKS + BANK_GUEST]
        jb   .done
        mov  rdx, rsi
        add  rdx, rcx
        jc   .done
        cmp  qword ptr [r12 + DOMAIN_BANKS + BANK_SIZE], rdx
        jb   .done
        add  rsi, qword ptr [r12 + DOMAIN_BANKS + BANK_MACHINE] ; no carry: the bank lies below 4 GiB
.done:
        ret

; in:  rbx = struct load, r12 = struct domain
; out: rax, rdx as of load_domain
; clobbers: rbx, rcx, rsi, rdi, r8 to r11, r13, r14, xmm0
load_pieces:
        mov  edx, dword ptr [rbx + LOAD_MODULE]
        lea  rax, [rip + L_NO_MODULE]
        cmp  edx, dword ptr [rip + nr_kept_modules]
        jae  .done
        imul edx, edx, HVM_MODLIST_ENTRY_SIZEOF
        lea  r14, [rip + kept_modules]
        add  r14, rdx                   ; r14 = its entry, r13 = pieces that are left, rbx = piece
        mov  r13d, dword ptr [rbx + LOAD_NR_PIECES]
        mov  rbx, qword ptr [rbx + LOAD_PIECES]
.next:
        xor  eax, eax
        sub  r13d, 1
        jb   .done
        mov  rdi, qword ptr [rbx + PIECE_SOURCE]
        mov  rcx, qword ptr [rbx + PIECE_SOURCE_SIZE]
        add  rcx, rdi
        jc   .outside
        cmp  rcx, qword ptr [r14 + HVM_MODLIST_ENTRY_SIZE]
        ja   .outside
        mov  rcx, qword ptr [rbx + PIECE_DEST_SIZE]
        cmp  dword ptr [rbx + PIECE_METHOD], PACK_LZ4
        je   .dest
        cmp  dword ptr [rbx + PIECE_METHOD], PACK_STORED
        jne  .unknown
        cmp  rcx, qword ptr [rbx + PIECE_SOURCE_SIZE]
        ja   .outside
.dest:
        mov  r8, rcx
        add  rcx, qword ptr [rbx + PIECE_ZERO_SIZE]
        jc   .beyond
        mov  rsi, qword ptr [rbx + PIECE_DEST]
        call check_bank
        jc   .beyond
        add  rdi, qword ptr [r14 + HVM_MODLIST_ENTRY_PADDR]
        xchg rdi, rsi
        cmp  dword ptr [rbx + PIECE_METHOD], PACK_LZ4
        je   .lz4
        mov  rcx, r8
        shr  rcx, 3
        rep movsq
        mov  ecx, r8d
        and  ecx, 7
        rep movsb
        jmp  .zero
.lz4:
        mov  rdx, r8
        mov  rcx, qword ptr [rbx + PIECE_SOURCE_SIZE]
        call lz4_unpack
        jne  .damaged
.zero:
        xor  eax, eax
        mov  rcx, qword ptr [rbx + PIECE_ZERO_SIZE]
        mov  edx, ecx
        shr  rcx, 3
        rep stosq
        mov  ecx, edx
        and  ecx, 7
        rep stosb
        add  rbx, PIECE_SIZEOF
        jmp  .next
.outside:
        lea  rax, [rip + L_PIECE_OUTSIDE]
        jmp  .number
.beyond:
        lea  rax, [rip + L_PIECE_BEYOND]
        jmp  .number
.unknown:
        lea  rax, [rip + L_PIECE_METHOD]
        jmp  .number
.damaged:
        lea  rax, [rip + L_PIECE_DAMAGED]
.number:
        mov  edx, r13d                  ; pieces behind it
.done:
        ret

; in:  r12 = struct domain
; out: rax, rdx as of load_domain
; clobbers: rbx, rcx, rsi, rdi, r15
copy_blocks:
        mov  rbx, qword ptr [r12 + DOMAIN_BLOCKS]
        xor  r15d, r15d
.next:
        cmp  r15d, dword ptr [r12 + DOMAIN_NR_BLOCKS]
        jae  .copied
        mov  rsi, qword ptr [rbx + BLOCK_GUEST]
        mov  rcx, qword ptr [rbx + BLOCK_SIZE]
        call check_bank
        jc   .beyond
        mov  rdi, rsi
        mov  rsi, qword ptr [rbx + BLOCK_SOURCE]
        rep movsb
        add  rbx, BLOCK_SIZEOF
        inc  r15d
        jmp  .next
.copied:
        xor  eax, eax
        ret
.beyond:
        lea  rax, [rip + L_BLOCK_BEYOND]
        mov  edx, r15d
        ret

; in:  r12 = struct domain
; out: rax, rdx as of load_domain
; clobbers: rbx, rcx, rsi, rdi, r13, r14, r15
apply_patches:
        call domain_vcpus               ; r13 = its first vcpu
        mov  rbx, qword ptr [r12 + DOMAIN_PATCHES]
        xor  r15d, r15d
.next:
        cmp  r15d, dword ptr [r12 + DOMAIN_NR_PATCHES]
        jae  .done
        mov  rsi, qword ptr [rbx + PATCH_AT]
        mov  edi, dword ptr [rbx + PATCH_NUMBER]
        mov  rcx, qword ptr [rbx + PATCH_SIZE]
        mov  eax, dword ptr [rbx + PATCH_KIND]
        cmp  eax, PATCH_CHECKSUM
        je   .checksum
        mov  ecx, 4
        cmp  eax, PATCH_X2APIC_ID
        je   .id
        cmp  eax, PATCH_APIC_ID
        jne  .bad
        mov  ecx, 1
.id:
        cmp  edi, dword ptr [r12 + DOMAIN_NR_VCPUS]
        jae  .bad
        call check_bank
        jc   .bad
        imul edi, edi, VCPU_SIZEOF
        add  rdi, r13
        mov  eax, dword ptr [rdi + VCPU_APIC_ID]
        mov  byte ptr [rsi], al
        cmp  ecx, 1
        je   .step
        mov  dword ptr [rsi], eax
        jmp  .step
.checksum:
        cmp  rdi, rcx
        jae  .bad
        call check_bank
        jc   .bad
        mov  byte ptr [rsi + rdi], 0
        xor  eax, eax
.sum:
        sub  al, byte ptr [rsi + rcx - 1]
        dec  rcx
        jnz  .sum
        mov  byte ptr [rsi + rdi], al
.step:
        add  rbx, PATCH_SIZEOF
        inc  r15d
        jmp  .next
.bad:
        lea  rax, [rip + L_PATCH]
        mov  edx, r15d
        ret
.done:
        xor  eax, eax
        ret

.section .rodata
read_only_word: .asciz "read-only"
writable_word:  .asciz "writable"

.section .bss
.align 4
built_domains:          .space 4
running_vcpus:          .space 4        ; of built domains
cpu_list:               .space MAX_CPUS * 11
initial_is_built:       .space 1
