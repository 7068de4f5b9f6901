/* The tables: what the host decided, as the stub reads it.
 *
 * One blob: struct tables first, the arrays and the string area behind it. All references are
 * byte offsets from the blob's first byte, so that it may lie anywhere; offset 0 means "none".
 * Arrays are 8-byte aligned; strings are UTF-8 and end with a zero byte, and so does the blob. */

#define TABLES_MAGIC_VALUE      0x53454c4241545742  /* "BWTABLES" */
#define TABLES_VERSION_VALUE    5

#define NO_MODULE       0xffffffff              /* a boot_domain's reference to no module */

#define CONSOLE_SERIAL  1                       /* tables.console */
#define CONSOLE_VGA     2

#define LOG_QUIET       0                       /* tables.log */
#define LOG_NORMAL      1
#define LOG_DEBUG       2

#define ON_FAILURE_HALT     0                   /* tables.on_failure */
#define ON_FAILURE_REBOOT   1

#define MODULE_EMBEDDED 1                       /* module_record.flags: in this image at load_address */
#define MODULE_VERIFY   2                       /* check sha256 before use */
#define MODULE_LOADER   4                       /* load_address is the number of one of the loader's modules */
#define MODULE_CMDLINE  8                       /* of a MODULE_LOADER: its string is a command line, without image name */

#define PACK_STORED     0                       /* piece.method */
#define PACK_LZ4        1                       /* one LZ4 block without frame */

struct tables {
    uint64 magic;           /* TABLES_MAGIC_VALUE */
    uint32 version;         /* TABLES_VERSION_VALUE */
    uint32 length;          /* bytes of the whole blob */
    uint32 checksum;        /* CRC-32 (zlib's) of the whole blob with this field 0 */
    uint32 console;         /* CONSOLE_* bits */
    uint16 serial_port;     /* I/O port of the UART */
    uint16 serial_divisor;  /* 115200 / baud */
    uint32 log;             /* LOG_* */
    uint32 on_failure;      /* ON_FAILURE_* */
    uint32 reboot_seconds;  /* before ON_FAILURE_REBOOT */
    uint32 name;            /* string: the image's name */
    uint32 nr_domains;
    uint32 domains;         /* struct boot_domain[nr_domains] */
    uint32 nr_modules;
    uint32 modules;         /* struct module_record[nr_modules] */
    uint32 nr_pieces;
    uint32 pieces;          /* struct piece[nr_pieces] */
    uint32 hypervisor;      /* number of the module that is launched instead of a domain, or NO_MODULE */
    uint32 hypervisor_protocol; /* PROTOCOL_* */
    uint32 hypervisor_cmdline;  /* string */
    uint32 hypervisor_entry;    /* physical address */
    uint32 hypervisor_efi_entry;    /* of PROTOCOL_MULTIBOOT2_EFI, while boot services run */
    uint32 profile;         /* string: the name of the profile that these tables are; 0 where there is only one */
    uint32 profile_title;   /* string: what the menu has behind the name */
    uint32 menu_seconds;    /* of the first: how long the menu waits; 0: no menu */
    uint32 reserved;
};

/* Profiles: the tables of each lie behind those of the one before, 8-byte aligned, each whole. The first is the usual one. */
#define MAX_PROFILES    9                       /* a key for each */

/* One boot module as the host packed it. */
struct module_record {
    uint32 name;            /* string: matched against a loader's module string */
    uint32 kind;            /* BOOTMOD_* */
    uint32 flags;           /* MODULE_* */
    uint32 string;          /* string: its command line; 0 for none */
    uint64 load_address;    /* of an embedded module, physical; else 0 */
    uint64 size;            /* bytes as packed */
    uint64 unpacked_size;   /* bytes as used: of a ramdisk its own size, of a kernel that of its file */
    uint64 start;           /* of an unpacked ramdisk its final physical address; 0: used where it lies */
    uint32 first_piece;     /* index into pieces */
    uint32 nr_pieces;       /* 0: used where it lies */
    uint8  sha256[32];      /* of the bytes as packed */
    uint32 alignment;       /* of a kernel that may be moved, all pieces by one distance, to a multiple of this; else 0 */
    uint32 lowest;          /* and not below this address */
    uint32 highest;         /* nor with its last byte above this one */
    uint32 handed_to;       /* 1 + number of the domain whose kernel is told of it behind the ramdisk; 0 for none */
    uint32 sections;        /* of a kernel that is told of its section headers: those, 8-byte aligned; 0 for none */
    uint32 nr_sections;
    uint32 section_size;    /* bytes of each */
    uint32 section_names;   /* number of that with the names */
};

/* A run of bytes on its way from a packed module to its final place. */
struct piece {
    uint64 source;          /* offset in the packed module */
    uint64 source_size;
    uint64 dest;            /* physical address */
    uint64 dest_size;       /* bytes after unpacking */
    uint64 zero_size;       /* bytes to clear behind them */
    uint32 method;          /* PACK_* */
    uint32 reserve_pages;   /* behind all that: RAM that the kernel will use and nothing else may */
};

#define CRC32_POLYNOMIAL 0xedb88320     /* reflected, as zlib has it */
