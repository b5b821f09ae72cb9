/* Event priorities, double faults and windows (SDM 6.9, 6.15), against a fake back end. */
#include "core/trace.h"
#include "tests/unit/support.h"

#include "tests/unit/fake_vendor.h"

static int setup(void **state)
{
    (void)state;
    fake_reset();
    return 0;
}

static void nothing_pending_injects_nothing(void **state)
{
    (void)state;
    event_deliver(&fake.vcpu);
    assert_int_equal(fake.injections, 0);
    assert_false(fake.windows[EVENT_INTERRUPT]);
    assert_false(event_wakes(&fake.vcpu));
}

static void interrupt_is_injected_and_accepted(void **state)
{
    (void)state;
    fake.pending[0] = 0x31;
    assert_true(event_wakes(&fake.vcpu));
    event_deliver(&fake.vcpu);
    assert_int_equal(fake.injected.vector, 0x31);
    assert_int_equal(fake.injected.type, EVENT_INTERRUPT);
    assert_int_equal(fake.pending[0], -1);
    event_deliver(&fake.vcpu);
    assert_int_equal(fake.injections, 1);
}

static void interrupt_waits_for_its_window(void **state)
{
    (void)state;
    fake.pending[0] = 0x31;
    fake.can_interrupt = false;
    event_deliver(&fake.vcpu);
    assert_int_equal(fake.injections, 0);
    assert_int_equal(fake.pending[0], 0x31);
    assert_true(fake.windows[EVENT_INTERRUPT]);
    fake.can_interrupt = true;
    event_deliver(&fake.vcpu);
    assert_int_equal(fake.injected.vector, 0x31);
    assert_false(fake.windows[EVENT_INTERRUPT]);
}

/* Its instruction runs again: RF is in the frame. A trap's goes on, and #DF is neither. */
static void fault_sets_rf(void **state)
{
    (void)state;
    event_raise(&fake.vcpu, EXC_DB, false, 0);
    assert_int_equal(vcpu_get(&fake.vcpu, REG_RFLAGS) & RFLAGS_RF, 0);
    fake_reset();
    event_raise(&fake.vcpu, EXC_GP, true, 0);
    assert_int_equal(vcpu_get(&fake.vcpu, REG_RFLAGS) & RFLAGS_RF, RFLAGS_RF);
    vcpu_set(&fake.vcpu, REG_RFLAGS, RFLAGS_FIXED1);
    event_raise(&fake.vcpu, EXC_GP, true, 0);
    assert_int_equal(fake.vcpu.events.exception.vector, EXC_DF);
    assert_int_equal(vcpu_get(&fake.vcpu, REG_RFLAGS) & RFLAGS_RF, 0);
}

static void second_interrupt_opens_a_window(void **state)
{
    (void)state;
    fake.pending[0] = 0x41;
    fake.pending[1] = 0x31;
    event_deliver(&fake.vcpu);
    assert_int_equal(fake.injected.vector, 0x41);
    assert_int_equal(fake.injections, 1);
    assert_true(fake.windows[EVENT_INTERRUPT]);
}

static void exception_goes_before_nmi_before_interrupt(void **state)
{
    (void)state;
    fake.pending[0] = 0x31;
    event_post_nmi(&fake.vcpu);
    event_raise(&fake.vcpu, EXC_GP, true, 8);
    event_deliver(&fake.vcpu);
    assert_int_equal(fake.injected.vector, EXC_GP);
    assert_int_equal(fake.injected.error, 8);
    assert_true(fake.windows[EVENT_NMI]);
    event_deliver(&fake.vcpu);
    assert_int_equal(fake.injected.type, EVENT_NMI);
    assert_false(fake.windows[EVENT_NMI]);
    assert_true(fake.windows[EVENT_INTERRUPT]);
    event_deliver(&fake.vcpu);
    assert_int_equal(fake.injected.vector, 0x31);
    assert_int_equal(fake.injections, 3);
}

static void blocked_nmi_stays_pending(void **state)
{
    (void)state;
    fake.can_nmi = false;
    event_post_nmi(&fake.vcpu);
    event_deliver(&fake.vcpu);
    assert_int_equal(fake.injections, 0);
    assert_true(fake.vcpu.events.nmi_pending);
    assert_true(fake.windows[EVENT_NMI]);
}

