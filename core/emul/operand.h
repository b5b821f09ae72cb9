/* Operands of an instruction that is being executed: registers, memory with its segmentation, flags. */
#pragma once

#include "core/emul/exec.h"
#include "core/x86/msr.h"

/* One call of emul_run. */
struct emul {
    const struct emul_io *io;
    void *ctx;
    const struct insn *insn;
    struct emul_fault *fault;
};

static inline uint64_t size_mask(uint32_t size)
{
    return ~0ull >> (64 - 8 * size);
}

static inline uint64_t size_sign(uint32_t size)
{
    return 1ull << (8 * size - 1);
}

static inline int64_t sign_extend(uint64_t value, uint32_t size)
{
    uint32_t shift = 64 - 8 * size;

    return (int64_t)(value << shift) >> shift;
}

/* A register's low bytes. Writing 4 clears the upper half, writing 1 or 2 keeps the rest (SDM volume 1 section 3.4.1.1). */
static inline uint64_t reg_read(const struct emul *e, uint8_t reg, uint32_t size)
{
    return e->io->get(e->ctx, reg) & size_mask(size);
}

static inline void reg_write(const struct emul *e, uint8_t reg, uint32_t size, uint64_t value)
{
    uint64_t mask = size_mask(size);

    value &= mask;
    if (size < 4)
        value |= e->io->get(e->ctx, reg) & ~mask;
    e->io->set(e->ctx, reg, value);
}

/* The same for a reg or rm field: with one byte and no REX, 4 to 7 are AH, CH, DH, BH. */
static inline bool field_is_high(const struct emul *e, uint8_t field, uint32_t size)
{
    return size == 1 && !e->insn->rex && field >= 4;
}

static inline uint64_t field_read(const struct emul *e, uint8_t field, uint32_t size)
{
    if (field_is_high(e, field, size))
        return reg_read(e, field - 4, 2) >> 8;
    return reg_read(e, field, size);
}

static inline void field_write(const struct emul *e, uint8_t field, uint32_t size, uint64_t value)
{
    if (field_is_high(e, field, size))
        reg_write(e, field - 4, 2, (value & 0xff) << 8 | reg_read(e, field - 4, 1));
    else
        reg_write(e, field, size, value);
}

uint64_t flags_read(const struct emul *e);
/* Replaces the flags in mask. */
void flags_write(const struct emul *e, uint64_t mask, uint64_t flags);

/* Outside 64-bit mode: do a segment's presence, type and limit allow it? */
bool segment_allows(const struct emul *e, const struct vcpu_segment *s, uint64_t offset, uint32_t size,
                    bool write);
/* Fills in *ref for `size` bytes at seg:offset, or faults as segmentation asks for; 64-bit mode has no limits. */
int segment_ref(const struct emul *e, uint8_t seg, uint64_t offset, uint32_t size, bool write,
                struct emul_ref *ref);
/* The same for the instruction's memory operand, `delta` bytes further on. */
int memory_ref(const struct emul *e, uint32_t size, bool write, uint64_t delta, struct emul_ref *ref);

/*
 * The operand that ModRM names, register or memory. operand_read fills in *ref, which operand_modify and operand_write
 * take: between operand_read with `modify` and operand_write, an instruction may change its mind and write nothing.
 */
int operand_read(const struct emul *e, uint32_t size, bool modify, struct emul_ref *ref, uint64_t *value);
int operand_write(const struct emul *e, const struct emul_ref *ref, uint32_t size, uint64_t value);
/* Writes an operand that wasn't read. */
int operand_store(const struct emul *e, uint32_t size, uint64_t value);

static inline int memory_read(const struct emul *e, const struct emul_ref *ref, uint64_t *value)
{
    return e->io->read(e->ctx, ref, value, e->fault);
}

static inline int memory_write(const struct emul *e, const struct emul_ref *ref, uint64_t value)
{
    return e->io->write(e->ctx, ref, &value, e->fault);
}

static inline bool mode_is_long(const struct emul *e)
{
    return e->io->get(e->ctx, REG_EFER) & EFER_LMA;
}

/* The privilege level: in protected mode, the DPL of SS. */
uint32_t privilege_read(const struct emul *e);
bool mode_is_real(const struct emul *e); /* real mode or virtual-8086 mode: a selector is an address */

/* Both return EMUL_FAULT. */
int fault_raise(const struct emul *e, uint8_t vector);
int fault_raise_error(const struct emul *e, uint8_t vector, uint32_t error);
/* The program didn't ask for what has met it: EXT in an error code that tells of a selector. */
static inline void fault_mark_external(struct emul_fault *fault)
{
    if (fault->vector != EXC_PF && fault->has_error)
        fault->error |= 1;
}
