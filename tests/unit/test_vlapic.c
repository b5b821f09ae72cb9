/* Interrupts, priorities, IPIs and modes of the LAPIC; its timer is in test_vlapic_timer.c. */
#include "drivers/virt/vlapic.h"

#include <string.h>

#include "tests/unit/vlapic_bench.h"

static void test_power_on(void **state)
{
    (void)state;
    vlapic_reset(&apic);
    assert_int_equal(mmio_read(0x20), 3u << 24);
    assert_int_equal(mmio_read(0x30), 0x50014);
    assert_int_equal(mmio_read(0xf0), 0xff);
    assert_int_equal(mmio_read(0xe0), 0xffffffff);
    for (uint32_t reg = 0x320; reg <= 0x370; reg += 0x10)
        assert_int_equal(mmio_read(reg), 0x10000);
    assert_true(apic.base == (0xfee00000 | BIT(11)));
    /* Disabled by software: accepts nothing, and LVT stays masked. */
    vlapic_post(&apic, 0x40, false);
    assert_int_equal(vlapic_peek(&apic), -1);
    mmio_write(0x350, 0x700);
    assert_int_equal(mmio_read(0x350), 0x10700);
}

static void test_peek_accept_eoi(void **state)
{
    (void)state;
    assert_int_equal(vlapic_peek(&apic), -1);
    vlapic_post(&apic, 0x41, false);
    assert_int_equal(kicks, 1);
    vlapic_post(&apic, 0x41, false);
    assert_int_equal(kicks, 1);
    vlapic_post(&apic, 0x7f, false);
    assert_int_equal(vlapic_peek(&apic), 0x7f);
    assert_int_equal(mmio_read(0x220), 2); /* IRR 0x40-0x5f */
    assert_int_equal(mmio_read(0x230), 0x80000000);
    vlapic_accept(&apic, 0x7f);
    assert_int_equal(mmio_read(0x130), 0x80000000);
    assert_int_equal(mmio_read(0x230), 0);
    assert_int_equal(mmio_read(0xa0), 0x70);
    assert_int_equal(vlapic_peek(&apic), -1);
    vlapic_post(&apic, 0x70, false); /* the same class */
    assert_int_equal(vlapic_peek(&apic), -1);
    vlapic_post(&apic, 0x80, false);
    assert_int_equal(vlapic_peek(&apic), 0x80);
    vlapic_accept(&apic, 0x80);
    mmio_write(0xb0, 0);
    assert_int_equal(mmio_read(0xa0), 0x70);
    mmio_write(0xb0, 0);
    assert_int_equal(mmio_read(0xa0), 0);
    assert_int_equal(vlapic_peek(&apic), 0x70);
    mmio_write(0xb0, 0); /* nothing in service: nothing happens */
    assert_int_equal(eois, 0);
}

static void test_task_priority(void **state)
{
    (void)state;
    vlapic_post(&apic, 0x5a, false);
    mmio_write(0x80, 0x4f);
    assert_int_equal(vlapic_peek(&apic), 0x5a);
    mmio_write(0x80, 0x50);
    assert_int_equal(vlapic_peek(&apic), -1);
    assert_int_equal(vlapic_cr8(&apic), 5);
    vlapic_set_cr8(&apic, 4);
    assert_int_equal(mmio_read(0x80), 0x40);
    assert_int_equal(mmio_read(0xa0), 0x40);
    vlapic_accept(&apic, 0x5a);
    assert_int_equal(mmio_read(0xa0), 0x50);
    mmio_write(0x80, 0x5c); /* equal classes: PPR shows TPR */
    assert_int_equal(mmio_read(0xa0), 0x5c);
    assert_int_equal(vlapic_priority(&apic), 0x5c);
}

static void test_level_triggered_eoi(void **state)
{
    (void)state;
    vlapic_post(&apic, 0x91, true);
    assert_int_equal(mmio_read(0x1c0), BIT(17)); /* TMR 0x80-0x9f */
    vlapic_accept(&apic, 0x91);
    vlapic_eoi(&apic);
    assert_int_equal(eois, 1);
    assert_int_equal(eoi_vector, 0x91);
    vlapic_post(&apic, 0x91, false);
    assert_int_equal(mmio_read(0x1c0), 0);
    vlapic_accept(&apic, 0x91);
    vlapic_eoi(&apic);
    assert_int_equal(eois, 1);
}

