/* Control registers: what is written is read back, and what the manual forbids takes #GP. */
#include "guests/payload/payload.h"

#include "core/event.h"
#include "core/lib/format.h"

#define IPI_VECTOR 0x43

static uint64_t read_cr8(void)
{
    uint64_t v;

    __asm__ volatile("mov %%cr8, %0" : "=r"(v));
    return v;
}

static void expect_toggled(const char *reg, const char *bit, uint64_t got, uint64_t want)
{
    char name[48];

    fmt_print(name, sizeof(name), "cr.%s-%s", reg, bit);
    expect(name, got, want);
}

static void test_cr0(void)
{
    static const struct {
        const char *name;
        uint64_t bits;
    } bits[] = {{"wp", CR0_WP}, {"am", CR0_AM}, {"ts", CR0_TS},
                {"mp", CR0_MP}, {"em", CR0_EM}, {"ne", CR0_NE}};
    uint64_t cr0 = read_cr0();

    for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
        uint64_t vector = cr0_trap(cr0 ^ bits[i].bits);

        expect_toggled("cr0", bits[i].name, read_cr0() ^ cr0, vector == NO_TRAP ? bits[i].bits : 0);
        write_cr0(cr0);
    }
    expect("cr.cr0-cache-disable", cr0_trap(cr0 | CR0_CD), NO_TRAP);
    expect("cr.cr0-cache-disable-read", read_cr0() & (CR0_CD | CR0_NW), CR0_CD);
    write_cr0(cr0);
}

/* SDM volume 3 section 2.5, and for long mode 5.1.2. QEMU's own CPU does what it is told and is lost. */
static void test_cr0_refused(void)
{
    uint64_t cr0 = read_cr0();

    if (on_tcg) {
        skip("cr.cr0-refused", "QEMU checks nothing");
        return;
    }
    expect("cr.cr0-nw-alone", cr0_trap((cr0 & ~CR0_CD) | CR0_NW), EXC_GP);
    expect("cr.cr0-pg-without-pe", cr0_trap(cr0 & ~CR0_PE), EXC_GP);
    expect("cr.cr0-pg-off-in-long-mode", cr0_trap(cr0 & ~CR0_PG), EXC_GP);
    expect("cr.cr0-upper", cr0_trap(cr0 | 1ull << 32), EXC_GP);
    expect("cr.cr0-unchanged", read_cr0(), cr0);
}

/* CLTS, LMSW and SMSW see and change the same register; LMSW can't clear PE. */
static void test_machine_status(void)
{
    uint64_t cr0 = read_cr0(), status = 0;
    uint16_t word;

    write_cr0(cr0 | CR0_TS);
    __asm__ volatile("clts");
    expect("cr.clts", read_cr0() & CR0_TS, 0);
    __asm__ volatile("lmsw %w0" : : "r"((uint32_t)(cr0 | CR0_TS)));
    expect("cr.lmsw-ts", read_cr0() & CR0_TS, CR0_TS);
    __asm__ volatile("lmsw %w0" : : "r"(0));
    expect("cr.lmsw-keeps-pe", read_cr0() & 0xf, CR0_PE);
    word = (uint16_t)(CR0_PE | CR0_MP);
    __asm__ volatile("lmsw %0" : : "m"(word));
    expect("cr.lmsw-memory", read_cr0() & 0xf, CR0_PE | CR0_MP);
    write_cr0(cr0);
    __asm__ volatile("smsw %0" : "=r"(status));
    expect("cr.smsw", status & 0xffff, cr0 & 0xffff);
    expect("cr.clts-user", USER_TRAP_OF("clts"), EXC_GP);
}

static void test_cr3(void)
{
    uint64_t cr3 = read_cr3();
    uint32_t bits = cpuid(0x80000008, 0).eax & 0xff;

    expect("cr.cr3-same", cr3_trap(cr3), NO_TRAP);
    expect("cr.cr3-read", read_cr3(), cr3);
    if (on_tcg) {
        skip("cr.cr3-reserved", "QEMU checks nothing");
        return;
    }
    if (bits < 52)
        expect("cr.cr3-reserved", cr3_trap(cr3 | 1ull << 51), EXC_GP);
    expect("cr.cr3-bit-62", cr3_trap(cr3 | 1ull << 60), EXC_GP);
}

static void test_cr4(void)
{
    static const struct {
        const char *name;
        uint64_t bits;
    } bits[] = {{"pge", CR4_PGE}, {"de", CR4_DE},         {"tsd", CR4_TSD},          {"mce", CR4_MCE},
                {"pce", CR4_PCE}, {"osfxsr", CR4_OSFXSR}, {"osxmm", CR4_OSXMMEXCPT}, {"pse", CR4_PSE}};
    uint64_t cr4 = read_cr4();

    for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
        expect_toggled("cr4", bits[i].name, cr4_trap(cr4 ^ bits[i].bits), NO_TRAP);
        expect_toggled("cr4-read", bits[i].name, read_cr4(), cr4 ^ bits[i].bits);
        write_cr4(cr4);
    }
}

static void test_cr4_refused(void)
{
    uint64_t cr4 = read_cr4();

    if (on_tcg && !on_keel) {
        skip("cr.cr4-refused", "QEMU ends here");
        return;
    }
    expect("cr.cr4-reserved", cr4_trap(cr4 | BIT(31)), EXC_GP);
    expect("cr.cr4-upper", cr4_trap(cr4 | BIT(40)), EXC_GP);
    expect("cr.cr4-unchanged", read_cr4(), cr4);
    if (on_tcg) {
        skip("cr.cr4-forbidden", "QEMU checks for reserved bits only");
        return;
    }
    expect("cr.cr4-pae-off", cr4_trap(cr4 & ~CR4_PAE), EXC_GP);
    if (on_keel)
        expect("cr.cr4-vmxe", cr4_trap(cr4 | CR4_VMXE), EXC_GP);
    expect("cr.cr4-smxe", cr4_trap(cr4 | CR4_SMXE), EXC_GP);
    if (!cpu_has(1, 2, 17))
        expect("cr.cr4-pcide", cr4_trap(cr4 | CR4_PCIDE), EXC_GP);
    if (!cpu_has(7, 1, 7))
        expect("cr.cr4-smep", cr4_trap(cr4 | CR4_SMEP), EXC_GP);
    expect("cr.cr4-still", read_cr4(), cr4);
}

/* CR8 is the upper half of the TPR's low byte (SDM volume 3 section 11.8.6), and holds interrupts back. */
static void test_cr8(void)
{
    expect("cr.cr8-write", cr8_trap(5), NO_TRAP);
    expect("cr.cr8-read", read_cr8(), 5);
    expect("cr.cr8-tpr", lapic_read(LAPIC_TPR), 0x50);
    lapic_write(LAPIC_TPR, 0x73);
    expect("cr.cr8-from-tpr", read_cr8(), 7);
    expect("cr.cr8-reserved", cr8_trap(0x10), EXC_GP);
    irq_count(IPI_VECTOR, false);
    cr8_trap(IPI_VECTOR >> 4);
    lapic_write(LAPIC_ICR, IPI_VECTOR | ICR_SELF);
    check("cr.cr8-holds", !irq_wait(IPI_VECTOR, 1, 2));
    __asm__ volatile("sti");
    cr8_trap(0);
    delay_us(100);
    __asm__ volatile("cli");
    expect("cr.cr8-lets-go", irq_counts[IPI_VECTOR], 1);
}

void test_cr(void)
{
    test_cr0();
    test_cr0_refused();
    test_machine_status();
    test_cr3();
    test_cr4();
    test_cr4_refused();
    test_cr8();
}
