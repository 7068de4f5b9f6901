/* Where the stub lives. The linker asserts that stub and tables fit below IMAGE_LIMIT;
 * the plan puts nothing else there. */
#define IMAGE_BASE      0x100000
#define IMAGE_LIMIT     0x200000

#define STUB_LIMIT      0x5400      /* bytes of a native stub's code and read-only data: linker/stub.toml */

#define PAGE_SIZE       0x1000
#define PAGE_SHIFT      12

/* Limits that host and stub both hold. */
#define MAX_DOMAINS     64
#define MAX_MODULES     63
#define MAX_RANGES      512         /* memory map entries, after normalising */
#define MAX_STRING      2048        /* a command line or module string, with its terminator: what Linux reads */
#define MAX_MAP_ENTRIES 4096        /* entries of a loader's memory map that are read: many may be one range */
#define MAX_INFORMATION 0x40000     /* bytes of a loader's information, or of a list in it, that are read */
#define MAX_NAME        64          /* a module, domain or image name, with its terminator */
#define BUILD_ID_SIZE   20          /* bytes of a build id */
#define BUILD_ID_SHOWN  8           /* of its hex digits, so many are in the first line of a boot */
#define MAX_CHUNK       0x400000    /* unpacked bytes of one piece */

#define MAX_SECTION_HEADERS 0x4000  /* bytes of a kernel's section headers: 256 of 64 bits */

#define STACK_SIZE      0x4000
#define EXCEPTION_STACK_SIZE 0x2000

#define HANDOVER_SIZE   0x40000     /* room to make what is left in memory for the kernel; holds the longest there is */
#define HANDOVER_LIMIT  0x40000000  /* and below this: kernels, Linux by PVH among them, first map 1 GiB and no more */

/* Where it goes when it is made: as low as possible. Below 1 MiB that is above what real mode and the starting of other
 * processors use, below what an extended BIOS data area and a kernel's setup code may take, and with room left behind
 * it: Linux, for one, has to find a place there too. */
#define LOW_BASE        0x10000
#define LOW_LIMIT       0x80000
#define LOW_LEFT        0x10000
#define FIRMWARE_LIMIT  0x1000000   /* where the firmware is to give it, while memory is the firmware's */
#define MAX_DEFERRED    16          /* pieces that go to where the stub is, and so come last */
#define MAX_PIECES      128         /* of the kernel that the stub looks into itself: one for each program header */
#define STRING_SPACE_SIZE 0x48000   /* every string that a loader or a device tree may bring */