/* Against a plain model: a sorted look at three sets. */
static void test_random_priorities(void **state)
{
    bool irr[256] = {0}, isr[256] = {0};
    uint64_t random = 1234;

    (void)state;
    for (int step = 0; step < 100000; step++) {
        uint8_t vector = (uint8_t)(16 + support_random(&random) % 240);
        int highest = 255, serviced = 255, expect;

        switch (support_random(&random) % 4) {
        case 0:
            vlapic_post(&apic, vector, support_random(&random) & 1);
            irr[vector] = true;
            break;
        case 1:
            vlapic_set_cr8(&apic, vector & 0xf);
            break;
        case 2:
            vlapic_eoi(&apic);
            while (serviced > 0 && !isr[serviced])
                serviced--;
            isr[serviced] = false;
            break;
        default:
            expect = vlapic_peek(&apic);
            if (expect >= 0) {
                vlapic_accept(&apic, expect);
                irr[expect] = false;
                isr[expect] = true;
            }
            break;
        }
        highest = serviced = 255;
        while (highest > 0 && !irr[highest])
            highest--;
        while (serviced > 0 && !isr[serviced])
            serviced--;
        expect = highest >> 4 > MAX(serviced >> 4, vlapic_cr8(&apic)) ? highest : -1;
        assert_int_equal(vlapic_peek(&apic), expect);
    }
}

static void test_ipis(void **state)
{
    (void)state;
    mmio_write(0x310, 0x05000000);
    mmio_write(0x300, 0x4031);
    assert_int_equal(messages, 1);
    assert_int_equal(message.dest, 5);
    assert_int_equal(message.dest_mode, APIC_PHYSICAL);
    assert_int_equal(message.vector, 0x31);
    assert_int_equal(message.delivery, APIC_FIXED);
    assert_int_equal(message.shorthand, APIC_TO_DEST);
    mmio_write(0x310, 0xff000000);
    mmio_write(0x300, 0x4831);
    assert_int_equal(message.dest_mode, APIC_LOGICAL);
    assert_true(message.dest == APIC_BROADCAST);
    mmio_write(0x300, 0xc4500); /* INIT to all but self */
    assert_int_equal(message.delivery, APIC_INIT);
    assert_int_equal(message.shorthand, APIC_TO_OTHERS);
    messages = 0;
    mmio_write(0x300, 0x8500); /* INIT de-assert */
    assert_int_equal(messages, 0);
    mmio_write(0x300, 0x0610);
    assert_int_equal(message.delivery, APIC_SIPI);
    assert_int_equal(message.vector, 0x10);
    messages = 0;
    mmio_write(0x300, 0x40077); /* self */
    assert_int_equal(messages, 0);
    assert_int_equal(vlapic_peek(&apic), 0x77);
    mmio_write(0x300, 0x80400); /* NMI to all */
    assert_int_equal(message.delivery, APIC_NMI);
    assert_int_equal(mmio_read(0x300), 0x80400);
}

static void test_errors(void **state)
{
    (void)state;
    mmio_write(0x370, 0xfe);
    mmio_write(0x300, 0x4005); /* an illegal vector is sent */
    assert_int_equal(messages, 0);
    assert_int_equal(vlapic_peek(&apic), 0xfe);
    vlapic_accept(&apic, 0xfe);
    vlapic_eoi(&apic);
    mmio_write(0x300, 0x4005); /* the same once more is no news */
    assert_int_equal(vlapic_peek(&apic), -1);
    assert_int_equal(mmio_read(0x280), 0);
    mmio_write(0x280, 0);
    assert_int_equal(mmio_read(0x280), 0x20);
    mmio_write(0x280, 0);
    assert_int_equal(mmio_read(0x280), 0);
    vlapic_post(&apic, 15, false);
    mmio_read(0x3f0);
    mmio_write(0x40, 1);
    mmio_write(0x30, 0xff000000); /* read-only, no error */
    mmio_write(0x280, 0);
    assert_int_equal(mmio_read(0x280), 0xc0);
    /* The error's own vector is illegal: no endless chain. */
    mmio_write(0x370, 3);
    vlapic_post(&apic, 2, false);
    mmio_write(0x280, 0);
    assert_int_equal(mmio_read(0x280), 0x40);
}

