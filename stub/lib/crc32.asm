; Checksums of the tables and of what a kernel is told. Shared with our own kernels.

.global update_crc32

.section .text

; CRC-32 as zlib and IEEE 802.3 have it (reflected, polynomial 0xedb88320), without the final inversion.
; in:  eax = running value, rsi = bytes, rcx = their number
; out: eax
; clobbers: rcx, rdx, rsi, rdi
update_crc32:
        test rcx, rcx
        jz   .done
        movzx edx, byte ptr [rsi]
        xor  eax, edx
        mov  edi, 8
.bit:
        mov  edx, eax
        and  edx, 1
        neg  edx                        ; all ones if a bit falls out
        and  edx, CRC32_POLYNOMIAL
        shr  eax, 1
        xor  eax, edx
        dec  edi
        jnz  .bit
        inc  rsi
        dec  rcx
        jmp  update_crc32
.done:
        ret
