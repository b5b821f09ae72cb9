/* KVM's paravirtual interface over a guest memory of a few pages, and vCPUs without a CPU. */
#include "core/pv.h"

#include "core/run.h"
#include "core/x86/msr.h"
#include "tests/unit/support.h"

#include "tests/unit/fake_vendor.h"

#define RAM_PAGES 4
#define RAM_BYTES (RAM_PAGES * PAGE_SIZE)
#define TSC_HZ    2500000000ull

static uint8_t ram[RAM_BYTES + PAGE_SIZE] __attribute__((aligned(4096)));
static struct vcpu others[VM_MAX_VCPUS];
static uint32_t kicks, received[VM_MAX_VCPUS];
static uint8_t last_vector;
static bool last_nmi;
static uint8_t *eoi_flag;
static struct vcpu *yielded_to;
static struct irqchip_ops chip;

void vcpu_kick(struct vcpu *vcpu)
{
    (void)vcpu;
    kicks++;
}

void run_yield(void)
{
}

void run_yield_to(struct vcpu *vcpu)
{
    yielded_to = vcpu;
}

static bool note_receive(void *ctx, uint8_t vector, bool nmi)
{
    received[(struct vcpu *)ctx - others]++;
    last_vector = vector;
    last_nmi = nmi;
    return ctx != &others[3]; /* which is off */
}

static void note_flag(void *ctx, uint8_t *flag)
{
    (void)ctx;
    eoi_flag = flag;
}

static struct vcpu *make(uint32_t vcpus)
{
    fake_reset();
    memset(ram, 0, sizeof(ram));
    memset(others, 0, sizeof(others));
    memset(received, 0, sizeof(received));
    kicks = 0;
    yielded_to = NULL;
    chip = fake_irqchip;
    chip.receive = note_receive;
    chip.set_eoi_flag = note_flag;
    gmem_init(&fake.vm.mem, ram);
    assert_int_equal(gmem_add(&fake.vm.mem, 0, RAM_BYTES, true), 0);
    assert_int_equal(gmem_add(&fake.vm.mem, RAM_BYTES, PAGE_SIZE, false), 0);
    fake.vm.pv = (struct vm_pv){
        .kind = PV_KVM, .clock = scale_make(TSC_HZ, NS_PER_SEC), .unix_time = 1234567890};
    fake.vm.vcpu_count = vcpus;
    for (uint32_t i = 0; i < vcpus; i++) {
        others[i] = (struct vcpu){.vm = &fake.vm, .index = i, .irqchip = &chip, .irqchip_ctx = &others[i]};
        fake.vm.vcpus[i] = &others[i];
        pv_reset(&others[i]);
    }
    return others;
}

static bool takes(struct vcpu *v, uint32_t msr, uint64_t value)
{
    return pv_kvm_write_msr(v, msr, value);
}

static uint32_t word(uint64_t at)
{
    uint32_t value;

    memcpy(&value, ram + at, 4);
    return value;
}

static void nothing_is_there_without_it(void **state)
{
    struct vcpu *v = make(1);
    uint64_t value;

    (void)state;
    fake.vm.pv.kind = PV_NONE;
    for (uint32_t msr = MSR_KVM_FIRST; msr <= MSR_KVM_POLL_CONTROL; msr++)
        assert_true(!takes(v, msr, 0) && !pv_kvm_read_msr(v, msr, &value));
    pv_tsc_adjusted(v);
}

/* Each address: whole, in RAM that the guest may write, and with no reserved bit. */
static void addresses_are_checked(void **state)
{
    static const struct {
        uint32_t msr, size, enable;
        uint64_t reserved;
    } rows[] = {
        {MSR_KVM_WALL_CLOCK, 12, 0, 2},  {MSR_KVM_SYSTEM_TIME, 32, 1, 2}, {MSR_KVM_STEAL_TIME, 64, 1, 2},
        {MSR_KVM_STEAL_TIME, 64, 1, 32}, {MSR_KVM_PV_EOI, 4, 1, 2},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct vcpu *v = make(1);
        uint64_t last = (RAM_BYTES - rows[i].size) | rows[i].enable, value;

        assert_true(takes(v, rows[i].msr, last));
        assert_true(pv_kvm_read_msr(v, rows[i].msr, &value) && value == last);
        assert_false(takes(v, rows[i].msr, last + 64)); /* read-only memory */
        assert_false(takes(v, rows[i].msr, 1ull << 40 | rows[i].enable));
        assert_false(takes(v, rows[i].msr, UINT64_MAX << 6 | rows[i].enable));
        assert_false(takes(v, rows[i].msr, rows[i].enable | rows[i].reserved));
        if (rows[i].size != 64)
            assert_false(takes(v, rows[i].msr, last + 4)); /* its end isn't */
        assert_true(pv_kvm_read_msr(v, rows[i].msr, &value) && value == last);
        for (uint32_t at = RAM_BYTES; at < sizeof(ram); at++)
            assert_int_equal(ram[at], 0);
    }
}

