#include "core/crash.h"

#include "core/console_sinks.h"
#include "core/fetch.h"
#include "core/lib/format.h"
#include "core/lib/log.h"
#include "core/lib/string.h"
#include "core/vcpu_ops.h"
#include "core/vm.h"
#include "core/vmmem.h"

#define CODE_BEFORE 16
#define CODE_BYTES  48
#define STACK_BYTES 128
#define LINE_BYTES  32
#define TRACE_LINES 12         /* of one step */
#define STEP_NS     1000000ull /* between the steps of a report */
#define STEP_ROOM   2048       /* bytes that the console takes at once before a step */
#define STEP_WAITS  1000 /* steps that are left out for that: one that takes nothing for a second is stuck */

typedef unsigned long long ull;

/* One report at a time, so that two don't mix. All lines are errors: no log level may hide them. */
static struct vm *crash_reported;

/* -- registers -------------------------------------------------------------------------------------------------- */

static void crash_registers(struct vcpu *vcpu)
{
    static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                        "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

    for (int i = 0; i < REG_GPR_COUNT; i += 4)
        log_error("  %3s=%016llx %3s=%016llx %3s=%016llx %3s=%016llx", names[i], (ull)vcpu_get(vcpu, i),
                  names[i + 1], (ull)vcpu_get(vcpu, i + 1), names[i + 2], (ull)vcpu_get(vcpu, i + 2),
                  names[i + 3], (ull)vcpu_get(vcpu, i + 3));
    log_error("  rip=%016llx rflags=%llx cr0=%llx cr2=%llx cr3=%llx cr4=%llx cr8=%x", (ull)vcpu->rip,
              (ull)vcpu_get(vcpu, REG_RFLAGS), (ull)vcpu_get(vcpu, REG_CR0), (ull)vcpu_get(vcpu, REG_CR2),
              (ull)vcpu_get(vcpu, REG_CR3), (ull)vcpu_get(vcpu, REG_CR4),
              vcpu->irqchip->get_cr8(vcpu->irqchip_ctx));
    log_error("  efer=%llx dr6=%llx dr7=%llx xcr0=%llx tsc_adjust=%llx", (ull)vcpu_get(vcpu, REG_EFER),
              (ull)vcpu_get(vcpu, REG_DR6), (ull)vcpu_get(vcpu, REG_DR7), (ull)vcpu->xcr0,
              (ull)vcpu->tsc_adjust);
}

static void crash_segments(struct vcpu *vcpu)
{
    static const char *const names[] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr", "gdtr", "idtr"};

    for (int i = 0; i < SEG_COUNT; i++) {
        struct vcpu_segment s;

        vcpu_ops->get_seg(vcpu, i, &s);
        log_error("  %-4s sel=%04x base=%016llx limit=%08x attr=%04x", names[i], s.selector, (ull)s.base,
                  s.limit, s.attr);
    }
}

/* What was on its way into the guest. */
static void crash_events(const struct vcpu *vcpu)
{
    const struct vcpu_events *e = &vcpu->events;

    if (e->reinject.valid)
        log_error("  cut short: vector %u type %u error %x", e->reinject.vector, e->reinject.type,
                  e->reinject.error);
    if (e->exception.valid)
        log_error("  pending: exception %u error %x", e->exception.vector, e->exception.error);
    if (e->nmi_pending)
        log_error("  pending: NMI, %u", e->nmi_pending);
    if (vcpu->signals)
        log_error("  pending: INIT or start-up, %x", vcpu->signals);
}

/* -- memory ----------------------------------------------------------------------------------------------------- */

/* Outside of 64-bit mode, offset and base are added up and wrap at 4 GiB. */
static gva_t crash_linear(struct vcpu *vcpu, enum vcpu_seg seg, uint64_t offset)
{
    struct vcpu_segment s;

    if (vcpu_insn_mode(vcpu) == INSN_MODE_64)
        return offset;
    vcpu_ops->get_seg(vcpu, seg, &s);
    return (uint32_t)(offset + s.base);
}

/* One line of bytes; the one at `mark` is in angle brackets. */
static void crash_line(struct vcpu *vcpu, const char *what, gva_t gva, size_t len, gva_t mark)
{
    uint8_t bytes[LINE_BYTES];
    char text[4 * sizeof bytes + 4] = "";
    size_t got = vcpu_peek(vcpu, gva, bytes, MIN(len, sizeof bytes)), at = 0;

    for (size_t i = 0; i < got; i++)
        at += (size_t)fmt_print(text + at, sizeof text - at, gva + i == mark ? " <%02x>" : " %02x", bytes[i]);
    log_error("  %s %016llx:%s%s", what, (ull)gva, text, got ? "" : " not readable");
}

/* Up to the instruction at RIP, and from it on: what precedes may be on a page that isn't there. */
static void crash_code(struct vcpu *vcpu, gva_t rip)
{
    crash_line(vcpu, "code ", rip - CODE_BEFORE, CODE_BEFORE, rip);
    crash_line(vcpu, "code ", rip, CODE_BYTES - CODE_BEFORE, rip);
}

static void crash_stack(struct vcpu *vcpu, gva_t rsp)
{
    for (gva_t at = rsp; at < rsp + STACK_BYTES; at += LINE_BYTES)
        crash_line(vcpu, "stack", at, LINE_BYTES, rsp - 1);
}

/* -- the last exits --------------------------------------------------------------------------------------------- */

static bool crash_trace_same(const struct trace_exit *a, const struct trace_exit *b)
{
    return a->reason == b->reason && a->info == b->info && a->rip == b->rip;
}

