/*
 * Characters in a framebuffer with 15, 16, 24 or 32 bits a pixel. Pure: it writes to memory, and reads none
 * of it.
 */
#pragma once

#include "core/boot_info.h"

#define RASTER_CELL_WIDTH  8
#define RASTER_CELL_HEIGHT 16

struct raster {
    volatile uint8_t *pixels;
    uint32_t pitch, width, height;
    uint32_t pixel_bytes;
    uint32_t foreground; /* pixel value of the text, on black */
};

/*
 * ERR_NOTSUP for a format that makes no sense or isn't one of those. `pixels` is where the framebuffer is
 * mapped.
 */
int raster_init(struct raster *r, const struct boot_screen *screen, volatile void *pixels) MUST_CHECK;
/* Fills all with black. */
void raster_clear(struct raster *r);
/* Draws a character; cells that aren't wholly on the screen are left out. */
void raster_draw(struct raster *r, uint32_t row, uint32_t column, char c);
