/* Flattened device trees: Devicetree Specification 0.4, chapter 5. All numbers are big-endian. */

#define FDT_MAGIC           0xd00dfeed
#define FDT_MAGIC_BYTES     0xedfe0dd0  /* FDT_MAGIC as a little-endian machine reads it */
#define FDT_FIRST_VERSION   16          /* last_comp_version that can be read */
#define FDT_LAST_VERSION    17
#define FDT_BEGIN_NODE      1
#define FDT_END_NODE        2
#define FDT_PROP            3
#define FDT_NOP             4
#define FDT_END             9
#define FDT_MAX_DEPTH       32

struct fdt_header {
    uint32 magic;
    uint32 totalsize;
    uint32 off_dt_struct;
    uint32 off_dt_strings;
    uint32 off_mem_rsvmap;
    uint32 version;
    uint32 last_comp_version;
    uint32 boot_cpuid_phys;
    uint32 size_dt_strings;
    uint32 size_dt_struct;
};

struct fdt_property {       /* behind FDT_PROP; the value follows */
    uint32 len;
    uint32 nameoff;
};

/* How the stub reads the bindings (stub/generic/device_tree.asm). Names are offsets from __image_start. */

struct domain_cell {        /* a property of one cell that is a field of boot_domain */
    uint32 name;
    uint32 field;
    uint32 limit;           /* its greatest value */
};

struct module_kind {
    uint32 compatible;      /* the string that names it */
    uint32 kind;            /* BOOTMOD_* */
    uint32 field;           /* of boot_domain: refers to the module; 0 for none */
};
