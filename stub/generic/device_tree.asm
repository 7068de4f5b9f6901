; What to boot, from a Hyperlaunch device tree (launch control module) in the loader's first module. The bindings
; are in docs/domain-builder.md; module N of the tree is the loader's module N.

.include "lib/macros.inc"

.global bootargs_name

.section .sources
        .long make_from_device_tree - __image_start
        .long 0

.section .text

; in:  loader_modules, at least one
; out: tables; ZF set if module 0 is a device tree
; clobbers: all but rsp
; fails: E_FDT_* and what add_domain, keep_string, add_module fail with
make_from_device_tree:
        mov  rsi, qword ptr [rip + loader_modules + BOOT_MODULE_START]
        mov  rdi, qword ptr [rip + loader_modules + BOOT_MODULE_SIZE]
        cmp  rdi, FDT_HEADER_SIZEOF
        jb   .other
        cmp  dword ptr [rsi], FDT_MAGIC_BYTES
        jne  .other
        push rdi
        call check_tree
        call new_tables
        mov  dword ptr [rbx + BOOT_TABLES_MODULES + MODULE_RECORD_KIND], BOOTMOD_FDT
        pop  rsi
        say  M_DEVICE_TREE

        mov  rsi, qword ptr [rip + tree_structure]
        call next_any_node              ; the root
        lea  rdi, [rip + chosen_name]
        call enter_node
        jne  .no_hypervisor
        lea  rdi, [rip + hypervisor_name]
        call enter_node
        jne  .no_hypervisor
        lea  rdi, [rip + hypervisor_compatible]
        call test_compatible
        jne  .no_hypervisor
.child:
        call next_node
        je   .made
        mov  r14, rax                   ; r14 = name of the node, r12 = inside of it
        push rsi
        lea  rdi, [rip + domain_compatible]
        call test_compatible
        jne  .config
        call read_domain
        jmp  .next
.config:
        lea  rdi, [rip + config_compatible]
        call test_compatible
        jne  .next
        call read_config
.next:
        pop  rsi
        call skip_node
        jmp  .child
.made:
        cmp  dword ptr [rbx + TABLES_NR_DOMAINS], 1
        jne  .several
        call give_roles
.several:
        xor  eax, eax
        ret
.other:
        or   eax, 1                     ; clears ZF
        ret
.no_hypervisor:
        fail E_FDT_NO_HYPERVISOR

; A domain that is alone is the initial one; without any permission or function it has those that it has without a tree.
; in:  rbx = tables
; clobbers: all but rsp
give_roles:
        lea  rdi, [rbx + BOOT_TABLES_DOMAINS]
        mov  eax, dword ptr [rdi + BOOT_DOMAIN_FUNCTIONS]
        test eax, FUNCTION_INITIAL_DOMAIN
        jnz  .done
        test eax, eax
        mov  ecx, FUNCTION_CONSOLE | FUNCTION_XENSTORE
        cmovz eax, ecx
        or   eax, FUNCTION_INITIAL_DOMAIN
        mov  dword ptr [rdi + BOOT_DOMAIN_FUNCTIONS], eax
        cmp  dword ptr [rdi + BOOT_DOMAIN_PERMISSIONS], 0
        jne  .said
        mov  dword ptr [rdi + BOOT_DOMAIN_PERMISSIONS], PERMISSION_CONTROL | PERMISSION_HARDWARE
.said:
        call record_name
        mov  rsi, rax
        say  M_ALONE
.done:
        ret

; Looks for an enabled node by its name, less a unit address.
; in:  rsi = inside of the outer node, rdi = name
; out: ZF set if it is there, with rsi, r12 = inside of it
; clobbers: rax, rcx, rdx, r8, r9, r10
enter_node:
        call next_node
        je   .none
        xor  ecx, ecx
.letter:
        movzx edx, byte ptr [rdi + rcx]
        test edx, edx
        jz   .end
        cmp  dl, byte ptr [rax + rcx]
        jne  .other
        inc  ecx
        jmp  .letter
.end:
        cmp  byte ptr [rax + rcx], 0
        je   .done
        cmp  byte ptr [rax + rcx], '@'
        je   .done
.other:
        call skip_node
        jmp  enter_node
.none:
        or   eax, 1                     ; clears ZF
.done:
        ret

; The hypervisor's own settings: its command line is the stub's, its modules have a kind.
; in:  r12 = inside of the node, r14 = its name, rbx = tables
; clobbers: all but rbx, rsp
read_config:
        lea  rdi, [rip + bootargs_name]
        call find_property
        jne  .modules
        mov  rdi, rax
        call keep_text
        mov  qword ptr [rip + boot_info + BOOT_INFO_CMDLINE], rax
.modules:
        lea  r13, [rip + config_domain] ; takes the references, for nobody
        jmp  read_modules

; in:  r12 = inside of the node, r14 = its name, rbx = tables
; clobbers: all but rbx, rsp
; fails: E_FDT_PROPERTY and what read_modules, add_domain, keep_string fail with
read_domain:
        mov  rdi, r14
        call keep_string
        mov  rdi, rax
        call add_domain
        mov  r13, rax                   ; r13 = boot_domain
        lea  r15, [rip + domain_cells]