/* As a guest computes it (pvclock_vcpu_time_info in msr.rst). */
static uint64_t guest_ns(uint64_t at, uint64_t tsc)
{
    uint64_t start = word(at + 8) | (uint64_t)word(at + 12) << 32;
    int8_t shift = (int8_t)ram[at + 28];
    uint64_t ticks = tsc - start;

    ticks = shift < 0 ? ticks >> -shift : ticks << shift;
    return (word(at + 16) | (uint64_t)word(at + 20) << 32) +
           (uint64_t)((unsigned __int128)ticks * word(at + 24) >> 32);
}

static void the_clock_is_right_at_any_rate(void **state)
{
    static const uint64_t rates[] = {1000003,    25000000,   100000000,  999999999,
                                     1000000000, 2419200000, 5700000000, 100000000000};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
        struct vcpu *v = make(1);
        uint64_t hour = rates[i] * 3600, ns;

        fake.vm.pv.clock = scale_make(rates[i], NS_PER_SEC);
        assert_true(takes(v, MSR_KVM_SYSTEM_TIME, 0x1004 | 1));
        assert_int_equal(word(0x1004) & 1, 0);
        assert_int_not_equal(word(0x1004), 0);
        assert_int_equal(ram[0x1004 + 29], 1);
        ns = guest_ns(0x1004, hour);
        assert_in_range(ns, 3600 * NS_PER_SEC - 5000, 3600 * NS_PER_SEC); /* below 2 in 10^9 */
        assert_int_equal(guest_ns(0x1004, 0), 0);
    }
}

static void a_tsc_that_was_moved_is_no_longer_everybodys(void **state)
{
    struct vcpu *v = make(2);

    (void)state;
    assert_true(takes(&v[0], MSR_KVM_SYSTEM_TIME, 0x100 | 1));
    assert_true(takes(&v[1], MSR_KVM_SYSTEM_TIME, 0x200 | 1));
    v[1].tsc_adjust = 1000000;
    pv_tsc_adjusted(&v[1]);
    assert_int_equal(ram[0x100 + 29], 0);
    assert_int_equal(ram[0x200 + 29], 0);
    assert_int_equal(guest_ns(0x200, TSC_HZ + 1000000), guest_ns(0x100, TSC_HZ));
    assert_true(takes(&v[0], MSR_KVM_SYSTEM_TIME, 0x100 | 1));
    assert_int_equal(ram[0x100 + 29], 0);
}

static void the_wall_clock_is_written_once(void **state)
{
    struct vcpu *v = make(1);

    (void)state;
    assert_true(takes(v, MSR_KVM_WALL_CLOCK, 0x40));
    assert_int_equal(word(0x40), 2);
    assert_int_equal(word(0x44), 1234567890);
    assert_int_equal(word(0x48), 0);
}

static void steal_time_counts_from_when_it_is_asked_for(void **state)
{
    struct vcpu *v = make(1);
    uint64_t steal;

    (void)state;
    v->sched.waited = 777;
    assert_true(takes(v, MSR_KVM_STEAL_TIME, 0x80 | 1));
    pv_steal_end(v);
    assert_int_equal(ram[0x80 + 16], 1);
    v->sched.waited += 5000;
    pv_steal_begin(v);
    memcpy(&steal, ram + 0x80, 8);
    assert_int_equal(steal, 5000);
    assert_int_equal(ram[0x80 + 16], 0);
    assert_int_equal(word(0x88), 2);
    pv_steal_begin(v); /* nothing new: no new version */
    assert_int_equal(word(0x88), 2);
    assert_int_equal(fake.flushes, 0);
    pv_steal_end(v);
    ram[0x80 + 16] |= 2;
    pv_steal_begin(v);
    assert_int_equal(fake.flushes, 1);
    assert_int_equal(ram[0x80 + 16], 0);
}

static void the_eoi_flag_is_the_lapics(void **state)
{
    struct vcpu *v = make(1);
    static uint64_t vapic;
    uint64_t value;

    (void)state;
    assert_true(takes(v, MSR_KVM_PV_EOI, 0x123c | 1));
    assert_ptr_equal(eoi_flag, ram + 0x123c);
    assert_true(takes(v, MSR_KVM_PV_EOI, 0));
    assert_null(eoi_flag);
    v->vapic = (struct vapic *)&vapic;
    assert_true(!takes(v, MSR_KVM_PV_EOI, 0x123c | 1) && !pv_kvm_read_msr(v, MSR_KVM_PV_EOI, &value));
}

static void polling_is_on_or_off(void **state)
{
    struct vcpu *v = make(1);
    uint64_t value;

    (void)state;
    assert_true(pv_kvm_read_msr(v, MSR_KVM_POLL_CONTROL, &value) && value == 1);
    assert_true(takes(v, MSR_KVM_POLL_CONTROL, 0) && !takes(v, MSR_KVM_POLL_CONTROL, 2));
    assert_true(pv_kvm_read_msr(v, MSR_KVM_POLL_CONTROL, &value) && value == 0);
}

/* -- hypercalls --------------------------------------------------------------------------------------------------- */

