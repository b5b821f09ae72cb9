/* Hyper-V's MSRs, synthetic interrupts and timers over a guest memory of a few pages; VM time is the test's. */
#include "core/pv.h"

#include "core/run.h"
#include "core/x86/msr.h"
#include "tests/unit/support.h"

#include "tests/unit/fake_vendor.h"

#define RAM_BYTES (8 * PAGE_SIZE)
#define TSC_HZ    2500000000ull
#define MS        10000 /* of reference time */

#define OS_ID     0x40000000
#define HYPERCALL 0x40000001
#define COUNTER   0x40000020
#define TSC_PAGE  0x40000021
#define ASSIST    0x40000073
#define CONTROL   0x40000080
#define MESSAGES  0x40000083
#define EOM       0x40000084
#define SINT(n)   (0x40000090u + (n))
#define CONFIG(n) (0x400000b0u + 2 * (n))
#define COUNT(n)  (0x400000b1u + 2 * (n))
#define ON        BIT(0)
#define PERIODIC  BIT(1)
#define AUTO      BIT(3)
#define DIRECT    BIT(12)

static uint8_t ram[RAM_BYTES + PAGE_SIZE] __attribute__((aligned(4096)));
static struct irqchip_ops chip;
static uint32_t received, yields, changes;
static bool autos;
static uint8_t last_vector, *eoi_flag;

void vcpu_kick(struct vcpu *vcpu)
{
    (void)vcpu;
}

void run_yield_to(struct vcpu *vcpu)
{
    (void)vcpu;
}

void run_yield(void)
{
    yields++;
}

static bool note_receive(void *ctx, uint8_t vector, bool nmi)
{
    (void)ctx;
    assert_false(nmi);
    last_vector = vector;
    received++;
    return true;
}

static void note_auto_eoi(void *ctx, bool on)
{
    (void)ctx;
    assert_int_not_equal(autos, on);
    autos = on;
    changes++;
}

static void note_flag(void *ctx, uint8_t *flag)
{
    (void)ctx;
    eoi_flag = flag;
}

static int start(void **state)
{
    (void)state;
    fake_reset();
    memset(ram, 0, sizeof(ram));
    received = yields = changes = 0;
    autos = false;
    chip = fake_irqchip;
    chip.receive = note_receive;
    chip.set_eoi_flag = note_flag;
    chip.auto_eoi = note_auto_eoi;
    fake.vcpu.irqchip = &chip;
    gmem_init(&fake.vm.mem, ram);
    assert_int_equal(gmem_add(&fake.vm.mem, 0, RAM_BYTES, true), 0);
    timer_queue_init(&fake.vcpu.timers);
    fake.vm.pv = (struct vm_pv){.kind = PV_HYPERV,
                                .hv_clock = scale_make(TSC_HZ, NS_PER_SEC / HV_TIME_NS),
                                .tsc_hz = TSC_HZ,
                                .hypercall = {0x0f, 0x01, 0xd9}};
    pv_reset(&fake.vcpu);
    return 0;
}

static bool takes(uint32_t msr, uint64_t value)
{
    return hv_write_msr(&fake.vcpu, msr, value);
}

static uint64_t value_of(uint32_t msr)
{
    uint64_t value = 0;

    assert_true(hv_read_msr(&fake.vcpu, msr, &value));
    return value;
}

static uint32_t word(uint64_t at)
{
    uint32_t value;

    memcpy(&value, ram + at, 4);
    return value;
}

/* To a point of reference time, with what is due until then. */
static void go_to(uint64_t time)
{
    fake.now = time * HV_TIME_NS;
    timer_queue_run(&fake.vcpu.timers, fake.now);
}

static void only_with_the_right_interface(void **state)
{
    uint64_t value;

    (void)state;
    fake.vm.pv.kind = PV_KVM;
    assert_true(!takes(OS_ID, 1) && !hv_read_msr(&fake.vcpu, OS_ID, &value));
    fake.vm.pv.kind = PV_HYPERV;
    assert_true(!takes(0x40000004, 0) && !hv_read_msr(&fake.vcpu, 0x40000004, &value));
    assert_true(!takes(COUNTER, 0) && !takes(0x40000002, 0) && !takes(0x40000100, 0) &&
                !takes(0x400000b8, 0));
}

static void pages_are_checked(void **state)
{
    static const uint32_t msrs[] = {HYPERCALL, TSC_PAGE, ASSIST, 0x40000082, MESSAGES};

    (void)state;
    assert_true(takes(OS_ID, 1));
    for (size_t i = 0; i < ARRAY_SIZE(msrs); i++) {
        assert_false(takes(msrs[i], RAM_BYTES | 1));
        assert_false(takes(msrs[i], 1ull << 52 | 1));
        assert_true(takes(msrs[i], (RAM_BYTES - PAGE_SIZE) | 1));
        assert_true(value_of(msrs[i]) == ((RAM_BYTES - PAGE_SIZE) | 1));
    }
    for (uint32_t at = RAM_BYTES; at < sizeof(ram); at++)
        assert_int_equal(ram[at], 0);
}

