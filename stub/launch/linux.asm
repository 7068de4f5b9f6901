; Launch by the Linux boot protocol: boot_params, and into a bzImage at its 64-bit entry, or at its 32-bit entry
; if it has no other, or in real mode if it has neither. Documentation/arch/x86/boot.rst and zero-page.rst.

.include "lib/macros.inc"
.include "linux_efi.inc"

.global linux_name, starts_in_real_mode

.section .launchers
        .long PROTOCOL_LINUX
        .long tell_linux - __image_start
        .long enter_kernel - __image_start
        .long linux_name - __image_start
        .long 0

.section .text

; in:  launch_target, an open hand-over area
; out: entered
; clobbers: all but rsp
; fails: E_NO_BIOS, E_NO_ROOM
tell_linux:
        imul eax, dword ptr [rip + launch_target + LAUNCH_TARGET_MODULE], BOOT_MODULE_SIZEOF
        lea  r14, [rip + boot_modules]
        add  r14, rax
        mov  r14, qword ptr [r14 + BOOT_MODULE_START]   ; r14 = the bzImage, as a file
        mov  edi, BOOT_PARAMS_SIZEOF
        call alloc
        mov  rbp, rax                   ; rbp = boot_params

        lea  rsi, [r14 + BOOT_PARAMS_SETUP_SECTS]       ; its header, as long as it says it is
        lea  rdi, [rbp + BOOT_PARAMS_SETUP_SECTS]
        movzx ecx, byte ptr [r14 + BOOT_PARAMS_JUMP_OFFSET]
        add  ecx, BOOT_PARAMS_HEADER - BOOT_PARAMS_SETUP_SECTS
        cmp  ecx, BOOT_PARAMS_PAD7 - BOOT_PARAMS_SETUP_SECTS
        jbe  .copy
        mov  ecx, BOOT_PARAMS_PAD7 - BOOT_PARAMS_SETUP_SECTS
.copy:
        mov  r13d, ecx                  ; r13 = its bytes
        rep movsb
        mov  byte ptr [rbp + BOOT_PARAMS_TYPE_OF_LOADER], LINUX_LOADER_UNDEFINED
        mov  word ptr [rbp + BOOT_PARAMS_VID_MODE], LINUX_NORMAL_VGA
        mov  rax, qword ptr [rip + boot_info + BOOT_INFO_RSDP]
        mov  qword ptr [rbp + BOOT_PARAMS_ACPI_RSDP_ADDR], rax
        mov  eax, dword ptr [rip + launch_target + LAUNCH_TARGET_ENTRY]
        mov  dword ptr [rbp + BOOT_PARAMS_CODE32_START], eax
        mov  rsi, qword ptr [rip + launch_target + LAUNCH_TARGET_CMDLINE]
        call alloc_string
        mov  dword ptr [rbp + BOOT_PARAMS_CMD_LINE_PTR], eax
        call fill_ramdisk
        call fill_e820
        call fill_screen_info
        call fill_efi_info

        xor  eax, eax
        xor  ebx, ebx
        mov  esi, ebp
        call starts_in_real_mode
        je   enter_setup
        xor  r8d, r8d                   ; ENTER_PROTECTED_MODE
        cmp  word ptr [rbp + BOOT_PARAMS_VERSION], LINUX_VERSION_XLOADFLAGS
        jb   keep_state
        test word ptr [rbp + BOOT_PARAMS_XLOADFLAGS], LINUX_XLF_KERNEL_64
        jz   keep_state
        sub  dword ptr [rbp + BOOT_PARAMS_CODE32_START], LINUX_ENTRY64
        mov  r8d, ENTER_LONG_MODE
        jmp  keep_state

; Can it be started in real mode only? So are iPXE's, without any other entry; and those from before there was a 32-bit
; boot protocol, memdisk and GRUB's lnxboot among them, but for kernels that may be moved, which kexec starts in 32 bits.
; in:  r14 = the bzImage
; out: ZF set if so
; clobbers: ecx
starts_in_real_mode:
        cmp  dword ptr [r14 + BOOT_PARAMS_CODE32_START], 0
        je   .done
        movzx ecx, word ptr [r14 + BOOT_PARAMS_VERSION]
        cmp  ecx, LINUX_VERSION_32BIT
        jae  .other
        cmp  ecx, LINUX_VERSION_RELOCATABLE
        jb   .real
        cmp  byte ptr [r14 + BOOT_PARAMS_RELOCATABLE_KERNEL], 0
        ret
.real:
        cmp  ecx, ecx                   ; sets ZF
.done:
        ret
.other:
        or   ecx, 1                     ; clears ZF
        ret

