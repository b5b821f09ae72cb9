/* The ring of a core's events: which are kept, in which order, and how long an exit was. */
#include "core/trace_ring.h"

#include <string.h>

#include "tests/unit/support.h"

#define EVENTS 8

static struct trace_event events[EVENTS + 1];
static struct trace_ring ring;

static int setup(void **state)
{
    (void)state;
    memset(events, 0xaa, sizeof(events));
    trace_ring_init(&ring, events, EVENTS * sizeof(events[0]));
    return 0;
}

static void put(uint32_t code, enum trace_kind kind)
{
    trace_ring_next(&ring, code, 1u << 8, trace_who(1, 2) | kind)->code = code;
}

/* All that are kept are the newest, in their order, and nothing beside the memory was written. */
static void expect_kept(uint64_t count)
{
    uint64_t kept = MIN(count, EVENTS), oldest = trace_ring_oldest(&ring);

    assert_int_equal(trace_ring_count(&ring), count);
    assert_int_equal(oldest, count - kept);
    for (uint64_t n = oldest; n < count; n++) {
        assert_int_equal(trace_ring_at(&ring, n)->code, n);
        assert_int_equal(trace_event_tsc(trace_ring_at(&ring, n)), BIT(40) + n);
    }
    assert_int_equal(events[EVENTS].code, 0xaaaaaaaa);
}

static void the_newest_are_kept(void **state)
{
    (void)state;
    expect_kept(0);
    for (uint32_t n = 0; n < 5 * EVENTS; n++) {
        put(n, TRACE_RUN);
        expect_kept(n + 1);
    }
}

/* Another start of the trace has nothing of the one before. */
static void a_start_forgets(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 3; n++)
        put(n, TRACE_RUN);
    trace_ring_init(&ring, events, EVENTS * sizeof(events[0]));
    expect_kept(0);
    put(0, TRACE_RUN);
    expect_kept(1);
}

static void who_it_was(void **state)
{
    (void)state;
    assert_int_equal(trace_who(63, 62), 63 << 16 | 62 << 8);
    put(0, TRACE_LEAVE);
    assert_int_equal(events[0].who, 1 << 16 | 2 << 8 | TRACE_LEAVE);
}

/* One that goes on in the run loop ends with the next entry, though something was injected in between. */
static void an_exit_ends_late(void **state)
{
    const struct trace_event *e = &events[0];

    (void)state;
    trace_ring_close(&ring, 10); /* there is none */
    put(0, TRACE_EXIT);
    put(1, TRACE_INJECT);
    trace_ring_close(&ring, BIT(40) + 500);
    assert_int_equal(e->ticks, 500);
}

/* It has ended when its vCPU loses the core, which gets the next one a new turn. */
static void an_exit_ends_once(void **state)
{
    const struct trace_event *e = &events[0];

    (void)state;
    put(0, TRACE_EXIT);
    trace_ring_close(&ring, BIT(40) + 500);
    put(1, TRACE_LEAVE);
    put(2, TRACE_RUN);
    trace_ring_close(&ring, BIT(40) + 2000);
    assert_int_equal(e->ticks, 500);
}

static void a_very_long_exit(void **state)
{
    (void)state;
    put(0, TRACE_EXIT);
    trace_ring_close(&ring, BIT(40) + BIT(33));
    assert_int_equal(events[0].ticks, UINT32_MAX);
}

/* Injections alone, as many as there is room for. */
static void nothing_to_end(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 2 * EVENTS; n++)
        put(n, TRACE_INJECT);
    trace_ring_close(&ring, BIT(41));
    expect_kept(2 * EVENTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_newest_are_kept, setup), cmocka_unit_test_setup(a_start_forgets, setup),
        cmocka_unit_test_setup(who_it_was, setup),          cmocka_unit_test_setup(an_exit_ends_late, setup),
        cmocka_unit_test_setup(an_exit_ends_once, setup),   cmocka_unit_test_setup(nothing_to_end, setup),
        cmocka_unit_test_setup(a_very_long_exit, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
