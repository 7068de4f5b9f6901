; Where a boot begins. Loaders enter at `start` (multiboot1, multiboot2) or `start_pvh`, in 32-bit
; protected mode, flat segments, paging off, at the link address. What they guarantee: EAX, EBX, CS, DS, ES, SS, and of
; CR0 that PE is set and PG is not. All else is unspecified: the other registers, EFLAGS, the stack, the rest of CR0, and
; CR4, EFER, MXCSR and the x87's. So EFLAGS, CR0, CR3, CR4 and EFER are set here as a whole, and what the others hold is
; of no account: nothing in the stub calculates in floating point. entry/multiboot2_efi.asm has two more ways in.

.include "lib/macros.inc"

.global start_pvh, start, start_moved, parse_loader, check_part, check_reach, keep_string, keep_string_within, empty_string
.global add_module, add_module_within, too_many_modules, add_range, map_entries, memory_map_word
.global entry_magic, entry_info, boot_info, loader_modules, loader_ranges

.section .text
.code32

; in: ebx = hvm_start_info; EAX is not specified by the PVH ABI
start_pvh:
        mov  eax, XEN_HVM_START_MAGIC_VALUE

; in: eax = the loader's magic, ebx = its information
start:
        cli
        xor  ebp, ebp

; The same for a stub that may lie elsewhere.
; in: as start, ebp = how far it lies from its link address
start_moved:
        mov  dword ptr [ebp + entry_magic], eax
        mov  dword ptr [ebp + entry_info], ebx
        mov  al, STAGE_ENTRY
        out  PORT_POST, al              ; whatever becomes of the console
        lea  esp, [ebp + stack_end]
        push EFLAGS_FIXED               ; clears DF, AC, NT and all others
        popfd
        call check_long_mode
        call enter_long_mode
.code64
        call load_descriptors
        call protect_memory
        call use_write_back
        call apply_settings
        call parse_loader
        call keep_bios_data
        call forbid_null_page
        jmp  main

; Hands the loader's information to the entry file that knows its magic.
; in:  entry_magic, entry_info
; out: boot_info
; clobbers: all but rbp, rsp
; fails: E_LOADER
parse_loader:
        mov  esi, dword ptr [rip + entry_magic]
        lea  rbx, [rip + __start_entries]
        lea  r12, [rip + __image_start]
.next:
        lea  rax, [rip + __end_entries]
        cmp  rbx, rax
        jae  .unknown
        cmp  esi, dword ptr [rbx + ENTRY_RECORD_MAGIC]
        je   .found
        add  rbx, ENTRY_RECORD_SIZEOF
        jmp  .next
.found:
        mov  eax, dword ptr [rbx + ENTRY_RECORD_NAME]
        add  rax, r12
        mov  qword ptr [rip + boot_info + BOOT_INFO_ENTRY_NAME], rax
        lea  rax, [rip + empty_string]
        mov  qword ptr [rip + boot_info + BOOT_INFO_CMDLINE], rax
        mov  edi, dword ptr [rip + entry_info]
        mov  eax, dword ptr [rbx + ENTRY_RECORD_PARSE]
        add  rax, r12
        push rbx
        call rax
        pop  rbx
        cmp  dword ptr [rbx + ENTRY_RECORD_IMAGE_NAMES], 0
        jne  find_image_names
        ret
.unknown:
        mov  edx, esi
        fail E_LOADER

; Do the module strings of this multiboot loader start with the file's name? All do but GRUB 2.
; out: boot_info.keeps_image_name
; clobbers: rax, rcx
find_image_names:
        mov  rcx, qword ptr [rip + boot_info + BOOT_INFO_LOADER_NAME]
        test rcx, rcx
        jz   .keeps
.next:
        cmp  dword ptr [rcx], LOADER_NAME_GRUB
        je   .grub
        cmp  byte ptr [rcx], 0
        je   .keeps
        inc  rcx
        jmp  .next
