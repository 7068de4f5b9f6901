; What the stub has no business with it cannot touch: a mistake of ours, or a cpu that does what nobody wrote, ends in a
; report (descriptors.asm), not in something else that goes wrong later. Under EFI this begins where boot services end.

.global protect_memory, keep_bios_data, bios_system_vector, forbid_null_page, null_page_used

.set NR_PAGE_TABLES, 3                  ; for the first 2 MiB, and for where the stub lies, which may be in two of them

.section .text

; Makes the stub's code read-only, and all but it not executable where the cpu can forbid that. The pages below the two
; stacks go, so that one that runs over is noticed.
; in:  the stub's own page tables in force, as enter_long_mode has them
; out: EFER, no_execute
; clobbers: rax, rbx, rcx, rdx, rsi, rdi, r8, r9, r10
protect_memory:
        lea  rdi, [rip + __image_start]
        lea  rsi, [rip + __start_data]
        mov  edx, PTE_PRESENT
        call set_pages
        mov  eax, CPUID_EXTENDED
        cpuid
        bt   edx, CPUID_EXTENDED_EDX_NX_BIT
        jnc  .guards
        mov  ecx, MSR_EFER
        rdmsr
        bts  eax, EFER_NXE_BIT
        wrmsr
        xor  eax, eax
        bts  rax, PTE_NO_EXECUTE_BIT
        mov  qword ptr [rip + no_execute], rax
        lea  rdi, [rip + page_directories]
        mov  ecx, PAGE_ENTRIES * PAGE_DIRECTORIES
        mov  edx, PTE_LARGE
        call .forbid_to_execute
        lea  rdi, [rip + page_tables]
        mov  ecx, PAGE_ENTRIES * NR_PAGE_TABLES
        mov  edx, PTE_WRITABLE
        call .forbid_to_execute
        mov  rax, cr3                   ; forgets what the cpu has looked up before
        mov  cr3, rax
.guards:
        lea  rdi, [rip + stack_guard]
        call forbid_page
        lea  rdi, [rip + exception_stack_guard]
        jmp  forbid_page
; in: rdi = entries, ecx = their number, edx = the bit of those that are meant, rax = the bit to set
.forbid_to_execute:
        test dword ptr [rdi], edx
        jz   .other
        or   qword ptr [rdi], rax
.other:
        add  rdi, 8
        dec  ecx
        jnz  .forbid_to_execute
        ret

; Takes a page out of the stub's page tables. in: rdi = page; clobbers: rax, rcx, rdx, rsi, rdi, r8, r9, r10
forbid_page:
        lea  rsi, [rdi + PAGE_SIZE]
        xor  edx, edx

; Gives pages of the first 2 MiB, or of those that the stub lies in, entries of their own in the stub's page tables.
; in:  rdi = first page, rsi = end of the last; edx = bits of an entry, 0 for pages that are not there
; clobbers: rax, rcx, rdi, r8, r9, r10
set_pages:
        mov  rax, rdi
        shr  rax, PAGE_SHIFT_2M
        lea  r8, [rip + page_directories]
        lea  r8, [r8 + rax * 8]         ; r8 = what maps 2 MiB
        mov  r9, qword ptr [r8]
        test r9, PTE_LARGE
        jz   .split
        imul eax, dword ptr [rip + page_tables_used], PAGE_SIZE
        inc  dword ptr [rip + page_tables_used]
        lea  r10, [rip + page_tables]
        add  r10, rax
        lea  rax, [r10 + (PTE_PRESENT | PTE_WRITABLE)]
        sub  r9, PTE_LARGE
        mov  ecx, PAGE_ENTRIES
.entry:
        mov  qword ptr [r10], r9
        add  r10, 8
        add  r9, PAGE_SIZE
        dec  ecx
        jnz  .entry
        mov  qword ptr [r8], rax        ; not before: this code may lie in these 2 MiB
.split:
        mov  r9, qword ptr [r8]
        and  r9, -PAGE_SIZE             ; r9 = page table
        mov  rax, rdi
        shr  rax, PAGE_SHIFT
        and  eax, PAGE_ENTRIES - 1
        lea  rcx, [rdi + rdx]
        mov  qword ptr [r9 + rax * 8], rcx
        invlpg [rdi]
        add  rdi, PAGE_SIZE
        cmp  rdi, rsi
        jb   set_pages
        ret

; Copies what is asked for later of the first page. Not under EFI, where it may be unmapped, and nothing of a BIOS's.
; out: bios_system_vector
; clobbers: rax
keep_bios_data:
        mov  eax, BIOS_SYSTEM_VECTOR
        mov  eax, dword ptr [rax]
        mov  dword ptr [rip + bios_system_vector], eax
        ret

; Unmaps the first page, where what is 0 by mistake points to. What loaders tell may lie in it, and the BIOS's data do:
; so this comes once all that is copied. A module that a loader has put there stays within reach.
; clobbers: rax, rcx, rdx, rsi, rdi, r8, r9, r10
forbid_null_page:
        cmp  byte ptr [rip + null_page_used], 0
        jne  .done
        xor  edi, edi
        jmp  forbid_page
.done:
        ret

.section .bss
.align PAGE_SIZE
page_tables:            .space NR_PAGE_TABLES * PAGE_SIZE
page_tables_used:       .space 4
bios_system_vector:     .space 4        ; 0 without a BIOS
null_page_used:         .space 1
.assert IMAGE_LIMIT - IMAGE_BASE <= PAGE_SIZE_2M, "NR_PAGE_TABLES are enough: the stub is smaller than 2 MiB"
