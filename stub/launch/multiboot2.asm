; Launch by multiboot2: boot information as tags, and into an ELF kernel in 32-bit protected mode.
; Multiboot2 Specification 2.0. Xen is entered this way too, with its domains' files as modules.

.include "lib/macros.inc"

.global tell_multiboot2, fill_modules, fill_machine, fill_end, take_tag, multiboot2_launcher_name

.section .launchers
        .long PROTOCOL_MULTIBOOT2
        .long tell_multiboot2 - __image_start
        .long enter_kernel - __image_start
        .long multiboot2_launcher_name - __image_start
        .long 0

.section .text

; in:  launch_target, an open hand-over area
; out: entered
; clobbers: all but rsp
; fails: E_EFI_ENDED
tell_multiboot2:
        cmp  qword ptr [rip + launch_target + LAUNCH_TARGET_DOMAIN], 0
        jne  .tell
        cmp  qword ptr [rip + efi_system], 0
        jne  .ended                     ; Xen would look for a BIOS, and find none
.tell:
        call fill_modules
        call fill_memory
        call fill_machine
        call fill_end
        mov  eax, MULTIBOOT2_LOADER_MAGIC
        mov  ebx, ebp
        xor  esi, esi
        mov  r8d, ENTER_PROTECTED_MODE
        jmp  keep_state
.ended:
        mov  rdx, qword ptr [rip + launch_target + LAUNCH_TARGET_RECORD]
        mov  rcx, qword ptr [rip + boot_info + BOOT_INFO_LOADER_NAME]
        fail_named E_EFI_ENDED

; Starts the information: command lines, modules, and what the kernel is.
; out: rbp = multiboot2_info
; clobbers: all but rsp
fill_modules:
        mov  edi, MULTIBOOT2_INFO_SIZEOF
        call alloc
        mov  rbp, rax                   ; rbp = multiboot2_info

        mov  rsi, qword ptr [rip + launch_target + LAUNCH_TARGET_CMDLINE]
        mov  edx, MULTIBOOT2_TAG_CMDLINE
        call take_string_tag
        lea  rsi, [rip + M_LOADER_NAME]
        mov  edx, MULTIBOOT2_TAG_LOADER_NAME
        call take_string_tag

        mov  r12d, -1
.module:
        call next_module
        je   .done
        mov  edi, MULTIBOOT2_TAG_MODULE_SIZEOF
        mov  edx, MULTIBOOT2_TAG_MODULE
        call take_tag
        mov  r13, rax
        mov  rax, qword ptr [rbx + BOOT_MODULE_START]
        mov  dword ptr [r13 + MULTIBOOT2_TAG_MODULE_MOD_START], eax
        add  rax, qword ptr [rbx + BOOT_MODULE_SIZE]
        mov  dword ptr [r13 + MULTIBOOT2_TAG_MODULE_MOD_END], eax
        mov  rsi, qword ptr [rbx + BOOT_MODULE_STRING]
        call alloc_string                ; 16 bytes of tag are a multiple of 8: the string follows at once
        call end_tag
        jmp  .module
.done:

; What the kernel is: where it lies, and its section headers.
; in:  rbp = multiboot2_info
; clobbers: all but rbp, rsp
fill_kernel:
        push rbp
        call find_kernel
        mov  edi, MULTIBOOT2_TAG_LOAD_BASE_SIZEOF
        mov  edx, MULTIBOOT2_TAG_LOAD_BASE
        call take_tag
        mov  dword ptr [rax + MULTIBOOT2_TAG_LOAD_BASE_LOAD_BASE_ADDR], r13d
        call find_sections
        jrcxz .none
        lea  edi, [rcx + MULTIBOOT2_TAG_ELF_SECTIONS_SIZEOF]
        mov  edx, MULTIBOOT2_TAG_ELF_SECTIONS
        call take_tag
        mov  dword ptr [rax + MULTIBOOT2_TAG_ELF_SECTIONS_NUM], r9d
        mov  dword ptr [rax + MULTIBOOT2_TAG_ELF_SECTIONS_ENTSIZE], r10d
        mov  dword ptr [rax + MULTIBOOT2_TAG_ELF_SECTIONS_SHNDX], r11d
        lea  rdi, [rax + MULTIBOOT2_TAG_ELF_SECTIONS_SIZEOF]
        call copy_sections
.none:
        pop  rbp
        ret

; The memory map. clobbers: all but rbp, rsp
fill_memory:
        mov  edi, MULTIBOOT2_TAG_BASIC_MEMORY_SIZEOF
        mov  edx, MULTIBOOT2_TAG_BASIC_MEMORY
        call take_tag
        mov  r13, rax
        call basic_memory
        mov  dword ptr [r13 + MULTIBOOT2_TAG_BASIC_MEMORY_MEM_LOWER], eax
        mov  dword ptr [r13 + MULTIBOOT2_TAG_BASIC_MEMORY_MEM_UPPER], edx

        mov  edi, MULTIBOOT2_TAG_MMAP_SIZEOF
        mov  edx, MULTIBOOT2_TAG_MMAP
        call take_tag
        mov  r13, rax
        mov  dword ptr [r13 + MULTIBOOT2_TAG_MMAP_ENTRY_SIZE], MULTIBOOT2_MMAP_ENTRY_SIZEOF
        lea  rsi, [rip + memory_ranges] ; they have the layout of multiboot2_mmap_entry
        imul ecx, dword ptr [rip + memory_range_count], MEMORY_RANGE_SIZEOF
        call alloc_copy
        jmp  end_tag

