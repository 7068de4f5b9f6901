; The tables (abi/tables.h): found in the image, checked from end to end before anything relies on them; or made
; at boot, by a file that registers in section .sources.

.include "lib/macros.inc"

.global apply_settings, apply_settings_of, check_tables, find_tables, module_record_at, record_name, panic_named, tables, image_name

.section .text

; Takes the settings of console and failure, if tables are there at all. Whatever is wrong with the
; tables is for check_tables to say, on this console.
; clobbers: rax, rbx, rcx
apply_settings:
        lea  rbx, [rip + __start_tables]
; The same of other tables. in: rbx = tables
apply_settings_of:
        lea  rax, [rip + __end_tables - TABLES_SIZEOF]
        cmp  rbx, rax
        ja   .done
        mov  rax, TABLES_MAGIC_VALUE
        cmp  qword ptr [rbx + TABLES_MAGIC], rax
        jne  .done
        mov  eax, dword ptr [rbx + TABLES_CONSOLE]
        mov  byte ptr [rip + console_sinks], al
        mov  ax, word ptr [rbx + TABLES_SERIAL_PORT]
        mov  word ptr [rip + serial_port], ax
        mov  ax, word ptr [rbx + TABLES_SERIAL_DIVISOR]
        mov  word ptr [rip + serial_divisor], ax
        mov  eax, dword ptr [rbx + TABLES_LOG]
        mov  byte ptr [rip + log_level], al
        mov  eax, dword ptr [rbx + TABLES_ON_FAILURE]
        mov  dword ptr [rip + on_failure], eax
        mov  eax, dword ptr [rbx + TABLES_REBOOT_SECONDS]
        mov  dword ptr [rip + reboot_seconds], eax
        mov  eax, dword ptr [rbx + TABLES_NAME]
        add  rax, rbx
        lea  rcx, [rip + __end_tables]
        cmp  rax, rcx
        jae  .done
        mov  qword ptr [rip + image_name], rax
.done:
        ret

; Finds the tables in the image. An image without any is the generic stub: what to boot is then for the loader's
; modules to say.
; out: tables
; clobbers: all but rsp
; fails: E_TABLES_*, E_NOTHING_TO_BOOT and what the sources fail with
find_tables:
        lea  rbx, [rip + __start_tables]
        lea  rax, [rip + __end_tables]
        cmp  rbx, rax
        jae  .none
        cmp  qword ptr [rbx + TABLES_MAGIC], 0
        je   .none
        lea  rsi, [rip + __start_choosers]
        lea  rax, [rip + __end_choosers]
        cmp  rsi, rax
        je   .only
        call choose_first
.only:
        mov  qword ptr [rip + tables], rbx
        call check_tables
        mov  esi, r12d
        mov  edx, r14d
        mov  ecx, r15d
        say  M_TABLES
        ret
.none:
        cmp  dword ptr [rip + boot_info + BOOT_INFO_NR_MODULES], 0
        je   .nothing
        lea  rbx, [rip + __start_sources]
.source:
        lea  rax, [rip + __end_sources]
        cmp  rbx, rax
        jae  .nothing
        mov  eax, dword ptr [rbx + SOURCE_RECORD_MAKE]
        lea  rcx, [rip + __image_start]
        add  rax, rcx
        push rbx
        call rax
        pop  rbx
        je   .made
        add  rbx, SOURCE_RECORD_SIZEOF
        jmp  .source
.made:
        ret
.nothing:
        fail E_NOTHING_TO_BOOT

; What chooses among the tables of several profiles registers in section .choosers. in: rsi; in and out: rbx = tables
choose_first:
        mov  eax, dword ptr [rsi]
        lea  rcx, [rip + __image_start]
        add  rax, rcx
        jmp  rax

