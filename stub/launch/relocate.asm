; Kernels that may be moved: a machine may have no RAM where the host planned one, or something else there.

.include "lib/macros.inc"

.global find_place

.section .movers
        .long move_kernel - __image_start
        .long 0

.section .text

; Gives a kernel that may be moved another place, if its own is not free RAM; nothing of it lies there yet. Without
; room it stays: what is in its way may be moved, and if that is not enough, the stages behind say so.
; in:  r13 = boot_domain
; out: its kernel's pieces, its entry
; clobbers: all but r13, rsp
move_kernel:
        mov  ebp, dword ptr [r13 + BOOT_DOMAIN_KERNEL]
        call first_piece
        mov  edx, dword ptr [rbx + MODULE_RECORD_ALIGNMENT]
        test edx, edx
        jz   .done
        mov  ecx, r14d
        jrcxz .done
        mov  r9, OUT_OF_THE_WAY         ; while room is looked for: its old place may be part of its new one
        call .shift
        mov  rbp, rdi
        mov  r15, rsi
        mov  r8d, dword ptr [rbx + MODULE_RECORD_LOWEST]
        mov  r9d, dword ptr [rbx + MODULE_RECORD_HIGHEST]
        inc  r9
        call find_place
        test rax, rax
        cmovz rax, rbp
        sub  rax, rbp
        mov  rbx, rax                   ; rbx = how far it is moved
        mov  r9, -OUT_OF_THE_WAY
        add  r9, rax
        call .shift
        test rbx, rbx
        jz   .done
        add  qword ptr [r13 + BOOT_DOMAIN_ENTRY], rbx
        movzx esi, word ptr [r13 + BOOT_DOMAIN_DOMID]
        mov  rdx, rbp
        mov  rcx, r15
        lea  r8, [rbp + rbx]
        lea  r9, [r15 + rbx]
        say  M_KERNEL_MOVED
.done:
        ret

; in: r12 = first piece, r14d = pieces, r9 = distance; out: rdi, rsi = start and end of all, before; clobbers: rax,
; rcx, r8, r10, r11
.shift:
        mov  r8, r12
        mov  r11d, r14d
        mov  rdi, -1
        xor  esi, esi
.piece:
        call piece_range
        cmp  rdi, rax
        cmova rdi, rax
        cmp  rsi, rcx
        cmovb rsi, rcx
        add  qword ptr [r8 + PIECE_DEST], r9
        add  r8, PIECE_SIZEOF
        dec  r11d
        jnz  .piece
        ret

.set OUT_OF_THE_WAY, 1 << 62            ; beyond all that find_room looks at

; Where a kernel that may be moved is to lie: where it wants to be, if that is free RAM, or where there is room.
; in:  rdi = where it wants to be, rsi = its end there, edx = alignment, r8 = lowest place, r9 = end of the highest
; out: rax = its place, 0 for none
; clobbers: rcx, rdx, rsi, rdi, r8, r9, r10, r11
find_place:
        push rbx
        push r12
        push r14
        mov  ebx, edx
        mov  r12, r8
        mov  r14, r9
        call test_ram
        jne  .elsewhere
        call find_overlap
        test rcx, rcx
        mov  rax, rdi
        jz   .done
.elsewhere:
        sub  rsi, rdi
        lea  rdi, [rsi + rbx]           ; room enough to align in
        mov  rsi, r14
        call find_room_below
        test rax, rax
        jz   .done
        lea  rax, [rax + rbx - 1]
        neg  rbx
        and  rax, rbx
        cmp  rax, r12
        jae  .done
        xor  eax, eax
.done:
        pop  r14
        pop  r12
        pop  rbx
        ret
