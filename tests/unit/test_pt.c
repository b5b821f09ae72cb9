/* The walker against a plain array of pages, in all three formats; leaks, splitting, sharing, W^X. */
#include "tests/unit/support.h"

#include <stdlib.h>
#include <string.h>

#include "core/lib/error.h"
#include "mm/pt.h"

/* Tables come from the host's heap; budget limits how many. "Physical" addresses are the pointers themselves. */
static int64_t live, budget;

static void *table_alloc(void *ctx)
{
    (void)ctx;
    if (budget == 0)
        return NULL;
    budget--;
    live++;
    return memset(aligned_alloc(PAGE_SIZE, PAGE_SIZE), 0, PAGE_SIZE);
}

static void table_free(void *ctx, void *table)
{
    (void)ctx;
    live--;
    free(table);
}

static hpa_t table_hpa(const void *table)
{
    return (uintptr_t)table;
}

static void *table_ptr(hpa_t hpa)
{
    return (void *)hpa;
}

static const struct pt_memory memory = {table_alloc, table_free, table_hpa, table_ptr, NULL};
static const struct pt_format *const formats[] = {&pt_host, &pt_ept, &pt_npt};

static struct pt pt;

static void start(const struct pt_format *format, uint32_t max_leaf)
{
    live = 0;
    budget = INT64_MAX;
    assert_int_equal(pt_init(&pt, format, &memory, max_leaf), 0);
}

static void finish(void)
{
    pt_free(&pt);
    assert_int_equal(live, 0);
    assert_int_equal(pt.tables, 0);
}

static struct pt_leaf leaf_at(uint64_t addr)
{
    struct pt_leaf leaf;

    assert_true(pt_lookup(&pt, addr, &leaf));
    return leaf;
}

static void test_leaf_sizes(void **state)
{
    (void)state;
    for (int f = 0; f < 3; f++) {
        start(formats[f], 2);
        assert_int_equal(pt_map(&pt, SIZE_1G - SIZE_2M - PAGE_SIZE, 3 * SIZE_1G - SIZE_2M - PAGE_SIZE,
                                SIZE_1G + 2 * SIZE_2M + 2 * PAGE_SIZE, PT_READ | PT_WRITE),
                         0);
        assert_int_equal(leaf_at(SIZE_1G - SIZE_2M - 1).len, PAGE_SIZE);
        assert_int_equal(leaf_at(SIZE_1G - SIZE_2M).len, SIZE_2M);
        assert_int_equal(leaf_at(SIZE_1G).len, SIZE_1G);
        assert_int_equal(leaf_at(SIZE_1G + 12345).hpa, 3 * SIZE_1G);
        assert_int_equal(leaf_at(2 * SIZE_1G).len, SIZE_2M);
        assert_int_equal(leaf_at(2 * SIZE_1G + SIZE_2M).len, PAGE_SIZE);
        assert_int_equal(leaf_at(2 * SIZE_1G + SIZE_2M).attrs, PT_READ | PT_WRITE);
        finish();
        start(formats[f], 1);
        assert_int_equal(pt_map(&pt, 0, 0, SIZE_1G, PT_READ), 0);
        assert_int_equal(leaf_at(0).len, SIZE_2M);
        assert_int_equal(pt.tables, 3);
        finish();
    }
}

