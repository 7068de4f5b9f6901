; Segments, the interrupt table, and what happens on a cpu exception. Shared with our own kernels.

.include "macros.inc"

.global load_descriptors, gdt, gdt_pointer32, idt, idt_pointer, exception_vectors, stack_end, stack_guard, exception_stack_guard

.section .text

; Loads the stub's descriptor tables, wherever it lies.
; clobbers: rax, rcx, rdx, rdi
load_descriptors:
        lea  rax, [rip + gdt]
        mov  qword ptr [rip + gdt_pointer + 2], rax
        lgdt [rip + gdt_pointer]
        mov  eax, GDT_DATA
        mov  ds, eax
        mov  es, eax
        mov  ss, eax
        mov  fs, eax
        mov  gs, eax

        lea  rax, [rip + tss]           ; exceptions get a stack that is known to be good
        lea  rcx, [rip + exception_stack_end]
        mov  qword ptr [rax + TSS64_IST], rcx
        mov  word ptr [rip + gdt_tss64 + 2], ax
        shr  rax, 16
        mov  byte ptr [rip + gdt_tss64 + 4], al
        mov  byte ptr [rip + gdt_tss64 + 7], ah
        mov  byte ptr [rip + gdt_tss64 + 5], GDT_TYPE_TSS
        shr  rax, 16
        mov  dword ptr [rip + gdt_tss64 + 8], eax
        mov  eax, GDT_TSS64
        ltr  ax

        lea  rdi, [rip + idt]
        lea  rax, [rip + exception_vectors]
        mov  ecx, IDT_VECTORS
.gate:
        mov  rdx, rax
        mov  word ptr [rdi + IDT_GATE_OFFSET_LOW], dx
        mov  word ptr [rdi + IDT_GATE_SELECTOR], GDT_CODE64
        mov  byte ptr [rdi + IDT_GATE_IST], 1
        mov  byte ptr [rdi + IDT_GATE_TYPE], IDT_INTERRUPT_GATE
        shr  rdx, 16
        mov  word ptr [rdi + IDT_GATE_OFFSET_MIDDLE], dx
        shr  rdx, 16
        mov  dword ptr [rdi + IDT_GATE_OFFSET_HIGH], edx
        add  rax, EXCEPTION_VECTOR_SIZE
        add  rdi, IDT_GATE_SIZEOF
        dec  ecx
        jnz  .gate
        lea  rax, [rip + idt]
        mov  qword ptr [rip + idt_pointer + 2], rax
        lidt [rip + idt_pointer]
        ret

; One call for each vector: the return address says which it was.
.macro four_exception_vectors
        call exception
        call exception
        call exception
        call exception
.endm

exception_vectors:
        four_exception_vectors
        four_exception_vectors
        four_exception_vectors
        four_exception_vectors
        four_exception_vectors
        four_exception_vectors
        four_exception_vectors
        four_exception_vectors
exception_vectors_end:
.assert exception_vectors_end - exception_vectors == IDT_VECTORS * EXCEPTION_VECTOR_SIZE, "one call for each exception vector"

; Four saved registers on one line.
.macro print_registers message, first
        lea  rdi, [rip + \message]
        mov  rsi, qword ptr [rbx + \first * 8]
        mov  rdx, qword ptr [rbx + \first * 8 + 8]
        mov  rcx, qword ptr [rbx + \first * 8 + 16]
        mov  r8, qword ptr [rbx + \first * 8 + 24]
        call print_line
.endm

