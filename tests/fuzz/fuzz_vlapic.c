/* The LAPIC: its cached priorities are those of its registers, in any mode, whatever is written. */
#include "drivers/virt/vlapic.h"

#include "tests/fuzz/device.h"

static struct vlapic apic;
static bool renamed;
static uint8_t flag;      /* that EOI can be left out */
static struct vapic page; /* half of the runs have a CPU that delivers interrupts itself */

static void note_send(void *ctx, const struct apic_message *m)
{
    assert(ctx == &apic);
    assert(m->shorthand <= APIC_TO_OTHERS && m->delivery <= APIC_EXTINT && m->level);
    assert(m->delivery > APIC_LOWEST || m->vector >= 16);
}

static void note_eoi(void *ctx, uint8_t vector)
{
    assert(ctx == &apic && vector >= 16);
}

/* Of a machine whose TSC runs at 1 GHz. */
static uint64_t adjust, alarm_at;

static uint64_t tsc(void *ctx)
{
    assert(ctx == &apic);
    return fuzz_now + adjust;
}

static void note_alarm(void *ctx, uint64_t at)
{
    assert(ctx == &apic);
    alarm_at = at;
}

static void note_kick(void *ctx)
{
    assert(ctx == &apic);
}

static uint32_t highest(const uint64_t set[4])
{
    for (uint32_t v = 255; v > 0; v--) {
        if (set[v / 64] >> v % 64 & 1)
            return v;
    }
    return 0;
}

static void deliver_manually(void)
{
    int vector = vlapic_page_peek(&page);

    if (vector < 0)
        return;
    vapic_accept(&page, (uint8_t)vector);
    assert(vector >> 4 == vapic_ppr(&page) >> 4);
    if (vector % 2)
        vlapic_eoi(&apic);
}

/* What such a CPU does at an entry, or for a write that it then exits for. */
static void cpu_delivers(void)
{
    uint8_t vector;

    if (page.manual) {
        deliver_manually();
        return;
    }
    vapic_collect(&page);
    vector = (uint8_t)vapic_status(&page);
    if ((vector & 0xf0) <= (vapic_ppr(&page) & 0xf0))
        return;
    page.page[(0x200 + vector / 32 * 16) / 4] &= ~(1u << vector % 32);
    page.page[(0x100 + vector / 32 * 16) / 4] |= 1u << vector % 32;
}

static void cpu_writes(uint32_t offset, uint32_t value)
{
    if (page.mode != VAPIC_XAPIC || (offset >= 0x80 && offset < 0xc0) || (offset >= 0x100 && offset < 0x280))
        return;
    page.page[offset / 4] = value;
    vlapic_written(&apic, offset, fuzz_now);
}

static void check_page(void)
{
    bool enabled = apic.base & APIC_BASE_EN, x2apic = apic.base & APIC_BASE_EXTD;

    if (page.manual)
        assert(page.mode == (enabled && !x2apic ? VAPIC_TRAPPED : VAPIC_OFF));
    else
        assert(page.mode == (x2apic ? VAPIC_X2APIC : enabled ? VAPIC_XAPIC : VAPIC_OFF));
    assert(vlapic_peek(&apic) == -1 && highest(apic.isr) == 0 && highest(apic.tmr) == 0);
    assert((page.requests[0] & VAPIC_ILLEGAL) == VAPIC_REST && !(page.page[0x200 / 4] & VAPIC_ILLEGAL));
    assert(enabled || vapic_status(&page) == 0);
    for (uint32_t i = 0; i < LVT_COUNT; i++)
        assert(page.page[(0x320 + 16 * i) / 4] == apic.lvt[i]);
    assert(page.page[0xf0 / 4] == apic.svr && page.page[0x380 / 4] == apic.initial);
}