; Boot device, screen, ACPI and EFI. clobbers: all but rbp, rsp
fill_machine:
        cmp  dword ptr [rip + boot_info + BOOT_INFO_HAS_BOOT_DEVICE], 0
        je   .screen
        mov  edi, MULTIBOOT2_TAG_BOOT_DEVICE_SIZEOF
        mov  edx, MULTIBOOT2_TAG_BOOT_DEVICE
        call take_tag
        lea  rsi, [rip + boot_info + BOOT_INFO_BOOT_DEVICE]
        lea  rdi, [rax + MULTIBOOT2_TAG_BOOT_DEVICE_BIOSDEV]
        movsd
        movsd
        movsd
.screen:
        cmp  dword ptr [rip + boot_info + BOOT_INFO_HAS_FRAMEBUFFER], 0
        je   .acpi
        mov  edi, MULTIBOOT2_TAG_FRAMEBUFFER_SIZEOF
        mov  edx, MULTIBOOT2_TAG_FRAMEBUFFER
        call take_tag
        lea  rsi, [rip + boot_info + BOOT_INFO_FRAMEBUFFER]
        lea  rdi, [rax + MULTIBOOT2_TAG_FRAMEBUFFER_ADDR]
        mov  ecx, BOOT_INFO_FRAMEBUFFER_COLOURS - BOOT_INFO_FRAMEBUFFER
        rep movsb
        lea  rdi, [rax + MULTIBOOT2_TAG_FRAMEBUFFER_COLOURS]
        mov  ecx, 6
        rep movsb
.acpi:
        mov  rbx, qword ptr [rip + boot_info + BOOT_INFO_RSDP]
        test rbx, rbx
        jz   .efi
        lea  rax, [rbx + RSDP_SIZEOF]
        shr  rax, 32
        jnz  .efi                       ; above 4 GiB it is not to be reached
        mov  ecx, RSDP_V1_LENGTH        ; a new one starts with all of an old one
        mov  edx, MULTIBOOT2_TAG_ACPI_OLD
        call .rsdp
        cmp  byte ptr [rbx + RSDP_REVISION], 2
        jb   .efi
        mov  ecx, RSDP_SIZEOF
        mov  edx, MULTIBOOT2_TAG_ACPI_NEW
        call .rsdp
.efi:                                   ; not for a hypervisor: Xen's entry takes it as a loader's mistake
        mov  rbx, qword ptr [rip + efi_system]
        test rbx, rbx
        jz   .end
        cmp  qword ptr [rip + launch_target + LAUNCH_TARGET_DOMAIN], 0
        je   .end
        mov  edi, MULTIBOOT2_TAG_EFI64_SIZEOF
        mov  edx, MULTIBOOT2_TAG_EFI64
        call take_tag
        mov  qword ptr [rax + MULTIBOOT2_TAG_EFI64_POINTER], rbx
        mov  byte ptr [rip + efi_told], 1
        call fill_efi_map
.end:
        ret
; in: rbx = the RSDP, ecx = its bytes, edx = type of its tag; clobbers: rax, rcx, rdx, rsi, rdi, r8
.rsdp:
        lea  edi, [rcx + MULTIBOOT2_TAG_SIZEOF]
        call take_tag
        mov  rsi, rbx
        lea  rdi, [rax + MULTIBOOT2_TAG_SIZEOF]
        rep movsb
        ret

; EFI's memory map as it was when boot services ended, where there is one that can be one.
; clobbers: rax, rcx, rdx, rsi, rdi, r8
fill_efi_map:
        mov  rcx, qword ptr [rip + efi_descriptor_size]
        cmp  rcx, EFI_MEMORY_DESCRIPTOR_SIZEOF
        jb   .done
        mov  rsi, qword ptr [rip + efi_map_size]
        cmp  rcx, rsi
        ja   .done
        lea  edi, [rsi + MULTIBOOT2_TAG_EFI_MMAP_SIZEOF]
        mov  edx, MULTIBOOT2_TAG_EFI_MMAP
        call take_tag
        mov  dword ptr [rax + MULTIBOOT2_TAG_EFI_MMAP_DESCR_SIZE], ecx
        mov  ecx, dword ptr [rip + efi_descriptor_version]
        mov  dword ptr [rax + MULTIBOOT2_TAG_EFI_MMAP_DESCR_VERS], ecx
        mov  rcx, rsi
        lea  rsi, [rip + efi_map]
        lea  rdi, [rax + MULTIBOOT2_TAG_EFI_MMAP_SIZEOF]
        rep movsb
.done:
        ret

; in: rbp = multiboot2_info; clobbers: rax, rcx, rdx, rdi, r8
fill_end:
        mov  edi, MULTIBOOT2_TAG_SIZEOF
        mov  edx, MULTIBOOT2_TAG_END
        call take_tag
        mov  rcx, qword ptr [rip + information_end]
        sub  rcx, rbp
        mov  dword ptr [rbp + MULTIBOOT2_INFO_TOTAL_SIZE], ecx
        ret

; Starts a tag. in: edi = its bytes so far, edx = type; out: rax = tag; clobbers: rdi, r8
take_tag:
        mov  r8d, edi
        call alloc
        mov  dword ptr [rax + MULTIBOOT2_TAG_TYPE], edx
        mov  dword ptr [rax + MULTIBOOT2_TAG_SIZE], r8d
        ret

; Gives a tag the size of all up to what was copied last. in: r13 = tag, rdi = end of the copy; clobbers: rdi
end_tag:
        sub  rdi, r13
        mov  dword ptr [r13 + MULTIBOOT2_TAG_SIZE], edi
        ret

; A tag that is a string. in: rsi = string, edx = type; clobbers: rax, rcx, rsi, rdi, r8, r13
take_string_tag:
        mov  edi, MULTIBOOT2_TAG_SIZEOF
        call take_tag
        mov  r13, rax
        call alloc_string
        jmp  end_tag

.section .rodata
multiboot2_launcher_name:
        .asciz "multiboot2"
