/* Remembered instructions, and that an access to a device ends in the same whether its instruction was remembered or not. */
#include "tests/unit/support.h"

#include "tests/unit/fake_vendor.h"

#include "core/emulate.h"
#include "core/site.h"
#include "core/x86/msr.h"
#include "mm/pt_entry.h"

#define RAM_BYTES (64 * PAGE_SIZE)
#define ROOT      0x1000 /* PML4, PDPT, PD, PT in consecutive pages */
#define OTHER     0x8000 /* a second PML4 */
#define CODE      0x10000
#define MOVED     0x20000
#define RIP       0xffff800000003100ull
#define DEVICE    0xfed00000ull
#define TABLE     (PTE_P | PTE_W | PTE_A)

static uint8_t ram[RAM_BYTES] __attribute__((aligned(4096)));
static struct sites sites;
static struct gmem mem;
static uint64_t device; /* what was written last; a read gives its complement */
static uint32_t accesses, offset, size;

static uint64_t *entry(uint64_t table, uint32_t index)
{
    return (uint64_t *)(void *)(ram + table) + index;
}

/* [reg + 0x10] of a 4-byte MOV load: 8b 47 10 is mov eax, [rdi + 0x10] */
static const uint8_t load[] = {0x8b, 0x47, 0x10};

static uint64_t *entry_at(uint32_t level) /* 0: the top */
{
    static const uint32_t shifts[] = {39, 30, 21, 12};

    return entry(ROOT + level * PAGE_SIZE, RIP >> shifts[level] & 511);
}

static int set_up(void **state)
{
    (void)state;
    memset(ram, 0, sizeof ram);
    memset(&sites, 0, sizeof sites);
    gmem_init(&mem, ram);
    assert_int_equal(gmem_add(&mem, 0, RAM_BYTES, true), 0);
    for (uint32_t level = 0; level < 3; level++)
        *entry_at(level) = (ROOT + (level + 1) * PAGE_SIZE) | TABLE;
    *entry_at(3) = CODE | TABLE;
    memcpy(ram + CODE + (RIP & PAGE_MASK), load, sizeof load);
    memcpy(ram + MOVED + (RIP & PAGE_MASK), load, sizeof load);
    return 0;
}

static const struct insn_mov *find(uint64_t cr3)
{
    return site_find(&sites, &mem, cr3, RIP);
}

static void learn(void)
{
    struct insn_mov mov;

    assert_true(insn_decode_mov(ram + CODE + (RIP & PAGE_MASK), &mov));
    site_learn(&sites, &mem, ROOT, RIP, &mov);
}

static void nothing_is_known_at_first(void **state)
{
    (void)state;
    assert_null(find(ROOT));
    assert_null(site_find(&sites, &mem, ROOT, 0)); /* what an empty slot looks like */
}

static void known_while_all_stays(void **state)
{
    (void)state;
    learn();
    assert_non_null(find(ROOT));
    assert_int_equal(find(ROOT)->length, 3);
    assert_int_equal(find(ROOT)->disp, 0x10);
    assert_null(site_find(&sites, &mem, ROOT, RIP + 1));
}

static void changed_code_is_noticed(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < SITE_BYTES; i++) {
        learn();
        ram[CODE + (RIP & PAGE_MASK) + i] ^= 0x40;
        assert_null(find(ROOT));
        ram[CODE + (RIP & PAGE_MASK) + i] ^= 0x40;
        assert_non_null(find(ROOT));
    }
}

/* The page has the same bytes: only the tables tell. */
static void changed_tables_are_noticed(void **state)
{
    (void)state;
    for (uint32_t level = 0; level < 4; level++) {
        uint64_t before = *entry_at(level);

        learn();
        *entry_at(level) = level == 3 ? MOVED | TABLE : (OTHER | TABLE);
        assert_null(find(ROOT));
        *entry_at(level) = before & ~PTE_P;
        assert_null(find(ROOT));
        *entry_at(level) = before;
        assert_non_null(find(ROOT));
    }
}

static void address_spaces_share_what_is_below(void **state)
{
    (void)state;
    learn();
    assert_null(find(OTHER));
    *entry(OTHER, RIP >> 39 & 511) = *entry_at(0);
    assert_non_null(find(OTHER));
    assert_non_null(find(OTHER | 0x18)); /* PWT and PCD are no part of the address */
    assert_null(find(RAM_BYTES));
}

static void large_pages_are_followed(void **state)
{
    (void)state;
    *entry_at(2) = TABLE | PTE_PS; /* 0 to 2 MiB */
    memcpy(ram + (RIP & (SIZE_2M - 1)), load, sizeof load);
    learn();
    assert_non_null(find(ROOT));
    assert_ptr_equal(site_slot(&sites, RIP)->code, ram + (RIP & (SIZE_2M - 1)));
    *entry_at(2) |= PTE_D;
    assert_null(find(ROOT));
}

static void nothing_is_learnt_across_pages(void **state)
{
    const gva_t end = ALIGN_UP(RIP, PAGE_SIZE) - SITE_BYTES + 1;
    struct insn_mov mov = {.length = 3};

    (void)state;
    site_learn(&sites, &mem, ROOT, end, &mov);
    assert_null(site_find(&sites, &mem, ROOT, end));
    site_learn(&sites, &mem, ROOT, end - 1, &mov);
    assert_non_null(site_find(&sites, &mem, ROOT, end - 1));
}

