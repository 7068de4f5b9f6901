; Boot modules: found, out of the way of what is to be loaded, and as they were planned.

.include "lib/macros.inc"

.global find_modules, evacuate_modules, boot_modules

.section .text

; Finds every module of the tables, in the image or among the loader's, and checks it.
; out: boot_modules, in the order of the tables
; clobbers: all but rsp
; fails: E_MODULE_MISSING, E_MODULE_SIZE, E_MODULE_RAM, E_MODULE_HASH
find_modules:
        mov  rbx, qword ptr [rip + tables]
        mov  r12d, dword ptr [rbx + TABLES_MODULES]
        add  r12, rbx                   ; r12 = record, r13 = boot_module, r14 = its number
        lea  r13, [rip + boot_modules]
        xor  r14d, r14d
.module:
        cmp  r14d, dword ptr [rbx + TABLES_NR_MODULES]
        jae  .found_all
        mov  eax, dword ptr [r12 + MODULE_RECORD_KIND]
        mov  dword ptr [r13 + BOOT_MODULE_KIND], eax
        movsxd rax, dword ptr [r12 + MODULE_RECORD_STRING]
        test eax, eax
        jz   .no_string
        add  rax, rbx
        mov  dword ptr [r13 + BOOT_MODULE_STRING_KIND], BOOTSTR_CMDLINE
        mov  ecx, dword ptr [r12 + MODULE_RECORD_FLAGS]
        and  ecx, MODULE_LOADER | MODULE_CMDLINE
        cmp  ecx, MODULE_LOADER
        jne  .string
        mov  dword ptr [r13 + BOOT_MODULE_STRING_KIND], BOOTSTR_STRING
        jmp  .string
.no_string:
        lea  rax, [rip + empty_string]
.string:
        mov  qword ptr [r13 + BOOT_MODULE_STRING], rax
        mov  rax, qword ptr [r12 + MODULE_RECORD_LOAD_ADDRESS]
        mov  rcx, qword ptr [r12 + MODULE_RECORD_SIZE]
        test dword ptr [r12 + MODULE_RECORD_FLAGS], MODULE_EMBEDDED
        jnz  .embedded
        test dword ptr [r12 + MODULE_RECORD_FLAGS], MODULE_LOADER
        jz   .by_name
        mov  edx, dword ptr [rip + boot_info + BOOT_INFO_NR_MODULES]
        cmp  rax, rdx
        jae  .not_brought
        imul eax, eax, BOOT_MODULE_SIZEOF
        lea  rdx, [rip + loader_modules]
        add  rdx, rax
        mov  dword ptr [rdx + BOOT_MODULE_CLAIMED], 1
        mov  rax, qword ptr [rdx + BOOT_MODULE_START]
        jmp  .located
.embedded:                              ; as far from its place as the image is from its own
        lea  rdx, [rip + __image_start - IMAGE_BASE]
        add  rax, rdx
        jmp  .located
.by_name:
        call find_loader_module
.located:
        mov  qword ptr [r13 + BOOT_MODULE_START], rax
        mov  qword ptr [r13 + BOOT_MODULE_SIZE], rcx
        mov  rdi, rax
        lea  rsi, [rax + rcx]
        call test_ram
        jne  .not_ram
        call verify_module
        mov  rdi, r12
        call record_name
        mov  rcx, rax
        mov  esi, r14d
        lea  rdx, [rip + kind_names]
        mov  eax, dword ptr [r13 + BOOT_MODULE_KIND]
        lea  rdx, [rdx + rax * 8]
        mov  r8, qword ptr [r13 + BOOT_MODULE_START]
        mov  r9, qword ptr [r13 + BOOT_MODULE_SIZE]
        add  r9, r8
        say  M_MODULE
        add  r12, MODULE_RECORD_SIZEOF
        add  r13, BOOT_MODULE_SIZEOF
        inc  r14d
        jmp  .module
.found_all:
        jmp  report_left_over
.not_brought:
        jmp  fail_missing
.not_ram:
        mov  rdx, r12
        mov  rcx, rdi
        mov  r8, rsi
        fail_named E_MODULE_RAM

; Looks for a module of the tables among the loader's, by name.
; in:  r12 = module_record
; out: rax = start, rcx = size
; clobbers: rdx, rsi, rdi, rbp, r8, r9, r15
; fails: E_MODULE_MISSING, E_MODULE_SIZE
find_loader_module:
        mov  rdi, r12
        call record_name
        mov  rsi, rax                   ; rsi = the name
        lea  rbp, [rip + loader_modules]
        mov  r15d, dword ptr [rip + boot_info + BOOT_INFO_NR_MODULES]
.next:
        test r15d, r15d
        jz   fail_missing
        mov  rdi, qword ptr [rbp + BOOT_MODULE_STRING]
        call match_name
        je   .found
        add  rbp, BOOT_MODULE_SIZEOF
        dec  r15d
        jmp  .next
.found:
        mov  dword ptr [rbp + BOOT_MODULE_CLAIMED], 1
        mov  rax, qword ptr [rbp + BOOT_MODULE_START]
        mov  rcx, qword ptr [rbp + BOOT_MODULE_SIZE]
        cmp  rcx, qword ptr [r12 + MODULE_RECORD_SIZE]
        jne  .size
        ret
.size:
        mov  rdx, r12
        mov  r8, qword ptr [r12 + MODULE_RECORD_SIZE]
        fail_named E_MODULE_SIZE

