/* The partition launcher: what the host computes for the resident part, which runs every domain of a description on
 * cpus and memory of its own (docs/partition.md).
 *
 * The resident part is a program of its own (stub/partition, linker/partition.toml) that the stub enters by PVH, as it
 * does with any hypervisor. Its data begins with struct partition at PARTITION_BASE: a segment that the host makes, and
 * whose place is known when the image is built. So every reference here is a machine address; 0 is none. What only the
 * machine can say (where the domains' memory lies, which cpus there are) is written into it at boot. */

#define PARTITION_BASE          0x280000    /* behind the resident program, which the linker keeps below */
#define RESIDENT_LIMIT          0x4000      /* bytes of its code and constants: linker/partition.toml */
#define MAX_PARTITION           0x4000000   /* bytes of it */
#define PARTITION_MAGIC_VALUE   0x4e4f495449545250  /* "PRTITION" */

#define MAX_CPUS                64
#define MAX_MACHINE_CPUS        512         /* of which the domains may have MAX_CPUS */
#define MAX_BANKS               2
#define MAX_SHARED              16
#define MAX_SHARES              8           /* of one domain */
#define BANK_ALIGNMENT          0x200000
#define BANK_LOW_LIMIT          0xc0000000  /* guest addresses: the first bank ends here at the latest */
#define BANK_HIGH_BASE          0x100000000 /* and the second begins here */
#define GUEST_LIMIT             0x10000000000   /* no guest address beyond: every cpu with SVM has 40 bits */
#define LEAST_DOMAIN_MEMORY     0x2000000
#define UART_PORTS              8           /* that a UART has, passed or virtual */
#define RING_SIZE               0x4000
#define ANY_CPU                 0xffffffff

/* Bits 52 to 54 of an entry of the nested tables say, until it is relocated, what its address counts from; 55 to 58 of
 * which. The cpu ignores them. Everything else of the entry is as the cpu reads it. Entries of the last level are marked,
 * those that are present and no others. */
#define NESTED_KIND_SHIFT       52
#define NESTED_KIND_ABSOLUTE    0           /* a machine address: of another table */
#define NESTED_KIND_BANK        1           /* from the machine address of bank number */
#define NESTED_KIND_SHARED      2           /* from that of shared range number */
#define NESTED_KIND_LAPIC       3           /* its machine address is there already, read-only; cleared in x2APIC mode */
#define NESTED_NUMBER_SHIFT     55
#define NESTED_MARKS            0x7f        /* all of them, from NESTED_KIND_SHIFT on */

#define FIRST_MIB               0x100000    /* no domain gets any of it */
#define LOW_PAGES_END           0x9f000     /* the other cpus start below; the page behind is the EBDA's in most machines */
#define ACPI_TABLE_LIMIT        0x100000    /* bytes of a table of the machine's that are read */
#define NANOSECONDS             1000000000  /* of a second */

struct partition {
    uint64 magic;           /* PARTITION_MAGIC_VALUE */
    uint64 length;          /* bytes of all of it, whole pages */
    uint32 checksum;        /* CRC-32 (zlib's) of all of it with this field 0 */
    uint32 nr_domains;
    uint64 domains;         /* struct domain[], in the order in which they are built */
    uint32 nr_vcpus;
    uint32 nr_shared;
    uint64 vcpus;           /* struct vcpu[]: a page each; those of a domain stand together */
    uint64 shared;          /* struct shared_range[] */
    uint32 nr_cpuid_rules;
    uint32 nr_msr_rules;
    uint64 cpuid_rules;     /* struct cpuid_rule[] */
    uint64 msr_rules;       /* struct msr_rule[] */
    uint64 msr_bitmap_xapic;    /* two pages each */
    uint64 msr_bitmap_x2apic;
    uint64 reset_vmcb;      /* a page: the state of a cpu that got INIT; SIPI adds CS */
    uint64 name;            /* string: the image's */
    uint32 console;         /* the image's settings, as in struct tables */
    uint32 log;
    uint32 on_failure;
    uint32 reboot_seconds;
    uint16 serial_port;
    uint16 serial_divisor;
    uint32 reserved;
};

