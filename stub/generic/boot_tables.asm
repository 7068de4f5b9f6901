; Tables made at boot, for a stub without any: the same records, so that all stages behind are the same.
; The files that make them register in section .sources.

.include "lib/macros.inc"

.global BOOT_TABLES_DOMAINS, BOOT_TABLES_MODULES, BOOT_TABLES_PIECES, boot_tables, new_tables, add_record, add_domain, add_piece

; Where the arrays lie, each with room for all that there can be.
.set BOOT_TABLES_DOMAINS, TABLES_SIZEOF
.set BOOT_TABLES_MODULES, BOOT_TABLES_DOMAINS + MAX_DOMAINS * BOOT_DOMAIN_SIZEOF
.set BOOT_TABLES_PIECES, BOOT_TABLES_MODULES + MAX_MODULES * MODULE_RECORD_SIZEOF
.set BOOT_TABLES_END, BOOT_TABLES_PIECES + MAX_PIECES * PIECE_SIZEOF
.assert (BOOT_TABLES_DOMAINS | BOOT_TABLES_MODULES | BOOT_TABLES_PIECES) % 8 == 0, "arrays of the tables are 8-byte aligned"

.section .text

; Starts tables in which every module of the loader is of kind unknown, and no domain is there.
; out: tables, rbx = tables
; clobbers: rax, rcx, rdx, rsi, rdi, r8, r9, r10
new_tables:
        lea  rbx, [rip + boot_tables]
        mov  qword ptr [rip + tables], rbx
        lea  rax, [rip + probe_kernel]
        mov  qword ptr [rip + kernel_probe], rax
        mov  dword ptr [rbx + TABLES_DOMAINS], BOOT_TABLES_DOMAINS
        mov  dword ptr [rbx + TABLES_MODULES], BOOT_TABLES_MODULES
        mov  dword ptr [rbx + TABLES_PIECES], BOOT_TABLES_PIECES
        mov  dword ptr [rbx + TABLES_HYPERVISOR], NO_MODULE
.module:
        mov  eax, dword ptr [rip + boot_info + BOOT_INFO_NR_MODULES]
        cmp  eax, dword ptr [rbx + TABLES_NR_MODULES]
        jbe  .done
        call add_record
        jmp  .module
.done:
        ret

; Adds the record of the loader's next module.
; in:  rbx = tables
; out: eax = its number
; clobbers: rcx, rdx, rsi, rdi, r8, r9, r10
add_record:
        mov  r8d, dword ptr [rbx + TABLES_NR_MODULES]
        inc  dword ptr [rbx + TABLES_NR_MODULES]
        imul r9d, r8d, MODULE_RECORD_SIZEOF
        lea  r9, [rbx + r9 + BOOT_TABLES_MODULES]       ; r9 = module_record, r10 = boot_module
        imul eax, r8d, BOOT_MODULE_SIZEOF
        lea  r10, [rip + loader_modules]
        add  r10, rax
        mov  dword ptr [r9 + MODULE_RECORD_FLAGS], MODULE_LOADER
        mov  qword ptr [r9 + MODULE_RECORD_LOAD_ADDRESS], r8
        mov  rax, qword ptr [r10 + BOOT_MODULE_SIZE]
        mov  qword ptr [r9 + MODULE_RECORD_SIZE], rax
        mov  qword ptr [r9 + MODULE_RECORD_UNPACKED_SIZE], rax
        lea  rdx, [rip + empty_string]  ; no string is offset 0
        mov  rax, qword ptr [r10 + BOOT_MODULE_STRING]
        cmp  rax, rdx
        je   .name
        sub  rax, rbx
        mov  dword ptr [r9 + MODULE_RECORD_STRING], eax
