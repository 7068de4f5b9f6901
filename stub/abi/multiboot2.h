/* Multiboot2 Specification 2.0. */

#define MULTIBOOT2_HEADER_MAGIC     0xe85250d6
#define MULTIBOOT2_ARCHITECTURE_I386 0
#define MULTIBOOT2_LOADER_MAGIC     0x36d76289      /* in EAX at entry */

#define MULTIBOOT2_HEADER_TAG_END           0
#define MULTIBOOT2_HEADER_TAG_INFO_REQUEST  1
#define MULTIBOOT2_HEADER_TAG_ADDRESS       2
#define MULTIBOOT2_HEADER_TAG_ENTRY         3
#define MULTIBOOT2_HEADER_TAG_CONSOLE       4
#define MULTIBOOT2_HEADER_TAG_FRAMEBUFFER   5
#define MULTIBOOT2_HEADER_TAG_MODULE_ALIGN  6
#define MULTIBOOT2_HEADER_TAG_EFI_SERVICES  7       /* leave EFI's boot services running */
#define MULTIBOOT2_HEADER_TAG_ENTRY_EFI32   8
#define MULTIBOOT2_HEADER_TAG_ENTRY_EFI64   9
#define MULTIBOOT2_HEADER_TAG_RELOCATABLE   10
#define MULTIBOOT2_HEADER_TAG_OPTIONAL      1       /* header tag flags */
#define MULTIBOOT2_CONSOLE_EGA_TEXT         2
#define MULTIBOOT2_LOAD_FROM_START          0xffffffff  /* load_addr: the file is loaded from its first byte */
#define MULTIBOOT2_LOAD_HIGH                2       /* as high as there is room */

#define MULTIBOOT2_TAG_END          0
#define MULTIBOOT2_TAG_CMDLINE      1
#define MULTIBOOT2_TAG_LOADER_NAME  2
#define MULTIBOOT2_TAG_MODULE       3
#define MULTIBOOT2_TAG_BASIC_MEMORY 4
#define MULTIBOOT2_TAG_BOOT_DEVICE  5       /* the BIOS disk that the loader came from */
#define MULTIBOOT2_TAG_MMAP         6
#define MULTIBOOT2_TAG_FRAMEBUFFER  8
#define MULTIBOOT2_TAG_ELF_SECTIONS 9
#define MULTIBOOT2_TAG_EFI64        12      /* the EFI system table */
#define MULTIBOOT2_TAG_EFI_SERVICES 18      /* boot services are still running */
#define MULTIBOOT2_TAG_EFI64_HANDLE 20      /* the image handle; as multiboot2_tag_efi64 */
#define MULTIBOOT2_TAG_LOAD_BASE    21      /* where the kernel was loaded */
#define MULTIBOOT2_TAG_EFI_MMAP     17      /* EFI's memory map, once boot services have ended */
#define MULTIBOOT2_TAG_ACPI_OLD     14
#define MULTIBOOT2_TAG_ACPI_NEW     15
#define MULTIBOOT2_TAG_LAST         21      /* of those that the specification knows */

#define MULTIBOOT2_FRAMEBUFFER_RGB      1
#define MULTIBOOT2_FRAMEBUFFER_EGA_TEXT 2

#define MULTIBOOT2_SEARCH           0x8000          /* the header lies in the first 32 KiB */
#define MULTIBOOT2_ALIGN            8               /* of every tag */

struct multiboot2_header {
    uint32 magic;
    uint32 architecture;
    uint32 header_length;
    uint32 checksum;        /* the four add up to 0 */
};

struct multiboot2_header_tag {
    uint16 type;
    uint16 flags;
    uint32 size;
};

struct multiboot2_header_tag_address {
    uint16 type;
    uint16 flags;
    uint32 size;
    uint32 header_addr;     /* where the header itself goes */
    uint32 load_addr;       /* where loading starts, or MULTIBOOT2_LOAD_FROM_START */
    uint32 load_end_addr;   /* 0: all of the file */
    uint32 bss_end_addr;    /* 0: nothing to clear */
};

struct multiboot2_header_tag_entry {    /* of any kind */
    uint16 type;
    uint16 flags;
    uint32 size;
    uint32 entry_addr;
};

struct multiboot2_info {
    uint32 total_size;
    uint32 reserved;
};

struct multiboot2_tag {
    uint32 type;
    uint32 size;
};

struct multiboot2_tag_module {
    uint32 type;
    uint32 size;
    uint32 mod_start;
    uint32 mod_end;         /* the string follows */
};

struct multiboot2_tag_basic_memory {
    uint32 type;
    uint32 size;
    uint32 mem_lower;       /* KiB from 0 */
    uint32 mem_upper;       /* KiB from 1 MiB */
};

struct multiboot2_tag_boot_device {
    uint32 type;
    uint32 size;
    uint32 biosdev;         /* as interrupt 0x13 counts them */
    uint32 partition;       /* BOOT_DEVICE_NONE: the whole disk */
    uint32 sub_partition;
};

struct multiboot2_tag_mmap {
    uint32 type;
    uint32 size;
    uint32 entry_size;
    uint32 entry_version;   /* the entries follow */
};

struct multiboot2_mmap_entry {
    uint64 addr;
    uint64 len;
    uint32 type;
    uint32 reserved;
};

struct multiboot2_tag_framebuffer {
    uint32 type;
    uint32 size;
    uint64 addr;
    uint32 pitch;
    uint32 width;
    uint32 height;
    uint8  bpp;
    uint8  framebuffer_type;
    uint16 reserved;
    uint8  colours[6];      /* RGB: position and size of red, green, blue */
    uint16 padding;
};

struct multiboot2_tag_elf_sections {
    uint32 type;
    uint32 size;
    uint32 num;
    uint32 entsize;
    uint32 shndx;           /* the section headers follow */
};

struct multiboot2_tag_efi64 {
    uint32 type;
    uint32 size;
    uint64 pointer;
};

struct multiboot2_tag_efi_mmap {
    uint32 type;
    uint32 size;
    uint32 descr_size;
    uint32 descr_vers;      /* the descriptors follow */
};

struct multiboot2_tag_load_base {
    uint32 type;
    uint32 size;
    uint32 load_base_addr;
};
