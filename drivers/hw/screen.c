#include "drivers/hw/screen.h"

#include "core/lib/error.h"
#include "core/lib/lock.h"
#include "core/x86/io.h"
#include "drivers/hw/raster.h"
#include "drivers/hw/terminal.h"
#include "mm/hostmap.h"
#include "mm/layout.h"

/* Cells drawn at once while guests wait for the core: a write to a screen takes up to a microsecond. */
#define DRAW_CELLS 128

#define VGA_BASE         0xb8000u
#define VGA_ATTRIBUTE    0x0700 /* light grey on black, above the character */
#define VGA_CRTC_INDEX   0x3d4
#define VGA_CRTC_DATA    0x3d5
#define CRTC_CURSOR_HIGH 0x0e
#define CRTC_CURSOR_LOW  0x0f

static struct lock lock = LOCK_INIT; /* guards all below, once more than one core writes */
static bool alone;                   /* only this core runs */
static void (*draw_later)(void);     /* NULL: what is written is drawn at once */
static struct terminal terminal;
static struct raster raster;
static volatile uint8_t *text; /* VGA text memory; NULL with a framebuffer */
static uint32_t text_pitch;
static bool vga; /* the text memory belongs to a VGA, whose cursor is ours to move */
static bool present;
static bool early; /* the boot page tables are in use, which map the first 4 GiB at DIRECT_BASE */

static void text_draw(void *ctx, uint32_t row, uint32_t column, char c)
{
    (void)ctx;
    *(volatile uint16_t *)(text + row * text_pitch + column * 2) = (uint16_t)(VGA_ATTRIBUTE | (uint8_t)c);
}

static void rgb_draw(void *ctx, uint32_t row, uint32_t column, char c)
{
    raster_draw(ctx, row, column, c);
}

static void cursor_move(void)
{
    uint32_t at = terminal.row * terminal.columns + MIN(terminal.column, terminal.columns - 1);

    outb(VGA_CRTC_INDEX, CRTC_CURSOR_HIGH);
    outb(VGA_CRTC_DATA, (uint8_t)(at >> 8));
    outb(VGA_CRTC_INDEX, CRTC_CURSOR_LOW);
    outb(VGA_CRTC_DATA, (uint8_t)at);
}

static volatile void *screen_map(const struct boot_screen *screen)
{
    uint32_t attrs = PT_READ | PT_WRITE | (screen->kind == BOOT_SCREEN_RGB ? PT_WC : PT_UC);
    uint64_t len = (uint64_t)screen->pitch * screen->height;

    if (early)
        return screen->base < 4 * GiB && len <= 4 * GiB - screen->base ? pool_ptr(screen->base) : NULL;
    return hostmap_device(screen->base, len, attrs);
}

static int text_init(const struct boot_screen *screen)
{
    if (screen->pitch / 2 < screen->width || screen->width < 2 || !screen->height)
        return ERR_NOTFOUND;
    text = screen_map(screen);
    if (!text)
        return ERR_NOTFOUND;
    text_pitch = screen->pitch;
    vga = screen->base == VGA_BASE;
    terminal_init(&terminal, screen->width, screen->height, 1, text_draw, NULL);
    for (uint32_t row = 0; row < terminal.rows; row++)
        for (uint32_t column = 0; column < terminal.columns; column++)
            text_draw(NULL, row, column, ' ');
    return 0;
}

static int rgb_init(const struct boot_screen *screen)
{
    uint32_t columns = screen->width / RASTER_CELL_WIDTH, rows = screen->height / RASTER_CELL_HEIGHT;

    if (columns < 2 || !rows || raster_init(&raster, screen, NULL))
        return ERR_NOTFOUND;
    raster.pixels = screen_map(screen);
    if (!raster.pixels)
        return ERR_NOTFOUND;
    terminal_init(&terminal, columns, rows, rows / 4, rgb_draw, &raster);
    raster_clear(&raster);
    return 0;
}

int screen_init(const struct boot_screen *screen)
{
    int error = ERR_NOTFOUND;

    if (screen->kind == BOOT_SCREEN_TEXT)
        error = text_init(screen);
    else if (screen->kind == BOOT_SCREEN_RGB)
        error = rgb_init(screen);
    present = !error;
    return error;
}

int screen_init_early(const struct boot_screen *screen)
{
    int error;

    early = true;
    error = screen_init(screen);
    early = false;
    return error;
}

static void screen_lock(void)
{
    if (!alone)
        lock_take(&lock);
}

static void screen_unlock(void)
{
    if (!alone)
        lock_drop(&lock);
}

static bool cells_draw(uint32_t max)
{
    bool done = terminal_draw(&terminal, max);

    if (done && vga)
        cursor_move();
    return done;
}

void screen_write(void *ctx, const char *bytes, size_t len)
{
    (void)ctx;
    if (!present)
        return;
    screen_lock();
    terminal_write(&terminal, bytes, len);
    if (!draw_later)
        (void)cells_draw(UINT32_MAX);
    screen_unlock();
    if (draw_later)
        draw_later();
}

void screen_set_later(void (*later)(void))
{
    draw_later = later;
}

bool screen_draw(void)
{
    bool done;

    if (!present)
        return true;
    screen_lock();
    done = cells_draw(DRAW_CELLS);
    screen_unlock();
    return done;
}

void screen_flush(void *ctx, bool last)
{
    (void)ctx;
    if (!present)
        return;
    if (last) {
        alone = true;
        draw_later = NULL;
    }
    screen_lock();
    (void)cells_draw(UINT32_MAX);
    screen_unlock();
}

void screen_line(const char *line, size_t len)
{
    screen_write(NULL, line, len);
    screen_write(NULL, "\r\n", 2);
}