; Puts the setup code, with the header that is filled in, where a BIOS can run it.
; in:  rbp = boot_params, r13 = bytes of its header, r14 = the bzImage
; out: entered
; clobbers: rax, rbx, rcx, rdx, rsi, rdi, r8
; fails: E_NO_BIOS, E_NO_ROOM
enter_setup:
        cmp  qword ptr [rip + efi_system], 0
        jne  .no_bios
        cmp  dword ptr [rip + bios_system_vector], 0
        je   .no_bios
        mov  edi, REAL_MODE_BASE
        lea  esi, [rdi + REAL_MODE_SIZE]
        call test_ram
        jne  .no_room
        mov  rsi, r14
        movzx ecx, byte ptr [r14 + BOOT_PARAMS_SETUP_SECTS]
        test ecx, ecx
        jnz  .sectors
        mov  ecx, LINUX_DEFAULT_SECTORS
.sectors:
        inc  ecx
        imul ecx, ecx, LINUX_SECTOR
        cmp  ecx, REAL_MODE_HEAP_END    ; more is no setup code: no farther than the heap
        jbe  .copy
        mov  ecx, REAL_MODE_HEAP_END
.copy:
        rep movsb
        mov  esi, dword ptr [rbp + BOOT_PARAMS_CMD_LINE_PTR]
        mov  edi, REAL_MODE_BASE + REAL_MODE_CMDLINE
        mov  ecx, MAX_STRING / 8
        rep movsq
        mov  dword ptr [rbp + BOOT_PARAMS_CMD_LINE_PTR], REAL_MODE_BASE + REAL_MODE_CMDLINE
        or   byte ptr [rbp + BOOT_PARAMS_LOADFLAGS], LINUX_CAN_USE_HEAP
        mov  word ptr [rbp + BOOT_PARAMS_HEAP_END_PTR], REAL_MODE_HEAP_END
        lea  rsi, [rbp + BOOT_PARAMS_SETUP_SECTS]
        mov  edi, REAL_MODE_BASE + BOOT_PARAMS_SETUP_SECTS
        mov  ecx, r13d
        rep movsb
        lea  rsi, [rip + real_mode_switch]
        mov  edi, REAL_MODE_BASE + REAL_MODE_SWITCH
        mov  ecx, real_mode_switch_end - real_mode_switch
        rep movsb
        mov  rbx, qword ptr [rip + handover]
        add  rbx, HANDOVER_CODE
        mov  r8d, ENTER_REAL_MODE
        jmp  keep_state
.no_bios:
        mov  rdx, qword ptr [rip + launch_target + LAUNCH_TARGET_RECORD]
        mov  rcx, qword ptr [rip + boot_info + BOOT_INFO_ENTRY_NAME]
        fail_named E_NO_BIOS
.no_room:
        mov  rdx, qword ptr [rip + launch_target + LAUNCH_TARGET_RECORD]
        mov  ecx, REAL_MODE_BASE
        mov  r8d, REAL_MODE_BASE + REAL_MODE_SIZE
        fail_named E_NO_ROOM

; Copied to REAL_MODE_SWITCH: the registers of boot.rst, "Running the kernel".
.code16
real_mode_switch:
        mov  ax, REAL_MODE_SEGMENT
        mov  ds, ax
        mov  es, ax
        mov  fs, ax
        mov  gs, ax
        mov  ss, ax
        mov  sp, REAL_MODE_STACK
        .byte 0xea                      ; jmp far, which Keystone does not have
        .word 0, REAL_MODE_ENTRY
real_mode_switch_end:
.code64
.assert real_mode_switch_end - real_mode_switch <= REAL_MODE_SIZE - REAL_MODE_SWITCH, "the switch to real mode fits"
.assert REAL_MODE_CMDLINE + MAX_STRING <= REAL_MODE_SWITCH, "the longest command line ends before the switch to real mode"

; in:  rbp = boot_params; clobbers: rax, rbx, rcx, r12
fill_ramdisk:
        mov  r12d, -1
        call next_module
        je   .done
        mov  rax, qword ptr [rbx + BOOT_MODULE_START]
        mov  dword ptr [rbp + BOOT_PARAMS_RAMDISK_IMAGE], eax
        shr  rax, 32
        mov  dword ptr [rbp + BOOT_PARAMS_EXT_RAMDISK_IMAGE], eax
        mov  rax, qword ptr [rbx + BOOT_MODULE_SIZE]
        mov  dword ptr [rbp + BOOT_PARAMS_RAMDISK_SIZE], eax
        shr  rax, 32
        mov  dword ptr [rbp + BOOT_PARAMS_EXT_RAMDISK_SIZE], eax
.done:
        ret

