; ELF kernels, 32 and 64 bits: their segments as pieces, their entry. For kernels that no host has looked into; the rules
; are the host's (docs/kernels.md).

.include "lib/macros.inc"
.include "broken.inc"

.global probe_elf, check_probed, check_bytes, fail_broken, fail_short, header_entry, NO_ENTRY

.section .text

; Adds the segments of an ELF kernel as pieces and finds its entry.
; in:  r13 = boot_domain, ebp = number of its kernel's module, rsi = the file, rdi = its bytes,
;      edx = PROBE_PVH_NOTE: the entry is that of Xen's note; PROBE_ENTRY: header_entry, or that of the file
; out: ZF set if it is such a kernel, with rax = physical entry
; clobbers: all but rbp, r13, rsp
; fails: E_KERNEL_SHORT, E_KERNEL_BROKEN, E_TOO_MANY_SEGMENTS
probe_elf:
        cmp  rdi, ELF64_EHDR_SIZEOF
        jb   .other
        cmp  dword ptr [rsi + ELF32_EHDR_E_IDENT], ELF_MAGIC
        jne  .other
        mov  r14, rsi                   ; r14 = file, r15 = its bytes, r12 = program header, ebx = headers left
        mov  r15, rdi
        mov  dword ptr [rip + probe_kind], edx
        mov  rax, NO_ENTRY
        mov  qword ptr [rip + start_entry], rax
        xor  eax, eax
        mov  qword ptr [rip + entry_note], rax
        mov  qword ptr [rip + reloc_note], rax
        mov  qword ptr [rip + largest_alignment], rax
        call open_headers
.segment:
        call read_segment
        je   .read
        mov  eax, dword ptr [rip + segment + SEGMENT_TYPE]
        cmp  eax, ELF_PT_NOTE
        je   .notes
        cmp  eax, ELF_PT_LOAD
        jne  .segment
        call add_segment
        call find_start
        jmp  .segment
.notes:
        call read_notes
        jmp  .segment
.read:
        lea  rcx, [rip + boot_tables]
        mov  r8d, dword ptr [rcx + TABLES_NR_PIECES]
        test r8d, r8d
        jz   .nothing
        call read_reloc                 ; r8 = alignment, r9d = lowest place, r10d = end of the highest, r8 = 0 for none
        cmp  dword ptr [rip + probe_kind], PROBE_PVH_NOTE
        jne  .multiboot
        mov  rcx, qword ptr [rip + entry_note]
        test rcx, rcx
        jz   .no_note
        imul eax, ebp, MODULE_RECORD_SIZEOF
        lea  rdx, [rip + boot_tables + BOOT_TABLES_MODULES]
        add  rdx, rax
        mov  dword ptr [rdx + MODULE_RECORD_ALIGNMENT], r8d
        mov  dword ptr [rdx + MODULE_RECORD_LOWEST], r9d
        mov  dword ptr [rdx + MODULE_RECORD_HIGHEST], r10d
        mov  eax, dword ptr [rcx]
        cmp  dword ptr [rip + entry_note_size], 4
        je   check_probed
        mov  rax, qword ptr [rcx]
        jmp  check_probed
.multiboot:
        mov  rax, qword ptr [rip + header_entry]
        cmp  rax, NO_ENTRY
        jne  check_probed
        mov  rax, qword ptr [rip + start_entry]
        cmp  rax, NO_ENTRY
        jne  check_probed
        mov  r8, qword ptr [rip + probe_start]
        broken K_ENTRY
.nothing:
        movzx r8d, word ptr [rip + probe_count]
        broken K_NO_SEGMENT
.no_note:                               ; another protocol may fit
        imul eax, ebp, MODULE_RECORD_SIZEOF
        lea  rdx, [rip + boot_tables]
        mov  dword ptr [rdx + rax + BOOT_TABLES_MODULES + MODULE_RECORD_NR_PIECES], 0
        mov  dword ptr [rdx + TABLES_NR_PIECES], 0
.other:
        or   eax, 1                     ; clears ZF
        ret

; Is a kernel entered where something was loaded from its file?
; in:  rax = entry, r13 = boot_domain
; out: ZF set
; clobbers: rcx, rdx, r8
; fails: E_KERNEL_BROKEN
check_probed:
        lea  rdx, [rip + boot_tables]
        mov  ecx, dword ptr [rdx + TABLES_NR_PIECES]
        add  rdx, BOOT_TABLES_PIECES
.piece:
        mov  r8, rax
        sub  r8, qword ptr [rdx + PIECE_DEST]
        jb   .next
        cmp  r8, qword ptr [rdx + PIECE_DEST_SIZE]
        jb   .inside
