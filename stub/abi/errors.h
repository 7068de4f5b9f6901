/* Everything that can go wrong at boot: a number, and a sentence with the values that matter.
 * Printed as "bootwright: E0404: ..."; the number is written in hex so that it reads as printed.
 * NAME_TEXT takes %u (decimal), %x (hex with 0x), %s (string); at most four values.
 * docs/errors.md is made from this file. */

/* 01: entry and cpu. The first is printed before long mode, without values. */
#define E_NO_LONG_MODE          0x0101
#define E_NO_LONG_MODE_TEXT     "this cpu has no 64-bit long mode; a 64-bit x86 cpu is needed"
#define E_LOADER                0x0102
#define E_LOADER_TEXT           "entered with EAX %x, which is no loader's magic (multiboot1, multiboot2, PVH)"
#define E_EXCEPTION             0x0110
#define E_EXCEPTION_TEXT        "cpu exception %u (%s) at %x, error code %x"

/* 02: what the loader handed over. */
#define E_NO_MEMORY_MAP         0x0201
#define E_NO_MEMORY_MAP_TEXT    "the loader (%s) handed over no memory map"
#define E_TOO_MANY_RANGES       0x0202
#define E_TOO_MANY_RANGES_TEXT  "the memory map has more than %u entries"
#define E_TOO_MANY_MODULES      0x0203
#define E_TOO_MANY_MODULES_TEXT "the loader handed over more than %u modules"
#define E_STRING_TOO_LONG       0x0204
#define E_STRING_TOO_LONG_TEXT  "the loader's string at %x does not end within the %u bytes that it may take"
#define E_LOADER_TAGS           0x0205
#define E_LOADER_TAGS_TEXT      "the loader's information at %x ends early: a part at %x says it is %u bytes long"
#define E_LOADER_ADDRESS        0x0206
#define E_LOADER_ADDRESS_TEXT   "the loader put something at %x that does not end within the 4 GiB that the stub reaches"

#define E_STRING_SPACE          0x0207
#define E_STRING_SPACE_TEXT     "the strings of loader and device tree take more than %u bytes"

#define E_EFI_MEMORY_MAP        0x0208
#define E_EFI_MEMORY_MAP_TEXT   "the firmware's memory map cannot be used: status %x, %u bytes"
#define E_EFI_EXIT              0x0209
#define E_EFI_EXIT_TEXT         "the firmware does not end its boot services: status %x, after %u tries"

#define E_EFI_CLAIM             0x0210
#define E_EFI_CLAIM_TEXT        "%s needs [%x, %x), which the firmware does not give: status %x"

#define E_EFI_ENDED             0x0211
#define E_EFI_ENDED_TEXT        "%s wants EFI's boot services running, and the loader (%s) has ended them: start the image's .efi"

#define E_EFI_TAGS              0x0212
#define E_EFI_TAGS_TEXT         "entered as if EFI's boot services were running, but the loader says: running %u, system table %x, image handle %x"

#define E_EFI_PAGING            0x0213
#define E_EFI_PAGING_TEXT       "the firmware runs with page tables of 5 levels (CR4 %x), which the stub cannot take over: turn them off there"

#define E_LOADER_SIZE           0x0214
#define E_LOADER_SIZE_TEXT      "the %s at %x says that it takes %u bytes; at most %u are read"

#define E_EFI_TABLES            0x0215
#define E_EFI_TABLES_TEXT       "the firmware says that it has %u configuration tables; at most %u are read"

/* 03: the tables. */
#define E_TABLES_MAGIC          0x0301
#define E_TABLES_MAGIC_TEXT     "the tables at %x start with %x, not with the magic of bootwright's tables"
#define E_TABLES_VERSION        0x0302
#define E_TABLES_VERSION_TEXT   "the tables are version %u; this stub reads version %u"
#define E_TABLES_LENGTH         0x0303
#define E_TABLES_LENGTH_TEXT    "the tables say they are %u bytes long, but %u bytes were loaded"
#define E_TABLES_CHECKSUM       0x0304
#define E_TABLES_CHECKSUM_TEXT  "the tables' checksum is %x, but they say %x: the image is damaged"
#define E_TABLES_COUNT          0x0305
#define E_TABLES_COUNT_TEXT     "the tables list %u domains and %u modules; at most %u and %u are allowed"
#define E_TABLES_OFFSET         0x0306
#define E_TABLES_OFFSET_TEXT    "the tables refer to byte %x, but are only %x bytes long"

#define E_TABLES_INDEX          0x0307
#define E_TABLES_INDEX_TEXT     "the tables refer to %s %u of %u"

#define E_NOTHING_TO_BOOT       0x0308
#define E_NOTHING_TO_BOOT_TEXT  "this image has no tables, and the loader handed over no module to boot"

