/* The LAPIC on a CPU that delivers interrupts itself: the page that both share, with a CPU of a few lines. */
#include "core/vapic.h"

#include <string.h>

#include "tests/unit/vlapic_bench.h"

static struct vapic page;

static int start_shared(void **state)
{
    memset(&page, 0xa5, sizeof page);
    page.manual = false;
    shared = &page;
    start(state);
    notes = kicks = 0;
    return 0;
}

static uint32_t page_read(uint32_t offset)
{
    return page.page[offset / 4];
}

/* A write that the CPU does in the page; then it exits. */
static void guest_writes(uint32_t offset, uint32_t value)
{
    page.page[offset / 4] = value;
    vlapic_written(&apic, offset, bench_now);
}

/* An entry, and what the CPU then does: takes the highest vector of IRR if its class is above PPR's. -1: none. */
static int cpu_enters(void)
{
    uint8_t vector;

    vapic_collect(&page);
    vector = (uint8_t)vapic_status(&page);
    if ((vector & 0xf0) <= (vapic_ppr(&page) & 0xf0))
        return -1;
    page.page[(0x200 + vector / 32 * 16) / 4] &= ~(1u << vector % 32);
    page.page[(0x100 + vector / 32 * 16) / 4] |= 1u << vector % 32;
    return vector;
}

static void test_first_request_notifies(void **state)
{
    (void)state;
    vlapic_post(&apic, 0x41, false);
    vlapic_post(&apic, 0x41, false);
    vlapic_post(&apic, 0x92, false);
    assert_int_equal(notes, 1);
    assert_int_equal(kicks, 0);
    assert_true(vapic_waits(&page));
    assert_int_equal(page_read(0x220), 0); /* no other core writes IRR */
    vapic_collect(&page);
    assert_int_equal(page_read(0x220), 2);
    assert_int_equal(page_read(0x240), 1u << 18);
    assert_int_equal(vapic_status(&page), 0x92);
    vlapic_post(&apic, 0x41, false);
    assert_int_equal(notes, 2);
    assert_int_equal(vlapic_peek(&apic), -1); /* nothing to inject, ever */
}

/* Each vector that is to be delivered once more, and none for a request that is one with another. */
static void test_requests_are_counted(void **state)
{
    uint64_t before = page.accepted;

    (void)state;
    vlapic_post(&apic, 0x41, false);
    vlapic_post(&apic, 0x41, false);
    vlapic_post(&apic, 0x92, true);
    vlapic_post(&apic, 0x92, true);
    vlapic_post(&apic, 0x0f, false); /* illegal */
    assert_int_equal(page.accepted - before, 2);
    vapic_collect(&page);
    vlapic_post(&apic, 0x41, false);
    vlapic_receive_init(&apic);
    assert_int_equal(page.accepted - before, 3);
}

static void test_delivery_and_eoi(void **state)
{
    (void)state;
    vlapic_post(&apic, 0x41, false);
    vlapic_post(&apic, 0x7f, false);
    assert_int_equal(cpu_enters(), 0x7f);
    assert_int_equal(cpu_enters(), -1);
    assert_int_equal(vapic_status(&page), 0x7f41);
    assert_int_equal(mmio_read(0x130), 0x80000000);
    assert_int_equal(mmio_read(0xa0), 0x70);
    page.stale = 0;
    kicks = 0;
    mmio_write(0xb0, 0); /* an EOI that exited */
    assert_int_equal(kicks, 1);
    assert_true(vapic_waits(&page));
    assert_int_equal(vapic_status(&page), 0x0041);
    assert_int_equal(cpu_enters(), 0x41);
    mmio_write(0xb0, 0);
    mmio_write(0xb0, 0);
    assert_int_equal(eois, 0);
}

