/*
 * The executor on any instruction, registers, segments and memory: it must end, ask for sane accesses only, leave RIP and
 * the flags that aren't arithmetic alone, and touch nothing when it doesn't know the instruction.
 */
#include <stdlib.h>
#include <string.h>

#include "core/emul/interrupt.h"
#include "core/emul/task.h"
#include "core/x86/cr.h"
#include "core/x86/msr.h"

#define NO_VECTOR 0xff

struct world {
    const uint8_t *data; /* answers to everything that is read */
    size_t size, at;
    uint64_t regs[REG_COUNT];
    struct vcpu_segment segs[SEG_COUNT];
    enum insn_mode mode;
    uint32_t accesses, sets;
    bool switched;
};

static uint64_t take(struct world *w)
{
    uint64_t v = 0;

    for (int i = 0; i < 8 && w->size; i++)
        v = v << 8 | w->data[w->at++ % w->size];
    return v;
}

static int access_check(struct world *w, const struct emul_ref *ref, struct emul_fault *fault)
{
    uint32_t size = ref->size;

    if (size == 0 || size > EMUL_ACCESS_MAX ||
        (ref->unit != 1 && ref->unit != 2 && ref->unit != 4 && ref->unit != 8))
        abort();
    if (ref->seg > SEG_GS || ++w->accesses > 2 * EMUL_REP_BATCH + 8)
        abort();
    /* In long mode the stack of an interrupt has 64 bits, whatever it has interrupted. */
    if (w->mode != INSN_MODE_64 && !ref->system && !(w->regs[REG_EFER] & EFER_LMA) && ref->gva > UINT32_MAX)
        abort();
    if (take(w) % 16)
        return 0;
    *fault = (struct emul_fault){.vector = EXC_PF, .has_error = true, .cr2 = ref->gva};
    return EMUL_FAULT;
}

static int world_read(void *ctx, const struct emul_ref *ref, uint64_t *value, struct emul_fault *fault)
{
    uint32_t words = (ref->size + 7u) / 8, last = ref->size - 8 * (words - 1);

    for (uint32_t i = 0; i < words; i++)
        value[i] = take(ctx);
    value[words - 1] >>= 64 - 8 * last;
    return access_check(ctx, ref, fault);
}

static int world_write(void *ctx, const struct emul_ref *ref, const uint64_t *value, struct emul_fault *fault)
{
    uint8_t bytes[EMUL_ACCESS_MAX];

    memcpy(bytes, value, ref->size); /* that many are there */
    ((struct world *)ctx)->sets++;
    return access_check(ctx, ref, fault);
}

static uint64_t world_get(void *ctx, enum vcpu_reg reg)
{
    if (reg >= REG_COUNT)
        abort();
    return ((struct world *)ctx)->regs[reg];
}

static void world_set(void *ctx, enum vcpu_reg reg, uint64_t value)
{
    struct world *w = ctx;

    if (reg > REG_RFLAGS && reg != REG_CR0 && reg != REG_CR3 && reg != REG_DR7) /* by a task switch, LMSW */
        abort();
    w->regs[reg] = value;
    w->sets++;
}

static void world_get_seg(void *ctx, enum vcpu_seg seg, struct vcpu_segment *out)
{
    if (seg >= SEG_COUNT)
        abort();
    *out = ((struct world *)ctx)->segs[seg];
}

static void world_set_seg(void *ctx, enum vcpu_seg seg, const struct vcpu_segment *in)
{
    if (seg >= SEG_COUNT)
        abort();
    ((struct world *)ctx)->segs[seg] = *in;
    ((struct world *)ctx)->sets++;
    ((struct world *)ctx)->switched |= seg == SEG_TR;
}

static void world_get_vector(void *ctx, uint8_t vector, uint64_t *value)
{
    if (vector >= EMUL_VECTORS)
        abort();
    for (int i = 0; i < (vector < EMUL_MM ? EMUL_VECTOR_WORDS : 1); i++)
        value[i] = take(ctx);
}

static void world_set_vector(void *ctx, uint8_t vector, const uint64_t *value, bool whole)
{
    uint64_t words[EMUL_VECTOR_WORDS];

    if (vector >= EMUL_VECTORS)
        abort();
    memcpy(words, value, (whole ? 4 : vector < EMUL_MM ? 2 : 1) * sizeof(*words));
    ((struct world *)ctx)->sets++;
}

static bool world_has(void *ctx, enum emul_feature feature)
{
    (void)feature;
    return take(ctx) & 1;
}

static int world_in(void *ctx, uint16_t port, uint32_t size, uint64_t *value, struct emul_fault *fault)
{
    (void)port;
    (void)fault;
    if (size != 1 && size != 2 && size != 4)
        abort();
    *value = take(ctx);
    return 0;
}

static int world_out(void *ctx, uint16_t port, uint32_t size, uint64_t value, struct emul_fault *fault)
{
    uint64_t dropped;

    if (size < 8 && value >> (8 * size))
        abort();
    return world_in(ctx, port, size, &dropped, fault);
}

