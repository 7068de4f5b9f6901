; What is left of EFI once boot services have ended, for kernels that want to call the runtime services. All 0
; unless the stub was started by EFI.

.global efi_handle, efi_system, efi_map_size, efi_descriptor_size, efi_descriptor_version, efi_map

.section .bss
.align 8
efi_handle:             .space 8
efi_system:             .space 8        ; efi_system_table
efi_map_size:           .space 8        ; bytes of efi_map that are used
efi_descriptor_size:    .space 8
efi_descriptor_version: .space 4
.align 16
efi_map:                .space EFI_MAP_SIZE     ; the firmware's memory map, as it was when boot services ended