/* It stays at INIT, and goes with the mode (as KVM has it). */
static void test_id(void **state)
{
    (void)state;
    mmio_write(0x20, 3u << 24);
    assert_false(renamed);
    mmio_write(0x20, 0x12345678);
    assert_true(renamed);
    assert_int_equal(mmio_read(0x20), 0x12000000);
    assert_true(vlapic_accepts(&apic, 0x12, APIC_PHYSICAL));
    assert_false(vlapic_accepts(&apic, 3, APIC_PHYSICAL));
    vlapic_receive_init(&apic);
    assert_int_equal(mmio_read(0x20), 0x12000000);
    enter_x2apic();
    assert_int_equal(msr_read(0x02), 3);
    assert_true(vlapic_accepts(&apic, 3, APIC_PHYSICAL));
    vlapic_reset(&apic);
    mmio_write(0x20, 0x7000000);
    assert_true(vlapic_set_base(&apic, apic.base & ~APIC_BASE_EN));
    assert_true(vlapic_set_base(&apic, apic.base | APIC_BASE_EN));
    assert_int_equal(mmio_read(0x20), 3u << 24);
}

static void test_mmio_widths(void **state)
{
    (void)state;
    assert_int_equal(bench_read(vlapic_mmio, &apic, 0x32, 1), 0x05);
    assert_int_equal(bench_read(vlapic_mmio, &apic, 0x34, 4), 0);
    bench_write(vlapic_mmio, &apic, 0x80, 1, 0x20);
    bench_write(vlapic_mmio, &apic, 0x84, 4, 0x30);
    assert_int_equal(mmio_read(0x80), 0);
    bench_write(vlapic_mmio, &apic, 0x80, 8, 0xffffffff00000040);
    assert_int_equal(mmio_read(0x80), 0x40);
    assert_int_equal(bench_read(vlapic_mmio, &apic, 0x1000 - 0x10, 4), 0);
}

static void test_mode_transitions(void **state)
{
    uint64_t base = 0xfee00000, value = 0;

    (void)state;
    assert_false(vlapic_set_base(&apic, base | BIT(10)));
    assert_false(vlapic_set_base(&apic, base | BIT(11) | BIT(9)));
    assert_false(vlapic_set_base(&apic, base | BIT(11) | BIT(40)));
    vlapic_post(&apic, 0x55, false);
    mmio_write(0xd0, 0x08000000);
    assert_int_equal(msr_access(false, 0x02, &value), BUS_FAULT);
    assert_true(vlapic_set_base(&apic, base | BIT(11) | BIT(10)));
    assert_int_equal(vlapic_peek(&apic), 0x55); /* the state survives */
    assert_int_equal(msr_read(0x02), 3);
    assert_int_equal(msr_read(0x0d), 8);
    assert_int_equal(bench_access(vlapic_mmio, &apic, false, 0x20, 4, &value), BUS_UNCLAIMED);
    assert_false(vlapic_set_base(&apic, base | BIT(11)));
    assert_true(vlapic_set_base(&apic, base | BIT(11) | BIT(10)));
    assert_true(vlapic_set_base(&apic, base));
    assert_int_equal(vlapic_peek(&apic), -1);
    assert_int_equal(bench_access(vlapic_mmio, &apic, false, 0x20, 4, &value), BUS_UNCLAIMED);
    assert_true(vlapic_takes_pic(&apic));
    assert_false(vlapic_accepts(&apic, 3, APIC_PHYSICAL));
    vlapic_post(&apic, 0x55, false);
    assert_int_equal(vlapic_peek(&apic), -1);
    assert_false(vlapic_set_base(&apic, base | BIT(11) | BIT(10)));
    assert_true(vlapic_set_base(&apic, base | BIT(11)));
    assert_int_equal(mmio_read(0xf0), 0xff);
    assert_int_equal(mmio_read(0xd0), 0);
    apic.config.x2apic = false;
    assert_false(vlapic_set_base(&apic, base | BIT(11) | BIT(10)));
}

