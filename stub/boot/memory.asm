; The memory map: from whatever the firmware said to sorted ranges that do not overlap.

.include "lib/macros.inc"

.global normalise_memory, test_ram, basic_memory, memory_kib, memory_range_count, memory_ranges

.set BASIC_MEMORY_UPPER, 0x100000

.section .text

; Sorts the loader's map and resolves overlaps: where several types claim a byte, the highest
; wins, so that RAM (1) is only what nobody else claims. Neighbours of one type are joined.
; in:  loader_ranges, boot_info.nr_ranges
; out: memory_ranges, memory_range_count, memory_kib
; clobbers: all but rbp, rsp
; fails: E_TOO_MANY_RANGES, E_NO_RAM
normalise_memory:
        lea  rbx, [rip + loader_ranges]
        lea  r15, [rip + boundaries]
        mov  r12d, dword ptr [rip + boot_info + BOOT_INFO_NR_RANGES]
        xor  r14d, r14d                 ; r14 = boundaries so far

        mov  r13d, r12d
.collect:
        mov  rdi, qword ptr [rbx + MEMORY_RANGE_START]
        mov  rax, qword ptr [rbx + MEMORY_RANGE_SIZE]
        test rax, rax
        jz   .collected
        add  rax, rdi
        jnc  .in_range
        mov  rax, -1                    ; firmware that lies: up to the end of the address space
.in_range:
        mov  rcx, rax                   ; and `size` ends there as well
        sub  rcx, rdi
        mov  qword ptr [rbx + MEMORY_RANGE_SIZE], rcx
        call .insert
        mov  rdi, rax
        call .insert
        mov  ecx, dword ptr [rbx + MEMORY_RANGE_TYPE]
        dec  ecx                        ; a type that nobody knows is reserved
        cmp  ecx, XEN_HVM_MEMMAP_TYPE_PMEM
        jb   .collected
        mov  dword ptr [rbx + MEMORY_RANGE_TYPE], XEN_HVM_MEMMAP_TYPE_RESERVED
.collected:
        add  rbx, MEMORY_RANGE_SIZEOF
        dec  r13d
        jnz  .collect

        xor  r13d, r13d                 ; r13 = ranges so far, r11 = the last one
        xor  r11d, r11d
        dec  r14d                       ; now the number of gaps between boundaries
        js   .done
.gap:
        test r14d, r14d
        jz   .done
        mov  rdi, qword ptr [r15]
        mov  rsi, qword ptr [r15 + 8]
        add  r15, 8
        dec  r14d
        call .type_between
        test eax, eax
        jz   .gap
        test r11, r11
        jz   .append
        cmp  eax, dword ptr [r11 + MEMORY_RANGE_TYPE]
        jne  .append
        mov  rcx, qword ptr [r11 + MEMORY_RANGE_START]
        add  rcx, qword ptr [r11 + MEMORY_RANGE_SIZE]
        cmp  rcx, rdi
        jne  .append
        sub  rsi, qword ptr [r11 + MEMORY_RANGE_START]
        mov  qword ptr [r11 + MEMORY_RANGE_SIZE], rsi
        jmp  .gap
.append:
        cmp  r13d, MAX_RANGES
        jae  .too_many
        imul ecx, r13d, MEMORY_RANGE_SIZEOF
        lea  r11, [rip + memory_ranges]
        add  r11, rcx
        inc  r13d
        sub  rsi, rdi
        mov  qword ptr [r11 + MEMORY_RANGE_START], rdi
        mov  qword ptr [r11 + MEMORY_RANGE_SIZE], rsi
        mov  dword ptr [r11 + MEMORY_RANGE_TYPE], eax
        jmp  .gap
.too_many:
        mov  edx, MAX_RANGES
        fail E_TOO_MANY_RANGES
.done:
        mov  dword ptr [rip + memory_range_count], r13d
        jmp  report_memory

; Puts rdi into the sorted boundaries unless it is there. in: r14, r15; out: r14; clobbers: rcx, rdx, rsi
.insert:
        mov  rcx, r14
.place:
        test rcx, rcx
        jz   .shift
        cmp  qword ptr [r15 + rcx * 8 - 8], rdi
        je   .known
        jb   .shift
        dec  rcx
        jmp  .place
.shift:
        mov  rdx, r14
.shift_next:
        cmp  rdx, rcx
        je   .store
        mov  rsi, qword ptr [r15 + rdx * 8 - 8]
        mov  qword ptr [r15 + rdx * 8], rsi
        dec  rdx
        jmp  .shift_next
.store:
        mov  qword ptr [r15 + rcx * 8], rdi
        inc  r14
.known:
        ret

