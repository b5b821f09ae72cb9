#include "core/bus.h"

#include "core/lib/error.h"
#include "tests/unit/support.h"

struct probe {
    uint64_t addr, value;
    uint32_t size;
    int calls;
    enum bus_result result;
};

static struct bus bus;

static enum bus_result probe_handler(void *dev, struct bus_access *access)
{
    struct probe *probe = dev;

    probe->calls++;
    probe->addr = access->addr;
    probe->size = access->size;
    if (access->write)
        probe->value = access->value;
    else
        access->value = probe->value;
    return probe->result;
}

static int claim(struct probe *probe, uint64_t base, uint64_t len)
{
    *probe = (struct probe){0};
    return bus_claim(&bus, base, len, probe_handler, probe, "probe");
}

static enum bus_result access_at(uint64_t addr, uint32_t size, bool write, uint64_t *value)
{
    struct bus_access access = {.addr = addr, .size = size, .write = write, .value = *value};
    enum bus_result result = bus_dispatch(&bus, &access);

    assert_int_equal(access.addr, addr);
    *value = access.value;
    return result;
}

static void test_claims(void **state)
{
    struct probe p;

    (void)state;
    bus_init(&bus, "port");
    assert_int_equal(claim(&p, 0x60, 1), 0);
    assert_int_equal(claim(&p, 0x64, 1), 0);
    assert_int_equal(claim(&p, 0x61, 3), 0);
    assert_int_equal(claim(&p, 0x63, 1), ERR_BUSY);
    assert_int_equal(claim(&p, 0x5f, 2), ERR_BUSY);
    assert_int_equal(claim(&p, 0x50, 0x1000), ERR_BUSY);
    assert_int_equal(claim(&p, 0x65, 0), ERR_RANGE);
    assert_int_equal(claim(&p, UINT64_MAX, 2), ERR_RANGE);
    assert_int_equal(claim(&p, UINT64_MAX, 1), 0);
    assert_int_equal(bus_release(&bus, 0x62), ERR_NOTFOUND);
    assert_int_equal(bus_release(&bus, 0x5f), ERR_NOTFOUND);
    assert_int_equal(bus_release(&bus, 0x61), 0);
    assert_int_equal(bus_release(&bus, 0x61), ERR_NOTFOUND);
    assert_int_equal(claim(&p, 0x62, 2), 0);
}

static void test_full(void **state)
{
    struct probe p;

    (void)state;
    bus_init(&bus, "port");
    for (uint32_t i = BUS_MAX_RANGES; i > 0; i--)
        assert_int_equal(claim(&p, i * 16, 8), 0);
    assert_int_equal(claim(&p, 8, 1), ERR_NOMEM);
    for (uint32_t i = 1; i < BUS_MAX_RANGES; i++)
        assert_true(bus.ranges[i - 1].base < bus.ranges[i].base);
}

static void test_dispatch(void **state)
{
    struct probe low, high;
    uint64_t value = 0x1122334455667788;

    (void)state;
    bus_init(&bus, "port");
    claim(&low, 0x3f8, 8);
    claim(&high, 0x400, 8);
    assert_int_equal(access_at(0x3fa, 2, true, &value), BUS_OK);
    assert_int_equal(low.addr, 2);
    assert_int_equal(low.size, 2);
    assert_int_equal(access_at(0x3fa, 2, false, &value), BUS_OK);
    assert_int_equal(value, 0x7788);
    high.value = UINT64_MAX;
    assert_int_equal(access_at(0x400, 8, false, &value), BUS_OK);
    assert_true(value == UINT64_MAX);
    assert_int_equal(access_at(0x407, 1, false, &value), BUS_OK);
    assert_int_equal(value, 0xff);
    assert_int_equal(high.addr, 7);
}

static void test_unclaimed(void **state)
{
    struct probe p;
    uint64_t value = 5;

    (void)state;
    bus_init(&bus, "port");
    assert_int_equal(access_at(0, 4, false, &value), BUS_UNCLAIMED);
    assert_true(value == 0xffffffff);
    claim(&p, 0x100, 4);
    assert_int_equal(access_at(0x102, 4, false, &value), BUS_UNCLAIMED);
    assert_int_equal(access_at(0xff, 2, true, &value), BUS_UNCLAIMED);
    assert_int_equal(access_at(0x104, 1, false, &value), BUS_UNCLAIMED);
    assert_int_equal(value, 0xff);
    assert_int_equal(access_at(UINT64_MAX, 8, false, &value), BUS_UNCLAIMED);
    assert_true(value == UINT64_MAX);
    assert_int_equal(p.calls, 0);
    p.result = BUS_UNCLAIMED;
    assert_int_equal(access_at(0x100, 2, false, &value), BUS_UNCLAIMED);
    assert_int_equal(value, 0xffff);
    p.result = BUS_FAULT;
    assert_int_equal(access_at(0x100, 2, false, &value), BUS_FAULT);
}

