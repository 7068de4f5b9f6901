; Multiboot1 (QEMU's -kernel, iPXE, old GRUB): header, and the boot information. Specification 0.6.96.

.include "lib/macros.inc"

.section .multiboot
.align 4
multiboot1_header:
        .long MULTIBOOT1_HEADER_MAGIC
        .long MULTIBOOT1_PAGE_ALIGN | MULTIBOOT1_MEMORY_INFO
        .long (0 - MULTIBOOT1_HEADER_MAGIC - (MULTIBOOT1_PAGE_ALIGN | MULTIBOOT1_MEMORY_INFO)) & 0xffffffff

.section .entries
        .long MULTIBOOT1_LOADER_MAGIC
        .long parse_multiboot1 - __image_start
        .long multiboot1_name - __image_start
        .long 1                         ; module strings start with the image's name, unless GRUB 2 wrote them

.section .rodata
multiboot1_name:
        .asciz "multiboot1"

.section .text

; in:  rdi = multiboot1_info
; out: boot_info. The RSDP is not part of this protocol: it is looked for in the BIOS areas.
; clobbers: all but rbp, rsp
; fails: E_NO_MEMORY_MAP, E_LOADER_TAGS and what check_part, add_module, add_range, keep_string fail with
parse_multiboot1:
        mov  rbx, rdi
        mov  esi, MULTIBOOT1_INFO_SIZEOF
        call check_reach
        mov  r12d, dword ptr [rbx + MULTIBOOT1_INFO_FLAGS]

        test r12d, MULTIBOOT1_INFO_FLAG_LOADER_NAME
        jz   .cmdline
        mov  edi, dword ptr [rbx + MULTIBOOT1_INFO_BOOT_LOADER_NAME]
        call keep_string
        mov  qword ptr [rip + boot_info + BOOT_INFO_LOADER_NAME], rax
.cmdline:
        test r12d, MULTIBOOT1_INFO_FLAG_CMDLINE
        jz   .boot_device
        mov  edi, dword ptr [rbx + MULTIBOOT1_INFO_CMDLINE]
        call keep_string
        mov  qword ptr [rip + boot_info + BOOT_INFO_CMDLINE], rax

.boot_device:
        test r12d, MULTIBOOT1_INFO_FLAG_BOOT_DEVICE
        jz   .modules
        mov  dword ptr [rip + boot_info + BOOT_INFO_HAS_BOOT_DEVICE], 1
        movzx eax, byte ptr [rbx + MULTIBOOT1_INFO_BOOT_DEVICE + 3]
        mov  dword ptr [rip + boot_info + BOOT_INFO_BOOT_DEVICE], eax
        movzx eax, byte ptr [rbx + MULTIBOOT1_INFO_BOOT_DEVICE + 2]
        call .partition
        mov  dword ptr [rip + boot_info + BOOT_INFO_BOOT_PARTITION], eax
        movzx eax, byte ptr [rbx + MULTIBOOT1_INFO_BOOT_DEVICE + 1]
        call .partition
        mov  dword ptr [rip + boot_info + BOOT_INFO_BOOT_SUB_PARTITION], eax

.modules:
        test r12d, MULTIBOOT1_INFO_FLAG_MODS
        jz   .mmap
        mov  r13d, dword ptr [rbx + MULTIBOOT1_INFO_MODS_COUNT]
        mov  r14d, dword ptr [rbx + MULTIBOOT1_INFO_MODS_ADDR]
        cmp  r13d, MAX_MODULES
        ja   too_many_modules
        mov  edi, r14d
        imul esi, r13d, MULTIBOOT1_MODULE_SIZEOF
        call check_reach
.module:
        test r13d, r13d
        jz   .mmap
        mov  edi, dword ptr [r14 + MULTIBOOT1_MODULE_MOD_START]
        mov  esi, dword ptr [r14 + MULTIBOOT1_MODULE_MOD_END]
        sub  rsi, rdi
        mov  edx, dword ptr [r14 + MULTIBOOT1_MODULE_STRING]
        call add_module
        add  r14, MULTIBOOT1_MODULE_SIZEOF
        dec  r13d
        jmp  .module

.mmap:
        test r12d, MULTIBOOT1_INFO_FLAG_MMAP
        jz   .no_map
        mov  r13d, dword ptr [rbx + MULTIBOOT1_INFO_MMAP_ADDR]
        mov  r14d, dword ptr [rbx + MULTIBOOT1_INFO_MMAP_LENGTH]
        mov  rdi, r13
        mov  rsi, r14
        lea  rdx, [rip + memory_map_word]
        call check_part
        add  r14, r13                   ; the map's end
.mmap_entry:
        lea  rax, [r13 + MULTIBOOT1_MMAP_SIZEOF]
        cmp  rax, r14
        ja   .mmap_end
        mov  r15d, dword ptr [r13 + MULTIBOOT1_MMAP_SIZE]
        lea  rax, [r13 + r15 + MULTIBOOT1_MMAP_ADDR]    ; `size` does not count itself
        cmp  rax, r14
        ja   .bad_entry
        cmp  r15d, MULTIBOOT1_MMAP_SIZEOF - MULTIBOOT1_MMAP_ADDR
        jb   .bad_entry
        mov  rdi, qword ptr [r13 + MULTIBOOT1_MMAP_ADDR]
        mov  rsi, qword ptr [r13 + MULTIBOOT1_MMAP_LEN]
        mov  edx, dword ptr [r13 + MULTIBOOT1_MMAP_TYPE]
        call add_range
        lea  r13, [r13 + r15 + MULTIBOOT1_MMAP_ADDR]
        jmp  .mmap_entry
.bad_entry:
        mov  edx, dword ptr [rbx + MULTIBOOT1_INFO_MMAP_ADDR]
        mov  rcx, r13
        mov  r8, r15
        fail E_LOADER_TAGS
.mmap_end:
        cmp  dword ptr [rip + boot_info + BOOT_INFO_NR_RANGES], 0
        je   .no_map
        jmp  find_rsdp
; A number of 8 bits as one of 32: none is all ones. in: eax; out: eax
.partition:
        cmp  eax, BOOT_DEVICE_NONE & 0xff
        jne  .known
        mov  eax, BOOT_DEVICE_NONE
.known:
        ret
.no_map:
        mov  rdx, qword ptr [rip + boot_info + BOOT_INFO_LOADER_NAME]
        fail E_NO_MEMORY_MAP
