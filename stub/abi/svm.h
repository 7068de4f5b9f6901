/* AMD's virtual machines (SVM): AMD APM volume 2, chapter 15, and appendix B and C for the VMCB and the exit codes. */

#define CPUID_EXTENDED_ECX_SVM      (1 << 2)
#define CPUID_SVM                   0x8000000a  /* AL: revision; EBX: number of ASIDs, 0 is the host's */
#define CPUID_SVM_EDX_NP            (1 << 0)    /* nested paging */
#define CPUID_SVM_EDX_LBR           (1 << 1)
#define CPUID_SVM_EDX_LOCK          (1 << 2)    /* SVM_KEY unlocks VM_CR_SVMDIS */
#define CPUID_SVM_EDX_NRIP          (1 << 3)    /* the next RIP is saved */
#define CPUID_SVM_EDX_TSC_RATIO     (1 << 4)
#define CPUID_SVM_EDX_CLEAN_BITS    (1 << 5)
#define CPUID_SVM_EDX_FLUSH_ASID    (1 << 6)    /* TLB_CONTROL_ASID, TLB_CONTROL_ASID_LOCAL */
#define CPUID_SVM_EDX_DECODE        (1 << 7)    /* decode assists */
#define CPUID_SVM_EDX_PAUSE         (1 << 10)   /* pause filter */
#define CPUID_SVM_EDX_THRESHOLD     (1 << 12)   /* its threshold */
#define CPUID_SVM_EDX_AVIC          (1 << 13)
#define CPUID_SVM_EDX_VMLOAD        (1 << 15)   /* VMLOAD and VMSAVE for guests */
#define CPUID_SVM_EDX_VGIF          (1 << 16)
#define CPUID_SVM_EDX_GMET          (1 << 17)
#define CPUID_SVM_EDX_X2AVIC        (1 << 18)
#define CPUID_SVM_EDX_SPEC_CTRL     (1 << 20)
#define CPUID_SVM_EDX_VNMI          (1 << 25)
#define CPUID_SVM_EDX_BUS_LOCK      (1 << 29)   /* bus lock threshold */

#define EFER_SVME           (1 << 12)
#define MSR_VM_CR           0xc0010114
#define VM_CR_DPD           (1 << 0)
#define VM_CR_R_INIT        (1 << 1)    /* INIT becomes the exception #SX */
#define VM_CR_DIS_A20M      (1 << 2)
#define VM_CR_LOCK          (1 << 3)
#define VM_CR_SVMDIS        (1 << 4)    /* EFER_SVME cannot be set */
#define MSR_IGNNE           0xc0010115
#define MSR_SMM_CTL         0xc0010116
#define MSR_VM_HSAVE_PA     0xc0010117  /* a page in which VMRUN keeps the host's state */
#define MSR_SVM_KEY         0xc0010118

/* The bitmaps: a bit for each port; two for each MSR, the lower for reads, the upper for writes. 1: it exits. */
#define IOPM_SIZE           0x3000      /* ports 0 to 0xffff, and a page for accesses that reach beyond */
#define MSRPM_SIZE          0x2000
#define MSRPM_LOW           0           /* offset of MSRs from 0 on */
#define MSRPM_EXTENDED      0x800       /* from MSRPM_EXTENDED_FIRST on */
#define MSRPM_AMD           0x1000      /* from MSRPM_AMD_FIRST on */
#define MSRPM_EXTENDED_FIRST 0xc0000000
#define MSRPM_AMD_FIRST     0xc0010000
#define MSRPM_MSRS          0x2000      /* in each of the three */

/* intercept_cr, intercept_dr: bit n for reads of register n, and above this for writes. */
#define INTERCEPT_WRITES_SHIFT      16