static void test_init_keeps_the_mode(void **state)
{
    (void)state;
    enter_x2apic();
    vlapic_post(&apic, 0x55, false);
    msr_write(0x08, 0x20);
    vlapic_receive_init(&apic);
    assert_int_equal(msr_read(0x0f), 0xff);
    assert_int_equal(msr_read(0x08), 0);
    assert_int_equal(msr_read(0x0d), 8);
    assert_int_equal(vlapic_peek(&apic), -1);
}

/* Which x2APIC registers exist, and which bits: SDM tables 11-6, 11.12.1.3. */
static void test_x2apic_faults(void **state)
{
    static const uint32_t readable[] = {0x02, 0x03, 0x08, 0x0a, 0x0d, 0x0f, 0x10, 0x17,
                                        0x18, 0x1f, 0x20, 0x27, 0x28, 0x30, 0x32, 0x33,
                                        0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3e};
    static const uint32_t unreadable[] = {0x00, 0x01, 0x04, 0x09, 0x0b, 0x0c, 0x0e, 0x29,
                                          0x2f, 0x31, 0x3a, 0x3d, 0x3f, 0x40, 0x80, 0xff};
    static const uint32_t read_only[] = {0x02, 0x03, 0x0a, 0x0d, 0x0e, 0x10, 0x20, 0x31, 0x39, 0x40, 0xff};
    uint64_t value;

    (void)state;
    enter_x2apic();
    for (size_t i = 0; i < ARRAY_SIZE(readable); i++)
        msr_read(readable[i]);
    for (size_t i = 0; i < ARRAY_SIZE(unreadable); i++)
        assert_int_equal(msr_access(false, unreadable[i], &value), BUS_FAULT);
    value = 0;
    for (size_t i = 0; i < ARRAY_SIZE(read_only); i++)
        assert_int_equal(msr_access(true, read_only[i], &value), BUS_FAULT);
    msr_write(0x0b, 0);
    msr_fault(0x0b, 1);
    msr_fault(0x28, 1);
    msr_fault(0x08, 0x100);
    msr_fault(0x08, BIT(32));
    msr_fault(0x32, BIT(19));
    msr_fault(0x37, 0x700);
    msr_fault(0x3e, 4);
    msr_fault(0x3f, 0x100);
    msr_fault(0x30, BIT(13));
    msr_fault(0x30, BIT(20));
    msr_fault(0x38, BIT(32));
    msr_write(0x35, 0x1f7ff); /* read-only bits may be written back */
    assert_int_equal(msr_read(0x35), 0x1a7ff);
}

static void test_x2apic_ipis(void **state)
{
    (void)state;
    enter_x2apic();
    msr_write(0x30, 0x123400004831);
    assert_int_equal(message.dest, 0x1234);
    assert_int_equal(message.dest_mode, APIC_LOGICAL);
    assert_int_equal(msr_read(0x30), 0x123400004831);
    msr_write(0x30, 0xff00000031); /* no broadcast in this mode */
    assert_int_equal(message.dest, 0xff);
    messages = 0;
    msr_write(0x3f, 0x66);
    assert_int_equal(messages, 0);
    assert_int_equal(vlapic_peek(&apic), 0x66);
    msr_write(0x3f, 6);
    msr_write(0x28, 0);
    assert_int_equal(msr_read(0x28), 0x20);
}

