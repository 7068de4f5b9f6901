; The monitor's ports, for domains with that permission: a command, the number of a domain, an index; and a result.
; Ports, since root of any Linux reaches them without a driver, and its kernel keeps others from them.

.global write_monitor, read_monitor

.section .text

; One byte of the registers. The lower one of the command is the command.
; in:  eax = which, esi = byte, rbp, rbx, r12 = struct domain that asks
; clobbers: rax, rcx, rdx, rsi, rdi, r8 to r11
write_monitor:
        cmp  eax, PORT_MONITOR_RESULT - PORT_MONITOR
        jae  .done
        mov  byte ptr [r12 + rax + DOMAIN_MONITOR_COMMAND], sil
        test eax, eax
        jnz  .done
        mov  word ptr [r12 + DOMAIN_MONITOR_RESULT], MONITOR_NONE
        lea  eax, [rsi - 1]
        cmp  eax, (commands_end - commands) / 8
        jae  .done
        lea  rdx, [rip + commands]
        mov  rax, qword ptr [rdx + rax * 8]
        movzx edi, word ptr [r12 + DOMAIN_MONITOR_DOMAIN]
        mov  ecx, PARTITION_BASE
        cmp  edi, dword ptr [rcx + PARTITION_NR_DOMAINS]
        jae  .nobody
        imul edi, edi, DOMAIN_SIZEOF
        add  rdi, qword ptr [rcx + PARTITION_DOMAINS]   ; rdi = the domain that it is about
.call:
        movzx esi, word ptr [r12 + DOMAIN_MONITOR_INDEX]
        push r14
        push r12
        mov  r14, r12                   ; r14 = who asks
        mov  r12, rdi
        call rax
        pop  r12
        pop  r14
        mov  word ptr [r12 + DOMAIN_MONITOR_RESULT], ax
.done:
        ret
.nobody:                                ; how many there are can be asked of none
        cmp  esi, MONITOR_DOMAINS
        je   .call
        ret
.assert DOMAIN_MONITOR_RESULT - DOMAIN_MONITOR_COMMAND == PORT_MONITOR_RESULT - PORT_MONITOR, "struct domain has the registers as the ports have them"

; in:  eax = which byte, r12
; out: al
read_monitor:
        cmp  eax, PORT_MONITOR_RESULT - PORT_MONITOR
        jb   .none
        mov  al, byte ptr [r12 + rax + DOMAIN_MONITOR_COMMAND]
        ret
.none:
        mov  al, 0xff
        ret

; A routine for each command.
; in:  r12 = struct domain that it is about, esi = index, r14 = struct domain that asks; rbp, rbx
; out: eax = result, 16 bits
; clobbers: rcx, rdx, rsi, rdi, r8 to r11
count_domains:
        mov  eax, PARTITION_BASE
        mov  eax, dword ptr [rax + PARTITION_NR_DOMAINS]
        ret
say_state:
        mov  eax, dword ptr [r12 + DOMAIN_STATE]
        ret
say_reason:
        mov  eax, dword ptr [r12 + DOMAIN_END_REASON]
        ret
say_restarts:
        movzx eax, word ptr [r12 + DOMAIN_RESTARTS_OFFSET]
        ret
say_cpus:
        mov  eax, dword ptr [r12 + DOMAIN_NR_VCPUS]
        ret
say_memory:
        mov  rax, qword ptr [r12 + DOMAIN_BANKS + BANK_SIZE]
        add  rax, qword ptr [r12 + DOMAIN_BANKS + BANK_SIZEOF + BANK_SIZE]
        shr  rax, 20                    ; MiB
        cmp  rax, MONITOR_NONE - 1
        jbe  .done
        mov  eax, MONITOR_NONE - 1
.done:
        ret
say_name:
        mov  rdi, qword ptr [r12 + DOMAIN_NAME]
        mov  eax, 0
        cmp  esi, MAX_NAME
        jae  .done
        inc  esi
.next:                                  ; there is nothing behind its end
        movzx eax, byte ptr [rdi]
        inc  rdi
        test eax, eax
        jz   .done
        dec  esi
        jnz  .next
.done:
        ret
say_exits:
        mov  ecx, esi
        shr  ecx, 2                     ; rcx = kind
        mov  r8d, esi
        cmp  ecx, EXIT_KINDS
        jae  none
        call first_vcpu
        mov  edi, dword ptr [r12 + DOMAIN_NR_VCPUS]
        xor  eax, eax
.next:
        add  rax, qword ptr [rsi + rcx * 8 + VCPU_EXITS]
        add  rsi, VCPU_SIZEOF
        dec  edi
        jnz  .next
        mov  ecx, r8d
        and  ecx, 3
        shl  ecx, 4
        shr  rax, cl
        movzx eax, ax
        ret
none:
        mov  eax, MONITOR_NONE
        ret
rewind_text:
        call oldest_text
        mov  qword ptr [r14 + DOMAIN_MONITOR_TEXT], rax
        xor  eax, eax
        ret
say_text:
        call oldest_text
        mov  rcx, qword ptr [r14 + DOMAIN_MONITOR_TEXT]
        cmp  rcx, rax                   ; what it was at has been written over
        cmovb rcx, rax
        xor  eax, eax
        cmp  rcx, qword ptr [rdi + RING_WRITTEN]
        jae  .done
        lea  rax, [rcx + 1]
        mov  qword ptr [r14 + DOMAIN_MONITOR_TEXT], rax
        mov  rax, rcx
        xor  edx, edx
        mov  ecx, RING_SIZE - RING_SIZEOF
        div  rcx
        movzx eax, byte ptr [rdi + rdx + RING_SIZEOF]
.done:
        ret

; in:  r12 = struct domain
; out: rdi = its ring, rax = number of the oldest character in it
oldest_text:
        mov  rdi, qword ptr [r12 + DOMAIN_RING]
        mov  rax, qword ptr [rdi + RING_WRITTEN]
        sub  rax, RING_SIZE - RING_SIZEOF
        jae  .done
        xor  eax, eax
.done:
        ret
stop:
        xor  edx, edx
        mov  eax, END_STOPPED
        call end_domain
        jne  none
        xor  eax, eax
        ret
restart:
        call restart_domain
        jne  none
        xor  eax, eax
        ret

.section .rodata
.align 8
commands:                               ; from MONITOR_DOMAINS on
        .quad count_domains, say_state, say_reason, say_restarts, say_name, say_exits
        .quad say_text, rewind_text, stop, restart, say_memory, say_cpus
commands_end:
