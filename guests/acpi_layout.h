/* The layout of ACPI's tables, as in ACPI 6.5 chapter 5: same names, same order. Little-endian, nothing aligned. */
#pragma once

#include "core/lib/types.h"

struct acpi_rsdp { /* 5.2.5.3 */
    char signature[8];
    uint8_t checksum; /* of the first 20 bytes */
    char oem_id[6];
    uint8_t revision;
    uint32_t rsdt_address;
    uint32_t length;
    uint64_t xsdt_address;
    uint8_t extended_checksum;
    uint8_t reserved[3];
} PACKED;
_Static_assert(sizeof(struct acpi_rsdp) == 36, "RSDP");

struct acpi_header { /* 5.2.6 */
    char signature[4];
    uint32_t length;
    uint8_t revision;
    uint8_t checksum;
    char oem_id[6];
    char oem_table_id[8];
    uint32_t oem_revision;
    char creator_id[4];
    uint32_t creator_revision;
} PACKED;
_Static_assert(sizeof(struct acpi_header) == 36, "table header");

struct acpi_gas { /* generic address structure, 5.2.3.2 */
    uint8_t space;
    uint8_t bit_width;
    uint8_t bit_offset;
    uint8_t access_size;
    uint64_t address;
} PACKED;
_Static_assert(sizeof(struct acpi_gas) == 12, "GAS");
#define GAS_MEMORY 0
#define GAS_IO     1
#define GAS_BYTE   1
#define GAS_WORD   2
#define GAS_DWORD  3

struct acpi_fadt { /* 5.2.9, as of revision 5 */
    struct acpi_header header;
    uint32_t firmware_ctrl;
    uint32_t dsdt;
    uint8_t reserved0;
    uint8_t preferred_pm_profile;
    uint16_t sci_int;
    uint32_t smi_cmd;
    uint8_t acpi_enable;
    uint8_t acpi_disable;
    uint8_t s4bios_req;
    uint8_t pstate_cnt;
    uint32_t pm1a_evt_blk;
    uint32_t pm1b_evt_blk;
    uint32_t pm1a_cnt_blk;
    uint32_t pm1b_cnt_blk;
    uint32_t pm2_cnt_blk;
    uint32_t pm_tmr_blk;
    uint32_t gpe0_blk;
    uint32_t gpe1_blk;
    uint8_t pm1_evt_len;
    uint8_t pm1_cnt_len;
    uint8_t pm2_cnt_len;
    uint8_t pm_tmr_len;
    uint8_t gpe0_blk_len;
    uint8_t gpe1_blk_len;
    uint8_t gpe1_base;
    uint8_t cst_cnt;
    uint16_t p_lvl2_lat;
    uint16_t p_lvl3_lat;
    uint16_t flush_size;
    uint16_t flush_stride;
    uint8_t duty_offset;
    uint8_t duty_width;
    uint8_t day_alrm;
    uint8_t mon_alrm;
    uint8_t century;
    uint16_t iapc_boot_arch;
    uint8_t reserved1;
    uint32_t flags;
    struct acpi_gas reset_reg;
    uint8_t reset_value;
    uint16_t arm_boot_arch;
    uint8_t minor_revision;
    uint64_t x_firmware_ctrl;
    uint64_t x_dsdt;
    struct acpi_gas x_pm1a_evt_blk;
    struct acpi_gas x_pm1b_evt_blk;
    struct acpi_gas x_pm1a_cnt_blk;
    struct acpi_gas x_pm1b_cnt_blk;
    struct acpi_gas x_pm2_cnt_blk;
    struct acpi_gas x_pm_tmr_blk;
    struct acpi_gas x_gpe0_blk;
    struct acpi_gas x_gpe1_blk;
    struct acpi_gas sleep_control_reg;
    struct acpi_gas sleep_status_reg;
} PACKED;
_Static_assert(sizeof(struct acpi_fadt) == 268, "FADT");
_Static_assert(offsetof(struct acpi_fadt, sci_int) == 46, "FADT");
_Static_assert(offsetof(struct acpi_fadt, pm_tmr_blk) == 76, "FADT");
_Static_assert(offsetof(struct acpi_fadt, century) == 108, "FADT");
_Static_assert(offsetof(struct acpi_fadt, flags) == 112, "FADT");
_Static_assert(offsetof(struct acpi_fadt, x_dsdt) == 140, "FADT");
_Static_assert(offsetof(struct acpi_fadt, x_pm_tmr_blk) == 208, "FADT");
#define FADT_REVISION       5
#define FADT_WBINVD         BIT(0)
#define FADT_PROC_C1        BIT(2)
#define FADT_SLP_BUTTON     BIT(5) /* there is no fixed sleep button */
#define FADT_FIX_RTC        BIT(6) /* the RTC's wake status isn't in the fixed registers */
#define FADT_TMR_VAL_EXT    BIT(8) /* the PM timer has 32 bits */
#define FADT_RESET_REG_SUP  BIT(10)
#define IAPC_LEGACY_DEVICES BIT(0)
#define IAPC_8042           BIT(1)
#define FADT_LATENCY_NO_C2  101  /* above 100: not supported */
#define FADT_LATENCY_NO_C3  1001 /* above 1000 */

