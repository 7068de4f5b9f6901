; SHA-256 (FIPS 180-4).

; The frame of sha256.
.global sha256

.set SHA256_BLOCK, 64
.set SHA256_STEP, 4096                  ; bytes between two looks at the clock, a power of two
.set SHA256_STATE, 0
.set SHA256_SCHEDULE, 32
.set SHA256_LAST, SHA256_SCHEDULE + 64 * 4
.set SHA256_DIGEST, SHA256_LAST + 2 * SHA256_BLOCK
.set SHA256_BYTES, SHA256_DIGEST + 8
.set SHA256_FRAME, SHA256_BYTES + 8

.section .text

; Shows that it lives: start_watch comes before.
; in:  rdi = 32 bytes for the digest, rsi = message, rdx = its bytes
; clobbers: rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11
sha256:
        push rbx
        push rbp
        push r12
        push r13
        push r14
        push r15
        sub  rsp, SHA256_FRAME
        mov  qword ptr [rsp + SHA256_DIGEST], rdi
        mov  qword ptr [rsp + SHA256_BYTES], rdx
        mov  r15, rsi                   ; r15 = message, r14 = bytes left
        mov  r14, rdx
        lea  rsi, [rip + sha256_start]
        lea  rdi, [rsp + SHA256_STATE]
        mov  ecx, 4
        rep movsq
.block:
        cmp  r14, SHA256_BLOCK
        jb   .tail
        mov  rsi, r15
        call sha256_block
        add  r15, SHA256_BLOCK
        sub  r14, SHA256_BLOCK
        test r14d, SHA256_STEP - SHA256_BLOCK
        jnz  .block
        mov  rdx, qword ptr [rsp + SHA256_BYTES]
        mov  rsi, rdx
        sub  rsi, r14
        shr  rsi, 10
        shr  rdx, 10
        lea  rdi, [rip + M_CHECKING]
        call show_life
        jmp  .block
.tail:                                  ; the rest, a set bit, zeros, and the length in bits
        lea  rdi, [rsp + SHA256_LAST]
        xor  eax, eax
        mov  ecx, 2 * SHA256_BLOCK / 8
        rep stosq
        lea  rdi, [rsp + SHA256_LAST]
        mov  rsi, r15
        mov  ecx, r14d
        rep movsb
        mov  byte ptr [rdi], 0x80
        mov  rax, qword ptr [rsp + SHA256_BYTES]
        shl  rax, 3
        bswap rax
        cmp  r14d, SHA256_BLOCK - 9     ; room for the bit and the length behind it?
        ja   .two
        mov  qword ptr [rsp + SHA256_LAST + SHA256_BLOCK - 8], rax
        jmp  .last
.two:
        mov  qword ptr [rsp + SHA256_LAST + 2 * SHA256_BLOCK - 8], rax
        lea  rsi, [rsp + SHA256_LAST]
        call sha256_block
        lea  rsi, [rsp + SHA256_LAST + SHA256_BLOCK]
        call sha256_block
        jmp  .digest
.last:
        lea  rsi, [rsp + SHA256_LAST]
        call sha256_block
.digest:
        mov  rdi, qword ptr [rsp + SHA256_DIGEST]
        xor  ecx, ecx
.word:
        mov  eax, dword ptr [rsp + SHA256_STATE + rcx * 4]
        bswap eax
        mov  dword ptr [rdi + rcx * 4], eax
        inc  ecx
        cmp  ecx, 8
        jb   .word
        add  rsp, SHA256_FRAME
        pop  r15
        pop  r14
        pop  r13
        pop  r12
        pop  rbp
        pop  rbx
        ret

; One round. a..h name the registers of the eight working variables; the result goes to d and h, and
; the next round uses them turned by one place. y comes as b ^ c, and x leaves as a ^ b, which the next round has for it.
; K is at r14, W at r13.
.macro sha256_round a, b, c, d, e, f, g, h, x, y, i
        mov  esi, \e                    ; S1 = e>>>6 ^ e>>>11 ^ e>>>25
        ror  esi, 14
        xor  esi, \e
        ror  esi, 5
        xor  esi, \e
        ror  esi, 6
        add  \h, dword ptr [r14 + \i * 4]
        add  \h, dword ptr [r13 + \i * 4]
        add  \h, esi
        mov  esi, \f                    ; Ch = ((f ^ g) & e) ^ g
        xor  esi, \g
        and  esi, \e
        xor  esi, \g
        add  \h, esi
        add  \d, \h
        mov  esi, \a                    ; S0 = a>>>2 ^ a>>>13 ^ a>>>22
        ror  esi, 9
        xor  esi, \a
        ror  esi, 11
        xor  esi, \a
        ror  esi, 2
        add  \h, esi
        mov  \x, \a                     ; Maj = ((a ^ b) & (b ^ c)) ^ b
        xor  \x, \b
        and  \y, \x
        xor  \y, \b
        add  \h, \y
