; EFI: entered by the firmware as an application, in 64-bit mode with paging on and boot services running. What the
; firmware knows is kept, boot services end, and the shared path goes on as after any other loader.
; UEFI Specification 2.10. Firmware is called by Microsoft's x64 convention.

.include "lib/macros.inc"

.global efi_start, leave_firmware, efi_init, efi_image_size

.section .text

; in:  rcx = image handle, rdx = efi_system_table. Control registers are the firmware's, and but for what allow_sse
;      says they stay so as long as boot services run; own_cpu sets them, and EFLAGS and EFER, once they have ended.
efi_start:
        cld
        and  rsp, -16
        sub  rsp, EFI_SHADOW + 16
        mov  qword ptr [rip + efi_handle], rcx
        mov  qword ptr [rip + efi_system], rdx
        mov  r12, rdx                   ; r12 = efi_system_table, rbx = efi_boot_services
        call allow_sse
        call apply_settings
        mov  rbx, qword ptr [r12 + EFI_SYSTEM_TABLE_BOOT_SERVICES]
        call move_below_4g
        call apply_settings             ; the name as well is to be had in the copy alone, once boot services have ended
        mov  rbx, qword ptr [r12 + EFI_SYSTEM_TABLE_BOOT_SERVICES]
        call efi_init
        lea  rax, [rip + efi_name]
        mov  qword ptr [rip + boot_info + BOOT_INFO_ENTRY_NAME], rax
        mov  rsi, qword ptr [r12 + EFI_SYSTEM_TABLE_FIRMWARE_VENDOR]
        mov  ecx, MAX_NAME - 1
        call keep_wide_string
        mov  qword ptr [rip + boot_info + BOOT_INFO_LOADER_NAME], rax
        call find_load_options

; Boot services end, unless what is launched wants them, and the shared path goes on.
; in:  rbx = efi_boot_services; boot_info but for the memory map; the firmware's stack, 16-byte aligned
; never returns
; fails: E_EFI_PAGING, E_EFI_MEMORY_MAP, E_EFI_EXIT and what keep_memory_map fails with
leave_firmware:
        call greet
        call keep_services
        je   .kept
        mov  rdx, cr4
        bt   edx, CR4_LA57_BIT          ; ours have 4 levels, and no more can be changed in 64-bit mode
        jc   .five_levels
        call leave_boot_services

        lea  rsp, [rip + stack_end]
        lea  rdi, [rip + page_map]
        call fill_page_tables
        call own_cpu
        call load_descriptors
        call protect_memory
        call use_write_back
        call forbid_null_page
        call keep_memory_map
        jmp  main
.kept:
        call read_memory_map
        call keep_memory_map
        jmp  main
.five_levels:
        fail E_EFI_PAGING

; What every boot by EFI begins with: the firmware's console, and what boot_info can be told by the firmware.
; in:  rbx = efi_boot_services, r12 = efi_system_table
; out: boot_info.rsdp, boot_info.framebuffer*
; clobbers: all but rbx, r12, rsp
efi_init:
        lea  rax, [rip + put_firmware_char]
        mov  qword ptr [rip + firmware_console], rax
        xor  ecx, ecx                   ; no time-out: a boot may take longer than firmware expects
        xor  edx, edx
        xor  r8d, r8d
        xor  r9d, r9d
        sub  rsp, EFI_SHADOW + 8
        firmware rbx, EFI_BOOT_SERVICES_SET_WATCHDOG_TIMER
        add  rsp, EFI_SHADOW + 8
        call find_configuration_tables
        sub  rsp, 8
        call find_framebuffer
        add  rsp, 8
        ret

; Is what the tables launch one that wants boot services to go on?
; out: ZF set if so; room_finder, place_claimer
; clobbers: rax, rcx, rdx
keep_services:
        cmp  qword ptr [rip + image_name], 0
        je   .no
        lea  rdx, [rip + __start_tables]
        cmp  dword ptr [rdx + TABLES_HYPERVISOR], NO_MODULE
        je   .no
        mov  eax, dword ptr [rdx + TABLES_HYPERVISOR_PROTOCOL]
        lea  rcx, [rip + __start_launchers]
        lea  rdx, [rip + __end_launchers]