.cell:
        mov  edi, dword ptr [r15 + DOMAIN_CELL_NAME]
        lea  rax, [rip + __image_start]
        add  rdi, rax
        call find_property
        jne  .no_cell
        cmp  ecx, 4
        jne  bad_property
        mov  eax, dword ptr [rax]
        bswap eax
        mov  edx, dword ptr [r15 + DOMAIN_CELL_LIMIT]
        cmp  eax, edx
        ja   bad_property
        mov  edx, dword ptr [r15 + DOMAIN_CELL_FIELD]
        mov  dword ptr [r13 + rdx], eax ; domid too: `constructed` behind it is 0
.no_cell:
        add  r15, DOMAIN_CELL_SIZEOF
        lea  rax, [rip + domain_cells_end]
        cmp  r15, rax
        jb   .cell

        lea  rdi, [rip + memory_name]
        call find_property
        jne  .uuid
        call read_memory
        mov  qword ptr [r13 + BOOT_DOMAIN_MEM_SIZE_VALUE], rax
        mov  qword ptr [r13 + BOOT_DOMAIN_MEM_MAX_VALUE], rax
.uuid:
        lea  rdi, [rip + uuid_name]
        call find_property
        jne  .security_id
        cmp  ecx, 16
        jne  bad_property
        mov  rsi, rax
        lea  rdi, [r13 + BOOT_DOMAIN_UUID]
        rep movsb
.security_id:
        lea  rdi, [rip + security_id_name]
        call find_property
        jne  read_modules
        cmp  ecx, BOOT_DOMAIN_KERNEL - BOOT_DOMAIN_SECURITY_ID
        ja   bad_property
        mov  rsi, rax
        lea  rdi, [r13 + BOOT_DOMAIN_SECURITY_ID]
        rep movsb

; The nodes inside that are modules.
; in:  r12 = inside of the node, r13 = boot_domain, rbx = tables
; clobbers: all but rbx, r13, rsp
; fails: E_FDT_MODULE, E_FDT_MODULE_KIND, E_FDT_PROPERTY and what add_module, keep_string fail with
read_modules:
        mov  rsi, r12
.next:
        call next_node
        je   .done
        push rsi
        mov  r14, rax
        call find_module
        jne  .other
        call find_kind
        imul eax, ebp, MODULE_RECORD_SIZEOF
        lea  r15, [rbx + rax + BOOT_TABLES_MODULES]     ; r15 = module_record, ebp = its number, edx = kind
        mov  dword ptr [r15 + MODULE_RECORD_KIND], edx
        test ecx, ecx
        jz   .string
        cmp  ecx, HANDED
        je   .handed
        mov  dword ptr [r13 + rcx], ebp
        jmp  .string
.handed:                                ; the domain that is being read is the last one
        lea  rax, [rip + config_domain]
        cmp  r13, rax
        je   .string
        mov  ecx, dword ptr [rbx + TABLES_NR_DOMAINS]
        mov  dword ptr [r15 + MODULE_RECORD_HANDED_TO], ecx
.string:
        lea  rdi, [rip + bootargs_name]
        call find_property
        jne  .other
        mov  rdi, rax
        call keep_text
        sub  rax, rbx
        mov  dword ptr [r15 + MODULE_RECORD_STRING], eax
        or   dword ptr [r15 + MODULE_RECORD_FLAGS], MODULE_CMDLINE
.other:
        pop  rsi
        call skip_node
        jmp  .next
.done:
        ret

; Which module a node names: by number, or by address.
; in:  r12 = inside of the node, r14 = its name, rbx = tables
; out: ZF set if it is a module, with ebp = its number
; clobbers: all but rbx, r12, r13, r14, rsp
; fails: E_FDT_MODULE, E_FDT_PROPERTY and what add_module fails with
find_module:
        lea  rdi, [rip + index_compatible]
        call test_compatible
        lea  rdi, [rip + module_index_name]
        je   .index
        lea  rdi, [rip + multiboot_compatible]
        call test_compatible
        lea  rdi, [rip + mb_index_name]
        je   .index
        lea  rdi, [rip + address_compatible]
        call test_compatible
        jne  .done
        lea  rdi, [rip + module_addr_name]
        call find_property
        jne  missing_property
        cmp  ecx, 16                    ; address and size, two cells each
        jne  bad_property
        mov  rdi, qword ptr [rax]
        bswap rdi
        mov  rsi, qword ptr [rax + 8]
        bswap rsi
        xor  edx, edx
        call add_module
        call add_record
        mov  ebp, eax
        cmp  eax, eax                   ; sets ZF
.done:
        ret
.index:
        call find_property
        jne  missing_property
        cmp  ecx, 4
        jne  bad_property
        mov  ebp, dword ptr [rax]
        bswap ebp
        mov  r8d, dword ptr [rbx + TABLES_NR_MODULES]
        dec  r8d
        lea  eax, [rbp - 1]             ; 0 is the tree itself
        cmp  eax, r8d
        jae  .no_module
        cmp  eax, eax                   ; sets ZF
        ret
