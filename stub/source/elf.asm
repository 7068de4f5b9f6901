; ELF kernels, 32 and 64 bits: their segments as pieces, their entry. For kernels that no host has looked into.

.include "macros.inc"

.global probe_elf

.section .text

; Adds the segments of an ELF kernel as pieces and finds its entry.
; in:  r13 = boot_domain, ebp = number of its kernel's module, rsi = the file, rdi = its bytes,
;      edx = PROBE_PVH_NOTE: the entry is that of Xen's note; PROBE_ENTRY: that of the file
; out: ZF set if it is such a kernel, with rax = physical entry
; clobbers: all but rbp, r13, rsp
; fails: E_KERNEL_SHORT, E_TOO_MANY_PIECES
probe_elf:
        cmp  rdi, ELF64_EHDR_SIZEOF
        jb   .other
        cmp  dword ptr [rsi + ELF32_EHDR_E_IDENT], ELF_MAGIC
        jne  .other
        mov  r14, rsi                   ; r14 = file, r15 = its bytes, r12 = program header, ebx = headers left
        mov  r15, rdi
        mov  dword ptr [rip + probe_kind], edx
        mov  qword ptr [rip + probe_entry], 0
        cmp  byte ptr [r14 + ELF_CLASS], ELF_CLASS_64
        je   .class64
        mov  r12d, dword ptr [r14 + ELF32_EHDR_E_PHOFF]
        movzx ebx, word ptr [r14 + ELF32_EHDR_E_PHNUM]
        mov  eax, dword ptr [r14 + ELF32_EHDR_E_ENTRY]
        imul ecx, ebx, ELF32_PHDR_SIZEOF
        jmp  .headers
.class64:
        mov  r12, qword ptr [r14 + ELF64_EHDR_E_PHOFF]
        movzx ebx, word ptr [r14 + ELF64_EHDR_E_PHNUM]
        mov  rax, qword ptr [r14 + ELF64_EHDR_E_ENTRY]
        imul ecx, ebx, ELF64_PHDR_SIZEOF
.headers:
        mov  qword ptr [rip + probe_start], rax
        mov  r8, r12
        add  r8, rcx
        jc   .short
        cmp  r8, r15
        ja   .short
        add  r12, r14

        push r12                        ; first the entry, then the pieces: another protocol may fit if there is none
        push rbx
.find:
        call read_segment
        je   .found_all
        call find_entry
        jmp  .find
.found_all:
        pop  rbx
        pop  r12
        cmp  qword ptr [rip + probe_entry], 0
        je   .other
.add:
        call read_segment
        je   .added
        cmp  dword ptr [rip + segment + SEGMENT_TYPE], ELF_PT_LOAD
        jne  .add
        mov  rdi, qword ptr [rip + segment + SEGMENT_OFFSET]
        mov  rsi, qword ptr [rip + segment + SEGMENT_FILESZ]
        mov  rdx, qword ptr [rip + segment + SEGMENT_PADDR]
        mov  rcx, qword ptr [rip + segment + SEGMENT_MEMSZ]
        sub  rcx, rsi
        jbe  .no_rest
.piece:
        xor  r8d, r8d
        call add_piece
        jmp  .add
.no_rest:
        xor  ecx, ecx
        test rsi, rsi
        jz   .add
        jmp  .piece
.added:
        mov  rax, qword ptr [rip + probe_entry]
        cmp  eax, eax                   ; sets ZF
        ret
.other:
        or   eax, 1                     ; clears ZF
        ret
.short:
        mov  rdi, r13
        call record_name
        mov  rdx, rax
        mov  rcx, r15
        fail E_KERNEL_SHORT

; Reads a program header of either class, and checks that its bytes are in the file.
; in:  r12 = program header, ebx = headers left, r14 = file, r15 = its bytes
; out: segment, r12 and ebx one further; ZF set if there was none left
; clobbers: rax, rcx, r8
; fails: E_KERNEL_SHORT
read_segment:
        test ebx, ebx
        jz   .done
        dec  ebx
        mov  eax, dword ptr [r12 + ELF32_PHDR_P_TYPE]
        mov  dword ptr [rip + segment + SEGMENT_TYPE], eax
        cmp  byte ptr [r14 + ELF_CLASS], ELF_CLASS_64
        je   .class64
        mov  eax, dword ptr [r12 + ELF32_PHDR_P_VADDR]
        mov  qword ptr [rip + segment + SEGMENT_VADDR], rax
        mov  eax, dword ptr [r12 + ELF32_PHDR_P_PADDR]
        mov  qword ptr [rip + segment + SEGMENT_PADDR], rax
        mov  eax, dword ptr [r12 + ELF32_PHDR_P_MEMSZ]
        mov  qword ptr [rip + segment + SEGMENT_MEMSZ], rax
        mov  eax, dword ptr [r12 + ELF32_PHDR_P_OFFSET]
        mov  ecx, dword ptr [r12 + ELF32_PHDR_P_FILESZ]
        add  r12, ELF32_PHDR_SIZEOF
        jmp  .bounds
