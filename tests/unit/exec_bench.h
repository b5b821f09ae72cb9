/* A vCPU for tests of the executor: registers, 8 KiB of memory with linear addresses, ports, and a log of all accesses. */
#pragma once

#include "core/emul/exec.h"

#include <string.h>

#include "core/x86/cr.h"
#include "tests/unit/support.h"

#define MEMORY_SIZE 0x2000 /* accesses above it take #PF */
#define ATTR_DATA   0xc093 /* present, writable, 4G */
#define ATTR_CODE   0xc09b

struct access {
    struct emul_ref ref;
    uint64_t value;
    bool write;
};

struct fixture {
    uint64_t regs[REG_COUNT];
    struct vcpu_segment segs[SEG_COUNT];
    uint8_t memory[MEMORY_SIZE];
    uint64_t read_only; /* writes, and reads before a write, from here on fault */
    struct access log[4096];
    uint32_t accesses;
    uint32_t ports[8];
    uint32_t port_count;
    uint64_t port_sum; /* of what was written, in its order */
    uint32_t in_runs;  /* elements that went in runs */
    uint64_t vectors[EMUL_VECTORS][EMUL_VECTOR_WORDS];
    struct emul_fault fault;
};

static int fixture_fault(struct fixture *f, const struct emul_ref *ref, bool write, struct emul_fault *fault)
{
    if (ref->gva + ref->size <= (write || ref->rmw ? f->read_only : MEMORY_SIZE))
        return 0;
    *fault = (struct emul_fault){
        .vector = EXC_PF, .has_error = true, .error = write || ref->rmw ? 2 : 0, .cr2 = ref->gva};
    return EMUL_FAULT;
}

static void fixture_log(struct fixture *f, const struct emul_ref *ref, bool write, uint64_t value)
{
    if (f->accesses < ARRAY_SIZE(f->log))
        f->log[f->accesses] = (struct access){*ref, value, write};
    f->accesses++;
}

static int fixture_read(void *ctx, const struct emul_ref *ref, uint64_t *value, struct emul_fault *fault)
{
    struct fixture *f = ctx;

    if (fixture_fault(f, ref, false, fault))
        return EMUL_FAULT;
    value[(ref->size - 1) / 8] = 0;
    memcpy(value, f->memory + ref->gva, ref->size);
    fixture_log(f, ref, false, *value);
    return 0;
}

static int fixture_write(void *ctx, const struct emul_ref *ref, const uint64_t *value,
                         struct emul_fault *fault)
{
    struct fixture *f = ctx;

    if (fixture_fault(f, ref, true, fault))
        return EMUL_FAULT;
    memcpy(f->memory + ref->gva, value, ref->size);
    fixture_log(f, ref, true, *value);
    return 0;
}

static uint64_t fixture_get(void *ctx, enum vcpu_reg reg)
{
    return ((struct fixture *)ctx)->regs[reg];
}

static void fixture_set(void *ctx, enum vcpu_reg reg, uint64_t value)
{
    ((struct fixture *)ctx)->regs[reg] = value;
}

static void fixture_get_seg(void *ctx, enum vcpu_seg seg, struct vcpu_segment *out)
{
    *out = ((struct fixture *)ctx)->segs[seg];
}

static void fixture_set_seg(void *ctx, enum vcpu_seg seg, const struct vcpu_segment *in)
{
    ((struct fixture *)ctx)->segs[seg] = *in;
}

static void fixture_get_vector(void *ctx, uint8_t vector, uint64_t *value)
{
    memcpy(value, ((struct fixture *)ctx)->vectors[vector], vector < EMUL_MM ? 32 : 8);
}

static void fixture_set_vector(void *ctx, uint8_t vector, const uint64_t *value, bool whole)
{
    memcpy(((struct fixture *)ctx)->vectors[vector], value, whole ? 32 : vector < EMUL_MM ? 16 : 8);
}

static bool fixture_has(void *ctx, enum emul_feature feature)
{
    (void)ctx;
    (void)feature;
    return false;
}

