; A multiboot kernel that writes all that it was told to COM1, in hex: the information, and the symbols and strings that the
; section headers in it point to. A line for each run of bytes: its address, and the bytes. "END" follows.

.global start

.section .multiboot
.align MULTIBOOT2_ALIGN
multiboot2_header:
        .long MULTIBOOT2_HEADER_MAGIC
        .long MULTIBOOT2_ARCHITECTURE_I386
        .long multiboot2_header_end - multiboot2_header
        .long -(MULTIBOOT2_HEADER_MAGIC + MULTIBOOT2_ARCHITECTURE_I386 + (multiboot2_header_end - multiboot2_header)) & 0xffffffff
multiboot2_requests:                    ; what no machine has all of
        .word MULTIBOOT2_HEADER_TAG_INFO_REQUEST, 0
        .long multiboot2_requests_end - multiboot2_requests
        .long MULTIBOOT2_TAG_BOOT_DEVICE, 7, MULTIBOOT2_TAG_ELF_SECTIONS, 10, 16, MULTIBOOT2_TAG_LOAD_BASE
        .long MULTIBOOT2_TAG_EFI64, MULTIBOOT2_TAG_EFI_MMAP
multiboot2_requests_end:
        .word MULTIBOOT2_HEADER_TAG_END, 0
        .long MULTIBOOT2_HEADER_TAG_SIZEOF
multiboot2_header_end:
multiboot1_header:
        .long MULTIBOOT1_HEADER_MAGIC
        .long MULTIBOOT1_FLAGS
        .long -(MULTIBOOT1_HEADER_MAGIC + MULTIBOOT1_FLAGS) & 0xffffffff
        .space 20
        .long 1, 80, 25, 0              ; a text screen

.set MULTIBOOT1_FLAGS, MULTIBOOT1_PAGE_ALIGN | MULTIBOOT1_MEMORY_INFO | MULTIBOOT1_VIDEO_MODE

.section .text
.code32

; in: eax = the loader's magic, ebx = its information
start:
        cli
        cld
        mov  esp, stack_end
        cmp  eax, MULTIBOOT2_LOADER_MAGIC
        jne  .multiboot1
        mov  esi, ebx
        mov  ecx, dword ptr [ebx + MULTIBOOT2_INFO_TOTAL_SIZE]
        call dump
        add  ebx, MULTIBOOT2_INFO_SIZEOF
.tag:
        mov  eax, dword ptr [ebx + MULTIBOOT2_TAG_TYPE]
        cmp  eax, MULTIBOOT2_TAG_END
        je   .done
        cmp  eax, MULTIBOOT2_TAG_ELF_SECTIONS
        jne  .next
        lea  esi, [ebx + MULTIBOOT2_TAG_ELF_SECTIONS_SIZEOF]
        mov  ebp, dword ptr [ebx + MULTIBOOT2_TAG_ELF_SECTIONS_NUM]
        mov  edi, dword ptr [ebx + MULTIBOOT2_TAG_ELF_SECTIONS_ENTSIZE]
        call dump_sections
.next:
        mov  eax, dword ptr [ebx + MULTIBOOT2_TAG_SIZE]
        lea  ebx, [ebx + eax + MULTIBOOT2_ALIGN - 1]
        and  ebx, -MULTIBOOT2_ALIGN
        jmp  .tag

.multiboot1:
        mov  esi, ebx
        mov  ecx, MULTIBOOT1_INFO_SIZEOF
        call dump
        test dword ptr [ebx + MULTIBOOT1_INFO_FLAGS], MULTIBOOT1_INFO_FLAG_ELF_SECTIONS
        jz   .done
        mov  ebp, dword ptr [ebx + MULTIBOOT1_INFO_SYMS_NUM]
        mov  edi, dword ptr [ebx + MULTIBOOT1_INFO_SYMS_SIZE]
        mov  esi, dword ptr [ebx + MULTIBOOT1_INFO_SYMS_ADDR]
        mov  ecx, edi
        imul ecx, ebp
        push esi
        call dump
        pop  esi
        call dump_sections
.done:
        mov  esi, end_line
.character:
        mov  al, byte ptr [esi]
        test al, al
        jz   .halt
        call write
        inc  esi
        jmp  .character
.halt:
        hlt
        jmp  .halt

; The bytes of symbol and string tables. in: esi = section headers, ebp = their number, edi = bytes of each
dump_sections:
        test ebp, ebp
        jz   .done
        mov  eax, dword ptr [esi + ELF32_SHDR_SH_TYPE]
        sub  eax, SYMBOLS
        cmp  eax, STRINGS - SYMBOLS
        ja   .next
        push esi
        mov  ecx, dword ptr [esi + ELF32_SHDR_SH_SIZE]
        mov  eax, dword ptr [esi + ELF32_SHDR_SH_ADDR]
        cmp  edi, ELF64_SHDR_SIZEOF
        jne  .dump
        mov  ecx, dword ptr [esi + ELF64_SHDR_SH_SIZE]
        mov  eax, dword ptr [esi + ELF64_SHDR_SH_ADDR]
.dump:
        mov  esi, eax
        call dump
        pop  esi
.next:
        add  esi, edi
        dec  ebp
        jmp  dump_sections
.done:
        ret

.set SYMBOLS, 2                         ; SHT_SYMTAB, SHT_STRTAB
.set STRINGS, 3

; A line. in: esi = bytes, ecx = their number; clobbers: eax, ecx, edx, esi
dump:
        push ecx
        mov  eax, esi
        mov  ecx, 4
.address:
        rol  eax, 8
        call hex
        dec  ecx
        jnz  .address
        mov  al, ' '
        call write
        pop  ecx
.byte:
        test ecx, ecx
        jz   .end
        mov  al, byte ptr [esi]
        call hex
        inc  esi
        dec  ecx
        jmp  .byte
.end:
        mov  al, 10
        jmp  write

; in: al; clobbers: edx
hex:
        push eax
        shr  al, 4
        call .digit
        pop  eax
        push eax
        and  al, 15
        call .digit
        pop  eax
        ret
.digit:
        add  al, '0'
        cmp  al, '9'
        jbe  write
        add  al, 'a' - '0' - 10
; in: al = character; clobbers: edx
write:
        push eax
        mov  edx, UART_COM1 + UART_LSR
.wait:
        in   al, dx
        test al, UART_LSR_THRE
        jz   .wait
        mov  edx, UART_COM1
        pop  eax
        out  dx, al
        ret

.section .rodata
end_line:       .asciz "END\n"

.section .bss
.align 16
stack:          .space 4096
stack_end:
