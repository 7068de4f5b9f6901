/* Bits and registers of the x86 architecture (Intel SDM volume 3, AMD APM volume 2). */

#define CR0_PE          (1 << 0)
#define CR0_MP          (1 << 1)
#define CR0_EM          (1 << 2)
#define CR0_TS          (1 << 3)
#define CR0_ET          (1 << 4)
#define CR0_NE          (1 << 5)
#define CR0_WP          (1 << 16)
#define CR0_PG          (1 << 31)
#define CR0_OURS        (CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE)   /* all of it */

#define CR4_PAE         (1 << 5)
#define CR4_MCE         (1 << 6)    /* a machine check is an exception; a guest of TDX may not clear it */
#define CR4_OSFXSR      (1 << 9)
#define CR4_OSXMMEXCPT  (1 << 10)
#define CR4_OURS        (CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT)     /* all of it, but for CR4_MCE */
#define CR4_LA57_BIT    12          /* 5-level page tables */
#define CR4_CET_BIT     23          /* shadow stacks, and where indirect branches may lead */

#define DR6_RESET       0xffff0ff0  /* as a reset leaves them */
#define DR7_RESET       0x400
#define PAT_RESET       0x0007040600070406

#define MSR_EFER        0xc0000080
#define EFER_LME        (1 << 8)
#define EFER_LMA        (1 << 10)
#define EFER_NXE_BIT    11

#define MSR_MTRR_CAP            0xfe        /* AL: number of variable ranges */
#define MSR_MTRR_FIRST_BASE     0x200       /* base and mask of each range */
#define MSR_PAT                 0x277
#define MSR_MTRR_DEF_TYPE       0x2ff
#define MTRR_DEF_TYPE_ENABLED   (1 << 11)
#define MTRR_MASK_VALID         (1 << 11)
#define MEMORY_WRITE_BACK       6           /* a type of memory: SDM 3, table 12-2 */

#define EFLAGS_FIXED    (1 << 1)    /* always set */
#define EFLAGS_ID       (1 << 21)

#define CPUID_FEATURES_EDX_MTRR_BIT 12
#define CPUID_FEATURES_EDX_PAT_BIT  16
#define CPUID_TOPOLOGY          0xb         /* EDX: x2APIC id */
#define CPUID_TSC               0x15        /* EBX / EAX of a crystal of ECX Hz */
#define CPUID_HYPERVISOR_TSC    0x40000010  /* EAX: kHz, where the hypervisor has this leaf */
#define CPUID_HYPERVISOR_LAST   0x4000ffff  /* no hypervisor has more */
#define CPUID_MAX_EXTENDED      0x80000000
#define CPUID_EXTENDED          0x80000001
#define CPUID_EXTENDED_EDX_LM   (1 << 29)
#define CPUID_EXTENDED_EDX_NX_BIT   20
#define CPUID_BRAND_FIRST       0x80000002
#define CPUID_BRAND_LAST        0x80000004

#define PTE_PRESENT     (1 << 0)
#define PTE_WRITABLE    (1 << 1)
#define PTE_USER        (1 << 2)
#define PTE_WRITE_THROUGH   (1 << 3)
#define PTE_CACHE_DISABLE   (1 << 4)
#define PTE_LARGE       (1 << 7)
#define PTE_NO_EXECUTE_BIT  63      /* where EFER.NXE is set */
#define PAGE_SIZE_2M    0x200000
#define PAGE_SHIFT_2M   21
#define PAGE_ENTRIES    512
#define PAGE_DIRECTORIES    4       /* for 4 GiB */
#define PAGE_TABLES     6       /* pages: one map, one of pointers, PAGE_DIRECTORIES */

/* Selectors of the stub's descriptor table (stub/lib/long_mode.asm). */
#define GDT_CODE64      0x08
#define GDT_DATA        0x10
#define GDT_CODE32      0x18
#define GDT_TSS64       0x20    /* 16 bytes */

#define GDT_TYPE_TSS    0x89    /* present, available TSS: ltr makes it busy */

