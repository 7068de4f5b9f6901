/* Multiboot Specification 0.6.96. */

#define MULTIBOOT1_HEADER_MAGIC     0x1badb002
#define MULTIBOOT1_LOADER_MAGIC     0x2badb002      /* in EAX at entry */
#define MULTIBOOT1_SEARCH           0x2000          /* the header lies in the first 8 KiB */
#define MULTIBOOT1_PAGE_ALIGN       (1 << 0)        /* header flags */
#define MULTIBOOT1_MEMORY_INFO      (1 << 1)
#define MULTIBOOT1_VIDEO_MODE       (1 << 2)
#define MULTIBOOT1_ADDRESSES        (1 << 16)       /* struct multiboot1_addresses follows the header */
#define MULTIBOOT1_REQUIREMENTS     0xffff          /* flags that a loader must understand; those above are remarks */

#define MULTIBOOT1_INFO_FLAG_MEMORY (1 << 0)        /* multiboot1_info.flags */
#define MULTIBOOT1_INFO_FLAG_BOOT_DEVICE (1 << 1)
#define MULTIBOOT1_INFO_FLAG_CMDLINE (1 << 2)
#define MULTIBOOT1_INFO_FLAG_MODS (1 << 3)
#define MULTIBOOT1_INFO_FLAG_ELF_SECTIONS (1 << 5)
#define MULTIBOOT1_INFO_FLAG_MMAP (1 << 6)
#define MULTIBOOT1_INFO_FLAG_LOADER_NAME (1 << 9)

struct multiboot1_header {
    uint32 magic;
    uint32 flags;
    uint32 checksum;        /* the three add up to 0 */
};

struct multiboot1_addresses {   /* a header with MULTIBOOT1_ADDRESSES, whole */
    uint32 magic;
    uint32 flags;
    uint32 checksum;
    uint32 header_addr;     /* where the header itself goes */
    uint32 load_addr;       /* where loading starts */
    uint32 load_end_addr;   /* 0: all of the file */
    uint32 bss_end_addr;    /* 0: nothing to clear */
    uint32 entry_addr;
};

struct multiboot1_info {
    uint32 flags;
    uint32 mem_lower;       /* KiB from 0 */
    uint32 mem_upper;       /* KiB from 1 MiB */
    uint8  boot_device[4];  /* sub-sub-partition, sub-partition, partition, BIOS disk; 0xff for none */
    uint32 cmdline;
    uint32 mods_count;
    uint32 mods_addr;
    uint32 syms_num;        /* section headers of an ELF kernel */
    uint32 syms_size;
    uint32 syms_addr;
    uint32 syms_shndx;
    uint32 mmap_length;
    uint32 mmap_addr;
    uint32 drives_length;
    uint32 drives_addr;
    uint32 config_table;
    uint32 boot_loader_name;
};

struct multiboot1_module {
    uint32 mod_start;
    uint32 mod_end;
    uint32 string;
    uint32 reserved;
};

struct multiboot1_mmap {    /* `size` counts what follows it: the next entry is at size + 4 */
    uint32 size;
    uint64 addr;
    uint64 len;
    uint32 type;
};
