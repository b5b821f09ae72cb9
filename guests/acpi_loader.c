#include "guests/acpi_loader.h"

#include "core/lib/bytes.h"
#include "core/lib/error.h"
#include "core/lib/string.h"
#include "guests/acpi_layout.h"

#define TABLES_FILE "etc/acpi/tables"
#define RSDP_FILE   "etc/acpi/rsdp"
#define TABLES_START                                                                                         \
    64 /* where the tables' file begins in what acpi_build_at makes: keeps the alignment of the FACS */

/* A command: its number, then what belongs to it; names of files with their NULs. */
#define COMMAND_LEN  128u
#define NAME_LEN     56u
#define CMD_ALLOCATE 1
#define CMD_POINTER  2
#define CMD_CHECKSUM 3
#define ZONE_HIGH    1
#define ZONE_FSEG    2 /* the BIOS area, where systems look for the RSDP */

#define ROOT_HEADER sizeof(struct acpi_header)

struct script {
    struct acpi_files *files;
    bool full;
};

/* The next command; when there is no room left, one that is written over. */
static uint8_t *command_next(struct script *s, uint32_t number, const char *file)
{
    struct acpi_files *files = s->files;
    uint8_t *command;

    if (files->script_len + COMMAND_LEN > ACPI_FILES_SCRIPT) {
        s->full = true;
        files->script_len -= COMMAND_LEN;
    }
    command = files->script + files->script_len;
    files->script_len += COMMAND_LEN;
    memset(command, 0, COMMAND_LEN);
    put_le32(command, number);
    memcpy(command + 4, file, str_len(file));
    return command;
}

static void allocate(struct script *s, const char *file, uint32_t align, uint8_t zone)
{
    uint8_t *command = command_next(s, CMD_ALLOCATE, file);

    put_le32(command + 4 + NAME_LEN, align);
    command[8 + NAME_LEN] = zone;
}

/* Adds to `size` bytes at `offset` of a file where the tables have come to lie. */
static void pointer(struct script *s, const char *file, uint32_t offset, uint8_t size)
{
    uint8_t *command = command_next(s, CMD_POINTER, file);

    memcpy(command + 4 + NAME_LEN, TABLES_FILE, sizeof(TABLES_FILE));
    put_le32(command + 4 + 2 * NAME_LEN, offset);
    command[8 + 2 * NAME_LEN] = size;
}

/* Some firmware (OVMF) takes the sum with what is in its place as that sum's part, so that this has to be 0. */
static void sum(struct script *s, const char *file, uint32_t offset, uint32_t start, uint32_t len)
{
    bool rsdp = str_eq(file, RSDP_FILE);
    uint8_t *command = command_next(s, CMD_CHECKSUM, file);

    put_le32(command + 4 + NAME_LEN, offset);
    put_le32(command + 8 + NAME_LEN, start);
    put_le32(command + 12 + NAME_LEN, len);
    s->files->tables[(rsdp ? 0 : TABLES_START) + offset] = 0;
}

static const uint8_t *table_at(const struct script *s, uint32_t offset)
{
    return s->files->tables + TABLES_START + offset;
}

static void table_sum(struct script *s, uint32_t table)
{
    const uint8_t *header = table_at(s, table);

    sum(s, TABLES_FILE, table + (uint32_t)offsetof(struct acpi_header, checksum), table,
        get_le32(header + offsetof(struct acpi_header, length)));
}

static void fadt_link(struct script *s, uint32_t fadt)
{
    pointer(s, TABLES_FILE, fadt + (uint32_t)offsetof(struct acpi_fadt, firmware_ctrl), 4);
    pointer(s, TABLES_FILE, fadt + (uint32_t)offsetof(struct acpi_fadt, dsdt), 4);
    pointer(s, TABLES_FILE, fadt + (uint32_t)offsetof(struct acpi_fadt, x_dsdt), 8);
}

/* The RSDT or the XSDT, by the size of its pointers. Of the tables that they list, only the FADT has pointers. */
static void root_link(struct script *s, uint32_t root, uint32_t size)
{
    uint32_t len = get_le32(table_at(s, root) + offsetof(struct acpi_header, length));

    for (uint32_t at = ROOT_HEADER; at < len; at += size) {
        uint32_t table = get_le32(table_at(s, root + at));

        if (size == 4 && memcmp(table_at(s, table), "FACP", 4) == 0)
            fadt_link(s, table);
        if (size == 4)
            table_sum(s, table);
        pointer(s, TABLES_FILE, root + at, (uint8_t)size);
    }
    table_sum(s, root);
}

static void rsdp_link(struct script *s)
{
    pointer(s, RSDP_FILE, offsetof(struct acpi_rsdp, rsdt_address), 4);
    pointer(s, RSDP_FILE, offsetof(struct acpi_rsdp, xsdt_address), 8);
    sum(s, RSDP_FILE, offsetof(struct acpi_rsdp, checksum), 0, offsetof(struct acpi_rsdp, length));
    sum(s, RSDP_FILE, offsetof(struct acpi_rsdp, extended_checksum), 0, sizeof(struct acpi_rsdp));
}

int acpi_files_build(struct acpi_files *files, const struct acpi_guest *guest)
{
    struct script s = {.files = files};
    const uint8_t *rsdp = files->tables;
    uint64_t used;
    int err;

    /* So that each pointer is an offset in the tables' file. */
    err = acpi_build_at(files->tables, ACPI_FILES_TABLES, -(uint32_t)TABLES_START, guest, &used);
    if (err)
        return err;
    files->tables_len = (uint32_t)used - TABLES_START;
    files->script_len = 0;
    allocate(&s, RSDP_FILE, 16, ZONE_FSEG);
    allocate(&s, TABLES_FILE, TABLES_START, ZONE_HIGH);
    root_link(&s, get_le32(rsdp + offsetof(struct acpi_rsdp, rsdt_address)), 4);
    root_link(&s, get_le32(rsdp + offsetof(struct acpi_rsdp, xsdt_address)), 8);
    rsdp_link(&s);
    return s.full ? ERR_NOMEM : 0;
}
