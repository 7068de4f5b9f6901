; Exceptions once domains run. An exit leaves the guest's task register in the cpu, so no gate may take its stack from a
; TSS; and a few instructions are expected to fail: what follows them is told by a list.

.global set_gates, wait_for_word, read_msr, write_msr

.section .text

; Changes the gates of load_descriptors: no stack of their own, NMI and #GP to routines of this file.
; clobbers: rax, rcx, rdx, rdi
set_gates:
        lea  rdi, [rip + idt]
        mov  ecx, IDT_VECTORS
.gate:
        mov  byte ptr [rdi + IDT_GATE_IST], 0
        add  rdi, IDT_GATE_SIZEOF
        dec  ecx
        jnz  .gate
        lea  rdi, [rip + idt + VECTOR_NMI * IDT_GATE_SIZEOF]
        lea  rax, [rip + on_nmi]
        call .set
        lea  rdi, [rip + idt + VECTOR_PROTECTION * IDT_GATE_SIZEOF]
        lea  rax, [rip + on_protection]
.set:
        mov  word ptr [rdi + IDT_GATE_OFFSET_LOW], ax
        shr  rax, 16
        mov  word ptr [rdi + IDT_GATE_OFFSET_MIDDLE], ax
        shr  rax, 16
        mov  dword ptr [rdi + IDT_GATE_OFFSET_HIGH], eax
        ret

; Waits until a word in memory is no longer 0: whoever changes it sends an NMI then.
; in:  rdi = the word, 32 bits
; clobbers: none
wait_for_word:
        cmp  dword ptr [rdi], 0
        jne  word_found
halt_for_nmi:
        hlt
        jmp  wait_for_word
word_found:
        ret

; An NMI wakes a cpu, no more. After one that came between the look at the word and the hlt the word is looked at again.
on_nmi:
        push rax
        push rdx
        mov  rax, qword ptr [rsp + 2 * 8]
        lea  rdx, [rip + wait_for_word]
        sub  rax, rdx
        cmp  rax, halt_for_nmi - wait_for_word
        ja   .done
        mov  qword ptr [rsp + 2 * 8], rdx
.done:
        pop  rdx
        pop  rax
        iretq

; Goes on where .fixups says; what it does not list is a fault of ours, and is reported as such.
on_protection:
        push rax
        push rcx
        push rdx
        mov  rax, qword ptr [rsp + 4 * 8]       ; behind three registers and the error code
        lea  rcx, [rip + __start_fixups]
        lea  rdx, [rip + __end_fixups]
.next:
        cmp  rcx, rdx
        jae  .unexpected
        cmp  rax, qword ptr [rcx]
        je   .found
        add  rcx, 16
        jmp  .next
.found:
        mov  rax, qword ptr [rcx + 8]
        mov  qword ptr [rsp + 4 * 8], rax
        pop  rdx
        pop  rcx
        pop  rax
        add  rsp, 8                     ; the error code
        iretq
.unexpected:
        pop  rdx
        pop  rcx
        pop  rax
        jmp  exception_vectors + VECTOR_PROTECTION * EXCEPTION_VECTOR_SIZE

; Reads an MSR that may not be there.
; in:  ecx = MSR
; out: edx:eax; CF set, and 0, if the cpu has none of that number
read_msr:
        rdmsr
        clc
        ret
read_refused:
        xor  eax, eax
        xor  edx, edx
        stc
        ret

; Writes an MSR that may not take it.
; in:  ecx = MSR, edx:eax = value
; out: CF set if the cpu refused
write_msr:
        wrmsr
        clc
        ret
write_refused:
        stc
        ret

.section .fixups                        ; what may raise #GP, and where it then goes on
        .quad read_msr, read_refused
        .quad write_msr, write_refused