.grub:
        cmp  byte ptr [rcx + 4], ' '
        jne  .keeps
        cmp  byte ptr [rcx + 5], '0'    ; GRUB 0.97 and before, "legacy"
        jne  .done
.keeps:
        mov  dword ptr [rip + boot_info + BOOT_INFO_KEEPS_IMAGE_NAME], 1
.done:
        ret

.set LOADER_NAME_GRUB, 0x42555247       ; "GRUB"

; --- for the entry files: copies into boot_info -------------------------------------------------

; Is a part of the loader's information as long as one may be, and within reach?
; in:  rdi = start, rsi = bytes, rdx = what it is, for the message
; clobbers: rax
; fails: E_LOADER_SIZE, E_LOADER_ADDRESS
check_part:
        cmp  rsi, MAX_INFORMATION
        jbe  check_reach
        mov  rcx, rdi
        mov  r8, rsi
        mov  r9d, MAX_INFORMATION
        fail E_LOADER_SIZE

; Does all of something that the loader has put somewhere lie within reach?
; in:  rdi = start, rsi = bytes
; clobbers: rax
; fails: E_LOADER_ADDRESS
check_reach:
        mov  rax, rdi
        add  rax, rsi
        jc   .beyond
        shr  rax, 32
        jnz  .beyond
        ret
.beyond:
        mov  rdx, rdi
        fail E_LOADER_ADDRESS

; Copies a string of the loader.
; in:  rdi = string, 0 for none
; out: rax = the copy (the empty string for none)
; clobbers: rcx, rdx, rsi, rdi
; fails: E_STRING_TOO_LONG, E_STRING_SPACE, E_LOADER_ADDRESS
keep_string:
        mov  ecx, MAX_STRING

; Copies a string of the loader that has to end within so many bytes.
; in:  rdi = string, 0 for none, ecx = bytes
; out: rax = the copy (the empty string for none, or for no bytes)
; clobbers: rcx, rdx, rsi, rdi
; fails: E_STRING_TOO_LONG, E_STRING_SPACE, E_LOADER_ADDRESS
keep_string_within:
        lea  rax, [rip + empty_string]
        test rdi, rdi
        jz   .done
        test ecx, ecx
        jz   .done
        cmp  ecx, MAX_STRING
        jbe  .bounded
        mov  ecx, MAX_STRING
.bounded:
        mov  esi, ecx
        call check_reach
        mov  rsi, rdi
        mov  rdx, rdi                   ; for the message
        mov  rdi, qword ptr [rip + string_space_used]
        cmp  rdi, STRING_SPACE_SIZE - MAX_STRING
        ja   .full
        lea  rax, [rip + string_space]
        add  rdi, rax
        mov  rax, rdi
.byte:
        movsb
        cmp  byte ptr [rdi - 1], 0
        je   .ended
        dec  ecx
        jnz  .byte
        lea  rcx, [rsi - 1]
        sub  rcx, rdx
        fail E_STRING_TOO_LONG
.full:
        mov  edx, STRING_SPACE_SIZE
        fail E_STRING_SPACE
.ended:
        lea  rcx, [rip + string_space]
        sub  rdi, rcx
        mov  qword ptr [rip + string_space_used], rdi
.done:
        ret

; Adds a module of the loader.
; in:  rdi = start, rsi = size in bytes, rdx = string, 0 for none
; clobbers: rax, rcx, rdx, rsi, rdi
; fails: E_TOO_MANY_MODULES, E_STRING_TOO_LONG, E_STRING_SPACE, E_LOADER_ADDRESS
add_module:
        mov  ecx, MAX_STRING

