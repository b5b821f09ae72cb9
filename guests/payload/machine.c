/* What machine this is, and the two tables of ACPI that the tests need. */
#include "guests/payload/payload.h"

#include "core/lib/bytes.h"
#include "core/lib/string.h"

#define PARAM_RSDP    0x070
#define PARAM_CMDLINE 0x228
#define RSDP_AREA     0xe0000
#define RSDP_AREA_END 0x100000

uint64_t first_tsc;
const uint8_t *boot_params;
static char line[512];
const char *cmdline = line;
bool on_keel, on_kvm, on_tcg, on_intel;
uint32_t acpi_pm_timer, acpi_pm1a_control, acpi_s5_type;

bool cpu_has(uint32_t leaf, uint32_t reg, uint32_t bit)
{
    uint32_t max = cpuid(leaf & 0xffff0000, 0).eax;
    struct cpuid_regs r = cpuid(leaf, 0);
    uint32_t regs[4] = {r.eax, r.ebx, r.ecx, r.edx};

    return leaf <= max && (regs[reg] >> bit & 1);
}

static bool signature_is(uint32_t leaf, const char text[12])
{
    struct cpuid_regs r = cpuid(leaf, 0);

    return !memcmp(&r.ebx, text, 4) && !memcmp(&r.ecx, text + 4, 4) && !memcmp(&r.edx, text + 8, 4);
}

/* The brand string shows QEMU's own CPU model through a hypervisor. */
static bool brand_begins(const char *text)
{
    struct cpuid_regs r = cpuid(0x80000002, 0);
    char brand[sizeof(r) + 1] = {0};

    memcpy(brand, &r, sizeof(r));
    return str_starts(brand, text);
}

void machine_init(void)
{
    static const char intel[12] = {'G', 'e', 'n', 'u', 'n', 't', 'e', 'l', 'i', 'n', 'e', 'I'};

    /* Where it is may be written over (pattern.c). */
    if (get_le32(boot_params + PARAM_CMDLINE))
        str_copy(line, (const char *)(uint64_t)get_le32(boot_params + PARAM_CMDLINE), sizeof line);
    on_intel = signature_is(0, intel);
    on_tcg = signature_is(0x40000000, "TCGTCGTCGTCG") || brand_begins("QEMU TCG");
    on_keel = signature_is(0x40000100, "KeelKeelKeel");
    on_kvm = signature_is(0x40000000, "KVMKVMKVM\0\0") && !on_keel;
}

uint64_t page_set(uint64_t address, uint64_t entry)
{
    uint64_t *slot = &page_directory[address >> 21];
    uint64_t old = *slot;

    *slot = entry;
    invlpg((const void *)address);
    return old;
}

/* ACPI 5.2: RSDP -> RSDT or XSDT -> FADT; the S5 type comes from the DSDT's \_S5 package. ----------------------- */

static const uint8_t *rsdp_find(void)
{
    uint64_t given = get_le64(boot_params + PARAM_RSDP);

    if (given && !memcmp((const void *)given, "RSD PTR ", 8))
        return (const uint8_t *)given;
    for (uint64_t at = RSDP_AREA; at < RSDP_AREA_END; at += 16)
        if (!memcmp((const void *)at, "RSD PTR ", 8))
            return (const uint8_t *)at;
    return NULL;
}

static const uint8_t *table_find(const uint8_t *rsdp, const char signature[4])
{
    bool wide = rsdp[15] >= 2 && get_le64(rsdp + 24);
    const uint8_t *root = (const uint8_t *)(wide ? get_le64(rsdp + 24) : get_le32(rsdp + 16));
    uint32_t step = wide ? 8 : 4;

    for (uint32_t at = 36; at + step <= get_le32(root + 4); at += step) {
        const uint8_t *table = (const uint8_t *)(wide ? get_le64(root + at) : get_le32(root + at));

        if (!memcmp(table, signature, 4))
            return table;
    }
    return NULL;
}

/* Finds NameOp "_S5_" PackageOp, and takes the package's first element: a byte constant, 0 or 1. */
static uint32_t s5_type(const uint8_t *dsdt)
{
    uint32_t len = get_le32(dsdt + 4);

    for (uint32_t at = 36; at + 8 < len; at++) {
        const uint8_t *p = dsdt + at;

        if (memcmp(p, "_S5_\x12", 5))
            continue;
        p += 5;
        p += (*p >> 6) + 2; /* package length and number of elements */
        return *p == 0x0a ? p[1] : *p;
    }
    return 0;
}

void acpi_init(void)
{
    const uint8_t *rsdp = rsdp_find();
    const uint8_t *fadt = rsdp ? table_find(rsdp, "FACP") : NULL;

    if (!fadt)
        return;
    acpi_pm1a_control = get_le32(fadt + 64);
    acpi_pm_timer = get_le32(fadt + 76);
    acpi_s5_type = s5_type((const uint8_t *)(uint64_t)get_le32(fadt + 40));
}
