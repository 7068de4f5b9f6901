; Multiboot2 (GRUB): header, and the boot information. Specification 2.0.

.include "lib/macros.inc"

.global multiboot2_header

.section .multiboot
.align MULTIBOOT2_ALIGN
multiboot2_header:
        .long MULTIBOOT2_HEADER_MAGIC
        .long MULTIBOOT2_ARCHITECTURE_I386
        .long multiboot2_header_end - multiboot2_header
        .long (0 - MULTIBOOT2_HEADER_MAGIC - MULTIBOOT2_ARCHITECTURE_I386 - (multiboot2_header_end - multiboot2_header)) & 0xffffffff
multiboot2_console:                     ; a text screen, if there can be one
        .word MULTIBOOT2_HEADER_TAG_CONSOLE, MULTIBOOT2_HEADER_TAG_OPTIONAL
        .long multiboot2_align - multiboot2_console
        .long MULTIBOOT2_CONSOLE_EGA_TEXT
.align MULTIBOOT2_ALIGN
multiboot2_align:                       ; modules on page boundaries
        .word MULTIBOOT2_HEADER_TAG_MODULE_ALIGN, MULTIBOOT2_HEADER_TAG_OPTIONAL
        .long multiboot2_tags - multiboot2_align
multiboot2_tags:                        ; section .multiboot.tags: what other files want of the loader
.section .multiboot.end
multiboot2_end:
        .word MULTIBOOT2_HEADER_TAG_END, 0
        .long multiboot2_header_end - multiboot2_end
multiboot2_header_end:

.section .entries
        .long MULTIBOOT2_LOADER_MAGIC
        .long parse_multiboot2 - __image_start
        .long multiboot2_name - __image_start
        .long 1                         ; module strings start with the image's name, unless GRUB 2 wrote them

.section .rodata
multiboot2_name:
        .asciz "multiboot2"
information_word:
        .asciz "loader's information"

.section .text

; Walks the tags. Every tag is bounded by the total size before it is read.
; in:  rdi = multiboot2_info
; out: boot_info
; clobbers: all but rbp, rsp
; fails: E_LOADER_TAGS, E_NO_MEMORY_MAP and what check_part, add_module, add_range, keep_string fail with
parse_multiboot2:
        mov  rbx, rdi                   ; rbx = information, r12 = cursor, r13 = its end
        mov  esi, MULTIBOOT2_INFO_SIZEOF
        call check_reach
        lea  r12, [rdi + MULTIBOOT2_INFO_SIZEOF]
        mov  r13d, dword ptr [rdi + MULTIBOOT2_INFO_TOTAL_SIZE]
        mov  rsi, r13
        lea  rdx, [rip + information_word]
        call check_part
        add  r13, rdi
.tag:
        xor  r14d, r14d                 ; r14 = size of the tag, for the message too
        lea  rax, [r12 + MULTIBOOT2_TAG_SIZEOF]
        cmp  rax, r13
        ja   .cut_short
        mov  r14d, dword ptr [r12 + MULTIBOOT2_TAG_SIZE]
        cmp  r14d, MULTIBOOT2_TAG_SIZEOF
        jb   .cut_short
        lea  rax, [r12 + r14]
        cmp  rax, r13
        ja   .cut_short

        mov  eax, dword ptr [r12 + MULTIBOOT2_TAG_TYPE]
        cmp  eax, MULTIBOOT2_TAG_END
        je   .end
        cmp  eax, MULTIBOOT2_TAG_CMDLINE
        je   .cmdline
        cmp  eax, MULTIBOOT2_TAG_LOADER_NAME
        je   .loader_name
        cmp  eax, MULTIBOOT2_TAG_MODULE
        je   .module
        cmp  eax, MULTIBOOT2_TAG_BOOT_DEVICE
        je   .boot_device
        cmp  eax, MULTIBOOT2_TAG_MMAP
        je   .mmap
        cmp  eax, MULTIBOOT2_TAG_FRAMEBUFFER
        je   .framebuffer
        cmp  eax, MULTIBOOT2_TAG_ACPI_OLD
        je   .acpi
        cmp  eax, MULTIBOOT2_TAG_ACPI_NEW
        je   .acpi
        cmp  eax, MULTIBOOT2_TAG_EFI64
        je   .efi64
        cmp  eax, MULTIBOOT2_TAG_EFI_MMAP
        je   .efi_mmap
.next:
        lea  r12, [r12 + r14 + MULTIBOOT2_ALIGN - 1]
        and  r12, -MULTIBOOT2_ALIGN
        jmp  .tag
.cut_short:
        mov  rdx, rbx
        mov  rcx, r12
        mov  r8, r14
        fail E_LOADER_TAGS

.cmdline:
        lea  rdi, [r12 + MULTIBOOT2_TAG_SIZEOF]
        lea  ecx, [r14 - MULTIBOOT2_TAG_SIZEOF]
        call keep_string_within
        mov  qword ptr [rip + boot_info + BOOT_INFO_CMDLINE], rax
        jmp  .next
.loader_name:
        lea  rdi, [r12 + MULTIBOOT2_TAG_SIZEOF]
        lea  ecx, [r14 - MULTIBOOT2_TAG_SIZEOF]
        call keep_string_within
        mov  qword ptr [rip + boot_info + BOOT_INFO_LOADER_NAME], rax
        jmp  .next
.module:
        cmp  r14d, MULTIBOOT2_TAG_MODULE_SIZEOF
        jb   .cut_short
        mov  edi, dword ptr [r12 + MULTIBOOT2_TAG_MODULE_MOD_START]
        mov  esi, dword ptr [r12 + MULTIBOOT2_TAG_MODULE_MOD_END]
        sub  rsi, rdi
        lea  rdx, [r12 + MULTIBOOT2_TAG_MODULE_SIZEOF]
        lea  ecx, [r14 - MULTIBOOT2_TAG_MODULE_SIZEOF]
        call add_module_within
        jmp  .next

