; Launch of a hypervisor that has two ways in by multiboot2. With EFI's boot services running, memory belongs to the
; firmware until the hypervisor ends them, so all that is needed is asked for: Multiboot2 Specification 2.0, 3.1.9 and
; 3.5; for Xen it is the only way in that finds EFI. Without them it is launched as any other kernel.

.include "lib/macros.inc"

.section .launchers
        .long PROTOCOL_MULTIBOOT2_EFI
        .long tell_with_services - __image_start
        .long enter_with_services - __image_start
        .long multiboot2_launcher_name - __image_start
        .long use_firmware_memory - __image_start

.section .text

; in:  launch_target, a hypervisor; an open hand-over area
; out: launch_target.entry: the one for boot services, where they are running; else as tell_multiboot2
; clobbers: all but rsp
; fails: E_ENTRY, E_EFI_ENDED
tell_with_services:
        cmp  qword ptr [rip + room_finder], 0
        je   tell_multiboot2            ; memory is ours: there are no boot services
        lea  rax, [rip + multiboot2_efi_name]
        mov  qword ptr [rip + launch_target + LAUNCH_TARGET_LAUNCHER_NAME], rax
        mov  rcx, qword ptr [rip + tables]
        mov  eax, dword ptr [rcx + TABLES_HYPERVISOR_EFI_ENTRY]
        mov  qword ptr [rip + launch_target + LAUNCH_TARGET_ENTRY], rax
        call check_entry
        call fill_modules
        call fill_machine
        mov  edi, MULTIBOOT2_TAG_SIZEOF
        mov  edx, MULTIBOOT2_TAG_EFI_SERVICES
        call take_tag
        mov  edi, MULTIBOOT2_TAG_EFI64_SIZEOF
        mov  edx, MULTIBOOT2_TAG_EFI64
        call take_tag
        mov  rcx, qword ptr [rip + efi_system]
        mov  qword ptr [rax + MULTIBOOT2_TAG_EFI64_POINTER], rcx
        mov  edi, MULTIBOOT2_TAG_EFI64_SIZEOF
        mov  edx, MULTIBOOT2_TAG_EFI64_HANDLE
        call take_tag
        mov  rcx, qword ptr [rip + efi_handle]
        mov  qword ptr [rax + MULTIBOOT2_TAG_EFI64_POINTER], rcx
        mov  rbp, qword ptr [rip + handover]
        add  rbp, HANDOVER_INFORMATION
        jmp  fill_end

; in:  launch_target, the area as tell_with_services leaves it
; never returns
enter_with_services:
        cmp  qword ptr [rip + room_finder], 0
        je   enter_kernel
        mov  rsi, qword ptr [rip + efi_system]
        mov  rdx, qword ptr [rip + efi_handle]
        detail M_EFI_SERVICES
        call report_launch
        mov  qword ptr [rip + firmware_console], 0
        mov  rdi, qword ptr [rip + launch_target + LAUNCH_TARGET_ENTRY]
        mov  rbx, qword ptr [rip + handover]
        add  rbx, HANDOVER_INFORMATION
        mov  eax, MULTIBOOT2_LOADER_MAGIC
        jmp  rdi

; From here on memory is the firmware's to give.
; clobbers: rax
use_firmware_memory:
        lea  rax, [rip + allocate_room]
        mov  qword ptr [rip + room_finder], rax
        lea  rax, [rip + claim_places]
        mov  qword ptr [rip + place_claimer], rax
        ret

; In place of find_room_below: memory of the firmware.
; in:  rdi = bytes, rsi = limit
; out: rax = page-aligned start, 0 for none
; clobbers: rcx, rdx, rsi, rdi, r8, r9, r10, r11
allocate_room:
        lea  rax, [rsi - 1]
        mov  ecx, EFI_ALLOCATE_MAX_ADDRESS
        call allocate
        test rax, rax
        mov  rax, rcx
        jz   .done
        xor  eax, eax
.done:
        ret

; Takes the places of a module's pieces, all from the lowest to the highest, but for where the loader has put modules:
; that is ours already, and evacuate_modules has moved what is still needed.
; in:  r12 = first piece, r14 = their number, rbx = module_record
; clobbers: all but rbx, rbp, r13, rsp
; fails: E_EFI_CLAIM
claim_places:
        test r14d, r14d
        jz   .none
        mov  r15, -1                    ; [r15, r11) = all of them
        xor  r11d, r11d
.piece:
        mov  rax, qword ptr [r12 + PIECE_DEST]
        cmp  rax, r15
        cmovb r15, rax
        add  rax, qword ptr [r12 + PIECE_DEST_SIZE]
        add  rax, qword ptr [r12 + PIECE_ZERO_SIZE]
        cmp  rax, r11
        cmova r11, rax
        add  r12, PIECE_SIZEOF
        dec  r14d
        jnz  .piece
        and  r15, -PAGE_SIZE
        mov  r14, r11
.next:                                  ; [r15, r14) = what is left to take
        cmp  r15, r14
        jae  .none
        mov  rdi, r14                   ; [r15, rdi) = what to ask for now
        lea  r12, [rip + loader_modules - BOOT_MODULE_SIZEOF]
        mov  ecx, dword ptr [rip + boot_info + BOOT_INFO_NR_MODULES]
.module:
        dec  ecx
        js   .ask
        add  r12, BOOT_MODULE_SIZEOF
        mov  rax, qword ptr [r12 + BOOT_MODULE_START]
        mov  rdx, qword ptr [r12 + BOOT_MODULE_SIZE]
        lea  rdx, [rax + rdx + PAGE_SIZE - 1]
        and  rax, -PAGE_SIZE            ; [rax, rdx) = its pages
        and  rdx, -PAGE_SIZE
        cmp  rdx, r15
        jbe  .module
        cmp  rax, rdi
        jae  .module
        mov  rdi, rax                   ; up to there
        cmp  rax, r15
        ja   .module
        mov  r15, rdx                   ; or behind it
        jmp  .next
.ask:
        push rdi
        sub  rdi, r15
        mov  rax, r15
        mov  ecx, EFI_ALLOCATE_ADDRESS
        call allocate
        pop  rdi
        test rax, rax
        jnz  .refused
        mov  r15, rdi
        jmp  .next
.none:
        ret
.refused:
        mov  rdx, rbx
        mov  rcx, r15
        mov  r8, r14
        mov  r9, rax
        fail_named E_EFI_CLAIM

; in:  ecx = EFI_ALLOCATE_*, rdi = bytes, rax = address, or highest address
; out: rax = status, rcx = address
; clobbers: rdx, rdi, r8, r9, r10, r11
allocate:
        push rbp
        mov  rbp, rsp
        and  rsp, -16
        sub  rsp, EFI_SHADOW + 16
        mov  qword ptr [rsp + EFI_SHADOW], rax
        mov  edx, EFI_LOADER_CODE
        lea  r8, [rdi + PAGE_SIZE - 1]
        shr  r8, PAGE_SHIFT
        lea  r9, [rsp + EFI_SHADOW]
        mov  rax, qword ptr [rip + efi_system]
        mov  rax, qword ptr [rax + EFI_SYSTEM_TABLE_BOOT_SERVICES]
        call qword ptr [rax + EFI_BOOT_SERVICES_ALLOCATE_PAGES]
        mov  rcx, qword ptr [rsp + EFI_SHADOW]
        mov  rsp, rbp
        pop  rbp
        ret

.section .rodata
multiboot2_efi_name:
        .asciz "multiboot2, with EFI boot services"