struct bank {               /* a run of a domain's memory */
    uint64 guest;           /* address as the domain sees it */
    uint64 size;            /* multiple of BANK_ALIGNMENT; 0: there is no such bank */
    uint64 machine;         /* filled at boot */
};

struct shared_range {       /* memory that several domains see */
    uint64 name;            /* string */
    uint64 size;            /* multiple of BANK_ALIGNMENT */
    uint64 machine;         /* filled at boot; cleared then */
};

struct share {              /* a domain's view of a shared range */
    uint32 number;          /* of the shared range */
    uint32 writable;
    uint64 guest;
};

struct load {               /* a module on its way into a domain's memory, at launch and at each restart */
    uint32 module;          /* number among the modules that PVH hands over */
    uint32 nr_pieces;
    uint64 pieces;          /* struct piece[]: dest is a guest address within the first bank */
};

struct block {              /* bytes of the host's own on their way there */
    uint64 source;
    uint64 size;
    uint64 guest;
};

struct patch {              /* what of those bytes only the machine can say; carried out in this order */
    uint32 kind;            /* PATCH_* */
    uint32 number;
    uint64 at;              /* guest address, in a block */
    uint64 size;            /* of PATCH_CHECKSUM: bytes of the table */
};
#define PATCH_APIC_ID       1       /* one byte: the APIC id of cpu `number` of the domain */
#define PATCH_X2APIC_ID     2       /* four bytes */
#define PATCH_CHECKSUM      3       /* the byte at `at` + `number` makes the sum of the `size` bytes from `at` on 0 */

#define DOMAIN_CONTROL      (1 << 0)    /* domain.flags: it has the monitor's ports */
#define DOMAIN_INITIAL      (1 << 1)    /* without it nothing is launched */
#define DOMAIN_RESTARTS     (1 << 2)    /* on-end = "restart" */

#define CONSOLE_NONE        0           /* domain.console_kind */
#define CONSOLE_PASSED      1           /* a UART of the machine's, its own */
#define CONSOLE_VIRTUAL     2           /* a 16550 of ours: whole lines go to the image's console, behind the domain's number */
#define CONSOLE_RING        3           /* a 16550 of ours: its text goes to the ring alone */

#define DOMAIN_NOT_BUILT    0           /* domain.state */
#define DOMAIN_BUILT        1
#define DOMAIN_RUNS         2
#define DOMAIN_ENDED        3
#define DOMAIN_FAILED       4           /* could not be constructed */
#define DOMAIN_ENDS         5           /* its cpus are being asked to stop */

#define LINE_ROOM           160         /* bytes of a line of a domain's console that is kept until its end */

struct domain {
    uint64 name;            /* string */
    uint64 kernel;          /* strings, for the transcript; 0 for none */
    uint64 ramdisk;
    uint64 cmdline;
    uint64 protocol;        /* string */
    uint32 domid;
    uint32 flags;           /* DOMAIN_* */
    uint32 first_vcpu;
    uint32 nr_vcpus;
    bank   banks[2];
    uint64 entry;           /* guest address where its kernel is entered */
    uint64 entry_rbx;       /* registers at the entry: PVH's start info */
    uint64 entry_rsi;       /* Linux's boot_params */
    uint64 vmcb;            /* a page: the state in which its first cpu starts */
    uint64 io_bitmap;       /* three pages */
    uint64 tables;          /* its nested tables, one run of pages */
    uint64 nr_tables;       /* pages */
    uint32 nr_loads;
    uint32 nr_blocks;
    uint64 loads;           /* struct load[] */
    uint64 blocks;          /* struct block[] */
    uint32 nr_patches;
    uint32 nr_shares;
    uint64 patches;         /* struct patch[] */
    share  shares[8];
    uint32 console_kind;    /* CONSOLE_* */
    uint32 console_port;    /* first port of its UART, passed or virtual */
    uint64 ring;            /* struct ring of RING_SIZE bytes */
    uint32 restart_limit;   /* restarts within a minute */
    /* from here on the resident's own, 0 in what the host makes */
    uint32 state;           /* DOMAIN_NOT_BUILT ... */
    uint32 end_reason;      /* END_* */
    uint32 restarts;        /* all */
    uint64 end_value;
    uint64 end_rip;
    uint64 window_start;    /* TSC at which the present minute began */
    uint32 window_restarts; /* restarts since then */
    uint32 reserved2;
    uint64 built_crc;       /* CRC-32 of what was put into its memory, as printed at the launch */
    uint8  uart_ier;        /* virtual UART */
    uint8  uart_lcr;
    uint8  uart_mcr;
    uint8  uart_scratch;
    uint8  uart_divisor_low;
    uint8  uart_divisor_high;
    uint8  uart_fcr;
    uint8  uart_input;      /* a byte for it; uart_has_input says whether */
    uint32 uart_has_input;
    uint32 line_length;
    uint8  line[160];
    uint16 monitor_command; /* the monitor's ports, for a control domain: as they follow each other */
    uint16 monitor_domain;
    uint16 monitor_index;
    uint16 monitor_result;
    uint64 monitor_text;    /* number of the next character that it reads */
};

