/* The way from the RSDP through the root table to each table (ACPI 6.5 sections 5.2.5 to 5.2.8). */
#include "drivers/hw/acpi.h"

#include "core/lib/error.h"
#include "core/lib/format.h"
#include "core/lib/log.h"
#include "core/lib/string.h"
#include "drivers/hw/acpi_table.h"

#define MAX_TABLES     256
#define MAX_TABLE_LEN  (16u * 1024 * 1024) /* a DSDT of a large server has about 1 MiB */
#define MAX_COMPLAINTS 32

#define RSDP_V1_LEN 20
#define RSDP_V2_LEN 36

/* Where a BIOS keeps the RSDP (5.2.5.1), and where the EBDA's segment is noted. */
#define BIOS_BASE    0xe0000u
#define BIOS_LEN     0x20000u
#define EBDA_POINTER 0x40eu
#define EBDA_LEN     1024u

struct acpi_reader {
    struct acpi_info *info;
    const struct acpi_memory *memory;
    uint32_t seen_count;
    hpa_t
        seen[MAX_TABLES]; /* tables that were opened: none is read twice, so no chain of pointers is a loop */
};

void acpi_complain(struct acpi_info *info, const struct acpi_table *table, const char *fmt, ...)
{
    char why[128];
    va_list ap;

    if (info->bad_count++ >= MAX_COMPLAINTS)
        return;
    va_start(ap, fmt);
    fmt_vprint(why, sizeof(why), fmt, ap);
    va_end(ap);
    log_warn("acpi: table %s at 0x%llx: %s", table->name, (unsigned long long)table->addr, why);
}

static uint8_t checksum(const uint8_t *data, uint32_t len)
{
    uint8_t sum = 0;

    while (len-- > 0)
        sum = (uint8_t)(sum + *data++);
    return sum;
}

/* One table ---------------------------------------------------------------------------------------------- */

static void name_set(struct acpi_table *table, const uint8_t *signature)
{
    for (uint32_t i = 0; i < 4; i++)
        table->name[i] = signature[i] > ' ' && signature[i] < 0x7f ? (char)signature[i] : '?';
    table->name[4] = '\0';
}

static const uint8_t *memory_map(struct acpi_reader *reader, hpa_t addr, uint32_t len)
{
    if (addr + len < addr)
        return NULL;
    return reader->memory->map(reader->memory->ctx, addr, len);
}

static void memory_unmap(struct acpi_reader *reader, const uint8_t *data, uint32_t len)
{
    reader->memory->unmap(reader->memory->ctx, data, len);
}

/* Reads name and length; true if they make sense. */
static bool header_read(struct acpi_reader *reader, struct acpi_table *table)
{
    const uint8_t *header = memory_map(reader, table->addr, ACPI_HEADER_LEN);

    str_copy(table->name, "????", sizeof(table->name));
    if (!header) {
        acpi_complain(reader->info, table, "is not in memory, left out");
        return false;
    }
    name_set(table, header);
    table->len = get_le32(header + 4);
    memory_unmap(reader, header, ACPI_HEADER_LEN);
    if (table->len >= ACPI_HEADER_LEN && table->len <= MAX_TABLE_LEN)
        return true;
    acpi_complain(reader->info, table, "has a length of %u, left out", table->len);
    return false;
}

static bool seen_before(struct acpi_reader *reader, hpa_t addr)
{
    for (uint32_t i = 0; i < reader->seen_count; i++)
        if (reader->seen[i] == addr)
            return true;
    if (reader->seen_count < MAX_TABLES)
        reader->seen[reader->seen_count++] = addr;
    return false;
}

/* Maps a table that is sound as a whole; what is opened is to be closed. */
static bool table_open(struct acpi_reader *reader, hpa_t addr, struct acpi_table *table)
{
    uint8_t sum;

    *table = (struct acpi_table){.addr = addr};
    if (seen_before(reader, addr)) {
        str_copy(table->name, "????", sizeof(table->name));
        acpi_complain(reader->info, table, "is pointed to twice, read once");
        return false;
    }
    if (!header_read(reader, table))
        return false;
    table->data = memory_map(reader, addr, table->len);
    if (!table->data) {
        acpi_complain(reader->info, table, "with a length of %u is not in memory, left out", table->len);
        return false;
    }
    sum = checksum(table->data, table->len);
    if (sum == 0) {
        reader->info->table_count++;
        return true;
    }
    acpi_complain(reader->info, table, "the checksum is off by 0x%02x, left out", sum);
    memory_unmap(reader, table->data, table->len);
    return false;
}

static void table_close(struct acpi_reader *reader, const struct acpi_table *table)
{
    memory_unmap(reader, table->data, table->len);
}

/* The tables that are looked into ------------------------------------------------------------------------ */

struct table_kind {
    char name[5];
    bool many; /* there may be several; of others, the first counts */
    void (*read)(struct acpi_info *info, const struct acpi_table *table);
};

static const struct table_kind kinds[] = {
    {"APIC", false, acpi_madt_read}, {"FACP", false, acpi_fadt_read}, {"SPCR", false, acpi_spcr_read},
    {"HPET", true, acpi_hpet_read},  {"MCFG", false, acpi_mcfg_read}, {"SSDT", true, acpi_s5_read},
};

static void dsdt_read(struct acpi_reader *reader, hpa_t addr)
{
    struct acpi_table table;

    if (!addr || !table_open(reader, addr, &table))
        return;
    if (str_eq(table.name, "DSDT"))
        acpi_s5_read(reader->info, &table);
    else
        acpi_complain(reader->info, &table, "is named as the DSDT but isn't one, left out");
    table_close(reader, &table);
}

