; What a multiboot kernel is told of itself: where it lies, and its section headers, with what no segment loads.
; The ELF gABI; Multiboot2 2.0, 3.6.7; Multiboot 0.6.96, 3.3.

.include "lib/macros.inc"

.global find_kernel, find_sections, copy_sections

.section .text

; Where what is launched lies.
; in:  launch_target
; out: rbx = its module_record, r15 = its boot_module, r13 = address of its lowest byte
; clobbers: rax, rcx, rbp, r12, r14
find_kernel:
        mov  ebp, dword ptr [rip + launch_target + LAUNCH_TARGET_MODULE]
        call first_piece
        mov  r13, -1
.piece:
        mov  rax, qword ptr [r12 + PIECE_DEST]
        cmp  rax, r13
        cmovb r13, rax
        add  r12, PIECE_SIZEOF
        dec  r14d
        jnz  .piece
        ret

; A kernel's section headers: those that the host put into the tables, or those of a file that no host has looked into.
; in:  rbx = its module_record, r15 = its boot_module
; out: rcx = bytes of all, 0 for none; rsi = headers, r9d = their number, r10d = bytes of each, r11d = number of that with
;      the names
; clobbers: rax, rdx
find_sections:
        xor  ecx, ecx
        test dword ptr [rbx + MODULE_RECORD_FLAGS], MODULE_LOADER
        jnz  .file
        mov  esi, dword ptr [rbx + MODULE_RECORD_SECTIONS]
        add  rsi, qword ptr [rip + tables]
        mov  r9d, dword ptr [rbx + MODULE_RECORD_NR_SECTIONS]
        mov  r10d, dword ptr [rbx + MODULE_RECORD_SECTION_SIZE]
        mov  r11d, dword ptr [rbx + MODULE_RECORD_SECTION_NAMES]
        mov  ecx, r9d
        imul ecx, r10d
.done:
        ret
.file:
        mov  rsi, qword ptr [r15 + BOOT_MODULE_START]
        cmp  qword ptr [r15 + BOOT_MODULE_SIZE], ELF64_EHDR_SIZEOF
        jb   .done
        cmp  dword ptr [rsi + ELF32_EHDR_E_IDENT], ELF_MAGIC
        jne  .done
        cmp  byte ptr [rsi + ELF_CLASS], ELF_CLASS_64
        je   .class64
        mov  eax, dword ptr [rsi + ELF32_EHDR_E_SHOFF]
        movzx r9d, word ptr [rsi + ELF32_EHDR_E_SHNUM]
        movzx r10d, word ptr [rsi + ELF32_EHDR_E_SHENTSIZE]
        movzx r11d, word ptr [rsi + ELF32_EHDR_E_SHSTRNDX]
        mov  edx, ELF32_SHDR_SIZEOF
        jmp  .table
.class64:
        mov  rax, qword ptr [rsi + ELF64_EHDR_E_SHOFF]
        movzx r9d, word ptr [rsi + ELF64_EHDR_E_SHNUM]
        movzx r10d, word ptr [rsi + ELF64_EHDR_E_SHENTSIZE]
        movzx r11d, word ptr [rsi + ELF64_EHDR_E_SHSTRNDX]
        mov  edx, ELF64_SHDR_SIZEOF
.table:
        cmp  r10d, edx
        jne  .done
        imul edx, r9d
        cmp  edx, MAX_SECTION_HEADERS
        ja   .done
        add  rsi, rax
        add  rax, rdx
        jc   .done
        cmp  rax, qword ptr [r15 + BOOT_MODULE_SIZE]
        ja   .done
        mov  ecx, edx
        ret

; Copies them. Those of a file get addresses for what is not loaded: it stays where it is in the file.
; in:  as find_sections leaves it, rdi = where to
; clobbers: rax, rcx, rdx, rsi, rdi, r8, r9
copy_sections:
        mov  r8, rdi
        rep movsb
        test dword ptr [rbx + MODULE_RECORD_FLAGS], MODULE_LOADER
        jz   .done
.header:                                ; r8 = header, r9d = headers left
        cmp  dword ptr [r8 + ELF32_SHDR_SH_TYPE], ELF_SHT_NOBITS
        je   .next
        cmp  r10d, ELF64_SHDR_SIZEOF
        je   .class64
        cmp  dword ptr [r8 + ELF32_SHDR_SH_ADDR], 0
        jne  .next
        mov  eax, dword ptr [r8 + ELF32_SHDR_SH_OFFSET]
        mov  ecx, dword ptr [r8 + ELF32_SHDR_SH_SIZE]
        call .place
        jc   .next
        mov  dword ptr [r8 + ELF32_SHDR_SH_ADDR], eax
        jmp  .next
.class64:
        cmp  qword ptr [r8 + ELF64_SHDR_SH_ADDR], 0
        jne  .next
        mov  rax, qword ptr [r8 + ELF64_SHDR_SH_OFFSET]
        mov  rcx, qword ptr [r8 + ELF64_SHDR_SH_SIZE]
        call .place
        jc   .next
        mov  qword ptr [r8 + ELF64_SHDR_SH_ADDR], rax
.next:
        add  r8, r10
        dec  r9d
        jnz  .header
.done:
        ret
; in: rax = offset in the file, rcx = bytes; out: rax = address, CF set for none; clobbers: rcx, rdx
.place:
        sub  rcx, 1
        jb   .placed
        lea  rdx, [rcx + 1]
        add  rdx, rax
        jc   .placed
        mov  rcx, qword ptr [r15 + BOOT_MODULE_SIZE]
        cmp  rcx, rdx
        jb   .placed
        add  rax, qword ptr [r15 + BOOT_MODULE_START]
.placed:
        ret