/* intercept_misc1 */
#define INTERCEPT_INTR              (1 << 0)
#define INTERCEPT_NMI               (1 << 1)
#define INTERCEPT_SMI               (1 << 2)
#define INTERCEPT_INIT              (1 << 3)
#define INTERCEPT_VINTR             (1 << 4)
#define INTERCEPT_CR0_SEL_WRITE     (1 << 5)    /* of other bits than TS and MP */
#define INTERCEPT_IDTR_READ         (1 << 6)
#define INTERCEPT_GDTR_READ         (1 << 7)
#define INTERCEPT_LDTR_READ         (1 << 8)
#define INTERCEPT_TR_READ           (1 << 9)
#define INTERCEPT_IDTR_WRITE        (1 << 10)
#define INTERCEPT_GDTR_WRITE        (1 << 11)
#define INTERCEPT_LDTR_WRITE        (1 << 12)
#define INTERCEPT_TR_WRITE          (1 << 13)
#define INTERCEPT_RDTSC             (1 << 14)
#define INTERCEPT_RDPMC             (1 << 15)
#define INTERCEPT_PUSHF             (1 << 16)
#define INTERCEPT_POPF              (1 << 17)
#define INTERCEPT_CPUID             (1 << 18)
#define INTERCEPT_RSM               (1 << 19)
#define INTERCEPT_IRET              (1 << 20)
#define INTERCEPT_SWINT             (1 << 21)   /* INT n */
#define INTERCEPT_INVD              (1 << 22)
#define INTERCEPT_PAUSE             (1 << 23)
#define INTERCEPT_HLT               (1 << 24)
#define INTERCEPT_INVLPG            (1 << 25)
#define INTERCEPT_INVLPGA           (1 << 26)
#define INTERCEPT_IOIO              (1 << 27)   /* as iopm_base_pa says */
#define INTERCEPT_MSR               (1 << 28)   /* as msrpm_base_pa says */
#define INTERCEPT_TASK_SWITCH       (1 << 29)
#define INTERCEPT_FERR_FREEZE       (1 << 30)
#define INTERCEPT_SHUTDOWN          (1 << 31)

/* intercept_misc2 */
#define INTERCEPT_VMRUN             (1 << 0)    /* must be set */
#define INTERCEPT_VMMCALL           (1 << 1)
#define INTERCEPT_VMLOAD            (1 << 2)
#define INTERCEPT_VMSAVE            (1 << 3)
#define INTERCEPT_STGI              (1 << 4)
#define INTERCEPT_CLGI              (1 << 5)
#define INTERCEPT_SKINIT            (1 << 6)
#define INTERCEPT_RDTSCP            (1 << 7)
#define INTERCEPT_ICEBP             (1 << 8)
#define INTERCEPT_WBINVD            (1 << 9)    /* and WBNOINVD */
#define INTERCEPT_MONITOR           (1 << 10)   /* and MONITORX */
#define INTERCEPT_MWAIT             (1 << 11)   /* and MWAITX */
#define INTERCEPT_MWAIT_COND        (1 << 12)   /* if the monitor is armed */
#define INTERCEPT_XSETBV            (1 << 13)
#define INTERCEPT_RDPRU             (1 << 14)
#define INTERCEPT_EFER_WRITE_TRAP   (1 << 15)   /* after the write, as those of CR0 to CR15 from here on */
#define INTERCEPT_CR_WRITE_TRAP_SHIFT 16

/* intercept_misc3 */
#define INTERCEPT_INVLPGB           (1 << 0)
#define INTERCEPT_INVLPGB_ILLEGAL   (1 << 1)
#define INTERCEPT_INVPCID           (1 << 2)
#define INTERCEPT_MCOMMIT           (1 << 3)
#define INTERCEPT_TLBSYNC           (1 << 4)
#define INTERCEPT_BUS_LOCK          (1 << 5)

#define TLB_CONTROL_NOTHING         0
#define TLB_CONTROL_ALL             1
#define TLB_CONTROL_ASID            3           /* this guest's */
#define TLB_CONTROL_ASID_LOCAL      7           /* this guest's that are not global */

/* v_intr */
#define V_TPR_MASK                  0xff
#define V_IRQ                       (1 << 8)
#define V_GIF                       (1 << 9)
#define V_NMI                       (1 << 11)
#define V_NMI_MASK                  (1 << 12)
#define V_INTR_PRIO_SHIFT           16
#define V_IGN_TPR                   (1 << 20)
#define V_INTR_MASKING              (1 << 24)   /* the guest has an IF and TPR of its own */
#define V_GIF_ENABLE                (1 << 25)
#define V_NMI_ENABLE                (1 << 26)
#define X2AVIC_ENABLE               (1 << 30)
#define AVIC_ENABLE                 (1 << 31)
#define V_INTR_VECTOR_SHIFT         32