/* Of those that come at once, the first is taken and one more waits; behind one that is being handled, all are one. */
static void nmis_that_come_together(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        event_post_nmi(&fake.vcpu);
    event_deliver(&fake.vcpu);
    assert_int_equal(fake.injections, 1);
    assert_int_equal(fake.vcpu.events.nmi_pending, 1);
    assert_true(fake.windows[EVENT_NMI]);
    fake.can_nmi = false;
    fake.nmi_blocked = true;
    event_post_nmi(&fake.vcpu);
    event_deliver(&fake.vcpu);
    assert_int_equal(fake.vcpu.events.nmi_pending, 1);
    fake.can_nmi = true;
    fake.nmi_blocked = false;
    event_deliver(&fake.vcpu);
    assert_int_equal(fake.injections, 2);
    assert_false(fake.windows[EVENT_NMI]);
    event_deliver(&fake.vcpu);
    assert_int_equal(fake.injections, 2);
    /* For as long as a shadow lasts, none is lost. */
    fake.can_nmi = false;
    event_post_nmi(&fake.vcpu);
    event_post_nmi(&fake.vcpu);
    event_deliver(&fake.vcpu);
    assert_int_equal(fake.vcpu.events.nmi_pending, 2);
}

static void cut_short_event_is_injected_again(void **state)
{
    struct event soft = {.valid = true, .vector = 0x80, .type = EVENT_SOFT_INT, .insn_len = 2};

    (void)state;
    fake.pending[0] = 0x31;
    event_reinject(&fake.vcpu, &soft);
    event_deliver(&fake.vcpu);
    assert_int_equal(fake.injected.vector, 0x80);
    assert_int_equal(fake.injected.type, EVENT_SOFT_INT);
    assert_int_equal(fake.injected.insn_len, 2);
    assert_int_equal(fake.pending[0], 0x31);
}

/* SDM table 6-5, row by row: first exception, second, what comes of it (0: triple fault). */
static void pairs_make_double_faults(void **state)
{
    static const struct {
        uint8_t first, second, result;
    } rows[] = {
        {EXC_DB, EXC_GP, EXC_GP}, {EXC_GP, EXC_DB, EXC_DB}, {EXC_GP, EXC_NP, EXC_DF},
        {EXC_GP, EXC_PF, EXC_PF}, {EXC_PF, EXC_PF, EXC_DF}, {EXC_PF, EXC_GP, EXC_DF},
        {EXC_PF, EXC_UD, EXC_UD}, {EXC_DE, EXC_TS, EXC_DF}, {EXC_UD, EXC_PF, EXC_PF},
        {EXC_DF, EXC_PF, 0},      {EXC_DF, EXC_GP, 0},      {EXC_SS, EXC_SS, EXC_DF},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct event first = {.valid = true, .vector = rows[i].first, .type = EVENT_EXCEPTION};

        fake_reset();
        event_reinject(&fake.vcpu, &first);
        event_raise(&fake.vcpu, rows[i].second, true, 2);
        if (rows[i].result == 0) {
            assert_string_equal(fake.failed, "triple fault");
            continue;
        }
        assert_null(fake.failed);
        event_deliver(&fake.vcpu);
        assert_int_equal(fake.injected.vector, rows[i].result);
        assert_int_equal(fake.injected.error, rows[i].result == EXC_DF ? 0 : 2);
    }
}

static void fault_during_an_interrupts_delivery_keeps_the_interrupt(void **state)
{
    struct event irq = {.valid = true, .vector = 0x55, .type = EVENT_INTERRUPT};

    (void)state;
    event_reinject(&fake.vcpu, &irq);
    event_raise(&fake.vcpu, EXC_PF, true, 2);
    event_deliver(&fake.vcpu);
    assert_int_equal(fake.injected.vector, EXC_PF);
    event_deliver(&fake.vcpu);
    assert_int_equal(fake.injected.vector, 0x55);
}

static void interrupt_cut_short_waits_for_if(void **state)
{
    struct event irq = {.valid = true, .vector = 0x55, .type = EVENT_INTERRUPT};

    (void)state;
    fake.pending[0] = 0x66;
    fake.can_interrupt = false;
    event_reinject(&fake.vcpu, &irq);
    event_deliver(&fake.vcpu);
    assert_int_equal(fake.injections, 0);
    assert_true(fake.windows[EVENT_INTERRUPT]);
    assert_int_equal(fake.pending[0], 0x66);
    fake.can_interrupt = true;
    event_deliver(&fake.vcpu);
    assert_int_equal(fake.injected.vector, 0x55);
    assert_true(fake.windows[EVENT_INTERRUPT]);
}

static void only_an_enabled_interrupt_ends_hlt(void **state)
{
    (void)state;
    fake.pending[0] = 0x31;
    fake.regs[REG_RFLAGS] = RFLAGS_FIXED1;
    assert_false(event_wakes(&fake.vcpu));
    event_post_nmi(&fake.vcpu);
    assert_true(event_wakes(&fake.vcpu));
}

