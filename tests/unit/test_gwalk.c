/* The walk in all paging modes: by hand where the manual is particular, and at random against a second, plain walker. */
#include "tests/unit/support.h"

#include <stdlib.h>
#include <string.h>

#include "core/x86/cr.h"
#include "core/x86/msr.h"
#include "mm/gwalk.h"

#define RAM_SIZE (64 * PAGE_SIZE)
#define P        1ull
#define W        2ull
#define U        4ull
#define A        0x20ull
#define D        0x40ull
#define PS       0x80ull
#define NX       BIT(63)

static struct gmem mem;
static uint8_t *ram;
static struct gwalk_result result;

static int setup(void **state)
{
    (void)state;
    ram = aligned_alloc(PAGE_SIZE, RAM_SIZE);
    memset(ram, 0, RAM_SIZE);
    gmem_init(&mem, ram);
    return gmem_add(&mem, 0, RAM_SIZE - PAGE_SIZE, true) |
           gmem_add(&mem, RAM_SIZE - PAGE_SIZE, PAGE_SIZE, false);
}

static int teardown(void **state)
{
    (void)state;
    free(ram);
    return 0;
}

static void set64(uint64_t table, uint64_t slot, uint64_t entry)
{
    memcpy(ram + table + slot * 8, &entry, 8);
}

static uint64_t get64(uint64_t table, uint64_t slot)
{
    uint64_t entry;

    memcpy(&entry, ram + table + slot * 8, 8);
    return entry;
}

static void set32(uint64_t table, uint64_t slot, uint32_t entry)
{
    memcpy(ram + table + slot * 4, &entry, 4);
}

static struct gwalk_state long_mode(void)
{
    return (struct gwalk_state){.cr0 = CR0_PE | CR0_PG | CR0_WP,
                                .cr3 = 0x1000,
                                .cr4 = CR4_PAE,
                                .efer = EFER_LMA | EFER_LME | EFER_NXE};
}

/* Slots 0 of tables 0x1000 -> 0x2000 -> 0x3000 -> 0x4000, with `rights` in each, and the leaf. */
static void tables4(uint64_t rights, uint64_t leaf)
{
    set64(0x1000, 0, 0x2000 | rights);
    set64(0x2000, 0, 0x3000 | rights);
    set64(0x3000, 0, 0x4000 | rights);
    set64(0x4000, 0, leaf);
}

static void expect_gpa(const struct gwalk_state *s, gva_t gva, uint32_t access, gpa_t gpa, uint64_t size)
{
    assert_true(gwalk(&mem, s, gva, access, &result));
    assert_int_equal(result.gpa, gpa);
    assert_int_equal(result.page_size, size);
}

static void expect_fault(const struct gwalk_state *s, gva_t gva, uint32_t access, uint32_t error)
{
    assert_false(gwalk(&mem, s, gva, access, &result));
    assert_false(result.noncanonical);
    assert_int_equal(result.error, error);
}

static void test_no_paging(void **state)
{
    struct gwalk_state s = {.cr0 = CR0_PE};

    (void)state;
    expect_gpa(&s, 0x123456789, GWALK_WRITE, 0x23456789, 0);
}

static void test_legacy(void **state)
{
    struct gwalk_state s = {.cr0 = CR0_PE | CR0_PG, .cr3 = 0x1018};

    (void)state;
    set32(0x1000, 1, 0x2000 | P | W | U);
    set32(0x2000, 2, 0x9000 | P);
    set32(0x1000, 2, 0xc00000 | PS | P | W | U | 0x12 << 13);
    expect_gpa(&s, 0x402abc, GWALK_WRITE, 0x9abc, PAGE_SIZE); /* WP clear: a supervisor may write */
    expect_fault(&s, 0x402abc, GWALK_USER, PF_PRESENT | PF_USER);
    expect_fault(&s, 0x403000, GWALK_WRITE, PF_WRITE);
    expect_gpa(&s, 0x402abc, GWALK_FETCH, 0x9abc, PAGE_SIZE);
    s.cr0 |= CR0_WP;
    expect_fault(&s, 0x402abc, GWALK_WRITE, PF_PRESENT | PF_WRITE);
    /* Without PSE the PS bit means nothing: the entry is a table far away, which reads as all ones. */
    expect_gpa(&s, 0x800123, 0, 0xfffff123, PAGE_SIZE);
    s.cr4 = CR4_PSE;
    expect_gpa(&s, 0x812345, GWALK_USER | GWALK_WRITE, 0x1200000000 | 0xc12345, SIZE_2M * 2);
    s.phys_bits = 36; /* bits 17 to 21 are reserved now, and 0x12 << 13 has bit 17 */
    expect_fault(&s, 0x812345, 0, PF_PRESENT | PF_RESERVED);
    s.phys_bits = 40;
    set32(0x1000, 2, 0xc00000 | PS | P | BIT(21));
    expect_fault(&s, 0x812345, 0, PF_PRESENT | PF_RESERVED);
}