#define INTERRUPT_SHADOW            (1 << 0)    /* interrupt_shadow */
#define GUEST_INTERRUPT_MASK        (1 << 1)

#define NP_ENABLE                   (1 << 0)    /* np_enable */
#define NP_SEV                      (1 << 1)
#define NP_SEV_ES                   (1 << 2)
#define NP_GMET                     (1 << 3)

#define LBR_ENABLE                  (1 << 0)    /* lbr_enable */
#define LBR_VMLOAD_ENABLE           (1 << 1)    /* VMLOAD and VMSAVE for the guest */

/* clean_bits: not changed since the last VMRUN of this VMCB on this cpu. */
#define CLEAN_INTERCEPTS            (1 << 0)
#define CLEAN_BITMAPS               (1 << 1)
#define CLEAN_ASID                  (1 << 2)
#define CLEAN_TPR                   (1 << 3)
#define CLEAN_NP                    (1 << 4)
#define CLEAN_CR                    (1 << 5)    /* and EFER */
#define CLEAN_DR                    (1 << 6)
#define CLEAN_DT                    (1 << 7)
#define CLEAN_SEG                   (1 << 8)    /* and CPL */
#define CLEAN_CR2                   (1 << 9)
#define CLEAN_LBR                   (1 << 10)
#define CLEAN_AVIC                  (1 << 11)
#define CLEAN_CET                   (1 << 12)

/* exitintinfo, eventinj */
#define EVENT_VECTOR_MASK           0xff
#define EVENT_TYPE_MASK             (7 << 8)
#define EVENT_TYPE_INTR             (0 << 8)
#define EVENT_TYPE_NMI              (2 << 8)
#define EVENT_TYPE_EXCEPTION        (3 << 8)
#define EVENT_TYPE_SOFTWARE         (4 << 8)    /* INT n */
#define EVENT_ERROR_CODE_VALID      (1 << 11)
#define EVENT_VALID                 (1 << 31)
#define EVENT_ERROR_CODE_SHIFT      32

/* exitinfo1 of SVM_EXIT_IOIO; exitinfo2 is the RIP behind the instruction. */
#define IOIO_IN                     (1 << 0)
#define IOIO_STRING                 (1 << 2)
#define IOIO_REP                    (1 << 3)
#define IOIO_SIZE_SHIFT             4           /* 3 bits: the number of bytes */
#define IOIO_SIZE_8                 (1 << 4)
#define IOIO_SIZE_16                (1 << 5)
#define IOIO_SIZE_32                (1 << 6)
#define IOIO_ADDRESS_16             (1 << 7)
#define IOIO_ADDRESS_32             (1 << 8)
#define IOIO_ADDRESS_64             (1 << 9)
#define IOIO_SEGMENT_SHIFT          10          /* 3 bits */
#define IOIO_PORT_SHIFT             16

#define MSR_EXIT_WRITE              1           /* exitinfo1 of SVM_EXIT_MSR; 0: a read */

/* exitinfo1 of SVM_EXIT_NPF; exitinfo2 is the guest's physical address. */
#define NPF_PRESENT                 (1 << 0)
#define NPF_WRITE                   (1 << 1)
#define NPF_USER                    (1 << 2)
#define NPF_RESERVED                (1 << 3)
#define NPF_FETCH                   (1 << 4)
#define NPF_FINAL                   (1 << 32)   /* of the final address */
#define NPF_TABLES                  (1 << 33)   /* while the guest's own tables were walked */