.next:
        cmp  rcx, rdx
        jae  .no
        cmp  eax, dword ptr [rcx + LAUNCHER_RECORD_PROTOCOL]
        je   .found
        add  rcx, LAUNCHER_RECORD_SIZEOF
        jmp  .next
.found:
        mov  eax, dword ptr [rcx + LAUNCHER_RECORD_KEEP_SERVICES]
        test eax, eax
        jz   .no
        lea  rcx, [rip + __image_start]
        add  rax, rcx
        call rax
        xor  eax, eax
        ret
.no:
        or   eax, 1                     ; clears ZF
        ret

; One line on the firmware's own console: what follows is for the serial port, or a text screen.
; clobbers: all but rbx, r12, rsp
greet:
        mov  al, byte ptr [rip + console_sinks]
        push rax
        mov  byte ptr [rip + console_sinks], 0
        call report_entry
        pop  rax
        mov  byte ptr [rip + console_sinks], al
        ret

; The rest of the boot reaches 4 GiB: an image that the firmware put beyond is copied below.
; in:  rbx = efi_boot_services; the return address in this image
; out: running in a copy below 4 GiB, if it was not there
; clobbers: rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11
; fails: E_NO_FREE_ROOM
move_below_4g:
        lea  rsi, [rip + __image_start]
        mov  r8, qword ptr [rip + efi_image_size]
        lea  rax, [rsi + r8]
        shr  rax, 32
        jz   .done
        push rsi
        sub  rsp, EFI_SHADOW + 16
        mov  eax, -1                    ; the highest address: below 4 GiB
        mov  qword ptr [rsp + EFI_SHADOW], rax
        mov  ecx, EFI_ALLOCATE_MAX_ADDRESS
        mov  edx, EFI_LOADER_CODE       ; firmware may forbid to run what is data
        add  r8, PAGE_SIZE - 1
        shr  r8, PAGE_SHIFT
        lea  r9, [rsp + EFI_SHADOW]
        firmware rbx, EFI_BOOT_SERVICES_ALLOCATE_PAGES
        mov  rdi, qword ptr [rsp + EFI_SHADOW]
        add  rsp, EFI_SHADOW + 16
        pop  rsi
        test rax, rax
        jnz  .none
        mov  rcx, qword ptr [rip + efi_image_size]
        mov  rax, rdi
        sub  rax, rsi                   ; how far it moves
        add  rcx, 7
        shr  rcx, 3
        rep movsq
        add  qword ptr [rsp], rax       ; return into the copy
.done:
        ret
.none:
        lea  rax, [rip + put_firmware_char]
        mov  qword ptr [rip + firmware_console], rax
        mov  rdx, qword ptr [rip + efi_image_size]
        lea  rcx, [rip + own_name]
        fail E_NO_FREE_ROOM

; One character on the firmware's console. As put_char.
; in:  dil = character
put_firmware_char:
        push rbp
        push r8
        push r9
        push r10
        push r11
        mov  rbp, rsp
        and  rsp, -16
        sub  rsp, EFI_SHADOW + 16
        cmp  dil, 10
        jne  .one
        mov  dword ptr [rsp + EFI_SHADOW], 0x000a000d    ; carriage return and line feed
        mov  word ptr [rsp + EFI_SHADOW + 4], 0
        jmp  .print
.one:
        movzx eax, dil
        mov  dword ptr [rsp + EFI_SHADOW], eax
.print:
        mov  rax, qword ptr [rip + efi_system]
        mov  rcx, qword ptr [rax + EFI_SYSTEM_TABLE_CON_OUT]
        test rcx, rcx
        jz   .done
        lea  rdx, [rsp + EFI_SHADOW]
        firmware rcx, EFI_TEXT_OUTPUT_OUTPUT_STRING
.done:
        mov  rsp, rbp
        pop  r11
        pop  r10
        pop  r9
        pop  r8
        pop  rbp
        ret

