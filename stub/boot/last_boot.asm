; Where this boot has come to, for a card on port 0x80 and for the next boot; and where the last one ended.

.include "lib/macros.inc"

.global note_stage, report_last_boot, keep_stages

.macro named number             ; in: al = stage; out: rcx = its name, and on to .named
        lea  rcx, [rip + L_\number]
        cmp  al, \number
        je   .named
.endm

.section .text

; A stage begins.
; in:  al = STAGE_*
; clobbers: rax, rdi
note_stage:
        out  PORT_POST, al
        mov  rdi, qword ptr [rip + boot_record]
        test rdi, rdi
        jz   .done
        mov  byte ptr [rdi + LAST_BOOT_STAGE], al
        mov  word ptr [rdi + LAST_BOOT_ERROR], 0
        jmp  seal_record
.done:
        ret

; Says where the last boot ended, if its record is whole; from here on it is this boot's.
; out: boot_record
; clobbers: rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11
report_last_boot:
        mov  edi, LAST_BOOT_BASE
        cmp  dword ptr [rdi], LAST_BOOT_MAGIC
        jne  .done
        mov  edx, dword ptr [rdi + LAST_BOOT_CHECK]
        call seal_record
        cmp  eax, edx
        jne  .broken
        mov  qword ptr [rip + boot_record], rdi
        mov  al, byte ptr [rdi + LAST_BOOT_STAGE]
        named STAGE_ENTRY
        named STAGE_TABLES
        named STAGE_MEMORY
        named STAGE_MODULES
        named STAGE_BUILDER
        named STAGE_LAUNCH
        named STAGE_LAUNCHED
.named:
        mov  esi, dword ptr [rdi + LAST_BOOT_BUILD]
        movzx edx, word ptr [rdi + LAST_BOOT_ERROR]
        call name_build
        test edx, edx
        jnz  .failed
        mov  rdx, rcx
        say  M_LAST_BOOT
        stage STAGE_ENTRY
        ret
.failed:
        say  M_LAST_BOOT_FAILED
        stage STAGE_ENTRY
        ret
.broken:
        mov  dword ptr [rdi + LAST_BOOT_CHECK], edx
.done:
        ret

; in:  rdi = a last_boot
; out: it has this build
; clobbers: rax
name_build:
        mov  eax, dword ptr [rip + __end_note_gnu_build_id - BUILD_ID_SIZE]
        bswap eax
        mov  dword ptr [rdi + LAST_BOOT_BUILD], eax
        ret

; From here on there is a record, if its page is free RAM; else there is none.
; in:  memory_ranges, tables, what the loader brought
; out: boot_record
; clobbers: rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11
keep_stages:
        mov  rdi, qword ptr [rip + boot_record]
        test rdi, rdi
        jz   .look
        mov  dword ptr [rdi], 0         ; what lay there before might not be ours to write to
        mov  qword ptr [rip + boot_record], 0
.look:
        cmp  qword ptr [rip + room_finder], 0
        jne  .none                      ; memory belongs to a firmware
        mov  edi, PAGE_SIZE
        mov  esi, LAST_BOOT_BASE & -PAGE_SIZE
        lea  edx, [rsi + rdi]
        call find_room_between
        test eax, eax
        jz   .none
        mov  edi, LAST_BOOT_BASE
        mov  dword ptr [rdi], LAST_BOOT_MAGIC
        mov  qword ptr [rip + boot_record], rdi
        jmp  name_build
.none:
        ret
