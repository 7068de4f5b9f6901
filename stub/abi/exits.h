/* What handling the exits of guests needs of cpu, ports and UART, beside x86.h, svm.h and apic.h. */

/* Exceptions. */
#define VECTOR_DEBUG        1
#define VECTOR_NMI          2
#define VECTOR_BREAKPOINT   3
#define VECTOR_OVERFLOW     4
#define VECTOR_UNDEFINED    6
#define VECTOR_PROTECTION   13
#define VECTOR_ALIGNMENT    17

#define EFLAGS_TF           (1 << 8)
#define EFLAGS_IF           (1 << 9)
#define CR0_PG_BIT          31
#define CR4_OSXSAVE_BIT     18
#define CR4_PKE_BIT         22
#define DR6_BREAKPOINTS     0x0f
#define DR6_BS              (1 << 14)   /* a single step */
#define DR7_ENABLES         0xff        /* of the four breakpoints, local and global */
#define XCR0_X87            1
#define MXCSR_RESET         0x1f80

#define NPF_TABLES_BIT      33
#define EVENT_VALID_BIT     31
#define IOIO_SIZE_MASK      7

/* Bytes of instructions that are skipped, where the cpu does not say: of the form without prefixes. */
#define CPUID_LENGTH        2
#define RDMSR_LENGTH        2
#define WBINVD_LENGTH       2
#define XSETBV_LENGTH       3

#define CPUID_FEATURES_ECX_XSAVE    (1 << 26)
#define CPUID_FEATURES_ECX_OSXSAVE  (1 << 27)
#define CPUID_STRUCTURED_ECX_OSPKE  (1 << 4)
#define CPUID_EXTENDED_ECX_TCE      (1 << 17)
#define CPUID_EXTENDED_EDX_FFXSR    (1 << 25)
#define CPUID_HYPERVISOR_SHIFT      28      /* leaves of which no bit above differs are a hypervisor's */

#define EFER_SCE            (1 << 0)
#define EFER_FFXSR          (1 << 14)
#define EFER_TCE            (1 << 15)
#define MSR_SPEC_CTRL       0x48
#define MSR_DEBUGCTL        0x1d9
#define MSR_XSS             0xda0
#define MSR_TSC_AUX         0xc0000103

#define SIPI_SEGMENT_SHIFT  8           /* from SIPI's vector, the number of a page, to the selector of CS */
#define REAL_SEGMENT_SHIFT  4           /* and from this to its base */
#define LAPIC_OFFSET_MASK   0xff0
#define SVR_RESET           0xff
#define DELIVERY_SHIFT      8
#define X2APIC_CLUSTER_SHIFT 4          /* of an id: what is above is the cluster */
#define X2APIC_CLUSTER_BITS 15
#define X2APIC_LOGICAL_SHIFT 16         /* of the logical id: what is above is the cluster */
#define XAPIC_CLUSTER_BITS  15          /* of a logical id in the cluster model: what is above is the cluster */
#define XAPIC_CLUSTER_ALL   0xf0
#define DFR_MODEL           0xf0        /* of the upper byte: 0 for clusters */

#define RESET_CPU           (1 << 2)    /* of PORT_RESET */

#define UART_IER_BITS       0x0f
#define UART_IER_DATA       0x01        /* there is a byte to read */
#define UART_IER_THRE       0x02        /* there is room for one more byte */
#define UART_IIR_NOTHING    0x01
#define UART_IIR_THRE       0x02
#define UART_IIR_DATA       0x04
#define UART_IIR_FIFO       0xc0
#define UART_FCR_ON         0x01
#define UART_FCR_CLEAR_INPUT 0x02
#define UART_MCR_BITS       0x1f
#define UART_MCR_OUTS       0x0c
#define UART_MCR_LOOP       0x10
#define UART_LSR_DATA       0x01
#define UART_LSR_TEMT       0x40        /* all is sent */
#define UART_MSR_CONNECTED  0xb0        /* CTS, DSR, DCD */

#define CARRIAGE_RETURN     13
#define LINE_FEED           10
#define CONTROL_A           1           /* in front of a digit: the input goes to the domain of that number */

#define CMOS_MINUTES        2
#define CMOS_HOURS          4
#define CMOS_DAY            7
#define CMOS_MONTH          8
#define CMOS_YEAR           9
#define CMOS_STATUS_A       10
#define CMOS_CHANGES        0x80        /* of CMOS_STATUS_A: it is about to */
#define CMOS_STATUS_B       11
#define CMOS_BINARY         0x04        /* of CMOS_STATUS_B: not BCD */
#define CMOS_24_HOURS       0x02
#define CMOS_PM             0x80        /* of CMOS_HOURS */
#define DAYS_TO_1970        719468      /* from 1 March of the year 0 */