static void test_destinations(void **state)
{
    (void)state;
    assert_true(vlapic_accepts(&apic, 3, APIC_PHYSICAL));
    assert_false(vlapic_accepts(&apic, 2, APIC_PHYSICAL));
    assert_true(vlapic_accepts(&apic, APIC_BROADCAST, APIC_PHYSICAL));
    assert_false(vlapic_accepts(&apic, 1, APIC_LOGICAL));
    mmio_write(0xd0, 0x12000000);
    assert_true(vlapic_accepts(&apic, 0x02, APIC_LOGICAL));
    assert_true(vlapic_accepts(&apic, 0xf0, APIC_LOGICAL));
    assert_false(vlapic_accepts(&apic, 0xed, APIC_LOGICAL));
    assert_false(vlapic_accepts(&apic, 0x112, APIC_LOGICAL));
    mmio_write(0xe0, 0);
    assert_int_equal(mmio_read(0xe0), 0x0fffffff);
    assert_true(vlapic_accepts(&apic, 0x13, APIC_LOGICAL));
    assert_false(vlapic_accepts(&apic, 0x1d, APIC_LOGICAL));
    assert_false(vlapic_accepts(&apic, 0x22, APIC_LOGICAL));
    assert_true(vlapic_accepts(&apic, APIC_BROADCAST, APIC_LOGICAL));
    make_apic(0x25);
    enter_x2apic();
    assert_int_equal(msr_read(0x0d), 0x20020);
    assert_true(vlapic_accepts(&apic, 0x20030, APIC_LOGICAL));
    assert_false(vlapic_accepts(&apic, 0x20010, APIC_LOGICAL));
    assert_false(vlapic_accepts(&apic, 0x10020, APIC_LOGICAL));
    assert_true(vlapic_accepts(&apic, 0x25, APIC_PHYSICAL));
    assert_false(vlapic_accepts(&apic, 0xff, APIC_PHYSICAL));
}

static void test_lint(void **state)
{
    (void)state;
    assert_false(vlapic_takes_pic(&apic));
    vlapic_virtual_wire(&apic);
    assert_true(vlapic_takes_pic(&apic));
    vlapic_set_lint(&apic, 0, true); /* ExtINT: no message */
    assert_int_equal(messages, 0);
    vlapic_set_lint(&apic, 1, true);
    assert_int_equal(messages, 1);
    assert_int_equal(message.delivery, APIC_NMI);
    assert_int_equal(message.shorthand, APIC_TO_SELF);
    vlapic_set_lint(&apic, 1, true);
    assert_int_equal(messages, 1);
    mmio_write(0x350, 0x44);
    assert_false(vlapic_takes_pic(&apic));
    vlapic_set_lint(&apic, 0, false);
    vlapic_set_lint(&apic, 0, true);
    assert_int_equal(vlapic_peek(&apic), 0x44);
    mmio_write(0xf0, 0xff); /* disabling masks */
    assert_int_equal(mmio_read(0x350), 0x10044);
    assert_int_equal(vlapic_peek(&apic), 0x44); /* what is pending stays */
}

static void test_lvt_delivery_modes(void **state)
{
    (void)state;
    for (uint32_t mode = 0; mode < 8; mode++) {
        bool sent = mode == APIC_SMI || mode == APIC_NMI || mode == APIC_INIT;

        messages = 0;
        mmio_write(0x350, mode << 8 | 0x50); /* LVT LINT0 */
        vlapic_set_lint(&apic, 0, true);
        vlapic_set_lint(&apic, 0, false);
        assert_int_equal(messages, sent);
        if (sent)
            assert_int_equal(message.delivery, mode);
        assert_int_equal(vlapic_peek(&apic), 0x50); /* by the fixed mode alone, the first */
    }
    mmio_write(0x350, 1 << 8 | 3); /* a reserved mode's vector isn't looked at */
    vlapic_set_lint(&apic, 0, true);
    assert_int_equal(messages, 0);
    assert_int_equal(vlapic_peek(&apic), 0x50);
}

/* -- EOI through memory ------------------------------------------------------------------------------------------- */

static uint8_t flag;

static bool serviced(const struct vlapic *l, uint8_t vector)
{
    return l->isr[vector / 64] >> vector % 64 & 1;
}

