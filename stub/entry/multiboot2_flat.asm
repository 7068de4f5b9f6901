; Multiboot2 for the EFI application: the same file is what GRUB loads on a BIOS. It is no ELF file, so a tag says where its
; bytes go: one behind the other, from the first page of the stub to the end of the file. Specification 2.0, 3.1.5.
; The host lays the file out so that this holds (host/bootwright/image/efi_image.py).

.include "lib/macros.inc"

.section .multiboot.tags
multiboot2_address:
        .word MULTIBOOT2_HEADER_TAG_ADDRESS, 0
        .long multiboot2_address_end - multiboot2_address
        .long multiboot2_header
        .long __image_start
        .long 0                         ; up to the end of the file
        .long 0                         ; and nothing behind it
multiboot2_address_end:
.align MULTIBOOT2_ALIGN
