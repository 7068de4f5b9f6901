/* Linux boot protocol 2.15: Documentation/arch/x86/boot.rst and zero-page.rst. */

#define LINUX_HEADER_MAGIC      0x53726448      /* "HdrS" */
#define LINUX_SECTOR            512
#define LINUX_DEFAULT_SECTORS   4               /* of the setup code, if setup_sects is 0 */
#define LINUX_ENTRY64           0x200           /* the 64-bit entry, from the loaded kernel's start */
#define LINUX_LEGACY_ADDRESS    0x100000        /* of a bzImage without pref_address */
#define LINUX_BOOT_FLAG         0xaa55
#define LINUX_VERSION_SYSSIZE   0x204           /* syssize has 32 bits */
#define LINUX_PARAGRAPH         16              /* bytes that syssize counts */
#define LINUX_VERSION_RELOCATABLE   0x205       /* relocatable_kernel */
#define LINUX_VERSION_CMDLINE_SIZE  0x206
#define LINUX_VERSION_32BIT         0x206       /* kernels of this and later ones can be entered in 32 bits */
#define LINUX_OLD_CMDLINE_ROOM      256         /* bytes of command line that older ones read, with the terminator */
#define LINUX_VERSION_INIT_SIZE     0x20a       /* pref_address, init_size */
#define LINUX_VERSION_XLOADFLAGS    0x20c
#define LINUX_LOADED_HIGH       (1 << 0)        /* loadflags: a bzImage */
#define LINUX_CAN_USE_HEAP      (1 << 7)        /* loadflags: heap_end_ptr is valid */
#define LINUX_XLF_KERNEL_64     (1 << 0)        /* xloadflags: has the 64-bit entry */
#define LINUX_LOADER_UNDEFINED  0xff            /* type_of_loader */
#define LINUX_NORMAL_VGA        0xffff          /* vid_mode */
#define LINUX_E820_PRAM         12              /* type of an entry: persistent memory */
#define LINUX_E820_MAX          128             /* entries in boot_params */
#define LINUX_SETUP_E820_EXT    1               /* setup_data.type: the entries beyond */
#define LINUX_VIDEO_TYPE_VGAC   0x22            /* orig_video_isVGA: colour text */
#define LINUX_VIDEO_TYPE_VLFB   0x23            /* linear framebuffer */
#define LINUX_VIDEO_MODE_TEXT   3
#define LINUX_FONT_POINTS       16
#define LINUX_VIDEO_CAPABILITY_64BIT_BASE (1 << 1)

struct boot_params {
    uint8  orig_x;
    uint8  orig_y;
    uint16 ext_mem_k;
    uint16 orig_video_page;
    uint8  orig_video_mode;
    uint8  orig_video_cols;
    uint16 flags;
    uint16 orig_video_ega_bx;
    uint16 unused3;
    uint8  orig_video_lines;
    uint8  orig_video_isvga;
    uint16 orig_video_points;
    uint16 lfb_width;
    uint16 lfb_height;
    uint16 lfb_depth;
    uint32 lfb_base;
    uint32 lfb_size;
    uint16 cl_magic;
    uint16 cl_offset;
    uint16 lfb_linelength;
    uint8  red_size;
    uint8  red_pos;
    uint8  green_size;
    uint8  green_pos;
    uint8  blue_size;
    uint8  blue_pos;
    uint8  rsvd_size;
    uint8  rsvd_pos;
    uint16 vesapm_seg;
    uint16 vesapm_off;
    uint16 pages;
    uint16 vesa_attributes;
    uint32 capabilities;
    uint32 ext_lfb_base;
    uint8  screen_reserved[2];
    uint8  apm_bios_info[20];
    uint8  pad2[4];
    uint64 tboot_addr;
    uint8  ist_info[16];
    uint64 acpi_rsdp_addr;
    uint8  pad3[8];
    uint8  hd_info[32];
    uint8  sys_desc_table[16];
    uint8  olpc_ofw_header[16];
    uint32 ext_ramdisk_image;
    uint32 ext_ramdisk_size;
    uint32 ext_cmd_line_ptr;
    uint8  pad4[116];
    uint8  edid_info[128];
    uint8  efi_info[32];
    uint32 alt_mem_k;
    uint32 scratch;
    uint8  e820_entries;
    uint8  eddbuf_entries;
    uint8  edd_mbr_sig_buf_entries;
    uint8  kbd_status;
    uint8  secure_boot;
    uint8  pad5[2];
    uint8  sentinel;
    uint8  pad6;
    uint8  setup_sects;     /* struct setup_header starts here, at 0x1f1 of the bzImage as well */
    uint16 root_flags;
    uint32 syssize;
    uint16 ram_size;
    uint16 vid_mode;
    uint16 root_dev;
    uint16 boot_flag;
    uint8  jump;
    uint8  jump_offset;     /* the header ends this many bytes behind the next field's start */
    uint32 header;
    uint16 version;
    uint32 realmode_swtch;
    uint16 start_sys_seg;
    uint16 kernel_version;
    uint8  type_of_loader;
    uint8  loadflags;
    uint16 setup_move_size;
    uint32 code32_start;
    uint32 ramdisk_image;
    uint32 ramdisk_size;
    uint32 bootsect_kludge;
    uint16 heap_end_ptr;
    uint8  ext_loader_ver;
    uint8  ext_loader_type;
    uint32 cmd_line_ptr;
    uint32 initrd_addr_max;
    uint32 kernel_alignment;
    uint8  relocatable_kernel;
    uint8  min_alignment;
    uint16 xloadflags;
    uint32 cmdline_size;
    uint32 hardware_subarch;
    uint64 hardware_subarch_data;
    uint32 payload_offset;
    uint32 payload_length;
    uint64 setup_data;
    uint64 pref_address;
    uint32 init_size;
    uint32 handover_offset;
    uint32 kernel_info_offset;
    uint8  pad7[36];
    uint8  edd_mbr_sig_buffer[64];
    uint8  e820_table[2560];
    uint8  pad8[48];
    uint8  eddbuf[492];
    uint8  pad9[276];
};

struct boot_e820_entry {
    uint64 addr;
    uint64 size;
    uint32 type;
};

struct setup_data {
    uint64 next;
    uint32 type;
    uint32 len;             /* bytes of data behind it */
};
