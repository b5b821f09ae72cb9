/*
 * The HPET by its registers, and against a model that counts tick by tick as the hardware does: whatever a guest programs,
 * statuses, accumulators and interrupts are those of the model.
 */
#include "drivers/virt/vhpet.h"

#include <string.h>

#include "drivers/virt/ticks.h"
#include "tests/unit/device.h"

#define CONFIG(n)     (0x100 + 32u * (n))
#define COMPARATOR(n) (0x108 + 32u * (n))
#define MESSAGE(n)    (0x110 + 32u * (n))
#define ENABLE        0x10
#define STATUS        0x20
#define COUNTER       0xf0

#define LEVEL    BIT(1)
#define INT      BIT(2)
#define PERIODIC BIT(3)
#define SET      BIT(6)
#define BITS32   BIT(8)
#define ROUTE(n) ((uint64_t)(n) << 9)
#define FSB      BIT(14)

static struct vhpet hpet;
static struct wire irq0, irq8, pins[32];
static uint32_t messages;
static uint64_t message_address;
static uint32_t message_data;

static uint64_t in(uint32_t reg)
{
    return bench_read(vhpet_mmio, &hpet, reg, 8);
}

static void out(uint32_t reg, uint64_t value)
{
    bench_write(vhpet_mmio, &hpet, reg, 8, value);
}

static uint32_t in32(uint32_t reg)
{
    return (uint32_t)bench_read(vhpet_mmio, &hpet, reg, 4);
}

static void out32(uint32_t reg, uint32_t value)
{
    bench_write(vhpet_mmio, &hpet, reg, 4, value);
}

/* To the start of the n-th tick from now on. */
static void ticks(uint64_t n)
{
    bench_wait(ticks_ns(ticks_at(bench_now, VHPET_HZ) + n, VHPET_HZ) - bench_now);
}

static void pin_set(void *listener, uint32_t line, bool level)
{
    assert_ptr_equal(listener, pins);
    assert_true(VHPET_PINS & BIT(line));
    wire_set(&pins[line], line, level);
}

static void send(void *ctx, uint64_t address, uint32_t data)
{
    assert_ptr_equal(ctx, &messages);
    messages++;
    message_address = address;
    message_data = data;
}

static int start(void **state)
{
    struct vhpet_config config = {
        .timers = &bench_timers,
        .legacy = {wire_pin(&irq0), wire_pin(&irq8)},
        .set = pin_set,
        .listener = pins,
        .fsb = {send, &messages},
    };

    (void)state;
    memset(pins, 0, sizeof(pins));
    messages = 0;
    bench_start(ticks_ns(12345, VHPET_HZ));
    vhpet_init(&hpet, &config);
    return 0;
}

static void test_power_on(void **state)
{
    (void)state;
    assert_int_equal(in(0), 0x0429b17f8086a201);
    assert_int_equal(in(ENABLE) | in(STATUS) | in(COUNTER), 0);
    for (uint32_t n = 0; n < 3; n++) {
        assert_true(in(CONFIG(n)) == 0x00f0000000008030);
        assert_true(in(COMPARATOR(n)) == UINT64_MAX);
        assert_int_equal(in(MESSAGE(n)), 0);
    }
    for (uint32_t reg = CONFIG(3); reg < VHPET_SIZE; reg += 8)
        assert_int_equal(in(reg), 0);
    bench_wait(NS_PER_SEC);
    assert_int_equal(in(COUNTER), 0);
    /* The capabilities say 1/VHPET_HZ to a few parts in 10^9: a second is 10^15 fs. */
    assert_in_range(VHPET_HZ * VHPET_PERIOD_FS, 999999990000000, 1000000010000000);
}

static void test_access_widths(void **state)
{
    uint64_t value = 0;

    (void)state;
    assert_int_equal(in32(0), 0x8086a201);
    assert_int_equal(in32(4), 0x0429b17f);
    out32(COUNTER + 4, 0x12345678);
    out32(COUNTER, 0x9abcdef0);
    assert_true(in(COUNTER) == 0x123456789abcdef0);
    assert_int_equal(in32(COUNTER + 4), 0x12345678);
    out32(COMPARATOR(1) + 4, 7);
    assert_true(in(COMPARATOR(1)) == 0x7ffffffff);
    out32(MESSAGE(2) + 4, 0xfee00000);
    out32(MESSAGE(2), 0x41);
    assert_true(in(MESSAGE(2)) == 0xfee0000000000041);
    /* The capabilities in the same register stay. */
    out(CONFIG(0), 0);
    out32(CONFIG(0) + 4, UINT32_MAX);
    assert_true(in(CONFIG(0)) == 0x00f0000000008030);
    /* All else does nothing. */
    for (uint32_t size = 1; size <= 8; size *= 2) {
        for (uint32_t at = 0; at < 8; at++) {
            if (size >= 4 && at % size == 0)
                continue;
            assert_int_equal(bench_access(vhpet_mmio, &hpet, true, COUNTER + at, size, &value),
                             BUS_UNCLAIMED);
            assert_int_equal(bench_access(vhpet_mmio, &hpet, false, COUNTER + at, size, &value),
                             BUS_UNCLAIMED);
        }
    }
    assert_true(in(COUNTER) == 0x123456789abcdef0);
}

