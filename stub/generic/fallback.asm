; What to boot when nobody says: one domain, as Xen always did. Its kernel is the loader's first module, its
; ramdisk the next one.

.include "lib/macros.inc"

.section .sources
        .long make_fallback - __image_start
        .long 0

.section .text

; in:  loader_modules, at least one
; out: tables; ZF set
; clobbers: all but rsp
make_fallback:
        call new_tables
        mov  dword ptr [rbx + BOOT_TABLES_MODULES + MODULE_RECORD_KIND], BOOTMOD_KERNEL
        lea  rdi, [rip + dom0_name]
        call keep_string
        mov  rdi, rax
        call add_domain
        mov  dword ptr [rax + BOOT_DOMAIN_PERMISSIONS], PERMISSION_CONTROL | PERMISSION_HARDWARE
        mov  dword ptr [rax + BOOT_DOMAIN_FUNCTIONS], FUNCTION_CONSOLE | FUNCTION_XENSTORE | FUNCTION_INITIAL_DOMAIN
        mov  dword ptr [rax + BOOT_DOMAIN_MODE], MODE_LONG      ; PVH: what the native launcher can build
        mov  dword ptr [rax + BOOT_DOMAIN_KERNEL], 0
        mov  dword ptr [rax + BOOT_DOMAIN_MEM_SIZE_KIND], MEMORY_MINUS
        mov  dword ptr [rax + BOOT_DOMAIN_MEM_MAX_KIND], MEMORY_MINUS
        mov  r12, rax
        say  M_FALLBACK
        mov  esi, dword ptr [rbx + TABLES_NR_MODULES]
        dec  esi                        ; those of kind unknown: the first is taken
        jz   .made
        mov  dword ptr [r12 + BOOT_DOMAIN_RAMDISK], 1
        mov  dword ptr [rbx + BOOT_TABLES_MODULES + MODULE_RECORD_SIZEOF + MODULE_RECORD_KIND], BOOTMOD_RAMDISK
        cmp  esi, 1
        je   .made
        mov  edx, 1
        warn M_RAMDISKS
        mov  ecx, dword ptr [rbx + TABLES_NR_MODULES]
        sub  ecx, 2
        lea  rax, [rbx + BOOT_TABLES_MODULES + 2 * MODULE_RECORD_SIZEOF]
.rest:                                  ; a kernel that takes more modules is told of them all
        mov  dword ptr [rax + MODULE_RECORD_HANDED_TO], 1
        add  rax, MODULE_RECORD_SIZEOF
        dec  ecx
        jnz  .rest
.made:
        xor  eax, eax
        ret

.section .rodata
dom0_name:
        .asciz "dom0"
