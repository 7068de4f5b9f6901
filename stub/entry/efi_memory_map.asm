; EFI's memory map, and the end of boot services. UEFI Specification 2.10, 7.2 and 7.4.

.include "lib/macros.inc"

.global leave_boot_services, read_memory_map, keep_memory_map

.section .text

; Reads the memory map and ends boot services. The map's key goes stale when anything allocates in between, and
; some firmware's first one always is: so it is tried again, a bounded number of times.
; in:  rbx = efi_boot_services
; out: efi_map*, no firmware console, interrupts off
; clobbers: all but rbx, r12, rsp
; fails: E_EFI_MEMORY_MAP, E_EFI_EXIT
leave_boot_services:
        push r13
        mov  r13d, EFI_EXIT_TRIES
.try:
        call read_memory_map
        sub  rsp, EFI_SHADOW
        mov  rcx, qword ptr [rip + efi_handle]
        mov  rdx, qword ptr [rip + efi_map_key]
        firmware rbx, EFI_BOOT_SERVICES_EXIT_BOOT_SERVICES
        add  rsp, EFI_SHADOW
        test rax, rax
        jz   .left
        dec  r13d
        jnz  .try
        mov  rdx, rax
        mov  ecx, EFI_EXIT_TRIES
        fail E_EFI_EXIT
.left:
        cli
        mov  qword ptr [rip + firmware_console], 0
        pop  r13
        ret

; in:  rbx = efi_boot_services, rsp 16-byte aligned before the call
; out: efi_map*
; clobbers: all but rbx, rbp, r12 to r15, rsp
; fails: E_EFI_MEMORY_MAP
read_memory_map:
        sub  rsp, EFI_SHADOW + 8
        mov  qword ptr [rip + efi_map_size], EFI_MAP_SIZE
        lea  rcx, [rip + efi_map_size]
        lea  rdx, [rip + efi_map]
        lea  r8, [rip + efi_map_key]
        lea  r9, [rip + efi_descriptor_size]
        lea  rax, [rip + efi_descriptor_version]
        mov  qword ptr [rsp + EFI_SHADOW], rax
        firmware rbx, EFI_BOOT_SERVICES_GET_MEMORY_MAP
        add  rsp, EFI_SHADOW + 8
        test rax, rax
        jnz  .no_map
        cmp  qword ptr [rip + efi_map_size], EFI_MAP_SIZE
        ja   .no_map
        ret
.no_map:
        mov  rdx, rax
        mov  rcx, qword ptr [rip + efi_map_size]
        fail E_EFI_MEMORY_MAP

; The firmware's memory map in the terms of everybody else's.
; out: loader_ranges
; clobbers: all but rbp, rsp
; fails: E_TOO_MANY_RANGES, E_EFI_MEMORY_MAP
keep_memory_map:
        lea  rbx, [rip + efi_map]
        mov  r12, qword ptr [rip + efi_map_size]
        mov  r13, qword ptr [rip + efi_descriptor_size]
        cmp  r13, EFI_MEMORY_DESCRIPTOR_SIZEOF
        jb   .bad
        cmp  r13, r12
        ja   .bad
        add  r12, rbx
.next:
        lea  rax, [rbx + r13]
        cmp  rax, r12
        ja   .done
        mov  eax, dword ptr [rbx + EFI_MEMORY_DESCRIPTOR_TYPE]
        mov  edx, XEN_HVM_MEMMAP_TYPE_RESERVED
        cmp  eax, EFI_MEMORY_TYPES
        jae  .add
        lea  rcx, [rip + memory_types]
        movzx edx, byte ptr [rcx + rax]
.add:
        mov  rdi, qword ptr [rbx + EFI_MEMORY_DESCRIPTOR_PHYSICAL_START]
        mov  rsi, qword ptr [rbx + EFI_MEMORY_DESCRIPTOR_NUMBER_OF_PAGES]
        shl  rsi, PAGE_SHIFT
        call add_range
        add  rbx, r13
        jmp  .next
.done:
        cmp  dword ptr [rip + boot_info + BOOT_INFO_NR_RANGES], 0
        je   .bad
        ret
.bad:
        xor  edx, edx
        mov  rcx, qword ptr [rip + efi_map_size]
        fail E_EFI_MEMORY_MAP

.section .rodata
memory_types:                           ; of EfiReservedMemoryType to EfiPersistentMemory
        .byte 2, 1, 1, 1, 1, 2, 2, 1, 5, 3, 4, 2, 2, 2, 7
memory_types_end:
.assert memory_types_end - memory_types == EFI_MEMORY_TYPES, "a type for each of EFI's"

.section .bss
.align 8
efi_map_key:            .space 8
