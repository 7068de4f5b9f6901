; Launch by multiboot1: multiboot1_info, and into an ELF kernel in 32-bit protected mode. Specification 0.6.96.

.include "lib/macros.inc"

.global multiboot1_launcher_name

.section .launchers
        .long PROTOCOL_MULTIBOOT1
        .long tell_multiboot1 - __image_start
        .long enter_kernel - __image_start
        .long multiboot1_launcher_name - __image_start
        .long 0

.section .text

; in:  launch_target, an open hand-over area
; out: entered
; clobbers: all but rsp
tell_multiboot1:
        mov  edi, MULTIBOOT1_INFO_SIZEOF
        call alloc
        mov  rbp, rax                   ; rbp = multiboot1_info
        mov  dword ptr [rbp + MULTIBOOT1_INFO_FLAGS], MULTIBOOT1_INFO_FLAG_MEMORY | MULTIBOOT1_INFO_FLAG_CMDLINE | MULTIBOOT1_INFO_FLAG_MODS | MULTIBOOT1_INFO_FLAG_MMAP | MULTIBOOT1_INFO_FLAG_LOADER_NAME
        cmp  dword ptr [rip + boot_info + BOOT_INFO_HAS_BOOT_DEVICE], 0
        je   .memory
        or   dword ptr [rbp + MULTIBOOT1_INFO_FLAGS], MULTIBOOT1_INFO_FLAG_BOOT_DEVICE
        mov  al, byte ptr [rip + boot_info + BOOT_INFO_BOOT_DEVICE]
        mov  byte ptr [rbp + MULTIBOOT1_INFO_BOOT_DEVICE + 3], al
        mov  al, byte ptr [rip + boot_info + BOOT_INFO_BOOT_PARTITION]
        mov  byte ptr [rbp + MULTIBOOT1_INFO_BOOT_DEVICE + 2], al
        mov  al, byte ptr [rip + boot_info + BOOT_INFO_BOOT_SUB_PARTITION]
        mov  byte ptr [rbp + MULTIBOOT1_INFO_BOOT_DEVICE + 1], al
        mov  byte ptr [rbp + MULTIBOOT1_INFO_BOOT_DEVICE], BOOT_DEVICE_NONE & 0xff
.memory:
        call basic_memory
        mov  dword ptr [rbp + MULTIBOOT1_INFO_MEM_LOWER], eax
        mov  dword ptr [rbp + MULTIBOOT1_INFO_MEM_UPPER], edx
        mov  rsi, qword ptr [rip + launch_target + LAUNCH_TARGET_CMDLINE]
        call alloc_string
        mov  dword ptr [rbp + MULTIBOOT1_INFO_CMDLINE], eax
        lea  rsi, [rip + M_LOADER_NAME]
        call alloc_string
        mov  dword ptr [rbp + MULTIBOOT1_INFO_BOOT_LOADER_NAME], eax

        mov  edi, MAX_MODULES * MULTIBOOT1_MODULE_SIZEOF
        call alloc
        mov  dword ptr [rbp + MULTIBOOT1_INFO_MODS_ADDR], eax
        mov  r13, rax                   ; r13 = multiboot1_module
        mov  r12d, -1
.module:
        call next_module
        je   .mmap
        mov  rax, qword ptr [rbx + BOOT_MODULE_START]
        mov  dword ptr [r13 + MULTIBOOT1_MODULE_MOD_START], eax
        add  rax, qword ptr [rbx + BOOT_MODULE_SIZE]
        mov  dword ptr [r13 + MULTIBOOT1_MODULE_MOD_END], eax
        mov  rsi, qword ptr [rbx + BOOT_MODULE_STRING]
        call alloc_string
        mov  dword ptr [r13 + MULTIBOOT1_MODULE_STRING], eax
        inc  dword ptr [rbp + MULTIBOOT1_INFO_MODS_COUNT]
        add  r13, MULTIBOOT1_MODULE_SIZEOF
        jmp  .module

.mmap:
        mov  r12d, dword ptr [rip + memory_range_count]
        imul edi, r12d, MULTIBOOT1_MMAP_SIZEOF
        mov  dword ptr [rbp + MULTIBOOT1_INFO_MMAP_LENGTH], edi
        call alloc
        mov  dword ptr [rbp + MULTIBOOT1_INFO_MMAP_ADDR], eax
        lea  rsi, [rip + memory_ranges]
.range:
        mov  dword ptr [rax + MULTIBOOT1_MMAP_SIZE], MULTIBOOT1_MMAP_SIZEOF - MULTIBOOT1_MMAP_ADDR
        mov  rcx, qword ptr [rsi + MEMORY_RANGE_START]
        mov  qword ptr [rax + MULTIBOOT1_MMAP_ADDR], rcx
        mov  rcx, qword ptr [rsi + MEMORY_RANGE_SIZE]
        mov  qword ptr [rax + MULTIBOOT1_MMAP_LEN], rcx
        mov  ecx, dword ptr [rsi + MEMORY_RANGE_TYPE]
        mov  dword ptr [rax + MULTIBOOT1_MMAP_TYPE], ecx
        add  rsi, MEMORY_RANGE_SIZEOF
        add  rax, MULTIBOOT1_MMAP_SIZEOF
        dec  r12d
        jnz  .range

        push rbp
        call find_kernel
        call find_sections
        pop  rbp
        jrcxz .done
        or   dword ptr [rbp + MULTIBOOT1_INFO_FLAGS], MULTIBOOT1_INFO_FLAG_ELF_SECTIONS
        mov  edi, ecx
        call alloc
        mov  dword ptr [rbp + MULTIBOOT1_INFO_SYMS_ADDR], eax
        mov  dword ptr [rbp + MULTIBOOT1_INFO_SYMS_NUM], r9d
        mov  dword ptr [rbp + MULTIBOOT1_INFO_SYMS_SIZE], r10d
        mov  dword ptr [rbp + MULTIBOOT1_INFO_SYMS_SHNDX], r11d
        mov  rdi, rax
        call copy_sections
.done:
        mov  eax, MULTIBOOT1_LOADER_MAGIC
        mov  ebx, ebp
        xor  esi, esi
        mov  r8d, ENTER_PROTECTED_MODE
        jmp  keep_state

.section .rodata
multiboot1_launcher_name:
        .asciz "multiboot1"
