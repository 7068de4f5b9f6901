/* ACPI 6.5: what is needed to find the tables and to power off. */

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

struct fadt {
    uint8  header[36];
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
};
