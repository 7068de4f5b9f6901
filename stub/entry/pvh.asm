; PVH (Xen, QEMU, cloud hypervisors): the ELF note, and hvm_start_info. Xen's
; public/arch-x86/hvm/start_info.h and docs/misc/pvh.pandoc.

.include "lib/macros.inc"

        pvh_note start_pvh

.section .entries
        .long XEN_HVM_START_MAGIC_VALUE
        .long parse_pvh - __image_start
        .long pvh_name - __image_start
        .long 0                         ; no image names in module strings

.section .rodata
pvh_name:
        .asciz "PVH"

.section .text

; in:  rdi = hvm_start_info
; out: boot_info
; clobbers: all but rbp, rsp
; fails: E_LOADER, E_NO_MEMORY_MAP and what check_part, add_module, add_range, keep_string fail with
parse_pvh:
        mov  rbx, rdi
        mov  esi, HVM_START_INFO_SIZEOF
        call check_reach
        mov  edx, dword ptr [rbx + HVM_START_INFO_MAGIC]
        cmp  edx, XEN_HVM_START_MAGIC_VALUE
        jne  .not_pvh

        mov  rdi, qword ptr [rbx + HVM_START_INFO_CMDLINE_PADDR]
        call keep_string
        mov  qword ptr [rip + boot_info + BOOT_INFO_CMDLINE], rax
        mov  rdi, qword ptr [rbx + HVM_START_INFO_RSDP_PADDR]
        mov  esi, RSDP_SIZEOF
        call check_reach
        mov  qword ptr [rip + boot_info + BOOT_INFO_RSDP], rdi

        mov  r12, qword ptr [rbx + HVM_START_INFO_MODLIST_PADDR]
        mov  r13d, dword ptr [rbx + HVM_START_INFO_NR_MODULES]
        cmp  r13d, MAX_MODULES
        ja   too_many_modules
        test r13d, r13d
        jz   .memmap
        mov  rdi, r12
        imul esi, r13d, HVM_MODLIST_ENTRY_SIZEOF
        call check_reach
.module:
        test r13d, r13d
        jz   .memmap
        mov  rdx, qword ptr [r12 + HVM_MODLIST_ENTRY_CMDLINE_PADDR]
        mov  rdi, qword ptr [r12 + HVM_MODLIST_ENTRY_PADDR]
        mov  rsi, qword ptr [r12 + HVM_MODLIST_ENTRY_SIZE]
        call add_module
        add  r12, HVM_MODLIST_ENTRY_SIZEOF
        dec  r13d
        jmp  .module

.memmap:                                ; only version 1 has one
        cmp  dword ptr [rbx + HVM_START_INFO_VERSION], 1
        jb   .no_map
        mov  rdi, qword ptr [rbx + HVM_START_INFO_MEMMAP_PADDR]
        mov  r13d, dword ptr [rbx + HVM_START_INFO_MEMMAP_ENTRIES]
        test r13d, r13d
        jz   .no_map
        imul rsi, r13, HVM_MEMMAP_TABLE_ENTRY_SIZEOF
        lea  rdx, [rip + memory_map_word]
        call check_part
        mov  r12, rdi
.memmap_entry:
        mov  rdi, qword ptr [r12 + HVM_MEMMAP_TABLE_ENTRY_ADDR]
        mov  rsi, qword ptr [r12 + HVM_MEMMAP_TABLE_ENTRY_SIZE]
        mov  edx, dword ptr [r12 + HVM_MEMMAP_TABLE_ENTRY_TYPE]
        call add_range
        add  r12, HVM_MEMMAP_TABLE_ENTRY_SIZEOF
        dec  r13d
        jnz  .memmap_entry
        cmp  qword ptr [rip + boot_info + BOOT_INFO_RSDP], 0
        je   find_rsdp
        ret
.not_pvh:
        fail E_LOADER
.no_map:
        mov  rdx, qword ptr [rip + boot_info + BOOT_INFO_LOADER_NAME]
        fail E_NO_MEMORY_MAP