.next:
        add  rdx, PIECE_SIZEOF
        dec  ecx
        jnz  .piece
        mov  r8, rax
        broken K_ENTRY
.inside:
        cmp  eax, eax                   ; sets ZF
        ret

; in: rcx = what is wrong, r8 = the number to it, r13 = boot_domain
fail_broken:
        mov  rdx, r13
        fail_named E_KERNEL_BROKEN

; Checks the ELF header.
; in:  r14 = file, r15 = its bytes, r13 = boot_domain
; out: r12 = program headers, ebx = their number; probe_start, probe_count
; clobbers: rax, rcx, r8
; fails: E_KERNEL_SHORT, E_KERNEL_BROKEN, E_TOO_MANY_SEGMENTS
open_headers:
        mov  r8d, dword ptr [r14 + ELF64_EHDR_E_TYPE]   ; and the machine behind it
        movzx eax, byte ptr [r14 + ELF_CLASS]
        sub  eax, ELF_CLASS_32
        cmp  eax, ELF_CLASS_64 - ELF_CLASS_32
        ja   .machine
        cmp  byte ptr [r14 + ELF_DATA], ELF_DATA_LITTLE
        jne  .machine
        movzx eax, word ptr [r14 + ELF64_EHDR_E_TYPE]
        sub  eax, ELF_ET_EXEC
        cmp  eax, ELF_ET_DYN - ELF_ET_EXEC
        ja   .machine
        movzx eax, word ptr [r14 + ELF64_EHDR_E_MACHINE]
        cmp  eax, ELF_EM_386
        je   .class
        cmp  eax, ELF_EM_X86_64
        jne  .machine
.class:
        cmp  byte ptr [r14 + ELF_CLASS], ELF_CLASS_64
        je   .class64
        mov  r12d, dword ptr [r14 + ELF32_EHDR_E_PHOFF]
        movzx ebx, word ptr [r14 + ELF32_EHDR_E_PHNUM]
        movzx r8d, word ptr [r14 + ELF32_EHDR_E_PHENTSIZE]
        mov  eax, dword ptr [r14 + ELF32_EHDR_E_ENTRY]
        mov  ecx, ELF32_PHDR_SIZEOF
        jmp  .table
.class64:
        mov  r12, qword ptr [r14 + ELF64_EHDR_E_PHOFF]
        movzx ebx, word ptr [r14 + ELF64_EHDR_E_PHNUM]
        movzx r8d, word ptr [r14 + ELF64_EHDR_E_PHENTSIZE]
        mov  rax, qword ptr [r14 + ELF64_EHDR_E_ENTRY]
        mov  ecx, ELF64_PHDR_SIZEOF
.table:
        mov  qword ptr [rip + probe_start], rax
        mov  dword ptr [rip + probe_count], ebx
        cmp  ebx, ELF_MAX_HEADERS
        ja   .too_many
        test ebx, ebx
        jz   .done                      ; then nobody needs to say how large one is
        cmp  r8d, ecx
        jne  .size
        imul ecx, ebx
        mov  rax, r12
        add  rax, rcx
        jc   fail_short
        cmp  rax, r15
        ja   fail_short
        add  r12, r14
.done:
        ret
.machine:
        broken K_MACHINE
.size:
        broken K_HEADER_SIZE
.too_many:
        mov  rdx, r13
        mov  ecx, ebx
        mov  r8d, ELF_MAX_HEADERS
        fail_named E_TOO_MANY_SEGMENTS
.assert ELF32_EHDR_E_TYPE == ELF64_EHDR_E_TYPE, "both classes have the type in the same place"
.assert ELF32_EHDR_E_MACHINE == ELF64_EHDR_E_TYPE + 2, "and the machine behind it"
.assert ELF_MAX_HEADERS <= MAX_PIECES, "there is a piece for each segment"

; in: rax = a byte that the file would need to have before, r15 = its bytes, r13 = boot_domain
fail_short:
        mov  rdx, r13
        mov  rcx, r15
        mov  r8, rax
        fail_named E_KERNEL_SHORT

; in: rdi = offset, rsi = bytes there, r15 = bytes of the file; clobbers: rax; fails: E_KERNEL_SHORT
check_bytes:
        mov  rax, rdi
        add  rax, rsi
        jc   fail_short
        cmp  rax, r15
        ja   fail_short
        ret

; Reads a program header of either class.
; in:  r12 = program header, ebx = headers left, r14 = file
; out: segment, r12 and ebx one further; ZF set if there was none left
; clobbers: rax
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
        mov  qword ptr [rip + segment + SEGMENT_OFFSET], rax
        mov  eax, dword ptr [r12 + ELF32_PHDR_P_FILESZ]
        mov  qword ptr [rip + segment + SEGMENT_FILESZ], rax
        mov  eax, dword ptr [r12 + ELF32_PHDR_P_ALIGN]
        mov  qword ptr [rip + segment + SEGMENT_ALIGN], rax
        add  r12, ELF32_PHDR_SIZEOF
        ret                             ; that is not 0: ZF is clear