struct ring {               /* text of a domain, the newest RING_SIZE - RING_SIZEOF bytes */
    uint64 written;         /* bytes, ever; the next one goes to written modulo its room */
};

#define END_SLEEP           1           /* domain.end_reason: it powered itself off */
#define END_RESET           2           /* it asked for a reset; value: the port */
#define END_SHUTDOWN        3           /* triple fault */
#define END_ACCESS          4           /* it reached for memory that is not there; value: its address */
#define END_EXIT            5           /* an exit that has no handler; value: the code */
#define END_STOPPED         6           /* by the monitor */
#define END_RESTARTED       7           /* by the monitor, and started again, however often */

#define VCPU_OFF            0           /* vcpu.state: waits for INIT and SIPI, in the host */
#define VCPU_RUNS           1
#define VCPU_STOPPED        2           /* its domain has ended */
#define VCPU_ABSENT         3           /* no cpu has been given to it yet, or it has not answered */

#define REQUEST_STOP        (1 << 0)    /* vcpu.request: set by others, who then send an NMI */
#define REQUEST_RESTART     (1 << 1)
#define REQUEST_INIT        (1 << 2)
#define REQUEST_SIPI        (1 << 3)

#define EXIT_KINDS          16          /* vcpu.exits, by EXIT_* */
#define EXIT_CPUID          0
#define EXIT_MSR            1
#define EXIT_IO             2
#define EXIT_LAPIC          3           /* a write to the LAPIC's page */
#define EXIT_STEP           4           /* the #DB behind it */
#define EXIT_NMI            5
#define EXIT_EXCEPTION      6
#define EXIT_REFUSED        7           /* instructions that get #UD */
#define EXIT_CACHE          8           /* WBINVD, INVD: skipped */
#define EXIT_XSETBV         9
#define EXIT_OTHER          15

#define VCPU_STACK_SIZE     0xc00

/* A page: the stack on which its exits are handled, and behind it what is known of it. RSP is its address +
 * VCPU_STACK_SIZE whenever the guest runs. */
struct vcpu {
    uint8  stack[0xc00];
    uint64 rbx;             /* the guest's registers; RAX and RSP are in the VMCB */
    uint64 rcx;
    uint64 rdx;
    uint64 rsi;
    uint64 rdi;
    uint64 rbp;
    uint64 r8;
    uint64 r9;
    uint64 r10;
    uint64 r11;
    uint64 r12;
    uint64 r13;
    uint64 r14;
    uint64 r15;
    uint64 vmcb;            /* pages of its own */
    uint64 host_save;
    uint64 scratch;         /* stands in for the LAPIC's page while one write is carried out */
    uint64 root;            /* its nested PML4 */
    uint64 lapic_entry;     /* address of the nested entry that maps the LAPIC's page */
    uint64 domain;          /* struct domain */
    uint32 number;          /* in its domain */
    uint32 wanted_id;       /* APIC id that the description asks for, or ANY_CPU */
    uint32 asid;
    /* from here on the resident's own */
    uint32 apic_id;
    uint32 state;           /* VCPU_* */
    uint32 request;         /* REQUEST_* */
    uint32 sipi_vector;
    uint32 step_offset;     /* register of the LAPIC that is being written */
    uint32 stepping;        /* 1: between the write and its #DB */
    uint32 step_flags;      /* the guest's TF and IF then */
    uint32 ldr;             /* xAPIC: logical destination, as the guest wrote it */
    uint32 dfr;
    uint32 dropped_ipis;    /* what its ICR was not let do */
    uint32 reserved;
    uint64 clock;           /* guest address of its pvclock record, bit 0 set: on */
    uint64 clock_version;
    uint64 exits[16];       /* counts, by EXIT_* */
    uint8  rest[0x298];
};

