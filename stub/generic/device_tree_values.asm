; Values of device tree properties.

.include "lib/macros.inc"

.global read_memory, keep_text, missing_property, bad_property

.section .text

; An amount of memory: a string such as "512M" (KiB without a letter, as Xen has it), or KiB in one or two cells.
; in:  rax = value, ecx = its bytes, rdi = the property's name, r14 = the node's
; out: rax = pages
; clobbers: rcx, rdx, rsi, r8
; fails: E_FDT_PROPERTY
read_memory:
        test ecx, ecx
        jz   bad_property
        mov  rsi, rax
        cmp  byte ptr [rax], '0'
        jb   .cells
        cmp  byte ptr [rax], '9'
        ja   .cells
        mov  edx, ecx
        cmp  byte ptr [rax + rdx - 1], 0
        jne  .cells
        xor  eax, eax
.digit:
        movzx edx, byte ptr [rsi]
        inc  rsi
        sub  edx, '0'
        cmp  edx, 9
        ja   .unit
        imul rax, rax, 10
        add  rax, rdx
        mov  r8, rax
        shr  r8, 34                     ; beyond any machine; the greatest unit shifts by 30 bits
        jnz  bad_property
        jmp  .digit
.unit:
        xor  r8d, r8d                   ; r8 = bits that the unit shifts KiB by
        cmp  edx, -'0'
        je   .kib
        inc  rsi
        cmp  byte ptr [rsi - 1], 0      ; one letter, and the end
        jne  bad_property
        add  edx, '0'
        or   edx, 0x20                  ; lower case
        cmp  edx, 'k'
        je   .kib
        mov  r8d, 10
        cmp  edx, 'm'
        je   .kib
        mov  r8d, 20
        cmp  edx, 'g'
        je   .kib
        mov  r8d, 30
        cmp  edx, 't'
        jne  bad_property
.kib:
        xchg rcx, r8
        mov  rdx, rax
        shl  rdx, cl
        xchg rcx, r8
        mov  rax, rdx
        shr  rdx, 48
        jnz  bad_property
        jmp  .pages
.cells:
        mov  eax, dword ptr [rsi]
        bswap eax
        cmp  ecx, 4
        je   .pages
        cmp  ecx, 8
        jne  bad_property
        mov  rax, qword ptr [rsi]
        bswap rax
.pages:
        add  rax, 3                     ; KiB to pages, up
        jc   bad_property
        shr  rax, 2
        ret

; Keeps a string that must end inside of its property.
; in:  rdi = value, ecx = its bytes
; out: rax = the copy
; clobbers: rcx, rdx, rsi, rdi
; fails: E_FDT_PROPERTY, what keep_string fails with
keep_text:
        test ecx, ecx
        jz   .bad
        cmp  byte ptr [rdi + rcx - 1], 0
        je   keep_string
.bad:
        lea  rdi, [rip + bootargs_name]
        jmp  bad_property

; in:  r14 = a node's name, rdi = a property's, ecx = bytes of its value
missing_property:
        xor  ecx, ecx
bad_property:
        mov  r8, rdi
        mov  rdx, r14
        fail E_FDT_PROPERTY
