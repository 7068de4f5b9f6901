; Multiboot2 for an image that may lie anywhere: one that is loaded with boot services running, where the link address
; may be the firmware's, or one whose modules lie behind the stub, where kernels want to be. Specification 2.0, 3.1.
;
; As high as possible, because hypervisor and domains are not moved. GRUB heeds that on a BIOS as well; so the 32-bit entry
; has to know where it is.

.include "lib/macros.inc"

.section .multiboot.tags
multiboot2_entry:
        .word MULTIBOOT2_HEADER_TAG_ENTRY, 0
        .long multiboot2_entry_end - multiboot2_entry
        .long start_multiboot2
multiboot2_entry_end:
.align MULTIBOOT2_ALIGN
multiboot2_relocatable:
        .word MULTIBOOT2_HEADER_TAG_RELOCATABLE, MULTIBOOT2_HEADER_TAG_OPTIONAL
        .long multiboot2_relocatable_end - multiboot2_relocatable
        .long IMAGE_BASE                ; lowest address, highest address, alignment
        .long 0xffffffff
        .long PAGE_SIZE
        .long MULTIBOOT2_LOAD_HIGH
multiboot2_relocatable_end:
.align MULTIBOOT2_ALIGN

.section .text
.code32

; Without boot services: as `start`, anywhere below 4 GiB.
; in: eax = the loader's magic, ebx = multiboot2_info
start_multiboot2:
        lea  esp, [ebx + MULTIBOOT2_INFO_SIZEOF]        ; no stack yet: its reserved field takes the return address
        call .here
.here:
        pop  ebp
        sub  ebp, .here
        cli
        jmp  start_moved