static int fixture_in(void *ctx, uint16_t port, uint32_t size, uint64_t *value, struct emul_fault *fault)
{
    struct fixture *f = ctx;

    (void)fault;
    *value = 0x11 * (port & 0xf) * size + f->port_count++ / 4;
    return 0;
}

static int fixture_out(void *ctx, uint16_t port, uint32_t size, uint64_t value, struct emul_fault *fault)
{
    struct fixture *f = ctx;

    (void)fault;
    (void)port;
    (void)size;
    f->ports[f->port_count++ & 7] = (uint32_t)value;
    f->port_sum = f->port_sum * 31 + value;
    return 0;
}

/* As a page that ends with the memory, or begins to be read-only. */
static uint32_t fixture_run(void *ctx, uint16_t port, bool write, const struct emul_ref *ref, uint32_t count)
{
    struct fixture *f = ctx;
    uint64_t end = ref->rmw ? f->read_only : MEMORY_SIZE, value = 0;
    struct emul_fault fault;

    assert_true(count > 0 && (ref->gva & PAGE_MASK) + (uint64_t)count * ref->size <= PAGE_SIZE);
    if (ref->gva >= end)
        return 0;
    count = (uint32_t)MIN(count, (end - ref->gva) / ref->size);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *at = f->memory + ref->gva + i * ref->size;

        if (write) {
            memcpy(&value, at, ref->size);
            fixture_out(f, port, ref->size, value, &fault);
        } else {
            fixture_in(f, port, ref->size, &value, &fault);
            memcpy(at, &value, ref->size);
        }
    }
    f->in_runs += count;
    return count;
}

static const struct emul_io io = {.read = fixture_read,
                                  .write = fixture_write,
                                  .get = fixture_get,
                                  .set = fixture_set,
                                  .get_seg = fixture_get_seg,
                                  .set_seg = fixture_set_seg,
                                  .get_vector = fixture_get_vector,
                                  .set_vector = fixture_set_vector,
                                  .has = fixture_has,
                                  .in = fixture_in,
                                  .out = fixture_out,
                                  .run = fixture_run};

static struct fixture *fixture_new(void)
{
    static struct fixture f;

    memset(&f, 0, sizeof(f));
    for (int i = 0; i < SEG_COUNT; i++)
        f.segs[i] = (struct vcpu_segment){.limit = 0xffffffff, .attr = i == SEG_CS ? ATTR_CODE : ATTR_DATA};
    f.regs[REG_CR0] = CR0_PE | CR0_PG;
    f.regs[REG_RFLAGS] = RFLAGS_FIXED1;
    f.regs[REG_RIP] = 0x100;
    f.read_only = MEMORY_SIZE;
    for (int i = 0; i < MEMORY_SIZE; i++)
        f.memory[i] = (uint8_t)(i ^ i >> 8);
    return &f;
}

static inline int run(struct fixture *f, enum insn_mode mode, const uint8_t *bytes)
{
    struct insn insn;

    assert_true(insn_decode(bytes, INSN_MAX_LEN, mode, &insn) > 0);
    return emul_run(&io, f, &insn, &f->fault);
}

#define RUN(f, mode, ...) run(f, mode, (const uint8_t[INSN_MAX_LEN]){__VA_ARGS__})

static inline void expect_access(const struct fixture *f, uint32_t i, uint64_t gva, uint32_t size, bool write,
                                 bool rmw)
{
    assert_true(i < f->accesses);
    assert_int_equal(f->log[i].ref.gva, gva);
    assert_int_equal(f->log[i].ref.size, size);
    assert_int_equal(f->log[i].write, write);
    if (!write)
        assert_int_equal(f->log[i].ref.rmw, rmw);
}

static inline void expect_fault(const struct fixture *f, int result, uint8_t vector, uint32_t error)
{
    assert_int_equal(result, EMUL_FAULT);
    assert_int_equal(f->fault.vector, vector);
    assert_int_equal(f->fault.error, error);
}