/* Exit codes. Of the registers: the first, the others follow. */
#define SVM_EXIT_READ_CR0           0x000
#define SVM_EXIT_WRITE_CR0          0x010
#define SVM_EXIT_READ_DR0           0x020
#define SVM_EXIT_WRITE_DR0          0x030
#define SVM_EXIT_EXCP_BASE          0x040       /* and the vector */
#define SVM_EXIT_LAST_EXCP          0x05f
#define SVM_EXIT_INTR               0x060
#define SVM_EXIT_NMI                0x061
#define SVM_EXIT_SMI                0x062
#define SVM_EXIT_INIT               0x063
#define SVM_EXIT_VINTR              0x064
#define SVM_EXIT_CR0_SEL_WRITE      0x065
#define SVM_EXIT_IDTR_READ          0x066
#define SVM_EXIT_GDTR_READ          0x067
#define SVM_EXIT_LDTR_READ          0x068
#define SVM_EXIT_TR_READ            0x069
#define SVM_EXIT_IDTR_WRITE         0x06a
#define SVM_EXIT_GDTR_WRITE         0x06b
#define SVM_EXIT_LDTR_WRITE         0x06c
#define SVM_EXIT_TR_WRITE           0x06d
#define SVM_EXIT_RDTSC              0x06e
#define SVM_EXIT_RDPMC              0x06f
#define SVM_EXIT_PUSHF              0x070
#define SVM_EXIT_POPF               0x071
#define SVM_EXIT_CPUID              0x072
#define SVM_EXIT_RSM                0x073
#define SVM_EXIT_IRET               0x074
#define SVM_EXIT_SWINT              0x075
#define SVM_EXIT_INVD               0x076
#define SVM_EXIT_PAUSE              0x077
#define SVM_EXIT_HLT                0x078
#define SVM_EXIT_INVLPG             0x079
#define SVM_EXIT_INVLPGA            0x07a
#define SVM_EXIT_IOIO               0x07b
#define SVM_EXIT_MSR                0x07c
#define SVM_EXIT_TASK_SWITCH        0x07d
#define SVM_EXIT_FERR_FREEZE        0x07e
#define SVM_EXIT_SHUTDOWN           0x07f
#define SVM_EXIT_VMRUN              0x080
#define SVM_EXIT_VMMCALL            0x081
#define SVM_EXIT_VMLOAD             0x082
#define SVM_EXIT_VMSAVE             0x083
#define SVM_EXIT_STGI               0x084
#define SVM_EXIT_CLGI               0x085
#define SVM_EXIT_SKINIT             0x086
#define SVM_EXIT_RDTSCP             0x087
#define SVM_EXIT_ICEBP              0x088
#define SVM_EXIT_WBINVD             0x089
#define SVM_EXIT_MONITOR            0x08a
#define SVM_EXIT_MWAIT              0x08b
#define SVM_EXIT_MWAIT_COND         0x08c
#define SVM_EXIT_XSETBV             0x08d
#define SVM_EXIT_RDPRU              0x08e
#define SVM_EXIT_EFER_WRITE_TRAP    0x08f
#define SVM_EXIT_CR0_WRITE_TRAP     0x090
#define SVM_EXIT_INVLPGB            0x0a0
#define SVM_EXIT_INVLPGB_ILLEGAL    0x0a1
#define SVM_EXIT_INVPCID            0x0a2
#define SVM_EXIT_MCOMMIT            0x0a3
#define SVM_EXIT_TLBSYNC            0x0a4
#define SVM_EXIT_BUS_LOCK           0x0a5
#define SVM_EXIT_NPF                0x400
#define SVM_EXIT_AVIC_INCOMPLETE_IPI        0x401
#define SVM_EXIT_AVIC_UNACCELERATED_ACCESS  0x402
#define SVM_EXIT_VMGEXIT            0x403
#define SVM_EXIT_INVALID            0xffffffffffffffff  /* VMRUN refuses the VMCB; QEMU 7.2 sets bits 0 to 31 alone */

/* vmcb_segment.attributes: bits 40 to 47 and 52 to 55 of a descriptor, in 12 bits. Segments are accessed, the TSS busy. */
#define VMCB_SEGMENT_CODE64         0xa9b
#define VMCB_SEGMENT_CODE32         0xc9b
#define VMCB_SEGMENT_DATA32         0xc93
#define VMCB_SEGMENT_CODE16         0x09b       /* as in real mode */
#define VMCB_SEGMENT_DATA16         0x093
#define VMCB_SEGMENT_TSS            0x08b
#define VMCB_SEGMENT_LDT            0x082

