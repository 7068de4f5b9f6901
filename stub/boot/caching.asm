; Caching: without it RAM is a hundred times slower. What the stub's page tables ask for is the first entry of the PAT; what
; they get, the MTRRs may forbid. SDM 3, 12.11 and 12.12.

.include "lib/macros.inc"

.global use_write_back, report_caching

.section .text

; Makes the first entry of the PAT write-back, as it is after a reset, if a loader has changed it. The kernel finds it so.
; in:  the stub's own page tables in force
; clobbers: rax, rbx, rcx, rdx
use_write_back:
        mov  eax, CPUID_FEATURES
        cpuid
        bt   edx, CPUID_FEATURES_EDX_PAT_BIT
        jnc  .done
        mov  ecx, MSR_PAT
        rdmsr
        cmp  al, MEMORY_WRITE_BACK
        je   .done
        mov  al, MEMORY_WRITE_BACK
        wbinvd
        wrmsr
        mov  rax, cr3                   ; forgets what was looked up with the other type
        mov  cr3, rax
.done:
        ret

; Warns where the MTRRs say that the RAM that the stub lies in is not to be cached: firmware has to set them, and a kernel
; may take such RAM for none (Linux does, but for disable_mtrr_trim).
; clobbers: rax, rbx, rcx, rdx, rsi, rdi, r8, r9, r10, r11
report_caching:
        mov  eax, CPUID_FEATURES
        cpuid
        bt   edx, CPUID_FEATURES_EDX_MTRR_BIT
        jnc  .done
        mov  ecx, MSR_MTRR_CAP
        rdmsr
        movzx r8d, al                   ; r8 = variable ranges left
        mov  ecx, MSR_MTRR_DEF_TYPE
        rdmsr
        movzx r9d, al                   ; r9 = type where no range says another, r10 = what the ranges say
        mov  r10d, -1
        test eax, MTRR_DEF_TYPE_ENABLED
        jnz  .enabled
        xor  r9d, r9d                   ; all memory is uncached, whatever the ranges say
        jmp  .decide
.enabled:
        lea  r11, [rip + __image_start]
        mov  ecx, MSR_MTRR_FIRST_BASE
.range:
        dec  r8d
        js   .decide
        rdmsr
        mov  esi, eax
        mov  edi, edx                   ; edi:esi = base and type
        inc  ecx
        rdmsr                           ; edx:eax = mask
        inc  ecx
        test eax, MTRR_MASK_VALID
        jz   .range
        and  edi, edx                   ; the stub lies below 4 GiB
        jnz  .range
        and  eax, -PAGE_SIZE
        mov  edx, r11d
        xor  edx, esi
        and  edx, eax
        jnz  .range
        movzx esi, sil
        cmp  esi, r10d                  ; where ranges overlap the lower type wins: uncached, write-through, write-back
        cmovb r10d, esi
        jmp  .range
.decide:
        mov  edx, r10d
        cmp  edx, -1
        cmove edx, r9d
        cmp  edx, MEMORY_WRITE_BACK
        je   .done
        lea  rsi, [rip + __image_start]
        warn M_UNCACHED
.done:
        ret
