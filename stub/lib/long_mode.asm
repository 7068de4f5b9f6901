; From 32-bit protected mode to 64-bit long mode: cpu check, page tables, switch. Shared with our own kernels.
; In all of it ebp = how far the code lies from its link address.

.global check_long_mode, enter_long_mode, page_map, page_directory_pointers, page_directories, no_execute

.section .text
.code32

; Ends the boot unless the cpu has CPUID and long mode.
; in:  ebp = distance
; clobbers: eax, ebx, ecx, edx
; fails: E_NO_LONG_MODE
check_long_mode:
        pushfd                          ; CPUID is there if EFLAGS.ID can be changed (SDM 1, 20.1.2)
        pop  eax
        mov  ecx, eax
        xor  eax, EFLAGS_ID
        push eax
        popfd
        pushfd
        pop  eax
        cmp  eax, ecx
        je   .missing
        mov  eax, CPUID_MAX_EXTENDED
        cpuid
        cmp  eax, CPUID_EXTENDED
        jb   .missing
        mov  eax, CPUID_EXTENDED
        cpuid
        test edx, CPUID_EXTENDED_EDX_LM
        jz   .missing
        ret
.missing:
        lea  esi, [ebp + E_NO_LONG_MODE_TEXT]
        mov  edi, E_NO_LONG_MODE
        jmp  panic32

; Maps the first 4 GiB to themselves in 2 MiB pages and returns to the caller in 64-bit mode. Nothing of what a loader
; left in CR0, CR3, CR4 and EFER counts: caches may have been off, SSE instructions forbidden, page tables of 5 levels.
; in:  ebp = distance, esp = stack below 4 GiB, with the caller's 32-bit return address; paging off
; out: 64-bit mode, rsp = the same stack without that address; CR0 = CR0_OURS, CR4 = CR4_OURS and CR4_MCE as it was
; clobbers: eax, ecx, edx, edi; the upper halves of all registers are unspecified
enter_long_mode:
        lea  eax, [ebp + page_directories + (PTE_PRESENT | PTE_WRITABLE)]
        xor  ecx, ecx
.directory:                             ; four directories, one for each GiB
        mov  dword ptr [ebp + page_directory_pointers + ecx * 8], eax
        add  eax, PAGE_SIZE
        inc  ecx
        cmp  ecx, PAGE_DIRECTORIES
        jb   .directory
        lea  edi, [ebp + page_directories]
        mov  eax, PTE_PRESENT | PTE_WRITABLE | PTE_LARGE
.page:
        mov  dword ptr [edi], eax
        add  edi, 8
        add  eax, PAGE_SIZE_2M
        jnc  .page                      ; up to 4 GiB
        lea  eax, [ebp + page_directory_pointers + (PTE_PRESENT | PTE_WRITABLE)]
        mov  dword ptr [ebp + page_map], eax

        lea  eax, [ebp + page_map]
        mov  cr3, eax
        mov  eax, cr4
        and  eax, CR4_MCE
        or   eax, CR4_OURS
        mov  cr4, eax
        mov  ecx, MSR_EFER
        mov  eax, EFER_LME
        xor  edx, edx
        wrmsr
        pop  edx                        ; the return address; a far return takes it from here on
        mov  eax, CR0_OURS
        mov  cr0, eax
        add  dword ptr [ebp + gdt_pointer32 + 2], ebp
        lgdt [ebp + gdt_pointer32]
        push GDT_CODE64
        push edx
        retf

; The only failure before long mode: the number and the text, on COM1 and on the VGA screen.
; in:  ebp = distance, edi = number, esi = text
; never returns
panic32:
        mov  ebx, esi
        lea  esi, [ebp + M_PREFIX]
        mov  ebp, VGA_TEXT
        call .text
        mov  al, 'E'
        call .char
        mov  ecx, 16                    ; four hex digits of 16 bits
.digit:
        sub  ecx, 4
        mov  eax, edi
        shr  eax, cl
        and  al, 15
        add  al, '0'                   ; the numbers of errors.h use decimal digits only
        call .char
        test ecx, ecx
        jnz  .digit
        mov  al, ':'
        call .char
        mov  al, ' '
        call .char
        mov  esi, ebx
        call .text
        mov  al, 13
        call .serial
        mov  al, 10
        call .serial
.halt:
        cli
        hlt
        jmp  .halt

; in: esi = text, ebp = place on the screen; out: ebp = the next; clobbers: eax, edx, esi
.text:
        lodsb
        test al, al
        jz   .text_end
        call .char
        jmp  .text
.text_end:
        ret

; in: al = character, ebp = place on the screen; out: ebp = the next; clobbers: eax, edx
.char:
        mov  ah, VGA_GREY
        mov  word ptr [ebp], ax
        add  ebp, 2
.serial:                                ; in: al; waits a bounded time for room
        mov  ah, al
        push ecx
        mov  ecx, UART_TRIES
.wait:
        mov  edx, UART_COM1 + UART_LSR
        in   al, dx
        test al, UART_LSR_THRE
        jnz  .send
        dec  ecx
        jnz  .wait
.send:
        sub  edx, UART_LSR - UART_DATA
        mov  al, ah
        out  dx, al
        pop  ecx
        ret

.section .bss
.align PAGE_SIZE
page_map:                       .space PAGE_SIZE
page_directory_pointers:        .space PAGE_SIZE
page_directories:               .space PAGE_DIRECTORIES * PAGE_SIZE
no_execute:                     .space 8        ; the bit of an entry that forbids to execute, 0 where there is none
