/* Where a boot has come to. Each number goes to port 0x80 when its stage begins, where a card shows it, and into a record
 * in memory that a warm reset leaves alone, from which the next boot says where this one ended. An error shows
 * STAGE_ERROR and the second digit of its number: 0xe4 for E0404. */
#define STAGE_ENTRY     0xb0    /* the stub was entered; its console is not there yet */
#define STAGE_TABLES    0xb1    /* its tables are read */
#define STAGE_MEMORY    0xb2    /* the loader's memory map is put in order */
#define STAGE_MODULES   0xb3    /* modules are found, and checked by SHA-256 */
#define STAGE_BUILDER   0xb4    /* kernel and ramdisk are unpacked to their places */
#define STAGE_LAUNCH    0xb5    /* what the kernel is told is made */
#define STAGE_LAUNCHED  0xb6    /* the kernel, the hypervisor or the resident part is entered */
#define STAGE_ERROR     0xe0

#define L_STAGE_ENTRY    "entry"
#define L_STAGE_TABLES   "tables"
#define L_STAGE_MEMORY   "memory"
#define L_STAGE_MODULES  "modules"
#define L_STAGE_BUILDER  "builder"
#define L_STAGE_LAUNCH   "launch"
#define L_STAGE_LAUNCHED "launched"

/* The record lies in the second page, where neither a BIOS nor GRUB nor OVMF was seen to write (docs/how-to/dark-machine.md
 * says how that was measured), and which Linux leaves alone with all below 64 KiB. It is written where the memory map
 * calls the page RAM and nothing else lies there. */
#define LAST_BOOT_BASE  0x1400
#define LAST_BOOT_MAGIC 0x62747762      /* "bwtb" */

struct last_boot {
    uint32 magic;
    uint8  stage;           /* STAGE_*: the last that began */
    uint8  reserved;
    uint16 error;           /* number in errors.h; 0 for none */
    uint32 build;           /* first bytes of the build id, as a number whose digits are those that are shown */
    uint32 check;           /* the two words before it, exclusive or, inverted */
};