static uint64_t call(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    struct vcpu *v = &others[0];

    v->gpr[REG_RAX] = number;
    v->gpr[REG_RBX] = a;
    v->gpr[REG_RCX] = b;
    v->gpr[REG_RDX] = c;
    v->gpr[REG_RSI] = d;
    assert_true(pv_call(v));
    return v->gpr[REG_RAX];
}

static uint32_t receivers(void)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < VM_MAX_VCPUS; i++)
        count += received[i];
    memset(received, 0, sizeof(received));
    return count;
}

static void ipis_reach_whom_they_name(void **state)
{
    (void)state;
    make(64);
    assert_int_equal(call(10, 5, 0, 0, 0x65), 2);
    assert_true(received[0] == 1 && received[2] == 1 && last_vector == 0x65 && !last_nmi);
    assert_int_equal(receivers(), 2);
    assert_int_equal(call(10, UINT64_MAX, UINT64_MAX, 0, 0x65), 63); /* one is off */
    assert_int_equal(receivers(), 64);
    assert_int_equal(call(10, UINT64_MAX, UINT64_MAX, 60, 0x65), 4);
    assert_true(received[60] && received[63]);
    assert_int_equal(receivers(), 4);
    assert_int_equal(call(10, UINT64_MAX, UINT64_MAX, UINT32_MAX, 0x65), 0);
    assert_int_equal(call(10, UINT32_MAX, 0, UINT32_MAX, 0), 0);
    assert_int_equal(call(10, 2, 0, 0, 0x400), 1);
    assert_true(last_nmi);
    (void)receivers();
    for (uint32_t icr = 0x800; icr < 0x100000;
         icr <<= 1) /* mode, trigger, shorthand; "assert" is what it always is */
        assert_true(icr == 0x1000 || icr == 0x4000 || icr == 0x2000 || icr == 0x10000 || icr == 0x20000 ||
                    call(10, 1, 0, 0, 0x65 | icr) == (uint64_t)-22);
    assert_int_equal(call(10, 1, 0, 0, 0x500), (uint64_t)-22); /* INIT */
}

/* In 32-bit mode the second bitmap begins at 32, and upper halves mean nothing. */
static void narrow_calls_have_narrow_operands(void **state)
{
    (void)state;
    make(64);
    fake.segs[SEG_CS].attr = SEG_ATTR_DB | SEG_ATTR_P | SEG_ATTR_S | 0xb;
    assert_int_equal(call(10 | 1ull << 40, 1ull << 33, 1, 0, 0x65), 1);
    assert_int_equal(received[32], 1);
    assert_int_equal(receivers(), 1);
}

static void a_kick_ends_a_halt_even_with_interrupts_off(void **state)
{
    struct vcpu *v = make(2);

    (void)state;
    assert_int_equal(call(5, 0, 1, 0, 0), 0);
    assert_true(v[1].pv.kicked && !v[0].pv.kicked && kicks == 1);
    fake.regs[REG_RFLAGS] = RFLAGS_FIXED1;
    assert_true(event_wakes(&v[1]) && !event_wakes(&v[0]));
    assert_int_equal(call(5, 0, 2, 0, 0), 0);
    assert_int_equal(call(5, 0, UINT64_MAX, 0, 0), 0);
    assert_int_equal(kicks, 1);
}

static void yields_are_to_others(void **state)
{
    struct vcpu *v = make(2);

    (void)state;
    assert_int_equal(call(11, 0, 0, 0, 0), 0);
    assert_null(yielded_to);
    assert_int_equal(call(11, 1, 0, 0, 0), 0);
    assert_ptr_equal(yielded_to, &v[1]);
    assert_int_equal(call(11, 2, 0, 0, 0), 0);
}

static void unknown_calls_say_so(void **state)
{
    (void)state;
    make(1);
    assert_int_equal(call(1, 0, 0, 0, 0), 0);
    for (uint64_t number = 0; number < 64; number++)
        if (number != 1 && number != 5 && number != 10 && number != 11)
            assert_int_equal(call(number, 0, 0, 0, 0), (uint64_t)-1000);
    assert_int_equal(call(UINT64_MAX, 0, 0, 0, 0), (uint64_t)-1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_there_without_it),
        cmocka_unit_test(addresses_are_checked),
        cmocka_unit_test(the_clock_is_right_at_any_rate),
        cmocka_unit_test(a_tsc_that_was_moved_is_no_longer_everybodys),
        cmocka_unit_test(the_wall_clock_is_written_once),
        cmocka_unit_test(steal_time_counts_from_when_it_is_asked_for),
        cmocka_unit_test(the_eoi_flag_is_the_lapics),
        cmocka_unit_test(polling_is_on_or_off),
        cmocka_unit_test(ipis_reach_whom_they_name),
        cmocka_unit_test(narrow_calls_have_narrow_operands),
        cmocka_unit_test(a_kick_ends_a_halt_even_with_interrupts_off),
        cmocka_unit_test(yields_are_to_others),
        cmocka_unit_test(unknown_calls_say_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