.endm

; in:  rsi = block of 64 bytes; the frame of sha256 lies above the return address
; clobbers: rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13
sha256_block:
        push r14
        lea  r13, [rsp + 16 + SHA256_SCHEDULE]  ; above r14 and the return address
        mov  rdi, r13
        xor  ecx, ecx
.load:
        mov  eax, dword ptr [rsi + rcx * 4]
        bswap eax
        mov  dword ptr [rdi + rcx * 4], eax
        inc  ecx
        cmp  ecx, 16
        jb   .load
.schedule:                              ; W[t] = s1(W[t-2]) + W[t-7] + s0(W[t-15]) + W[t-16]
        mov  eax, dword ptr [rdi + rcx * 4 - 8]
        mov  edx, eax
        mov  ebx, eax
        ror  eax, 17
        ror  edx, 19
        shr  ebx, 10
        xor  eax, edx
        xor  eax, ebx
        mov  edx, dword ptr [rdi + rcx * 4 - 60]
        mov  ebx, edx
        mov  ebp, edx
        ror  edx, 7
        ror  ebx, 18
        shr  ebp, 3
        xor  edx, ebx
        xor  edx, ebp
        add  eax, edx
        add  eax, dword ptr [rdi + rcx * 4 - 28]
        add  eax, dword ptr [rdi + rcx * 4 - 64]
        mov  dword ptr [rdi + rcx * 4], eax
        inc  ecx
        cmp  ecx, 64
        jb   .schedule

        lea  rbp, [rsp + 16 + SHA256_STATE]
        mov  eax, dword ptr [rbp]
        mov  ebx, dword ptr [rbp + 4]
        mov  ecx, dword ptr [rbp + 8]
        mov  edx, dword ptr [rbp + 12]
        mov  r8d, dword ptr [rbp + 16]
        mov  r9d, dword ptr [rbp + 20]
        mov  r10d, dword ptr [rbp + 24]
        mov  r11d, dword ptr [rbp + 28]
        mov  edi, ebx
        xor  edi, ecx
        lea  r14, [rip + sha256_constants]
        mov  r12d, 8
.rounds:
        sha256_round eax, ebx, ecx, edx, r8d, r9d, r10d, r11d, ebp, edi, 0
        sha256_round r11d, eax, ebx, ecx, edx, r8d, r9d, r10d, edi, ebp, 1
        sha256_round r10d, r11d, eax, ebx, ecx, edx, r8d, r9d, ebp, edi, 2
        sha256_round r9d, r10d, r11d, eax, ebx, ecx, edx, r8d, edi, ebp, 3
        sha256_round r8d, r9d, r10d, r11d, eax, ebx, ecx, edx, ebp, edi, 4
        sha256_round edx, r8d, r9d, r10d, r11d, eax, ebx, ecx, edi, ebp, 5
        sha256_round ecx, edx, r8d, r9d, r10d, r11d, eax, ebx, ebp, edi, 6
        sha256_round ebx, ecx, edx, r8d, r9d, r10d, r11d, eax, edi, ebp, 7
        add  r14, 8 * 4
        add  r13, 8 * 4
        dec  r12d
        jnz  .rounds
        lea  rbp, [rsp + 16 + SHA256_STATE]
        add  dword ptr [rbp], eax
        add  dword ptr [rbp + 4], ebx
        add  dword ptr [rbp + 8], ecx
        add  dword ptr [rbp + 12], edx
        add  dword ptr [rbp + 16], r8d
        add  dword ptr [rbp + 20], r9d
        add  dword ptr [rbp + 24], r10d
        add  dword ptr [rbp + 28], r11d
        pop  r14
        ret

.section .rodata
.align 4
sha256_start:                           ; square roots of the first 8 primes, their fractions
        .long 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19
sha256_constants:                       ; cube roots of the first 64 primes, their fractions
        .long 0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5
        .long 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174
        .long 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da
        .long 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967
        .long 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85
        .long 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070
        .long 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3
        .long 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
