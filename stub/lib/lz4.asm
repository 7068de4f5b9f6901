; LZ4 block format, as lz4's doc/lz4_Block_format.md has it. Bounded by input and output: whatever the
; bytes are, nothing outside of [dest, dest + dest size) is written, nothing outside of the block read.

.global lz4_unpack

.set LZ4_MIN_MATCH, 4

.section .text

; in:  rdi = dest, rsi = block, rdx = bytes that it unpacks to, rcx = bytes of the block
; out: ZF set if it unpacked to exactly that
; clobbers: rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11, xmm0
lz4_unpack:
        mov  r10, rdi                   ; r10 = first byte of dest, r8 = its end, r9 = end of the block
        lea  r8, [rdi + rdx]
        lea  r9, [rsi + rcx]
.sequence:
        cmp  rsi, r9
        jae  .bad
        movzx eax, byte ptr [rsi]       ; the token: length of literals, length of match
        inc  rsi
        mov  ecx, eax
        shr  ecx, 4
        and  eax, 15
        cmp  ecx, 15
        jne  .literals
.literals_more:
        cmp  rsi, r9
        jae  .bad
        movzx edx, byte ptr [rsi]
        inc  rsi
        add  rcx, rdx
        cmp  edx, 255
        je   .literals_more
.literals:
        mov  rdx, r9
        sub  rdx, rsi
        cmp  rcx, rdx
        ja   .bad
        mov  r11, r8
        sub  r11, rdi
        cmp  rcx, r11
        ja   .bad
        ; 16 bytes at a time where that stays inside; what is copied too much is overwritten next
        sub  rdx, rcx
        sub  r11, rcx
        cmp  rdx, 16
        jb   .literals_exact
        cmp  r11, 16
        jb   .literals_exact
        lea  r11, [rdi + rcx]
        add  rcx, rsi
.literals_16:
        movdqu xmm0, xmmword ptr [rsi]
        movdqu xmmword ptr [rdi], xmm0
        add  rsi, 16
        add  rdi, 16
        cmp  rdi, r11
        jb   .literals_16
        mov  rdi, r11
        mov  rsi, rcx
        jmp  .match
.literals_exact:
        rep movsb
        cmp  rsi, r9                    ; the last sequence has no match
        je   .end

.match:
        lea  rcx, [rsi + 2]
        cmp  rcx, r9
        ja   .bad
        movzx edx, word ptr [rsi]       ; the offset back
        mov  rsi, rcx
        test edx, edx
        jz   .bad
        mov  rcx, rdi
        sub  rcx, r10
        cmp  rdx, rcx
        ja   .bad
        cmp  eax, 15
        jne  .match_length
.match_more:
        cmp  rsi, r9
        jae  .bad
        movzx ecx, byte ptr [rsi]
        inc  rsi
        add  rax, rcx
        cmp  ecx, 255
        je   .match_more
.match_length:
        add  rax, LZ4_MIN_MATCH
        mov  rcx, r8
        sub  rcx, rdi
        sub  rcx, rax
        jb   .bad
        mov  r11, rsi                   ; rsi = source of the match for now
        mov  rsi, rdi
        sub  rsi, rdx
        cmp  rcx, 16
        jb   .match_exact
        cmp  edx, 16
        jb   .match_exact               ; closer than 16: source and dest overlap in one step
        add  rax, rdi
.match_16:
        movdqu xmm0, xmmword ptr [rsi]
        movdqu xmmword ptr [rdi], xmm0
        add  rsi, 16
        add  rdi, 16
        cmp  rdi, rax
        jb   .match_16
        mov  rdi, rax
        mov  rsi, r11
        jmp  .sequence
.match_exact:
        mov  rcx, rax
        rep movsb
        mov  rsi, r11
        jmp  .sequence

.end:
        cmp  rdi, r8
        ret
.bad:
        or   eax, 1                     ; clears ZF
        ret