static void test_split_and_collapse(void **state)
{
    struct pt_leaf leaf;

    (void)state;
    for (int f = 0; f < 3; f++) {
        start(formats[f], 2);
        assert_int_equal(pt_map(&pt, 0, SIZE_1G, SIZE_1G, PT_READ | PT_EXEC), 0);
        assert_int_equal(pt.tables, 2);
        assert_int_equal(pt_unmap(&pt, 5 * PAGE_SIZE, PAGE_SIZE), 0);
        assert_int_equal(pt.tables, 4);
        assert_false(pt_lookup(&pt, 5 * PAGE_SIZE, &leaf));
        assert_int_equal(leaf_at(4 * PAGE_SIZE).hpa, SIZE_1G + 4 * PAGE_SIZE);
        assert_int_equal(leaf_at(6 * PAGE_SIZE).attrs, PT_READ | PT_EXEC);
        assert_int_equal(leaf_at(SIZE_2M).len, SIZE_2M);
        /* Mapped as a whole again, the small tables go. */
        assert_int_equal(pt_map(&pt, 0, SIZE_1G, SIZE_1G, PT_READ), 0);
        assert_int_equal(pt.tables, 2);
        /* The same range with an unaligned target wants small leaves. */
        assert_int_equal(pt_map(&pt, 0, PAGE_SIZE, SIZE_2M, PT_READ), 0);
        assert_int_equal(leaf_at(SIZE_2M - 1).hpa, SIZE_2M);
        assert_int_equal(pt_unmap(&pt, 0, BIT(47)), 0);
        assert_int_equal(pt.tables, 1);
        finish();
    }
}

static void test_bad_ranges(void **state)
{
    (void)state;
    start(&pt_ept, 2);
    assert_int_equal(pt_map(&pt, 1, 0, PAGE_SIZE, PT_READ), ERR_INVALID);
    assert_int_equal(pt_map(&pt, 0, 1, PAGE_SIZE, PT_READ), ERR_INVALID);
    assert_int_equal(pt_map(&pt, 0, 0, 1, PT_READ), ERR_INVALID);
    assert_int_equal(pt_map(&pt, BIT(48), 0, PAGE_SIZE, PT_READ), ERR_RANGE);
    assert_int_equal(pt_map(&pt, BIT(48) - PAGE_SIZE, 0, 2 * PAGE_SIZE, PT_READ), ERR_RANGE);
    assert_int_equal(pt_map(&pt, 0, BIT(52) - PAGE_SIZE, 2 * PAGE_SIZE, PT_READ), ERR_RANGE);
    assert_int_equal(pt_unmap(&pt, 0, BIT(49)), ERR_RANGE);
    assert_int_equal(pt_map(&pt, BIT(48) - PAGE_SIZE, BIT(52) - PAGE_SIZE, PAGE_SIZE, PT_READ), 0);
    assert_int_equal(leaf_at(BIT(48) - 1).addr, BIT(48) - PAGE_SIZE);
    assert_int_equal(pt_map(&pt, 0, 0, 0, PT_READ), 0);
    assert_int_equal(pt_unmap(&pt, 0, 0), 0);
    finish();
    start(&pt_host, 2);
    assert_int_equal(pt_map(&pt, BIT(47), 0, PAGE_SIZE, PT_READ), ERR_RANGE);
    assert_int_equal(pt_map(&pt, -BIT(47), 0, PAGE_SIZE, PT_READ), 0);
    assert_int_equal(leaf_at(-BIT(47)).addr, -BIT(47));
    finish();
}