; Checks magic, version, length, checksum, and that every reference stays inside.
; in:  rbx = tables
; out: r12 = their length, r14 = number of domains, r15 = of modules
; fails: E_TABLES_*
; clobbers: all but rbx, rsp
check_tables:
        lea  r13, [rip + __end_tables]
        sub  r13, rbx                           ; r13 = bytes that were loaded
        xor  ecx, ecx
        cmp  r13, TABLES_SIZEOF
        jb   .magic
        mov  rcx, qword ptr [rbx + TABLES_MAGIC]
        mov  rax, TABLES_MAGIC_VALUE
        cmp  rcx, rax
        jne  .magic
        mov  edx, dword ptr [rbx + TABLES_VERSION]
        cmp  edx, TABLES_VERSION_VALUE
        jne  .version
        mov  r12d, dword ptr [rbx + TABLES_LENGTH]
        cmp  r12, TABLES_SIZEOF
        jb   .length
        cmp  r12, r13
        ja   .length

        mov  eax, -1                            ; CRC-32 with the checksum's own bytes as 0
        mov  rsi, rbx
        mov  ecx, TABLES_CHECKSUM
        call update_crc32
        lea  rsi, [rip + zero]
        mov  ecx, 4
        call update_crc32
        lea  rsi, [rbx + TABLES_CHECKSUM + 4]
        lea  rcx, [r12 - TABLES_CHECKSUM - 4]
        call update_crc32
        not  eax
        mov  edx, eax
        mov  ecx, dword ptr [rbx + TABLES_CHECKSUM]
        cmp  edx, ecx
        jne  .checksum

        mov  edx, dword ptr [rbx + TABLES_NR_DOMAINS]
        mov  ecx, dword ptr [rbx + TABLES_NR_MODULES]
        mov  r8d, MAX_DOMAINS
        mov  r9d, MAX_MODULES
        cmp  edx, r8d
        ja   .count
        cmp  ecx, r9d
        ja   .count
        mov  r14d, edx                          ; for M_TABLES
        mov  r15d, ecx

        mov  edx, r12d                          ; the last byte ends the last string
        cmp  byte ptr [rbx + r12 - 1], 0
        jne  .outside
        mov  eax, dword ptr [rbx + TABLES_NAME]
        call .check_offset
        mov  eax, dword ptr [rbx + TABLES_PROFILE]
        call .check_offset
        mov  eax, dword ptr [rbx + TABLES_PROFILE_TITLE]
        call .check_offset
        mov  eax, dword ptr [rbx + TABLES_DOMAINS]
        imul ecx, r14d, BOOT_DOMAIN_SIZEOF
        call .check_array
        mov  eax, dword ptr [rbx + TABLES_MODULES]
        imul ecx, r15d, MODULE_RECORD_SIZEOF
        call .check_array
        mov  eax, dword ptr [rbx + TABLES_PIECES]
        mov  ecx, dword ptr [rbx + TABLES_NR_PIECES]
        imul rcx, rcx, PIECE_SIZEOF
        call .check_array
        mov  ecx, dword ptr [rbx + TABLES_HYPERVISOR]
        call .check_module
        mov  eax, dword ptr [rbx + TABLES_HYPERVISOR_CMDLINE]
        call .check_offset

        mov  ebp, dword ptr [rbx + TABLES_DOMAINS]
        add  rbp, rbx
        mov  r13d, r14d
.domain:
        test r13d, r13d
        jz   .modules
        mov  eax, dword ptr [rbp + BOOT_DOMAIN_NAME]
        call .check_offset
        mov  ecx, dword ptr [rbp + BOOT_DOMAIN_KERNEL]
        call .check_module
        mov  ecx, dword ptr [rbp + BOOT_DOMAIN_RAMDISK]
        call .check_module
        mov  ecx, dword ptr [rbp + BOOT_DOMAIN_CONFIGS]
        call .check_module
        mov  ecx, dword ptr [rbp + BOOT_DOMAIN_CONFIGS + 4]
        call .check_module
        add  rbp, BOOT_DOMAIN_SIZEOF
        dec  r13d
        jmp  .domain
.modules:
        mov  ebp, dword ptr [rbx + TABLES_MODULES]
        add  rbp, rbx
        mov  r13d, r15d