.class64:
        mov  rax, qword ptr [r12 + ELF64_PHDR_P_VADDR]
        mov  qword ptr [rip + segment + SEGMENT_VADDR], rax
        mov  rax, qword ptr [r12 + ELF64_PHDR_P_PADDR]
        mov  qword ptr [rip + segment + SEGMENT_PADDR], rax
        mov  rax, qword ptr [r12 + ELF64_PHDR_P_MEMSZ]
        mov  qword ptr [rip + segment + SEGMENT_MEMSZ], rax
        mov  rax, qword ptr [r12 + ELF64_PHDR_P_OFFSET]
        mov  qword ptr [rip + segment + SEGMENT_OFFSET], rax
        mov  rax, qword ptr [r12 + ELF64_PHDR_P_FILESZ]
        mov  qword ptr [rip + segment + SEGMENT_FILESZ], rax
        mov  rax, qword ptr [r12 + ELF64_PHDR_P_ALIGN]
        mov  qword ptr [rip + segment + SEGMENT_ALIGN], rax
        add  r12, ELF64_PHDR_SIZEOF
.done:
        ret

; Adds a PT_LOAD as a piece, if it takes memory; where an empty one would lie in the file does not matter.
; in:  segment, ebp = number of the module, r15 = bytes of the file, r13 = boot_domain
; out: largest_alignment
; clobbers: rax, rcx, rdx, rsi, rdi, r8, r9, r10
; fails: E_KERNEL_SHORT, E_KERNEL_BROKEN
add_segment:
        mov  rax, qword ptr [rip + segment + SEGMENT_ALIGN]
        cmp  rax, qword ptr [rip + largest_alignment]
        jbe  .sized
        mov  qword ptr [rip + largest_alignment], rax
.sized:
        mov  rcx, qword ptr [rip + segment + SEGMENT_MEMSZ]
        test rcx, rcx
        jz   .done
        mov  rdx, qword ptr [rip + segment + SEGMENT_PADDR]
        mov  rdi, qword ptr [rip + segment + SEGMENT_OFFSET]
        mov  rsi, qword ptr [rip + segment + SEGMENT_FILESZ]
        test rsi, rsi
        jnz  .stored
        xor  edi, edi
.stored:
        call check_bytes
        mov  r8, rdx
        cmp  rsi, rcx
        ja   .file_size
        mov  r9, rdx                    ; r9 = its end
        add  r9, rcx
        jc   .beyond
        mov  r10, 1 << 32
        cmp  r9, r10
        ja   .beyond
        lea  r10, [rip + boot_tables]
        mov  eax, dword ptr [r10 + TABLES_NR_PIECES]
        add  r10, BOOT_TABLES_PIECES
.piece:
        test eax, eax
        jz   .add
        mov  r8, qword ptr [r10 + PIECE_DEST]
        cmp  r9, r8
        jbe  .next
        add  r8, qword ptr [r10 + PIECE_DEST_SIZE]
        add  r8, qword ptr [r10 + PIECE_ZERO_SIZE]
        cmp  rdx, r8
        jb   .overlap
.next:
        add  r10, PIECE_SIZEOF
        dec  eax
        jmp  .piece
.add:
        sub  rcx, rsi
        xor  r8d, r8d
        jmp  add_piece
.done:
        ret
.file_size:
        broken K_FILE_SIZE
.beyond:
        broken K_BEYOND
.overlap:
        mov  r8, rdx
        broken K_OVERLAP

; The physical address of the file's entry, which is a virtual one: by the first segment that has it.
; in:  segment, which add_segment found sound
; out: start_entry, if so
; clobbers: rax
find_start:
        cmp  qword ptr [rip + start_entry], NO_ENTRY
        jne  .done
        mov  rax, qword ptr [rip + probe_start]
        sub  rax, qword ptr [rip + segment + SEGMENT_VADDR]
        jb   .done
        cmp  rax, qword ptr [rip + segment + SEGMENT_MEMSZ]
        jae  .done
        add  rax, qword ptr [rip + segment + SEGMENT_PADDR]
        mov  qword ptr [rip + start_entry], rax
.done:
        ret