static void hypercalls_want_an_os(void **state)
{
    uint64_t result;

    (void)state;
    assert_true(takes(HYPERCALL, 0x1000 | 1));
    assert_true(value_of(HYPERCALL) == 0x1000 && !hv_call(&fake.vcpu, &result));
    assert_true(takes(OS_ID, 5) && takes(HYPERCALL, 0x1000 | 1));
    assert_memory_equal(ram + 0x1000, "\x0f\x01\xd9\xc3", 4);
    fake.vcpu.gpr[REG_RCX] = 8;
    assert_true(hv_call(&fake.vcpu, &result) && result == 0 && yields == 1);
    fake.vcpu.gpr[REG_RCX] = 0x1005c;
    assert_true(hv_call(&fake.vcpu, &result) && result == 2);
    assert_true(takes(HYPERCALL, 0x2000 | 3)); /* locked from here on */
    assert_true(takes(HYPERCALL, 0x3000 | 1) && value_of(HYPERCALL) == (0x2000 | 3));
    assert_true(takes(OS_ID, 0) && !hv_call(&fake.vcpu, &result));
    pv_reset(&fake.vcpu);
    assert_int_equal(value_of(HYPERCALL), 0);
}

static uint64_t page_time(uint64_t tsc)
{
    uint64_t factor, offset;

    memcpy(&factor, ram + 0x1008, 8);
    memcpy(&offset, ram + 0x1010, 8);
    return (uint64_t)((unsigned __int128)tsc * factor >> 64) + offset;
}

static void the_page_gives_the_reference_time(void **state)
{
    static const int64_t adjusts[] = {0, 1, -1000, 1ll << 40, -(1ll << 40)};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(adjusts); i++) {
        uint64_t hour = 3600 * TSC_HZ, time;

        fake.vcpu.tsc_adjust = (uint64_t)adjusts[i];
        assert_true(takes(TSC_PAGE, 0x1000 | 1));
        assert_int_equal(word(0x1000), i + 1);
        time = page_time(hour + (uint64_t)adjusts[i]);
        assert_in_range(time, 3600ull * 1000 * MS - 2, 3600ull * 1000 * MS + 1);
    }
}

static void tscs_that_differ_make_the_page_invalid(void **state)
{
    struct vcpu other = {.vm = &fake.vm, .index = 1, .tsc_adjust = 5};

    (void)state;
    fake.vm.vcpus[1] = &other;
    fake.vm.vcpu_count = 2;
    assert_true(takes(TSC_PAGE, 0x1000 | 1));
    assert_int_equal(word(0x1000), 0);
    fake.vcpu.tsc_adjust = 5;
    pv_tsc_adjusted(&fake.vcpu);
    assert_int_not_equal(word(0x1000), 0);
}

static void a_one_shot_fires_once(void **state)
{
    (void)state;
    assert_true(takes(CONFIG(0), DIRECT | AUTO | 0x61 << 4) && takes(COUNT(0), 5 * MS));
    assert_true(value_of(CONFIG(0)) & ON);
    go_to(5 * MS - 1);
    assert_int_equal(received, 0);
    go_to(5 * MS);
    assert_true(received == 1 && last_vector == 0x61 && !(value_of(CONFIG(0)) & ON));
    go_to(500 * MS);
    assert_int_equal(received, 1);
    assert_true(takes(COUNT(0), 3)); /* in the past */
    go_to(500 * MS);
    assert_int_equal(received, 2);
    assert_true(takes(COUNT(0), UINT64_MAX));
    go_to(1ull << 50);
    assert_int_equal(received, 2);
    assert_true(takes(COUNT(0), 0) && !(value_of(CONFIG(0)) & ON));
}

static void a_period_skips_what_was_missed(void **state)
{
    (void)state;
    assert_true(takes(COUNT(3), 10 * MS) && takes(CONFIG(3), DIRECT | PERIODIC | ON | 0x62 << 4));
    for (uint32_t i = 1; i <= 5; i++) {
        go_to(i * 10 * MS);
        assert_int_equal(received, i);
    }
    go_to(1000 * MS);
    assert_int_equal(received, 6);
    go_to(1010 * MS);
    assert_int_equal(received, 7);
    assert_true(takes(COUNT(3), 1)); /* faster than the machine can be */
    received = 0;
    for (uint32_t i = 0; i < 1000; i++)
        go_to(1010 * MS + i);
    assert_in_range(received, 0, 1);
    pv_reset(&fake.vcpu);
    go_to(5000 * MS);
    assert_in_range(received, 0, 1);
    assert_int_equal(timer_queue_next(&fake.vcpu.timers), TIMER_NEVER);
}