/* 04: memory. */
#define E_NO_RAM                0x0401
#define E_NO_RAM_TEXT           "the memory map has no RAM at all in its %u entries"
#define E_NO_ROOM               0x0402
#define E_NO_ROOM_TEXT          "%s is to lie at [%x, %x), which is not all RAM, and has no other place"
#define E_NO_FREE_ROOM          0x0403
#define E_NO_FREE_ROOM_TEXT     "no %u bytes of free RAM below 4 GiB to move %s to"
#define E_HANDOVER_ROOM         0x0405
#define E_HANDOVER_ROOM_TEXT    "no %u bytes of free RAM below 1 GiB for what the kernel is told"
#define E_TOO_MANY_DEFERRED     0x0406
#define E_TOO_MANY_DEFERRED_TEXT "module %s: more than %u pieces go to where the stub is"
#define E_TOO_LITTLE_MEMORY     0x0404
#define E_TOO_LITTLE_MEMORY_TEXT "domain %s needs %u KiB of memory; this machine has %u KiB"

/* 05: modules. */
#define E_MODULE_MISSING        0x0501
#define E_MODULE_MISSING_TEXT   "module %s is not among the %u that the loader handed over"
#define E_MODULE_SIZE           0x0502
#define E_MODULE_SIZE_TEXT      "module %s is %u bytes long, but %u bytes were planned"
#define E_MODULE_HASH           0x0503
#define E_MODULE_HASH_TEXT      "module %s at [%x, %x) has another SHA-256 than planned: it is damaged or not the one built for"
#define E_MODULE_PIECE          0x0504
#define E_MODULE_PIECE_TEXT     "module %s: a piece takes bytes [%x, %x) of a module of %x bytes"
#define E_MODULE_UNPACK         0x0505
#define E_MODULE_UNPACK_TEXT    "module %s: the LZ4 block at %x does not unpack to %u bytes"

#define E_MODULE_RAM            0x0506
#define E_MODULE_RAM_TEXT       "module %s at [%x, %x) does not lie in RAM: this machine has too little, or a hole there"

/* 06: the domain builder. */
#define E_NO_INITIAL_DOMAIN     0x0601
#define E_NO_INITIAL_DOMAIN_TEXT "none of the %u domains is the initial domain"
#define E_NO_KERNEL             0x0602
#define E_NO_KERNEL_TEXT        "domain %s is the initial domain and has no kernel"
#define E_CMDLINE_TOO_LONG      0x0603
#define E_CMDLINE_TOO_LONG_TEXT "the command line of domain %s would be longer than the %u bytes that %s takes"
#define E_NO_GUEST_INTERFACE    0x0604
#define E_NO_GUEST_INTERFACE_TEXT "domain %s has mode %x, and the native launcher builds only PVH; a PV domain needs launcher = xen"
#define E_NO_HARDWARE_DOMAIN    0x0605
#define E_NO_HARDWARE_DOMAIN_TEXT "no hardware domain was built, of %u domains"
#define E_DOMID                 0x0606
#define E_DOMID_TEXT            "domain %s has domid %u, but the initial domain is domid %u"
#define E_VCPU                  0x0607
#define E_VCPU_TEXT             "domain %s: vcpu 0 is in state %u, not %u"

#define E_KERNEL_SHORT          0x0608
#define E_KERNEL_SHORT_TEXT     "domain %s: the kernel file is %x bytes long, but refers to byte %x"
#define E_KERNEL_UNKNOWN        0x0609
#define E_KERNEL_UNKNOWN_TEXT   "domain %s: module %s is no kernel that this stub can launch"
#define E_TOO_MANY_SEGMENTS     0x0610
#define E_TOO_MANY_SEGMENTS_TEXT "domain %s: the kernel has %u program headers; at most %u can be read"
#define E_KERNEL_BROKEN         0x0611
#define E_KERNEL_BROKEN_TEXT    "domain %s: the kernel %s %x"
#define E_KERNEL_REQUIRES       0x0612
#define E_KERNEL_REQUIRES_TEXT  "domain %s: the kernel requires by its %s header what is not done here: %s %x"

/* 07: launch. */
#define E_PROTOCOL              0x0701
#define E_PROTOCOL_TEXT         "%s asks for launch protocol %u, which this stub does not have"
#define E_ENTRY                 0x0702
#define E_ENTRY_TEXT            "%s: entry %x is outside of what was loaded"
#define E_NO_BIOS               0x0703
#define E_NO_BIOS_TEXT          "domain %s: its kernel starts in real mode, which needs a BIOS, and there is none (entered by %s)"