static void test_level_triggered_waits_for_an_exit(void **state)
{
    uint64_t map[4];

    (void)state;
    page.stale = 0;
    vlapic_post(&apic, 0x91, true);
    assert_int_equal(kicks, 1);
    assert_int_equal(notes, 0);
    assert_false(page.control & VAPIC_ON);
    assert_true(vapic_waits(&page));
    vapic_eoi_exits(&page, map);
    assert_true(map[2] == BIT(17) && !(map[0] | map[1] | map[3]));
    assert_int_equal(mmio_read(0x1c0), BIT(17));
    assert_int_equal(cpu_enters(), 0x91);
    mmio_write(0xb0, 0);
    assert_int_equal(eois, 1);
    assert_int_equal(eoi_vector, 0x91);
    vlapic_ended(&apic, 0x91); /* as the CPU tells it */
    assert_int_equal(eois, 2);
    vlapic_post(&apic, 0x91, false); /* the pin was programmed anew */
    vlapic_ended(&apic, 0x91);
    assert_int_equal(eois, 2);
    vapic_eoi_exits(&page, map);
    assert_true(map[2] == 0);
}

/* What the back end does for edges alone: the status follows from what it was and the highest of those moved. */
static void test_edges_tell_their_highest(void **state)
{
    (void)state;
    vapic_collect(&page);
    page.stale = 0;
    assert_int_equal(vapic_collect_edges(&page), 0);
    for (uint32_t vector = 16; vector < 256; vector++) {
        vlapic_post(&apic, (uint8_t)vector, false);
        assert_true(vapic_waits(&page));
        assert_int_equal(vapic_collect_edges(&page), vector);
        assert_false(vapic_waits(&page));
        assert_int_equal((uint8_t)vapic_status(&page), vector);
    }
    vapic_reset(&page);
    page.stale = 0;
    vlapic_post(&apic, 0x92, false);
    vlapic_post(&apic, 0x41, false);
    vlapic_post(&apic, 0xf1, true);
    assert_int_equal(vapic_collect_edges(&page), 0x92);
    assert_int_equal(page.stale, VAPIC_STALE_CONTROLS); /* the way for that one isn't this */
    assert_int_equal((uint8_t)vapic_status(&page), 0x92);
    vapic_collect(&page);
    assert_int_equal((uint8_t)vapic_status(&page), 0xf1);
}

/* As Bochs 3.0 does it: without any bit in IRR it would find vector 255. */
static void cpu_is_notified(void)
{
    page.control &= ~VAPIC_ON;
    for (uint32_t i = 0; i < 8; i++) {
        page.page[(0x200 + 16 * i) / 4] |= (uint32_t)(page.requests[i / 2] >> i % 2 * 32);
        ((uint32_t *)page.requests)[i] = 0;
    }
}

static void test_irr_is_never_empty_for_the_cpu(void **state)
{
    (void)state;
    vlapic_post(&apic, 0x41, false);
    assert_int_equal(cpu_enters(), 0x41); /* before the notification came */
    for (uint32_t i = 0; i < 3; i++) {
        cpu_is_notified();
        assert_int_equal(page_read(0x200), VAPIC_REST);
        assert_int_equal(mmio_read(0x200), 0);
        assert_int_equal(vapic_wakes(&page), false);
        vapic_collect(&page);
        assert_int_equal(page_read(0x200), 0);
        assert_int_equal(vapic_status(&page), 0x4100);
    }
    vlapic_post(&apic, 0x42, false);
    cpu_is_notified();
    assert_int_equal(page_read(0x220), 4);
}

static void test_wakes(void **state)
{
    (void)state;
    assert_false(vapic_wakes(&page));
    page.page[0x80 / 4] = 0x50;
    vlapic_post(&apic, 0x5a, false);
    page.stale = 0;
    assert_false(vapic_wakes(&page));
    assert_int_equal(page.stale, VAPIC_STALE_STATUS); /* moved, but not in RVI */
    vlapic_post(&apic, 0x61, false);
    assert_int_equal(notes, 2); /* a masked one doesn't keep others from waking it */
    assert_true(vapic_wakes(&page));
    assert_int_equal(vlapic_cr8(&apic), 5);
    vlapic_set_cr8(&apic, 8);
    assert_int_equal(page_read(0x80), 0x80);
    assert_false(vapic_wakes(&page));
}

