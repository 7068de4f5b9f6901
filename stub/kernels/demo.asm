; The demo kernel: entered by PVH, prints what it was given, and powers off.

.include "lib/macros.inc"
.include "lib/long_mode.asm"
.include "lib/descriptors.asm"
.include "lib/console.asm"
.include "lib/panic.asm"
.include "power_off.inc"

.global start

        pvh_note start

.section .text
.code32

; in: ebx = hvm_start_info
start:
        to_long_mode                    ; ebp = what the loader told
        call console_start
        call print_start_info
        call print_modules
        call print_memory_map
        lea  rdi, [rip + off_line]
        call print
        mov  rdi, qword ptr [rbp + HVM_START_INFO_RSDP_PADDR]
        call power_off
        lea  rdi, [rip + still_on_line]
        call print
        jmp  halt

; in:  rbp = hvm_start_info; clobbers: all but rbp, rsp
print_start_info:
        lea  rdi, [rip + info_line]
        mov  rsi, rbp
        mov  edx, dword ptr [rbp + HVM_START_INFO_MAGIC]
        mov  ecx, dword ptr [rbp + HVM_START_INFO_VERSION]
        mov  r8d, dword ptr [rbp + HVM_START_INFO_FLAGS]
        mov  r9, qword ptr [rbp + HVM_START_INFO_RSDP_PADDR]
        call print
        lea  rdi, [rip + cmdline_line]
        mov  rsi, qword ptr [rbp + HVM_START_INFO_CMDLINE_PADDR]
        jmp  print

; in:  rbp = hvm_start_info; clobbers: all but rbp, rsp
print_modules:
        mov  rbx, qword ptr [rbp + HVM_START_INFO_MODLIST_PADDR]
        xor  r12d, r12d
.next:
        cmp  r12d, dword ptr [rbp + HVM_START_INFO_NR_MODULES]
        jae  .done
        lea  rdi, [rip + module_line]
        mov  esi, r12d
        mov  rdx, qword ptr [rbx + HVM_MODLIST_ENTRY_PADDR]
        mov  rcx, qword ptr [rbx + HVM_MODLIST_ENTRY_SIZE]
        add  rcx, rdx
        mov  r8, qword ptr [rbx + HVM_MODLIST_ENTRY_CMDLINE_PADDR]
        call print
        call print_text
        add  rbx, HVM_MODLIST_ENTRY_SIZEOF
        inc  r12d
        jmp  .next
.done:
        ret

; The first line of a module, if it is text.
; in:  rbx = hvm_modlist_entry; clobbers: rax, rcx, rdx, rsi, rdi, r13, r14
print_text:
        mov  r13, qword ptr [rbx + HVM_MODLIST_ENTRY_PADDR]
        mov  r14, qword ptr [rbx + HVM_MODLIST_ENTRY_SIZE]
        cmp  r14, VGA_COLUMNS
        jbe  .start
        mov  r14d, VGA_COLUMNS
.start:
        add  r14, r13
        lea  rdi, [rip + text_line]
        call print
.next:
        cmp  r13, r14
        jae  .done
        movzx edi, byte ptr [r13]
        inc  r13
        cmp  edi, ' '
        jb   .done
        cmp  edi, '~'
        ja   .done
        call put_char
        jmp  .next
.done:
        mov  edi, 10
        jmp  put_char

; in:  rbp = hvm_start_info; clobbers: all but rbp, rsp
print_memory_map:
        mov  rbx, qword ptr [rbp + HVM_START_INFO_MEMMAP_PADDR]
        xor  r12d, r12d
.next:
        cmp  r12d, dword ptr [rbp + HVM_START_INFO_MEMMAP_ENTRIES]
        jae  .done
        lea  rdi, [rip + memory_line]
        mov  rsi, qword ptr [rbx + HVM_MEMMAP_TABLE_ENTRY_ADDR]
        mov  rdx, qword ptr [rbx + HVM_MEMMAP_TABLE_ENTRY_SIZE]
        add  rdx, rsi
        mov  ecx, dword ptr [rbx + HVM_MEMMAP_TABLE_ENTRY_TYPE]
        call print
        add  rbx, HVM_MEMMAP_TABLE_ENTRY_SIZEOF
        inc  r12d
        jmp  .next
.done:
        ret

.section .rodata
info_line:      .asciz "demo: start info at %x: magic %x, version %u, flags %x, RSDP at %x\n"
cmdline_line:   .asciz "demo: command line: %s\n"
module_line:    .asciz "demo: module %u: [%x, %x), string: %s\n"
text_line:      .asciz "demo:   starts: "
memory_line:    .asciz "demo: memory: [%x, %x) type %u\n"
off_line:       .asciz "demo: powering off\n"
still_on_line:  .asciz "demo: this machine did not power off by ACPI; halted\n"
