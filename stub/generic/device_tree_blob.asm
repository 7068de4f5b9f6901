; Reading a flattened device tree. Devicetree Specification 0.4, chapter 5. The whole structure is checked once;
; the routines behind rely on that, and every loop ends with the structure.

.include "lib/macros.inc"

.global check_tree, next_node, next_any_node, skip_node, find_property, test_compatible
.global tree_structure

.section .text

; Checks a tree from end to end.
; in:  rsi = tree, rdi = bytes that are there
; out: tree_structure, tree_strings
; clobbers: all but rbp, rsp
; fails: E_FDT_CUT_SHORT, E_FDT_VERSION, E_FDT_STRUCTURE
check_tree:
        mov  rbx, rsi                   ; rbx = tree, rdi = its bytes
        lea  rdx, [rip + header_word]
        mov  ecx, FDT_HEADER_SIZEOF
        call .bounded
        lea  rdx, [rip + tree_word]
        mov  ecx, dword ptr [rbx + FDT_HEADER_TOTALSIZE]
        bswap ecx
        call .bounded
        mov  edi, ecx                   ; from here on what the tree says
        cmp  edi, FDT_HEADER_SIZEOF
        jb   .header
        mov  edx, dword ptr [rbx + FDT_HEADER_VERSION]
        bswap edx
        cmp  edx, FDT_FIRST_VERSION
        jb   .version
        mov  edx, dword ptr [rbx + FDT_HEADER_LAST_COMP_VERSION]
        bswap edx
        cmp  edx, FDT_LAST_VERSION
        ja   .version

        lea  rdx, [rip + strings_word]
        mov  eax, dword ptr [rbx + FDT_HEADER_OFF_DT_STRINGS]
        bswap eax
        mov  ecx, dword ptr [rbx + FDT_HEADER_SIZE_DT_STRINGS]
        bswap ecx
        mov  r14d, ecx                  ; r14 = bytes of strings
        add  rcx, rax
        call .bounded
        add  rax, rbx
        mov  qword ptr [rip + tree_strings], rax
        test r14d, r14d
        jz   .structure
        cmp  byte ptr [rax + r14 - 1], 0        ; ends the last name
        jne  .cut_short
.structure:
        lea  rdx, [rip + structure_word]
        mov  eax, dword ptr [rbx + FDT_HEADER_OFF_DT_STRUCT]
        bswap eax
        mov  ecx, edi                   ; version 16 does not say how long it is
        mov  r13d, dword ptr [rbx + FDT_HEADER_VERSION]
        bswap r13d
        cmp  r13d, FDT_LAST_VERSION
        jb   .start
        mov  ecx, dword ptr [rbx + FDT_HEADER_SIZE_DT_STRUCT]
        bswap ecx
        add  rcx, rax
        call .bounded
.start:
        lea  r13, [rbx + rcx]           ; r13 = end of the structure
        lea  rsi, [rbx + rax]           ; rsi = cursor
        mov  qword ptr [rip + tree_structure], rsi
        mov  ecx, esi
        or   ecx, ebx
        test ecx, 3
        jnz  .malformed
        xor  r12d, r12d                 ; r12 = depth, r15 = nodes seen
        xor  r15d, r15d

.token:
        lea  rax, [rsi + 4]
        cmp  rax, r13
        ja   .malformed
        mov  eax, dword ptr [rsi]
        bswap eax
        cmp  eax, FDT_BEGIN_NODE
        je   .begin_node
        cmp  eax, FDT_END_NODE
        je   .end_node
        cmp  eax, FDT_PROP
        je   .property
        cmp  eax, FDT_END
        je   .end
        cmp  eax, FDT_NOP
        jne  .malformed
        add  rsi, 4
        jmp  .token
.begin_node:
        test r12d, r12d
        jnz  .inner
        test r15d, r15d
        jnz  .malformed                 ; a second root
.inner:
        inc  r15d
        inc  r12d
        cmp  r12d, FDT_MAX_DEPTH
        ja   .malformed
        lea  rax, [rsi + 4]
.name:
        cmp  rax, r13
        jae  .malformed
        inc  rax
        cmp  byte ptr [rax - 1], 0
        jne  .name
        jmp  .advance
.end_node:
        sub  r12d, 1
        jc   .malformed
        add  rsi, 4
        jmp  .token
.property:
        test r12d, r12d
        jz   .malformed
        lea  rax, [rsi + 4 + FDT_PROPERTY_SIZEOF]
        cmp  rax, r13
        ja   .malformed
        mov  ecx, dword ptr [rsi + 4 + FDT_PROPERTY_NAMEOFF]
        bswap ecx
        cmp  ecx, r14d
        jae  .malformed
        mov  ecx, dword ptr [rsi + 4 + FDT_PROPERTY_LEN]
        bswap ecx
        add  rax, rcx
        cmp  rax, r13
        ja   .malformed
.advance:                               ; to the next multiple of 4 behind rax
        sub  rax, rbx
        add  rax, 3
        and  rax, -4
        lea  rsi, [rbx + rax]
        jmp  .token
.end:
        test r12d, r12d
        jnz  .malformed
        test r15d, r15d
        jz   .malformed
        ret
.malformed:
        mov  rdx, rsi
        sub  rdx, qword ptr [rip + tree_structure]
        fail E_FDT_STRUCTURE
.version:
        mov  ecx, FDT_FIRST_VERSION
        mov  r8d, FDT_LAST_VERSION
        fail E_FDT_VERSION
.header:
        mov  ecx, FDT_HEADER_SIZEOF
        lea  rdx, [rip + header_word]
        jmp  .cut_short