; The highest type of all ranges that hold [rdi, rsi). out: eax, 0 for none; clobbers: rcx, rdx, r8
.type_between:
        xor  eax, eax
        lea  r8, [rip + loader_ranges]
        mov  ecx, r12d
.candidate:
        mov  rdx, qword ptr [r8 + MEMORY_RANGE_START]
        cmp  rdx, rdi
        ja   .other
        add  rdx, qword ptr [r8 + MEMORY_RANGE_SIZE]
        cmp  rdx, rsi
        jb   .other
        cmp  eax, dword ptr [r8 + MEMORY_RANGE_TYPE]
        jae  .other
        mov  eax, dword ptr [r8 + MEMORY_RANGE_TYPE]
.other:
        add  r8, MEMORY_RANGE_SIZEOF
        dec  ecx
        jnz  .candidate
        ret

; Prints the map and adds up the RAM.
; clobbers: all but rbp, rsp
; fails: E_NO_RAM
report_memory:
        lea  rbx, [rip + memory_ranges]
        mov  r12d, dword ptr [rip + memory_range_count]
        xor  r13d, r13d
.range:
        test r12d, r12d
        jz   .sum
        mov  rsi, qword ptr [rbx + MEMORY_RANGE_START]
        mov  rdx, qword ptr [rbx + MEMORY_RANGE_SIZE]
        mov  ecx, dword ptr [rbx + MEMORY_RANGE_TYPE]
        cmp  ecx, XEN_HVM_MEMMAP_TYPE_RAM
        jne  .print
        add  r13, rdx
.print:
        add  rdx, rsi
        detail M_RANGE
        add  rbx, MEMORY_RANGE_SIZEOF
        dec  r12d
        jmp  .range
.sum:
        mov  edx, dword ptr [rip + boot_info + BOOT_INFO_NR_RANGES]
        test r13, r13
        jz   .no_ram
        shr  r13, 10
        mov  qword ptr [rip + memory_kib], r13
        mov  esi, dword ptr [rip + memory_range_count]
        mov  rdx, r13
        shr  rdx, 10
        mov  rcx, qword ptr [rip + boot_info + BOOT_INFO_RSDP]
        say  M_MEMORY
        ret
.no_ram:
        fail E_NO_RAM

; in:  rdi = start, rsi = end
; out: ZF set if all of it is RAM
; clobbers: rax, rcx, rdx
test_ram:
        lea  rax, [rip + memory_ranges]
        mov  ecx, dword ptr [rip + memory_range_count]
.range:                                 ; neighbours are joined: one range holds it all or none does
        cmp  dword ptr [rax + MEMORY_RANGE_TYPE], XEN_HVM_MEMMAP_TYPE_RAM
        jne  .next
        mov  rdx, qword ptr [rax + MEMORY_RANGE_START]
        cmp  rdi, rdx
        jb   .next
        add  rdx, qword ptr [rax + MEMORY_RANGE_SIZE]
        cmp  rsi, rdx
        ja   .next
        xor  eax, eax
        ret
.next:
        add  rax, MEMORY_RANGE_SIZEOF
        dec  ecx
        jnz  .range
        inc  ecx                        ; clears ZF
        ret

; What loaders have always called lower and upper memory.
; out: eax = KiB of RAM from 0, edx = KiB of RAM from 1 MiB, both up to the first hole
; clobbers: rcx, rdi, rsi
basic_memory:
        xor  edi, edi
        call .from
        mov  esi, eax
        mov  edi, BASIC_MEMORY_UPPER
        call .from
        mov  edx, eax
        mov  eax, esi
        ret
; in: rdi = address; out: eax = KiB of RAM from there; clobbers: rcx, rdx
.from:
        lea  rdx, [rip + memory_ranges]
        mov  ecx, dword ptr [rip + memory_range_count]
.range:
        cmp  dword ptr [rdx + MEMORY_RANGE_TYPE], XEN_HVM_MEMMAP_TYPE_RAM
        jne  .next
        mov  rax, rdi
        sub  rax, qword ptr [rdx + MEMORY_RANGE_START]
        jb   .next
        cmp  rax, qword ptr [rdx + MEMORY_RANGE_SIZE]
        jae  .next
        sub  rax, qword ptr [rdx + MEMORY_RANGE_SIZE]
        neg  rax
        shr  rax, 10
        ret
.next:
        add  rdx, MEMORY_RANGE_SIZEOF
        dec  ecx
        jnz  .range
        xor  eax, eax
        ret

.section .bss
.align 8
memory_kib:             .space 8
memory_range_count:     .space 4
.align 16
memory_ranges:          .space MAX_RANGES * MEMORY_RANGE_SIZEOF
boundaries:             .space 2 * MAX_RANGES * 8