.boot_device:
        cmp  r14d, MULTIBOOT2_TAG_BOOT_DEVICE_SIZEOF
        jb   .cut_short
        mov  dword ptr [rip + boot_info + BOOT_INFO_HAS_BOOT_DEVICE], 1
        lea  rsi, [r12 + MULTIBOOT2_TAG_BOOT_DEVICE_BIOSDEV]
        lea  rdi, [rip + boot_info + BOOT_INFO_BOOT_DEVICE]
        movsd
        movsd
        movsd
        jmp  .next

.mmap:
        cmp  r14d, MULTIBOOT2_TAG_MMAP_SIZEOF
        jb   .cut_short
        mov  r15d, dword ptr [r12 + MULTIBOOT2_TAG_MMAP_ENTRY_SIZE]
        cmp  r15d, MULTIBOOT2_MMAP_ENTRY_SIZEOF
        jb   .cut_short
        lea  r8, [r12 + MULTIBOOT2_TAG_MMAP_SIZEOF]     ; r8 = entry, r9 = the tag's end
        lea  r9, [r12 + r14]
.mmap_entry:
        lea  rax, [r8 + r15]
        cmp  rax, r9
        ja   .next
        mov  rdi, qword ptr [r8 + MULTIBOOT2_MMAP_ENTRY_ADDR]
        mov  rsi, qword ptr [r8 + MULTIBOOT2_MMAP_ENTRY_LEN]
        mov  edx, dword ptr [r8 + MULTIBOOT2_MMAP_ENTRY_TYPE]
        call add_range
        add  r8, r15
        jmp  .mmap_entry

.framebuffer:                           ; what the screen is, for framebuffer_start and for the kernel
        cmp  r14d, MULTIBOOT2_TAG_FRAMEBUFFER_COLOURS
        jb   .cut_short
        mov  dword ptr [rip + boot_info + BOOT_INFO_HAS_FRAMEBUFFER], 1
        lea  rsi, [r12 + MULTIBOOT2_TAG_FRAMEBUFFER_ADDR]
        lea  rdi, [rip + boot_info + BOOT_INFO_FRAMEBUFFER]
        mov  ecx, BOOT_INFO_FRAMEBUFFER_COLOURS - BOOT_INFO_FRAMEBUFFER
        rep movsb
        cmp  r14d, MULTIBOOT2_TAG_FRAMEBUFFER_PADDING
        jb   .next
        lea  rsi, [r12 + MULTIBOOT2_TAG_FRAMEBUFFER_COLOURS]
        mov  ecx, MULTIBOOT2_TAG_FRAMEBUFFER_PADDING - MULTIBOOT2_TAG_FRAMEBUFFER_COLOURS
        rep movsb
        jmp  .next

.acpi:                                  ; a copy of the RSDP; the new one (revision 2) wins
        cmp  eax, MULTIBOOT2_TAG_ACPI_NEW
        je   .acpi_take
        cmp  qword ptr [rip + boot_info + BOOT_INFO_RSDP], 0
        jne  .next
.acpi_take:
        lea  rsi, [r12 + MULTIBOOT2_TAG_SIZEOF]
        lea  ecx, [r14 - MULTIBOOT2_TAG_SIZEOF]
        call keep_rsdp
        jmp  .next

.efi64:
        cmp  r14d, MULTIBOOT2_TAG_EFI64_SIZEOF
        jb   .cut_short
        cmp  qword ptr [rip + firmware_console], 0
        jne  .next                      ; that table is in use, and was looked at: it stays
        mov  rax, qword ptr [r12 + MULTIBOOT2_TAG_EFI64_POINTER]
        mov  qword ptr [rip + efi_system], rax
        jmp  .next
.efi_mmap:                              ; for runtime services; one that is too long is no use cut off
        lea  ecx, [r14 - MULTIBOOT2_TAG_EFI_MMAP_SIZEOF]
        cmp  ecx, EFI_MAP_SIZE
        ja   .next
        mov  dword ptr [rip + efi_map_size], ecx
        mov  eax, dword ptr [r12 + MULTIBOOT2_TAG_EFI_MMAP_DESCR_SIZE]
        mov  dword ptr [rip + efi_descriptor_size], eax
        mov  eax, dword ptr [r12 + MULTIBOOT2_TAG_EFI_MMAP_DESCR_VERS]
        mov  dword ptr [rip + efi_descriptor_version], eax
        lea  rsi, [r12 + MULTIBOOT2_TAG_EFI_MMAP_SIZEOF]
        lea  rdi, [rip + efi_map]
        rep movsb
        jmp  .next

.end:
        cmp  dword ptr [rip + boot_info + BOOT_INFO_NR_RANGES], 0
        je   .no_map
        cmp  qword ptr [rip + boot_info + BOOT_INFO_RSDP], 0
        je   find_rsdp
        jmp  settle_rsdp
.no_map:
        mov  rdx, qword ptr [rip + boot_info + BOOT_INFO_LOADER_NAME]
        fail E_NO_MEMORY_MAP

; The two records lie in the same order.
.assert BOOT_INFO_FRAMEBUFFER_COLOURS - BOOT_INFO_FRAMEBUFFER == MULTIBOOT2_TAG_FRAMEBUFFER_RESERVED - MULTIBOOT2_TAG_FRAMEBUFFER_ADDR, "boot_info.framebuffer* is multiboot2_tag_framebuffer's"