; in:  r12 = module_record
; never returns
; fails: E_MODULE_MISSING
fail_missing:
        mov  rdx, r12
        mov  ecx, dword ptr [rip + boot_info + BOOT_INFO_NR_MODULES]
        fail_named E_MODULE_MISSING

; Does a word of a loader's string, less its folders, equal a name?
; in:  rdi = string, rsi = name
; out: ZF set if so
; clobbers: rax, rcx, rdx, rdi, r8
match_name:
        mov  rcx, rdi                   ; rcx = start of the word's last part
.next:
        movzx eax, byte ptr [rdi]
        cmp  al, '/'
        je   .part
        cmp  al, ' '
        je   .compare
        test al, al
        je   .compare
        inc  rdi
        jmp  .next
.part:
        inc  rdi
        mov  rcx, rdi
        jmp  .next
.compare:                               ; [rcx, rdi) with the name
        mov  rdx, rsi
.byte:
        movzx r8d, byte ptr [rdx]
        cmp  rcx, rdi
        je   .word_end
        cmp  byte ptr [rcx], r8b
        jne  .other
        inc  rcx
        inc  rdx
        jmp  .byte
.word_end:
        test r8d, r8d
        jz   .done                      ; both end here
.other:
        test al, al
        jz   .none
        inc  rdi
        jmp  match_name
.none:
        inc  eax                        ; clears ZF
.done:
        ret

; in:  r12 = module_record, r13 = boot_module
; clobbers: rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11
; fails: E_MODULE_HASH
verify_module:
        test dword ptr [r12 + MODULE_RECORD_FLAGS], MODULE_VERIFY
        jz   .good
        call start_watch
        lea  rdi, [rip + digest]
        mov  rsi, qword ptr [r13 + BOOT_MODULE_START]
        mov  rdx, qword ptr [r13 + BOOT_MODULE_SIZE]
        call sha256
        lea  rsi, [rip + digest]
        lea  rdi, [r12 + MODULE_RECORD_SHA256]
        mov  ecx, 32 / 8
        repe cmpsq
        jne  .bad
.good:
        ret
.bad:
        mov  rdx, r12
        mov  rcx, qword ptr [r13 + BOOT_MODULE_START]
        mov  r8, qword ptr [r13 + BOOT_MODULE_SIZE]
        add  r8, rcx
        fail_named E_MODULE_HASH

; Warns of modules that the loader brought and nobody asked for.
; clobbers: all but rsp
report_left_over:
        lea  rbp, [rip + loader_modules]
        xor  r15d, r15d
.next:
        cmp  r15d, dword ptr [rip + boot_info + BOOT_INFO_NR_MODULES]
        jae  .done
        cmp  dword ptr [rbp + BOOT_MODULE_CLAIMED], 0
        jne  .claimed
        mov  esi, r15d
        mov  rdx, qword ptr [rbp + BOOT_MODULE_STRING]
        warn M_MODULE_LEFT
.claimed:
        add  rbp, BOOT_MODULE_SIZEOF
        inc  r15d
        jmp  .next
.done:
        ret

; Moves modules that lie where a piece is to go. In an image of ours none does: the plan saw to that.
; A loader puts modules where it likes.
; clobbers: all but rsp
; fails: E_NO_FREE_ROOM
evacuate_modules:
        mov  rbp, qword ptr [rip + tables]
        lea  r13, [rip + boot_modules]
        xor  r14d, r14d                 ; r13 = boot_module, r14 = its number
.module:
        cmp  r14d, dword ptr [rbp + TABLES_NR_MODULES]
        jae  .done
        mov  rdi, qword ptr [r13 + BOOT_MODULE_START]
        mov  rsi, qword ptr [r13 + BOOT_MODULE_SIZE]
        add  rsi, rdi
        call find_piece_overlap
        jrcxz .next
        mov  rdi, qword ptr [r13 + BOOT_MODULE_SIZE]
        call find_room
        test rax, rax
        jz   .no_room
        mov  rsi, qword ptr [r13 + BOOT_MODULE_START]
        mov  rcx, qword ptr [r13 + BOOT_MODULE_SIZE]
        mov  qword ptr [r13 + BOOT_MODULE_START], rax
        mov  rdx, rsi
        mov  r12, rcx
        mov  rdi, rax                   ; page-aligned, free, of whole pages: 8 bytes at a time
        add  rcx, 7
        shr  rcx, 3
        rep movsq
        mov  r8, rax
        lea  r9, [rax + r12]
        lea  rcx, [rdx + r12]
        mov  esi, r14d
        say  M_MODULE_MOVED
.next:
        add  r13, BOOT_MODULE_SIZEOF
        inc  r14d
        jmp  .module
.no_room:
        mov  ecx, r14d
        call module_record_at
        mov  rdi, rax
        call record_name
        mov  rdx, qword ptr [r13 + BOOT_MODULE_SIZE]
        mov  rcx, rax
        fail E_NO_FREE_ROOM
.done:
        ret

.section .rodata
kind_names:                             ; BOOTMOD_*, 8 bytes each
        .ascii "unknown\0xen\0\0\0\0\0fdt\0\0\0\0\0kernel\0\0ramdisk\0xsm\0\0\0\0\0ucode\0\0\0dtb\0\0\0\0\0config\0\0module\0\0"
kind_names_end:
.assert kind_names_end - kind_names == (BOOTMOD_LAST + 1) * 8, "8 bytes for the name of each BOOTMOD_*"

.section .bss
.align 16
digest:         .space 32
boot_modules:   .space MAX_MODULES * BOOT_MODULE_SIZEOF