struct vmcb_segment {
    uint16 selector;
    uint16 attributes;      /* VMCB_SEGMENT_* */
    uint32 limit;           /* in bytes, whatever the granularity */
    uint64 base;
};

struct vmcb {               /* a page */
    uint32 intercept_cr;    /* control area */
    uint32 intercept_dr;
    uint32 intercept_exceptions;    /* a bit for each vector */
    uint32 intercept_misc1;
    uint32 intercept_misc2;
    uint32 intercept_misc3;
    uint8  reserved1[36];
    uint16 pause_filter_threshold;
    uint16 pause_filter_count;
    uint64 iopm_base_pa;
    uint64 msrpm_base_pa;
    uint64 tsc_offset;
    uint32 guest_asid;      /* not 0 */
    uint8  tlb_control;     /* TLB_CONTROL_* */
    uint8  reserved2[3];
    uint64 v_intr;          /* V_* */
    uint64 interrupt_shadow;
    uint64 exitcode;        /* SVM_EXIT_* */
    uint64 exitinfo1;
    uint64 exitinfo2;
    uint64 exitintinfo;     /* EVENT_*: whose delivery the exit cut short */
    uint64 np_enable;
    uint64 avic_apic_bar;
    uint64 ghcb_pa;
    uint64 eventinj;        /* EVENT_* */
    uint64 n_cr3;
    uint64 lbr_enable;
    uint32 clean_bits;      /* CLEAN_* */
    uint32 reserved3;
    uint64 nrip;            /* with CPUID_SVM_EDX_NRIP: RIP behind an intercepted instruction */
    uint8  instruction_length;      /* with CPUID_SVM_EDX_DECODE, of SVM_EXIT_NPF and #PF: bytes fetched */
    uint8  instruction_bytes[15];
    uint64 avic_backing_page;
    uint64 reserved4;
    uint64 avic_logical_table;
    uint64 avic_physical_table;
    uint64 reserved5;
    uint64 vmsa_pa;
    uint8  reserved6[16];
    uint16 bus_lock_counter;
    uint8  reserved7[734];

    vmcb_segment es;        /* save area */
    vmcb_segment cs;
    vmcb_segment ss;
    vmcb_segment ds;
    vmcb_segment fs;        /* FS, GS, LDTR, TR: by VMLOAD and VMSAVE alone */
    vmcb_segment gs;
    vmcb_segment gdtr;      /* limit of 16 bits, base */
    vmcb_segment ldtr;
    vmcb_segment idtr;
    vmcb_segment tr;
    uint8  reserved8[42];
    uint8  vmpl;
    uint8  cpl;
    uint8  reserved9[4];
    uint64 efer;
    uint8  reserved10[112];
    uint64 cr4;
    uint64 cr3;
    uint64 cr0;
    uint64 dr7;
    uint64 dr6;
    uint64 rflags;
    uint64 rip;
    uint8  reserved11[88];
    uint64 rsp;
    uint64 s_cet;
    uint64 ssp;
    uint64 isst_addr;
    uint64 rax;
    uint64 star;            /* from here to sysenter_eip: by VMLOAD and VMSAVE alone */
    uint64 lstar;
    uint64 cstar;
    uint64 sfmask;
    uint64 kernel_gs_base;
    uint64 sysenter_cs;
    uint64 sysenter_esp;
    uint64 sysenter_eip;
    uint64 cr2;
    uint8  reserved12[32];
    uint64 g_pat;           /* with nested paging: the guest's PAT */
    uint64 dbgctl;          /* from here to last_excp_to: with LBR_ENABLE */
    uint64 br_from;
    uint64 br_to;
    uint64 last_excp_from;
    uint64 last_excp_to;
    uint8  reserved13[72];
    uint64 spec_ctrl;       /* with CPUID_SVM_EDX_SPEC_CTRL */
    uint8  reserved14[2328];
};
