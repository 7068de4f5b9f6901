; Command lines: the stub's own, and the domain's that is made of several.

.include "macros.inc"

.set KEXTRA_MARK, 0x202d2d20            ; " -- "

.section .text

; What stands behind " -- " on the stub's command line is for the initial domain: kextra, with one leading space.
; out: kextra, 0 for none
; clobbers: rax, rcx
split_cmdline:
        mov  rcx, qword ptr [rip + boot_info + BOOT_INFO_CMDLINE]
.next:
        cmp  dword ptr [rcx], KEXTRA_MARK
        je   .found
        cmp  byte ptr [rcx], 0
        je   .done
        inc  rcx
        jmp  .next
.found:
        mov  byte ptr [rcx], 0
        add  rcx, 3
.space:
        cmp  byte ptr [rcx + 1], ' '
        jne  .keep
        inc  rcx
        jmp  .space
.keep:
        mov  qword ptr [rip + kextra], rcx
.done:
        ret

; The kernel module's string, without the image's name where the loader puts one; then kextra; then what the stub
; was told by options of its own, noapic and acpi=, unless the line says something about it already.
; in:  r13 = domain
; out: domain_cmdline
; clobbers: rax, rbx, rcx, rdx, rsi, rdi, r8
; fails: E_CMDLINE_TOO_LONG
compose_cmdline:
        mov  ecx, dword ptr [r13 + BOOT_DOMAIN_KERNEL]
        imul ecx, ecx, BOOT_MODULE_SIZEOF
        lea  rax, [rip + boot_modules]
        add  rax, rcx
        mov  rsi, qword ptr [rax + BOOT_MODULE_STRING]
        call skip_spaces
        cmp  dword ptr [rax + BOOT_MODULE_STRING_KIND], BOOTSTR_STRING
        jne  .string
        cmp  dword ptr [rip + boot_info + BOOT_INFO_KEEPS_IMAGE_NAME], 0
        je   .string
        call skip_word
        call skip_spaces
.string:
        lea  rdi, [rip + domain_cmdline]
        lea  rbx, [rdi + MAX_STRING]
        call .append
        mov  rsi, qword ptr [rip + kextra]
        test rsi, rsi
        jz   .noapic
        call .append
.noapic:
        lea  rsi, [rip + noapic_option + 1]
        call find_option
        jne  .acpi
        call contains
        je   .acpi
        lea  rsi, [rip + noapic_option]
        call .append
.acpi:
        lea  rsi, [rip + acpi_option + 1]
        call find_option
        jne  .done
        call contains
        je   .done
        push rax                        ; the option's value
        lea  rsi, [rip + acpi_option]
        call .append
        pop  rsi
        call .append_word
.done:
        ret

; in: rsi = string, rdi = place, rbx = end of the buffer; out: rdi = its zero byte; clobbers: rax, rsi
.append:
        cmp  rdi, rbx
        jae  .too_long
        lodsb
        stosb
        test al, al
        jnz  .append
        dec  rdi
        ret
; The same up to a space.
.append_word:
        cmp  rdi, rbx
        jae  .too_long
        lodsb
        cmp  al, ' '
        jne  .letter
        xor  eax, eax
.letter:
        stosb
        test al, al
        jnz  .append_word
        dec  rdi
        ret
.too_long:
        mov  rdi, r13
        call record_name
        mov  rdx, rax
        mov  ecx, MAX_STRING - 1
        fail E_CMDLINE_TOO_LONG

; Is there an option on the stub's own command line?
; in:  rsi = its text, with = at the end if it has a value
; out: ZF set if so, with rax = what follows it
; clobbers: rcx, rdx
find_option:
        mov  rax, qword ptr [rip + boot_info + BOOT_INFO_CMDLINE]
.word:
        mov  rcx, rsi
.letter:
        movzx edx, byte ptr [rcx]
        test edx, edx
        jz   .matched
        cmp  dl, byte ptr [rax]
        jne  .next_word
        inc  rax
        inc  rcx
        jmp  .letter
.matched:
        cmp  byte ptr [rcx - 1], '='
        je   .done
        cmp  byte ptr [rax], 0
        je   .done
        cmp  byte ptr [rax], ' '
        je   .done
.next_word:
        cmp  byte ptr [rax], 0
        je   .none
        inc  rax
        cmp  byte ptr [rax - 1], ' '
        je   .word
        jmp  .next_word
.none:
        or   ecx, 1                     ; clears ZF
.done:
        ret

; Does the domain's command line contain a text?
; in:  rsi = text
; out: ZF set if so
; clobbers: rcx, rdx, r8
contains:
        lea  r8, [rip + domain_cmdline]
.start:
        xor  ecx, ecx
.letter:
        movzx edx, byte ptr [rsi + rcx]
        test edx, edx
        jz   .done
        cmp  dl, byte ptr [r8 + rcx]
        jne  .other
        inc  ecx
        jmp  .letter
.other:
        inc  r8
        cmp  byte ptr [r8 - 1], 0
        jne  .start
        or   ecx, 1                     ; clears ZF
.done:
        ret

; in: rsi = string; out: rsi = its first character that is no space
skip_spaces:
        cmp  byte ptr [rsi], ' '
        jne  .done
        inc  rsi
        jmp  skip_spaces
.done:
        ret

; in: rsi = string; out: rsi = its first space, or its end
skip_word:
        cmp  byte ptr [rsi], ' '
        je   .done
        cmp  byte ptr [rsi], 0
        je   .done
        inc  rsi
        jmp  skip_word
.done:
        ret

.section .rodata
noapic_option:  .asciz " noapic"
acpi_option:    .asciz " acpi="

.section .bss
.align 8
kextra:                 .space 8        ; string, 0 for none
domain_cmdline:         .space MAX_STRING
