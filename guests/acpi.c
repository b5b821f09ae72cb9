#include "guests/acpi.h"

#include "core/lib/error.h"
#include "core/lib/string.h"
#include "drivers/virt/vhpet.h"
#include "drivers/virt/vpm.h"
#include "guests/acpi_layout.h"
#include "guests/platform.h"

#define TABLES_MAX   8    /* that the root tables list */
#define XAPIC_IDS    255u /* ids from here on need the x2APIC kinds of MADT entries */
#define CMOS_CENTURY 0x32

/* The area of guest memory that the tables go into, filled from the bottom. */
struct area {
    uint8_t *bytes;
    uint64_t size, used;
    uint32_t base; /* guest address of the first byte */
    bool full;     /* something didn't fit: nothing is written any more */
    uint32_t table_count;
    uint32_t tables[TABLES_MAX]; /* guest addresses */
};

/* Takes len zeroed bytes; returns their offset. When the area is full, that of bytes that nobody uses: check area->full. */
static uint64_t area_take(struct area *area, uint64_t len, uint64_t align)
{
    uint64_t at = ALIGN_UP(area->used, align);

    if (area->full || at > area->size || len > area->size - at) {
        area->full = true;
        return 0;
    }
    memset(area->bytes + at, 0, len);
    area->used = at + len;
    return at;
}

static uint32_t area_gpa(const struct area *area, uint64_t offset)
{
    return area->base + (uint32_t)offset;
}

/* Adds a copy of an object behind what is there. */
static uint64_t area_append(struct area *area, const void *object, uint64_t len, uint64_t align)
{
    uint64_t at = area_take(area, len, align);

    if (!area->full)
        memcpy(area->bytes + at, object, len);
    return at;
}

/* What makes the sum of all bytes 0. */
static uint8_t checksum(const uint8_t *bytes, uint64_t len)
{
    uint8_t sum = 0;

    for (uint64_t i = 0; i < len; i++)
        sum += bytes[i];
    return (uint8_t)-sum;
}

static struct acpi_header header_make(const char *signature, uint8_t revision)
{
    struct acpi_header header = {
        .revision = revision,
        .oem_id = "KEEL  ",
        .oem_table_id = "KEELPC  ",
        .oem_revision = 1,
        .creator_id = "KEEL",
        .creator_revision = 1,
    };

    memcpy(header.signature, signature, 4);
    return header;
}

/* Closes the table that begins at `at` and ends where the area is filled to: its length and checksum. */
static void table_finish(struct area *area, uint64_t at)
{
    struct acpi_header *header = (struct acpi_header *)(area->bytes + at);

    if (area->full)
        return;
    header->length = (uint32_t)(area->used - at);
    header->checksum = 0;
    header->checksum = checksum(area->bytes + at, header->length);
}

/* Closes it and puts it into the root tables. */
static void table_publish(struct area *area, uint64_t at)
{
    table_finish(area, at);
    area->tables[area->table_count++] = area_gpa(area, at);
}

static struct acpi_gas gas_io(uint16_t port, uint8_t bytes, uint8_t access)
{
    return (struct acpi_gas){.space = GAS_IO, .bit_width = 8 * bytes, .access_size = access, .address = port};
}

static uint32_t facs_write(struct area *area)
{
    struct acpi_facs facs = {.signature = "FACS", .length = sizeof(facs), .version = 2};

    return area_gpa(area, area_append(area, &facs, sizeof(facs), 64));
}

/* The host bridge's window above RAM: the DSDT has a place for it, its only descriptor of that kind. */
static void window_fill(uint8_t *dsdt, uint64_t len, const struct acpi_guest *guest)
{
    static const uint8_t start[] = {QWORD_TAG, QWORD_LENGTH, 0, QWORD_MEMORY};
    struct acpi_qword qword;

    for (uint64_t at = 0; at + sizeof(qword) <= len; at++) {
        if (memcmp(dsdt + at, start, sizeof(start)))
            continue;
        memcpy(&qword, dsdt + at, sizeof(qword));
        qword.minimum = guest->window;
        qword.maximum = guest->window_end - 1;
        qword.size = guest->window_end - guest->window;
        memcpy(dsdt + at, &qword, sizeof(qword));
    }
}

static uint32_t dsdt_write(struct area *area, const struct acpi_guest *guest)
{
    uint64_t at = area_append(area, guest->dsdt, guest->dsdt_len, 16);

    if (!area->full)
        window_fill(area->bytes + at, guest->dsdt_len, guest);
    table_finish(area, at);
    return area_gpa(area, at);
}