; in: rcx = where a part ends, rdx = its name, rdi = bytes that are there
.bounded:
        cmp  rcx, rdi
        ja   .cut_short
        ret
.cut_short:
        mov  r8, rcx
        mov  rcx, rdx
        mov  edx, edi
        fail E_FDT_CUT_SHORT

; The next node inside of one that is enabled: without a status, or "okay" (Devicetree Specification 0.4, section
; 2.3.4), or "ok", as older trees have it. Any other is passed over, with all that is in it.
; in:  rsi = place in a node behind its properties, or before them
; out: rax = name, rsi, r12 = what is inside of it; ZF set if there is none, with rsi = behind the outer node
; clobbers: rcx, rdx, r8, r9, r10
next_node:
        call next_any_node
        je   .done
        push rax
        push rdi
        mov  r12, rsi
        lea  rdi, [rip + status_name]
        call find_property
        pop  rdi
        jne  .enabled
        cmp  ecx, STATUS_OK_SIZE
        je   .ok
        cmp  ecx, STATUS_OKAY_SIZE
        jne  .disabled
        cmp  dword ptr [rax], STATUS_OKAY
        jne  .disabled
        cmp  byte ptr [rax + STATUS_OKAY_SIZE - 1], 0
        je   .enabled
.disabled:
        pop  rax
        call skip_node
        jmp  next_node
.ok:
        cmp  word ptr [rax], STATUS_OK
        jne  .disabled
        cmp  byte ptr [rax + STATUS_OK_SIZE - 1], 0
        jne  .disabled
.enabled:
        pop  rax
        test rsi, rsi                   ; clears ZF
.done:
        ret

.set STATUS_OKAY, 0x79616b6f            ; "okay", and a zero byte
.set STATUS_OKAY_SIZE, 5
.set STATUS_OK, 0x6b6f                  ; "ok", and a zero byte
.set STATUS_OK_SIZE, 3

; The next node inside of one, be it enabled or not.
; in:  rsi = place in a node behind its properties, or before them
; out: rax = name, rsi = what is inside of it; ZF set if there is none, with rsi = behind the outer node
; clobbers: rcx
next_any_node:
        mov  eax, dword ptr [rsi]
        bswap eax
        add  rsi, 4
        cmp  eax, FDT_END_NODE
        je   .done
        cmp  eax, FDT_BEGIN_NODE
        je   .node
        cmp  eax, FDT_PROP
        jne  next_any_node
        mov  ecx, dword ptr [rsi + FDT_PROPERTY_LEN]
        bswap ecx
        lea  rsi, [rsi + rcx + FDT_PROPERTY_SIZEOF + 3]
        and  rsi, -4
        jmp  next_any_node
.node:
        mov  rax, rsi
.name:
        inc  rsi
        cmp  byte ptr [rsi - 1], 0
        jne  .name
        add  rsi, 3
        and  rsi, -4
        test rsi, rsi                   ; clears ZF
.done:
        ret

; in:  rsi = inside of a node; out: rsi = behind it; clobbers: rax, rcx
skip_node:
        call next_any_node
        je   .done
        call skip_node
        jmp  skip_node
.done:
        ret

; A property of a node.
; in:  r12 = inside of the node, rdi = name
; out: ZF set if there is one, with rax = value, ecx = its bytes
; clobbers: rdx, r8, r9, r10
find_property:
        mov  r8, r12
.next:
        mov  eax, dword ptr [r8]
        bswap eax
        add  r8, 4
        cmp  eax, FDT_NOP
        je   .next
        cmp  eax, FDT_PROP
        jne  .none
        mov  ecx, dword ptr [r8 + FDT_PROPERTY_LEN]
        bswap ecx
        mov  edx, dword ptr [r8 + FDT_PROPERTY_NAMEOFF]
        bswap edx
        add  rdx, qword ptr [rip + tree_strings]
        lea  rax, [r8 + FDT_PROPERTY_SIZEOF]
        lea  r8, [rax + rcx + 3]
        and  r8, -4
        xor  r9d, r9d
.letter:
        movzx r10d, byte ptr [rdi + r9]
        cmp  r10b, byte ptr [rdx + r9]
        jne  .next
        inc  r9d
        test r10d, r10d
        jnz  .letter
        ret
.none:
        or   eax, 1                     ; clears ZF
        ret

; Is a string in a node's list `compatible`?
; in:  r12 = inside of the node, rdi = string
; out: ZF set if so
; clobbers: rax, rcx, rdx, r8, r9, r10
test_compatible:
        push rdi
        lea  rdi, [rip + compatible_name]
        call find_property
        pop  rdi
        jne  .done
        lea  rdx, [rax + rcx]           ; rax = string of the list, rdx = its end
.string:
        xor  r9d, r9d
.letter:
        lea  r8, [rax + r9]
        cmp  r8, rdx
        jae  .none
        movzx r10d, byte ptr [rdi + r9]
        cmp  r10b, byte ptr [r8]
        jne  .next
        inc  r9d
        test r10d, r10d
        jnz  .letter
.done:
        ret
.next:
        cmp  rax, rdx
        jae  .none
        inc  rax
        cmp  byte ptr [rax - 1], 0
        jne  .next
        jmp  .string
.none:
        or   eax, 1                     ; clears ZF
        ret

.section .rodata
compatible_name:        .asciz "compatible"
status_name:            .asciz "status"
header_word:            .asciz "header"
tree_word:              .asciz "total size"
strings_word:           .asciz "strings block"
structure_word:         .asciz "structure block"

.section .bss
.align 8
tree_structure: .space 8
tree_strings:   .space 8