static void test_counter(void **state)
{
    (void)state;
    out(COUNTER, UINT64_MAX - 4);
    out(ENABLE, 1);
    ticks(5);
    assert_int_equal(in(COUNTER), 0);
    bench_wait(3600 * NS_PER_SEC);
    assert_in_range(in(COUNTER), 3600 * VHPET_HZ - 1, 3600 * VHPET_HZ);
    out(ENABLE, 0);
    out(COUNTER, 100);
    ticks(50);
    assert_int_equal(in(COUNTER), 100);
    out(ENABLE, 1);
    ticks(7);
    assert_int_equal(in(COUNTER), 107);
}

static void test_one_shot(void **state)
{
    (void)state;
    out(CONFIG(2), INT | ROUTE(21));
    out(COMPARATOR(2), 1000);
    out(ENABLE, 1);
    ticks(999);
    assert_int_equal(pins[21].rises, 0);
    ticks(1);
    assert_int_equal(pins[21].rises, 1);
    /* Each new interrupt is a new edge. */
    out(COMPARATOR(2), 1500);
    ticks(500);
    assert_int_equal(pins[21].rises, 2);
    assert_int_equal(in(STATUS), 0);
    bench_wait(1000 * NS_PER_SEC);
    assert_int_equal(pins[21].rises, 2);
    assert_true(timer_queue_next(&bench_timers) == TIMER_NEVER);
    /* Turned off, it leaves its wire. */
    out(CONFIG(2), ROUTE(21));
    assert_false(pins[21].level);
}

/* A timer of 32 bits matches again whenever the counter's low half wraps (2.3.9.2.1). */
static void test_wrap(void **state)
{
    (void)state;
    out(CONFIG(0), INT | BITS32 | ROUTE(20));
    assert_true(in(COMPARATOR(0)) == UINT32_MAX);
    out(COMPARATOR(0), 0x500000010);
    assert_true(in(COMPARATOR(0)) == 0x10);
    out(ENABLE, 1);
    ticks(0x10);
    assert_int_equal(pins[20].rises, 1);
    ticks(0xffffffff);
    assert_int_equal(pins[20].rises, 1);
    ticks(1);
    assert_int_equal(pins[20].rises, 2);
}

static void test_periodic(void **state)
{
    uint64_t period = VHPET_HZ / 1000;

    (void)state;
    out(CONFIG(1), INT | PERIODIC | SET | ROUTE(22));
    out(COMPARATOR(1), 5 * period);
    out(COMPARATOR(1), period); /* the accumulator is set only once */
    out(ENABLE, 1);
    assert_true(in(COMPARATOR(1)) == 5 * period);
    assert_false(in(CONFIG(1)) & SET);
    ticks(5 * period - 1);
    assert_int_equal(pins[22].rises, 0);
    ticks(1);
    assert_int_equal(pins[22].rises, 1);
    assert_true(in(COMPARATOR(1)) == 6 * period);
    ticks(100000 * period);
    assert_int_equal(pins[22].rises, 100001);
    /* What nobody took isn't made up for. */
    bench_stall(50 * MS);
    assert_int_equal(pins[22].rises, 100002);
    ticks(period);
    assert_int_equal(pins[22].rises, 100003);
    /* One write with SET is enough for systems that know no more. */
    out(CONFIG(1), INT | PERIODIC | SET | BITS32 | ROUTE(22));
    out(COMPARATOR(1), (uint32_t)in(COUNTER) + period);
    assert_true(hpet.timers[1].period != period);
    /* A guest can't drown itself. */
    out(COMPARATOR(1), 1);
    pins[22].rises = 0;
    bench_wait(NS_PER_SEC);
    assert_in_range(pins[22].rises, 9000, 10001);
}