static void test_pae(void **state)
{
    struct gwalk_state s = {.cr0 = CR0_PE | CR0_PG | CR0_WP, .cr3 = 0x1020, .cr4 = CR4_PAE};

    (void)state;
    set64(0x1020, 3, 0x2000 | P);
    set64(0x2000, 0, 0x3000 | P | W | U);
    set64(0x2000, 1, 0x7400000000ull | PS | P | W);
    set64(0x3000, 5, 0x8000 | P | W | U);
    expect_gpa(&s, 0xc0005123, GWALK_USER | GWALK_WRITE, 0x8123, PAGE_SIZE);
    expect_gpa(&s, 0xc0234567, GWALK_WRITE, 0x7400034567ull, SIZE_2M);
    expect_gpa(&s, 0xabcdef00c0234567ull, 0, 0x7400034567ull, SIZE_2M);
    expect_fault(&s, 0, 0, 0);
    set64(0x1020, 3, 0x2000 | P | W);
    expect_fault(&s, 0xc0005123, 0, PF_PRESENT | PF_RESERVED);
    set64(0x1020, 3, 0x2000 | P | A); /* reserved; QEMU's CPU sets it nonetheless */
    expect_gpa(&s, 0xc0005123, 0, 0x8123, PAGE_SIZE);
    set64(0x1020, 3, 0x2000 | P);
    set64(0x3000, 5, 0x8000 | P | W | U | NX);
    expect_fault(&s, 0xc0005123, 0, PF_PRESENT | PF_RESERVED);
    s.efer = EFER_NXE;
    expect_gpa(&s, 0xc0005123, 0, 0x8123, PAGE_SIZE);
    expect_fault(&s, 0xc0005123, GWALK_FETCH, PF_PRESENT | PF_FETCH);
    set64(0x3000, 5, 0x8000 | P | BIT(55)); /* ignored in long mode, reserved here */
    expect_fault(&s, 0xc0005123, 0, PF_PRESENT | PF_RESERVED);
}

static void test_long_sizes(void **state)
{
    struct gwalk_state s = long_mode();

    (void)state;
    tables4(P | W | U, 0x9000 | P | W | U);
    expect_gpa(&s, 0xfff, GWALK_USER | GWALK_FETCH, 0x9fff, PAGE_SIZE);
    set64(0x3000, 1, 0x40200000 | PS | P | BIT(12)); /* bit 12 is the PAT bit, not an address */
    expect_gpa(&s, SIZE_2M + 0x12345, 0, 0x40212345, SIZE_2M);
    set64(0x2000, 1, 0x80000000 | PS | P);
    expect_gpa(&s, SIZE_1G + 0x1234567, 0, 0x81234567, SIZE_1G);
    set64(0x3000, 1, 0x40202000 | PS | P);
    expect_fault(&s, SIZE_2M, 0, PF_PRESENT | PF_RESERVED);
    set64(0x2000, 1, 0x80200000 | PS | P);
    expect_fault(&s, SIZE_1G, 0, PF_PRESENT | PF_RESERVED);
    set64(0x1000, 1, 0x2000 | PS | P);
    expect_fault(&s, BIT(39), 0, PF_PRESENT | PF_RESERVED);
    s.phys_bits = 40;
    set64(0x4000, 1, BIT(40) | P);
    expect_fault(&s, PAGE_SIZE, 0, PF_PRESENT | PF_RESERVED);
    set64(0x4000, 1, BIT(39) | P | BIT(58));
    expect_gpa(&s, PAGE_SIZE, 0, BIT(39), PAGE_SIZE);
}

