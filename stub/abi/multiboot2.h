/* Multiboot2 Specification 2.0. */

#define MULTIBOOT2_HEADER_MAGIC     0xe85250d6
#define MULTIBOOT2_ARCHITECTURE_I386 0
#define MULTIBOOT2_LOADER_MAGIC     0x36d76289      /* in EAX at entry */

#define MULTIBOOT2_HEADER_TAG_END           0
#define MULTIBOOT2_HEADER_TAG_INFO_REQUEST  1
#define MULTIBOOT2_HEADER_TAG_CONSOLE       4
#define MULTIBOOT2_HEADER_TAG_MODULE_ALIGN  6
#define MULTIBOOT2_HEADER_TAG_OPTIONAL      1       /* header tag flags */
#define MULTIBOOT2_CONSOLE_EGA_TEXT         2

#define MULTIBOOT2_TAG_END          0
#define MULTIBOOT2_TAG_CMDLINE      1
#define MULTIBOOT2_TAG_LOADER_NAME  2
#define MULTIBOOT2_TAG_MODULE       3
#define MULTIBOOT2_TAG_MMAP         6
#define MULTIBOOT2_TAG_FRAMEBUFFER  8
#define MULTIBOOT2_TAG_ACPI_OLD     14
#define MULTIBOOT2_TAG_ACPI_NEW     15

#define MULTIBOOT2_FRAMEBUFFER_EGA_TEXT 2

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
};
