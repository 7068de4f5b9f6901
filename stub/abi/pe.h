/* PE32+ (Microsoft PE and COFF specification): the container of an EFI application. */

#define PE_DOS_MAGIC            0x5a4d          /* "MZ" */
#define PE_SIGNATURE            0x00004550      /* "PE\0\0" */
#define PE_MACHINE_X64          0x8664
#define PE_MAGIC_PE32PLUS       0x20b
#define PE_SUBSYSTEM_EFI_APPLICATION 10
#define PE_EXECUTABLE_IMAGE     0x0002          /* characteristics of the file */
#define PE_LINE_NUMS_STRIPPED   0x0004
#define PE_LARGE_ADDRESS_AWARE  0x0020
#define PE_NX_COMPAT            0x0100          /* dll_characteristics: no section is written and executed */
#define PE_DIRECTORIES          16
#define PE_DIRECTORY_SECURITY   4
#define PE_DIRECTORY_BASERELOC  5
#define PE_SECTION_CODE         0x00000020
#define PE_SECTION_DATA         0x00000040
#define PE_SECTION_DISCARDABLE  0x02000000
#define PE_SECTION_EXECUTE      0x20000000
#define PE_SECTION_READ         0x40000000
#define PE_SECTION_WRITE        0x80000000

struct pe_dos_header {
    uint16 e_magic;
    uint8  e_rest[58];
    uint32 e_lfanew;
};

struct pe_file_header {
    uint32 signature;
    uint16 machine;
    uint16 number_of_sections;
    uint32 time_date_stamp;
    uint32 pointer_to_symbol_table;
    uint32 number_of_symbols;
    uint16 size_of_optional_header;
    uint16 characteristics;
};

struct pe_directory {
    uint32 rva;
    uint32 size;
};

struct pe_optional_header {
    uint16 magic;
    uint8  major_linker_version;
    uint8  minor_linker_version;
    uint32 size_of_code;
    uint32 size_of_initialized_data;
    uint32 size_of_uninitialized_data;
    uint32 address_of_entry_point;
    uint32 base_of_code;
    uint64 image_base;
    uint32 section_alignment;
    uint32 file_alignment;
    uint16 major_os_version;
    uint16 minor_os_version;
    uint16 major_image_version;
    uint16 minor_image_version;
    uint16 major_subsystem_version;
    uint16 minor_subsystem_version;
    uint32 win32_version_value;
    uint32 size_of_image;
    uint32 size_of_headers;
    uint32 checksum;
    uint16 subsystem;
    uint16 dll_characteristics;
    uint64 size_of_stack_reserve;
    uint64 size_of_stack_commit;
    uint64 size_of_heap_reserve;
    uint64 size_of_heap_commit;
    uint32 loader_flags;
    uint32 number_of_rva_and_sizes;
    pe_directory directories[16];
};

struct pe_section_header {
    char   name[8];
    uint32 virtual_size;
    uint32 virtual_address;
    uint32 size_of_raw_data;
    uint32 pointer_to_raw_data;
    uint32 pointer_to_relocations;
    uint32 pointer_to_linenumbers;
    uint16 number_of_relocations;
    uint16 number_of_linenumbers;
    uint32 characteristics;
};

struct pe_base_relocation {     /* one block without entries: it says that the image may lie anywhere */
    uint32 page_rva;
    uint32 block_size;
};
