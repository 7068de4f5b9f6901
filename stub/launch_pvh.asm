; Launch by PVH: hvm_start_info, and into the kernel in 32-bit protected mode. Xen's docs/misc/pvh.pandoc
; and public/arch-x86/hvm/start_info.h.

.include "macros.inc"

.section .launchers
        .long PROTOCOL_PVH
        .long launch_pvh - __image_start
        .long pvh_name - __image_start
        .long 0

.section .text

; in:  rdi = boot_domain, rsi = the protocol's name
; never returns
; fails: E_ENTRY
launch_pvh:
        mov  rbp, rdi
        mov  r14, rsi
        call check_entry

        lea  rbx, [rip + start_info]
        mov  dword ptr [rbx + HVM_START_INFO_MAGIC], XEN_HVM_START_MAGIC_VALUE
        mov  dword ptr [rbx + HVM_START_INFO_VERSION], 1
        mov  dword ptr [rbx + HVM_START_INFO_FLAGS], SIF_PRIVILEGED | SIF_INITDOMAIN
        lea  rax, [rip + domain_cmdline]
        mov  qword ptr [rbx + HVM_START_INFO_CMDLINE_PADDR], rax
        mov  rax, qword ptr [rip + boot_info + BOOT_INFO_RSDP]
        mov  qword ptr [rbx + HVM_START_INFO_RSDP_PADDR], rax
        lea  rax, [rip + memory_ranges]
        mov  qword ptr [rbx + HVM_START_INFO_MEMMAP_PADDR], rax
        mov  eax, dword ptr [rip + memory_range_count]
        mov  dword ptr [rbx + HVM_START_INFO_MEMMAP_ENTRIES], eax

        mov  ecx, dword ptr [rbp + BOOT_DOMAIN_RAMDISK]
        cmp  ecx, NO_MODULE
        je   .report
        imul ecx, ecx, BOOT_MODULE_SIZEOF
        lea  rdx, [rip + boot_modules]
        add  rdx, rcx
        lea  rdi, [rip + modlist]
        mov  rax, qword ptr [rdx + BOOT_MODULE_START]
        mov  qword ptr [rdi + HVM_MODLIST_ENTRY_PADDR], rax
        mov  rax, qword ptr [rdx + BOOT_MODULE_SIZE]
        mov  qword ptr [rdi + HVM_MODLIST_ENTRY_SIZE], rax
        mov  rax, qword ptr [rdx + BOOT_MODULE_STRING]
        mov  qword ptr [rdi + HVM_MODLIST_ENTRY_CMDLINE_PADDR], rax
        mov  qword ptr [rbx + HVM_START_INFO_MODLIST_PADDR], rdi
        mov  dword ptr [rbx + HVM_START_INFO_NR_MODULES], 1
.report:
        movzx esi, word ptr [rbp + BOOT_DOMAIN_DOMID]
        mov  rdx, r14
        mov  rcx, qword ptr [rbp + BOOT_DOMAIN_ENTRY]
        mov  r8, rbx
        say  M_LAUNCH

        mov  edi, dword ptr [rbp + BOOT_DOMAIN_ENTRY]
        lea  rax, [rip + .protected]
        push GDT_CODE32
        push rax
        retfq

; Compatibility mode, ebx = start info, edi = entry. What PVH asks for: CR0.PE alone, CR4 and EFER
; clear, flat 32-bit segments, TR with base 0 and limit 0x67, interrupts off.
.code32
.protected:
        mov  eax, CR0_PE | CR0_ET       ; leaves long mode
        mov  cr0, eax
        mov  ecx, MSR_EFER
        xor  eax, eax
        xor  edx, edx
        wrmsr
        mov  cr4, eax
        mov  eax, GDT_DATA
        mov  ds, eax
        mov  es, eax
        mov  ss, eax
        mov  fs, eax
        mov  gs, eax
        mov  eax, GDT_TSS32
        ltr  ax
        cld
        jmp  edi
.code64

; The entry must lie in a piece of the domain's kernel.
; in:  rbp = boot_domain
; clobbers: rax, rbx, rcx, rdx, rdi, r12, r14, r15
; fails: E_ENTRY
check_entry:
        push r14
        push rbp
        mov  rdx, qword ptr [rbp + BOOT_DOMAIN_ENTRY]
        mov  ebp, dword ptr [rbp + BOOT_DOMAIN_KERNEL]
        call first_piece
        mov  ecx, r14d
        pop  rbp
        pop  r14
.piece:
        test ecx, ecx
        jz   .outside
        mov  rax, rdx
        sub  rax, qword ptr [r12 + PIECE_DEST]
        jb   .next
        cmp  rax, qword ptr [r12 + PIECE_DEST_SIZE]
        jb   .inside
.next:
        add  r12, PIECE_SIZEOF
        dec  ecx
        jmp  .piece
.inside:
        ret
.outside:
        mov  r12, rdx
        mov  rdi, rbp
        call record_name
        mov  rdx, rax
        mov  rcx, r12
        fail E_ENTRY

.section .bss
.align 16
start_info:     .space HVM_START_INFO_SIZEOF
modlist:        .space HVM_MODLIST_ENTRY_SIZEOF