; The memory map: what fits into boot_params, the rest as setup_data.
; in:  rbp = boot_params; clobbers: rax, rcx, rdx, rsi, rdi, r12
fill_e820:
        lea  rsi, [rip + memory_ranges]
        lea  rdi, [rbp + BOOT_PARAMS_E820_TABLE]
        mov  r12d, dword ptr [rip + memory_range_count]
        mov  ecx, LINUX_E820_MAX
        cmp  r12d, ecx
        cmovb ecx, r12d
        mov  byte ptr [rbp + BOOT_PARAMS_E820_ENTRIES], cl
        sub  r12d, ecx
        call .copy
        test r12d, r12d
        jz   .done
        imul edi, r12d, BOOT_E820_ENTRY_SIZEOF
        mov  edx, edi
        add  rdi, SETUP_DATA_SIZEOF
        call alloc
        mov  qword ptr [rbp + BOOT_PARAMS_SETUP_DATA], rax
        mov  dword ptr [rax + SETUP_DATA_TYPE], LINUX_SETUP_E820_EXT
        mov  dword ptr [rax + SETUP_DATA_LEN], edx
        lea  rdi, [rax + SETUP_DATA_SIZEOF]
        mov  ecx, r12d
; in: rsi = memory_range, rdi = boot_e820_entry, ecx = number; out: rsi, rdi behind them
.copy:
        test ecx, ecx
        jz   .done
        movsq
        movsq
        lodsq
        cmp  eax, XEN_HVM_MEMMAP_TYPE_DISABLED  ; not a type of e820
        jne  .type
        mov  eax, XEN_HVM_MEMMAP_TYPE_RESERVED
.type:
        stosd
        dec  ecx
        jmp  .copy
.done:
        ret
.assert MEMORY_RANGE_TYPE == 16, "fill_e820 copies start, size and type in this order"

; What the screen is: text, unless the loader said otherwise.
; in:  rbp = boot_params; clobbers: rax, rcx, rdx, rsi, rdi
fill_screen_info:
        cmp  dword ptr [rip + boot_info + BOOT_INFO_HAS_FRAMEBUFFER], 0
        je   .text
        cmp  byte ptr [rip + boot_info + BOOT_INFO_FRAMEBUFFER_TYPE], MULTIBOOT2_FRAMEBUFFER_RGB
        jne  .text
        mov  byte ptr [rbp + BOOT_PARAMS_ORIG_VIDEO_ISVGA], LINUX_VIDEO_TYPE_VLFB
        mov  rax, qword ptr [rip + boot_info + BOOT_INFO_FRAMEBUFFER]
        mov  dword ptr [rbp + BOOT_PARAMS_LFB_BASE], eax
        shr  rax, 32
        mov  dword ptr [rbp + BOOT_PARAMS_EXT_LFB_BASE], eax
        jz   .below_4g
        mov  dword ptr [rbp + BOOT_PARAMS_CAPABILITIES], LINUX_VIDEO_CAPABILITY_64BIT_BASE
.below_4g:
        mov  eax, dword ptr [rip + boot_info + BOOT_INFO_FRAMEBUFFER_WIDTH]
        mov  word ptr [rbp + BOOT_PARAMS_LFB_WIDTH], ax
        mov  edx, dword ptr [rip + boot_info + BOOT_INFO_FRAMEBUFFER_HEIGHT]
        mov  word ptr [rbp + BOOT_PARAMS_LFB_HEIGHT], dx
        movzx eax, byte ptr [rip + boot_info + BOOT_INFO_FRAMEBUFFER_BPP]
        mov  word ptr [rbp + BOOT_PARAMS_LFB_DEPTH], ax
        mov  eax, dword ptr [rip + boot_info + BOOT_INFO_FRAMEBUFFER_PITCH]
        mov  word ptr [rbp + BOOT_PARAMS_LFB_LINELENGTH], ax
        imul eax, edx                   ; bytes, in units of 64 KiB
        add  eax, 0xffff
        shr  eax, 16
        mov  dword ptr [rbp + BOOT_PARAMS_LFB_SIZE], eax
        lea  rsi, [rip + boot_info + BOOT_INFO_FRAMEBUFFER_COLOURS]
        lea  rdi, [rbp + BOOT_PARAMS_RED_SIZE]
        mov  ecx, 3
.colour:                                ; multiboot2 has position and size, Linux size and position
        lodsw
        xchg al, ah
        stosw
        dec  ecx
        jnz  .colour
        ret
.text:
        mov  byte ptr [rbp + BOOT_PARAMS_ORIG_VIDEO_MODE], LINUX_VIDEO_MODE_TEXT
        mov  byte ptr [rbp + BOOT_PARAMS_ORIG_VIDEO_COLS], VGA_COLUMNS
        mov  byte ptr [rbp + BOOT_PARAMS_ORIG_VIDEO_LINES], VGA_ROWS
        mov  byte ptr [rbp + BOOT_PARAMS_ORIG_VIDEO_ISVGA], LINUX_VIDEO_TYPE_VGAC
        mov  word ptr [rbp + BOOT_PARAMS_ORIG_VIDEO_POINTS], LINUX_FONT_POINTS
        ret

.section .rodata
linux_name:
        .asciz "the Linux boot protocol"
