; What of the cpu is the stub's, and when, where a firmware has started it.

.global allow_sse, own_cpu

.section .text

; What the stub relies on while boot services run. UEFI 2.10, 2.3.4 promises CR0.EM and CR0.TS clear and says nothing of
; CR4, where U-Boot's leaves OSFXSR clear: SSE instructions are invalid then. That may be set beneath any firmware. CET
; goes: no code of ours is made for it. All else is the firmware's, and stays: paging, WP, interrupts, MXCSR, the x87's.
; clobbers: rax
allow_sse:
        mov  rax, cr0
        and  eax, ~(CR0_EM | CR0_TS) & 0xffffffff
        or   eax, CR0_MP
        mov  cr0, rax
        mov  rax, cr4
        btr  rax, CR4_CET_BIT
        or   rax, CR4_OSFXSR | CR4_OSXMMEXCPT
        mov  cr4, rax
        ret

; Once boot services have ended: the cpu as enter_long_mode leaves it, whatever the firmware had set.
; in:  page_map, filled; page tables of 4 levels in force, all that is used from here on mapped to itself by both
; out: CR0 = CR0_OURS, CR4 = CR4_OURS and CR4_MCE as it was, EFER without all but long mode, EFLAGS clear
; clobbers: rax, rcx, rdx
own_cpu:
        push EFLAGS_FIXED
        popfq
        mov  rax, cr4
        and  eax, CR4_MCE
        or   eax, CR4_OURS
        mov  cr4, rax                   ; without PGE: what the firmware had for global is forgotten too
        lea  rax, [rip + page_map]
        mov  cr3, rax
        mov  ecx, MSR_EFER              ; behind that: the firmware's tables may use NXE
        rdmsr
        and  eax, EFER_LME | EFER_LMA
        xor  edx, edx
        wrmsr
        mov  eax, CR0_OURS
        mov  cr0, rax
        ret