static void test_writes_that_exit(void **state)
{
    (void)state;
    page.page[0x310 / 4] = 5u << 24; /* the CPU doesn't exit for this half */
    guest_writes(0x300, 0x4041);
    assert_int_equal(messages, 1);
    assert_int_equal(message.dest, 5);
    assert_int_equal(message.vector, 0x41);
    assert_int_equal(mmio_read(0x310), 5u << 24);
    guest_writes(0x350, 0xffffffff);
    assert_int_equal(page_read(0x350), 0x1a7ff);
    guest_writes(0x30, 0x77000000); /* read-only */
    assert_int_equal(page_read(0x30), 0x50014);
    guest_writes(0x20, 0x12345678);
    assert_int_equal(page_read(0x20), 0x12000000);
    guest_writes(0xd0, 0x12345678);
    assert_int_equal(page_read(0xd0), 0x12000000);
    mmio_write(0x350, 0x700); /* by way of the model */
    assert_int_equal(page_read(0x350), 0x700);
    guest_writes(0xf0, 0xff);
    assert_int_equal(page_read(0x350), 0x10700);
}

static void test_page_after_power_on(void **state)
{
    (void)state;
    vlapic_reset(&apic);
    assert_int_equal(page.mode, VAPIC_XAPIC);
    assert_int_equal(page_read(0x20), 3u << 24);
    assert_int_equal(page_read(0x30), 0x50014);
    assert_int_equal(page_read(0xe0), 0xffffffff);
    assert_int_equal(page_read(0xf0), 0xff);
    for (uint32_t reg = 0x320; reg <= 0x370; reg += 0x10)
        assert_int_equal(page_read(reg), 0x10000);
    assert_int_equal(vapic_status(&page), 0);
    vlapic_post(&apic, 0x41, false); /* disabled by software */
    assert_int_equal(notes, 0);
}

static void test_modes(void **state)
{
    (void)state;
    vlapic_post(&apic, 0x41, false);
    page.stale = 0;
    enter_x2apic();
    assert_true(vapic_waits(&page) && page.mode == VAPIC_X2APIC);
    assert_int_equal(page_read(0x20), 3);
    assert_int_equal(page_read(0xd0), 8);
    assert_int_equal(cpu_enters(), 0x41); /* what waits stays */
    assert_int_equal(msr_read(0x12), 2);
    msr_write(0x0b, 0);
    assert_int_equal(msr_read(0x12), 0);
    msr_write(0x3f, 0x55);
    assert_true(vlapic_set_base(&apic, VLAPIC_BASE));
    assert_int_equal(page.mode, VAPIC_OFF);
    assert_int_equal(cpu_enters(), -1);
    assert_int_equal(vlapic_priority(&apic), 0);
}

static void test_moved(void **state)
{
    (void)state;
    vlapic_post(&apic, 0x41, false);
    page.stale = 0;
    assert_true(vlapic_set_base(&apic, 0xfed80000 | APIC_BASE_EN | APIC_BASE_BSP));
    assert_true(vapic_waits(&page) && page.mode == VAPIC_MOVED);
    assert_int_equal(cpu_enters(), 0x41); /* what waits stays */
    assert_true(vlapic_set_base(&apic, VLAPIC_BASE | APIC_BASE_EN | APIC_BASE_BSP));
    assert_int_equal(page.mode, VAPIC_XAPIC);
}

static void test_init(void **state)
{
    (void)state;
    enter_x2apic();
    vlapic_post(&apic, 0x41, false);
    vlapic_post(&apic, 0x42, true);
    vlapic_receive_init(&apic);
    assert_int_equal(page.mode, VAPIC_X2APIC);
    assert_int_equal(cpu_enters(), -1);
    assert_int_equal(page_read(0x20), 3);
}

