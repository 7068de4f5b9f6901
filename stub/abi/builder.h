/* The domain builder's records and constants (docs/domain-builder.md). */

#define BOOTMOD_UNKNOWN         0       /* boot_module.kind */
#define BOOTMOD_XEN             1
#define BOOTMOD_FDT             2
#define BOOTMOD_KERNEL          3
#define BOOTMOD_RAMDISK         4
#define BOOTMOD_XSM             5
#define BOOTMOD_UCODE           6
#define BOOTMOD_GUEST_DTB       7
#define BOOTMOD_GUEST_CONF      8
#define BOOTMOD_MODULE          9       /* handed to a kernel as it is; Xen has no such kind */
#define BOOTMOD_LAST            BOOTMOD_MODULE

#define BOOTSTR_EMPTY           0       /* boot_module.string_kind */
#define BOOTSTR_STRING          1
#define BOOTSTR_CMDLINE         2

#define PERMISSION_CONTROL      (1 << 0)
#define PERMISSION_HARDWARE     (1 << 1)

#define FUNCTION_BOOT           (1 << 0)
#define FUNCTION_CRASH          (1 << 1)
#define FUNCTION_CONSOLE        (1 << 2)
#define FUNCTION_STUBDOM        (1 << 3)
#define FUNCTION_XENSTORE       (1 << 30)
#define FUNCTION_INITIAL_DOMAIN (1 << 31)

#define MODE_PARAVIRTUALIZED    (1 << 0)    /* else PVH or HVM */
#define MODE_DEVICE_MODEL       (1 << 1)    /* HVM, else PVH */
#define MODE_LONG               (1 << 2)

#define PROTOCOL_NONE           0       /* boot_domain.protocol: how the native launcher enters it */
#define PROTOCOL_PVH            1
#define PROTOCOL_LINUX          2
#define PROTOCOL_MULTIBOOT2     3
#define PROTOCOL_MULTIBOOT1     4
#define PROTOCOL_MULTIBOOT2_EFI 5           /* a hypervisor's: that, or with EFI's boot services running */

#define DOMID_FIRST_RESERVED    0x7ff0
#define INITIAL_DOMAIN_ID       0

#define XEN_CMDLINE_ROOM        1024    /* bytes of command line that Xen gives a domain, with the terminator */

#define MEMORY_PAGES            0       /* memory_size.kind: value is a number of 4 KiB pages */
#define MEMORY_SHARE            1       /* value is the divisor of what is available */
#define MEMORY_MINUS            2       /* value is pages to leave over */

struct memory_size {
    uint32 kind;            /* MEMORY_* */
    uint32 reserved;
    uint64 value;
};

struct boot_domain {
    uint32 name;            /* string, as an offset into the tables */
    uint32 permissions;
    uint32 functions;
    uint32 mode;
    uint16 domid;           /* 0: the next free one */
    uint16 constructed;     /* 0 in the tables; set by the stub */
    uint32 ncpus;
    uint8  uuid[16];
    memory_size mem_size;
    memory_size mem_min;
    memory_size mem_max;
    char   security_id[64];
    uint32 kernel;          /* index of a module, or NO_MODULE */
    uint32 ramdisk;
    uint32 configs[2];      /* device tree, domain configuration */
    uint32 protocol;        /* PROTOCOL_* */
    uint32 cmdline_room;    /* bytes of command line that its kernel reads, with the terminator; 0: it does not say */
    uint64 entry;           /* physical address where the protocol enters the kernel */
};