static void test_level(void **state)
{
    (void)state;
    out(CONFIG(0), INT | LEVEL | ROUTE(23));
    out(CONFIG(1), INT | LEVEL | ROUTE(23));
    out(CONFIG(2), LEVEL); /* has a status, too, though no interrupt */
    out(COMPARATOR(0), 100);
    out(COMPARATOR(1), 200);
    out(COMPARATOR(2), 300);
    out(ENABLE, 1);
    ticks(99);
    assert_int_equal(in(STATUS) | pins[23].level, 0);
    ticks(1);
    assert_int_equal(in(STATUS), 1);
    assert_true(pins[23].level);
    ticks(300);
    assert_int_equal(in(STATUS), 7);
    assert_int_equal(pins[23].rises, 1);
    out32(STATUS, 1); /* they share the pin */
    assert_true(pins[23].level);
    out32(STATUS, 2);
    assert_false(pins[23].level);
    assert_int_equal(in(STATUS), 4);
    /* Halted, there are no interrupts, but statuses stay. */
    out(COMPARATOR(0), in(COUNTER) + 10);
    ticks(10);
    assert_true(pins[23].level);
    out(ENABLE, 0);
    assert_false(pins[23].level);
    assert_int_equal(in(STATUS), 5);
    out(ENABLE, 1);
    assert_true(pins[23].level);
    out(CONFIG(0), INT | ROUTE(23));
    assert_int_equal(in(STATUS), 4);
    assert_false(pins[23].level);
}

/* A pin that a timer can't have isn't taken, and 0 is none. */
static void test_routes(void **state)
{
    (void)state;
    out(CONFIG(0), INT | ROUTE(2));
    assert_true(in(CONFIG(0)) == (0x00f0000000008030 | INT));
    out(CONFIG(0), INT | ROUTE(20));
    out(CONFIG(0), INT | ROUTE(31));
    assert_true(in(CONFIG(0)) == (0x00f0000000008030 | INT | ROUTE(20)));
}

static void test_messages(void **state)
{
    (void)state;
    out(CONFIG(1), INT | FSB | PERIODIC | SET | ROUTE(20));
    out(MESSAGE(1), 0xfee0100000004155);
    out(COMPARATOR(1), 20000);
    out(ENABLE, 3); /* a message isn't replaced, either */
    ticks(20000);
    assert_int_equal(messages, 1);
    assert_int_equal(message_address, 0xfee01000);
    assert_int_equal(message_data, 0x4155);
    ticks(40000);
    assert_int_equal(messages, 3);
    assert_int_equal(pins[20].rises + irq8.rises, 0);
    out(CONFIG(1), FSB | PERIODIC);
    ticks(40000);
    assert_int_equal(messages, 3);
}

static void test_legacy(void **state)
{
    (void)state;
    vhpet_set_legacy(&hpet, VHPET_LEGACY_PIT, true);
    assert_true(irq0.level);
    out(ENABLE, 2); /* both bits are needed */
    vhpet_set_legacy(&hpet, VHPET_LEGACY_PIT, false);
    vhpet_set_legacy(&hpet, VHPET_LEGACY_RTC, true);
    assert_false(irq0.level);
    assert_true(irq8.level);
    out(ENABLE, 3);
    assert_false(irq8.level);
    vhpet_set_legacy(&hpet, VHPET_LEGACY_PIT, true);
    assert_false(irq0.level);
    irq0.rises = irq8.rises = 0;
    out(CONFIG(0), INT | ROUTE(20));
    out(CONFIG(1), INT | LEVEL | ROUTE(21));
    out(CONFIG(2), INT | ROUTE(22));
    for (uint32_t n = 0; n < 3; n++)
        out(COMPARATOR(n), in(COUNTER) + 100);
    ticks(100);
    assert_true(irq0.rises == 1 && irq8.rises == 1 && pins[22].rises == 1);
    assert_int_equal(pins[20].rises + pins[21].rises, 0);
    assert_true(irq8.level);
    out32(STATUS, 2);
    assert_false(irq8.level);
    /* Given back, the wires are as the PIT and the RTC drive them. */
    vhpet_set_legacy(&hpet, VHPET_LEGACY_PIT, false);
    vhpet_set_legacy(&hpet, VHPET_LEGACY_RTC, true);
    assert_true(irq0.level);
    out(ENABLE, 1);
    assert_false(irq0.level);
    assert_true(irq8.level);
}

static void test_time_of_another_vcpu(void **state)
{
    (void)state;
    out(CONFIG(0), INT | ROUTE(20));
    out(COMPARATOR(0), 1000);
    out(ENABLE, 1);
    ticks(1000);
    assert_int_equal(pins[20].rises, 1);
    bench_now -= 500 * US / 10; /* began before, came behind */
    in(STATUS);
    bench_now += 500 * US / 10;
    in(STATUS);
    assert_int_equal(pins[20].rises, 1);
}

/* -- the model -------------------------------------------------------------------------------------------------- */

struct model {
    bool run;
    uint64_t counter, config[3], comparator[3], period[3];
    uint32_t status, rises[3];
};

static bool model_level(const struct model *m, uint32_t n)
{
    return m->run && (m->config[n] & LEVEL) && (m->config[n] & INT) && (m->status >> n & 1);
}

