#include "drivers/hw/raster.h"

#include <stdlib.h>
#include <string.h>

#include "core/lib/error.h"
#include "drivers/hw/font.h"
#include "tests/unit/support.h"

static struct boot_screen screen_of(uint8_t bpp)
{
    struct boot_screen s = {.kind = BOOT_SCREEN_RGB, .width = 36, .height = 40, .bpp = bpp};

    s.pitch = s.width * ((bpp + 7u) / 8) + 12;
    s.red_size = s.green_size = s.blue_size = bpp <= 16 ? 5 : 8;
    s.green_pos = s.blue_size;
    s.red_pos = (uint8_t)(s.green_pos + s.green_size);
    if (bpp == 16) {
        s.green_size = 6;
        s.red_pos = 11;
    }
    return s;
}

static uint32_t pixel(const struct raster *r, uint32_t x, uint32_t y)
{
    uint32_t value = 0;

    memcpy(&value, (const uint8_t *)r->pixels + y * r->pitch + x * r->pixel_bytes, r->pixel_bytes);
    return value;
}

/* The buffer has the framebuffer's exact size, so that ASan sees each pixel drawn outside. */
static void draw_and_check(uint8_t bpp, uint32_t foreground)
{
    struct boot_screen screen = screen_of(bpp);
    size_t size = (size_t)screen.pitch * screen.height;
    uint8_t *buffer = malloc(size);
    struct raster r;
    uint32_t lit = 0;

    memset(buffer, 0x5a, size);
    assert_int_equal(raster_init(&r, &screen, buffer), 0);
    assert_int_equal(r.foreground, foreground);
    raster_clear(&r);
    for (uint32_t row = 0; row < 4; row++)
        for (uint32_t column = 0; column < 6; column++)
            raster_draw(&r, row, column, row == 1 && column == 2 ? 'F' : ' ');
    for (uint32_t y = 0; y < screen.height; y++)
        for (uint32_t x = 0; x < screen.width; x++) {
            uint32_t gx = x - 17, gy = (y - 16) / 2;
            bool on = x >= 17 && gx < FONT_COLUMNS && y >= 16 && gy < FONT_ROWS &&
                      (font_glyph('F')[gy] >> (FONT_COLUMNS - 1 - gx) & 1);

            lit += on;
            assert_int_equal(pixel(&r, x, y), on ? foreground : 0);
        }
    assert_true(lit > 20);
    /* What lies between the rows isn't touched. */
    assert_int_equal(buffer[screen.pitch - 1], 0x5a);
    free(buffer);
}

static void test_formats(void **state)
{
    (void)state;
    draw_and_check(15, 23 << 10 | 23 << 5 | 23);
    draw_and_check(16, 23 << 11 | 47 << 5 | 23);
    draw_and_check(24, 0xc0c0c0);
    draw_and_check(32, 0xc0c0c0);
}

static void assert_refused(struct boot_screen screen)
{
    struct raster r;

    assert_int_equal(raster_init(&r, &screen, NULL), ERR_NOTSUP);
}

static void test_bad_formats(void **state)
{
    struct boot_screen screen = screen_of(32);

    (void)state;
    screen.bpp = 8;
    assert_refused(screen);
    screen.bpp = 64;
    assert_refused(screen);
    screen = screen_of(32);
    screen.pitch = screen.width * 4 - 1;
    assert_refused(screen);
    screen = screen_of(32);
    screen.red_pos = 30;
    assert_refused(screen);
    screen = screen_of(32);
    screen.green_size = 0;
    assert_refused(screen);
    screen.green_size = 40;
    assert_refused(screen);
}

static void test_font(void **state)
{
    (void)state;
    for (char c = FONT_FIRST; c < FONT_LAST; c++)
        for (char d = (char)(c + 1); d <= FONT_LAST; d++)
            assert_memory_not_equal(font_glyph(c), font_glyph(d), FONT_ROWS);
    for (char c = FONT_FIRST; c <= FONT_LAST; c++)
        for (uint32_t row = 0; row < FONT_ROWS; row++)
            assert_true(font_glyph(c)[row] < 1 << FONT_COLUMNS);
    assert_ptr_equal(font_glyph('\n'), font_glyph('?'));
    assert_ptr_equal(font_glyph((char)0xe4), font_glyph('?'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_bad_formats),
        cmocka_unit_test(test_font),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
