; The local APIC as the resident part uses it: its id, and messages to other cpus. AMD64 APM volume 2, 16.

.global enable_apic, read_apic_id, send_ipi

.set ICR_TRIES, 100000                  ; looks, of which each takes some 50 ns or more

.section .text

; Switches this cpu's local APIC on, by MSRs where all cpus have that.
; in:  x2apic
; out: eax = its id
; clobbers: rcx, rdx
enable_apic:
        mov  ecx, MSR_APIC_BASE
        rdmsr
        or   eax, APIC_BASE_ENABLE
        cmp  dword ptr [rip + x2apic], 0
        je   .write
        or   eax, APIC_BASE_X2APIC
.write:
        wrmsr

; out: eax = id of this cpu's local APIC
; clobbers: rcx, rdx
read_apic_id:
        cmp  dword ptr [rip + x2apic], 0
        je   .xapic
        mov  ecx, MSR_X2APIC_ID
        rdmsr
        ret
.xapic:
        mov  eax, LAPIC_ADDRESS
        mov  eax, dword ptr [rax + LAPIC_ID]
        shr  eax, LAPIC_ID_SHIFT
        ret

; Sends a message by the interrupt command register, whose upper half stays as it was: a guest may be between its two
; writes. Waits a bounded time for the one before.
; in:  edi = id of the local APIC it is for, esi = lower half of the register
; clobbers: rax, rcx, rdx
send_ipi:
        cmp  dword ptr [rip + x2apic], 0
        je   .xapic
        mfence                          ; the write is not ordered behind those to memory
        mov  ecx, MSR_X2APIC_ICR
        mov  eax, esi
        mov  edx, edi
        wrmsr
        ret
.xapic:
        mov  edx, LAPIC_ADDRESS
        mov  ecx, ICR_TRIES
.busy:
        test dword ptr [rdx + LAPIC_ICR], ICR_PENDING
        jz   .send
        pause
        dec  ecx
        jnz  .busy
.send:
        mov  ecx, dword ptr [rdx + LAPIC_ICR_HIGH]
        mov  eax, edi
        shl  eax, LAPIC_ID_SHIFT
        mov  dword ptr [rdx + LAPIC_ICR_HIGH], eax
        mov  dword ptr [rdx + LAPIC_ICR], esi
        mov  dword ptr [rdx + LAPIC_ICR_HIGH], ecx
        ret
