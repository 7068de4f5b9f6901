" Syntax of bootwright's assembly, made from its instruction table: invoke docs.
" Copy to ~/.vim/syntax/, and: autocmd BufRead,BufNewFile */stub/*.asm,*/stub/*.inc set syntax=bootwright
if exists("b:current_syntax")
  finish
endif
syntax case ignore
syntax iskeyword @,48-57,_
syntax match bootwrightDirective "\.\(align\|ascii\|asciz\|assert\|byte\|code16\|code32\|code64\|endm\|global\|include\|long\|macro\|quad\|section\|set\|space\|word\)\>"
syntax keyword bootwrightInstruction adc add and andps bsf bsr bswap bt btc btr bts call cbw cdq cdqe clac clc cld clflush clgi cli clts cmc cmova cmovae cmovb cmovbe cmovc cmove cmovg cmovge cmovl cmovle cmovna cmovnae cmovnb cmovnbe cmovnc cmovne cmovng cmovnge cmovnl cmovnle cmovno cmovnp cmovns cmovnz cmovo cmovp cmovpe cmovpo cmovs cmovz cmp cmpsb cmpsd cmpsq cmpsw cmpxchg cmpxchg16b cmpxchg8b cpuid cqo crc32 cwd cwde dec div emms fninit fxrstor fxsave hlt idiv imul in inc insb insd insw int int1 int3 into invd invlpg invlpga iret iretd iretq ja jae jb jbe jc jcxz je jecxz jg jge jl jle jmp jna jnae jnb jnbe jnc jne jng jnge jnl jnle jno jnp jns jnz jo jp jpe jpo jrcxz js jz lahf lcall ldmxcsr lea leave lfence lgdt lidt ljmp lldt lmsw lock lodsb lodsd lodsq lodsw loop loope loopne ltr lzcnt mfence monitor monitorx mov movabs movaps movd movdqa movdqu movntdq movnti movq movsb movsd movsq movsw movsx movsxd movups movzx mul mwait mwaitx neg nop not or orps out outsb outsd outsw paddb paddd paddq paddw palignr pand pandn pause pblendw pcmpeqb pcmpeqd pcmpeqw pcmpgtb pcmpgtd pcmpgtw pextrd pextrq pinsrb pinsrd pinsrq pmaxub pminub pmovmskb pmulld pmuludq pop popcnt popf popfd popfq por prefetchnta prefetcht0 prefetcht1 prefetcht2 pshufb pshufd pshufhw pshuflw pslld pslldq psllq psllw psrad psraw psrld psrldq psrlq psrlw psubb psubd psubq psubw ptest punpckhbw punpckhdq punpckhqdq punpckhwd punpcklbw punpckldq punpcklqdq punpcklwd push pushf pushfd pushfq pxor rcl rcr rdmsr rdpmc rdrand rdseed rdtsc rdtscp rep repe repne repnz repz ret retf retfq rol ror sahf sal sar sbb scasb scasd scasq scasw seta setae setb setbe setc sete setg setge setl setle setna setnae setnb setnbe setnc setne setng setnge setnl setnle setno setnp setns setnz seto setp setpe setpo sets setz sfence sgdt sha256msg1 sha256msg2 sha256rnds2 shl shld shr shrd sidt skinit sldt smsw stac stc std stgi sti stmxcsr stosb stosd stosq stosw str sub swapgs syscall sysenter test tzcnt ud2 vmcall vmlaunch vmload vmmcall vmresume vmrun vmsave vmxoff wbinvd wrmsr xadd xchg xgetbv xor xorps xrstor xsave xsetbv
syntax keyword bootwrightRegister ah al ax bh bl bp bpl bx ch cl cr0 cr2 cr3 cr4 cr8 cs cx dh di dil dl dr0 dr1 dr2 dr3 dr6 dr7 ds dx eax ebp ebx ecx edi edx es esi esp fs gs r10 r10b r10d r10w r11 r11b r11d r11w r12 r12b r12d r12w r13 r13b r13d r13w r14 r14b r14d r14w r15 r15b r15d r15w r8 r8b r8d r8w r9 r9b r9d r9w rax rbp rbx rcx rdi rdx rip rsi rsp si sil sp spl ss xmm0 xmm1 xmm10 xmm11 xmm12 xmm13 xmm14 xmm15 xmm2 xmm3 xmm4 xmm5 xmm6 xmm7 xmm8 xmm9
syntax keyword bootwrightSize byte dword fword qword word xmmword
syntax match bootwrightLabel "^\s*\.\?[A-Za-z_][A-Za-z0-9_.]*:"
syntax match bootwrightNumber "\<\(0x\x\+\|0b[01]\+\|\d\+\)\>"
syntax match bootwrightParameter "\\[A-Za-z_@][A-Za-z0-9_]*"
syntax region bootwrightString start=+"+ skip=+\\"+ end=+"+ oneline
syntax match bootwrightComment ";.*$" contains=@Spell
highlight default link bootwrightDirective PreProc
highlight default link bootwrightInstruction Statement
highlight default link bootwrightRegister Identifier
highlight default link bootwrightSize Type
highlight default link bootwrightLabel Label
highlight default link bootwrightNumber Number
highlight default link bootwrightParameter Special
highlight default link bootwrightString String
highlight default link bootwrightComment Comment
let b:current_syntax = "bootwright"
