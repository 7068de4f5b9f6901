"""What the records and constants of stub/abi are called in other people's headers, for test_outside_headers.py.

Each header of stub/abi is held against somebody else's (`WORLDS`). What no header has is named with the page of its
specification (`BY_THE_BOOK`), and what is nobody's but ours as well (`OURS`), so that nothing new is forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

# Fields that hold nothing: where they lie is seen by what lies behind them.
FILLER = re.compile(r"(pad|padding|reserved|unused|rest)\d*|e_rest|screen_reserved")


@dataclass(frozen=True)
class Record:
    """A struct of ours and its C type. names: fields that are called otherwise there ("" for none); prefix: ours ends
    before theirs does, or fills it up.
    """

    ctype: str
    names: Mapping[str, str] = field(default_factory=dict)
    prefix: bool = False


@dataclass(frozen=True)
class World:
    """Headers of somebody else's: what includes them, records by our name, constants by our name, and how a field is
    spelled there when no record says otherwise.
    """

    includes: str
    records: Mapping[str, Record]
    constants: Mapping[str, str]
    camel: bool = False


SYMS = {f"syms_{name}": f"u.elf_sec.{name}" for name in ("num", "size", "addr", "shndx")}


def words(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


def same(prefix: str, *names: str) -> dict[str, str]:
    """Constants that are called the same there, behind a prefix."""
    return {name: prefix + name for name in names}


def inside(path: str, *names: str) -> dict[str, str]:
    """Fields that lie inside of one there."""
    return {name: f"{path}.{name}" for name in names}


SCREEN = words(
    "orig_x orig_y ext_mem_k orig_video_page orig_video_mode orig_video_cols orig_video_ega_bx orig_video_lines "
    "orig_video_points lfb_width lfb_height lfb_depth lfb_base lfb_size cl_magic cl_offset lfb_linelength red_size "
    "red_pos green_size green_pos blue_size blue_pos rsvd_size rsvd_pos vesapm_seg vesapm_off pages vesa_attributes "
    "capabilities ext_lfb_base"
)
SETUP_HEADER = words(
    "setup_sects root_flags syssize ram_size vid_mode root_dev boot_flag header version realmode_swtch start_sys_seg "
    "kernel_version type_of_loader loadflags setup_move_size code32_start ramdisk_image ramdisk_size bootsect_kludge "
    "heap_end_ptr ext_loader_ver ext_loader_type cmd_line_ptr initrd_addr_max kernel_alignment relocatable_kernel "
    "min_alignment xloadflags cmdline_size hardware_subarch hardware_subarch_data payload_offset payload_length "
    "setup_data pref_address init_size handover_offset kernel_info_offset"
)
SVM_EXITS = words(
    "READ_CR0 WRITE_CR0 READ_DR0 WRITE_DR0 EXCP_BASE LAST_EXCP INTR NMI SMI INIT VINTR CR0_SEL_WRITE IDTR_READ "
    "GDTR_READ LDTR_READ TR_READ IDTR_WRITE GDTR_WRITE LDTR_WRITE TR_WRITE RDTSC RDPMC PUSHF POPF CPUID RSM IRET SWINT "
    "INVD PAUSE HLT INVLPG INVLPGA IOIO MSR TASK_SWITCH FERR_FREEZE SHUTDOWN VMRUN VMMCALL VMLOAD VMSAVE STGI CLGI "
    "SKINIT RDTSCP ICEBP WBINVD MONITOR MWAIT MWAIT_COND XSETBV RDPRU EFER_WRITE_TRAP CR0_WRITE_TRAP INVPCID NPF "
    "AVIC_INCOMPLETE_IPI AVIC_UNACCELERATED_ACCESS VMGEXIT"
)

WORLDS = {
    "linux": World(
        "#include <asm/bootparam.h>\n#include <linux/screen_info.h>\n",
        {
            "boot_params": Record(
                "struct boot_params",
                {
                    **inside("screen_info", *SCREEN),
                    **inside("hdr", *SETUP_HEADER),
                    "orig_video_isvga": "screen_info.orig_video_isVGA",
                    "flags": "",  # a byte there, and one that nobody uses
                    "jump": "",  # one field of two bytes there
                    "jump_offset": "",
                    "hd_info": "",  # two of 16 bytes there
                },
            ),
            "boot_e820_entry": Record("struct boot_e820_entry"),
            "setup_data": Record("struct setup_data"),
            "efi_info": Record(
                "struct efi_info",
                {
                    name: f"efi_{name}"
                    for name in (
                        "loader_signature",
                        "systab",
                        "memdesc_size",
                        "memdesc_version",
                        "memmap",
                        "memmap_size",
                        "systab_hi",
                        "memmap_hi",
                    )
                },
            ),
        },
        {
            "LINUX_LOADED_HIGH": "LOADED_HIGH",
            "LINUX_CAN_USE_HEAP": "CAN_USE_HEAP",
            "LINUX_XLF_KERNEL_64": "XLF_KERNEL_64",
            "LINUX_E820_MAX": "E820_MAX_ENTRIES_ZEROPAGE",
            "LINUX_SETUP_E820_EXT": "SETUP_E820_EXT",
            "LINUX_VIDEO_TYPE_VGAC": "VIDEO_TYPE_VGAC",
            "LINUX_VIDEO_TYPE_VLFB": "VIDEO_TYPE_VLFB",
            "LINUX_VIDEO_CAPABILITY_64BIT_BASE": "VIDEO_CAPABILITY_64BIT_BASE",
        },
    ),
    "x86": World(
        "#include <asm/processor-flags.h>\n#include <linux/serial_reg.h>\n",
        {},
        {
            **same("X86_", "CR0_PE", "CR0_MP", "CR0_EM", "CR0_TS", "CR0_ET", "CR0_NE", "CR0_WP", "CR0_AM", "CR0_PG"),
            **same("X86_", "CR4_PAE", "CR4_OSFXSR", "CR4_OSXMMEXCPT", "CR4_LA57_BIT"),
            **same("X86_", "EFLAGS_ID", "EFLAGS_AC", "EFLAGS_DF"),
            "UART_DATA": "UART_RX",
            "UART_DIVISOR_LOW": "UART_DLL",
            "UART_DIVISOR_HIGH": "UART_DLM",
            **same("", "UART_IER", "UART_FCR", "UART_LCR", "UART_MCR", "UART_LSR", "UART_LCR_DLAB", "UART_LSR_THRE"),
            "UART_SCRATCH": "UART_SCR",
            "UART_FCR_ENABLE": "UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT",
            "UART_LCR_8N1": "UART_LCR_WLEN8",
            "UART_MCR_DTR_RTS": "UART_MCR_DTR | UART_MCR_RTS",
        },
    ),
    "elf": World(
        "#include <elf.h>\n",
        {
            "elf32_ehdr": Record("Elf32_Ehdr"),
            "elf64_ehdr": Record("Elf64_Ehdr"),
            "elf32_phdr": Record("Elf32_Phdr"),
            "elf64_phdr": Record("Elf64_Phdr"),
            "elf32_shdr": Record("Elf32_Shdr"),
            "elf64_shdr": Record("Elf64_Shdr"),
            "elf_nhdr": Record("Elf32_Nhdr"),
        },
        {
            "ELF_MAGIC": "ELFMAG0 | ELFMAG1 << 8 | ELFMAG2 << 16 | ELFMAG3 << 24",
            "ELF_CLASS": "EI_CLASS",
            "ELF_CLASS_32": "ELFCLASS32",
            "ELF_CLASS_64": "ELFCLASS64",
            "ELF_DATA": "EI_DATA",
            "ELF_DATA_LITTLE": "ELFDATA2LSB",
            "ELF_ET_EXEC": "ET_EXEC",
            "ELF_ET_DYN": "ET_DYN",
            "ELF_EM_386": "EM_386",
            "ELF_EM_X86_64": "EM_X86_64",
            "ELF_PT_LOAD": "PT_LOAD",
            "ELF_PT_NOTE": "PT_NOTE",
            "ELF_SHT_NOBITS": "SHT_NOBITS",
        },
    ),
    "xen": World(
        "#include <stdint.h>\n#include <xen/xen.h>\n#include <xen/elfnote.h>\n"
        "#include <xen/arch-x86/hvm/start_info.h>\n",
        {name: Record(f"struct {name}") for name in ("hvm_start_info", "hvm_modlist_entry", "hvm_memmap_table_entry")},
        {
            **same("", "XEN_HVM_START_MAGIC_VALUE", "XEN_ELFNOTE_PHYS32_ENTRY", "SIF_PRIVILEGED", "SIF_INITDOMAIN"),
            **same(
                "",
                *(f"XEN_HVM_MEMMAP_TYPE_{kind}" for kind in words("RAM RESERVED ACPI NVS UNUSABLE DISABLED PMEM")),
            ),
        },
    ),
    "svm": World(
        "#include <asm/svm.h>\n",
        {},
        {
            **same("", *(f"SVM_EXIT_{name}" for name in SVM_EXITS)),
            "SVM_EXIT_INVALID": "(unsigned long long)SVM_EXIT_ERR",
        },
    ),
    "kvm": World(
        "#include <asm/kvm_para.h>\n",
        {},
        {
            **same(
                "",
                "KVM_CPUID_SIGNATURE",
                "KVM_CPUID_FEATURES",
                "MSR_KVM_WALL_CLOCK_NEW",
                "MSR_KVM_SYSTEM_TIME_NEW",
                "KVM_MSR_ENABLED",
            ),
            "KVM_SIGNATURE_EBX": "*(unsigned *)(KVM_SIGNATURE + 0)",
            "KVM_SIGNATURE_ECX": "*(unsigned *)(KVM_SIGNATURE + 4)",
            "KVM_SIGNATURE_EDX": "*(unsigned *)(KVM_SIGNATURE + 8)",
            "KVM_FEATURE_NOP_IO_DELAY": "1 << KVM_FEATURE_NOP_IO_DELAY",
            "KVM_FEATURE_CLOCKSOURCE2": "1 << KVM_FEATURE_CLOCKSOURCE2",
            "KVM_FEATURE_CLOCKSOURCE_STABLE": "1 << KVM_FEATURE_CLOCKSOURCE_STABLE_BIT",
        },
    ),
    "pvclock": World(  # KVM took it from Xen
        "#include <stdint.h>\n#define __XEN_INTERFACE_VERSION__ 0x00040700\n#include <xen/xen.h>\n",
        {"pvclock_vcpu_time_info": Record("struct vcpu_time_info")},
        {"PVCLOCK_TSC_STABLE": "XEN_PVCLOCK_TSC_STABLE_BIT"},
    ),
    "multiboot1": World(
        "#include <multiboot/multiboot.h>\n",
        {
            "multiboot1_header": Record("struct multiboot_header", prefix=True),
            "multiboot1_addresses": Record("struct multiboot_header", prefix=True),
            "multiboot1_info": Record("struct multiboot_info", SYMS, prefix=True),
            "multiboot1_module": Record("struct multiboot_mod_list", {"string": "cmdline"}),
            "multiboot1_mmap": Record("struct multiboot_mmap_entry"),
        },
        {
            "MULTIBOOT1_HEADER_MAGIC": "MULTIBOOT_HEADER_MAGIC",
            "MULTIBOOT1_LOADER_MAGIC": "MULTIBOOT_BOOTLOADER_MAGIC",
            "MULTIBOOT1_SEARCH": "MULTIBOOT_SEARCH",
            "MULTIBOOT1_PAGE_ALIGN": "MULTIBOOT_PAGE_ALIGN",
            "MULTIBOOT1_MEMORY_INFO": "MULTIBOOT_MEMORY_INFO",
            "MULTIBOOT1_VIDEO_MODE": "MULTIBOOT_VIDEO_MODE",
            "MULTIBOOT1_ADDRESSES": "MULTIBOOT_AOUT_KLUDGE",
            "MULTIBOOT1_INFO_FLAG_MEMORY": "MULTIBOOT_INFO_MEMORY",
            "MULTIBOOT1_INFO_FLAG_BOOT_DEVICE": "MULTIBOOT_INFO_BOOTDEV",
            "MULTIBOOT1_INFO_FLAG_CMDLINE": "MULTIBOOT_INFO_CMDLINE",
            "MULTIBOOT1_INFO_FLAG_MODS": "MULTIBOOT_INFO_MODS",
            "MULTIBOOT1_INFO_FLAG_ELF_SECTIONS": "MULTIBOOT_INFO_ELF_SHDR",
            "MULTIBOOT1_INFO_FLAG_MMAP": "MULTIBOOT_INFO_MEM_MAP",
            "MULTIBOOT1_INFO_FLAG_LOADER_NAME": "MULTIBOOT_INFO_BOOT_LOADER_NAME",
        },
    ),
    "efi": World(
        "#include <efi.h>\n#include <libsmbios.h>\n",
        {
            "efi_system_table": Record(
                "EFI_SYSTEM_TABLE", {"number_of_table_entries": "NumberOfTableEntries", "reserved": ""}
            ),
            "efi_configuration_table": Record("EFI_CONFIGURATION_TABLE"),
            "efi_boot_services": Record(
                "EFI_BOOT_SERVICES",
                {
                    "raise_tpl": "RaiseTPL",
                    "restore_tpl": "RestoreTPL",
                    "events": "CreateEvent",
                    "protocol_interfaces": "InstallProtocolInterface",
                    "reserved": "PCHandleProtocol",
                    "controllers": "ConnectController",
                },
                prefix=True,
            ),
            "efi_text_output": Record("SIMPLE_TEXT_OUTPUT_INTERFACE", prefix=True),
            "efi_loaded_image": Record("EFI_LOADED_IMAGE", prefix=True),
            "efi_graphics_output": Record("struct _EFI_GRAPHICS_OUTPUT_PROTOCOL"),
            "efi_graphics_mode": Record("EFI_GRAPHICS_OUTPUT_PROTOCOL_MODE"),
            "efi_graphics_info": Record("EFI_GRAPHICS_OUTPUT_MODE_INFORMATION", {"pixel_masks": "PixelInformation"}),
            "efi_memory_descriptor": Record("EFI_MEMORY_DESCRIPTOR"),
            "smbios_entry": Record(
                "SMBIOS_STRUCTURE_TABLE",
                {
                    "anchor": "AnchorString",
                    "checksum": "EntryPointStructureChecksum",
                    "length": "EntryPointLength",
                    "version": "MajorVersion",
                    "max_structure": "MaxStructureSize",
                    "revision": "EntryPointRevision",
                    "formatted": "FormattedArea",
                    "dmi_anchor": "IntermediateAnchorString",
                    "dmi_checksum": "IntermediateChecksum",
                    "table": "TableAddress",
                    "structures": "NumberOfSmbiosStructures",
                    "bcd": "SmbiosBcdRevision",
                },
            ),
            "smbios3_entry": Record(
                "SMBIOS3_STRUCTURE_TABLE",
                {
                    "anchor": "AnchorString",
                    "anchor_end": "AnchorString[4]",
                    "checksum": "EntryPointStructureChecksum",
                    "length": "EntryPointLength",
                    "major": "MajorVersion",
                    "minor": "MinorVersion",
                    "docrev": "DocRev",
                    "revision": "EntryPointRevision",
                    "table_length": "TableMaximumSize",
                    "table": "TableAddress",
                },
            ),
            "smbios_structure": Record("SMBIOS_HEADER"),
        },
        {
            "EFI_SYSTEM_SIGNATURE": "EFI_SYSTEM_TABLE_SIGNATURE",
            "EFI_INVALID_PARAMETER": "(unsigned long long)EFI_INVALID_PARAMETER",
            "EFI_BUFFER_TOO_SMALL": "(unsigned long long)EFI_BUFFER_TOO_SMALL",
            "EFI_ALLOCATE_MAX_ADDRESS": "AllocateMaxAddress",
            "EFI_ALLOCATE_ADDRESS": "AllocateAddress",
            "EFI_LOADER_CODE": "EfiLoaderCode",
            "EFI_LOADER_DATA": "EfiLoaderData",
            "EFI_CONVENTIONAL_MEMORY": "EfiConventionalMemory",
            "EFI_PIXEL_RGB": "PixelRedGreenBlueReserved8BitPerColor",
            "EFI_PIXEL_BGR": "PixelBlueGreenRedReserved8BitPerColor",
        },
        camel=True,
    ),
    "pe": World(
        "#include <efi.h>\n#include <pe.h>\n",
        {
            "pe_dos_header": Record("IMAGE_DOS_HEADER", {"e_magic": "e_magic", "e_lfanew": "e_lfanew"}),
            "pe_file_header": Record(
                "struct { UINT32 Signature; IMAGE_FILE_HEADER File; }",
                {
                    "signature": "Signature",
                    **{
                        name: f"File.{there}"
                        for name, there in (
                            ("machine", "Machine"),
                            ("number_of_sections", "NumberOfSections"),
                            ("time_date_stamp", "TimeDateStamp"),
                            ("pointer_to_symbol_table", "PointerToSymbolTable"),
                            ("number_of_symbols", "NumberOfSymbols"),
                            ("size_of_optional_header", "SizeOfOptionalHeader"),
                            ("characteristics", "Characteristics"),
                        )
                    },
                },
            ),
            "pe_directory": Record("IMAGE_DATA_DIRECTORY", {"rva": "VirtualAddress"}),
            "pe_section_header": Record("IMAGE_SECTION_HEADER", {"virtual_size": "Misc.VirtualSize"}),
            "pe_base_relocation": Record(
                "IMAGE_BASE_RELOCATION", {"page_rva": "VirtualAddress", "block_size": "SizeOfBlock"}
            ),
        },
        {
            "PE_DOS_MAGIC": "IMAGE_DOS_SIGNATURE",
            "PE_SIGNATURE": "IMAGE_NT_SIGNATURE",
            "PE_MACHINE_X64": "IMAGE_FILE_MACHINE_X64",
            "PE_EXECUTABLE_IMAGE": "IMAGE_FILE_EXECUTABLE_IMAGE",
            "PE_LINE_NUMS_STRIPPED": "IMAGE_FILE_LINE_NUMS_STRIPPED",
            "PE_DIRECTORIES": "IMAGE_NUMBEROF_DIRECTORY_ENTRIES",
            "PE_DIRECTORY_SECURITY": "IMAGE_DIRECTORY_ENTRY_SECURITY",
            "PE_DIRECTORY_BASERELOC": "IMAGE_DIRECTORY_ENTRY_BASERELOC",
            "PE_SECTION_CODE": "IMAGE_SCN_CNT_CODE",
            "PE_SECTION_DATA": "IMAGE_SCN_CNT_INITIALIZED_DATA",
            "PE_SECTION_DISCARDABLE": "IMAGE_SCN_MEM_DISCARDABLE",
            "PE_SECTION_EXECUTE": "IMAGE_SCN_MEM_EXECUTE",
            "PE_SECTION_READ": "IMAGE_SCN_MEM_READ",
            "PE_SECTION_WRITE": "IMAGE_SCN_MEM_WRITE",
        },
        camel=True,
    ),
    "fdt": World(
        "#include <stdint.h>\ntypedef uint32_t fdt32_t; typedef uint64_t fdt64_t;\n#include <fdt.h>\n",
        {"fdt_header": Record("struct fdt_header")},
        same("", "FDT_MAGIC", "FDT_BEGIN_NODE", "FDT_END_NODE", "FDT_PROP", "FDT_NOP", "FDT_END"),
    ),
}

# Records and constants that no header of a Debian package has, and where they are written. Patterns of whole names.
BY_THE_BOOK = {
    r"DR[67]_RESET": "AMD APM 2, table 14-1",
    r"PAT_RESET": "AMD APM 2, 7.8.1",
    r"rsdp|RSDP_\w+": "ACPI 6.5, 5.2.5.3",
    r"acpi_header": "ACPI 6.5, 5.2.6",
    r"acpi_address|ACPI_SPACE_\w+|ACPI_ACCESS_\w+": "ACPI 6.5, 5.2.3.2",
    r"RSDT_SIGNATURE|XSDT_SIGNATURE|DSDT_SIGNATURE": "ACPI 6.5, 5.2.7, 5.2.8 and 5.2.11.1",
    r"fadt|FADT_\w+": "ACPI 6.5, 5.2.9",
    r"SLEEP_CONTROL_\w+": "ACPI 6.5, 4.8.3.7",
    r"PM1_\w+": "ACPI 6.5, 4.8.3.2",
    r"DSDT_S5_NAME|AML_\w+": "ACPI 6.5, 7.4.2 and 20.2",
    r"madt\w*|MADT_\w+": "ACPI 6.5, 5.2.12",
    r"VECTOR_\w+": "Intel SDM 3, 6.3.1",
    r"\w+_LENGTH": "Intel SDM 2, the instructions' opcodes",
    r"DR6_\w+|DR7_\w+|XCR0_\w+": "Intel SDM 3, 18.2 and 2.6",
    r"(SIPI|REAL)_SEGMENT_SHIFT": "Intel SDM 3, 9.4.4.1 and 21.1.1",
    r"X2APIC_\w+|XAPIC_\w+": "Intel SDM 3, 11.6.2 and 11.12.10",
    r"UART_\w+": "National PC16550D, 8: register descriptions",
    r"RESET_CPU": "Intel ICH, reset control register",
    r"CARRIAGE_RETURN|LINE_FEED|CONTROL_A": "ASCII",
    r"DAYS_TO_1970": "the Gregorian calendar; Python computes the same in other tests",
    r"PIT_\w+|PORT_PIT_\w+": "Intel 8254, control word and counter latch command; 1.193182 MHz: ISA's clock by 12",
    r"PORT_PIC_\w+": "Intel 8259A, OCW1; IBM AT Technical Reference, its ports",
    r"IOAPIC_\w+": "Intel 82093AA, 3.1 and 3.2",
    r"SYSTEM_B_\w+|PORT_SYSTEM_B": "IBM AT Technical Reference, port 0x61",
    r"SMBIOS\w+": "SMBIOS 3.7, 5.2; the GUIDs: UEFI 2.10, 4.6.1.1",
    r"multiboot2_\w+|MULTIBOOT2_\w+": "Multiboot2 Specification 2.0, 3.1 and 3.6",
    r"pe_optional_header|PE_\w+": "Microsoft PE format, Optional Header; LIEF and sbverify read it in other tests",
    r"efi_guid": "RFC 4122; two numbers of 8 bytes here",
    r"EFI_MEMORY_TYPES": "UEFI 2.10, 7.2.1",
    r"EFI_SHADOW": "UEFI 2.10, 2.3.4.2",
    r"EFI_LOADER_SIGNATURE64": "Linux, arch/x86/include/asm/efi.h",
    r"fdt_property|FDT_(FIRST|LAST)_VERSION": "Devicetree Specification 0.4, 5.4 and 5.2; the tag lies in front here",
    r"LINUX_\w+": "Linux, Documentation/arch/x86/boot.rst",
    r"MULTIBOOT1_REQUIREMENTS": "Multiboot Specification 0.6.96, 3.1.2",
    r"PVH_DEFAULT_ALIGNMENT": "Xen 4.20, public/elfnote.h, of XEN_ELFNOTE_PHYS32_RELOC",
    r"XEN_ELFNOTE_PHYS32_RELOC": "Xen 4.20, public/elfnote.h; Debian 12 has 4.17",
    r"XEN_NOTE_NAME": "Xen, public/elfnote.h",
    r"idt_gate|IDT_\w+|tss64|GDT_\w+": "Intel SDM 3, 3.4.5, 6.14 and 8.7",
    r"vmcb\w*|VMCB_SEGMENT_\w+|(INTERCEPT|TLB_CONTROL|V|NP|LBR|CLEAN|EVENT)_\w+": "AMD APM 2, 15 and B",
    r"X2AVIC_ENABLE|AVIC_ENABLE|INTERRUPT_SHADOW|GUEST_INTERRUPT_MASK": "AMD APM 2, B",
    r"SVM_EXIT_\w+": "AMD APM 2, C; Linux 6.1 has no names for those of misc3 but INVPCID",
    r"IOIO_\w+|IOPM_\w+|MSRPM_\w+|NPF_\w+": "AMD APM 2, 15.10, 15.11 and 15.25.6",
    r"VM_CR_\w+|CPUID_SVM\w*": "AMD APM 2, 15.30.1; APM 3, E.4.9",
    r"(LAPIC|APIC_BASE|SVR|DFR|DELIVERY|ICR|LVT)_\w+": "Intel SDM 3, 11.4 to 11.8 and 11.12; AMD APM 2, 16",
    r"pvclock_wall_clock": "Linux, Documentation/virt/kvm/x86/msr.rst",
    r"MSR_EFER|EFER_\w+|MSR_\w+": "Intel SDM 4, 2.1; AMD APM 2, A",
    r"PTE_\w+|PAGE_\w+": "Intel SDM 3, 4.5",
    r"MTRR_\w+|MEMORY_WRITE_BACK": "Intel SDM 3, 12.11",
    r"CPUID_\w+|TOPOLOGY_\w+": "Intel SDM 2, CPUID",
    r"FEATURE_CONTROL_\w+": "Intel SDM 3, 24.7",
    r"CR0_\w+|CR4_\w+|EFLAGS_\w+|MXCSR_\w+|FCW_\w+": "Intel SDM 3, 2.5",
    r"UART_COM1|VGA_\w+|PORT_\w+|CMOS_\w+|RESET_HARD|KEYBOARD_RESET": "the PC's ports",
    r"KEYBOARD_\w+": "IBM AT Technical Reference, keyboard controller: status register; scan codes of set 1",
    r"BDA_\w+|EBDA_\w+|BIOS_ROM_\w+": "the BIOS' areas; ACPI 6.5, 5.2.5.1",
    r"BIOS_SYSTEM_VECTOR": "SDM 3, 20.1.4: vectors of 4 bytes from address 0 on; 0x15 is the BIOS' system services",
    r"REAL_MODE_\w+": "Linux, Documentation/arch/x86/boot.rst, the real-mode code at 0x90000",
    r"CRC32_POLYNOMIAL": "IEEE 802.3; zlib computes the same in other tests",
}
# Headers that declare what is ours alone, and what is ours in the others.
OUR_HEADERS = {
    "boot_info.h",
    "builder.h",
    "errors.h",
    "framebuffer.h",
    "handover.h",
    "layout.h",
    "messages.h",
    "partition.h",
    "stages.h",
    "tables.h",
}
OURS = re.compile(
    r"segment|domain_cell|module_kind|(ACPI|UART|SMBIOS_MAX|EFI_EXIT)_\w*TRIES|UART_SCRATCH_TEST|EFI_MAP_SIZE|"
    r"FDT_MAGIC_BYTES|FDT_MAX_DEPTH|ELF_MAX_\w+|PROBE_\w+|EXCEPTION_\w+|LIFE_TICKS|STILL_TICKS_SHIFT|EFI_MAX_TABLES"
)


# One number here, several fields or an array of bytes there.
JOINED = {("smbios_entry", "anchor"), ("smbios_entry", "version"), ("smbios3_entry", "anchor")}