/* Those that repeat are one line. From the one at `from`, counted from the newest, at most some lines; gives where to go on. */
static uint32_t crash_trace(const struct vcpu *vcpu, uint32_t from)
{
    uint32_t count = (uint32_t)MIN(vcpu_exits(vcpu), (uint64_t)VCPU_TRACE);

    if (from == 1)
        log_error("  last %u of %llu exits, newest first:", count, (ull)vcpu_exits(vcpu));
    for (uint32_t line = 0, next; line < TRACE_LINES && from <= count; line++, from = next) {
        const struct trace_exit *t = vcpu_trace_back(vcpu, from);
        char times[16] = "";

        for (next = from + 1; next <= count && crash_trace_same(t, vcpu_trace_back(vcpu, next)); next++)
            ;
        if (next - from > 1)
            fmt_print(times, sizeof times, " %u times", next - from);
        log_error("  -%-2u %-24s info=%08x rip=%016llx%s", from, vcpu_ops->exit_name(t->reason), t->info,
                  (ull)t->rip, times);
    }
    return from <= count ? from : 0;
}

/* -- the steps: some lines each, on one vCPU --------------------------------------------------------------------- */

static void step_state(struct vcpu *vcpu)
{
    static const char *const states[] = {
        [VCPU_STOPPED] = "waiting for a start-up IPI", [VCPU_RUNNING] = "running", [VCPU_HALTED] = "halted"};
    bool failed = vcpu->index == vcpu->vm->crash.vcpu;

    log_error(" vcpu %u, %s%s", vcpu->index, states[vcpu->state], failed ? ": the one that failed" : "");
    crash_registers(vcpu);
}

static void step_segments(struct vcpu *vcpu)
{
    crash_segments(vcpu);
    crash_events(vcpu);
}

static void step_code(struct vcpu *vcpu)
{
    crash_code(vcpu, crash_linear(vcpu, SEG_CS, vcpu->rip));
}

static void step_walks(struct vcpu *vcpu)
{
    crash_walk(vcpu, "rip", crash_linear(vcpu, SEG_CS, vcpu->rip));
    crash_walk(vcpu, "cr2", vcpu_get(vcpu, REG_CR2));
}

static void step_stack(struct vcpu *vcpu)
{
    crash_stack(vcpu, crash_linear(vcpu, SEG_SS, vcpu_get(vcpu, REG_RSP)));
}

static const struct {
    void (*print)(struct vcpu *vcpu);
    bool all; /* not only for the one that failed */
} crash_steps[] = {
    {step_state, true}, {step_segments, true}, {step_code, true}, {step_walks, false}, {step_stack, false},
};

/* The one that failed comes first. */
static struct vcpu *crash_vcpu_at(const struct vm *vm, uint32_t at)
{
    uint32_t failed = vm->crash.vcpu;

    if (at == 0)
        return vm->vcpus[failed];
    return vm->vcpus[at <= failed ? at - 1 : at];
}

/* The control state of the one that failed. True while there is more of it. */
static bool crash_dump(struct vcpu *vcpu, struct crash *c)
{
    if (c->at != 0 || c->part == UINT32_MAX)
        return false;
    c->part = vcpu_ops->dump(vcpu, c->part) ? c->part + 1 : UINT32_MAX;
    return true;
}

/* True when the report is complete. */
static bool crash_step(struct vm *vm)
{
    struct crash *c = &vm->crash;
    struct vcpu *vcpu = crash_vcpu_at(vm, c->at);

    if (c->step < ARRAY_SIZE(crash_steps)) {
        if (c->at == 0 || crash_steps[c->step].all)
            crash_steps[c->step].print(vcpu);
        c->step++;
        return false;
    }
    if (crash_dump(vcpu, c))
        return false;
    c->traced = crash_trace(vcpu, c->traced);
    if (c->traced)
        return false;
    c->traced = 1;
    c->step = 0;
    return ++c->at == vm->vcpu_count;
}

/* -- the whole -------------------------------------------------------------------------------------------------- */

/* Is it this VM's turn? Another one's report may have to end first. */
static bool crash_begin(struct vm *vm)
{
    struct vm *none = NULL;

    if (crash_reported == vm)
        return true;
    if (!__atomic_compare_exchange_n(&crash_reported, &none, vm, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return false;
    log_event("crash", "vm=%s vcpu=%u reason=\"%s\"", vm->name, vm->crash.vcpu, vm->crash.why);
    return true;
}

static void crash_end(struct vm *vm)
{
    log_event("crash-end", "vm=%s", vm->name);
    __atomic_store_n(&crash_reported, NULL, __ATOMIC_RELEASE);
    vm->on_parked(vm);
}

/* A report is written no faster than the console takes it, in turn with what other VMs write. */
static bool crash_has_room(struct crash *c)
{
    if (!sinks_room(STEP_ROOM) && c->waits++ < STEP_WAITS)
        return false;
    c->waits = 0;
    return true;
}

static void crash_continue(struct timer *timer, uint64_t now)
{
    struct vm *vm = CONTAINER_OF(timer, struct vm, crash.timer);
    bool done = false;

    if (crash_has_room(&vm->crash) && crash_begin(vm)) {
        uint64_t window = vmmem_open(vm);

        done = crash_step(vm);
        vmmem_close(window);
    }
    if (done)
        crash_end(vm);
    else
        timer_arm(timer, now + STEP_NS);
}

bool crash_due(const struct vm *vm)
{
    return vm->stop == VM_STOP_CRASH && vm->crash.why[0];
}

void crash_report(struct vm *vm, struct timer_queue *timers, uint64_t now)
{
    vm->crash.at = vm->crash.step = vm->crash.part = 0;
    vm->crash.traced = 1;
    vm->crash.waits = 0;
    timer_init(&vm->crash.timer, timers, crash_continue);
    timer_arm(&vm->crash.timer, now);
}