struct acpi_qword { /* QWord address space descriptor of a resource template, 6.4.3.5.1 */
    uint8_t tag;
    uint16_t length;
    uint8_t type, general_flags, type_flags;
    uint64_t granularity, minimum, maximum, translation, size;
} PACKED;
_Static_assert(sizeof(struct acpi_qword) == 46, "QWord address space descriptor");
#define QWORD_TAG    0x8a
#define QWORD_LENGTH 0x2b
#define QWORD_MEMORY 0

struct acpi_facs { /* 5.2.10 */
    char signature[4];
    uint32_t length;
    uint32_t hardware_signature;
    uint32_t firmware_waking_vector;
    uint32_t global_lock;
    uint32_t flags;
    uint64_t x_firmware_waking_vector;
    uint8_t version;
    uint8_t reserved0[3];
    uint32_t ospm_flags;
    uint8_t reserved1[24];
} PACKED;
_Static_assert(sizeof(struct acpi_facs) == 64, "FACS");

struct acpi_madt { /* 5.2.12; entries follow */
    struct acpi_header header;
    uint32_t lapic_address;
    uint32_t flags;
} PACKED;
_Static_assert(sizeof(struct acpi_madt) == 44, "MADT");
#define MADT_PCAT_COMPAT BIT(0)

struct madt_lapic { /* 5.2.12.2, type 0 */
    uint8_t type, length;
    uint8_t processor_uid;
    uint8_t apic_id;
    uint32_t flags;
} PACKED;
_Static_assert(sizeof(struct madt_lapic) == 8, "MADT local APIC");
#define MADT_ENABLED BIT(0)

struct madt_ioapic { /* 5.2.12.3, type 1 */
    uint8_t type, length;
    uint8_t ioapic_id;
    uint8_t reserved;
    uint32_t address;
    uint32_t gsi_base;
} PACKED;
_Static_assert(sizeof(struct madt_ioapic) == 12, "MADT I/O APIC");

struct madt_override { /* 5.2.12.5, type 2 */
    uint8_t type, length;
    uint8_t bus;
    uint8_t source;
    uint32_t gsi;
    uint16_t flags;
} PACKED;
_Static_assert(sizeof(struct madt_override) == 10, "MADT interrupt source override");
#define MPS_CONFORMS    0 /* polarity and trigger mode as the bus has them: ISA is active-high, edge */
#define MPS_ACTIVE_HIGH 1
#define MPS_LEVEL       (3 << 2)

struct madt_lapic_nmi { /* 5.2.12.7, type 4 */
    uint8_t type, length;
    uint8_t processor_uid;
    uint16_t flags;
    uint8_t lint;
} PACKED;
_Static_assert(sizeof(struct madt_lapic_nmi) == 6, "MADT local APIC NMI");

struct madt_x2apic { /* 5.2.12.12, type 9 */
    uint8_t type, length;
    uint16_t reserved;
    uint32_t x2apic_id;
    uint32_t flags;
    uint32_t processor_uid;
} PACKED;
_Static_assert(sizeof(struct madt_x2apic) == 16, "MADT local x2APIC");

struct madt_x2apic_nmi { /* 5.2.12.13, type 10 */
    uint8_t type, length;
    uint16_t flags;
    uint32_t processor_uid;
    uint8_t lint;
    uint8_t reserved[3];
} PACKED;
_Static_assert(sizeof(struct madt_x2apic_nmi) == 12, "MADT local x2APIC NMI");

enum madt_type {
    MADT_LAPIC = 0,
    MADT_IOAPIC = 1,
    MADT_OVERRIDE = 2,
    MADT_LAPIC_NMI = 4,
    MADT_X2APIC = 9,
    MADT_X2APIC_NMI = 10,
};

struct acpi_mcfg { /* PCI Firmware Specification 3.3, 4.1.2; with its one allocation */
    struct acpi_header header;
    uint64_t reserved0;
    uint64_t base;
    uint16_t segment;
    uint8_t start_bus;
    uint8_t end_bus;
    uint32_t reserved1;
} PACKED;
_Static_assert(sizeof(struct acpi_mcfg) == 60, "MCFG");

struct acpi_hpet { /* IA-PC HPET specification 1.0a, 3.2.4 */
    struct acpi_header header;
    uint32_t block_id; /* the low half of the capabilities */
    struct acpi_gas base;
    uint8_t number;
    uint16_t minimum_tick;
    uint8_t page_protection;
} PACKED;
_Static_assert(sizeof(struct acpi_hpet) == 56, "HPET");
#define HPET_PAGE_4K 1 /* the page holds nothing else */
