/* UEFI Specification 2.10: what the EFI entry uses. Services are offsets of function pointers. */

#define EFI_SYSTEM_SIGNATURE    0x5453595320494249      /* "IBI SYST" */
#define EFI_INVALID_PARAMETER   0x8000000000000002
#define EFI_BUFFER_TOO_SMALL    0x8000000000000005

#define EFI_ALLOCATE_MAX_ADDRESS    1
#define EFI_ALLOCATE_ADDRESS        2
#define EFI_LOADER_CODE             1
#define EFI_LOADER_DATA             2
#define EFI_CONVENTIONAL_MEMORY     7

#define EFI_MEMORY_TYPES        15      /* 0 EfiReservedMemoryType to 14 EfiPersistentMemory */
#define EFI_MAP_SIZE            0x10000 /* bytes kept for the memory map: some 1300 descriptors */
#define EFI_MAX_TABLES          1024    /* configuration tables that are looked at: real firmware has some 20 */
#define EFI_EXIT_TRIES          8       /* firmware may hand out a stale map key */
#define EFI_SHADOW              32      /* bytes that a caller leaves for the callee (Microsoft x64 ABI) */
#define EFI_LOADER_SIGNATURE64  0x34364c45      /* "EL64", for Linux */

#define EFI_PIXEL_RGB           0       /* PixelRedGreenBlueReserved8BitPerColor */
#define EFI_PIXEL_BGR           1       /* PixelBlueGreenRedReserved8BitPerColor */

struct efi_guid {
    uint64 low;
    uint64 high;
};

struct efi_system_table {
    uint8  hdr[24];
    uint64 firmware_vendor; /* CHAR16 * */
    uint32 firmware_revision;
    uint32 reserved;
    uint64 console_in_handle;
    uint64 con_in;
    uint64 console_out_handle;
    uint64 con_out;
    uint64 standard_error_handle;
    uint64 std_err;
    uint64 runtime_services;
    uint64 boot_services;
    uint64 number_of_table_entries;
    uint64 configuration_table;
};

struct efi_configuration_table {
    efi_guid vendor_guid;
    uint64 vendor_table;
};

struct efi_boot_services {
    uint8  hdr[24];
    uint64 raise_tpl;
    uint64 restore_tpl;
    uint64 allocate_pages;
    uint64 free_pages;
    uint64 get_memory_map;
    uint64 allocate_pool;
    uint64 free_pool;
    uint64 events[6];
    uint64 protocol_interfaces[3];
    uint64 handle_protocol;
    uint64 reserved;
    uint64 register_protocol_notify;
    uint64 locate_handle;
    uint64 locate_device_path;
    uint64 install_configuration_table;
    uint64 load_image;
    uint64 start_image;
    uint64 exit;
    uint64 unload_image;
    uint64 exit_boot_services;
    uint64 get_next_monotonic_count;
    uint64 stall;
    uint64 set_watchdog_timer;
    uint64 controllers[2];
    uint64 open_protocol;
    uint64 close_protocol;
    uint64 open_protocol_information;
    uint64 protocols_per_handle;
    uint64 locate_handle_buffer;
    uint64 locate_protocol;
};

struct efi_text_output {
    uint64 reset;
    uint64 output_string;
};

struct efi_loaded_image {
    uint32 revision;
    uint32 reserved3;
    uint64 parent_handle;
    uint64 system_table;
    uint64 device_handle;
    uint64 file_path;
    uint64 reserved;
    uint32 load_options_size;   /* bytes */
    uint32 reserved2;
    uint64 load_options;        /* CHAR16 * */
    uint64 image_base;
    uint64 image_size;
};

struct efi_graphics_output {
    uint64 query_mode;
    uint64 set_mode;
    uint64 blt;
    uint64 mode;
};

struct efi_graphics_mode {
    uint32 max_mode;
    uint32 mode;
    uint64 info;
    uint64 size_of_info;
    uint64 frame_buffer_base;
    uint64 frame_buffer_size;
};

struct efi_graphics_info {
    uint32 version;
    uint32 horizontal_resolution;
    uint32 vertical_resolution;
    uint32 pixel_format;
    uint32 pixel_masks[4];
    uint32 pixels_per_scan_line;
};

struct efi_memory_descriptor {
    uint32 type;
    uint32 reserved;
    uint64 physical_start;
    uint64 virtual_start;
    uint64 number_of_pages;
    uint64 attribute;
};

struct efi_info {           /* of Linux' boot_params */
    uint32 loader_signature;
    uint32 systab;
    uint32 memdesc_size;
    uint32 memdesc_version;
    uint32 memmap;
    uint32 memmap_size;
    uint32 systab_hi;
    uint32 memmap_hi;
};