; Copies a string of 16-bit characters; what is not ASCII becomes a question mark.
; in:  rsi = string, 0 for none, ecx = characters at most
; out: rax = the copy
; clobbers: rcx, rdx, rsi, rdi
; fails: E_STRING_TOO_LONG, E_STRING_SPACE
keep_wide_string:
        lea  rdi, [rip + wide_copy]
        test rsi, rsi
        jz   .end
.next:
        test ecx, ecx
        jz   .end
        dec  ecx
        movzx eax, word ptr [rsi]
        add  rsi, 2
        test eax, eax
        jz   .end
        lea  rdx, [rip + wide_copy + MAX_STRING - 1]
        cmp  rdi, rdx
        jae  .too_long
        cmp  eax, '~'
        jbe  .store
        mov  eax, '?'
.store:
        stosb
        jmp  .next
.end:
        mov  byte ptr [rdi], 0
        lea  rdi, [rip + wide_copy]
        jmp  keep_string
.too_long:
        lea  rdx, [rsi - 2 * MAX_STRING]        ; its start
        mov  ecx, MAX_STRING - 1
        fail E_STRING_TOO_LONG

; The command line: what the firmware or its boot entry passes to the application.
; in:  rbx = efi_boot_services
; clobbers: all but rbx, r12, rsp
find_load_options:
        sub  rsp, EFI_SHADOW + 8
        mov  rcx, qword ptr [rip + efi_handle]
        lea  rdx, [rip + loaded_image_guid]
        lea  r8, [rip + efi_interface]
        firmware rbx, EFI_BOOT_SERVICES_HANDLE_PROTOCOL
        add  rsp, EFI_SHADOW + 8
        test rax, rax
        jnz  .none
        mov  rax, qword ptr [rip + efi_interface]
        mov  rsi, qword ptr [rax + EFI_LOADED_IMAGE_LOAD_OPTIONS]
        mov  ecx, dword ptr [rax + EFI_LOADED_IMAGE_LOAD_OPTIONS_SIZE]
        shr  ecx, 1
        call keep_wide_string
        mov  qword ptr [rip + boot_info + BOOT_INFO_CMDLINE], rax
        ret
.none:
        lea  rax, [rip + empty_string]
        mov  qword ptr [rip + boot_info + BOOT_INFO_CMDLINE], rax
        ret

; The ACPI RSDP: of revision 2 if there is one.
; in:  r12 = efi_system_table
; out: boot_info.rsdp
; clobbers: rax, rcx, rdx, rsi, rdi
; fails: E_EFI_TABLES
find_configuration_tables:
        mov  rsi, qword ptr [r12 + EFI_SYSTEM_TABLE_CONFIGURATION_TABLE]
        mov  rcx, qword ptr [r12 + EFI_SYSTEM_TABLE_NUMBER_OF_TABLE_ENTRIES]
        cmp  rcx, EFI_MAX_TABLES
        ja   .too_many
.next:
        test rcx, rcx
        jz   .done
        mov  rax, qword ptr [rsi + EFI_CONFIGURATION_TABLE_VENDOR_GUID_LOW]
        mov  rdx, qword ptr [rsi + EFI_CONFIGURATION_TABLE_VENDOR_GUID_HIGH]
        mov  rdi, qword ptr [rsi + EFI_CONFIGURATION_TABLE_VENDOR_TABLE]
        add  rsi, EFI_CONFIGURATION_TABLE_SIZEOF
        dec  rcx
        cmp  rax, qword ptr [rip + acpi2_guid]
        jne  .acpi1
        cmp  rdx, qword ptr [rip + acpi2_guid + 8]
        jne  .acpi1
        mov  qword ptr [rip + boot_info + BOOT_INFO_RSDP], rdi
        ret
.acpi1:
        cmp  rax, qword ptr [rip + acpi1_guid]
        jne  .next
        cmp  rdx, qword ptr [rip + acpi1_guid + 8]
        jne  .next
        mov  qword ptr [rip + boot_info + BOOT_INFO_RSDP], rdi
        jmp  .next
.done:
        ret
.too_many:
        mov  rdx, rcx
        mov  ecx, EFI_MAX_TABLES
        fail E_EFI_TABLES

