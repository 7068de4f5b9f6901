; Command lines: the stub's own, and the domain's that is made of several.

.include "lib/macros.inc"

.global split_cmdline, compose_cmdline, find_option, own_name, domain_cmdline

.set KEXTRA_MARK, 0x202d2d20            ; " -- "
.set MARK, 0x2d2d                       ; "--"

.section .text

; What stands behind " -- " on the stub's command line, which may begin with it, is for the initial domain: kextra,
; with one leading space.
; out: kextra, 0 for none
; clobbers: rax, rcx
split_cmdline:
        mov  rcx, qword ptr [rip + boot_info + BOOT_INFO_CMDLINE]
        mov  eax, dword ptr [rcx]
        shl  eax, 8
        mov  al, ' '
        cmp  eax, KEXTRA_MARK
        jne  .next
        dec  rcx                        ; as if a space stood in front
        mov  byte ptr [rcx + 1], 0
        jmp  .cut
.next:
        cmp  dword ptr [rcx], KEXTRA_MARK
        je   .found
        cmp  byte ptr [rcx], 0
        je   .done
        inc  rcx
        jmp  .next
.found:
        mov  byte ptr [rcx], 0
.cut:
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
; was told by options of its own, noapic and acpi=, unless the line says something about it already. These go in front
; of a word "--": what stands behind that Linux hands to init.
; in:  r13 = domain, whose cmdline_room is known
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
        mov  ecx, MAX_STRING
        mov  eax, dword ptr [r13 + BOOT_DOMAIN_CMDLINE_ROOM]
        lea  edx, [rax - 1]
        cmp  edx, ecx                   ; 0: it does not say
        cmovb ecx, eax
        lea  rbx, [rdi + rcx]
        call .append
        mov  rsi, qword ptr [rip + kextra]
        test rsi, rsi
        jz   .noapic
        call .append
.noapic:
        call cut_at_mark
        lea  rsi, [rip + noapic_option + 1]
        call find_option
        jne  .acpi
        lea  rax, [rip + domain_cmdline]
        call find_word
        je   .acpi
        lea  rsi, [rip + noapic_option]
        call .append
.acpi:
        lea  rsi, [rip + acpi_option + 1]
        call find_option
        jne  .rest
        mov  r8, rax                    ; the option's value
        lea  rax, [rip + domain_cmdline]
        call find_word
        je   .rest
        lea  rsi, [rip + acpi_option]
        call .append
        mov  rsi, r8
        call .append_word
.rest:
        lea  rsi, [rip + behind_mark]

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
        lea  rax, [rip + domain_cmdline]
        sub  rbx, rax                   ; rbx = bytes that there is room for
        lea  r8, [rip + own_name]
        cmp  ebx, dword ptr [r13 + BOOT_DOMAIN_CMDLINE_ROOM]
        jne  .name
        mov  ecx, dword ptr [r13 + BOOT_DOMAIN_KERNEL]
        call module_record_at
        mov  rdi, rax
        call record_name
        mov  r8, rax
.name:
        mov  rdx, r13
        lea  ecx, [rbx - 1]
        fail_named E_CMDLINE_TOO_LONG

; Is there an option on the stub's own command line?
; in:  rsi = its text, with = at the end if it has a value
; out: ZF set if so, with rax = what follows it
; clobbers: rcx, rdx
find_option:
        mov  rax, qword ptr [rip + boot_info + BOOT_INFO_CMDLINE]
; The same, on another command line.
; in:  rax = the line, rsi = the option's text
; out: ZF set if so, with rax = what follows it
; clobbers: rcx, rdx
find_word:
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

; Cuts the domain's command line where a word "--" stands, and keeps the rest, with a space in front.
; in:  domain_cmdline, rdi = its zero byte
; out: behind_mark; rdi = the zero byte of what is left
; clobbers: rax, rsi
cut_at_mark:
        lea  rsi, [rip + domain_cmdline]
.word:
        cmp  word ptr [rsi], MARK
        jne  .letter
        cmp  byte ptr [rsi + 2], ' '
        je   .found
        cmp  byte ptr [rsi + 2], 0
        je   .found
.letter:
        lodsb
        cmp  al, ' '
        je   .word
        test al, al
        jnz  .letter
        ret
.found:
        push rsi
        lea  rdi, [rip + behind_mark]
        mov  al, ' '
.keep:
        stosb
        test al, al
        jz   .kept
        lodsb
        jmp  .keep
.kept:
        pop  rdi
        lea  rax, [rip + domain_cmdline]
        cmp  rdi, rax
        je   .cut
        dec  rdi                        ; the space in front of it
.cut:
        mov  byte ptr [rdi], 0
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
own_name:       .asciz "the stub"

.section .bss
.align 8
kextra:                 .space 8        ; string, 0 for none
domain_cmdline:         .space MAX_STRING
behind_mark:            .space MAX_STRING + 1
