; The console on a screen that has no text mode: a linear framebuffer of 32 bits for each pixel, as UEFI leaves it.
; Reading such memory back is slow, so the text does not scroll: below its last row lies an empty one, and behind
; the last row of the screen it goes on with the first. Shared with our own kernels.

.global framebuffer_start

.section .text

; Goes on with the console on the screen that a loader describes: it is drawn on if it can be, and is no text screen
; unless it says so.
; in:  rsi = from the address on, what a multiboot2_tag_framebuffer has
; clobbers: rax, rcx, rdx, rsi, rdi, r8, r9
framebuffer_start:
        movzx eax, word ptr [rsi + MULTIBOOT2_TAG_FRAMEBUFFER_BPP - MULTIBOOT2_TAG_FRAMEBUFFER_ADDR]
        cmp  ah, MULTIBOOT2_FRAMEBUFFER_EGA_TEXT
        je   .done
        test byte ptr [rip + console_sinks], CONSOLE_VGA
        jz   .done
        and  byte ptr [rip + console_sinks], ~CONSOLE_VGA & 0xff
        cmp  eax, 32 | (MULTIBOOT2_FRAMEBUFFER_RGB << 8)
        jne  .done
        cmp  qword ptr [rip + firmware_console], 0
        jne  .done                      ; the screen is the firmware's yet, and so are the page tables

        lea  rdi, [rip + framebuffer]
        mov  r8d, dword ptr [rsi + MULTIBOOT2_TAG_FRAMEBUFFER_HEIGHT - MULTIBOOT2_TAG_FRAMEBUFFER_ADDR]
        mov  eax, r8d
        xor  edx, edx
        mov  ecx, FONT_LEAST_HEIGHT
        div  ecx
        cmp  eax, 1
        adc  eax, 0
        mov  dword ptr [rdi + FRAMEBUFFER_SCALE], eax
        imul ecx, eax, FONT_CELL_WIDTH
        imul r9d, eax, FONT_CELL_HEIGHT ; r9 = lines of a row of text
        mov  eax, dword ptr [rsi + MULTIBOOT2_TAG_FRAMEBUFFER_WIDTH - MULTIBOOT2_TAG_FRAMEBUFFER_ADDR]
        xor  edx, edx
        div  ecx
        mov  dword ptr [rdi + FRAMEBUFFER_COLUMNS], eax
        test eax, eax
        jz   .done
        mov  eax, r8d
        xor  edx, edx
        div  r9d
        mov  dword ptr [rdi + FRAMEBUFFER_ROWS], eax
        sub  eax, 2                     ; from the row before the last, two line feeds lead to the first
        jb   .done
        mov  dword ptr [rdi + FRAMEBUFFER_ROW], eax
        mov  ecx, dword ptr [rsi + MULTIBOOT2_TAG_FRAMEBUFFER_WIDTH - MULTIBOOT2_TAG_FRAMEBUFFER_ADDR]
        mov  eax, dword ptr [rsi + MULTIBOOT2_TAG_FRAMEBUFFER_PITCH - MULTIBOOT2_TAG_FRAMEBUFFER_ADDR]
        mov  dword ptr [rdi + FRAMEBUFFER_PITCH], eax
        shl  rcx, 2
        cmp  rcx, rax
        ja   .done                      ; its lines would lie over each other
        imul r8, rax
        imul r9, rax
        mov  dword ptr [rdi + FRAMEBUFFER_ROW_BYTES], r9d
        mov  rax, qword ptr [rsi]       ; rax = address, r8 = bytes
        mov  rcx, rax
        and  ecx, PAGE_SIZE_2M - 1
        add  r8, rcx
        shr  r8, FRAMEBUFFER_WINDOW_SHIFT
        jnz  .done

        sub  rax, rcx                   ; it is mapped behind the first 4 GiB, wherever it lies
        or   rax, PTE_PRESENT | PTE_WRITABLE | PTE_LARGE
        or   rax, qword ptr [rip + no_execute]
        bts  rcx, 32
        mov  qword ptr [rdi + FRAMEBUFFER_START], rcx
        lea  rdi, [rip + framebuffer_directory]
        lea  rdx, [rdi + (PTE_PRESENT | PTE_WRITABLE)]
        mov  qword ptr [rip + page_directory_pointers + 4 * 8], rdx
        mov  ecx, PAGE_ENTRIES
