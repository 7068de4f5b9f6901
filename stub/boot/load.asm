; Loading: a module's pieces go to their final places, each byte once.

.include "lib/macros.inc"

.global check_module, load_module, first_piece

.section .text

; Checks all pieces of a module before any is touched: inside of the module, and in RAM.
; in:  ebp = number of the module
; clobbers: rax, rbx, rcx, rdx, rsi, rdi, r8, r9, r12, r14, r15
; fails: E_MODULE_PIECE, E_NO_ROOM
check_module:
        call first_piece
.piece:
        test r14d, r14d
        jz   .done
        mov  rcx, qword ptr [r12 + PIECE_SOURCE]
        mov  r8, qword ptr [r12 + PIECE_SOURCE_SIZE]
        add  r8, rcx
        jc   .outside
        cmp  r8, qword ptr [r15 + BOOT_MODULE_SIZE]
        ja   .outside
        cmp  dword ptr [r12 + PIECE_METHOD], PACK_STORED
        jne  .dest
        mov  rax, qword ptr [r12 + PIECE_DEST_SIZE]
        cmp  rax, qword ptr [r12 + PIECE_SOURCE_SIZE]
        ja   .outside
.dest:
        mov  rdi, qword ptr [r12 + PIECE_DEST]
        mov  rsi, rdi
        add  rsi, qword ptr [r12 + PIECE_DEST_SIZE]
        jc   .no_room
        add  rsi, qword ptr [r12 + PIECE_ZERO_SIZE]
        jc   .no_room
        mov  rax, rsi
        dec  rax
        shr  rax, 32
        jnz  .no_room                   ; beyond what is mapped
        mov  eax, dword ptr [r12 + PIECE_RESERVE_PAGES]
        shl  rax, PAGE_SHIFT
        add  rsi, rax
        call test_ram
        jne  .no_room
        add  r12, PIECE_SIZEOF
        dec  r14d
        jmp  .piece
.done:
        ret
.outside:
        mov  rdx, rbx
        mov  r9, qword ptr [r15 + BOOT_MODULE_SIZE]
        fail_named E_MODULE_PIECE
.no_room:
        mov  rdx, rbx
        mov  rcx, rdi
        mov  r8, rsi
        fail_named E_NO_ROOM

; Moves or unpacks a module's pieces.
; in:  ebp = number of the module, checked by check_module
; out: boot_module of the module: where it is now, if that is one place
; clobbers: all but rbp, r13, rsp
; fails: E_MODULE_UNPACK, E_NO_FREE_ROOM, E_TOO_MANY_DEFERRED, E_EFI_CLAIM
load_module:
        call start_watch
        call first_piece
        mov  rax, qword ptr [rip + place_claimer]
        test rax, rax
        jz   .claimed
        call rax
        call first_piece
.claimed:
        mov  rax, qword ptr [rbx + MODULE_RECORD_START]
        test rax, rax
        jz   .piece
        push qword ptr [r15 + BOOT_MODULE_START]
        mov  qword ptr [r15 + BOOT_MODULE_START], rax
        mov  rax, qword ptr [rbx + MODULE_RECORD_UNPACKED_SIZE]
        mov  qword ptr [r15 + BOOT_MODULE_SIZE], rax
        pop  r15
        jmp  .next
.piece:
        mov  r15, qword ptr [r15 + BOOT_MODULE_START]   ; r15 = the packed bytes from here on
.next:
        test r14d, r14d
        jz   .done
        mov  edx, dword ptr [rbx + MODULE_RECORD_NR_PIECES]
        mov  esi, edx
        sub  esi, r14d
        lea  rdi, [rip + M_LOADING]
        call show_life
        call choose_dest
        mov  rsi, qword ptr [r12 + PIECE_SOURCE]
        add  rsi, r15
        cmp  dword ptr [r12 + PIECE_METHOD], PACK_LZ4
        je   .lz4
        mov  rcx, qword ptr [r12 + PIECE_DEST_SIZE]
        mov  eax, ecx
        shr  rcx, 3
        rep movsq
        mov  ecx, eax
        and  ecx, 7
        rep movsb
        jmp  .zero
.lz4:
        mov  rdx, qword ptr [r12 + PIECE_DEST_SIZE]
        mov  rcx, qword ptr [r12 + PIECE_SOURCE_SIZE]
        call lz4_unpack
        jne  .bad