static void table_read(struct acpi_reader *reader, const struct acpi_table *table, uint32_t *done)
{
    for (uint32_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (!str_eq(table->name, kinds[i].name))
            continue;
        if ((*done & BIT(i)) && !kinds[i].many) {
            acpi_complain(reader->info, table, "is there twice, the first counts");
            return;
        }
        *done |= (uint32_t)BIT(i);
        kinds[i].read(reader->info, table);
        if (kinds[i].read == acpi_fadt_read)
            dsdt_read(reader, acpi_fadt_dsdt(table));
    }
}

/* The root table ----------------------------------------------------------------------------------------- */

/*
 * `width` is that of an entry: 4 in the RSDT, 8 in the XSDT. Entries of 0 are left by some firmware, and mean
 * nothing.
 */
static void entries_read(struct acpi_reader *reader, const struct acpi_table *root, uint32_t width)
{
    uint32_t count = (root->len - ACPI_HEADER_LEN) / width, done = 0;
    struct acpi_table table;

    if (count > MAX_TABLES) {
        acpi_complain(reader->info, root, "has %u entries, the first %u count", count, MAX_TABLES);
        count = MAX_TABLES;
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *entry = root->data + ACPI_HEADER_LEN + i * width;
        hpa_t addr = width == 8 ? get_le64(entry) : get_le32(entry);

        if (!addr || !table_open(reader, addr, &table))
            continue;
        table_read(reader, &table, &done);
        table_close(reader, &table);
    }
}

static bool root_read(struct acpi_reader *reader, hpa_t addr, const char *name, uint32_t width)
{
    struct acpi_table root;
    bool right;

    if (!addr || !table_open(reader, addr, &root))
        return false;
    right = str_eq(root.name, name);
    if (right)
        entries_read(reader, &root, width);
    else
        acpi_complain(reader->info, &root, "is named as the %s but isn't one, left out", name);
    table_close(reader, &root);
    return right;
}

/* The RSDP ----------------------------------------------------------------------------------------------- */

static bool rsdp_is_sound(const uint8_t *rsdp, uint32_t len)
{
    return len >= RSDP_V1_LEN && !memcmp(rsdp, "RSD PTR ", 8) && checksum(rsdp, RSDP_V1_LEN) == 0;
}

/* The part from ACPI 2.0 on, with the XSDT's address, has a checksum of its own. */
static bool rsdp_has_xsdt(const uint8_t *rsdp, uint32_t len)
{
    if (rsdp[15] < 2)
        return false;
    if (len >= RSDP_V2_LEN && get_le32(rsdp + 20) == RSDP_V2_LEN && checksum(rsdp, RSDP_V2_LEN) == 0)
        return true;
    log_warn("acpi: the RSDP's second half is corrupt, using the RSDT");
    return false;
}

static bool rsdp_search(struct acpi_reader *reader, hpa_t base, uint32_t len, uint8_t *rsdp)
{
    const uint8_t *area = memory_map(reader, base, len);
    bool found = false;

    if (!area)
        return false;
    memset(rsdp, 0, RSDP_V2_LEN);
    for (uint32_t i = 0; i + RSDP_V1_LEN <= len && !found; i += 16) {
        found = rsdp_is_sound(area + i, RSDP_V1_LEN);
        if (found)
            memcpy(rsdp, area + i, MIN(len - i, (uint32_t)RSDP_V2_LEN));
    }
    memory_unmap(reader, area, len);
    return found;
}

static bool rsdp_search_bios(struct acpi_reader *reader, uint8_t *rsdp)
{
    const uint8_t *pointer = memory_map(reader, EBDA_POINTER, 2);
    hpa_t ebda = 0;

    if (pointer) {
        ebda = (hpa_t)get_le16(pointer) << 4;
        memory_unmap(reader, pointer, 2);
    }
    return (ebda >= 0x400 && ebda < 0xa0000 && rsdp_search(reader, ebda, EBDA_LEN, rsdp)) ||
           rsdp_search(reader, BIOS_BASE, BIOS_LEN, rsdp);
}

int acpi_read(struct acpi_info *info, const struct acpi_memory *memory, const uint8_t *rsdp,
              uint32_t rsdp_len, bool search)
{
    struct acpi_reader reader = {.info = info, .memory = memory};
    uint8_t found[RSDP_V2_LEN];

    memset(info, 0, sizeof(*info));
    if (rsdp_len && !rsdp_is_sound(rsdp, rsdp_len)) {
        log_warn("acpi: the boot loader's RSDP is corrupt, left out");
        rsdp_len = 0;
    }
    if (!rsdp_len) {
        if (!search || !rsdp_search_bios(&reader, found)) {
            log_warn("acpi: there are no tables: no RSDP");
            return ERR_NOTFOUND;
        }
        rsdp = found;
        rsdp_len = sizeof(found);
    }
    info->revision = rsdp[15];
    info->present = (rsdp_has_xsdt(rsdp, rsdp_len) && root_read(&reader, get_le64(rsdp + 24), "XSDT", 8)) ||
                    root_read(&reader, get_le32(rsdp + 16), "RSDT", 4);
    if (info->present)
        return 0;
    log_warn("acpi: there are no tables: neither XSDT nor RSDT is sound");
    return ERR_NOTFOUND;
}
