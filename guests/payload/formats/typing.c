/* A PC program of the old kind: it knows the screen and the keyboard, and takes both as a BIOS leaves them. */
#include "guests/payload/formats/typing.h"

#include "core/lib/format.h"
#include "core/x86/io.h"

#define VGA_TEXT   0xb8000u
#define COLUMNS    80
#define KBC_DATA   0x60
#define KBC_STATUS 0x64
#define KBC_FULL   BIT(0)
#define ENTER      0x1c
#define RELEASED   0x80
#define TEST_EXIT  0xf4

static void show(uint32_t row, const char *s)
{
    volatile uint16_t *cell = (volatile uint16_t *)(VGA_TEXT + row * COLUMNS * 2);

    while (*s)
        *cell++ = (uint16_t)(0x0700 | (uint8_t)*s++);
}

static uint8_t key_wait(void)
{
    while (!(inb(KBC_STATUS) & KBC_FULL))
        ;
    return inb(KBC_DATA);
}

void typing(void)
{
    char line[COLUMNS + 1] = "codes";
    size_t used = 5;
    uint8_t code;

    show(0, "type a line");
    do {
        code = key_wait();
        used += (size_t)fmt_print(line + used, sizeof(line) - used, " %02x", code);
    } while (code != (ENTER | RELEASED) && used < sizeof(line) - 3);
    show(1, line);
    outl(TEST_EXIT, 0);
}