static void check(void)
{
    uint32_t serviced = highest(apic.isr), requested = highest(apic.irr);
    uint32_t ppr = (apic.tpr & 0xf0u) >= (serviced & 0xf0) ? apic.tpr : serviced & 0xf0;
    bool enabled = apic.base & APIC_BASE_EN, x2apic = apic.base & APIC_BASE_EXTD;

    assert((apic.irr[0] & 0xffff) == 0 && (apic.isr[0] & 0xffff) == 0);
    if (apic.config.vapic)
        check_page();
    assert(!apic.eoi_left_out || (apic.eoi_flag && serviced));
    assert(apic.serviced == serviced && apic.ppr == ppr);
    assert(vlapic_peek(&apic) == (requested >> 4 > ppr >> 4 ? (int)requested : -1));
    assert(apic.accepting == (enabled && apic.svr & 0x100));
    assert(enabled || !x2apic);
    assert(enabled || (requested == 0 && serviced == 0));
    assert(!x2apic || apic.id == apic.config.id);
    if (!(apic.svr & 0x100)) {
        for (uint32_t i = 0; i < LVT_COUNT; i++)
            assert(apic.lvt[i] & BIT(16));
    }
    if (timer_armed(&apic.timer))
        assert(apic.initial);
    if (apic.deadline)
        assert(alarm_at == apic.deadline ||
               (alarm_at == TIMER_NEVER && apic.deadline - tsc(&apic) > BIT(61)));
    assert(!apic.deadline || (apic.lvt[LVT_TIMER] >> 17 & 3) == 2);
    vlapic_accepts(&apic, 3, APIC_LOGICAL);
}

static void step(uint64_t command)
{
    static const uint16_t modes[4] = {0, 0x800, 0xc00, 0xd00};
    struct bus_access access;
    int vector;

    switch (command % 16) {
    case 0:
        fuzz_wait();
        if (tsc(&apic) < alarm_at)
            break;
        alarm_at = TIMER_NEVER;
        vlapic_deadline_due(&apic);
        assert(!apic.deadline);
        break;
    case 1:
        vlapic_post(&apic, (uint8_t)fuzz_number(1), command & 0x80);
        break;
    case 2:
        if (apic.config.vapic)
            cpu_delivers();
        vlapic_settle(&apic);
        vector = vlapic_peek(&apic);
        if (vector >= 0)
            vlapic_accept(&apic, vector);
        break;
    case 3:
        vlapic_set_cr8(&apic, command >> 4);
        break;
    case 4:
        if (!vlapic_set_base(&apic, VLAPIC_BASE | modes[command >> 6]))
            vlapic_eoi(&apic);
        break;
    case 5:
        vlapic_set_deadline(&apic, fuzz_number(command & 0x80 ? 8 : 5), tsc(&apic));
        break;
    case 6:
        vlapic_set_lint(&apic, command >> 7, command & 0x40);
        break;
    case 7:
        if (command & 0x80) {
            adjust = fuzz_number(8);
            vlapic_tsc_moved(&apic);
        } else if (command & 0x40) {
            vlapic_receive_init(&apic);
        } else {
            vlapic_virtual_wire(&apic);
        }
        break;
    case 8:
    case 9:
        access = (struct bus_access){.now = fuzz_now, .size = 8, .write = command & 0x80};
        access.addr = fuzz_number(1);
        access.value = fuzz_number(command & 0x40 ? 8 : 4);
        vlapic_msr(&apic, &access);
        break;
    case 10:
    case 11: /* aligned, as software does it */
        access = (struct bus_access){.now = fuzz_now, .size = 4, .write = command & 0x80};
        access.addr = fuzz_number(1) % 0x40 << 4;
        access.value = fuzz_number(4);
        if (apic.config.vapic && access.write && command & 0x40)
            cpu_writes((uint32_t)access.addr, (uint32_t)access.value);
        else
            vlapic_mmio(&apic, &access);
        break;
    case 12:
        vlapic_deadline(&apic, tsc(&apic));
        if (!apic.config.vapic && command & 0x20)
            vlapic_set_eoi_flag(&apic, command & 0x40 ? &flag : NULL);
        flag &= (uint8_t)(command >> 7);
        if (command & 0x10)
            vlapic_set_manual(&apic, command & 0x40);
        break;
    default:
        fuzz_access(vlapic_mmio, &apic, PAGE_SIZE, &access);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vlapic_config config = {
        .x2apic = true,
        .tsc_deadline = true,
        .phys_bits = 40,
        .renamed = &renamed,
        .timers = &fuzz_timers,
        .tsc = tsc,
        .alarm = note_alarm,
        .send = note_send,
        .eoi = note_eoi,
        .kick = note_kick,
        .notify = note_kick,
        .vapic = size % 2 ? &page : NULL,
        .ctx = &apic,
    };

    fuzz_start(data, size);
    adjust = 0;
    page.manual = false;
    alarm_at = TIMER_NEVER;
    config.id = (uint32_t)fuzz_number(1);
    vlapic_init(&apic, &config);
    while (fuzz_more()) {
        step(fuzz_number(1));
        check();
    }
    return 0;
}