/* 08: the partition launcher's resident part. */
#define E_PARTITION_MAGIC       0x0801
#define E_PARTITION_MAGIC_TEXT  "the data at %x start with %x, not with the magic of a partition"
#define E_PARTITION_LENGTH      0x0802
#define E_PARTITION_LENGTH_TEXT "the partition says that it is %u bytes long; at most %u are read"
#define E_PARTITION_CHECKSUM    0x0803
#define E_PARTITION_CHECKSUM_TEXT "the partition's checksum is %x, but it says %x: the image is damaged"
#define E_PARTITION_COUNT       0x0804
#define E_PARTITION_COUNT_TEXT  "the partition lists %u domains and %u cpus of them; from 1 to %u and %u are allowed"
#define E_PARTITION_MODULE      0x0805
#define E_PARTITION_MODULE_TEXT "module %u at [%x, %x) does not lie in the 4 GiB that the resident part reaches"
#define E_PARTITION_INTEL       0x0810
#define E_PARTITION_INTEL_TEXT  "launcher = partition needs AMD's SVM; this is an Intel cpu"
#define E_NO_SVM                0x0811
#define E_NO_SVM_TEXT           "launcher = partition needs AMD's SVM, which this cpu does not have"
#define E_SVM_OFF               0x0812
#define E_SVM_OFF_TEXT          "the firmware has switched SVM off (VM_CR %s): switch it on there"
#define E_NO_NESTED_PAGING      0x0813
#define E_NO_NESTED_PAGING_TEXT "launcher = partition needs nested paging, which this cpu's SVM does not have"
#define E_NO_TSC_RATE           0x0814
#define E_NO_TSC_RATE_TEXT      "neither CPUID nor the PIT says how fast the time-stamp counter is"
#define E_NO_RSDP               0x0820
#define E_NO_RSDP_TEXT          "there is no ACPI root pointer at %x, and without ACPI's tables the cpus are not known"
#define E_NO_MADT               0x0821
#define E_NO_MADT_TEXT          "ACPI's root table at %x has no MADT below 4 GiB, or is damaged"
#define E_MADT                  0x0822
#define E_MADT_TEXT             "ACPI's MADT at %x is damaged"
#define E_TOO_MANY_CPUS         0x0823
#define E_TOO_MANY_CPUS_TEXT    "this machine has more than %u cpus"
#define E_BOOT_CPU              0x0824
#define E_BOOT_CPU_TEXT         "ACPI's MADT does not have the cpu that boots, APIC id %u"
#define E_CPU_MISSING           0x0825
#define E_CPU_MISSING_TEXT      "domain %s: this machine has no enabled cpu with the APIC id %u that its cpu-ids name"
#define E_CPU_TWICE             0x0826
#define E_CPU_TWICE_TEXT        "domain %s: the cpu with APIC id %u that its cpu-ids name has been given away already"
#define E_TOO_FEW_CPUS          0x0827
#define E_TOO_FEW_CPUS_TEXT     "domain %s: there is no cpu left for its cpu %u: all domains need %u, this machine has %u"
#define E_CPU_SILENT            0x0828
#define E_CPU_SILENT_TEXT       "domain %s: the cpu that is to be its cpu %u, APIC id %u, does not answer"
#define E_NO_LOW_PAGE           0x0829
#define E_NO_LOW_PAGE_TEXT      "no page of free RAM in [%x, %x) to start the other cpus from"
#define E_NO_BANK               0x0830
#define E_NO_BANK_TEXT          "%s %s: no %u MiB of free RAM in one piece below %x"
#define E_DOMAIN_LOAD           0x0831
#define E_DOMAIN_LOAD_TEXT      "domain %s cannot be loaded: %s %u"
#define E_NESTED_ENTRY          0x0840
#define E_NESTED_ENTRY_TEXT     "domain %s: the nested entry %x at %x, for its address %x, is not what its memory asks for"
#define E_NESTED_PAGES          0x0841
#define E_NESTED_PAGES_TEXT     "domain %s: its nested tables map %u pages; its memory has %u"
#define E_NESTED_ROOT           0x0842
#define E_NESTED_ROOT_TEXT      "domain %s: the root %x of its nested tables is none of its tables"
#define E_RANGES_OVERLAP        0x0843
#define E_RANGES_OVERLAP_TEXT   "[%x, %x), which a domain has, meets [%x, %x)"

/* 09: device trees, for a stub without tables. */
#define E_FDT_CUT_SHORT         0x0901
#define E_FDT_CUT_SHORT_TEXT    "the device tree in module 0 is %u bytes long, but its %s ends at byte %x"
#define E_FDT_VERSION           0x0902
#define E_FDT_VERSION_TEXT      "the device tree in module 0 is version %u; versions from %u to %u can be read"
#define E_FDT_STRUCTURE         0x0903
#define E_FDT_STRUCTURE_TEXT    "the device tree in module 0 is malformed at byte %x of its structure"
#define E_FDT_NO_HYPERVISOR     0x0904
#define E_FDT_NO_HYPERVISOR_TEXT "the device tree in module 0 has no node /chosen/hypervisor compatible with hypervisor,xen"
#define E_FDT_PROPERTY          0x0905
#define E_FDT_PROPERTY_TEXT     "device tree: node %s: the %u bytes of property %s are no value for it"
#define E_FDT_MODULE            0x0906
#define E_FDT_MODULE_TEXT       "device tree: node %s: module %u is not one of modules 1 to %u"
#define E_FDT_MODULE_KIND       0x0907
#define E_FDT_MODULE_KIND_TEXT  "device tree: node %s: its compatible names no kind of module"
