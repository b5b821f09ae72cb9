/*
 * A small kernel that says what it was given by its boot protocol, one line a fact, and looks at the machine as such kernels
 * expect it. 32-bit code: no long mode, no paging, no interrupts.
 */
#include "core/lib/format.h"
#include "core/lib/string.h"
#include "core/x86/io.h"
#include "guests/payload/formats/typing.h"

#ifdef HIGH
#define OFFSET 0xc0000000u
#else
#define OFFSET 0
#endif

#define COM1       0x3f8
#define UART_LSR   5
#define LSR_THRE   BIT(5)
#define TEST_EXIT  0xf4
#define TEST_BYTES 0xe0
#define TEST_LINES 0x2000
#define TEST_MMIO  0xff000000u
#define TEST_LINE  14 /* of the PIC's slave, open as a BIOS leaves it */
#define PIC        0x20
#define PIC_SLAVE  0xa0
#define OCW3_IRR   0x0a
#define FWCFG      0x510

#define MB1_MAGIC 0x2badb002u
#define MB2_MAGIC 0x36d76289u
#define PVH_MAGIC 0x336ec578u
#define VGA_TEXT  0xb8000u

/* As start.asm fills it in, before anything of ours is loaded. */
extern struct start_state {
    uint32_t eax, ebx, cr0, cr4, eflags;
    uint16_t cs, ss, tr;
} start_state;
extern char image_start[];

void formats_main(void);

static uint32_t failed;
static const char *first_word; /* of the command line: the kernel's name, if the protocol has it there */

/* Hidden from the compiler, which takes the first page for a null pointer's. */
static const void *phys(uint64_t address)
{
    uint32_t at = (uint32_t)address + OFFSET;

    __asm__("" : "+r"(at));
    return (const void *)at;
}

static uint32_t get32(const void *p, uint32_t offset)
{
    uint32_t value;

    memcpy(&value, (const char *)p + offset, 4);
    return value;
}

static uint64_t get64(const void *p, uint32_t offset)
{
    return get32(p, offset) | (uint64_t)get32(p, offset + 4) << 32;
}

static void PRINTF(1, 2) print(const char *fmt, ...)
{
    char line[256];
    va_list ap;

    va_start(ap, fmt);
    fmt_vprint(line, sizeof(line), fmt, ap);
    va_end(ap);
    for (const char *p = line; *p; p++) {
        while (!(inb(COM1 + UART_LSR) & LSR_THRE))
            ;
        outb(COM1, (uint8_t)*p);
    }
    outb(COM1, '\n');
}

static void check(const char *name, bool good)
{
    print("%s %s", good ? "ok" : "not ok", name);
    failed += !good;
}

/* -- what all protocols tell ------------------------------------------------------------------------------------ */

static void show_module(uint64_t base, uint64_t len, const char *line)
{
    const uint8_t *bytes = phys(base);
    uint32_t sum = 0;

    for (uint32_t i = 0; i < len; i++)
        sum += bytes[i];
    print("module bytes=%u sum=%u aligned=%d line=\"%s\"", (uint32_t)len, sum, (base & 0xfff) == 0, line);
}

static uint64_t ram;

static void show_range(uint64_t base, uint64_t len, uint32_t type)
{
    print("range base=%#llx len=%#llx type=%u", (unsigned long long)base, (unsigned long long)len, type);
    if (type == 1)
        ram += len;
}

static void show_cmdline(const char *cmdline)
{
    first_word = cmdline;
    print("cmdline=\"%s\"", cmdline);
}

/* A command line without its first word, the kernel's name. */
static const char *words_behind(const char *cmdline)
{
    const char *space = str_find(cmdline, ' ');

    return space ? space + 1 : "";
}

/* -- Multiboot 1 ------------------------------------------------------------------------------------------------ */

static void multiboot1(const void *info)
{
    uint32_t flags = get32(info, 0);
    const void *mods = phys(get32(info, 24)), *map = phys(get32(info, 48));

    print("flags=%#x lower=%u upper=%u", flags, get32(info, 4), get32(info, 8));
    show_cmdline(phys(get32(info, 16)));
    for (uint32_t i = 0; i < get32(info, 20); i++)
        show_module(get32(mods, i * 16), get32(mods, i * 16 + 4) - get32(mods, i * 16),
                    phys(get32(mods, i * 16 + 8)));
    for (uint32_t at = 0; at < get32(info, 44); at += get32(map, at) + 4)
        show_range(get64(map, at + 4), get64(map, at + 12), get32(map, at + 20));
    print("loader=\"%s\"", (const char *)phys(get32(info, 64)));
    if (flags & BIT(12))
        print("framebuffer addr=%#x type=%u", get32(info, 88), get32(info, 108) >> 8 & 0xff);
}

/* -- Multiboot 2 ------------------------------------------------------------------------------------------------ */

static void map_tag(const char *tag, uint32_t size)
{
    for (uint32_t at = 16; at < size; at += get32(tag, 8))
        show_range(get64(tag, at), get64(tag, at + 8), get32(tag, at + 16));
}