.name:                                  ; "module" and the number
        mov  edi, r8d
        imul edi, edi, MODULE_NAME_SIZE
        lea  rax, [rip + boot_tables_names]
        add  rdi, rax
        mov  rax, rdi
        sub  rax, rbx
        mov  dword ptr [r9 + MODULE_RECORD_NAME], eax
        lea  rsi, [rip + module_names]
        movsq
        sub  rdi, 2                     ; behind the letters
        mov  eax, r8d
        mov  esi, 10
        xor  edx, edx
        div  esi
        test eax, eax
        jz   .units
        add  al, '0'
        stosb
.units:
        lea  eax, [rdx + '0']
        stosb
        mov  eax, r8d
        ret

; Adds a domain with nothing but defaults.
; in:  rdi = its name, in the stub's memory
; out: rax = boot_domain
; clobbers: rcx, rdi
; fails: E_TABLES_COUNT
add_domain:
        lea  rcx, [rip + boot_tables]
        mov  eax, dword ptr [rcx + TABLES_NR_DOMAINS]
        cmp  eax, MAX_DOMAINS
        jae  .too_many
        inc  dword ptr [rcx + TABLES_NR_DOMAINS]
        imul eax, eax, BOOT_DOMAIN_SIZEOF
        lea  rax, [rax + rcx + BOOT_TABLES_DOMAINS]
        sub  rdi, rcx
        mov  dword ptr [rax + BOOT_DOMAIN_NAME], edi
        mov  dword ptr [rax + BOOT_DOMAIN_NCPUS], 1
        mov  dword ptr [rax + BOOT_DOMAIN_KERNEL], NO_MODULE
        mov  dword ptr [rax + BOOT_DOMAIN_RAMDISK], NO_MODULE
        mov  dword ptr [rax + BOOT_DOMAIN_CONFIGS], NO_MODULE
        mov  dword ptr [rax + BOOT_DOMAIN_CONFIGS + 4], NO_MODULE
        ret
.too_many:
        lea  edx, [rax + 1]
        mov  ecx, dword ptr [rip + boot_info + BOOT_INFO_NR_MODULES]
        mov  r8d, MAX_DOMAINS
        mov  r9d, MAX_MODULES
        fail E_TABLES_COUNT

; Adds a piece to a module; the pieces of one module are added one behind the other, MAX_PIECES at most.
; in:  ebp = number of the module, rdi = offset in it, rsi = bytes, rdx = destination,
;      rcx = bytes to clear behind them, r8 = pages that the kernel uses behind those
; clobbers: rax, r9, r10
add_piece:
        lea  r10, [rip + boot_tables]
        mov  eax, dword ptr [r10 + TABLES_NR_PIECES]
        imul r9d, eax, PIECE_SIZEOF
        lea  r9, [r9 + r10 + BOOT_TABLES_PIECES]
        mov  qword ptr [r9 + PIECE_SOURCE], rdi
        mov  qword ptr [r9 + PIECE_SOURCE_SIZE], rsi
        mov  qword ptr [r9 + PIECE_DEST], rdx
        mov  qword ptr [r9 + PIECE_DEST_SIZE], rsi
        mov  qword ptr [r9 + PIECE_ZERO_SIZE], rcx
        mov  dword ptr [r9 + PIECE_RESERVE_PAGES], r8d
        imul r9d, ebp, MODULE_RECORD_SIZEOF
        lea  r9, [r9 + r10 + BOOT_TABLES_MODULES]
        cmp  dword ptr [r9 + MODULE_RECORD_NR_PIECES], 0
        jne  .more
        mov  dword ptr [r9 + MODULE_RECORD_FIRST_PIECE], eax
.more:
        inc  dword ptr [r9 + MODULE_RECORD_NR_PIECES]
        inc  dword ptr [r10 + TABLES_NR_PIECES]
        ret

.set MODULE_NAME_SIZE, 16

.section .rodata
module_names:
        .ascii "module\0\0"

.section .bss
.align 16
boot_tables:            .space BOOT_TABLES_END
boot_tables_names:      .space MAX_MODULES * MODULE_NAME_SIZE