; Adds a module whose string has to end within so many bytes.
; in:  as add_module; ecx = bytes
; clobbers: rax, rcx, rdx, rsi, rdi
; fails: as add_module
add_module_within:
        call check_reach
        mov  eax, dword ptr [rip + boot_info + BOOT_INFO_NR_MODULES]
        cmp  eax, MAX_MODULES
        jae  too_many_modules
        cmp  rdi, PAGE_SIZE
        jae  .reachable
        mov  byte ptr [rip + null_page_used], 1
.reachable:
        push rcx
        imul ecx, eax, BOOT_MODULE_SIZEOF
        lea  rax, [rip + loader_modules]
        add  rax, rcx
        pop  rcx
        mov  qword ptr [rax + BOOT_MODULE_START], rdi
        mov  qword ptr [rax + BOOT_MODULE_SIZE], rsi
        push rax
        mov  rdi, rdx
        call keep_string_within
        pop  rcx
        mov  qword ptr [rcx + BOOT_MODULE_STRING], rax
        mov  dword ptr [rcx + BOOT_MODULE_STRING_KIND], BOOTSTR_STRING
        inc  dword ptr [rip + boot_info + BOOT_INFO_NR_MODULES]
        ret

; never returns
; fails: E_TOO_MANY_MODULES
too_many_modules:
        mov  edx, MAX_MODULES
        fail E_TOO_MANY_MODULES

; Adds an entry of the loader's memory map. No walk through one is longer than this lets it be.
; in:  rdi = start, rsi = size in bytes, edx = type
; clobbers: rax, rcx
; fails: E_TOO_MANY_RANGES
add_range:
        inc  dword ptr [rip + map_entries]
        cmp  dword ptr [rip + map_entries], MAX_MAP_ENTRIES
        ja   .too_long
        mov  ecx, dword ptr [rip + boot_info + BOOT_INFO_NR_RANGES]
        test ecx, ecx
        jz   .new
        imul eax, ecx, MEMORY_RANGE_SIZEOF      ; EFI has many neighbours that are one range here
        push rcx
        lea  rcx, [rip + loader_ranges - MEMORY_RANGE_SIZEOF]
        add  rcx, rax
        cmp  edx, dword ptr [rcx + MEMORY_RANGE_TYPE]
        jne  .other
        mov  rax, qword ptr [rcx + MEMORY_RANGE_START]
        add  rax, qword ptr [rcx + MEMORY_RANGE_SIZE]
        jc   .other                     ; it ends at the end of the address space, or says so
        cmp  rax, rdi
        jne  .other
        add  rax, rsi
        jc   .other
        add  qword ptr [rcx + MEMORY_RANGE_SIZE], rsi
        pop  rcx
        ret
.other:
        pop  rcx
.new:
        cmp  ecx, MAX_RANGES
        jae  .too_many
        imul ecx, ecx, MEMORY_RANGE_SIZEOF
        lea  rax, [rip + loader_ranges]
        add  rax, rcx
        mov  qword ptr [rax + MEMORY_RANGE_START], rdi
        mov  qword ptr [rax + MEMORY_RANGE_SIZE], rsi
        mov  dword ptr [rax + MEMORY_RANGE_TYPE], edx
        inc  dword ptr [rip + boot_info + BOOT_INFO_NR_RANGES]
        ret
.too_long:
        mov  edx, MAX_MAP_ENTRIES
        fail E_TOO_MANY_RANGES
.too_many:
        mov  edx, MAX_RANGES
        fail E_TOO_MANY_RANGES

.section .rodata
empty_string:
        .byte 0
memory_map_word:
        .asciz "loader's memory map"

.section .bss
.align 16
entry_magic:            .space 4
entry_info:             .space 4
boot_info:              .space BOOT_INFO_SIZEOF
string_space_used:      .space 8
map_entries:            .space 4        ; that were read
.align 8
string_space:           .space STRING_SPACE_SIZE
loader_modules:         .space MAX_MODULES * BOOT_MODULE_SIZEOF
.align 16
loader_ranges:          .space MAX_RANGES * MEMORY_RANGE_SIZEOF
