#include "drivers/hw/raster.h"

#include "core/lib/error.h"
#include "drivers/hw/font.h"

#define GREY        0xc0 /* of 255: the text's red, green and blue */
#define GLYPH_LEFT  ((RASTER_CELL_WIDTH - FONT_COLUMNS) / 2)
#define ROW_REPEATS (RASTER_CELL_HEIGHT / FONT_ROWS)

/* The bits of one colour with the brightness `level` of 255. */
static uint32_t channel(uint8_t position, uint8_t size, uint32_t level)
{
    return (level * (uint32_t)MASK(size) / 255) << position;
}

static bool channel_fits(uint8_t position, uint8_t size, uint32_t pixel_bits)
{
    return size >= 1 && size <= 8 && (uint32_t)position + size <= pixel_bits;
}

int raster_init(struct raster *r, const struct boot_screen *screen, volatile void *pixels)
{
    uint32_t bytes = (screen->bpp + 7u) / 8;

    if (screen->bpp < 15 || bytes > 4 || screen->pitch / bytes < screen->width)
        return ERR_NOTSUP;
    if (!channel_fits(screen->red_pos, screen->red_size, bytes * 8) ||
        !channel_fits(screen->green_pos, screen->green_size, bytes * 8) ||
        !channel_fits(screen->blue_pos, screen->blue_size, bytes * 8))
        return ERR_NOTSUP;
    *r = (struct raster){.pixels = pixels,
                         .pitch = screen->pitch,
                         .width = screen->width,
                         .height = screen->height,
                         .pixel_bytes = bytes,
                         .foreground = channel(screen->red_pos, screen->red_size, GREY) |
                                       channel(screen->green_pos, screen->green_size, GREY) |
                                       channel(screen->blue_pos, screen->blue_size, GREY)};
    return 0;
}

static inline volatile uint8_t *pixel_put(volatile uint8_t *at, uint32_t bytes, uint32_t value)
{
    if (bytes == 4) {
        *(volatile uint32_t *)at = value;
    } else if (bytes == 2) {
        *(volatile uint16_t *)at = (uint16_t)value;
    } else {
        at[0] = (uint8_t)value;
        at[1] = (uint8_t)(value >> 8);
        at[2] = (uint8_t)(value >> 16);
    }
    return at + bytes;
}

/* Black is zero in every format, so a row is filled by words, whatever its pixels are. */
void raster_clear(struct raster *r)
{
    uint64_t len = (uint64_t)r->width * r->pixel_bytes;

    for (uint32_t y = 0; y < r->height; y++) {
        volatile uint8_t *at = r->pixels + (uint64_t)y * r->pitch, *end = at + len;

        for (; end - at >= 8 && IS_ALIGNED((uintptr_t)at, 8); at += 8)
            *(volatile uint64_t *)at = 0;
        for (; at < end; at++)
            *at = 0;
    }
}

static void line_draw(const struct raster *r, volatile uint8_t *at, uint32_t bits)
{
    for (uint32_t mask = BIT(RASTER_CELL_WIDTH - 1); mask; mask >>= 1)
        at = pixel_put(at, r->pixel_bytes, bits & mask ? r->foreground : 0);
}

void raster_draw(struct raster *r, uint32_t row, uint32_t column, char c)
{
    const uint8_t *glyph = font_glyph(c);
    uint64_t x = (uint64_t)column * RASTER_CELL_WIDTH, y = (uint64_t)row * RASTER_CELL_HEIGHT;
    volatile uint8_t *at = r->pixels + y * r->pitch + x * r->pixel_bytes;

    if (x + RASTER_CELL_WIDTH > r->width || y + RASTER_CELL_HEIGHT > r->height)
        return;
    for (uint32_t line = 0; line < RASTER_CELL_HEIGHT; line++, at += r->pitch)
        line_draw(r, at,
                  (uint32_t)glyph[line / ROW_REPEATS] << (RASTER_CELL_WIDTH - FONT_COLUMNS - GLYPH_LEFT));
}