static void tag_show(const char *tag, uint32_t type, uint32_t size)
{
    switch (type) {
    case 1:
        show_cmdline(tag + 8);
        break;
    case 2:
        print("loader=\"%s\"", tag + 8);
        break;
    case 3:
        show_module(get32(tag, 8), get32(tag, 12) - get32(tag, 8), tag + 16);
        break;
    case 4:
        print("lower=%u upper=%u", get32(tag, 8), get32(tag, 12));
        break;
    case 6:
        map_tag(tag, size);
        break;
    case 8:
        print("framebuffer addr=%#x type=%u", get32(tag, 8), get32(tag, 28) >> 8 & 0xff);
        break;
    case 14:
    case 15:
        check(type == 14 ? "rsdp-old" : "rsdp-new", memcmp(tag + 8, "RSD PTR ", 8) == 0);
        break;
    case 21:
        check("load-base", get32(tag, 8) == (uint32_t)image_start - OFFSET);
        break;
    default:
        break;
    }
}

static void multiboot2(const char *info)
{
    uint32_t at = 8, type, size;

    do {
        type = get32(info, at);
        size = get32(info, at + 4);
        tag_show(info + at, type, size);
        at += (size + 7) & ~7u;
    } while (type != 0 && at < get32(info, 0));
    check("end-tag", type == 0 && size == 8 && at == get32(info, 0));
}

/* -- PVH -------------------------------------------------------------------------------------------------------- */

static void pvh(const void *start)
{
    const void *mods = phys(get64(start, 16)), *map = phys(get64(start, 40));

    print("version=%u flags=%#x", get32(start, 4), get32(start, 8));
    show_cmdline(phys(get64(start, 24)));
    for (uint32_t i = 0; i < get32(start, 12); i++)
        show_module(get64(mods, i * 32), get64(mods, i * 32 + 8), phys(get64(mods, i * 32 + 16)));
    for (uint32_t i = 0; i < get32(start, 48); i++)
        show_range(get64(map, i * 24), get64(map, i * 24 + 8), get32(map, i * 24 + 16));
    check("rsdp", memcmp(phys(get64(start, 32)), "RSD PTR ", 8) == 0);
    check("cr0", start_state.cr0 == 0x11); /* PE, and ET that is always set */
    check("cr4", start_state.cr4 == 0);
}

/* For those who see the screen alone. */
static void screen_write(const char *s)
{
    volatile uint16_t *cell = (volatile uint16_t *)(VGA_TEXT + OFFSET);

    while (*s)
        *cell++ = (uint16_t)(0x0700 | (uint8_t)*s++);
}

/* -- the machine ------------------------------------------------------------------------------------------------ */

/* Protected mode without paging; interrupts, direction and single-stepping off. */
static void state_check(void)
{
    check("protected", (start_state.cr0 & 0x80000001) == 1);
    check("eflags", (start_state.eflags & 0x20700) == 0);
}

static bool pic_requests(uint16_t chip, uint8_t line)
{
    outb(chip, OCW3_IRR);
    return inb(chip) & BIT(line);
}

/* Vectors to handlers in ROM, the PIC's masks, the timer's ticks. */
static void bios_check(void)
{
    const uint32_t *vectors = phys(0);
    bool ticks = false;

    check("vector-timer", vectors[0x08] == 0xf000fea5);
    check("vector-none", vectors[0x10] == 0xf000ff53 && *(const uint8_t *)phys(0xfff53) == 0xcf);
    check("bda", get32(phys(0x413), 0) << 16 == 639u << 16);
    check("pic-masks", inb(PIC + 1) == 0xb8 && inb(PIC_SLAVE + 1) == 0x8e);
    for (uint32_t i = 0; i < 10000000 && !ticks; i++)
        ticks = pic_requests(PIC, 0);
    check("pit-ticks", ticks);
}

static uint64_t fwcfg_read(uint16_t key, uint32_t bytes)
{
    uint64_t value = 0;

    outw(FWCFG, key);
    for (uint32_t i = 0; i < bytes; i++)
        value |= (uint64_t)inb(FWCFG + 1) << 8 * i;
    return value;
}

static void test_device_check(void)
{
    volatile uint32_t *mmio = (volatile uint32_t *)(TEST_MMIO + OFFSET);

    outl(TEST_BYTES, 0x12345678);
    outb(TEST_BYTES + 1, 0xab);
    check("test-bytes", inl(TEST_BYTES) == 0x1234ab78 && inw(TEST_BYTES + 2) == 0x1234);
    outl(TEST_BYTES + 4, 0x1000); /* drops a page: nothing to see */
    mmio[5] = 0x87654321;
    check("test-mmio", mmio[5] == 0x87654321 && mmio[0x3fff] == 0);
    outb(TEST_LINES + TEST_LINE, 1);
    check("test-line-up", pic_requests(PIC_SLAVE, TEST_LINE - 8));
    outb(TEST_LINES + TEST_LINE, 0);
}

void formats_main(void)
{
    uint32_t magic = start_state.eax;
    const void *info = phys(start_state.ebx);

    if (magic == MB1_MAGIC && str_eq(words_behind(phys(get32(info, 16))), "typing"))
        typing();
    else if (magic == MB1_MAGIC)
        multiboot1(info);
    else if (magic == MB2_MAGIC)
        multiboot2(info);
    else if (get32(info, 0) == PVH_MAGIC)
        pvh(info);
    else
        check("magic", false);
    state_check();
    if (magic)
        bios_check();
    check("ram-size", ram > 8 * MiB && ram + MiB > fwcfg_read(3, 8));
    print("cpus=%u first=%c", (uint32_t)fwcfg_read(5, 2), first_word ? first_word[0] : '-');
    test_device_check();
    screen_write("this is on the screen");
    print("formats: %u failed", failed);
    outl(TEST_EXIT, failed);
}