/* What the back end does when only events are to be looked at. */
static void events_alone_leave_the_run_loop_out(void **state)
{
    struct vcpu *v = &fake.vcpu;

    (void)state;
    assert_true(vcpu_unhindered(v));
    event_raise(v, EXC_UD, false, 0);
    assert_int_equal(v->look, LOOK_EVENTS);
    assert_false(vcpu_unhindered(v));
    vcpu_attend_events(v);
    assert_int_equal(fake.injected.vector, EXC_UD);
    assert_true(vcpu_unhindered(v));
    vcpu_look(v);
    vcpu_look_events(v);
    assert_int_equal(v->look, LOOK_ALL);
    vcpu_attend_events(v);
    assert_int_equal(v->look, LOOK_ALL);
}

/* What was posted to the vapic is for the back end: events aren't looked at, and the run loop isn't left to. */
static void posted_interrupts_leave_events_out(void **state)
{
    struct vcpu *v = &fake.vcpu;

    (void)state;
    fake.can_interrupt = true;
    fake.pending[0] = 0x31;
    vcpu_look_posted(v);
    assert_false(vcpu_unhindered(v));
    vcpu_attend_events(v);
    assert_true(vcpu_unhindered(v));
    assert_false(fake.injected.valid);
    vcpu_look_posted(v);
    vcpu_look_events(v);
    vcpu_attend_events(v);
    assert_true(vcpu_unhindered(v));
    assert_int_equal(fake.injected.vector, 0x31);
}

/* The quick way and the one for all kinds of events do the same. */
static void windows_close_when_nothing_waits(void **state)
{
    (void)state;
    fake.can_interrupt = fake.can_nmi = false;
    event_post_nmi(&fake.vcpu);
    fake.pending[0] = 0x31;
    event_deliver(&fake.vcpu);
    assert_true(fake.windows[EVENT_NMI] && fake.windows[EVENT_INTERRUPT]);
    fake.vcpu.events.nmi_pending = 0;
    event_deliver(&fake.vcpu);
    assert_true(!fake.windows[EVENT_NMI] && fake.windows[EVENT_INTERRUPT]);
    fake.pending[0] = -1;
    event_deliver(&fake.vcpu);
    assert_true(!fake.windows[EVENT_NMI] && !fake.windows[EVENT_INTERRUPT]);
}

/* Whatever is injected, and only then and while it is on. */
static void injections_are_traced(void **state)
{
    (void)state;
    support_traced.count = 0;
    fake.pending[0] = 0x31;
    event_deliver(&fake.vcpu);
    assert_int_equal(support_traced.count, 0);
    trace_on = true;
    fake_reset();
    fake.pending[0] = 0x32;
    fake.can_interrupt = false;
    event_deliver(&fake.vcpu);
    assert_int_equal(support_traced.count, 0);
    fake.can_interrupt = true;
    event_deliver(&fake.vcpu);
    assert_int_equal(support_traced.count, 1);
    assert_int_equal(support_traced.code, 0x32);
    assert_int_equal(support_traced.who, TRACE_INJECT);
    fake_reset();
    event_raise(&fake.vcpu, EXC_GP, true, 0);
    event_deliver(&fake.vcpu);
    assert_int_equal(support_traced.count, 2);
    assert_int_equal(support_traced.code, EVENT_EXCEPTION << 8 | EXC_GP);
    fake_reset();
    event_post_nmi(&fake.vcpu);
    event_deliver(&fake.vcpu);
    assert_int_equal(support_traced.count, 3);
    assert_int_equal(support_traced.code, EVENT_NMI << 8 | EXC_NMI);
    trace_on = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_pending_injects_nothing, setup),
        cmocka_unit_test_setup(interrupt_is_injected_and_accepted, setup),
        cmocka_unit_test_setup(interrupt_waits_for_its_window, setup),
        cmocka_unit_test_setup(fault_sets_rf, setup),
        cmocka_unit_test_setup(second_interrupt_opens_a_window, setup),
        cmocka_unit_test_setup(exception_goes_before_nmi_before_interrupt, setup),
        cmocka_unit_test_setup(nmis_that_come_together, setup),
        cmocka_unit_test_setup(blocked_nmi_stays_pending, setup),
        cmocka_unit_test_setup(cut_short_event_is_injected_again, setup),
        cmocka_unit_test_setup(pairs_make_double_faults, setup),
        cmocka_unit_test_setup(fault_during_an_interrupts_delivery_keeps_the_interrupt, setup),
        cmocka_unit_test_setup(interrupt_cut_short_waits_for_if, setup),
        cmocka_unit_test_setup(only_an_enabled_interrupt_ends_hlt, setup),
        cmocka_unit_test_setup(events_alone_leave_the_run_loop_out, setup),
        cmocka_unit_test_setup(posted_interrupts_leave_events_out, setup),
        cmocka_unit_test_setup(windows_close_when_nothing_waits, setup),
        cmocka_unit_test_setup(injections_are_traced, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