; The screen: the mode that the firmware is in, if it is a linear framebuffer of 32 bits.
; in:  rbx = efi_boot_services
; out: boot_info.framebuffer*
; clobbers: all but rbx, r12, rsp
find_framebuffer:
        sub  rsp, EFI_SHADOW + 8
        lea  rcx, [rip + graphics_output_guid]
        xor  edx, edx
        lea  r8, [rip + efi_interface]
        firmware rbx, EFI_BOOT_SERVICES_LOCATE_PROTOCOL
        add  rsp, EFI_SHADOW + 8
        test rax, rax
        jnz  .none
        mov  rax, qword ptr [rip + efi_interface]
        mov  rax, qword ptr [rax + EFI_GRAPHICS_OUTPUT_MODE]
        mov  rcx, qword ptr [rax + EFI_GRAPHICS_MODE_INFO]
        mov  rdx, qword ptr [rip + rgb_layout]
        cmp  dword ptr [rcx + EFI_GRAPHICS_INFO_PIXEL_FORMAT], EFI_PIXEL_RGB
        je   .linear
        mov  rdx, qword ptr [rip + bgr_layout]
        cmp  dword ptr [rcx + EFI_GRAPHICS_INFO_PIXEL_FORMAT], EFI_PIXEL_BGR
        jne  .none
.linear:
        lea  rdi, [rip + boot_info]
        mov  qword ptr [rdi + BOOT_INFO_FRAMEBUFFER_BPP], rdx   ; bits, type and the colours' places
        mov  rdx, qword ptr [rax + EFI_GRAPHICS_MODE_FRAME_BUFFER_BASE]
        mov  qword ptr [rdi + BOOT_INFO_FRAMEBUFFER], rdx
        mov  edx, dword ptr [rcx + EFI_GRAPHICS_INFO_PIXELS_PER_SCAN_LINE]
        shl  edx, 2
        mov  dword ptr [rdi + BOOT_INFO_FRAMEBUFFER_PITCH], edx
        mov  edx, dword ptr [rcx + EFI_GRAPHICS_INFO_HORIZONTAL_RESOLUTION]
        mov  dword ptr [rdi + BOOT_INFO_FRAMEBUFFER_WIDTH], edx
        mov  edx, dword ptr [rcx + EFI_GRAPHICS_INFO_VERTICAL_RESOLUTION]
        mov  dword ptr [rdi + BOOT_INFO_FRAMEBUFFER_HEIGHT], edx
        mov  dword ptr [rdi + BOOT_INFO_HAS_FRAMEBUFFER], 1
        ret
.none:                                  ; no text screen either, under EFI
        and  byte ptr [rip + console_sinks], ~CONSOLE_VGA & 0xff
        ret

.section .rodata
efi_name:
        .asciz "EFI"
.align 8
loaded_image_guid:                      ; 5b1b31a1-9562-11d2-8e3f-00a0c969723b
        .quad 0x11d295625b1b31a1, 0x3b7269c9a0003f8e
graphics_output_guid:                   ; 9042a9de-23dc-4a38-96fb-7aded080516a
        .quad 0x4a3823dc9042a9de, 0x6a5180d0de7afb96
acpi1_guid:                             ; eb9d2d30-2d88-11d3-9a16-0090273fc14d
        .quad 0x11d32d88eb9d2d30, 0x4dc13f279000169a
acpi2_guid:                             ; 8868e871-e4f1-11d3-bc22-0080c73c8881
        .quad 0x11d3e4f18868e871, 0x81883cc7800022bc
rgb_layout:                             ; as boot_info has it: 32 bits, RGB, position and size of each colour
        .byte 32, MULTIBOOT2_FRAMEBUFFER_RGB, 0, 8, 8, 8, 16, 8
bgr_layout:
        .byte 32, MULTIBOOT2_FRAMEBUFFER_RGB, 16, 8, 8, 8, 0, 8
.assert BOOT_INFO_FRAMEBUFFER_COLOURS == BOOT_INFO_FRAMEBUFFER_BPP + 2, "find_framebuffer writes both at once"

.section .data
.align 8
efi_image_size:         .quad 0         ; bytes of the whole image in memory: filled in by the host

.section .bss
.align 8
efi_interface:          .space 8
wide_copy:              .space MAX_STRING
