/* Where the stub lives. The linker asserts that stub and tables fit below IMAGE_LIMIT;
 * the plan puts nothing else there. */
#define IMAGE_BASE      0x100000
#define IMAGE_LIMIT     0x200000

#define PAGE_SIZE       0x1000
#define PAGE_SHIFT      12

/* Limits that host and stub both hold. */
#define MAX_DOMAINS     64
#define MAX_MODULES     63
#define MAX_RANGES      512         /* memory map entries, after normalising */
#define MAX_STRING      2048        /* a command line or module string, with its terminator: what Linux reads */
#define MAX_NAME        64          /* a module, domain or image name, with its terminator */
#define BUILD_ID_SIZE   20          /* bytes of a build id */
#define BUILD_ID_SHOWN  8           /* of its hex digits, so many are in the first line of a boot */
#define MAX_CHUNK       0x400000    /* unpacked bytes of one piece */

#define STACK_SIZE      0x4000
#define EXCEPTION_STACK_SIZE 0x2000

#define HANDOVER_SIZE   0x40000     /* what is left in memory for the kernel; holds the longest information there is */
#define HANDOVER_LIMIT  0x40000000  /* and below this: kernels, Linux by PVH among them, first map 1 GiB and no more */
#define MAX_DEFERRED    16          /* pieces that go to where the stub is, and so come last */
#define MAX_PIECES      128         /* of the kernel that the stub looks into itself: one for each program header */
#define STRING_SPACE_SIZE 0x48000   /* every string that a loader or a device tree may bring */