#define IDT_INTERRUPT_GATE  0x8e
#define IDT_VECTORS         32
#define EXCEPTION_VECTOR_SIZE 5         /* a near call */
#define EXCEPTION_NAME_SIZE 4
/* Exceptions that push an error code: 8, 10 to 14, 17, 21, 29, 30. */
#define IDT_ERROR_CODES     0x60227d00

struct idt_gate {
    uint16 offset_low;
    uint16 selector;
    uint8  ist;
    uint8  type;
    uint16 offset_middle;
    uint32 offset_high;
    uint32 reserved;
};

struct tss64 {
    uint32 reserved;
    uint64 rsp[3];
    uint64 reserved2;
    uint64 ist[7];
    uint64 reserved3;
    uint16 reserved4;
    uint16 iomap;
};

/* 16550 UART: register offsets from the port, and the bits used. */
#define UART_DATA       0
#define UART_DIVISOR_LOW    0       /* while UART_LCR_DLAB is set */
#define UART_IER        1
#define UART_DIVISOR_HIGH   1
#define UART_FCR        2
#define UART_LCR        3
#define UART_MCR        4
#define UART_LSR        5
#define UART_SCRATCH    7
#define UART_FCR_ENABLE     0x07    /* enable and clear both FIFOs */
#define UART_LCR_8N1        0x03
#define UART_LCR_DLAB       0x80
#define UART_MCR_DTR_RTS    0x03
#define UART_LSR_THRE       0x20    /* room for one more byte */
#define UART_COM1       0x3f8
#define UART_SCRATCH_TEST 0x5a
#define UART_TRIES      0x20000     /* polls of UART_LSR, about 1 us each: longer than 16 bytes take at 9600 baud */

#define VGA_TEXT        0xb8000
#define VGA_COLUMNS     80
#define VGA_ROWS        25
#define VGA_GREY        0x07        /* attribute: light grey on black */
#define VGA_BLANK       0x0720          /* a space in it */

/* Reset and time. */
#define LIFE_TICKS          (1 << 33)   /* of the time-stamp counter: 2 to 9 seconds */
#define PORT_CMOS_INDEX     0x70
#define PORT_CMOS_DATA      0x71
#define CMOS_SECONDS        0
#define STILL_TICKS_SHIFT 33        /* 2^33 ticks of the TSC are more than a second of any cpu, up to 8 GHz */
#define CMOS_TRIES      2000000     /* two port accesses each: at least two seconds */
#define PORT_PIC_1_MASK     0x21    /* 8259: interrupts that do not come */
#define PORT_PIC_2_MASK     0xa1
#define PORT_PIT_2          0x42    /* the 8254's channel 2, which the speaker has */
#define PORT_PIT_COMMAND    0x43
#define PIT_MODE_0          0xb0    /* channel 2: counts down once from a value of two bytes */
#define PIT_LATCH_2         0x80    /* keeps channel 2's count for the next two reads */
#define PIT_HZ              1193182
#define PORT_SYSTEM_B       0x61
#define SYSTEM_B_GATE       (1 << 0)    /* channel 2 counts */
#define SYSTEM_B_SPEAKER    (1 << 1)
#define PORT_POST               0x80        /* what a card for power-on self tests shows */
#define PORT_RESET          0xcf9   /* PCI reset control register */
#define RESET_HARD          0x06
#define PORT_KEYBOARD       0x64
#define PORT_KEYBOARD_DATA  0x60
#define KEYBOARD_FULL       0x01        /* of the status at PORT_KEYBOARD: a byte waits */
#define KEYBOARD_MOUSE      0x20        /* and it is the mouse's */
#define KEYBOARD_ENTER      0x1c        /* scan codes of set 1; 1 to 9 are two and further */
#define KEYBOARD_1          0x02
#define KEYBOARD_RESET      0xfe

#define BIOS_SYSTEM_VECTOR  0x54    /* interrupt 0x15 among the vectors from 0 on: 0 where there is no BIOS */
#define BDA_EBDA_SEGMENT    0x40e   /* BIOS data area: segment of the extended one */
#define BIOS_ROM_START      0xe0000
#define BIOS_ROM_END        0x100000
#define EBDA_LOWEST         0x80000
#define EBDA_SCAN           0x400
#define EBDA_END            0xa0000 /* the screen's memory: no EBDA reaches into it */