static void test_entries(void **state)
{
    (void)state;
    assert_int_equal(pt_host.make_leaf(0x5000, PT_READ, 0), 0x8000000000005021ull);
    assert_int_equal(pt_host.make_leaf(0x200000, PT_READ | PT_EXEC | PT_GLOBAL, 1), 0x2001a1);
    assert_int_equal(pt_host.make_leaf(0x200000, PT_READ | PT_WRITE | PT_UC, 1), 0x80000000002000fbull);
    assert_int_equal(pt_host.make_leaf(0x5000, PT_READ | PT_WRITE | PT_WC, 0), 0x800000000000506bull);
    EXPECT_PANIC((void)pt_host.make_leaf(0x5000, PT_READ | PT_WRITE | PT_EXEC, 0));
    assert_int_equal(pt_ept.make_leaf(0x5000, PT_READ | PT_WRITE | PT_EXEC, 0), 0x5037);
    assert_int_equal(pt_ept.make_leaf(0x40000000, PT_READ, 2), 0x400000b1);
    assert_int_equal(pt_ept.make_leaf(0x5000, PT_READ | PT_WRITE | PT_UC, 0), 0x5003);
    assert_int_equal(pt_ept.make_leaf(0x5000, PT_READ | PT_WC, 0), 0x5009);
    assert_int_equal(pt_ept.make_table(0x7000), 0x7007);
    EXPECT_PANIC((void)pt_ept.make_leaf(0x5000, PT_WRITE, 0));
    assert_int_equal(pt_npt.make_leaf(0x5000, PT_READ | PT_WRITE | PT_EXEC, 0), 0x5007);
    assert_int_equal(pt_npt.make_leaf(0x200000, PT_READ, 1), 0x8000000000200085ull);
    assert_int_equal(pt_npt.make_table(0x7000), 0x7007);
    for (int f = 0; f < 3; f++)
        for (uint32_t attrs = 0; attrs < 64; attrs++) {
            uint32_t a = attrs | PT_READ;

            if ((a & PT_UC && a & PT_WC) || (f == 0 && a & PT_WRITE && a & PT_EXEC) || (f && a & PT_GLOBAL))
                continue;
            for (uint32_t level = 0; level < 3; level++)
                assert_int_equal(formats[f]->attrs(formats[f]->make_leaf(SIZE_1G, a, level), level), a);
        }
}

/* The model: what each page of a window of two gigabytes' worth of interesting places maps to. */
enum { MODEL_PAGES = 4 * 512 };
static struct {
    bool mapped;
    hpa_t hpa;
    uint32_t attrs;
} model[MODEL_PAGES];

static void model_compare(uint64_t base)
{
    for (uint64_t p = 0; p < MODEL_PAGES; p++) {
        uint64_t addr = base + p * PAGE_SIZE;
        struct pt_leaf leaf;
        bool found = pt_lookup(&pt, addr, &leaf);

        assert_int_equal(found, model[p].mapped);
        if (!found)
            continue;
        assert_int_equal(leaf.hpa + (addr - leaf.addr), model[p].hpa);
        assert_int_equal(leaf.attrs, model[p].attrs);
    }
}

struct sum {
    uint64_t bytes, next;
};

static int leaf_sum(void *ctx, const struct pt_leaf *leaf)
{
    struct sum *sum = ctx;

    assert_true(leaf->addr >= sum->next);
    sum->next = leaf->addr + leaf->len;
    sum->bytes += leaf->len;
    return 0;
}

static void model_sum(void)
{
    struct sum sum = {0, 0};
    uint64_t bytes = 0;

    for (int p = 0; p < MODEL_PAGES; p++)
        bytes += model[p].mapped ? PAGE_SIZE : 0;
    assert_int_equal(pt_visit(&pt, leaf_sum, &sum), 0);
    assert_int_equal(sum.bytes, bytes);
}

static bool range_unmapped(uint64_t addr, uint64_t pages)
{
    struct pt_leaf leaf;

    for (uint64_t i = 0; i < pages; i++)
        if (pt_lookup(&pt, addr + i * PAGE_SIZE, &leaf))
            return false;
    return true;
}

static void random_step(uint64_t base, uint64_t *seed)
{
    uint64_t first = support_random(seed) % MODEL_PAGES,
             count = support_random(seed) % (MODEL_PAGES - first) + 1;
    uint64_t hpa = (support_random(seed) % 64) * SIZE_2M;
    uint32_t attrs = PT_READ | (support_random(seed) % 2 ? PT_WRITE : PT_EXEC);
    int kind = support_random(seed) % 3, err;

    if (support_random(seed) % 2) { /* often on 2 MiB boundaries */
        first = ALIGN_DOWN(first, 512);
        count = ALIGN_DOWN(count, 512) ?: 512;
    } else {
        hpa += support_random(seed) % 8 * PAGE_SIZE;
    }
    if (kind)
        err = pt_map(&pt, base + first * PAGE_SIZE, hpa, count * PAGE_SIZE, attrs);
    else
        err = pt_unmap(&pt, base + first * PAGE_SIZE, count * PAGE_SIZE);
    if (err)
        assert_int_equal(err, ERR_NOMEM);
    /* Without memory, unmapping changes nothing; mapping leaves the range as it was or unmapped. */
    if (err && (!kind || !range_unmapped(base + first * PAGE_SIZE, count)))
        return;
    for (uint64_t i = 0; i < count; i++) {
        model[first + i].mapped = kind && !err;
        model[first + i].hpa = hpa + i * PAGE_SIZE;
        model[first + i].attrs = attrs;
    }
}

