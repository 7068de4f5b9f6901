; Launch by PVH: hvm_start_info, and into the kernel in 32-bit protected mode. Xen's docs/misc/pvh.pandoc
; and public/arch-x86/hvm/start_info.h.

.include "lib/macros.inc"

.global pvh_launcher_name

.section .launchers
        .long PROTOCOL_PVH
        .long tell_pvh - __image_start
        .long enter_kernel - __image_start
        .long pvh_launcher_name - __image_start
        .long 0

.section .text

; in:  launch_target, an open hand-over area
; out: entered
; clobbers: all but rsp
tell_pvh:
        mov  edi, HVM_START_INFO_SIZEOF
        call alloc
        mov  rbp, rax                   ; rbp = hvm_start_info
        mov  dword ptr [rbp + HVM_START_INFO_MAGIC], XEN_HVM_START_MAGIC_VALUE
        mov  dword ptr [rbp + HVM_START_INFO_VERSION], 1
        mov  dword ptr [rbp + HVM_START_INFO_FLAGS], SIF_PRIVILEGED | SIF_INITDOMAIN
        mov  rax, qword ptr [rip + boot_info + BOOT_INFO_RSDP]
        mov  qword ptr [rbp + HVM_START_INFO_RSDP_PADDR], rax

        mov  rsi, qword ptr [rip + launch_target + LAUNCH_TARGET_CMDLINE]
        call alloc_string
        mov  qword ptr [rbp + HVM_START_INFO_CMDLINE_PADDR], rax

        lea  rsi, [rip + memory_ranges] ; they have the layout that PVH wants
        mov  ecx, dword ptr [rip + memory_range_count]
        mov  dword ptr [rbp + HVM_START_INFO_MEMMAP_ENTRIES], ecx
        imul ecx, ecx, HVM_MEMMAP_TABLE_ENTRY_SIZEOF
        call alloc_copy
        mov  qword ptr [rbp + HVM_START_INFO_MEMMAP_PADDR], rax

        mov  edi, MAX_MODULES * HVM_MODLIST_ENTRY_SIZEOF
        call alloc
        mov  qword ptr [rbp + HVM_START_INFO_MODLIST_PADDR], rax
        mov  r13, rax                   ; r13 = hvm_modlist_entry
        mov  r12d, -1
.module:
        call next_module
        je   .go
        mov  rax, qword ptr [rbx + BOOT_MODULE_START]
        mov  qword ptr [r13 + HVM_MODLIST_ENTRY_PADDR], rax
        mov  rax, qword ptr [rbx + BOOT_MODULE_SIZE]
        mov  qword ptr [r13 + HVM_MODLIST_ENTRY_SIZE], rax
        mov  rsi, qword ptr [rbx + BOOT_MODULE_STRING]
        call alloc_string
        mov  qword ptr [r13 + HVM_MODLIST_ENTRY_CMDLINE_PADDR], rax
        inc  dword ptr [rbp + HVM_START_INFO_NR_MODULES]
        add  r13, HVM_MODLIST_ENTRY_SIZEOF
        jmp  .module
.go:
        xor  eax, eax
        mov  ebx, ebp
        xor  esi, esi
        mov  r8d, ENTER_PROTECTED_MODE
        jmp  keep_state

.section .rodata
pvh_launcher_name:
        .asciz "PVH"