/*
 * There is no SMI command port: the PM registers are in ACPI mode from the start (4.8.2.5 has SCI_EN). The power button is the
 * fixed one.
 */
static void fadt_write(struct area *area, uint32_t facs, uint32_t dsdt)
{
    const uint16_t event = PC_PORT_PM + VPM_PM1_EVENT, control = PC_PORT_PM + VPM_PM1_CONTROL;
    const uint16_t timer = PC_PORT_PM + VPM_TIMER;
    struct acpi_fadt fadt = {
        .header = header_make("FACP", FADT_REVISION),
        .firmware_ctrl = facs,
        .dsdt = dsdt,
        .sci_int = PC_IRQ_SCI,
        .pm1a_evt_blk = event,
        .pm1a_cnt_blk = control,
        .pm_tmr_blk = timer,
        .pm1_evt_len = 4,
        .pm1_cnt_len = 2,
        .pm_tmr_len = 4,
        .p_lvl2_lat = FADT_LATENCY_NO_C2,
        .p_lvl3_lat = FADT_LATENCY_NO_C3,
        .century = CMOS_CENTURY,
        .iapc_boot_arch = IAPC_LEGACY_DEVICES | IAPC_8042,
        .flags = FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_FIX_RTC | FADT_TMR_VAL_EXT |
                 FADT_RESET_REG_SUP,
        .reset_reg = gas_io(PC_PORT_RESET, 1, GAS_BYTE),
        .reset_value = PC_RESET_VALUE,
        .x_dsdt = dsdt,
        .x_pm1a_evt_blk = gas_io(event, 4, GAS_WORD), /* two registers of two bytes each */
        .x_pm1a_cnt_blk = gas_io(control, 2, GAS_WORD),
        .x_pm_tmr_blk = gas_io(timer, 4, GAS_DWORD),
    };

    table_publish(area, area_append(area, &fadt, sizeof(fadt), 16));
}

static void madt_write_cpu(struct area *area, uint32_t id)
{
    struct madt_lapic lapic = {
        .type = MADT_LAPIC,
        .length = sizeof(lapic),
        .processor_uid = (uint8_t)id,
        .apic_id = (uint8_t)id,
        .flags = MADT_ENABLED,
    };
    struct madt_x2apic x2apic = {
        .type = MADT_X2APIC,
        .length = sizeof(x2apic),
        .x2apic_id = id,
        .flags = MADT_ENABLED,
        .processor_uid = id,
    };

    if (id < XAPIC_IDS)
        area_append(area, &lapic, sizeof(lapic), 1);
    else
        area_append(area, &x2apic, sizeof(x2apic), 1);
}

static void madt_write_override(struct area *area, uint8_t source, uint32_t gsi, uint16_t flags)
{
    struct madt_override override = {
        .type = MADT_OVERRIDE,
        .length = sizeof(override),
        .source = source,
        .gsi = gsi,
        .flags = flags,
    };

    area_append(area, &override, sizeof(override), 1);
}

/* An NMI button would be wired to LINT1 of each. */
static void madt_write_nmi(struct area *area, uint32_t vcpus)
{
    struct madt_lapic_nmi nmi = {
        .type = MADT_LAPIC_NMI,
        .length = sizeof(nmi),
        .processor_uid = UINT8_MAX, /* all */
        .flags = MPS_CONFORMS,
        .lint = 1,
    };
    struct madt_x2apic_nmi x2nmi = {
        .type = MADT_X2APIC_NMI,
        .length = sizeof(x2nmi),
        .flags = MPS_CONFORMS,
        .processor_uid = UINT32_MAX,
        .lint = 1,
    };

    area_append(area, &nmi, sizeof(nmi), 1);
    if (vcpus > XAPIC_IDS)
        area_append(area, &x2nmi, sizeof(x2nmi), 1);
}