.no_module:
        mov  rdx, r14
        mov  ecx, ebp
        fail E_FDT_MODULE

; in:  r12 = inside of a module's node, r14 = its name
; out: edx = BOOTMOD_*, ecx = the field of boot_domain that refers to it, 0 for none, HANDED for any number of them
; clobbers: rax, rdi, r8, r9, r10, r11, r15
; fails: E_FDT_MODULE_KIND
find_kind:
        lea  r15, [rip + module_kinds]
.next:
        mov  edi, dword ptr [r15 + MODULE_KIND_COMPATIBLE]
        lea  rax, [rip + __image_start]
        add  rdi, rax
        call test_compatible
        je   .found
        add  r15, MODULE_KIND_SIZEOF
        lea  rax, [rip + module_kinds_end]
        cmp  r15, rax
        jb   .next
        mov  rdx, r14
        fail E_FDT_MODULE_KIND
.found:
        mov  edx, dword ptr [r15 + MODULE_KIND_KIND]
        mov  ecx, dword ptr [r15 + MODULE_KIND_FIELD]
        ret

.section .rodata
chosen_name:            .asciz "chosen"
hypervisor_name:        .asciz "hypervisor"
hypervisor_compatible:  .asciz "hypervisor,xen"
domain_compatible:      .asciz "xen,domain"
config_compatible:      .asciz "xen,config"
index_compatible:       .asciz "module,index"
multiboot_compatible:   .asciz "multiboot,module"
address_compatible:     .asciz "module,addr"
module_index_name:      .asciz "module-index"
mb_index_name:          .asciz "mb-index"
module_addr_name:       .asciz "module-addr"
bootargs_name:          .asciz "bootargs"
memory_name:            .asciz "memory"
uuid_name:              .asciz "domain-uuid"
security_id_name:       .asciz "security-id"
permissions_name:       .asciz "permissions"
functions_name:         .asciz "functions"
mode_name:              .asciz "mode"
domid_name:             .asciz "domid"
cpus_name:              .asciz "cpus"

.align 4
domain_cells:                           ; struct domain_cell: property, field, greatest value
        .long permissions_name - __image_start, BOOT_DOMAIN_PERMISSIONS, 0xffffffff
        .long functions_name - __image_start, BOOT_DOMAIN_FUNCTIONS, 0xffffffff
        .long mode_name - __image_start, BOOT_DOMAIN_MODE, 0xffffffff
        .long domid_name - __image_start, BOOT_DOMAIN_DOMID, DOMID_FIRST_RESERVED - 1
        .long cpus_name - __image_start, BOOT_DOMAIN_NCPUS, 0xffffffff
domain_cells_end:

.set HANDED, 1                          ; no field is there
.macro module_kind name, kind, field
        .long \name - __image_start, \kind, \field
.endm
module_kinds:                           ; struct module_kind; both spellings of the bindings
        module_kind kernel_compatible, BOOTMOD_KERNEL, BOOT_DOMAIN_KERNEL
        module_kind kernel_compatible_old, BOOTMOD_KERNEL, BOOT_DOMAIN_KERNEL
        module_kind ramdisk_compatible, BOOTMOD_RAMDISK, BOOT_DOMAIN_RAMDISK
        module_kind ramdisk_compatible_old, BOOTMOD_RAMDISK, BOOT_DOMAIN_RAMDISK
        module_kind device_tree_compatible, BOOTMOD_GUEST_DTB, BOOT_DOMAIN_CONFIGS
        module_kind device_tree_compatible_old, BOOTMOD_GUEST_DTB, BOOT_DOMAIN_CONFIGS
        module_kind config_module_compatible, BOOTMOD_GUEST_CONF, BOOT_DOMAIN_CONFIGS + 4
        module_kind config_module_compatible_old, BOOTMOD_GUEST_CONF, BOOT_DOMAIN_CONFIGS + 4
        module_kind microcode_compatible, BOOTMOD_UCODE, 0
        module_kind microcode_compatible_old, BOOTMOD_UCODE, 0
        module_kind xsm_compatible, BOOTMOD_XSM, 0
        module_kind xsm_compatible_old, BOOTMOD_XSM, 0
        module_kind handed_compatible, BOOTMOD_MODULE, HANDED
module_kinds_end:
kernel_compatible:              .asciz "module,kernel"
kernel_compatible_old:          .asciz "multiboot,kernel"
ramdisk_compatible:             .asciz "module,ramdisk"
ramdisk_compatible_old:         .asciz "multiboot,ramdisk"
device_tree_compatible:         .asciz "module,device-tree"
device_tree_compatible_old:     .asciz "multiboot,device-tree"
config_module_compatible:       .asciz "module,config"
config_module_compatible_old:   .asciz "multiboot,config"
microcode_compatible:           .asciz "module,microcode"
microcode_compatible_old:       .asciz "multiboot,microcode"
xsm_compatible:                 .asciz "module,xsm-policy"
xsm_compatible_old:             .asciz "multiboot,xsm-policy"
handed_compatible:              .asciz "bootwright,module"

.section .bss
.align 8
config_domain:  .space BOOT_DOMAIN_SIZEOF