/* Some of them, or none. */
static uint32_t world_run(void *ctx, uint16_t port, bool write, const struct emul_ref *ref, uint32_t count)
{
    uint64_t value = 0;

    if (count == 0 || count > EMUL_REP_BATCH ||
        (ref->gva & PAGE_MASK) + (uint64_t)count * ref->size > PAGE_SIZE || ref->rmw == write)
        abort();
    world_in(ctx, port, ref->size, &value, NULL);
    return (uint32_t)(value % (count + 1));
}

static const struct emul_io io = {.read = world_read,
                                  .write = world_write,
                                  .get = world_get,
                                  .set = world_set,
                                  .get_seg = world_get_seg,
                                  .set_seg = world_set_seg,
                                  .get_vector = world_get_vector,
                                  .set_vector = world_set_vector,
                                  .has = world_has,
                                  .in = world_in,
                                  .out = world_out,
                                  .run = world_run};

static void world_fill(struct world *w)
{
    for (int i = 0; i < REG_COUNT; i++)
        w->regs[i] = take(w);
    for (int i = 0; i < SEG_COUNT; i++)
        w->segs[i] = (struct vcpu_segment){.base = w->mode == INSN_MODE_64 ? take(w) : (uint32_t)take(w),
                                           .limit = (uint32_t)take(w) | (take(w) % 4 ? 0xffffff00 : 0),
                                           .attr = (uint16_t)take(w)};
}

static bool loads_flags(const struct insn *insn)
{
    return insn->map == INSN_MAP_ONE &&
           (insn->opcode == 0x9d || (insn->opcode >= 0xcc && insn->opcode <= 0xcf) || insn->opcode == 0xf1);
}

/* A switch to another task, which may then fault there, is seen by its TS. */
static void result_check(const struct world *w, const struct insn *insn, int result,
                         const uint64_t before[REG_COUNT])
{
    const uint64_t status = RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF;
    bool jumped = result == EMUL_JUMPED || result == EMUL_TRAPPED || w->switched;

    if (result != ERR_NOTSUP && (result < EMUL_DONE || result > EMUL_TRAPPED))
        abort();
    if (!jumped && w->regs[REG_RIP] != before[REG_RIP])
        abort();
    if (!loads_flags(insn) && !w->switched && (w->regs[REG_RFLAGS] ^ before[REG_RFLAGS]) & ~status)
        abort();
    if (result == ERR_NOTSUP && w->sets)
        abort();
}

static void transfer_check(int result, const struct emul_fault *fault)
{
    if (result != EMUL_JUMPED && result != EMUL_TRAPPED && result != EMUL_FAULT)
        abort();
    if ((result == EMUL_FAULT) != (fault->vector != NO_VECTOR))
        abort();
}

/* A task switch between whatever is in memory. */
static void task_run(struct world *w)
{
    struct emul_task task = {.selector = (uint16_t)take(w), .source = take(w) & 3, .has_error = take(w) & 1};
    struct emul_fault fault = {.vector = NO_VECTOR};

    transfer_check(emul_task_switch(&io, w, &task, &fault), &fault);
}

/* An interrupt through whatever is in memory. */
static void interrupt_run(struct world *w)
{
    struct emul_interrupt event = {.vector = (uint8_t)take(w),
                                   .external = take(w) & 1,
                                   .checked = take(w) & 1,
                                   .has_error = take(w) & 1,
                                   .rip = take(w)};
    struct emul_fault fault = {.vector = NO_VECTOR};
    uint64_t rip = w->regs[REG_RIP];
    int result = emul_interrupt(&io, w, w->mode, &event, &fault);

    transfer_check(result, &fault);
    if (result == EMUL_FAULT && !w->switched && w->regs[REG_RIP] != rip)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum insn_mode modes[3] = {INSN_MODE_16, INSN_MODE_32, INSN_MODE_64};
    struct emul_fault fault = {.vector = NO_VECTOR};
    uint64_t before[REG_COUNT];
    struct insn insn;
    struct world w;
    int result;

    if (size < 2 + INSN_MAX_LEN)
        return 0;
    w = (struct world){.data = data + 1, .size = size - 1, .at = INSN_MAX_LEN, .mode = modes[data[0] % 3]};
    if (insn_decode(data + 1, INSN_MAX_LEN, w.mode, &insn) < 0)
        return 0;
    world_fill(&w);
    if (data[0] & 0x80 && w.mode != INSN_MODE_64) {
        task_run(&w);
        return 0;
    }
    if (data[0] & 0x40) {
        interrupt_run(&w);
        return 0;
    }
    memcpy(before, w.regs, sizeof(before));
    result = emul_run(&io, &w, &insn, &fault);
    result_check(&w, &insn, result, before);
    if (result == ERR_NOTSUP && !emul_kind(&insn)[0])
        abort();
    if ((result == EMUL_FAULT) != (fault.vector != NO_VECTOR))
        abort();
    return 0;
}
