; The clock of Linux's guests: a record in the guest's memory says how nanoseconds follow from the time-stamp counter.
; All cpus of all domains get the same one, so the clocks of no two of them differ. Linux, virt/kvm/x86/msr.rst.

.global set_clock, set_wall_clock, clock_start, clock_start_seconds

.section .text

; The guest's record, and where it is wanted: filled once, as nothing in it ever changes.
; in:  rsi = guest address with KVM_MSR_ENABLED, rbp, r12
; out: ZF set if it lies in the domain's memory, or is not wanted
; clobbers: rax, rcx, rdx, rsi, rdi
set_clock:
        test esi, KVM_MSR_ENABLED
        jz   .off
        lea  rdi, [rsi - KVM_MSR_ENABLED]
        mov  eax, PVCLOCK_VCPU_TIME_INFO_SIZEOF
        call find_guest_memory
        jne  .done
        mov  qword ptr [rbp + VCPU_CLOCK], rsi
        call open_window
        or   dword ptr [rdi + PVCLOCK_VCPU_TIME_INFO_VERSION], 1
        mov  rax, qword ptr [rip + clock_start]
        mov  qword ptr [rdi + PVCLOCK_VCPU_TIME_INFO_TSC_TIMESTAMP], rax
        mov  qword ptr [rdi + PVCLOCK_VCPU_TIME_INFO_SYSTEM_TIME], 0
        mov  eax, dword ptr [rip + clock_multiplier]
        mov  dword ptr [rdi + PVCLOCK_VCPU_TIME_INFO_TSC_TO_SYSTEM_MUL], eax
        movzx eax, byte ptr [rip + clock_shift]
        or   eax, PVCLOCK_TSC_STABLE << 8
        mov  dword ptr [rdi + PVCLOCK_VCPU_TIME_INFO_TSC_SHIFT], eax
        inc  dword ptr [rdi + PVCLOCK_VCPU_TIME_INFO_VERSION]
        call close_window
        jmp  .set
.off:
        mov  qword ptr [rbp + VCPU_CLOCK], rsi
.set:
        cmp  eax, eax                   ; sets ZF
.done:
        ret
.assert PVCLOCK_VCPU_TIME_INFO_FLAGS == PVCLOCK_VCPU_TIME_INFO_TSC_SHIFT + 1, "shift and flags are written at once"

; The time of day when the guests' time began.
; in:  rsi = guest address, rbp, r12
; out: ZF set if it lies in the domain's memory
; clobbers: rax, rcx, rdx, rdi
set_wall_clock:
        mov  rdi, rsi
        mov  eax, PVCLOCK_WALL_CLOCK_SIZEOF
        call find_guest_memory
        jne  .done
        call open_window
        or   dword ptr [rdi + PVCLOCK_WALL_CLOCK_VERSION], 1
        mov  eax, dword ptr [rip + clock_start_seconds]
        mov  dword ptr [rdi + PVCLOCK_WALL_CLOCK_SEC], eax
        mov  dword ptr [rdi + PVCLOCK_WALL_CLOCK_NSEC], 0
        inc  dword ptr [rdi + PVCLOCK_WALL_CLOCK_VERSION]
        call close_window
        cmp  eax, eax                   ; sets ZF
.done:
        ret

; Where some bytes of a domain's memory are in the machine's. They must lie in one page.
; in:  rdi = guest address, eax = bytes, at least 1, r12 = struct domain
; out: ZF set if they are the domain's; rdi = machine address
; clobbers: rcx, rdx
find_guest_memory:
        mov  ecx, edi
        and  ecx, PAGE_SIZE - 1
        add  ecx, eax
        cmp  ecx, PAGE_SIZE
        ja   .none
        lea  rdx, [r12 + DOMAIN_BANKS]
        mov  ecx, MAX_BANKS
.bank:
        sub  rdi, qword ptr [rdx + BANK_GUEST]
        cmp  rdi, qword ptr [rdx + BANK_SIZE]           ; banks are whole pages
        jb   .found
        add  rdi, qword ptr [rdx + BANK_GUEST]
        add  rdx, BANK_SIZEOF
        dec  ecx
        jnz  .bank
.none:
        test rsp, rsp                   ; clears ZF
        ret
.found:
        add  rdi, qword ptr [rdx + BANK_MACHINE]
        cmp  eax, eax                   ; sets ZF
        ret

.section .bss
.align 8
clock_start:            .space 8        ; the time-stamp counter then
clock_start_seconds:    .space 4        ; the time of day then, since 1970