static void test_canonical_and_5level(void **state)
{
    struct gwalk_state s = long_mode();

    (void)state;
    tables4(P, 0x9000 | P);
    set64(0x1000, 511, 0x2000 | P);
    expect_gpa(&s, 0xffffff8000000000ull, 0, 0x9000, PAGE_SIZE);
    assert_false(gwalk(&mem, &s, BIT(47), 0, &result));
    assert_true(result.noncanonical);
    s.cr4 |= CR4_LA57;
    s.cr3 = 0x5000;
    set64(0x5000, 0, 0x1000 | P);
    set64(0x5000, 511, 0x1000 | P);
    set64(0x1000, 256, 0x2000 | P);
    expect_gpa(&s, BIT(47), 0, 0x9000, PAGE_SIZE);
    expect_gpa(&s, 0xffff800000000000ull, 0, 0x9000, PAGE_SIZE);
    assert_false(gwalk(&mem, &s, BIT(56), 0, &result));
    assert_true(result.noncanonical);
}

static void test_supervisor_protection(void **state)
{
    struct gwalk_state s = long_mode();

    (void)state;
    tables4(P | W | U, 0x9000 | P | W | U);
    s.cr4 |= CR4_SMEP;
    expect_fault(&s, 0, GWALK_FETCH, PF_PRESENT | PF_FETCH);
    expect_gpa(&s, 0, GWALK_FETCH | GWALK_USER, 0x9000, PAGE_SIZE);
    expect_gpa(&s, 0, GWALK_WRITE, 0x9000, PAGE_SIZE);
    s.cr4 |= CR4_SMAP;
    expect_fault(&s, 0, GWALK_READ, PF_PRESENT);
    expect_gpa(&s, 0, GWALK_USER, 0x9000, PAGE_SIZE);
    s.rflags = RFLAGS_AC;
    expect_gpa(&s, 0, GWALK_WRITE, 0x9000, PAGE_SIZE);
    expect_fault(&s, 0, GWALK_WRITE | GWALK_IMPLICIT, PF_PRESENT | PF_WRITE);
    /* One supervisor entry makes it a supervisor page. */
    set64(0x2000, 0, 0x3000 | P | W);
    s.rflags = 0;
    expect_gpa(&s, 0, GWALK_FETCH, 0x9000, PAGE_SIZE);
    expect_gpa(&s, 0, GWALK_WRITE | GWALK_IMPLICIT, 0x9000, PAGE_SIZE);
    set64(0x1000, 0, 0x2000 | P | W | NX);
    expect_fault(&s, 0, GWALK_FETCH, PF_PRESENT | PF_FETCH);
}

static void test_protection_keys(void **state)
{
    struct gwalk_state s = long_mode();

    (void)state;
    tables4(P | W | U, 0x9000 | P | W | U | 3ull << 59);
    s.cr4 |= CR4_PKE;
    s.pkru = 2u << 6; /* key 3: no writes */
    expect_gpa(&s, 0, GWALK_USER, 0x9000, PAGE_SIZE);
    expect_fault(&s, 0, GWALK_USER | GWALK_WRITE, PF_PRESENT | PF_USER | PF_WRITE | PF_KEY);
    expect_fault(&s, 0, GWALK_WRITE, PF_PRESENT | PF_WRITE | PF_KEY);
    s.cr0 &= ~CR0_WP;
    expect_gpa(&s, 0, GWALK_WRITE, 0x9000, PAGE_SIZE);
    s.pkru = 1u << 6; /* key 3: nothing but code */
    expect_fault(&s, 0, GWALK_READ, PF_PRESENT | PF_KEY);
    expect_gpa(&s, 0, GWALK_FETCH | GWALK_USER, 0x9000, PAGE_SIZE);
    set64(0x4000, 0, 0x9000 | P | W | 3ull << 59);
    expect_gpa(&s, 0, GWALK_READ, 0x9000, PAGE_SIZE);
}

