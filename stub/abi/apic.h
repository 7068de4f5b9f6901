/* The local APIC: Intel SDM volume 3, chapter 11; AMD APM volume 2, chapter 16. */

#define CPUID_FEATURES_EDX_APIC     (1 << 9)
#define CPUID_FEATURES_ECX_X2APIC   (1 << 21)

#define MSR_APIC_BASE       0x1b
#define APIC_BASE_BSP       (1 << 8)    /* the cpu that boots */
#define APIC_BASE_X2APIC    (1 << 10)   /* registers are MSRs */
#define APIC_BASE_ENABLE    (1 << 11)
#define LAPIC_ADDRESS       0xfee00000  /* of the page of registers, where nobody has moved it */

/* Registers: offsets in the page, 32 bits at every 16 bytes. */
#define LAPIC_ID            0x020       /* xAPIC: the id in bits 24 to 31 */
#define LAPIC_VERSION       0x030       /* bits 16 to 23: number of LVT registers - 1 */
#define LAPIC_TPR           0x080
#define LAPIC_APR           0x090
#define LAPIC_PPR           0x0a0
#define LAPIC_EOI           0x0b0
#define LAPIC_LDR           0x0d0
#define LAPIC_DFR           0x0e0       /* not in x2APIC mode */
#define LAPIC_SVR           0x0f0
#define LAPIC_ISR           0x100       /* of each of the three: 8 registers */
#define LAPIC_TMR           0x180
#define LAPIC_IRR           0x200
#define LAPIC_ESR           0x280
#define LAPIC_LVT_CMCI      0x2f0
#define LAPIC_ICR           0x300       /* a write sends */
#define LAPIC_ICR_HIGH      0x310       /* bits 24 to 31: destination; not in x2APIC mode */
#define LAPIC_LVT_TIMER     0x320
#define LAPIC_LVT_THERMAL   0x330
#define LAPIC_LVT_PERF      0x340
#define LAPIC_LVT_LINT0     0x350
#define LAPIC_LVT_LINT1     0x360
#define LAPIC_LVT_ERROR     0x370
#define LAPIC_INITIAL_COUNT 0x380
#define LAPIC_CURRENT_COUNT 0x390
#define LAPIC_DIVIDE        0x3e0
#define LAPIC_DIVIDE_BY_1   0xb
#define LAPIC_REGISTER_SHIFT 4
#define LAPIC_ID_SHIFT      24          /* xAPIC: of LAPIC_ID, LAPIC_LDR, LAPIC_ICR_HIGH */

/* In x2APIC mode: MSR_X2APIC + (offset in the page >> LAPIC_REGISTER_SHIFT). Those that are named anywhere: */
#define MSR_X2APIC          0x800
#define MSR_X2APIC_ID       0x802       /* 32 bits */
#define MSR_X2APIC_VERSION  0x803
#define MSR_X2APIC_TPR      0x808
#define MSR_X2APIC_EOI      0x80b
#define MSR_X2APIC_LDR      0x80d       /* read-only */
#define MSR_X2APIC_SVR      0x80f
#define MSR_X2APIC_ISR      0x810
#define MSR_X2APIC_IRR      0x820
#define MSR_X2APIC_ESR      0x828
#define MSR_X2APIC_LVT_CMCI 0x82f
#define MSR_X2APIC_ICR      0x830       /* 64 bits; the upper half is the destination */
#define MSR_X2APIC_LVT_TIMER    0x832
#define MSR_X2APIC_LVT_THERMAL  0x833
#define MSR_X2APIC_LVT_PERF     0x834
#define MSR_X2APIC_LVT_LINT0    0x835
#define MSR_X2APIC_LVT_LINT1    0x836
#define MSR_X2APIC_LVT_ERROR    0x837
#define MSR_X2APIC_INITIAL_COUNT    0x838
#define MSR_X2APIC_CURRENT_COUNT    0x839
#define MSR_X2APIC_DIVIDE       0x83e
#define MSR_X2APIC_SELF_IPI     0x83f   /* a vector; only here */
#define MSR_X2APIC_LAST         0x8ff

#define SVR_ENABLED         (1 << 8)
#define DFR_FLAT            0xffffffff
#define DFR_CLUSTER         0x0fffffff

/* Delivery modes, of the ICR and of LVT registers. */
#define DELIVERY_MASK       (7 << 8)
#define DELIVERY_FIXED      (0 << 8)
#define DELIVERY_LOWEST     (1 << 8)    /* ICR alone, as the start */
#define DELIVERY_SMI        (2 << 8)
#define DELIVERY_NMI        (4 << 8)
#define DELIVERY_INIT       (5 << 8)
#define DELIVERY_START      (6 << 8)    /* SIPI: the vector is the page where it begins */
#define DELIVERY_EXTINT     (7 << 8)    /* LVT registers alone */

#define ICR_VECTOR_MASK     0xff
#define ICR_LOGICAL         (1 << 11)
#define ICR_PENDING         (1 << 12)   /* not in x2APIC mode */
#define ICR_ASSERT          (1 << 14)   /* 0: INIT's level is taken back */
#define ICR_LEVEL           (1 << 15)   /* trigger mode */
#define ICR_SHORTHAND_MASK  (3 << 18)
#define ICR_SELF            (1 << 18)
#define ICR_ALL             (2 << 18)
#define ICR_OTHERS          (3 << 18)
#define ICR_DESTINATION_SHIFT 32        /* x2APIC */
#define ICR_BROADCAST_X2APIC 0xffffffff
#define ICR_BROADCAST       0xff

#define LVT_PENDING         (1 << 12)
#define LVT_LEVEL           (1 << 15)
#define LVT_MASKED          (1 << 16)
#define LVT_TIMER_PERIODIC  (1 << 17)
#define LVT_TIMER_DEADLINE  (2 << 17)   /* of the TSC */

/* The I/O APIC (Intel 82093AA): a register is selected by its number at the address, and is then in the window. */
#define IOAPIC_WINDOW       0x10
#define IOAPIC_VERSION      0x01    /* bits 16 to 23: number of the last redirection entry */
#define IOAPIC_VERSION_LAST_SHIFT 16
#define IOAPIC_REDIRECTION  0x10    /* two registers each; the lower one: vector, and masked or not */
#define IOAPIC_MASKED       (1 << 16)
