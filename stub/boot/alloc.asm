; Room: which RAM is free, and what takes the rest.

.include "lib/macros.inc"

.global find_room, find_room_below, find_low_room, find_room_between, find_overlap, find_piece_overlap, piece_range, room_finder
.global place_claimer

.section .text

; Looks for free RAM, from the top of what lies below 4 GiB downwards.
; in:  rdi = bytes
; out: rax = page-aligned start, 0 for none
; clobbers: rcx, rdx, rsi, rdi, r8, r9, r10, r11
find_room:
        mov  rsi, 1 << 32
; The same below a limit. in: rsi = limit
find_room_below:
        mov  rax, qword ptr [rip + room_finder]
        test rax, rax
        jz   .search
        jmp  rax
.search:
        push r14
        mov  r14, rsi
        push rbx
        push r12
        push r13
        mov  r12, rdi
        mov  ebx, dword ptr [rip + memory_range_count]
.range:
        test ebx, ebx
        jz   .none
        dec  ebx
        imul eax, ebx, MEMORY_RANGE_SIZEOF
        lea  r13, [rip + memory_ranges]
        add  r13, rax
        cmp  dword ptr [r13 + MEMORY_RANGE_TYPE], XEN_HVM_MEMMAP_TYPE_RAM
        jne  .range
        mov  rsi, qword ptr [r13 + MEMORY_RANGE_START]
        add  rsi, qword ptr [r13 + MEMORY_RANGE_SIZE]
        cmp  rsi, r14
        cmova rsi, r14
.candidate:                             ; downwards
        mov  rdi, rsi
        sub  rdi, r12
        jb   .range
        and  rdi, -PAGE_SIZE
        cmp  rdi, IMAGE_LIMIT           ; the first MiB is the firmware's, the second the stub's
        jb   .none
        cmp  rdi, qword ptr [r13 + MEMORY_RANGE_START]
        jb   .range
        lea  rsi, [rdi + r12]
        call find_overlap
        jrcxz .free
        mov  rsi, rax                   ; try below what is in the way
        jmp  .candidate
.free:
        mov  rax, rdi
        jmp  .done
.none:
        xor  eax, eax
.done:
        pop  r13
        pop  r12
        pop  rbx
        pop  r14
        ret

; Looks for free RAM where loaders put what kernels are told: as low as possible, below 1 MiB if there is room.
; in:  rdi = bytes, whole pages
; out: rax = page-aligned start, 0 for none
; clobbers: rcx, rdx, rsi, rdi, r8, r9, r10, r11
find_low_room:
        push rdi
        add  rdi, LOW_LEFT
        mov  esi, LOW_BASE
        mov  edx, LOW_LIMIT
        call find_room_between
        pop  rdi
        test rax, rax
        jz   .higher
        ret
.higher:
        mov  esi, IMAGE_BASE
        mov  edx, HANDOVER_LIMIT
; The lowest free RAM between two limits. in: rdi = bytes, rsi = lower limit, rdx = upper limit
find_room_between:
        push rbx
        push r12
        push r13
        push r14
        push r15
        mov  r12, rdi
        mov  r14, rsi
        mov  r15, rdx
        lea  r13, [rip + memory_ranges - MEMORY_RANGE_SIZEOF]
        mov  ebx, dword ptr [rip + memory_range_count]
.range:
        xor  eax, eax
        dec  ebx
        js   .done
        add  r13, MEMORY_RANGE_SIZEOF
        cmp  dword ptr [r13 + MEMORY_RANGE_TYPE], XEN_HVM_MEMMAP_TYPE_RAM
        jne  .range
        mov  rdi, qword ptr [r13 + MEMORY_RANGE_START]
        cmp  rdi, r14
        cmovb rdi, r14
.candidate:                             ; upwards
        cmp  rdi, r15
        jae  .range
        add  rdi, PAGE_SIZE - 1
        and  rdi, -PAGE_SIZE
        lea  rsi, [rdi + r12]
        cmp  rsi, r15
        ja   .range
        mov  rax, qword ptr [r13 + MEMORY_RANGE_START]
        add  rax, qword ptr [r13 + MEMORY_RANGE_SIZE]
        cmp  rsi, rax
        ja   .range
        call find_overlap
        mov  rax, rdi
        mov  rdi, rcx                   ; try behind what is in the way
        test rcx, rcx
        jnz  .candidate