static void madt_write(struct area *area, uint32_t vcpus)
{
    struct acpi_madt madt = {
        .header = header_make("APIC", 5),
        .lapic_address = PC_LAPIC,
        .flags = MADT_PCAT_COMPAT,
    };
    struct madt_ioapic ioapic = {
        .type = MADT_IOAPIC,
        .length = sizeof(ioapic),
        .ioapic_id = PC_IOAPIC_ID,
        .address = PC_IOAPIC,
    };
    uint64_t at = area_append(area, &madt, sizeof(madt), 16);

    for (uint32_t id = 0; id < vcpus; id++)
        madt_write_cpu(area, id);
    area_append(area, &ioapic, sizeof(ioapic), 1);
    madt_write_override(area, PC_IRQ_PIT, PC_GSI_PIT, MPS_CONFORMS);
    madt_write_override(area, PC_IRQ_SCI, PC_IRQ_SCI, MPS_ACTIVE_HIGH | MPS_LEVEL);
    madt_write_nmi(area, vcpus);
    table_publish(area, at);
}

static void mcfg_write(struct area *area)
{
    struct acpi_mcfg mcfg = {
        .header = header_make("MCFG", 1),
        .base = PC_ECAM,
        .end_bus = (uint8_t)(PC_ECAM_SIZE / MiB - 1),
    };

    table_publish(area, area_append(area, &mcfg, sizeof(mcfg), 16));
}

static void hpet_write(struct area *area)
{
    struct acpi_hpet hpet = {
        .header = header_make("HPET", 1),
        .block_id = VHPET_ID,
        .base = {.space = GAS_MEMORY, .bit_width = 64, .address = PC_HPET},
        .minimum_tick = VHPET_MIN_TICK,
        .page_protection = HPET_PAGE_4K,
    };

    table_publish(area, area_append(area, &hpet, sizeof(hpet), 16));
}

/* The RSDT has 32-bit addresses, for systems from before ACPI 2.0; the XSDT the same ones with 64. */
static uint32_t root_write(struct area *area, const char *signature, uint32_t address_size)
{
    struct acpi_header header = header_make(signature, 1);
    uint64_t at = area_append(area, &header, sizeof(header), 16);

    for (uint32_t i = 0; i < area->table_count; i++) {
        uint64_t address = area->tables[i];

        area_append(area, &address, address_size, 1); /* little-endian: the low bytes come first */
    }
    table_finish(area, at);
    return area_gpa(area, at);
}

static void rsdp_write(struct area *area, uint64_t at, uint32_t rsdt, uint32_t xsdt)
{
    struct acpi_rsdp rsdp = {
        .signature = "RSD PTR ",
        .oem_id = "KEEL  ",
        .revision = 2,
        .rsdt_address = rsdt,
        .length = sizeof(rsdp),
        .xsdt_address = xsdt,
    };

    rsdp.checksum = checksum((const uint8_t *)&rsdp, offsetof(struct acpi_rsdp, length));
    rsdp.extended_checksum = checksum((const uint8_t *)&rsdp, sizeof(rsdp));
    memcpy(area->bytes + at, &rsdp, sizeof(rsdp));
}

static bool dsdt_sound(const struct acpi_guest *guest)
{
    struct acpi_header header;

    if (guest->dsdt_len < sizeof(header))
        return false;
    memcpy(&header, guest->dsdt, sizeof(header));
    return memcmp(header.signature, "DSDT", 4) == 0 && header.length == guest->dsdt_len;
}

int acpi_build_at(void *bytes, uint64_t size, uint32_t base, const struct acpi_guest *guest, uint64_t *used)
{
    struct area area = {.bytes = bytes, .size = size, .base = base};
    uint64_t rsdp_at;
    uint32_t rsdt, xsdt, facs, dsdt;

    if (!dsdt_sound(guest))
        return ERR_INVALID;
    rsdp_at = area_take(&area, sizeof(struct acpi_rsdp), 16);
    facs = facs_write(&area);
    dsdt = dsdt_write(&area, guest);
    fadt_write(&area, facs, dsdt);
    madt_write(&area, guest->vcpus);
    hpet_write(&area);
    if (guest->ecam)
        mcfg_write(&area);
    rsdt = root_write(&area, "RSDT", 4);
    xsdt = root_write(&area, "XSDT", 8);
    if (area.full)
        return ERR_NOMEM;
    rsdp_write(&area, rsdp_at, rsdt, xsdt);
    *used = area.used;
    return 0;
}

int acpi_build(const struct gmem *mem, const struct acpi_guest *guest, gpa_t *rsdp)
{
    void *bytes = gmem_ptr(mem, PC_ACPI_TABLES, PC_ACPI_SIZE);
    uint64_t used;

    if (!bytes)
        return ERR_RANGE;
    *rsdp = PC_ACPI_TABLES;
    return acpi_build_at(bytes, PC_ACPI_SIZE, PC_ACPI_TABLES, guest, &used);
}
