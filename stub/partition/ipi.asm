; What a guest's local APIC may send to others: vectors to cpus of its own domain, and INIT and SIPI, which become requests
; to them. NMI, SMI and the rest go nowhere. Intel SDM volume 3, 11.6; AMD APM volume 2, 16.5.

.global filter_icr

.set SENT, 1 << (DELIVERY_FIXED >> DELIVERY_SHIFT) | 1 << (DELIVERY_LOWEST >> DELIVERY_SHIFT) | 1 << (DELIVERY_INIT >> DELIVERY_SHIFT) | 1 << (DELIVERY_START >> DELIVERY_SHIFT)

.section .text

; A write to the interrupt command register.
; in:  eax = its lower half, edx = destination (8 bits; 32 in x2APIC mode), rbp, r12
; clobbers: all but rbp, rbx, r12, rsp
filter_icr:
        mov  r13d, eax                  ; r13 = lower half, r14 = destination, r15 = delivery mode
        mov  r14d, edx
        mov  r15d, eax
        and  r15d, DELIVERY_MASK
        mov  eax, SENT
        mov  ecx, r15d
        shr  ecx, DELIVERY_SHIFT
        bt   eax, ecx
        jnc  .dropped
        mov  eax, r13d
        and  eax, DELIVERY_MASK | ICR_LEVEL | ICR_ASSERT
        cmp  eax, DELIVERY_INIT | ICR_LEVEL             ; the end of an INIT is nothing
        je   .done
        call first_vcpu
        mov  ecx, dword ptr [r12 + DOMAIN_NR_VCPUS]
.next:
        push rcx
        call is_destination
        jne  .step
        call send_to
.step:
        pop  rcx
        jc   .done
        add  rsi, VCPU_SIZEOF
        dec  ecx
        jnz  .next
.done:
        ret
.dropped:
        inc  dword ptr [rbp + VCPU_DROPPED_IPIS]
        ret

; Does to one cpu what was asked for.
; in:  rsi = struct vcpu, r13, r15; rbp
; out: CF set if no other is meant
; clobbers: rax, rcx, rdx, rdi
send_to:
        mov  eax, REQUEST_INIT
        cmp  r15d, DELIVERY_INIT
        je   .request
        cmp  r15d, DELIVERY_START
        je   .start
        cmp  dword ptr [rsi + VCPU_STATE], VCPU_RUNS    ; a local APIC that is not used yet takes nothing
        jne  .sent
        mov  edi, dword ptr [rsi + VCPU_APIC_ID]
        push rsi
        movzx esi, r13b
        or   esi, DELIVERY_FIXED | ICR_ASSERT
        call send_ipi
        pop  rsi
        cmp  r15d, DELIVERY_LOWEST
        jne  .sent
        stc
        ret
.start:
        mov  eax, r13d
        and  eax, ICR_VECTOR_MASK
        mov  dword ptr [rsi + VCPU_SIPI_VECTOR], eax
        mov  eax, REQUEST_SIPI
.request:
        call request
.sent:
        clc
        ret

; in:  rsi = struct vcpu, r13, r14; rbp
; out: ZF set if the destination means it, CF clear
; clobbers: rax, rcx, rdx
is_destination:
        mov  eax, r13d
        and  eax, ICR_SHORTHAND_MASK
        jz   .by_id
        cmp  eax, ICR_ALL
        je   .yes
        ja   .others
        cmp  rsi, rbp                   ; itself
        clc
        ret
.others:
        cmp  rsi, rbp
        jne  .yes
.no:
        test rsp, rsp                   ; clears ZF and CF
        ret
.yes:
        cmp  eax, eax                   ; sets ZF, clears CF
        ret
.by_id:
        mov  ecx, dword ptr [rsi + VCPU_APIC_ID]
        cmp  dword ptr [rip + x2apic], 0
        je   .xapic
        cmp  r14d, ICR_BROADCAST_X2APIC
        je   .yes
        test r13d, ICR_LOGICAL
        jz   .physical
        mov  edx, ecx                   ; the logical id: cluster in the upper half, a bit of the lower one
        shr  edx, X2APIC_CLUSTER_SHIFT
        shl  edx, X2APIC_LOGICAL_SHIFT
        and  ecx, X2APIC_CLUSTER_BITS
        mov  eax, 1
        shl  eax, cl
        xor  edx, r14d
        cmp  edx, (1 << X2APIC_LOGICAL_SHIFT) - 1
        ja   .no
        and  eax, edx
        jz   .no
        jmp  .yes
.physical:
        cmp  r14d, ecx
        clc
        ret
.xapic:
        test r13d, ICR_LOGICAL
        jnz  .logical
        cmp  r14d, ICR_BROADCAST
        je   .yes
        cmp  r14b, cl
        clc
        ret
.logical:
        mov  eax, dword ptr [rsi + VCPU_LDR]
        shr  eax, LAPIC_ID_SHIFT
        mov  ecx, r14d
        test byte ptr [rsi + VCPU_DFR + 3], DFR_MODEL   ; all ones: flat; 0: clusters
        jnz  .bits
        mov  edx, ecx                   ; cluster 15 is all of them
        xor  edx, eax
        cmp  edx, XAPIC_CLUSTER_BITS
        jbe  .members
        cmp  ecx, XAPIC_CLUSTER_ALL
        jb   .no
.members:
        and  ecx, XAPIC_CLUSTER_BITS
.bits:
        and  eax, ecx
        jz   .no
        jmp  .yes