static void test_accessed_dirty(void **state)
{
    struct gwalk_state s = long_mode();

    (void)state;
    tables4(P | W | U, 0x9000 | P | U);
    expect_fault(&s, 0, GWALK_WRITE | GWALK_SET_AD, PF_PRESENT | PF_WRITE);
    assert_int_equal(get64(0x1000, 0), 0x2000 | P | W | U);
    expect_gpa(&s, 0, GWALK_READ, 0x9000, PAGE_SIZE);
    assert_int_equal(get64(0x4000, 0), 0x9000 | P | U);
    expect_gpa(&s, 0, GWALK_READ | GWALK_SET_AD, 0x9000, PAGE_SIZE);
    assert_int_equal(get64(0x1000, 0), 0x2000 | P | W | U | A);
    assert_int_equal(get64(0x4000, 0), 0x9000 | P | U | A);
    set64(0x4000, 0, 0x9000 | P | W);
    expect_gpa(&s, 0, GWALK_WRITE | GWALK_SET_AD, 0x9000, PAGE_SIZE);
    assert_int_equal(get64(0x3000, 0), 0x4000 | P | W | U | A);
    assert_int_equal(get64(0x4000, 0), 0x9000 | P | W | A | D);
    /* Tables in ROM are left alone. */
    set64(0x3000, 0, (RAM_SIZE - PAGE_SIZE) | P | W);
    set64(RAM_SIZE - PAGE_SIZE, 0, 0x9000 | P | W);
    expect_gpa(&s, 0, GWALK_WRITE | GWALK_SET_AD, 0x9000, PAGE_SIZE);
    assert_int_equal(get64(RAM_SIZE - PAGE_SIZE, 0), 0x9000 | P | W);
    /* 32-bit entries, and PAE's top level, which has no such bit. */
    memset(ram, 0, RAM_SIZE);
    s = (struct gwalk_state){.cr0 = CR0_PE | CR0_PG, .cr3 = 0x1000};
    set32(0x1000, 0, 0x2000 | P | W);
    set32(0x2000, 0, 0x9000 | P | W);
    set32(0x2000, 1, 0x12345678);
    expect_gpa(&s, 0, GWALK_WRITE | GWALK_SET_AD, 0x9000, PAGE_SIZE);
    assert_int_equal(get64(0x1000, 0), 0x2000 | P | W | A);
    assert_int_equal(get64(0x2000, 0), 0x9000 | P | W | A | D | 0x12345678ull << 32);
    s = (struct gwalk_state){.cr0 = CR0_PE | CR0_PG, .cr3 = 0x3000, .cr4 = CR4_PAE};
    set64(0x3000, 0, 0x4000 | P);
    set64(0x4000, 0, PS | P | W);
    expect_gpa(&s, 0, GWALK_WRITE | GWALK_SET_AD, 0, SIZE_2M);
    assert_int_equal(get64(0x3000, 0), 0x4000 | P);
    assert_int_equal(get64(0x4000, 0), PS | P | W | A | D);
}

static void test_table_outside_ram(void **state)
{
    struct gwalk_state s = long_mode();

    (void)state;
    s.cr3 = BIT(40);
    expect_fault(&s, 0, GWALK_WRITE, PF_PRESENT | PF_RESERVED | PF_WRITE);
}

/*
 * A second walker for long mode, written the other way round: each rule collects its verdict over the whole list of
 * entries. Random tables point at each other in a small RAM, with random bits.
 */