static uint64_t model_mask(const struct model *m, uint32_t n)
{
    return m->config[n] & BITS32 ? UINT32_MAX : UINT64_MAX;
}

/* What the hardware does whenever the counter has a new value, or a comparator. */
static void model_compare(struct model *m, uint32_t n)
{
    if (!m->run || (m->counter & model_mask(m, n)) != m->comparator[n])
        return;
    if (m->config[n] & PERIODIC)
        m->comparator[n] = (m->comparator[n] + m->period[n]) & model_mask(m, n);
    if (m->config[n] & LEVEL)
        m->status |= 1u << n;
    else if (m->config[n] & INT)
        m->rises[n]++;
}

static void model_wait(struct model *m, uint64_t steps)
{
    for (; steps > 0 && m->run; steps--) {
        m->counter++;
        for (uint32_t n = 0; n < 3; n++)
            model_compare(m, n);
    }
}

static void model_configure(struct model *m, uint32_t n, uint64_t config)
{
    m->config[n] = config;
    m->comparator[n] &= model_mask(m, n);
    m->period[n] &= model_mask(m, n);
    if (!(config & LEVEL))
        m->status &= ~(1u << n);
    out(CONFIG(n), config);
}

static void model_comparator(struct model *m, uint32_t n, uint64_t value)
{
    if (m->config[n] & PERIODIC)
        m->period[n] = value & model_mask(m, n);
    if (!(m->config[n] & PERIODIC) || (m->config[n] & SET)) {
        m->comparator[n] = value & model_mask(m, n);
        model_compare(m, n);
    }
    m->config[n] &= ~SET;
    out(COMPARATOR(n), value);
}

static void model_check(const struct model *m)
{
    assert_true(in(COUNTER) == m->counter);
    assert_int_equal(in(STATUS), m->status);
    bench_wait(0); /* what is due at this moment */
    for (uint32_t n = 0; n < 3; n++) {
        assert_true(in(COMPARATOR(n)) == m->comparator[n]);
        assert_int_equal(pins[20 + n].rises, m->rises[n]);
        if (m->config[n] & LEVEL)
            assert_int_equal(pins[20 + n].level, model_level(m, n));
    }
}

static void model_step(struct model *m, uint64_t *random)
{
    uint64_t number = support_random(random) >> 8;
    uint32_t n = (uint32_t)number % 3;
    bool levels[3] = {model_level(m, 0), model_level(m, 1), model_level(m, 2)};

    switch (support_random(random) >> 8 & 7) {
    case 0:
        model_configure(m, n, (number & (LEVEL | INT | PERIODIC | SET | BITS32)) | ROUTE(20 + n));
        break;
    case 1:
        m->run = number & 7;
        out(ENABLE, m->run);
        break;
    case 2:
        m->status &= ~(uint32_t)(number & 7);
        out(STATUS, number & 7);
        break;
    case 3:
        if (!m->run)
            out(COUNTER, m->counter = 0 - (number & 0x100ff));
        break;
    case 4:
        /* Near what the counter is now; periods of at least MIN_PERIOD, as shorter ones lose edges. */
        number = m->counter + 1500 + (number & 0xfff);
        model_comparator(m, n, number + ((uint32_t)number < 1500 ? 1500 : 0));
        break;
    case 5:
        if ((m->config[n] & PERIODIC) && !(m->config[n] & SET))
            model_comparator(m, n, 1500 + (number & 0xff));
        break;
    default:
        ticks(number & 0x7ff);
        model_wait(m, number & 0x7ff);
    }
    for (n = 0; n < 3; n++)
        m->rises[n] += model_level(m, n) && !levels[n];
}

static void test_model(void **state)
{
    uint64_t random = 20261120;
    uint32_t rises = 0;

    for (uint32_t round = 0; round < 300; round++) {
        struct model m = {.comparator = {UINT64_MAX, UINT64_MAX, UINT64_MAX}};

        start(state);
        for (uint32_t i = 0; i < 200; i++) {
            model_step(&m, &random);
            model_check(&m);
        }
        rises += m.rises[0] + m.rises[1] + m.rises[2];
    }
    assert_true(rises > 1500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_power_on, start),
        cmocka_unit_test_setup(test_access_widths, start),
        cmocka_unit_test_setup(test_counter, start),
        cmocka_unit_test_setup(test_one_shot, start),
        cmocka_unit_test_setup(test_wrap, start),
        cmocka_unit_test_setup(test_periodic, start),
        cmocka_unit_test_setup(test_level, start),
        cmocka_unit_test_setup(test_routes, start),
        cmocka_unit_test_setup(test_messages, start),
        cmocka_unit_test_setup(test_legacy, start),
        cmocka_unit_test_setup(test_time_of_another_vcpu, start),
        cmocka_unit_test_setup(test_model, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