static void test_eoi_left_out(void **state)
{
    (void)state;
    vlapic_set_eoi_flag(&apic, &flag);
    vlapic_post(&apic, 0x41, false);
    vlapic_accept(&apic, 0x41);
    assert_int_equal(flag, 1);
    vlapic_settle(&apic);
    assert_true(serviced(&apic, 0x41) && flag == 1);
    mmio_write(0xb0, 0); /* it may do without the flag */
    assert_true(!serviced(&apic, 0x41) && flag == 0);
    vlapic_post(&apic, 0x41, false);
    vlapic_accept(&apic, 0x41);
    flag = 0; /* the guest's EOI */
    assert_int_equal(mmio_read(0xa0), 0);
    assert_int_equal(mmio_read(0x120), 0);
    vlapic_post(&apic, 0x41, true); /* level-triggered: the IOAPIC has to hear of it */
    vlapic_accept(&apic, 0x41);
    assert_int_equal(flag, 0);
    mmio_write(0xb0, 0);
    assert_int_equal(eois, 1);
    vlapic_post(&apic, 0x41, false);
    vlapic_post(&apic, 0x42, false);
    vlapic_accept(&apic, 0x42); /* one waits behind it */
    assert_int_equal(flag, 0);
    mmio_write(0xb0, 0);
    vlapic_accept(&apic, 0x41);
    assert_int_equal(flag, 1);
    vlapic_set_eoi_flag(&apic, NULL);
    assert_int_equal(flag, 0);
    mmio_write(0xb0, 0);
    assert_int_equal(mmio_read(0xa0), 0);
    vlapic_set_eoi_flag(&apic, &flag);
    vlapic_reset(&apic);
    mmio_write(0xf0, 0x1ff);
    flag = 0x55; /* of the next system */
    vlapic_post(&apic, 0x41, false);
    vlapic_accept(&apic, 0x41);
    assert_int_equal(flag, 0x55);
}

static void guest_ends(struct vlapic *l)
{
    if (l->eoi_flag && flag)
        flag = 0;
    else
        vlapic_eoi(l);
}

/* Whatever comes, a LAPIC whose guest leaves out EOIs delivers what one does whose guest writes them all. */
static void test_left_out_is_as_written(void **state)
{
    struct vlapic plain = apic;
    uint32_t seed = 1, left_out = 0;

    (void)state;
    vlapic_set_eoi_flag(&apic, &flag);
    for (int i = 0; i < 200000; i++) {
        uint8_t vector = (uint8_t)(0x20 + (seed >> 8) % 0xe0), tpr = (uint8_t)(seed >> 24 & 0x30);
        int next;

        seed = seed * 1664525 + 1013904223;
        if (seed >> 29 < 3) {
            vlapic_post(&apic, vector, seed & 0x10000);
            vlapic_post(&plain, vector, seed & 0x10000);
        } else if (seed >> 29 < 4) {
            vlapic_set_cr8(&apic, tpr >> 4);
            vlapic_set_cr8(&plain, tpr >> 4);
        } else if (plain.serviced) {
            left_out += flag;
            guest_ends(&apic);
            guest_ends(&plain);
        }
        vlapic_settle(&apic);
        next = vlapic_peek(&apic);
        assert_int_equal(next, vlapic_peek(&plain));
        assert_memory_equal(apic.isr, plain.isr, sizeof(apic.isr));
        if (next < 0)
            continue;
        vlapic_accept(&apic, next);
        vlapic_accept(&plain, next);
    }
    assert_in_range(left_out, 1000, 200000);
    assert_true(eois % 2 == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_power_on, start),
        cmocka_unit_test_setup(test_peek_accept_eoi, start),
        cmocka_unit_test_setup(test_task_priority, start),
        cmocka_unit_test_setup(test_level_triggered_eoi, start),
        cmocka_unit_test_setup(test_random_priorities, start),
        cmocka_unit_test_setup(test_ipis, start),
        cmocka_unit_test_setup(test_errors, start),
        cmocka_unit_test_setup(test_id, start),
        cmocka_unit_test_setup(test_mmio_widths, start),
        cmocka_unit_test_setup(test_mode_transitions, start),
        cmocka_unit_test_setup(test_init_keeps_the_mode, start),
        cmocka_unit_test_setup(test_x2apic_faults, start),
        cmocka_unit_test_setup(test_x2apic_ipis, start),
        cmocka_unit_test_setup(test_destinations, start),
        cmocka_unit_test_setup(test_lint, start),
        cmocka_unit_test_setup(test_lvt_delivery_modes, start),
        cmocka_unit_test_setup(test_eoi_left_out, start),
        cmocka_unit_test_setup(test_left_out_is_as_written, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
