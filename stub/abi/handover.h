/* The hand-over area (stub/boot/handover.asm): what outlives the stub. */

#define ENTER_PROTECTED_MODE    0       /* enter_state.mode: 32-bit, paging off */
#define ENTER_LONG_MODE         1       /* 64-bit, the first 4 GiB mapped to themselves */
#define ENTER_REAL_MODE         2       /* 16-bit, at REAL_MODE_BASE + 0x200 */

/* Offset in the area of what the kernel is told: behind the page tables, and a page of code and stack. */
#define HANDOVER_INFORMATION    ((PAGE_TABLES + 1) * PAGE_SIZE)

/* Its descriptor table. Linux' boot protocol fixes the first two selectors. */
#define HANDOVER_CODE_SEGMENT   0x10
#define HANDOVER_DATA           0x18
#define HANDOVER_TSS            0x20
#define HANDOVER_CODE16         0x28
#define HANDOVER_DATA16         0x30
#define GDT_FLAGS_CODE32        0xcf

/* Where a kernel that starts in real mode finds its setup code, as LILO put it. */
#define REAL_MODE_BASE          0x90000
#define REAL_MODE_SEGMENT       0x9000
#define REAL_MODE_ENTRY         0x9020  /* segment; offset 0 */
#define REAL_MODE_STACK         0x9000  /* grows down from here; the setup code's heap ends below it */
#define REAL_MODE_HEAP_END      0x8a00  /* offset from the header's place, 0x200 */
#define REAL_MODE_CMDLINE       0x9000  /* offset of the command line */
#define REAL_MODE_SWITCH        0x9800  /* offset of the last instructions before it */
#define REAL_MODE_SIZE          0x9840
#define REAL_MODE_IDT_LIMIT     0x3ff

struct enter_state {
    uint64 entry;           /* physical address */
    uint32 mode;            /* ENTER_* */
    uint32 eax;             /* what the kernel finds in its registers */
    uint32 ebx;
    uint32 esi;
};

struct deferred {           /* a piece that goes to where the stub is, and therefore last */
    uint64 from;
    uint64 dest;
    uint64 size;
    uint64 zero_size;       /* bytes to clear behind it */
};