/* The whole way of an access, by fake_vendor.h. */

static enum bus_result device_access(void *dev, struct bus_access *access)
{
    (void)dev;
    accesses++;
    offset = (uint32_t)access->addr;
    size = access->size;
    if (access->write)
        device = access->value;
    else
        access->value = 0x8899aabbccddeeffull;
    return BUS_OK;
}

static void machine_reset(const uint8_t *code, size_t len, bool remember)
{
    fake_reset();
    fake.vm.mem = mem;
    fake.vcpu.sites = remember ? &sites : NULL;
    fake.regs[REG_CR3] = ROOT;
    assert_int_equal(bus_claim(&fake.vm.mmio, DEVICE, PAGE_SIZE, device_access, NULL, "device"), 0);
    memcpy(ram + CODE + (RIP & PAGE_MASK), code, len);
    for (uint32_t r = 0; r < REG_GPR_COUNT; r++)
        fake.vcpu.gpr[r] = 0x1122334455667700ull + r;
}

/* Runs the instruction with its operand at DEVICE + 0x10. */
static void access_once(bool write)
{
    struct exit_memory access = {.gpa = DEVICE + 0x10, .write = write};

    fake.vcpu.rip = RIP;
    fake.vcpu.gpr[REG_RDI] = 0xffffa00000000000ull;
    device = accesses = offset = size = 0;
    emulate_mmio(&fake.vcpu, &access);
}

static const struct {
    bool write;
    uint8_t len;
    uint8_t code[SITE_BYTES];
} movs[] = {
    {false, 3, {0x8b, 0x47, 0x10}},                              /* mov eax, [rdi + 16] */
    {false, 4, {0x48, 0x8b, 0x47, 0x10}},                        /* mov rax, .. */
    {false, 3, {0x8a, 0x4f, 0x10}},                              /* mov cl, .. */
    {false, 4, {0x44, 0x8b, 0x4f, 0x10}},                        /* mov r9d, .. */
    {true, 3, {0x89, 0x57, 0x10}},                               /* mov .., edx */
    {true, 4, {0x4c, 0x89, 0x6f, 0x10}},                         /* mov .., r13 */
    {true, 3, {0x88, 0x47, 0x10}},                               /* mov .., al */
    {true, 7, {0xc7, 0x47, 0x10, 0x78, 0x56, 0x34, 0x92}},       /* mov dword .., 0x92345678 */
    {true, 8, {0x48, 0xc7, 0x47, 0x10, 0x78, 0x56, 0x34, 0x92}}, /* mov qword .. */
    {true, 4, {0xc6, 0x47, 0x10, 0x80}},                         /* mov byte .., 0x80 */
    {false, 4, {0x66, 0x8b, 0x47, 0x10}},                        /* mov ax, .. */
    {true, 5, {0x66, 0x44, 0x89, 0x4f, 0x10}},                   /* mov .., r9w */
    {true, 6, {0x66, 0xc7, 0x47, 0x10, 0x34, 0x92}},             /* mov word .., 0x9234 */
    {true,
     9,
     {0x66, 0x48, 0xc7, 0x47, 0x10, 0x78, 0x56, 0x34, 0x92}}, /* mov qword .., behind an idle prefix */
};

static void remembered_is_the_same(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < ARRAY_SIZE(movs); i++) {
        struct vcpu plain;
        uint64_t written;
        uint32_t where, bytes;

        machine_reset(movs[i].code, movs[i].len, false);
        access_once(movs[i].write);
        assert_null(fake.failed);
        assert_int_equal(accesses, 1);
        plain = fake.vcpu;
        written = device;
        where = offset;
        bytes = size;
        machine_reset(movs[i].code, movs[i].len, true);
        access_once(movs[i].write);
        assert_non_null(find(ROOT));
        for (int again = 0; again < 2; again++) {
            machine_reset(movs[i].code, movs[i].len, true);
            access_once(movs[i].write);
            assert_memory_equal(fake.vcpu.gpr, plain.gpr, sizeof plain.gpr);
            assert_int_equal(fake.vcpu.rip, RIP + movs[i].len);
            assert_int_equal(fake.vcpu.rip, plain.rip);
            assert_int_equal(device, written);
            assert_int_equal(offset, where);
            assert_int_equal(size, bytes);
            assert_int_equal(accesses, 1);
        }
    }
}

/* What is remembered may be a store at the same place as a load that the CPU has met on an old copy of the code. */
static void what_does_not_fit_is_not_used(void **state)
{
    struct exit_memory access = {.gpa = DEVICE + 0x14};

    (void)state;
    machine_reset(movs[0].code, movs[0].len, true);
    access_once(false);
    assert_non_null(find(ROOT));
    fake.vcpu.rip = RIP;
    accesses = 0;
    emulate_mmio(&fake.vcpu, &access); /* not where the operand points to: the executor goes by the operand */
    assert_int_not_equal(offset, 0x14);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_known_at_first),
        TEST(known_while_all_stays),
        TEST(changed_code_is_noticed),
        TEST(changed_tables_are_noticed),
        TEST(address_spaces_share_what_is_below),
        TEST(large_pages_are_followed),
        TEST(nothing_is_learnt_across_pages),
        TEST(remembered_is_the_same),
        TEST(what_does_not_fit_is_not_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