.done:
        pop  r15
        pop  r14
        pop  r13
        pop  r12
        pop  rbx
        ret

; What is in use and overlaps [rdi, rsi): the stub, a module, or where a piece is to go?
; in:  rdi, rsi
; out: [rax, rcx) = one of them; rcx = 0 for none
; clobbers: rdx, r8, r9, r10, r11
find_overlap:
        lea  rax, [rip + __image_start]
        lea  rcx, [rip + __image_end]
        cmp  rcx, rdi
        jbe  .modules
        cmp  rax, rsi
        jb   .done
.modules:
        lea  r8, [rip + boot_modules]
        mov  r9, qword ptr [rip + tables]
        mov  r9d, dword ptr [r9 + TABLES_NR_MODULES]
        call find_module_overlap
        test rcx, rcx
        jnz  .done
        lea  r8, [rip + loader_modules]
        mov  r9d, dword ptr [rip + boot_info + BOOT_INFO_NR_MODULES]
        call find_module_overlap
        test rcx, rcx
        jnz  .done
        lea  r8, [rip + deferred]
        mov  r9d, dword ptr [rip + deferred_count]
.deferred:
        test r9d, r9d
        jz   find_piece_overlap
        mov  rax, qword ptr [r8 + DEFERRED_FROM]
        mov  rcx, rax
        add  rcx, qword ptr [r8 + DEFERRED_SIZE]
        add  r8, DEFERRED_SIZEOF
        dec  r9d
        cmp  rcx, rdi
        jbe  .deferred
        cmp  rax, rsi
        jae  .deferred
.done:
        ret

; The same for pieces alone.
; in:  rdi, rsi
; out: [rax, rcx) = one of them; rcx = 0 for none
; clobbers: r8, r9, r10
find_piece_overlap:
        mov  rcx, qword ptr [rip + tables]
        mov  r8d, dword ptr [rcx + TABLES_PIECES]
        add  r8, rcx
        mov  r9d, dword ptr [rcx + TABLES_NR_PIECES]
.next:
        xor  ecx, ecx
        test r9d, r9d
        jz   .done
        call piece_range
        add  r8, PIECE_SIZEOF
        dec  r9d
        cmp  rcx, rdi
        jbe  .next
        cmp  rax, rsi
        jae  .next
.done:
        ret

; The same for some boot_modules.
; in:  rdi, rsi, r8 = boot_modules, r9d = their number
; out: [rax, rcx) = one of them; rcx = 0 for none
; clobbers: r8, r9
find_module_overlap:
        xor  ecx, ecx
        test r9d, r9d
        jz   .done
        mov  rax, qword ptr [r8 + BOOT_MODULE_START]
        mov  rcx, rax
        add  rcx, qword ptr [r8 + BOOT_MODULE_SIZE]
        add  r8, BOOT_MODULE_SIZEOF
        dec  r9d
        cmp  rcx, rdi
        jbe  find_module_overlap
        cmp  rax, rsi
        jae  find_module_overlap
.done:
        ret

; All that a piece takes.
; in:  r8 = piece
; out: rax = start, rcx = end, with what its kernel uses behind it
; clobbers: r10
piece_range:
        mov  rax, qword ptr [r8 + PIECE_DEST]
        mov  rcx, rax
        add  rcx, qword ptr [r8 + PIECE_DEST_SIZE]
        add  rcx, qword ptr [r8 + PIECE_ZERO_SIZE]
        mov  r10d, dword ptr [r8 + PIECE_RESERVE_PAGES]
        shl  r10, PAGE_SHIFT
        add  rcx, r10
        ret

.section .bss
.align 8
room_finder:            .space 8        ; routine in place of find_room, while memory belongs to a firmware; 0 for none
place_claimer:          .space 8        ; the same for load_module: takes the places of the pieces
