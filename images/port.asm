; A program for Linux (32 bits, no library): reads or writes an I/O port of 16 bits, as root.
;   port in PORT            prints what is read
;   port out PORT VALUE
; Numbers are decimal. Status 1: it may not; 2: not understood.

.global start

.set SYS_EXIT, 1
.set SYS_WRITE, 4
.set SYS_IOPL, 110
.set STDOUT, 1

.section .text
.code32

; in: esp = argc, argv[0], argv[1], ... and 0
start:
        pop  ecx
        cmp  ecx, 3
        jb   .usage
        mov  esi, dword ptr [esp + 8]
        call number
        jne  .usage
        mov  edi, eax                   ; edi = port
        mov  ebx, 3
        mov  eax, SYS_IOPL
        int  0x80
        mov  ebx, 1
        test eax, eax
        jnz  exit
        mov  esi, dword ptr [esp + 4]
        cmp  byte ptr [esi], 'i'
        je   .input
        mov  esi, dword ptr [esp + 12]
        test esi, esi
        jz   .usage
        call number
        jne  .usage
        mov  edx, edi
        out  dx, ax
        xor  ebx, ebx
        jmp  exit
.input:
        mov  edx, edi
        in   ax, dx
        movzx eax, ax
        call print_number
        xor  ebx, ebx
        jmp  exit
.usage:
        mov  ebx, 2

; in: ebx = status; never returns
exit:
        mov  eax, SYS_EXIT
        int  0x80

; in:  esi = string of decimal digits
; out: eax; ZF set if it was a number up to its end
; clobbers: ecx, esi
number:
        xor  eax, eax
.digit:
        movzx ecx, byte ptr [esi]
        test ecx, ecx
        jz   .done
        sub  ecx, '0'
        cmp  ecx, 9
        ja   .done
        lea  eax, [eax + eax * 4]
        lea  eax, [ecx + eax * 2]
        inc  esi
        jmp  .digit
.done:
        cmp  byte ptr [esi], 0
        ret

; Prints a number and the end of its line.
; in:  eax
; clobbers: eax, ebx, ecx, edx, esi
print_number:
        lea  esi, [digits_end - 1]
        mov  byte ptr [esi], 10
        mov  ecx, 10
.next:
        xor  edx, edx
        div  ecx
        add  dl, '0'
        dec  esi
        mov  byte ptr [esi], dl
        test eax, eax
        jnz  .next
        mov  ecx, esi
        lea  edx, [digits_end]
        sub  edx, ecx
        mov  ebx, STDOUT
        mov  eax, SYS_WRITE
        int  0x80
        ret

.section .bss
digits:         .space 12
digits_end:
