/* The x86/HVM direct boot ABI ("PVH"): Xen's public/arch-x86/hvm/start_info.h. */

#define XEN_HVM_START_MAGIC_VALUE   0x336ec578
#define XEN_ELFNOTE_PHYS32_ENTRY    18
#define PVH_DEFAULT_ALIGNMENT       0x200000    /* of a kernel that can be moved and does not say */
#define XEN_ELFNOTE_PHYS32_RELOC    19      /* up to three words: alignment, lowest start, highest last byte */

#define XEN_HVM_MEMMAP_TYPE_RAM         1
#define XEN_HVM_MEMMAP_TYPE_RESERVED    2
#define XEN_HVM_MEMMAP_TYPE_ACPI        3
#define XEN_HVM_MEMMAP_TYPE_NVS         4
#define XEN_HVM_MEMMAP_TYPE_UNUSABLE    5
#define XEN_HVM_MEMMAP_TYPE_DISABLED    6
#define XEN_HVM_MEMMAP_TYPE_PMEM        7

#define SIF_PRIVILEGED  (1 << 0)
#define SIF_INITDOMAIN  (1 << 1)

struct hvm_start_info {
    uint32 magic;
    uint32 version;         /* 1: memmap_* are there */
    uint32 flags;           /* SIF_* */
    uint32 nr_modules;
    uint64 modlist_paddr;
    uint64 cmdline_paddr;
    uint64 rsdp_paddr;
    uint64 memmap_paddr;
    uint32 memmap_entries;
    uint32 reserved;
};

struct hvm_modlist_entry {
    uint64 paddr;
    uint64 size;
    uint64 cmdline_paddr;
    uint64 reserved;
};

struct hvm_memmap_table_entry {
    uint64 addr;
    uint64 size;
    uint32 type;
    uint32 reserved;
};
