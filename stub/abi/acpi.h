/* ACPI 6.5: what is needed to find the tables, to power off, to know the cpus, and to tell a domain of its own. */

#define RSDP_SIGNATURE      0x2052545020445352      /* "RSD PTR " */
#define RSDP_ALIGN          16
#define RSDP_V1_LENGTH      20      /* bytes that the first checksum covers */

#define ACPI_TRIES          10000000            /* polls of a port, about 1 us each */
#define AML_PACKAGE_OP      0x12
#define AML_BYTE_PREFIX     0x0a

#define FADT_SIGNATURE      0x50434146              /* "FACP" */
#define DSDT_S5_NAME        0x5f35535f              /* "_S5_" */
#define PM1_SCI_EN          (1 << 0)
#define PM1_SLP_EN          (1 << 13)
#define PM1_SLP_TYP_SHIFT   10
#define SLEEP_CONTROL_SLP_EN        (1 << 5)
#define SLEEP_CONTROL_SLP_TYP_SHIFT 2

#define RSDP_REVISION_XSDT  2       /* from this revision on it has an XSDT */
#define RSDT_SIGNATURE      0x54445352              /* "RSDT": a header, and addresses of 32 bits */
#define XSDT_SIGNATURE      0x54445358              /* "XSDT": a header, and addresses of 64 bits */
#define DSDT_SIGNATURE      0x54445344              /* "DSDT" */

#define ACPI_SPACE_MEMORY   0
#define ACPI_SPACE_IO       1
#define ACPI_ACCESS_BYTE    1
#define ACPI_ACCESS_WORD    2
#define ACPI_ACCESS_DWORD   3

#define FADT_BOOT_NO_VGA        (1 << 2)
#define FADT_BOOT_NO_CMOS       (1 << 5)
#define FADT_FLAG_WBINVD        (1 << 0)
#define FADT_FLAG_POWER_BUTTON  (1 << 4)    /* it is a control method, or there is none */
#define FADT_FLAG_SLEEP_BUTTON  (1 << 5)
#define FADT_FLAG_RESET_REG     (1 << 10)
#define FADT_FLAG_HW_REDUCED    (1 << 20)

#define MADT_SIGNATURE          0x43495041          /* "APIC" */
#define MADT_PCAT_COMPAT        (1 << 0)    /* there are two 8259 */
#define MADT_LOCAL_APIC         0           /* types of entries */
#define MADT_IO_APIC            1
#define MADT_LAPIC_OVERRIDE     5
#define MADT_LOCAL_X2APIC       9
#define MADT_ENABLED            (1 << 0)
#define MADT_ONLINE_CAPABLE     (1 << 1)

struct rsdp {
    uint64 signature;
    uint8  checksum;
    char   oem_id[6];
    uint8  revision;
    uint32 rsdt;
    uint32 length;          /* from here on: revision 2 */
    uint64 xsdt;
    uint8  extended_checksum;
    uint8  reserved[3];
};

struct acpi_header {
    uint32 signature;
    uint32 length;
    uint8  revision;
    uint8  checksum;
    char   oem_id[6];
    char   oem_table_id[8];
    uint32 oem_revision;
    uint32 creator_id;
    uint32 creator_revision;
};

struct acpi_address {       /* a generic address: 5.2.3.2 */
    uint8  address_space;   /* ACPI_SPACE_* */
    uint8  bit_width;
    uint8  bit_offset;
    uint8  access_size;     /* ACPI_ACCESS_* */
    uint64 address;
};

struct fadt {
    acpi_header header;
    uint32 firmware_ctrl;
    uint32 dsdt;
    uint8  reserved;
    uint8  preferred_profile;
    uint16 sci_int;
    uint32 smi_cmd;
    uint8  acpi_enable;     /* written to smi_cmd: ACPI takes the power management over */
    uint8  acpi_disable;
    uint8  s4bios_req;
    uint8  pstate_cnt;
    uint32 pm1a_evt_blk;
    uint32 pm1b_evt_blk;
    uint32 pm1a_cnt_blk;
    uint32 pm1b_cnt_blk;
    uint32 pm2_cnt_blk;
    uint32 pm_tmr_blk;
    uint32 gpe0_blk;
    uint32 gpe1_blk;
    uint8  pm1_evt_len;
    uint8  pm1_cnt_len;
    uint8  pm2_cnt_len;
    uint8  pm_tmr_len;
    uint8  gpe0_blk_len;
    uint8  gpe1_blk_len;
    uint8  gpe1_base;
    uint8  cst_cnt;
    uint16 p_lvl2_lat;
    uint16 p_lvl3_lat;
    uint16 flush_size;
    uint16 flush_stride;
    uint8  duty_offset;
    uint8  duty_width;
    uint8  day_alrm;
    uint8  mon_alrm;
    uint8  century;
    uint16 iapc_boot_arch;  /* FADT_BOOT_* */
    uint8  reserved2;
    uint32 flags;           /* FADT_FLAG_* */
    acpi_address reset_reg;
    uint8  reset_value;     /* written to reset_reg */
    uint16 arm_boot_arch;
    uint8  minor_version;
    uint64 x_firmware_ctrl; /* from here on: the same as above, in 64 bits */
    uint64 x_dsdt;
    acpi_address x_pm1a_evt_blk;
    acpi_address x_pm1b_evt_blk;
    acpi_address x_pm1a_cnt_blk;
    acpi_address x_pm1b_cnt_blk;
    acpi_address x_pm2_cnt_blk;
    acpi_address x_pm_tmr_blk;
    acpi_address x_gpe0_blk;
    acpi_address x_gpe1_blk;
    acpi_address sleep_control_reg;     /* with FADT_FLAG_HW_REDUCED: instead of PM1 */
    acpi_address sleep_status_reg;
    uint64 hypervisor_vendor;
};

struct madt {               /* entries follow, each with its type and length in front */
    acpi_header header;
    uint32 lapic_address;
    uint32 flags;           /* MADT_PCAT_COMPAT */
};

struct madt_local_apic {
    uint8  type;            /* MADT_LOCAL_APIC */
    uint8  length;
    uint8  processor_uid;
    uint8  apic_id;
    uint32 flags;           /* MADT_ENABLED, MADT_ONLINE_CAPABLE */
};

struct madt_io_apic {
    uint8  type;            /* MADT_IO_APIC */
    uint8  length;
    uint8  io_apic_id;
    uint8  reserved;
    uint32 address;         /* of its registers */
    uint32 gsi_base;
};

struct madt_lapic_override {
    uint8  type;            /* MADT_LAPIC_OVERRIDE */
    uint8  length;
    uint16 reserved;
    uint64 address;
};

struct madt_local_x2apic {
    uint8  type;            /* MADT_LOCAL_X2APIC */
    uint8  length;
    uint16 reserved;
    uint32 apic_id;
    uint32 flags;           /* MADT_ENABLED, MADT_ONLINE_CAPABLE */
    uint32 processor_uid;
};
