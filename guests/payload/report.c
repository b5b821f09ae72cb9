/* Lines on COM1, and the end of the machine. */
#include "guests/payload/payload.h"

#include <stdarg.h>

#include "core/lib/format.h"

#define COM1       0x3f8
#define UART_LCR   3
#define UART_LSR   5
#define LSR_THRE   BIT(5)
#define TEST_EXIT  0xf4
#define PM1_SLP_EN BIT(13)

static uint32_t passed, failed;

static void serial_put(char c)
{
    while (!(inb(COM1 + UART_LSR) & LSR_THRE))
        cpu_pause();
    outb(COM1, (uint8_t)c);
}

void print(const char *fmt, ...)
{
    char line[256];
    va_list ap;

    va_start(ap, fmt);
    fmt_vprint(line, sizeof(line), fmt, ap);
    va_end(ap);
    for (const char *p = line; *p; p++)
        serial_put(*p);
    serial_put('\n');
}

static void pass(const char *name)
{
    passed++;
    print("ok %s", name);
}

void expect(const char *name, uint64_t got, uint64_t want)
{
    if (got == want) {
        pass(name);
    } else if (known_wrong(name)) {
        skip(name, "QEMU's own CPU is known to be wrong here");
    } else {
        failed++;
        print("not ok %s: got %#llx want %#llx", name, (unsigned long long)got, (unsigned long long)want);
    }
}

void check(const char *name, bool good)
{
    expect(name, good, true);
}

void expect_range(const char *name, uint64_t got, uint64_t low, uint64_t high)
{
    if (got >= low && got <= high) {
        pass(name);
    } else if (known_wrong(name)) {
        skip(name, "QEMU's own CPU is known to be wrong here");
    } else {
        failed++;
        print("not ok %s: got %llu want %llu..%llu", name, (unsigned long long)got, (unsigned long long)low,
              (unsigned long long)high);
    }
}

void skip(const char *name, const char *reason)
{
    print("skip %s: %s", name, reason);
}

/* A clean run goes off by ACPI; a failed one leaves its status at the test exit port first, where there is one. */
void finish(void)
{
    print("payload: %u passed, %u failed", passed, failed);
    if (failed)
        outl(TEST_EXIT, 1);
    if (acpi_pm1a_control)
        outw((uint16_t)acpi_pm1a_control, (uint16_t)(PM1_SLP_EN | acpi_s5_type << 10));
    outl(TEST_EXIT, failed ? 1 : 0);
    for (;;)
        __asm__ volatile("cli; hlt");
}