.class64:
        mov  rax, qword ptr [r12 + ELF64_PHDR_P_VADDR]
        mov  qword ptr [rip + segment + SEGMENT_VADDR], rax
        mov  rax, qword ptr [r12 + ELF64_PHDR_P_PADDR]
        mov  qword ptr [rip + segment + SEGMENT_PADDR], rax
        mov  rax, qword ptr [r12 + ELF64_PHDR_P_MEMSZ]
        mov  qword ptr [rip + segment + SEGMENT_MEMSZ], rax
        mov  rax, qword ptr [r12 + ELF64_PHDR_P_OFFSET]
        mov  rcx, qword ptr [r12 + ELF64_PHDR_P_FILESZ]
        add  r12, ELF64_PHDR_SIZEOF
.bounds:
        mov  qword ptr [rip + segment + SEGMENT_OFFSET], rax
        mov  qword ptr [rip + segment + SEGMENT_FILESZ], rcx
        mov  r8, rax
        add  r8, rcx
        jc   probe_elf.short
        cmp  r8, r15
        ja   probe_elf.short
        test r12, r12                   ; clears ZF
.done:
        ret

; Does the segment say where to enter?
; in:  segment, r14 = file
; out: probe_entry, if so
; clobbers: rax, rcx, rdx, rsi, rdi
find_entry:
        mov  eax, dword ptr [rip + segment + SEGMENT_TYPE]
        cmp  dword ptr [rip + probe_kind], PROBE_PVH_NOTE
        je   .note
        cmp  eax, ELF_PT_LOAD
        jne  .done
        mov  rax, qword ptr [rip + probe_start]         ; the physical address of a virtual one
        sub  rax, qword ptr [rip + segment + SEGMENT_VADDR]
        jb   .done
        cmp  rax, qword ptr [rip + segment + SEGMENT_MEMSZ]
        jae  .done
        add  rax, qword ptr [rip + segment + SEGMENT_PADDR]
        mov  qword ptr [rip + probe_entry], rax
        ret
.note:
        cmp  eax, ELF_PT_NOTE
        jne  .done
        mov  rsi, qword ptr [rip + segment + SEGMENT_OFFSET]
        add  rsi, r14
        mov  rdi, qword ptr [rip + segment + SEGMENT_FILESZ]
        add  rdi, rsi                   ; [rsi, rdi) = notes
.next:
        lea  rax, [rsi + ELF_NHDR_SIZEOF]
        cmp  rax, rdi
        ja   .done
        mov  ecx, dword ptr [rsi + ELF_NHDR_N_NAMESZ]   ; name and description are padded to 4 bytes
        add  rcx, 3
        and  rcx, -4
        mov  edx, dword ptr [rsi + ELF_NHDR_N_DESCSZ]
        add  rdx, 3
        and  rdx, -4
        lea  rcx, [rax + rcx]           ; rcx = description
        add  rdx, rcx                   ; rdx = next note
        cmp  rdx, rdi
        ja   .done
        cmp  dword ptr [rsi + ELF_NHDR_N_TYPE], XEN_ELFNOTE_PHYS32_ENTRY
        jne  .skip
        cmp  dword ptr [rsi + ELF_NHDR_N_NAMESZ], 4
        jne  .skip
        cmp  dword ptr [rax], XEN_NOTE_NAME
        jne  .skip
        cmp  dword ptr [rsi + ELF_NHDR_N_DESCSZ], 4
        jb   .skip
        mov  eax, dword ptr [rcx]       ; 4 or 8 bytes; entered in 32 bits
        mov  qword ptr [rip + probe_entry], rax
        ret
.skip:
        mov  rsi, rdx
        jmp  .next
.done:
        ret

.section .bss
.align 8
segment:        .space SEGMENT_SIZEOF
probe_start:    .space 8                ; e_entry
probe_entry:    .space 8                ; physical entry, once it is known
probe_kind:     .space 4                ; PROBE_*
