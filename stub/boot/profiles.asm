; Several profiles in one image: their tables lie one behind the other, and one of them is taken: by the loader's command
; line, by a key, or the first. Nothing waits for ever: a clock that stands still ends the menu, and so does one without keys.

.include "lib/macros.inc"

.section .choosers
        .long choose_profile - __image_start

.section .text

; in:  rbx = the first tables
; out: rbx = those of the profile that is taken; its settings are in force
; clobbers: all but rsp
; fails: E_TABLES_*
choose_profile:
        call find_profiles
        mov  rbx, qword ptr [rip + profiles]
        cmp  dword ptr [rip + profile_count], 1
        je   .done
        call split_cmdline              ; what stands behind " -- " is for the domain
        lea  rsi, [rip + profile_option]
        call find_option
        jne  .menu
        call find_named
        lea  rdx, [rip + L_BY_CMDLINE]
        je   .taken
        lea  rsi, [rip + wanted]
        warn M_PROFILE_UNKNOWN
.menu:
        call ask
.taken:
        mov  qword ptr [rip + reason], rdx
        lea  rax, [rip + profiles]
        mov  rbx, qword ptr [rax + rbp * 8]
        cmp  rbx, qword ptr [rax]
        je   .say
        call apply_settings_of
        mov  byte ptr [rip + console_started], 0
        mov  qword ptr [rip + framebuffer_console], 0
        call start_consoles
.say:
        mov  esi, dword ptr [rbx + TABLES_PROFILE]
        add  rsi, rbx
        mov  rdx, qword ptr [rip + reason]
        say  M_PROFILE
.done:
        ret

; in:  rbx = the first tables
; out: profiles, profile_count: all that follow one another, each checked
; clobbers: all but rsp
; fails: E_TABLES_*
find_profiles:
        mov  dword ptr [rip + profile_count], 0
.next:
        call check_tables
        mov  ecx, dword ptr [rip + profile_count]
        lea  rax, [rip + profiles]
        mov  qword ptr [rax + rcx * 8], rbx
        inc  ecx
        mov  dword ptr [rip + profile_count], ecx
        cmp  ecx, MAX_PROFILES
        jae  .done
        lea  rbx, [rbx + r12 + 7]
        and  rbx, -8
        lea  rax, [rip + __end_tables - TABLES_SIZEOF]
        cmp  rbx, rax
        ja   .done
        mov  rax, TABLES_MAGIC_VALUE
        cmp  qword ptr [rbx + TABLES_MAGIC], rax
        je   .next
.done:
        ret

; The profile that a word names.
; in:  rax = the word, up to a space or its end
; out: ZF set if there is one, ebp = its number; wanted = the word, as far as a name may go
; clobbers: rax, rcx, rdx, rsi, rdi
find_named:
        lea  rdi, [rip + wanted]
        mov  ecx, MAX_NAME - 1
.letter:
        mov  dl, byte ptr [rax]
        cmp  dl, ' '
        jbe  .ended                     ; or its zero byte
        mov  byte ptr [rdi], dl
        inc  rax
        inc  rdi
        dec  ecx
        jnz  .letter
.ended:
        mov  byte ptr [rdi], 0
        xor  ebp, ebp
.profile:
        call profile_name
        lea  rdi, [rip + wanted]
.compare:
        mov  al, byte ptr [rsi]
        cmp  al, byte ptr [rdi]
        jne  .other
        inc  rsi
        inc  rdi
        test al, al
        jnz  .compare
        ret
.other:
        inc  ebp
        cmp  ebp, dword ptr [rip + profile_count]
        jb   .profile
        or   eax, 1                     ; clears ZF: al may be 0
        ret

; in:  ebp = number of a profile
; out: rsi = its name, rcx = its tables
; clobbers: rax
profile_name:
        lea  rcx, [rip + profiles]
        mov  rcx, qword ptr [rcx + rbp * 8]
        mov  esi, dword ptr [rcx + TABLES_PROFILE]
        add  rsi, rcx
        ret

; Shows what there is and waits for a key.
; out: ebp = number of the profile that is taken, rdx = why
; clobbers: all but rsp
ask:
        mov  rbx, qword ptr [rip + profiles]
        mov  ebx, dword ptr [rbx + TABLES_MENU_SECONDS]
        test ebx, ebx
        jz   .first
        xor  ebp, ebp
.entry:
        call profile_name
        mov  rdx, rsi
        mov  eax, dword ptr [rcx + TABLES_PROFILE_TITLE]
        add  rcx, rax
        test eax, eax
        lea  rax, [rip + empty_string]
        cmovz rcx, rax
        lea  esi, [rbp + 1]
        warn M_PROFILE_ENTRY
        inc  ebp
        cmp  ebp, dword ptr [rip + profile_count]
        jb   .entry
        mov  ecx, ebp
        xor  ebp, ebp
        push rcx
        call profile_name
        pop  rcx
        mov  edx, ebx
        warn M_PROFILE_ASK
.second:
        call start_second
.poll:
        call read_key
        cmp  al, 13
        je   .first
        sub  al, '1'
        movzx ebp, al
        lea  rdx, [rip + L_BY_KEY]
        cmp  ebp, dword ptr [rip + profile_count]
        jb   .done
        call second_passed
        je   .poll
        dec  ebx
        jnz  .second
.first:
        xor  ebp, ebp
        lea  rdx, [rip + L_BY_DEFAULT]
.done:
        ret

; A key of the serial console or of a keyboard, if one was pressed.
; out: al = its letter: 13 for Enter; 0 for none
; clobbers: rcx, rdx
read_key:
        test byte ptr [rip + console_sinks], CONSOLE_SERIAL
        jz   .keyboard
        movzx edx, word ptr [rip + serial_port]
        add  edx, UART_LSR
        in   al, dx
        test al, UART_LSR_DATA
        jz   .keyboard
        sub  edx, UART_LSR - UART_DATA
        in   al, dx
        ret
.keyboard:
        in   al, PORT_KEYBOARD
        cmp  al, 0xff
        je   .none                      ; there is no controller
        mov  ah, al
        test al, KEYBOARD_FULL
        jz   .none
        in   al, PORT_KEYBOARD_DATA
        test ah, KEYBOARD_MOUSE
        jnz  .none
        cmp  al, KEYBOARD_ENTER
        jne  .digit
        mov  al, 13
        ret
.digit:
        sub  al, KEYBOARD_1
        cmp  al, MAX_PROFILES
        jae  .none
        add  al, '1'
        ret
.none:
        xor  eax, eax
        ret

.section .rodata
profile_option: .asciz "profile="

.section .bss
.align 8
profiles:       .space MAX_PROFILES * 8 ; their tables
reason:         .space 8                ; string: why this one
profile_count:  .space 4
wanted:         .space MAX_NAME         ; the name on the command line
