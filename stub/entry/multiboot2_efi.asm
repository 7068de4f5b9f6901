; Multiboot2 for a hypervisor that wants EFI's boot services: header tags that make a loader on UEFI leave them
; running, and the entry for that. Specification 2.0, 3.1 and 3.5.
;
; The link address may be the firmware's then, and GRUB would copy an image there all the same: multiboot2_anywhere.asm has
; the tag that lets it lie elsewhere.

.include "lib/macros.inc"

.section .multiboot.tags
multiboot2_services:
        .word MULTIBOOT2_HEADER_TAG_EFI_SERVICES, MULTIBOOT2_HEADER_TAG_OPTIONAL
        .long multiboot2_entry_efi - multiboot2_services
multiboot2_entry_efi:
        .word MULTIBOOT2_HEADER_TAG_ENTRY_EFI64, MULTIBOOT2_HEADER_TAG_OPTIONAL
        .long multiboot2_entry_efi_end - multiboot2_entry_efi
        .long start_multiboot2_efi
multiboot2_entry_efi_end:
.align MULTIBOOT2_ALIGN

.section .text
.code64

; With boot services: paging on, all memory mapped to itself, the firmware's stack, its calling conventions.
; in:  eax = the loader's magic, ebx = multiboot2_info; of control registers and flags what efi_start says
; fails: E_LOADER, E_EFI_TAGS and what parse_multiboot2 and leave_firmware fail with
start_multiboot2_efi:
        cld
        and  rsp, -16
        mov  dword ptr [rip + entry_magic], eax
        mov  dword ptr [rip + entry_info], ebx
        call allow_sse
        call apply_settings
        mov  edx, dword ptr [rip + entry_magic]
        cmp  edx, MULTIBOOT2_LOADER_MAGIC
        jne  .unknown
        call find_efi_tags
        mov  edx, r14d
        mov  rcx, qword ptr [rip + efi_system]
        mov  r8, qword ptr [rip + efi_handle]
        test edx, edx
        jz   .missing
        test r8, r8
        jz   .missing
        test rcx, rcx
        jz   .missing
        mov  rax, EFI_SYSTEM_SIGNATURE
        cmp  qword ptr [rcx], rax
        jne  .missing

        mov  r12, rcx                   ; r12 = efi_system_table, rbx = efi_boot_services
        mov  rbx, qword ptr [r12 + EFI_SYSTEM_TABLE_BOOT_SERVICES]
        call efi_init
        push rbx
        push r12
        inc  dword ptr [rip + boot_info + BOOT_INFO_NR_RANGES]  ; none is no fault here
        call parse_loader
        mov  dword ptr [rip + boot_info + BOOT_INFO_NR_RANGES], 0       ; the firmware's is the one that holds
        mov  dword ptr [rip + map_entries], 0
        pop  r12
        pop  rbx
        jmp  leave_firmware
.unknown:
        fail E_LOADER
.missing:
        fail E_EFI_TAGS

; Looks for what the firmware's console needs, in front of all else: the rest of the information may be wrong.
; in:  entry_info
; out: efi_system, efi_handle: 0 for none; r14d = 1 if the loader says that boot services are running, else 0
; clobbers: rax, rbx, rcx, rdx
find_efi_tags:
        xor  r14d, r14d
        mov  ebx, dword ptr [rip + entry_info]
        mov  ecx, dword ptr [rbx + MULTIBOOT2_INFO_TOTAL_SIZE]
        cmp  ecx, MAX_INFORMATION       ; parse_multiboot2 will say so
        jbe  .bounded
        mov  ecx, MAX_INFORMATION
.bounded:
        add  rcx, rbx                   ; rcx = end, rbx = tag
        add  rbx, MULTIBOOT2_INFO_SIZEOF
.tag:
        lea  rax, [rbx + MULTIBOOT2_TAG_EFI64_SIZEOF]   ; the end tag and what is shorter follow on none of these
        cmp  rax, rcx
        ja   .done
        mov  eax, dword ptr [rbx + MULTIBOOT2_TAG_TYPE]
        mov  rdx, qword ptr [rbx + MULTIBOOT2_TAG_EFI64_POINTER]
        cmp  eax, MULTIBOOT2_TAG_EFI_SERVICES
        jne  .system
        mov  r14d, 1
.system:
        cmp  eax, MULTIBOOT2_TAG_EFI64
        jne  .handle
        mov  qword ptr [rip + efi_system], rdx
.handle:
        cmp  eax, MULTIBOOT2_TAG_EFI64_HANDLE
        jne  .next
        mov  qword ptr [rip + efi_handle], rdx
.next:
        mov  edx, dword ptr [rbx + MULTIBOOT2_TAG_SIZE]
        lea  rbx, [rbx + rdx + MULTIBOOT2_ALIGN - 1]
        and  rbx, -MULTIBOOT2_ALIGN
        test edx, edx
        jnz  .tag
.done:
        ret
