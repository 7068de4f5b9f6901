; The ticks kernel: entered by PVH, counts, and says so once in a while. If its memory map has memory that it shares with
; others, the count stands in the first eight bytes of that as well.

.include "lib/macros.inc"
.include "lib/long_mode.asm"
.include "lib/descriptors.asm"
.include "lib/console.asm"
.include "lib/panic.asm"

.global start

        pvh_note start

.set TICK, 1 << 28                      ; of the time-stamp counter: about a tenth of a second
.set TICKS_SHOWN, 16                    ; so many are one line
.set SHARED_LOWEST, 0xc0000000          ; guest addresses where shared memory lies
.set SHARED_SIZE, 0x3e000000

.section .text
.code32

; in: ebx = hvm_start_info
start:
        to_long_mode                    ; ebp = what the loader told
        call console_start
        call find_shared
        mov  rbp, rax                   ; rbp = the shared count, 0 for none
        lea  rdi, [rip + start_line]
        mov  rsi, rbp
        call print
        xor  ebx, ebx                   ; rbx = ticks so far
.tick:
        rdtsc
        shl  rdx, 32
        or   rax, rdx
        mov  r12, rax
.wait:
        pause
        rdtsc
        shl  rdx, 32
        or   rax, rdx
        sub  rax, r12
        cmp  rax, TICK
        jb   .wait
        inc  rbx
        test rbp, rbp
        jz   .counted
        mov  qword ptr [rbp], rbx
.counted:
        test ebx, TICKS_SHOWN - 1
        jnz  .tick
        lea  rdi, [rip + tick_line]
        mov  rsi, rbx
        call print
        jmp  .tick

; in:  rbp = hvm_start_info
; out: rax = address of the first reserved range that may be shared memory, 0 for none
; clobbers: rbx, rcx, rdx
find_shared:
        mov  rbx, qword ptr [rbp + HVM_START_INFO_MEMMAP_PADDR]
        mov  ecx, dword ptr [rbp + HVM_START_INFO_MEMMAP_ENTRIES]
.range:
        xor  eax, eax
        test ecx, ecx
        jz   .done
        dec  ecx
        mov  rax, qword ptr [rbx + HVM_MEMMAP_TABLE_ENTRY_ADDR]
        cmp  dword ptr [rbx + HVM_MEMMAP_TABLE_ENTRY_TYPE], XEN_HVM_MEMMAP_TYPE_RESERVED
        jne  .next
        cmp  qword ptr [rbx + HVM_MEMMAP_TABLE_ENTRY_SIZE], PAGE_SIZE_2M
        jb   .next                      ; the page of the LAPIC
        mov  edx, SHARED_LOWEST
        sub  rax, rdx
        cmp  rax, SHARED_SIZE
        lea  rax, [rax + rdx]
        jb   .done
.next:
        add  rbx, HVM_MEMMAP_TABLE_ENTRY_SIZEOF
        jmp  .range
.done:
        ret

.section .rodata
start_line:     .asciz "ticks: counting, shared at %x\n"
tick_line:      .asciz "ticks: %u\n"
