/* A machine of 1 MiB in which a test lays out ACPI tables, and an accessor that shows every access beyond a mapping. */
#pragma once

#include "drivers/hw/acpi.h"

#include <stdlib.h>
#include <string.h>

#include "core/lib/bytes.h"
#include "core/lib/error.h"
#include "core/lib/log.h"
#include "tests/unit/support.h"

/* A machine with 1 MiB of memory, in which tables are laid out one after the other. */
static uint8_t memory[1 << 20];
static uint32_t next_free, mapped;
static struct acpi_info info;
static char said[4096];

#define RSDP_AT     0xf0000u
#define RSDT_AT     0x10000u
#define XSDT_AT     0x11000u
#define FIRST_TABLE 0x20000u

/* Each mapping is a copy of its exact length, so that ASan sees every access beyond it. */
static const void *map(void *ctx, hpa_t addr, uint64_t len)
{
    uint8_t *copy;

    assert_ptr_equal(ctx, memory);
    if (addr >= sizeof(memory) || len > sizeof(memory) - addr)
        return NULL;
    copy = malloc(len);
    memcpy(copy, memory + addr, len);
    mapped++;
    return copy;
}

static void unmap(void *ctx, const void *ptr, uint64_t len)
{
    (void)ctx;
    (void)len;
    mapped--;
    free((void *)ptr);
}

static const struct acpi_memory accessor = {map, unmap, memory};

static void sink(const char *line, size_t len)
{
    size_t used = strlen(said);

    if (used + len + 2 < sizeof(said)) {
        memcpy(said + used, line, len);
        strcpy(said + used + len, "\n");
    }
}

static void set_checksum(uint8_t *data, uint32_t len, uint32_t at)
{
    uint8_t sum = 0;

    data[at] = 0;
    for (uint32_t i = 0; i < len; i++)
        sum = (uint8_t)(sum + data[i]);
    data[at] = (uint8_t)-sum;
}

static uint8_t *table_finish(uint32_t addr, const char *name, uint32_t len)
{
    memcpy(memory + addr, name, 4);
    put_le32(memory + addr + 4, len);
    memory[addr + 8] = 1;
    set_checksum(memory + addr, len, 9);
    return memory + addr;
}

static uint32_t entry_count(uint32_t root, uint32_t width)
{
    return (get_le32(memory + root + 4) - 36) / width;
}

static void root_add(uint32_t root, uint32_t width, const char *name, hpa_t addr)
{
    uint32_t n = entry_count(root, width);

    if (width == 8)
        put_le64(memory + root + 36 + n * 8, addr);
    else
        put_le32(memory + root + 36 + n * 4, (uint32_t)addr);
    table_finish(root, name, 36 + (n + 1) * width);
}

/* Lays out a table with this body and makes both roots point to it. */
static uint32_t table_add(const char *name, const void *body, uint32_t body_len)
{
    uint32_t addr = next_free;

    memcpy(memory + addr + 36, body, body_len);
    table_finish(addr, name, 36 + body_len);
    next_free += (36 + body_len + 15) & ~15u;
    root_add(RSDT_AT, 4, "RSDT", addr);
    root_add(XSDT_AT, 8, "XSDT", addr);
    return addr;
}

static void rsdp_finish(void)
{
    set_checksum(memory + RSDP_AT, 20, 8);
    set_checksum(memory + RSDP_AT, 36, 32);
}

static int set_up(void **state)
{
    (void)state;
    memset(memory, 0, sizeof(memory));
    said[0] = '\0';
    mapped = 0;
    next_free = FIRST_TABLE;
    table_finish(RSDT_AT, "RSDT", 36);
    table_finish(XSDT_AT, "XSDT", 36);
    memcpy(memory + RSDP_AT, "RSD PTR ", 8);
    memory[RSDP_AT + 15] = 2;
    put_le32(memory + RSDP_AT + 16, RSDT_AT);
    put_le32(memory + RSDP_AT + 20, 36);
    put_le64(memory + RSDP_AT + 24, XSDT_AT);
    rsdp_finish();
    log_set_sink(sink);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    log_set_sink(NULL);
    return mapped == 0 ? 0 : -1;
}

static int read_all(void)
{
    return acpi_read(&info, &accessor, NULL, 0, true);
}

static void assert_said(const char *what)
{
    if (!strstr(said, what))
        fail_msg("\"%s\" is not in:\n%s", what, said);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
