/* The probe kernel (stub/kernels/probe.asm) and who reads it (host/bootwright/lab/report.py): the document lies between
 * the two marker lines, and the line behind has the CRC-32 of its bytes, with line feeds alone at the ends of lines. */

#define PROBE_FORMAT        2           /* 1 had no `processors` and `msrs`, no `subleaf`, and fewer leaves of CPUID */
#define PROBE_BEGIN         "-----BEGIN BOOTWRIGHT MACHINE-----\n"
#define PROBE_END           "-----END BOOTWRIGHT MACHINE-----\n"
#define PROBE_CHECKSUM      "CRC-32 %x\n"
#define PROBE_OFF           "probe: powering off\n"
#define PROBE_DOCUMENT_SIZE 0x40000     /* bytes; MAX_RANGES, PROBE_MAX_TABLES and PROBE_MAX_PROCESSORS lines fit */
#define PROBE_MAX_TABLES    256         /* ACPI tables; more is a table gone wrong */
#define PROBE_MAX_MADT      0x10000     /* bytes; likewise */
#define PROBE_MAX_PROCESSORS 1024       /* that are listed; all are counted */
#define PROBE_MAX_STRUCTURES 4096       /* SMBIOS structures; likewise */

/* CPUID and MSRs that only the probe reads. */
#define CPUID_FEATURES          1
#define CPUID_FEATURES_ECX_HYPERVISOR (1 << 31)
#define CPUID_STRUCTURED        7
#define TOPOLOGY_THREADS        1               /* CPUID_TOPOLOGY, ECX 8 to 15: EAX 0 to 4 are the bits of an id that tell threads apart */
#define CPUID_FREQUENCIES       0x16            /* EAX: MHz of the base frequency */
#define CPUID_POWER             0x80000007
#define CPUID_POWER_EDX_INVARIANT (1 << 8)      /* the time-stamp counter's rate never changes */
#define CPUID_ADDRESSES         0x80000008
#define CPUID_CORES             0x8000001e      /* AMD's, with CPUID_EXTENDED_ECX_TOPOLOGY; EBX 8 to 15: threads of a core - 1 */
#define CPUID_EXTENDED_ECX_TOPOLOGY (1 << 22)
#define CPUID_FEATURES_ECX_VMX  (1 << 5)
#define CPUID_FEATURES_EDX_HTT  (1 << 28)       /* 0: one thread, one core */
#define CPUID_PART_MASK         0xc0000000      /* of a leaf: what each highest leaf is for */
#define CPUID_HYPERVISOR        0x40000000
#define CPUID_FAMILY_EXTENDED   15
#define CPUID_VENDOR_INTEL      0x756e6547      /* EBX: "Genu" */
#define CPUID_VENDOR_AMD        0x68747541      /* EBX: "Auth" */
#define MSR_MICROCODE           0x8b            /* IA32_BIOS_SIGN_ID, AMD's PATCH_LEVEL */
#define MSR_FEATURE_CONTROL     0x3a            /* Intel's alone */
#define FEATURE_CONTROL_LOCK    (1 << 0)        /* it can be written at the next reset only */
#define FEATURE_CONTROL_VMX_SMX (1 << 1)        /* VMXON, in SMX operation and outside of it */
#define FEATURE_CONTROL_VMX     (1 << 2)

/* SMBIOS 3.7, 5.2: entry points and structures. */
#define SMBIOS_SEARCH_START     0xf0000
#define SMBIOS_SEARCH_END       0x100000
#define SMBIOS_ALIGN            16
#define SMBIOS_ANCHOR           0x5f4d535f      /* "_SM_" */
#define SMBIOS3_ANCHOR          0x334d535f      /* "_SM3" */
#define SMBIOS_MAX_TABLE        0x100000
#define SMBIOS_END              127
#define SMBIOS_GUID_LOW         0x11d32d88eb9d2d31  /* UEFI configuration tables: EFI_SMBIOS_TABLE_GUID, */
#define SMBIOS_GUID_HIGH        0x4dc13f279000169a
#define SMBIOS3_GUID_LOW        0x4a2c9794f2fd1544  /* EFI_SMBIOS3_TABLE_GUID */
#define SMBIOS3_GUID_HIGH       0x94e320cfbbe52e99

struct smbios_entry {
    uint32 anchor;
    uint8  checksum;
    uint8  length;
    uint16 version;
    uint16 max_structure;
    uint8  revision;
    uint8  formatted[5];
    char   dmi_anchor[5];
    uint8  dmi_checksum;
    uint16 table_length;
    uint32 table;
    uint16 structures;
    uint8  bcd;
};

struct smbios3_entry {
    uint32 anchor;
    uint8  anchor_end;
    uint8  checksum;
    uint8  length;
    uint8  major;
    uint8  minor;
    uint8  docrev;
    uint8  revision;
    uint8  reserved;
    uint32 table_length;    /* at most */
    uint64 table;
};

struct smbios_structure {
    uint8  type;
    uint8  length;          /* of the formatted part; strings follow it */
    uint16 handle;
};