.page:
        stosq
        add  rax, PAGE_SIZE_2M
        dec  ecx
        jnz  .page
        lea  rax, [rip + put_framebuffer]
        mov  qword ptr [rip + framebuffer_console], rax
        mov  dil, 10
        call rax
        mov  dil, 10
        jmp  put_framebuffer
.done:
        ret

; Draws one character. As put_char.
; in:  dil = character
; clobbers: rax, rcx, rdx, rsi, rdi
put_framebuffer:
        push rbx
        lea  rbx, [rip + framebuffer]
        cmp  dil, 10
        je   .line_feed
        push r8
        push r9
        push r10
        push r11
        xor  r11d, r11d                 ; r11 = glyph, and nothing above its bits
        movzx eax, dil
        sub  eax, '!'
        cmp  eax, FONT_GLYPHS
        jae  .draw
        lea  eax, [rax + rax * 4]       ; FONT_GLYPH_SIZE
        lea  rcx, [rip + font]
        mov  r11, qword ptr [rcx + rax]
        shl  r11, 64 - FONT_GLYPH_SIZE * 8
        shr  r11, 64 - FONT_GLYPH_SIZE * 8
.draw:
        mov  r8, qword ptr [rbx + FRAMEBUFFER_CURSOR]   ; r8 = line of pixels
        mov  esi, FONT_CELL_HEIGHT
.row:
        mov  r9d, dword ptr [rbx + FRAMEBUFFER_SCALE]
.line:
        mov  rdi, r8
        mov  edx, r11d
        shl  edx, 32 - FONT_WIDTH
        mov  r10d, FONT_CELL_WIDTH
.pixel:
        add  edx, edx
        sbb  eax, eax
        and  eax, FRAMEBUFFER_GREY
        mov  ecx, dword ptr [rbx + FRAMEBUFFER_SCALE]
        rep stosd
        dec  r10d
        jnz  .pixel
        mov  eax, dword ptr [rbx + FRAMEBUFFER_PITCH]
        add  r8, rax
        dec  r9d
        jnz  .line
        shr  r11, FONT_WIDTH
        dec  esi
        jnz  .row
        pop  r11
        pop  r10
        pop  r9
        pop  r8
        imul eax, dword ptr [rbx + FRAMEBUFFER_SCALE], FONT_CELL_WIDTH * 4
        add  qword ptr [rbx + FRAMEBUFFER_CURSOR], rax
        mov  eax, dword ptr [rbx + FRAMEBUFFER_COLUMN]
        inc  eax
        mov  dword ptr [rbx + FRAMEBUFFER_COLUMN], eax
        cmp  eax, dword ptr [rbx + FRAMEBUFFER_COLUMNS]
        jb   .done

; To the start of the next row, which is empty, and empties the one behind it.
.line_feed:
        mov  dword ptr [rbx + FRAMEBUFFER_COLUMN], 0
        mov  eax, dword ptr [rbx + FRAMEBUFFER_ROW]
        call .below
        mov  dword ptr [rbx + FRAMEBUFFER_ROW], eax
        mov  qword ptr [rbx + FRAMEBUFFER_CURSOR], rdi
        call .below
        shr  ecx, 2
        xor  eax, eax
        rep stosd
.done:
        pop  rbx
        ret
; in: eax = row of text; out: eax = the next, rdi = where it starts, ecx = bytes of one
.below:
        inc  eax
        cmp  eax, dword ptr [rbx + FRAMEBUFFER_ROWS]
        jb   .start
        xor  eax, eax
.start:
        mov  ecx, dword ptr [rbx + FRAMEBUFFER_ROW_BYTES]
        mov  edi, ecx
        imul rdi, rax
        add  rdi, qword ptr [rbx + FRAMEBUFFER_START]
        ret
.assert FONT_GLYPH_SIZE == 5, "put_framebuffer multiplies by it"

.section .bss
.align PAGE_SIZE
framebuffer_directory:  .space PAGE_SIZE
framebuffer:            .space FRAMEBUFFER_SIZEOF
