/* Writes of control registers that exit: what is refused as the CPU would. */
#include "tests/unit/support.h"

#include "tests/unit/fake_vendor.h"

#define RAM_BYTES (4 * PAGE_SIZE)
#define POINTERS  0x1020u

static uint8_t ram[RAM_BYTES] __attribute__((aligned(4096)));

static struct vcpu_ops ops;

/* In PAE paging without long mode, with four page-directory pointers, on a CPU that loads them. */
static void begin(uint64_t third)
{
    const uint64_t entries[4] = {0x2001, 0x3001, third, 0};

    memset(ram, 0, sizeof ram);
    memcpy(ram + POINTERS, entries, sizeof entries);
    fake_reset();
    ops = *vcpu_ops;
    ops.loads_pdptes = true;
    vcpu_ops = &ops;
    gmem_init(&fake.vm.mem, ram);
    assert_int_equal(gmem_add(&fake.vm.mem, 0, RAM_BYTES, true), 0);
    fake.vm.cpuid.cr4_mask = CR4_PAE | CR4_PGE | CR4_PSE | CR4_DE;
    fake.regs[REG_EFER] = 0;
    fake.regs[REG_CR0] = CR0_PE | CR0_ET;
    fake.regs[REG_CR3] = POINTERS;
    fake.regs[REG_CR4] = CR4_PAE;
    fake.segs[SEG_CS].attr = 0xc09b;
    fake.vcpu.insn_len = 3;
    fake.vcpu.insn_plain = true;
}

static bool refused(uint32_t cr, uint64_t value)
{
    uint64_t rip = fake.vcpu.rip;

    exit_cr_write(&fake.vcpu, cr, value);
    if (!fake.vcpu.events.exception.valid)
        return false;
    assert_int_equal(fake.vcpu.events.exception.vector, EXC_GP);
    assert_int_equal(fake.vcpu.events.exception.error, 0);
    assert_int_equal(fake.vcpu.rip, rip);
    fake.vcpu.events.exception.valid = false;
    return true;
}

/* A reserved bit in a pointer that is present refuses what loads them, and nothing is written (SDM volume 3, 4.4.1). */
static void test_pointers(void **state)
{
    static const uint64_t wrong[] = {
        0x2003, 0x2005, 0x2021, 0x2101, 0x2001 | 1ull << 63, 0x2001 | 1ull << 40};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        begin(wrong[i]);
        assert_true(refused(0, CR0_PE | CR0_ET | CR0_PG));
        assert_int_equal(fake.regs[REG_CR0], CR0_PE | CR0_ET);
        fake.regs[REG_CR0] |= CR0_PG;
        assert_true(refused(4, CR4_PAE | CR4_PGE));
        assert_int_equal(fake.regs[REG_CR4], CR4_PAE);
        assert_false(refused(4, CR4_PAE | CR4_DE)); /* loads nothing */
        assert_false(refused(0, CR0_PE | CR0_ET | CR0_PG | CR0_TS));
        fake.regs[REG_EFER] = BIT(8);
        fake.regs[REG_CR0] &= ~(uint64_t)CR0_PG;
        assert_false(refused(0, CR0_PE | CR0_ET | CR0_PG)); /* long mode has none */
    }
    begin(0x2002 | 1ull << 63); /* not present: anything */
    assert_false(refused(0, CR0_PE | CR0_ET | CR0_PG));
    begin(0x2021); /* where they aren't loaded: #PF when it is used, if that */
    ops.loads_pdptes = false;
    assert_false(refused(0, CR0_PE | CR0_ET | CR0_PG));
    begin(0x2e19); /* caching, and what is free */
    assert_false(refused(0, CR0_PE | CR0_ET | CR0_PG));
}

static void test_combinations(void **state)
{
    (void)state;
    begin(0);
    assert_true(refused(0, CR0_ET | CR0_PG));
    assert_true(refused(0, CR0_PE | CR0_ET | CR0_NW));
    assert_true(refused(0, CR0_PE | 1ull << 32));
    assert_true(refused(4, CR4_PAE | CR4_VMXE));
    assert_true(refused(8, 0x10));
    assert_false(refused(8, 0xf));
    assert_int_equal(fake.cr8, 0xf);
    fake_reset(); /* 64-bit mode */
    fake.regs[REG_CR0] |= CR0_ET;
    fake.vm.cpuid.cr4_mask = CR4_PAE;
    assert_true(refused(0, CR0_PE | CR0_ET));
    assert_true(refused(4, 0));
    assert_true(refused(3, 1ull << 40));
    fake.segs[SEG_SS].attr = 3 << 5;
    assert_true(refused(3, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pointers),
        cmocka_unit_test(test_combinations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
