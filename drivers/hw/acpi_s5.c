/*
 * The values that switch the machine off, from the object \_S5 of the DSDT or an SSDT (ACPI 6.5 sections
 * 7.4.2 and 20.2). It is a package of constants by definition, so it is found by its bytes; AML isn't
 * interpreted.
 */
#include "drivers/hw/acpi_table.h"

#include "core/lib/string.h"

#define AML_ZERO    0x00
#define AML_ONE     0x01
#define AML_NAME    0x08
#define AML_BYTE    0x0a
#define AML_WORD    0x0b
#define AML_DWORD   0x0c
#define AML_PACKAGE 0x12
#define AML_ROOT    '\\'
#define AML_ONES    0xff

struct cursor {
    const uint8_t *p, *end;
};

static bool cursor_byte(struct cursor *c, uint8_t *byte)
{
    if (c->p == c->end)
        return false;
    *byte = *c->p++;
    return true;
}

/* PkgLength: bits 6-7 of the first byte tell how many more follow. What it says doesn't matter here. */
static bool cursor_skip_length(struct cursor *c)
{
    uint8_t lead, more;

    if (!cursor_byte(c, &lead))
        return false;
    more = lead >> 6;
    if (c->end - c->p < more)
        return false;
    c->p += more;
    return true;
}

/* An integer constant; SLP_TYP has three bits, so the low byte will do. */
static bool cursor_constant(struct cursor *c, uint8_t *value)
{
    uint8_t op, width;

    if (!cursor_byte(c, &op))
        return false;
    if (op == AML_ZERO || op == AML_ONE || op == AML_ONES) {
        *value = op;
        return true;
    }
    if (op != AML_BYTE && op != AML_WORD && op != AML_DWORD)
        return false;
    width = (uint8_t)(1 << (op - AML_BYTE));
    if (c->end - c->p < width)
        return false;
    *value = *c->p;
    c->p += width;
    return true;
}

/* c stands behind the name. The package may leave out the second value, which is 0 then. */
static bool package_read(struct cursor c, struct acpi_power *power)
{
    uint8_t op, count, a, b = 0;

    if (!cursor_byte(&c, &op) || op != AML_PACKAGE || !cursor_skip_length(&c) || !cursor_byte(&c, &count))
        return false;
    if (count < 1 || !cursor_constant(&c, &a))
        return false;
    if (count >= 2 && !cursor_constant(&c, &b))
        return false;
    power->slp_typa = a & 7;
    power->slp_typb = b & 7;
    power->has_s5 = true;
    return true;
}

void acpi_s5_read(struct acpi_info *info, const struct acpi_table *table)
{
    const uint8_t *code = table->data + ACPI_HEADER_LEN, *end = table->data + table->len;

    for (const uint8_t *p = code; end - p >= 5; p++) {
        const uint8_t *name = p + 1 + (p[1] == AML_ROOT);

        if (p[0] != AML_NAME || end - name < 4 || memcmp(name, "_S5_", 4))
            continue;
        if (package_read((struct cursor){name + 4, end}, &info->power))
            return;
    }
}