; Xen's notes on PVH: the first of each kind counts.
; in:  segment, r14 = file, r15 = its bytes, r13 = boot_domain
; out: entry_note, reloc_note
; clobbers: rax, rcx, rdx, rsi, rdi, r8
; fails: E_KERNEL_SHORT, E_KERNEL_BROKEN
read_notes:
        mov  rdi, qword ptr [rip + segment + SEGMENT_OFFSET]
        mov  rsi, qword ptr [rip + segment + SEGMENT_FILESZ]
        call check_bytes
        mov  r8, rsi
        cmp  r8, ELF_MAX_NOTES
        ja   .too_many
        lea  rsi, [r14 + rdi]
        lea  rdi, [rsi + r8]            ; [rsi, rdi) = notes
.next:
        lea  rax, [rsi + ELF_NHDR_SIZEOF]
        cmp  rax, rdi
        ja   .done
        mov  ecx, dword ptr [rsi + ELF_NHDR_N_NAMESZ]   ; name and description are padded to 4 bytes
        add  rcx, 3
        and  rcx, -4
        mov  r8d, dword ptr [rsi + ELF_NHDR_N_DESCSZ]   ; r8d = bytes of the description
        lea  rdx, [r8 + 3]
        and  rdx, -4
        add  rcx, rax                   ; rcx = description
        add  rdx, rcx                   ; rdx = next note
        cmp  rdx, rdi
        ja   .done
        cmp  dword ptr [rsi + ELF_NHDR_N_NAMESZ], 4
        jne  .skip
        cmp  dword ptr [rax], XEN_NOTE_NAME
        jne  .skip
        mov  eax, dword ptr [rsi + ELF_NHDR_N_TYPE]
        cmp  eax, XEN_ELFNOTE_PHYS32_ENTRY
        je   .entry
        cmp  eax, XEN_ELFNOTE_PHYS32_RELOC
        jne  .skip
        cmp  qword ptr [rip + reloc_note], 0
        jne  .skip
        mov  qword ptr [rip + reloc_note], rcx
        mov  dword ptr [rip + reloc_note_size], r8d
.skip:
        mov  rsi, rdx
        jmp  .next
.entry:
        cmp  qword ptr [rip + entry_note], 0
        jne  .skip
        cmp  r8d, 4                     ; it is entered in 32 bits all the same
        je   .address
        cmp  r8d, 8
        jne  .size
.address:
        mov  qword ptr [rip + entry_note], rcx
        mov  dword ptr [rip + entry_note_size], r8d
        jmp  .skip
.done:
        ret
.size:
        broken K_NOTE_SIZE
.too_many:
        broken K_NOTES

; XEN_ELFNOTE_PHYS32_RELOC: up to three words, each with a default.
; in:  reloc_note, r13 = boot_domain
; out: r8 = alignment, 0 for a kernel that may not be moved; r9d = lowest place, r10d = its last byte at the highest
; clobbers: rax, rcx, rdx
; fails: E_KERNEL_BROKEN
read_reloc:
        xor  r8d, r8d
        xor  r9d, r9d
        xor  r10d, r10d
        mov  rcx, qword ptr [rip + reloc_note]
        test rcx, rcx
        jz   .done
        dec  r10d                       ; below 4 GiB
        mov  edx, dword ptr [rip + reloc_note_size]
        mov  r8, qword ptr [rip + largest_alignment]
        cmp  r8, PAGE_SIZE
        jae  .words
        mov  r8d, PVH_DEFAULT_ALIGNMENT
.words:
        cmp  edx, 4
        jb   .alignment
        mov  r8d, dword ptr [rcx]
        cmp  edx, 8
        jb   .alignment
        mov  r9d, dword ptr [rcx + 4]
        cmp  edx, 12
        jb   .alignment
        mov  r10d, dword ptr [rcx + 8]
.alignment:
        mov  rax, r8
        shr  rax, 32
        jnz  .no_alignment
        test r8d, r8d
        jz   .no_alignment
        lea  eax, [r8 - 1]
        test eax, r8d
        jnz  .no_alignment
        cmp  r8d, PAGE_SIZE
        jae  .done
        mov  r8d, PAGE_SIZE
.done:
        ret
.no_alignment:
        broken K_ALIGNMENT

.set NO_ENTRY, -1                       ; none lies there: what is loaded ends below 4 GiB

.section .bss
.align 8
segment:                .space SEGMENT_SIZEOF
probe_start:            .space 8        ; e_entry
start_entry:            .space 8        ; its physical address, NO_ENTRY while that is not known
header_entry:           .space 8        ; entry of a multiboot header, NO_ENTRY for none
entry_note:             .space 8        ; description of Xen's note of that kind, 0 for none
reloc_note:             .space 8
largest_alignment:      .space 8        ; of the segments
entry_note_size:        .space 4        ; bytes of that description
reloc_note_size:        .space 4
probe_kind:             .space 4        ; PROBE_*
probe_count:            .space 4        ; e_phnum