.zero:
        call overlaps_stub
        jc   .cleared                   ; cleared when it is where it belongs
        xor  eax, eax
        mov  rcx, qword ptr [r12 + PIECE_ZERO_SIZE]
        mov  edx, ecx
        shr  rcx, 3
        rep stosq
        mov  ecx, edx
        and  ecx, 7
        rep stosb
.cleared:
        add  r12, PIECE_SIZEOF
        dec  r14d
        jmp  .next
.done:
        ret
.bad:
        mov  rdx, rbx
        mov  rcx, qword ptr [r12 + PIECE_SOURCE]
        add  rcx, r15
        mov  r8, qword ptr [r12 + PIECE_DEST_SIZE]
        fail_named E_MODULE_UNPACK

; Where a piece is unpacked to: its place, or free room if the stub is there, or the page that the stub does not map;
; enter_kernel then moves it last.
; in:  r12 = piece, rbx = record of its module
; out: rdi
; clobbers: rax, rcx, rdx, rsi, r8, r9, r10, r11
; fails: E_NO_FREE_ROOM, E_TOO_MANY_DEFERRED
choose_dest:
        mov  rdi, qword ptr [r12 + PIECE_DEST]
        call overlaps_stub
        jnc  .done
        mov  rdi, qword ptr [r12 + PIECE_DEST_SIZE]
        call find_room
        test rax, rax
        jz   .no_room
        mov  ecx, dword ptr [rip + deferred_count]
        cmp  ecx, MAX_DEFERRED
        jae  .too_many
        inc  dword ptr [rip + deferred_count]
        imul ecx, ecx, DEFERRED_SIZEOF
        lea  rdx, [rip + deferred]
        add  rdx, rcx
        mov  qword ptr [rdx + DEFERRED_FROM], rax
        mov  rcx, qword ptr [r12 + PIECE_DEST]
        mov  qword ptr [rdx + DEFERRED_DEST], rcx
        mov  rcx, qword ptr [r12 + PIECE_DEST_SIZE]
        mov  qword ptr [rdx + DEFERRED_SIZE], rcx
        mov  rcx, qword ptr [r12 + PIECE_ZERO_SIZE]
        mov  qword ptr [rdx + DEFERRED_ZERO_SIZE], rcx
        mov  rdi, rax
.done:
        ret
.no_room:
        mov  rdi, rbx
        call record_name
        mov  rcx, rax
        mov  rdx, qword ptr [r12 + PIECE_DEST_SIZE]
        fail E_NO_FREE_ROOM
.too_many:
        mov  rdx, rbx
        mov  ecx, MAX_DEFERRED
        fail_named E_TOO_MANY_DEFERRED

; in:  r12 = piece
; out: CF set if its place, with what is cleared, overlaps the stub, or begins in the first page
; clobbers: rax, rcx
overlaps_stub:
        mov  rax, qword ptr [r12 + PIECE_DEST]
        cmp  rax, PAGE_SIZE
        jb   .overlaps
        lea  rcx, [rip + __image_end]
        cmp  rax, rcx
        jae  .clear
        add  rax, qword ptr [r12 + PIECE_DEST_SIZE]
        add  rax, qword ptr [r12 + PIECE_ZERO_SIZE]
        lea  rcx, [rip + __image_start]
        cmp  rcx, rax                   ; CF set: the stub starts below the piece's end
.overlaps:
        ret
.clear:
        clc
        ret

; in:  ebp = number of the module
; out: rbx = its record, r12 = its first piece, r14 = number of pieces, r15 = its boot_module
; clobbers: rax, rcx
first_piece:
        mov  ecx, ebp
        call module_record_at
        mov  rbx, rax
        mov  rcx, qword ptr [rip + tables]
        mov  r14d, dword ptr [rbx + MODULE_RECORD_NR_PIECES]
        mov  r12d, dword ptr [rbx + MODULE_RECORD_FIRST_PIECE]
        imul r12, r12, PIECE_SIZEOF
        add  r12, rcx
        mov  ecx, dword ptr [rcx + TABLES_PIECES]
        add  r12, rcx
        imul eax, ebp, BOOT_MODULE_SIZEOF
        lea  r15, [rip + boot_modules]
        add  r15, rax
        ret
