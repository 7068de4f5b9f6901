; What the resident part itself reaches once domains run: its code, which it cannot change, its data, the partition's, the
; local APIC, the screen; no domain's memory. So a mistake of ours, or what a cpu does ahead of its time, neither changes
; a domain nor reads one.

.include "lib/macros.inc"

.global make_reach, reach_own, reach_all, open_window, close_window, host_map

.set WINDOWS, 0xffe00000                ; a page for each vcpu, where nothing else is
.set NR_HOST_TABLES, 5                  ; for the screen, the resident part, the partition's end, windows, the APIC
.set DATA_ENTRY, PTE_PRESENT | PTE_WRITABLE

.section .boot

; Makes the page tables of reach_own.
; in:  console_sinks, x2apic
; clobbers: rax, rcx, rdx, rsi, rdi, r8, r9
make_reach:
        lea  rax, [rip + host_directories + DATA_ENTRY]
        lea  rdi, [rip + host_pointers]
        mov  ecx, PAGE_DIRECTORIES
.directory:
        mov  qword ptr [rdi], rax
        add  rax, PAGE_SIZE
        add  rdi, 8
        dec  ecx
        jnz  .directory
        lea  rax, [rip + host_pointers + DATA_ENTRY]
        mov  qword ptr [rip + host_map], rax

        lea  rdi, [rip + __start_text]
        lea  rsi, [rip + __start_boot]
        mov  edx, PTE_PRESENT
        call map_pages
        mov  edx, DATA_ENTRY
        bts  rdx, PTE_NO_EXECUTE_BIT
        lea  rdi, [rip + __start_data]
        lea  rsi, [rip + __image_end]
        call map_pages
        mov  edi, PARTITION_BASE
        mov  rsi, qword ptr [rdi + PARTITION_LENGTH]
        add  rsi, rdi
        call map_pages
        test byte ptr [rip + console_sinks], CONSOLE_VGA
        jz   .no_screen
        mov  edi, VGA_TEXT
        lea  esi, [rdi + PAGE_SIZE]
        call map_pages
.no_screen:
        mov  edi, WINDOWS               ; which are closed
        lea  esi, [rdi + PAGE_SIZE]
        xor  edx, edx
        call map_pages
        and  eax, -PAGE_SIZE
        mov  qword ptr [rip + window_entries], rax
        mov  qword ptr [rax], 0
        cmp  dword ptr [rip + x2apic], 0
        jne  .done
        mov  edx, DATA_ENTRY | PTE_WRITE_THROUGH | PTE_CACHE_DISABLE
        bts  rdx, PTE_NO_EXECUTE_BIT
        mov  edi, LAPIC_ADDRESS
        lea  esi, [rdi + PAGE_SIZE]
        call map_pages
.done:
        ret

; Pages at their own addresses; whole 2 MiB by one entry.
; in:  rdi = first, rsi = end, below 4 GiB; rdx = bits of an entry
; out: rax = the last one's table, with bits below PAGE_SIZE
; clobbers: rcx, rdi, r8, r9
map_pages:
        and  rdi, -PAGE_SIZE
.next:
        cmp  rdi, rsi
        jae  .done
        mov  rcx, rdi
        shr  rcx, PAGE_SHIFT_2M
        lea  r8, [rip + host_directories]
        lea  r8, [r8 + rcx * 8]         ; r8 = what maps 2 MiB
        test edi, PAGE_SIZE_2M - 1
        jnz  .small
        lea  rcx, [rdi + PAGE_SIZE_2M]
        cmp  rcx, rsi
        ja   .small
        lea  rax, [rdi + rdx]
        or   rax, PTE_LARGE
        mov  qword ptr [r8], rax
        mov  rdi, rcx
        jmp  .next
.small:
        mov  rax, qword ptr [r8]
        test rax, rax
        jnz  .table
        lea  rax, [rip + host_tables + DATA_ENTRY]
        imul ecx, dword ptr [rip + host_tables_used], PAGE_SIZE
        add  rax, rcx
        inc  dword ptr [rip + host_tables_used]
        mov  qword ptr [r8], rax
.table:
        mov  rcx, rdi
        shr  rcx, PAGE_SHIFT
        and  ecx, PAGE_ENTRIES - 1
        lea  rcx, [rcx * 8]
        lea  r9, [rdi + rdx]
        and  rax, -PAGE_SIZE
        mov  qword ptr [rax + rcx], r9
        add  rdi, PAGE_SIZE
        jmp  .next
.done:
        ret

.section .text

; From here on this cpu reaches what make_reach has mapped, no more.
; clobbers: rcx
reach_own:
        lea  rcx, [rip + host_map]
        mov  cr3, rcx
        ret

; This cpu reaches the machine's first 4 GiB, until reach_own: for memory of domains that is loaded.
; clobbers: rcx
reach_all:
        lea  rcx, [rip + page_map]
        mov  cr3, rcx
        ret

; Shows this cpu one page of the machine's, wherever it is, until close_window.
; in:  rdi = machine address, rbp = struct vcpu
; out: rdi = the same in the window
; clobbers: rax, rcx, rdx
open_window:
        call find_window
        mov  rax, rdi
        and  edi, PAGE_SIZE - 1
        sub  rax, rdi
        add  rdi, rdx
        or   rax, PTE_PRESENT | PTE_WRITABLE
        bts  rax, PTE_NO_EXECUTE_BIT
        mov  qword ptr [rcx], rax
        ret                             ; a closed one left nothing that the cpu could have kept

; in:  rbp = struct vcpu
; clobbers: rax, rcx, rdx
close_window:
        call find_window
        mov  qword ptr [rcx], 0
        invlpg [rdx]
        ret

; in:  rbp = struct vcpu
; out: rdx = its window, rcx = the entry that maps it
; clobbers: rax
find_window:
        mov  eax, PARTITION_BASE
        mov  rdx, rbp
        sub  rdx, qword ptr [rax + PARTITION_VCPUS]     ; as many pages as vcpus stand before it
        mov  rcx, rdx
        shr  rcx, PAGE_SHIFT - 3
        add  rcx, qword ptr [rip + window_entries]
        mov  eax, WINDOWS
        add  rdx, rax
        ret
.assert VCPU_SIZEOF == PAGE_SIZE, "a window for each vcpu: they are counted in pages"
.assert MAX_CPUS <= PAGE_ENTRIES, "one table has the windows of all vcpus"

.section .bss
.align PAGE_SIZE
host_map:               .space PAGE_SIZE
host_pointers:          .space PAGE_SIZE
host_directories:       .space PAGE_DIRECTORIES * PAGE_SIZE
host_tables:            .space NR_HOST_TABLES * PAGE_SIZE
window_entries:         .space 8
host_tables_used:       .space 4