.module:
        test r13d, r13d
        jz   .good
        mov  ecx, dword ptr [rbp + MODULE_RECORD_KIND]
        mov  r8d, BOOTMOD_LAST + 1
        lea  rdx, [rip + kind_word]
        cmp  ecx, r8d
        jae  .index
        mov  eax, dword ptr [rbp + MODULE_RECORD_NAME]
        call .check_offset
        mov  eax, dword ptr [rbp + MODULE_RECORD_STRING]
        call .check_offset
        mov  ecx, dword ptr [rbp + MODULE_RECORD_FIRST_PIECE]
        mov  eax, dword ptr [rbp + MODULE_RECORD_NR_PIECES]
        add  rcx, rax
        mov  r8d, dword ptr [rbx + TABLES_NR_PIECES]
        lea  rdx, [rip + piece_word]
        cmp  rcx, r8
        ja   .index
        mov  ecx, dword ptr [rbp + MODULE_RECORD_HANDED_TO]
        sub  ecx, 1
        jb   .handed_to_none
        mov  r8d, r14d
        lea  rdx, [rip + domain_word]
        cmp  ecx, r8d
        jae  .index
.handed_to_none:
        mov  eax, dword ptr [rbp + MODULE_RECORD_SECTIONS]
        mov  ecx, dword ptr [rbp + MODULE_RECORD_NR_SECTIONS]
        mov  edx, dword ptr [rbp + MODULE_RECORD_SECTION_SIZE]
        imul rcx, rdx
        call .check_array
        add  rbp, MODULE_RECORD_SIZEOF
        dec  r13d
        jmp  .module
.good:
        ret

; in: eax = offset of an array, 8-byte aligned; rcx = its bytes, 0 for none
.check_array:
        test rcx, rcx
        jz   .inside
        lea  rdx, [rax + rcx]
        cmp  rdx, r12
        ja   .outside
        test eax, 7
        jnz  .outside
.inside:
        ret
; in: eax = offset of a byte
.check_offset:
        mov  edx, eax
        cmp  rax, r12
        jae  .outside
        ret
; in: ecx = index of a module or NO_MODULE
.check_module:
        cmp  ecx, NO_MODULE
        je   .inside
        mov  r8d, r15d
        lea  rdx, [rip + module_word]
        cmp  ecx, r15d
        jae  .index
        ret

.magic:
        mov  rdx, rbx
        fail E_TABLES_MAGIC
.version:
        mov  ecx, TABLES_VERSION_VALUE
        fail E_TABLES_VERSION
.length:
        mov  rdx, r12
        mov  rcx, r13
        fail E_TABLES_LENGTH
.checksum:
        fail E_TABLES_CHECKSUM
.count:
        fail E_TABLES_COUNT
.outside:
        mov  rcx, r12
        fail E_TABLES_OFFSET
.index:
        fail E_TABLES_INDEX

; --- for the stages behind: records by number ----------------------------------------------------

; in:  ecx = number of a module
; out: rax = its module_record
; clobbers: rcx
module_record_at:
        imul eax, ecx, MODULE_RECORD_SIZEOF
        mov  rcx, qword ptr [rip + tables]
        add  rax, rcx
        mov  ecx, dword ptr [rcx + TABLES_MODULES]
        add  rax, rcx
        ret

; in:  rdi = a domain or module record: both start with their name
; out: rax = the name
; clobbers: rcx
record_name:
        mov  rcx, qword ptr [rip + tables]
        movsxd rax, dword ptr [rdi]     ; of tables made at boot it may lie in front of them
        add  rax, rcx
        ret

; As panic, and the first value is a name.
; in:  si = number, rdi = text, rdx = a domain or module record, rcx, r8, r9 = values
; never returns
panic_named:
        push rcx
        push rdi
        mov  rdi, rdx
        call record_name
        mov  rdx, rax
        pop  rdi
        pop  rcx
        jmp  panic
.assert BOOT_DOMAIN_NAME == 0, "record_name takes the first field of a boot_domain"
.assert MODULE_RECORD_NAME == 0, "record_name takes the first field of a module_record"

.section .rodata
zero:           .long 0
module_word:    .asciz "module"
piece_word:     .asciz "piece"
kind_word:      .asciz "module kind"
domain_word:    .asciz "domain"

.section .bss
.align 8
tables:         .space 8                ; those in force
image_name:     .space 8                ; string; 0 while there are no tables