; Prints the registers and the exception, and ends the boot.
; in:  return address behind a vector's call, then what the cpu pushed
; fails: E_EXCEPTION, always
exception:
        push r15
        push r14
        push r13
        push r12
        push r11
        push r10
        push r9
        push r8
        push rbp
        push rdi
        push rsi
        push rdx
        push rcx
        push rbx
        push rax
        mov  rbx, rsp                   ; rbx = 15 registers and the vector's return address
        lea  r12, [rbx + 16 * 8]        ; r12 = what the cpu pushed
        mov  al, byte ptr [rip + exceptions_seen]
        inc  byte ptr [rip + exceptions_seen]
        cmp  al, 1
        ja   end_boot                   ; reporting one raises the next: that would go round for ever
        jb   .report
        xor  eax, eax                   ; it may have been a screen: once more for the serial port alone
        mov  qword ptr [rip + framebuffer_console], rax
        mov  qword ptr [rip + firmware_console], rax
        mov  byte ptr [rip + console_sinks], CONSOLE_SERIAL
.report:
        mov  eax, dword ptr [rbx + 15 * 8]
        lea  rcx, [rip + exception_vectors + EXCEPTION_VECTOR_SIZE]
        sub  eax, ecx
        mov  cl, EXCEPTION_VECTOR_SIZE
        div  cl
        movzx r13d, al                  ; r13 = vector
        xor  r14d, r14d                 ; r14 = error code
        mov  eax, IDT_ERROR_CODES
        bt   eax, r13d
        jnc  .no_code
        mov  r14, qword ptr [r12]
        add  r12, 8
.no_code:
        call console_start
        print_registers M_REGISTERS_1, 0
        print_registers M_REGISTERS_2, 4
        print_registers M_REGISTERS_3, 7
        print_registers M_REGISTERS_4, 11
        lea  rdi, [rip + M_REGISTERS_5]
        mov  rsi, cr0
        mov  rdx, cr2
        mov  rcx, cr3
        mov  r8, cr4
        call print_line
        lea  rdi, [rip + M_REGISTERS_6]
        mov  rsi, qword ptr [r12 + 24]
        mov  rdx, qword ptr [r12 + 16]
        mov  rcx, qword ptr [r12 + 8]
        call print_line

        mov  edx, r13d
        imul eax, r13d, EXCEPTION_NAME_SIZE
        lea  rcx, [rip + exception_names]
        add  rcx, rax
        mov  r8, qword ptr [r12]
        mov  r9, r14
        fail E_EXCEPTION

.section .rodata
exception_names:                        ; EXCEPTION_NAME_SIZE bytes each
        .ascii "#DE\0#DB\0NMI\0#BP\0#OF\0#BR\0#UD\0#NM\0#DF\0---\0#TS\0#NP\0#SS\0#GP\0#PF\0---\0"
        .ascii "#MF\0#AC\0#MC\0#XM\0#VE\0#CP\0---\0---\0---\0---\0---\0---\0#HV\0#VC\0#SX\0---\0"

.section .data
.align 8
gdt:
        .quad 0
        .quad 0x00af9a000000ffff        ; GDT_CODE64: 64-bit code, present, readable
        .quad 0x00cf92000000ffff        ; GDT_DATA: flat 4 GiB, writable
        .quad 0x00cf9a000000ffff        ; GDT_CODE32: flat 4 GiB, 32-bit code
gdt_tss64:                              ; GDT_TSS64: base and type are filled in
        .quad TSS64_SIZEOF - 1
        .quad 0
gdt_end:
.assert GDT_TSS64 + 16 == gdt_end - gdt, "the selectors of x86.h number the entries of gdt"
gdt_pointer:
        .word gdt_end - gdt - 1
        .quad 0
gdt_pointer32:
        .word gdt_end - gdt - 1
        .long gdt
idt_pointer:
        .word IDT_VECTORS * IDT_GATE_SIZEOF - 1
        .quad 0
exceptions_seen:
        .byte 0

.section .bss
.align 16
idt:                    .space IDT_VECTORS * IDT_GATE_SIZEOF
tss:                    .space TSS64_SIZEOF
.align PAGE_SIZE
exception_stack_guard:  .space PAGE_SIZE        ; unmapped in the stub: what grows over its stack ends here
                        .space EXCEPTION_STACK_SIZE
exception_stack_end:
stack_guard:            .space PAGE_SIZE
                        .space STACK_SIZE
stack_end:
