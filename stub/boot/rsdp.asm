; The ACPI root pointer, for loaders that do not hand it over. ACPI 6.5, 5.2.5.1.

.global find_rsdp, keep_rsdp, settle_rsdp

.section .text

; Looks for the RSDP in the first KiB of the EBDA and in the BIOS ROM.
; out: boot_info.rsdp, unchanged if there is none
; clobbers: rax, rcx, rdx, rsi, rdi
find_rsdp:
        mov  edi, BDA_EBDA_SEGMENT
        movzx edi, word ptr [rdi]
        shl  edi, 4
        cmp  edi, EBDA_LOWEST           ; a machine without one leaves any value here
        jb   .rom
        lea  esi, [rdi + EBDA_SCAN]
        cmp  esi, EBDA_END
        ja   .rom
        call scan_rsdp
        test rax, rax
        jnz  .found
.rom:
        mov  edi, BIOS_ROM_START
        mov  esi, BIOS_ROM_END
        call scan_rsdp
        test rax, rax
        jz   .done
.found:
        mov  qword ptr [rip + boot_info + BOOT_INFO_RSDP], rax
.done:
        ret

; in:  rdi = start, 16-byte aligned; rsi = end
; out: rax = the RSDP, 0 for none
; clobbers: rcx, rdx, rdi
scan_rsdp:
        mov  rcx, RSDP_SIGNATURE
.next:
        lea  rax, [rdi + RSDP_V1_LENGTH]
        cmp  rax, rsi
        ja   .none
        cmp  qword ptr [rdi], rcx
        jne  .step
        xor  eax, eax                   ; the bytes of a real one add up to 0
        xor  edx, edx
.sum:
        add  al, byte ptr [rdi + rdx]
        inc  edx
        cmp  edx, RSDP_V1_LENGTH
        jb   .sum
        test al, al
        jnz  .step
        mov  rax, rdi
        ret
.step:
        add  rdi, RSDP_ALIGN
        jmp  .next
.none:
        xor  eax, eax
        ret

; Keeps a loader's copy of the RSDP.
; in:  rsi = copy, ecx = bytes
; out: boot_info.rsdp
; clobbers: rax, rcx, rsi, rdi
keep_rsdp:
        lea  rdi, [rip + rsdp_page]
        mov  qword ptr [rip + boot_info + BOOT_INFO_RSDP], rdi
        mov  eax, RSDP_SIZEOF
        cmp  ecx, eax
        cmova ecx, eax
        rep movsb
        ret

; Once all is copied: where a BIOS has it lies the RSDP itself. Where it does not, the copy stays, in a page of its own
; that the hardware domain is told is ACPI's: the kernel may read it long after the stub's memory is in use for
; something else. That page is then not to be had for a kernel.
; out: boot_info.rsdp, unchanged if it is no copy
; clobbers: rax, rcx, rdx, rsi, rdi
; fails: E_TOO_MANY_RANGES
settle_rsdp:
        lea  rdi, [rip + rsdp_page]
        cmp  qword ptr [rip + boot_info + BOOT_INFO_RSDP], rdi
        jne  .done
        call find_rsdp
        mov  rsi, qword ptr [rip + boot_info + BOOT_INFO_RSDP]
        lea  rdi, [rip + rsdp_page]
        cmp  rsi, rdi
        je   .copy
        mov  eax, dword ptr [rsi + RSDP_RSDT]   ; a chance find is not what the loader means
        cmp  eax, dword ptr [rdi + RSDP_RSDT]
        jne  .copy
.done:
        ret
.copy:
        mov  qword ptr [rip + boot_info + BOOT_INFO_RSDP], rdi
        mov  esi, PAGE_SIZE
        mov  edx, XEN_HVM_MEMMAP_TYPE_ACPI
        jmp  add_range

.section .bss
.align PAGE_SIZE
rsdp_page:      .space PAGE_SIZE