/* What was posted for the CPU is found; what is posted from then on kicks; the page has all of it for the CPU again. */
static void test_manual(void **state)
{
    uint64_t before;

    (void)state;
    assert_int_equal(vlapic_page_peek(&page), -1);
    vlapic_post(&apic, 0x41, false);
    assert_int_equal(vlapic_page_peek(&page), -1);
    vlapic_set_manual(&apic, true);
    assert_true(page.mode == VAPIC_TRAPPED && vapic_waits(&page));
    kicks = notes = 0;
    before = page.accepted;
    assert_int_equal(vlapic_page_peek(&page), 0x41);
    vapic_accept(&page, 0x41);
    assert_int_equal(before - page.accepted, 1); /* it is counted elsewhere */
    vlapic_post(&apic, 0x4f, false);
    vlapic_post(&apic, 0x45, true);
    assert_int_equal(kicks, 2);
    assert_int_equal(notes, 0);
    assert_int_equal(vlapic_page_peek(&page), -1); /* of the same class */
    assert_int_equal(vlapic_priority(&apic), 0x40);
    vlapic_eoi(&apic);
    assert_int_equal(vlapic_page_peek(&page), 0x4f);
    vapic_accept(&page, 0x4f);
    assert_int_equal(mmio_read(0x120), 1u << 15);
    assert_int_equal(mmio_read(0x220), 1u << 5);
    vlapic_set_manual(&apic, false);
    assert_true(page.mode == VAPIC_XAPIC && page.stale & VAPIC_STALE_CONTROLS);
    assert_int_equal(vapic_status(&page), 0x4f45);
    assert_int_equal(vlapic_page_peek(&page), -1);
    vlapic_eoi(&apic);
    assert_int_equal(eois, 0);
    assert_int_equal(cpu_enters(), 0x45);
    vlapic_eoi(&apic);
    assert_true(eois == 1 && eoi_vector == 0x45);
}

static void test_manual_priorities(void **state)
{
    (void)state;
    vlapic_set_manual(&apic, true);
    vlapic_set_cr8(&apic, 4);
    vlapic_post(&apic, 0x41, false);
    kicks = 0;
    assert_int_equal(vlapic_page_peek(&page), -1);
    vlapic_set_cr8(&apic, 5);
    assert_int_equal(kicks, 0);
    mmio_write(0x80, 0x3f);
    assert_int_equal(kicks, 1);
    assert_int_equal(vlapic_page_peek(&page), 0x41);
}

static void test_manual_modes(void **state)
{
    (void)state;
    vlapic_set_manual(&apic, true);
    assert_true(vlapic_set_base(&apic, 0xfed80000 | APIC_BASE_EN | APIC_BASE_BSP));
    assert_int_equal(page.mode, VAPIC_OFF);
    assert_true(vlapic_set_base(&apic, VLAPIC_BASE | APIC_BASE_EN | APIC_BASE_BSP));
    assert_int_equal(page.mode, VAPIC_TRAPPED);
    enter_x2apic();
    assert_int_equal(page.mode, VAPIC_OFF);
    vlapic_receive_init(&apic);
    assert_int_equal(page.mode, VAPIC_OFF);
    vlapic_set_manual(&apic, false);
    assert_int_equal(page.mode, VAPIC_X2APIC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_first_request_notifies, start_shared),
        cmocka_unit_test_setup(test_requests_are_counted, start_shared),
        cmocka_unit_test_setup(test_delivery_and_eoi, start_shared),
        cmocka_unit_test_setup(test_level_triggered_waits_for_an_exit, start_shared),
        cmocka_unit_test_setup(test_edges_tell_their_highest, start_shared),
        cmocka_unit_test_setup(test_irr_is_never_empty_for_the_cpu, start_shared),
        cmocka_unit_test_setup(test_wakes, start_shared),
        cmocka_unit_test_setup(test_writes_that_exit, start_shared),
        cmocka_unit_test_setup(test_page_after_power_on, start_shared),
        cmocka_unit_test_setup(test_modes, start_shared),
        cmocka_unit_test_setup(test_moved, start_shared),
        cmocka_unit_test_setup(test_init, start_shared),
        cmocka_unit_test_setup(test_manual, start_shared),
        cmocka_unit_test_setup(test_manual_priorities, start_shared),
        cmocka_unit_test_setup(test_manual_modes, start_shared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
