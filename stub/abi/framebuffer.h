/* Text on a screen without text mode (stub/lib/framebuffer.asm, stub/lib/font.asm). */

#define FONT_WIDTH          5       /* pixels of a glyph, which is 8 high */
#define FONT_GLYPH_SIZE     5       /* bytes */
#define FONT_GLYPHS         94      /* from the exclamation mark to the tilde */
#define FONT_CELL_WIDTH     6
#define FONT_CELL_HEIGHT    9
#define FONT_LEAST_HEIGHT   360     /* a pixel of the font is one of the screen below twice this height, then two: at least 40 rows */
#define FRAMEBUFFER_GREY    0xaaaaaa
#define FRAMEBUFFER_WINDOW_SHIFT 30 /* what is mapped of it: 1 GiB */

struct framebuffer {                /* a screen that text is drawn on */
    uint64 start;                   /* where it is mapped */
    uint64 cursor;                  /* where the next character's first pixel is mapped */
    uint32 pitch;                   /* bytes of a line of pixels */
    uint32 row_bytes;               /* of a row of text */
    uint32 scale;                   /* pixels of the screen for one of the font, each way */
    uint32 rows;
    uint32 columns;
    uint32 row;
    uint32 column;
};