struct cpuid_rule {         /* for the leaf as the machine has it: (value & and) | or */
    uint32 leaf;
    uint32 subleaf;         /* CPUID_ANY_SUBLEAF: all */
    uint32 and_eax;
    uint32 or_eax;
    uint32 and_ebx;
    uint32 or_ebx;
    uint32 and_ecx;
    uint32 or_ecx;
    uint32 and_edx;
    uint32 or_edx;
};
#define CPUID_ANY_SUBLEAF   0xffffffff

struct msr_rule {           /* an MSR that exits: the first rule that holds it counts */
    uint32 first;
    uint32 last;
    uint32 read;            /* RULE_* */
    uint32 write;
    uint64 value;           /* of RULE_FIXED */
};
#define RULE_MACHINE        0       /* as the machine answers, its #GP passed on; of a write: not allowed in a rule */
#define RULE_FIXED          1
#define RULE_REFUSED        2       /* #GP */
#define RULE_IGNORED        3       /* a write that does nothing; a read of 0 */
#define RULE_HANDLED        4       /* by a routine: EFER, APIC base, KVM's clock, x2APIC's ICR and LVTs */

/* Ports of ours in every domain, always intercepted. */
#define PORT_PARTITION          0x5600
#define PORT_SLEEP_CONTROL      0x5600      /* ACPI's: a write with SLP_EN ends the domain */
#define PORT_SLEEP_STATUS       0x5601      /* ACPI's: reads 0 */
#define PORT_DOMAIN_RESET       0x5602      /* ACPI's reset register: a write of DOMAIN_RESET_VALUE resets the domain */
#define DOMAIN_RESET_VALUE      0x06
#define PORT_MONITOR            0x5608      /* the monitor's, for a control domain: four 16-bit registers, or their bytes */
#define PORT_MONITOR_COMMAND    0x5608      /* a write of the lower byte: MONITOR_* */
#define PORT_MONITOR_DOMAIN     0x560a      /* number of the domain that it is about */
#define PORT_MONITOR_INDEX      0x560c      /* of what is read */
#define PORT_MONITOR_RESULT     0x560e      /* read: 0xffff: no such domain or command */
#define PORT_PARTITION_END      0x5610

#define MONITOR_DOMAINS     1       /* result: number of domains */
#define MONITOR_STATE       2       /* DOMAIN_* */
#define MONITOR_REASON      3       /* END_* */
#define MONITOR_RESTARTS    4
#define MONITOR_NAME        5       /* index: of the character; 0 behind the last */
#define MONITOR_EXITS       6       /* index: kind * 4 + which 16 bits of the sum over its cpus */
#define MONITOR_TEXT        7       /* the next character of its ring since MONITOR_REWIND, 0 for none */
#define MONITOR_REWIND      8       /* to the oldest character */
#define MONITOR_STOP        9
#define MONITOR_RESTART     10
#define MONITOR_MEMORY      11      /* MiB */
#define MONITOR_CPUS        12

/* Of the run time alone. */
struct exit_record {        /* of the list of exits that are handled */
    uint16 code;            /* SVM_EXIT_* */
    uint16 kind;            /* EXIT_*: as what it is counted */
    uint32 routine;
};

#define RESTART_WINDOW_MS   60000       /* domain.restart_limit is for this long */
#define STOP_TRIES          0x1000000   /* looks at whether all cpus of a domain are in the host: about a second */
#define LOCK_TRIES          0x1000000   /* at whether the console is free */
#define INPUT_PATIENCE      1000        /* polls, until a byte that its domain does not read may be lost */
#define MONITOR_NONE        0xffff      /* PORT_MONITOR_RESULT: no such domain or command */