static void messages_wait_for_their_slot(void **state)
{
    uint64_t slot = 0x2000 + 4 * 256;

    (void)state;
    assert_true(!takes(SINT(4), 15));
    assert_true(takes(CONTROL, 1) && takes(MESSAGES, 0x2000 | 1) && takes(SINT(4), 0x51));
    assert_true(takes(CONFIG(1), AUTO | 4 << 16) && takes(COUNT(1), MS));
    go_to(MS + 7);
    assert_true(received == 1 && last_vector == 0x51);
    assert_int_equal(word(slot), 0x80000010);
    assert_int_equal(word(slot + 4), 24);
    assert_int_equal(word(slot + 16), 1);
    assert_int_equal(word(slot + 24), MS);
    assert_int_equal(word(slot + 32), MS + 7);
    assert_true(takes(COUNT(1), 2 * MS));
    go_to(2 * MS);
    assert_int_equal(received, 1);
    assert_int_equal(ram[slot + 5], 1);
    assert_true(takes(EOM, 0));
    assert_int_equal(received, 1); /* it isn't read */
    memset(ram + slot, 0, 4);
    assert_true(takes(EOM, 0));
    assert_int_equal(received, 2);
    assert_int_equal(word(slot + 24), 2 * MS);
    assert_int_equal(ram[slot + 5], 0);
    assert_true(takes(EOM, 0));
    assert_int_equal(received, 2);
}

static void messages_without_a_place_are_lost(void **state)
{
    (void)state;
    assert_true(takes(CONFIG(0), AUTO | 4 << 16) && takes(COUNT(0), MS));
    go_to(MS);
    assert_int_equal(received, 0);
    assert_true(takes(CONTROL, 1) && takes(MESSAGES, 0x2000 | 1));
    assert_true(takes(COUNT(0), 2 * MS));
    go_to(2 * MS); /* masked: a message, and no interrupt */
    assert_true(received == 0 && word(0x2000 + 4 * 256) == 0x80000010);
    assert_true(takes(CONFIG(0), ON)); /* to SINT 0: nowhere */
    assert_int_equal(value_of(CONFIG(0)) & ON, 0);
}

/* The interrupt controller is told of the first and the last that asks for it, and of none in between. */
static void some_vectors_end_by_themselves(void **state)
{
    (void)state;
    assert_true(!takes(SINT(4), 15 | BIT(17)) && takes(SINT(4), 0x51) && changes == 0);
    assert_true(takes(SINT(4), 0x51 | BIT(17)) && autos && value_of(SINT(4)) == (0x51 | BIT(17)));
    assert_int_equal(fake.vcpu.look, LOOK_EVENTS);
    assert_true(takes(SINT(15), 0x52 | BIT(17)) && takes(SINT(5), 0x53));
    assert_int_equal(changes, 1);
    assert_true(hv_auto_eoi(&fake.vcpu, 0x51) && hv_auto_eoi(&fake.vcpu, 0x52) &&
                !hv_auto_eoi(&fake.vcpu, 0x53));
    assert_true(takes(SINT(4), 0x51 | BIT(16) | BIT(17)) && !hv_auto_eoi(&fake.vcpu, 0x51) && autos);
    assert_true(takes(SINT(15), 0x52) && !hv_auto_eoi(&fake.vcpu, 0x52) && !autos);
    assert_true(takes(SINT(0), 0x54 | BIT(17)) && autos);
    pv_reset(&fake.vcpu);
    assert_true(!autos && value_of(SINT(0)) == BIT(16));
    assert_int_equal(changes, 4);
}

static void sources_are_signalled(void **state)
{
    (void)state;
    hv_synic_signal(&fake.vcpu, 7); /* masked */
    assert_int_equal(received, 0);
    assert_true(takes(SINT(7), 0x57));
    hv_synic_signal(&fake.vcpu, 7);
    hv_synic_signal(&fake.vcpu, 8);
    assert_true(received == 1 && last_vector == 0x57);
}

static void the_assist_page_has_the_eoi_flag(void **state)
{
    (void)state;
    memset(ram + 0x3000, 0xff, 8);
    assert_true(takes(ASSIST, 0x3000 | 1));
    assert_ptr_equal(eoi_flag, ram + 0x3000);
    assert_true(word(0x3000) == 0 && word(0x3004) == UINT32_MAX);
    assert_true(takes(ASSIST, 0));
    assert_null(eoi_flag);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(only_with_the_right_interface, start),
        cmocka_unit_test_setup(pages_are_checked, start),
        cmocka_unit_test_setup(hypercalls_want_an_os, start),
        cmocka_unit_test_setup(the_page_gives_the_reference_time, start),
        cmocka_unit_test_setup(tscs_that_differ_make_the_page_invalid, start),
        cmocka_unit_test_setup(a_one_shot_fires_once, start),
        cmocka_unit_test_setup(a_period_skips_what_was_missed, start),
        cmocka_unit_test_setup(messages_wait_for_their_slot, start),
        cmocka_unit_test_setup(messages_without_a_place_are_lost, start),
        cmocka_unit_test_setup(some_vectors_end_by_themselves, start),
        cmocka_unit_test_setup(sources_are_signalled, start),
        cmocka_unit_test_setup(the_assist_page_has_the_eoi_flag, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
