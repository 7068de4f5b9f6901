/* boot_info: what the loader handed over, in one form whatever the loader was. The entry files
 * (stub/entry/) fill it with copies, so that nothing in it lies in the loader's memory. */

#define BOOT_DEVICE_NONE    0xffffffff

struct boot_info {
    uint64 entry_name;      /* string: the boot protocol that was used */
    uint64 loader_name;     /* string, 0 if the protocol has none */
    uint64 cmdline;         /* string: the stub's own command line */
    uint64 rsdp;            /* physical address of the ACPI RSDP, 0 for none */
    uint32 nr_modules;      /* in loader_modules */
    uint32 nr_ranges;       /* in loader_ranges, as the loader said them */
    uint32 has_framebuffer; /* the loader said what the screen is: framebuffer is filled */
    uint32 keeps_image_name;/* its module strings start with the file's name (not GRUB 2, not PVH) */
    uint64 framebuffer;     /* physical address */
    uint32 framebuffer_pitch;   /* bytes of a line */
    uint32 framebuffer_width;   /* pixels, or characters of a text screen */
    uint32 framebuffer_height;
    uint8  framebuffer_bpp;
    uint8  framebuffer_type;    /* MULTIBOOT2_FRAMEBUFFER_* */
    uint8  framebuffer_colours[6];  /* position and size of red, green, blue */
    uint32 has_boot_device; /* the loader said which BIOS disk it came from */
    uint32 boot_device;     /* as interrupt 0x13 counts them */
    uint32 boot_partition;  /* BOOT_DEVICE_NONE: the whole disk */
    uint32 boot_sub_partition;
    uint32 reserved;
};

struct boot_module {
    uint32 kind;            /* BOOTMOD_* */
    uint32 claimed;         /* a loader's module: matched with one of the tables */
    uint64 start;           /* physical address */
    uint64 size;            /* bytes */
    uint64 string;          /* never 0; may be empty */
    uint32 string_kind;     /* BOOTSTR_* */
    uint32 headroom;        /* bytes in front of a bzImage that unpacking needs */
};

struct memory_range {       /* = hvm_memmap_table_entry */
    uint64 start;
    uint64 size;
    uint32 type;            /* XEN_HVM_MEMMAP_TYPE_*, the numbers of e820 */
    uint32 reserved;
};

/* Records that files contribute to sections of their own; references are offsets from
 * __image_start, so that the stub may lie anywhere. */

struct entry_record {       /* .entries: one way in */
    uint32 magic;           /* EAX at entry */
    uint32 parse;           /* routine: fills boot_info from the loader's structure */
    uint32 name;            /* string */
    uint32 image_names;     /* module strings start with the image's name, but for GRUB 2 */
};

struct source_record {      /* .sources: one way to learn what to boot, without tables in the image */
    uint32 make;            /* routine: makes tables from the loader's modules; ZF set if it could */
    uint32 reserved;
};

struct mover_record {       /* .movers: what moves a kernel that may be moved, where an image has one */
    uint32 move;            /* routine */
    uint32 reserved;
};

struct launcher_record {    /* .launchers: one way out */
    uint32 protocol;        /* PROTOCOL_* */
    uint32 tell;            /* routine: writes what the kernel is told into the hand-over area; once more if that moves */
    uint32 enter;           /* routine: goes there; never returns */
    uint32 name;            /* string */
    uint32 keep_services;   /* routine, 0 for none: at the EFI entry; boot services are then left running */
};

struct launch_target {      /* what is launched: the hypervisor, or the hardware domain's kernel; filled once it is loaded */
    uint64 record;          /* its module_record or boot_domain, for its name */
    uint64 domain;          /* boot_domain, 0 for a hypervisor: that is told of all modules but its own */
    uint64 entry;           /* physical address */
    uint64 cmdline;         /* string */
    uint64 launcher_name;   /* string, once its launcher is found */
    uint32 protocol;        /* PROTOCOL_* */
    uint32 module;          /* number of its module */
};

struct probe_record {       /* one way to look into a kernel that no host has looked into */
    uint32 protocol;        /* PROTOCOL_* */
    uint32 probe;           /* routine: ZF set if the protocol fits */
    uint32 name;            /* string */
};