static bool plain_walk(const struct gwalk_state *s, uint64_t gva, uint32_t access, uint64_t *gpa,
                       uint32_t *error)
{
    int levels = s->cr4 & CR4_LA57 ? 5 : 4, level = levels;
    uint64_t table = s->cr3 & 0x000ffffffffff000ull, entry, all = W | U, any = 0, size, offset;
    bool nxe = s->efer & EFER_NXE, user = access & GWALK_USER, write = access & GWALK_WRITE,
         fetch = access & GWALK_FETCH;
    bool denied = false, pk = false;

    *error = (write ? 2u : 0) | (user ? 4u : 0) | (fetch && (nxe || s->cr4 & CR4_SMEP) ? 16u : 0);
    for (;;) {
        int shift = 12 + 9 * (level - 1);

        entry = table + 0x1000 <= RAM_SIZE ? get64(table, gva >> shift & 511) : UINT64_MAX;
        if (!(entry & 1))
            return false;
        if ((entry & NX && !nxe) || (level >= 4 && entry & PS) || entry & 0x000f000000000000ull) {
            *error |= 9;
            return false;
        }
        all &= entry;
        any |= entry;
        size = BIT(shift);
        if (level == 1 || (level < 4 && entry & PS))
            break;
        table = entry & 0x000ffffffffff000ull;
        level--;
    }
    offset = entry & 0x000ffffffffff000ull & (size - 1);
    if (level > 1 && offset & ~BIT(12)) {
        *error |= 9;
        return false;
    }
    if (user && !(all & U))
        denied = true;
    if (write && !(all & W) && (user || s->cr0 & CR0_WP))
        denied = true;
    if (fetch && any & NX)
        denied = true;
    if (!user && all & U && fetch && s->cr4 & CR4_SMEP)
        denied = true;
    if (!user && all & U && !fetch && s->cr4 & CR4_SMAP &&
        (!(s->rflags & RFLAGS_AC) || access & GWALK_IMPLICIT))
        denied = true;
    if (s->cr4 & CR4_PKE && all & U && !fetch) {
        uint32_t key = s->pkru >> (entry >> 59 & 15) * 2 & 3;

        pk = key & 1 || (key & 2 && write && (user || s->cr0 & CR0_WP));
    }
    *error |= 1 | (pk ? 32u : 0);
    *gpa = (entry & 0x000ffffffffff000ull & ~(size - 1)) | (gva & (size - 1));
    return !denied && !pk;
}

static uint64_t random_entry(uint64_t *seed)
{
    uint64_t r = support_random(seed), entry = (r >> 8 & 63) << 12;

    entry |= r & 15 ? P : 0;
    entry |= r >> 16 & 7 ? W | U : r >> 20 & (W | U);
    entry |= r >> 24 & 15 ? 0 : NX;
    entry |= r >> 28 & 15 ? 0 : PS;
    entry |= r >> 32 & 31 ? 0 : BIT(48);
    entry |= (r >> 40 & 15) << 59;
    if (entry & PS && r >> 45 & 3)
        entry &= ~(MASK(30) & ~MASK(12));
    return entry;
}

static void test_random(void **state)
{
    uint64_t seed = 5, good = 0;

    (void)state;
    for (int round = 0; round < 30; round++) {
        for (uint64_t i = 0; i < RAM_SIZE / 8; i++)
            set64(0, i, random_entry(&seed));
        for (int step = 0; step < 2000; step++) {
            uint64_t r = support_random(&seed), gpa = 0, gva = support_random(&seed);
            uint32_t access = r & (GWALK_WRITE | GWALK_USER | GWALK_IMPLICIT), error = 0;
            struct gwalk_state s = long_mode();
            bool ok;

            if (!(access & GWALK_WRITE) && r & BIT(5))
                access |= GWALK_FETCH;
            s.cr3 = r >> 8 & 0x3f000;
            s.cr4 |= (r & BIT(30) ? CR4_SMEP : 0) | (r & BIT(31) ? CR4_SMAP : 0) |
                     (r & BIT(32) ? CR4_PKE : 0) | (r & BIT(33) ? CR4_LA57 : 0);
            s.cr0 &= r & BIT(34) ? ~0ull : ~CR0_WP;
            s.efer &= r >> 35 & 7 ? ~0ull : ~EFER_NXE;
            s.rflags = r & BIT(39) ? RFLAGS_AC : 0;
            s.pkru = r & BIT(40) ? 0 : (uint32_t)support_random(&seed);
            s.phys_bits = 48;
            gva = (uint64_t)((int64_t)(gva << 16) >> 16);
            ok = plain_walk(&s, gva, access, &gpa, &error);
            assert_int_equal(gwalk(&mem, &s, gva, access, &result), ok);
            good += ok;
            if (ok)
                assert_int_equal(result.gpa, gpa);
            else
                assert_int_equal(result.error, error);
        }
    }
    assert_true(good > 1000); /* or the test would say nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_paging, setup, teardown),
        cmocka_unit_test_setup_teardown(test_legacy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pae, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_canonical_and_5level, setup, teardown),
        cmocka_unit_test_setup_teardown(test_supervisor_protection, setup, teardown),
        cmocka_unit_test_setup_teardown(test_protection_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_accessed_dirty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_table_outside_ram, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