static void random_run(const struct pt_format *format, uint32_t max_leaf, bool starve, uint64_t seed)
{
    const uint64_t base = SIZE_1G - MODEL_PAGES / 2 * PAGE_SIZE; /* across a table of level 2 */

    start(format, max_leaf);
    memset(model, 0, sizeof(model));
    for (int step = 0; step < 60; step++) {
        budget = starve ? (int64_t)(support_random(&seed) % 3) : INT64_MAX;
        random_step(base, &seed);
        model_compare(base);
        model_sum();
    }
    budget = INT64_MAX;
    assert_int_equal(pt_unmap(&pt, base, MODEL_PAGES * PAGE_SIZE), 0);
    assert_int_equal(pt.tables, 1);
    assert_int_equal(live, 1);
    finish();
}

static void test_random(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 6; seed++)
        for (int f = 0; f < 3; f++)
            random_run(formats[f], (uint32_t)seed % 3, false, seed);
}

static void test_random_starved(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 20; seed++)
        random_run(formats[seed % 3], 2, true, seed);
}

static int stop_at_second(void *ctx, const struct pt_leaf *leaf)
{
    (void)leaf;
    return ++*(int *)ctx == 2 ? 77 : 0;
}

static void test_share(void **state)
{
    const uint64_t shared = -BIT(47), window = BIT(46);
    struct pt other;
    struct pt_leaf leaf;
    int visits = 0;

    (void)state;
    start(&pt_host, 2);
    assert_int_equal(pt_pin(&pt, shared), 0);
    assert_int_equal(pt_pin(&pt, shared), 0);
    assert_int_equal(pt_init(&other, &pt_host, &memory, 2), 0);
    pt_share(&other, &pt, 256);
    /* What is mapped later in one is there in the other, also after the table was empty in between. */
    assert_int_equal(pt_map(&pt, shared, 0x5000, PAGE_SIZE, PT_READ), 0);
    assert_true(pt_lookup(&other, shared, &leaf));
    assert_int_equal(pt_unmap(&pt, shared, BIT(39)), 0);
    assert_int_equal(pt.tables, 2);
    assert_int_equal(pt_map(&pt, shared, 0x5000, 2 * PAGE_SIZE, PT_READ), 0);
    assert_true(pt_lookup(&other, shared, &leaf));
    assert_int_equal(leaf.hpa, 0x5000);
    /* The other can't change it, nor does it visit or free it. */
    assert_int_equal(pt_map(&other, shared, 0x6000, PAGE_SIZE, PT_READ), ERR_RANGE);
    assert_int_equal(pt_unmap(&other, shared, PAGE_SIZE), ERR_RANGE);
    assert_int_equal(pt_pin(&other, shared), ERR_RANGE);
    assert_int_equal(pt_map(&other, window, 0, SIZE_1G, PT_READ | PT_WRITE), 0);
    assert_int_equal(other.tables, 2);
    assert_int_equal(pt_visit(&other, stop_at_second, &visits), 0);
    assert_int_equal(visits, 1);
    visits = 0;
    assert_int_equal(pt_visit(&pt, stop_at_second, &visits), 77);
    pt_free(&other);
    pt_free(&other);
    assert_int_equal(leaf_at(shared).hpa, 0x5000);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leaf_sizes), cmocka_unit_test(test_split_and_collapse),
        cmocka_unit_test(test_bad_ranges), cmocka_unit_test(test_entries),
        cmocka_unit_test(test_random),     cmocka_unit_test(test_random_starved),
        cmocka_unit_test(test_share),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
