; Looking into a bzImage that no host has looked into. Documentation/arch/x86/boot.rst.

.include "macros.inc"

.global probe_linux

.section .text

; Is it a bzImage? Then its protected-mode part goes where it wants to be, or to free room if it can be moved.
; in:  r13 = boot_domain, ebp = number of its kernel's module, rsi = the file, rdi = its bytes
; out: ZF set if so, with rax = entry; the module's record has its piece, the domain its cmdline_room
; clobbers: all but rbp, r13, rsp
; fails: E_KERNEL_SHORT, E_NO_FREE_ROOM
probe_linux:
        cmp  rdi, BOOT_PARAMS_PAD7
        jb   .other
        cmp  dword ptr [rsi + BOOT_PARAMS_HEADER], LINUX_HEADER_MAGIC
        jne  .other
        test byte ptr [rsi + BOOT_PARAMS_LOADFLAGS], LINUX_LOADED_HIGH
        jz   .other
        mov  r14, rsi                   ; r14 = file, r15 = its bytes
        mov  r15, rdi
        movzx ebx, byte ptr [r14 + BOOT_PARAMS_SETUP_SECTS]
        test ebx, ebx
        jnz  .sectors
        mov  ebx, LINUX_DEFAULT_SECTORS
.sectors:
        inc  ebx                        ; the boot sector
        imul ebx, ebx, LINUX_SECTOR     ; rbx = offset of the protected-mode part, r15 = its bytes
        sub  r15, rbx
        jbe  .short

        movzx ecx, word ptr [r14 + BOOT_PARAMS_VERSION]
        mov  eax, LINUX_OLD_CMDLINE_ROOM
        cmp  ecx, LINUX_VERSION_CMDLINE_SIZE
        jb   .room
        mov  eax, dword ptr [r14 + BOOT_PARAMS_CMDLINE_SIZE]
        inc  eax
.room:
        mov  dword ptr [r13 + BOOT_DOMAIN_CMDLINE_ROOM], eax
        mov  r12, r15                   ; r12 = bytes that it needs in memory
        mov  r8d, LINUX_LEGACY_ADDRESS
        cmp  ecx, LINUX_VERSION_INIT_SIZE
        jb   .fixed                     ; nobody says how much memory it would need elsewhere
        mov  eax, dword ptr [r14 + BOOT_PARAMS_INIT_SIZE]
        cmp  r12, rax
        cmovb r12, rax
        mov  r8, qword ptr [r14 + BOOT_PARAMS_PREF_ADDRESS]
        cmp  byte ptr [r14 + BOOT_PARAMS_RELOCATABLE_KERNEL], 0
        je   .fixed
        mov  r9, 1 << 32
        cmp  ecx, LINUX_VERSION_XLOADFLAGS
        jb   .reach32
        test byte ptr [r14 + BOOT_PARAMS_XLOADFLAGS], LINUX_XLF_KERNEL_64
        jnz  .reach
.reach32:                               ; 32 bits: it reaches no farther than for its ramdisk
        mov  r9d, dword ptr [r14 + BOOT_PARAMS_INITRD_ADDR_MAX]
        inc  r9
.reach:
        mov  edx, dword ptr [r14 + BOOT_PARAMS_KERNEL_ALIGNMENT]
        mov  rdi, r8
        lea  rsi, [r8 + r12]
        call find_place                 ; not below: from there it would move itself up again
        mov  r8, rax
        test rax, rax
        jz   .no_room
.fixed:
        mov  rdi, rbx
        mov  rsi, r15
        mov  rdx, r8
        xor  ecx, ecx                   ; nothing to clear
        sub  r12, r15
        add  r12, PAGE_SIZE - 1
        shr  r12, PAGE_SHIFT
        push r8
        mov  r8, r12
        call add_piece
        pop  rax
        cmp  word ptr [r14 + BOOT_PARAMS_VERSION], LINUX_VERSION_XLOADFLAGS
        jb   .done
        test word ptr [r14 + BOOT_PARAMS_XLOADFLAGS], LINUX_XLF_KERNEL_64
        jz   .done
        add  rax, LINUX_ENTRY64
.done:
        cmp  eax, eax                   ; sets ZF
        ret
.other:
        or   eax, 1                     ; clears ZF
        ret
.short:
        mov  rdi, r13
        call record_name
        mov  rdx, rax
        add  r15, rbx
        mov  rcx, r15
        mov  r8, rbx
        fail E_KERNEL_SHORT
.no_room:
        mov  rdi, r13
        call record_name
        mov  rcx, rax
        mov  rdx, r12
        fail E_NO_FREE_ROOM
