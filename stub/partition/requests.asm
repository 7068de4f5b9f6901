; What a cpu is asked to do by others: a bit in the request word of its vcpu, and an NMI. It is done by the cpu itself,
; and the bit is cleared behind it; so a vcpu with no request that does not run is in the host and stays there.

.global serve_requests, request, first_vcpu

.section .text

; Stops, INIT and SIPI, in this order: what is stopped hears of nothing else.
; in:  rbp = struct vcpu, rbx = VMCB, r12 = struct domain
; clobbers: all but rbp, rbx, r12, rsp
serve_requests:
        mov  eax, dword ptr [rbp + VCPU_REQUEST]
        and  eax, REQUEST_STOP | REQUEST_INIT | REQUEST_SIPI
        push rax
        test al, REQUEST_STOP
        jz   .init
        mov  dword ptr [rbp + VCPU_STATE], VCPU_STOPPED
.init:
        cmp  dword ptr [rbp + VCPU_STATE], VCPU_STOPPED
        je   .done
        test al, REQUEST_INIT
        jz   .sipi
        mov  dword ptr [rbp + VCPU_STATE], VCPU_OFF
.sipi:
        test al, REQUEST_SIPI
        jz   .done
        cmp  dword ptr [rbp + VCPU_STATE], VCPU_OFF
        jne  .done
        mov  esi, PARTITION_BASE
        mov  rsi, qword ptr [rsi + PARTITION_RESET_VMCB]
        call reset_vcpu
        movzx eax, byte ptr [rbp + VCPU_SIPI_VECTOR]
        shl  eax, SIPI_SEGMENT_SHIFT
        mov  word ptr [rbx + VMCB_CS + VMCB_SEGMENT_SELECTOR], ax
        shl  eax, REAL_SEGMENT_SHIFT
        mov  qword ptr [rbx + VMCB_CS + VMCB_SEGMENT_BASE], rax
        mov  dword ptr [rbp + VCPU_STATE], VCPU_RUNS
.done:
        pop  rax
        not  eax
        lock and dword ptr [rbp + VCPU_REQUEST], eax
        ret

; Asks a vcpu for something: of this cpu, it is served at the end of the exit; one without a cpu is left alone.
; in:  rsi = struct vcpu that is asked, eax = REQUEST_*, rbp
; clobbers: rax, rcx, rdx, rdi
request:
        cmp  dword ptr [rsi + VCPU_STATE], VCPU_ABSENT
        je   .done
        lock or dword ptr [rsi + VCPU_REQUEST], eax
        cmp  rsi, rbp
        je   .done
        mov  edi, dword ptr [rsi + VCPU_APIC_ID]
        push rsi
        mov  esi, DELIVERY_NMI | ICR_ASSERT
        call send_ipi
        pop  rsi
.done:
        ret

; in:  r12 = struct domain
; out: rsi = its first struct vcpu; the others stand behind it
; clobbers: rax
first_vcpu:
        mov  esi, PARTITION_BASE
        mov  rsi, qword ptr [rsi + PARTITION_VCPUS]
        mov  eax, dword ptr [r12 + DOMAIN_FIRST_VCPU]
        shl  rax, PAGE_SHIFT
        add  rsi, rax
        ret
.assert VCPU_SIZEOF == PAGE_SIZE, "vcpus are counted in pages"