/* The hint at a range that was given back must not lead there. */
static void test_release_forgets(void **state)
{
    struct probe p, q;
    uint64_t value = 0;

    (void)state;
    bus_init(&bus, "port");
    claim(&p, 0x100, 4);
    claim(&q, 0x200, 4);
    assert_int_equal(access_at(0x200, 1, false, &value), BUS_OK);
    assert_int_equal(bus_release(&bus, 0x200), 0);
    assert_int_equal(access_at(0x200, 1, false, &value), BUS_UNCLAIMED);
    assert_int_equal(access_at(0x100, 1, false, &value), BUS_OK);
    assert_int_equal(bus_release(&bus, 0x100), 0);
    assert_int_equal(access_at(0x100, 1, false, &value), BUS_UNCLAIMED);
    assert_int_equal(access_at(0, 1, false, &value), BUS_UNCLAIMED);
}

static void test_log_once(void **state)
{
    (void)state;
    bus_init(&bus, "port");
    assert_true(bus_log_once(&bus, 0));
    assert_false(bus_log_once(&bus, 0));
    for (uint32_t i = 1; i < ARRAY_SIZE(bus.logged); i++)
        assert_true(bus_log_once(&bus, i));
    assert_false(bus_log_once(&bus, 1000));
    assert_false(bus_log_once(&bus, 3));
}

/* Where the hint points to must not matter: all pairs of accesses, with every number of ranges, against a look at all ranges. */
static void test_hint_is_only_a_hint(void **state)
{
    struct probe probes[BUS_MAX_RANGES];

    (void)state;
    bus_init(&bus, "port");
    for (uint32_t n = 0; n <= BUS_MAX_RANGES; n++) {
        for (uint64_t first = 0; first < 8 * n + 16; first++)
            for (uint64_t then = first & 3; then < 8 * n + 16; then += 7) {
                uint64_t value = 0;
                bool claimed = then >= 8 && (then - 8) % 8 < 3 && (then - 8) / 8 < n;

                access_at(first, 1, false, &value);
                assert_int_equal(access_at(then, 1, false, &value), claimed ? BUS_OK : BUS_UNCLAIMED);
            }
        if (n < BUS_MAX_RANGES)
            assert_int_equal(claim(&probes[n], 8 + 8 * n, 3), 0);
    }
}

static void test_timeless_is_kept(void **state)
{
    struct probe a, b;

    (void)state;
    bus_init(&bus, "port");
    assert_int_equal(claim(&a, 0x20, 4), 0);
    bus_set_timeless(&bus, 0x20, BUS_TIMELESS);
    assert_int_equal(claim(&b, 0x10, 4), 0);
    assert_false(bus_is_timed(bus_find(&bus, 0x21, 1), 1, false));
    assert_false(bus_is_timed(bus_find(&bus, 0x20, 1), 0, true));
    assert_true(bus_is_timed(bus_find(&bus, 0x10, 1), 0, false));
    bus_set_timeless(&bus, 0x10, 0xe);
    assert_true(bus_is_timed(bus_find(&bus, 0x10, 1), 0, false));
    assert_false(bus_is_timed(bus_find(&bus, 0x11, 1), 1, false));
    assert_true(bus_is_timed(bus_find(&bus, 0x11, 1), 1, true));
    assert_true(bus_is_timed(bus_find(&bus, 0x11, 1), 32, false));
    EXPECT_PANIC(bus_set_timeless(&bus, 0x11, BUS_TIMELESS));
}

static void test_holds(void **state)
{
    (void)state;
    bus_init(&bus, "mmio");
    assert_int_equal(bus_claim(&bus, 0x1000, 0x10, NULL, NULL, "device"), 0);
    assert_false(bus_holds(&bus, 0xfff));
    assert_true(bus_holds(&bus, 0x1000));
    assert_true(bus_holds(&bus, 0x100f));
    assert_false(bus_holds(&bus, 0x1010));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_holds),
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_dispatch),
        cmocka_unit_test(test_unclaimed),
        cmocka_unit_test(test_log_once),
        cmocka_unit_test(test_release_forgets),
        cmocka_unit_test(test_hint_is_only_a_hint),
        cmocka_unit_test(test_timeless_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
