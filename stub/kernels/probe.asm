; The probe: entered by multiboot2 or by PVH, reports the machine as one JSON document with a checksum, and powers
; off. Words of its command line: `serial=0x2f8` for another port, `halt` to leave the report on the screen.

.include "lib/macros.inc"
.include "lib/long_mode.asm"
.include "lib/descriptors.asm"
.include "lib/console.asm"
.include "lib/framebuffer.asm"
.include "lib/font.asm"
.include "lib/panic.asm"
.include "lib/crc32.asm"
.include "power_off.inc"
.include "document.inc"
.include "probe_information.inc"
.include "probe_cpu.inc"
.include "probe_msr.inc"
.include "probe_acpi.inc"
.include "probe_smbios.inc"

.global start

.section .multiboot
.align MULTIBOOT2_ALIGN
multiboot2_header:
        .long MULTIBOOT2_HEADER_MAGIC
        .long MULTIBOOT2_ARCHITECTURE_I386
        .long multiboot2_header_end - multiboot2_header
        .long -(MULTIBOOT2_HEADER_MAGIC + MULTIBOOT2_ARCHITECTURE_I386 + (multiboot2_header_end - multiboot2_header)) & 0xffffffff
        .word MULTIBOOT2_HEADER_TAG_END, 0
        .long MULTIBOOT2_HEADER_TAG_SIZEOF
multiboot2_header_end:

        pvh_note start

.section .text
.code32

; in: ebx = hvm_start_info or multiboot2_info
start:
        to_long_mode                    ; ebp = what the loader told
        call catch_protection
        call read_information
        call read_words
        call console_start
        call emit_document
        call print_document
        cmp  byte ptr [rip + word_halt], 0
        jne  halt
        lea  rdi, [rip + PROBE_OFF]
        call print
        mov  rdi, qword ptr [rip + information_rsdp]
        call power_off
        lea  rdi, [rip + still_on_line]
        call print
        jmp  halt

; What is short comes last, so that it stays on the screen.
; clobbers: all but rsp
emit_document:
        lea  rdi, [rip + format_text]
        mov  esi, PROBE_FORMAT
        call emit
        call emit_memory
        call emit_acpi
        call emit_cpuid
        call emit_msrs
        call emit_cpu
        call emit_smbios
        call emit_framebuffer
        call emit_booted
        lea  rdi, [rip + end_text]
        jmp  emit_text

.section .rodata
format_text:    .asciz "{\"format\": %u,\n"
end_text:       .asciz "}\n"
still_on_line:  .asciz "probe: this machine did not power off by ACPI; halted\n"
