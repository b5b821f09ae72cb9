#include "core/emulate.h"

#include "core/access.h"
#include "core/cpuid.h"
#include "core/emul/decode.h"
#include "core/emul/exec.h"
#include "core/emul/interrupt.h"
#include "core/fetch.h"
#include "core/lib/format.h"
#include "core/lib/string.h"
#include "core/site.h"
#include "core/vcpu_ops.h"
#include "core/vm.h"
#include "core/vmfault.h"
#include "core/x86/cr.h"
#include "core/x86/fpu.h"

#define OPCODE_IRET 0xcf

struct emulation {
    struct vcpu *vcpu;
    uint32_t user; /* GWALK_USER at CPL 3 */
    struct gwalk_state walk;
};

static int emulate_page_fault(const struct emul_ref *ref, gva_t gva, const struct gwalk_result *result,
                              struct emul_fault *fault)
{
    if (result->noncanonical)
        *fault = (struct emul_fault){.vector = ref->seg == SEG_SS ? EXC_SS : EXC_GP, .has_error = true};
    else
        *fault = (struct emul_fault){.vector = EXC_PF, .has_error = true, .error = result->error, .cr2 = gva};
    return EMUL_FAULT;
}

/* A device sees one access for each unit; what a page's end has cut off goes in powers of two. */
static uint32_t emulate_piece(uint32_t len, uint32_t unit)
{
    while (unit > len)
        unit >>= 1;
    return unit;
}

static void emulate_device(struct vcpu *vcpu, gpa_t gpa, uint8_t *bytes, uint32_t len, bool write)
{
    uint64_t value = 0;

    if (write)
        memcpy(&value, bytes, len);
    access_mmio(vcpu, gpa, len, write, &value);
    if (!write)
        memcpy(bytes, &value, len);
}

/* One access within a page: RAM directly, all else by the MMIO bus. */
static void emulate_physical(struct vcpu *vcpu, gpa_t gpa, uint8_t *bytes, uint32_t len, uint32_t unit,
                             bool write)
{
    void *ram = gmem_ptr(&vcpu->vm->mem, gpa, len);
    uint32_t piece;

    if (ram && (!write || gmem_guest_writable(&vcpu->vm->mem, gpa, len))) {
        memcpy(write ? ram : bytes, write ? bytes : ram, len);
        return;
    }
    for (; len; len -= piece, gpa += piece, bytes += piece) {
        piece = emulate_piece(len, unit);
        emulate_device(vcpu, gpa, bytes, piece, write);
    }
}

/* Walks both pages of an access first, so that a fault on the second leaves the first untouched. */
static int emulate_access(struct emulation *e, const struct emul_ref *ref, uint8_t *bytes, bool write,
                          struct emul_fault *fault)
{
    uint32_t access = GWALK_SET_AD | (ref->system ? GWALK_IMPLICIT : e->user) |
                      (write || ref->rmw ? GWALK_WRITE : GWALK_READ);
    uint32_t head = (uint32_t)MIN((uint64_t)ref->size, PAGE_SIZE - (ref->gva & PAGE_MASK));
    struct gwalk_result first, second;

    if (!gwalk(&e->vcpu->vm->mem, &e->walk, ref->gva, access, &first))
        return emulate_page_fault(ref, ref->gva, &first, fault);
    if (head < ref->size && !gwalk(&e->vcpu->vm->mem, &e->walk, ref->gva + head, access, &second))
        return emulate_page_fault(ref, ref->gva + head, &second, fault);
    emulate_physical(e->vcpu, first.gpa, bytes, head, ref->unit, write);
    if (head < ref->size)
        emulate_physical(e->vcpu, second.gpa, bytes + head, ref->size - head, ref->unit, write);
    return 0;
}

static int emulate_read(void *ctx, const struct emul_ref *ref, uint64_t *value, struct emul_fault *fault)
{
    uint64_t words[EMUL_ACCESS_WORDS];
    uint32_t count = (ref->size + 7u) / 8;
    int err;

    words[count - 1] = 0;
    err = emulate_access(ctx, ref, (uint8_t *)words, false, fault);
    if (!err)
        memcpy(value, words, count * sizeof(*words));
    return err;
}

static int emulate_write(void *ctx, const struct emul_ref *ref, const uint64_t *value,
                         struct emul_fault *fault)
{
    uint64_t words[EMUL_ACCESS_WORDS];

    memcpy(words, value, ref->size);
    return emulate_access(ctx, ref, (uint8_t *)words, true, fault);
}

static uint64_t emulate_get(void *ctx, enum vcpu_reg reg)
{
    return vcpu_get(((struct emulation *)ctx)->vcpu, reg);
}

/* What a task switch changes counts for its own accesses from then on. */
static void emulate_set(void *ctx, enum vcpu_reg reg, uint64_t value)
{
    struct emulation *e = ctx;

    vcpu_set(e->vcpu, reg, value);
    if (UNLIKELY(reg == REG_CR3)) {
        e->walk.cr3 = value;
        vcpu_ops->flush(e->vcpu);
    } else if (reg == REG_RFLAGS)
        e->walk.rflags = value;
}

static void emulate_get_seg(void *ctx, enum vcpu_seg seg, struct vcpu_segment *out)
{
    vcpu_ops->get_seg(((struct emulation *)ctx)->vcpu, seg, out);
}

static void emulate_set_seg(void *ctx, enum vcpu_seg seg, const struct vcpu_segment *in)
{
    struct emulation *e = ctx;

    vcpu_ops->set_seg(e->vcpu, seg, in);
    if (seg == SEG_SS)
        e->user = SEG_ATTR_DPL(in->attr) == 3 ? GWALK_USER : 0;
}

static void emulate_get_vector(void *ctx, uint8_t vector, uint64_t *value)
{
    void *fpu = ((struct emulation *)ctx)->vcpu->fpu;

    if (vector >= EMUL_MM)
        value[0] = fpu_get_mmx(fpu, vector - EMUL_MM);
    else
        fpu_get_ymm(fpu, vector, value);
}

static void emulate_set_vector(void *ctx, uint8_t vector, const uint64_t *value, bool whole)
{
    void *fpu = ((struct emulation *)ctx)->vcpu->fpu;

    if (vector >= EMUL_MM)
        fpu_set_mmx(fpu, vector - EMUL_MM, value[0]);
    else
        fpu_set_ymm(fpu, vector, value, whole);
}

/* As the guest is told: where the CPU has more, the instruction is another to it. */
static bool emulate_has(void *ctx, enum emul_feature feature)
{
    const struct cpuid_table *table = &((struct emulation *)ctx)->vcpu->vm->cpuid;

    return feature == EMUL_TZCNT ? cpuid_has(table, 7, 1, 3) : cpuid_has(table, 0x80000001, 2, 5);
}

static int emulate_in(void *ctx, uint16_t port, uint32_t size, uint64_t *value, struct emul_fault *fault)
{
    struct vcpu *vcpu = ((struct emulation *)ctx)->vcpu;
    struct bus_access access;

    (void)fault;
    access_device(vcpu, &vcpu->vm->pio, port, size, false, 0, &access);
    *value = access.value & (UINT64_MAX >> (64 - 8 * size));
    return 0;
}

static int emulate_out(void *ctx, uint16_t port, uint32_t size, uint64_t value, struct emul_fault *fault)
{
    struct vcpu *vcpu = ((struct emulation *)ctx)->vcpu;
    struct bus_access access;

    (void)fault;
    access_device(vcpu, &vcpu->vm->pio, port, size, true, value, &access);
    return 0;
}

/* Of 1, 2 or 4 bytes. */
static inline void emulate_move(void *to, const void *from, uint32_t size)
{
    if (LIKELY(size == 1))
        *(uint8_t *)to = *(const uint8_t *)from;
    else
        memcpy(to, from, size);
}

/* The access to the page is checked once, and what is there once more only when this returns. */
static uint32_t emulate_run(void *ctx, uint16_t port, bool write, const struct emul_ref *ref, uint32_t count)
{
    struct emulation *e = ctx;
    struct vm *vm = e->vcpu->vm;
    uint32_t size = ref->size, access = GWALK_SET_AD | e->user | (write ? GWALK_READ : GWALK_WRITE);
    struct emul_fault fault;
    struct gwalk_result result;
    uint64_t value = 0;
    uint8_t *ram;

    if (!gwalk(&vm->mem, &e->walk, ref->gva, access, &result))
        return 0;
    ram = gmem_ptr(&vm->mem, result.gpa, (uint64_t)count * size);
    if (!ram || (!write && !gmem_guest_writable(&vm->mem, result.gpa, (uint64_t)count * size)))
        return 0;
    for (uint32_t i = 0; i < count; i++, ram += size) {
        if (write) {
            emulate_move(&value, ram, size);
            emulate_out(e, port, size, value, &fault);
        } else {
            emulate_in(e, port, size, &value, &fault);
            emulate_move(ram, &value, size);
        }
    }
    return count;
}

static const struct emul_io emulate_memory_io = {
    .read = emulate_read,
    .write = emulate_write,
    .get = emulate_get,
    .set = emulate_set,
    .get_seg = emulate_get_seg,
    .set_seg = emulate_set_seg,
    .get_vector = emulate_get_vector,
    .set_vector = emulate_set_vector,
    .has = emulate_has,
};

static const struct emul_io emulate_port_io = {
    .read = emulate_read,
    .write = emulate_write,
    .get = emulate_get,
    .set = emulate_set,
    .get_seg = emulate_get_seg,
    .set_seg = emulate_set_seg,
    .get_vector = emulate_get_vector,
    .set_vector = emulate_set_vector,
    .has = emulate_has,
    .in = emulate_in,
    .out = emulate_out,
    .run = emulate_run,
};

static void emulate_refuse(struct vcpu *vcpu, const struct insn *insn, const uint8_t *bytes)
{
    char why[128];
    int len = fmt_print(why, sizeof why,
                        "%s that the emulator doesn't know touched a device:", emul_kind(insn));

    for (uint32_t i = 0; i < insn->length && len < (int)sizeof why; i++)
        len += fmt_print(why + len, sizeof why - (size_t)len, " %02x", bytes[i]);
    exit_failed(vcpu, why);
}

static void emulate_raise(struct vcpu *vcpu, const struct emul_fault *fault)
{
    if (fault->vector == EXC_PF)
        vcpu_set(vcpu, REG_CR2, fault->cr2);
    event_raise(vcpu, fault->vector, fault->has_error, fault->error);
}

/* The T flag of the task that has been entered. */
static void emulate_task_trap(struct vcpu *vcpu)
{
    vcpu_set(vcpu, REG_DR6, vcpu_get(vcpu, REG_DR6) | DR6_BT);
    event_raise(vcpu, EXC_DB, false, 0);
}

/* RFLAGS as they were before. */
static void emulate_finish(struct vcpu *vcpu, const struct insn *insn, const uint8_t *bytes, int result,
                           const struct emul_fault *fault, uint64_t rflags)
{
    switch (result) {
    case EMUL_DONE:
        vcpu->insn_len = insn->length;
        vcpu_advance_begun(vcpu, rflags);
        break;
    case EMUL_SHADOW:
        vcpu->insn_len = insn->length;
        vcpu_advance_mov_ss(vcpu);
        break;
    case EMUL_AGAIN: /* between two parts, as behind a fault */
        vcpu_set(vcpu, REG_RFLAGS, vcpu_get(vcpu, REG_RFLAGS) | RFLAGS_RF);
        vcpu_end_insn(vcpu, rflags);
        break;
    case EMUL_JUMPED:
        vcpu_end_insn(vcpu, rflags);
        break;
    case EMUL_TRAPPED:
        vcpu_end_insn(vcpu, 0);
        emulate_task_trap(vcpu);
        break;
    case EMUL_FAULT:
        emulate_raise(vcpu, fault);
        break;
    default:
        emulate_refuse(vcpu, insn, bytes);
    }
}

/* NMIs come again behind IRET, even behind one that faults (SDM volume 3, 26.3). */
static void emulate_iret_ended(struct vcpu *vcpu)
{
    vcpu_ops->set_nmi_blocked(vcpu, false);
    vcpu_look_events(vcpu);
}

/* Where an interrupt's handler begins, a single step doesn't end (SDM volume 3, 18.3.1.4). */
static bool insn_is_interrupt(const struct insn *insn)
{
    return insn->map == INSN_MAP_ONE &&
           ((insn->opcode >= 0xcc && insn->opcode <= 0xce) || insn->opcode == 0xf1);
}

static void emulate_any(struct vcpu *vcpu, const struct emul_io *io, const struct vcpu_code *code,
                        const uint8_t *bytes, size_t len)
{
    struct emulation e = {.vcpu = vcpu, .walk = code->walk, .user = code_user(code)};
    uint64_t rflags = code->walk.rflags;
    struct emul_fault fault = {0};
    struct insn insn;
    int result;

    if (insn_decode(bytes, len, code->mode, &insn) < 0) {
        exit_failed(vcpu, "an instruction that can't be decoded touched a device");
        return;
    }
    result = emul_run(io, &e, &insn, &fault);
    if (insn_is_interrupt(&insn))
        rflags &= ~(uint64_t)RFLAGS_TF;
    if (insn.map == INSN_MAP_ONE && insn.opcode == OPCODE_IRET)
        emulate_iret_ended(vcpu);
    emulate_finish(vcpu, &insn, bytes, result, &fault, rflags);
}

/*
 * Is `insn` the access that the CPU has translated and checked already? Another core may have rewritten the code since, and
 * of an access that crosses into the page, this is the second half.
 */
static ALWAYS_INLINE bool mov_matches(const struct vcpu *vcpu, const struct insn_mov *mov,
                                      const struct exit_memory *access)
{
    uint64_t offset = mov->disp;

    if (mov->base == REG_RIP)
        offset += vcpu->rip + mov->length;
    else if (mov->base != INSN_NO_REG)
        offset += vcpu->gpr[mov->base];
    return mov->load != access->write && !((offset ^ access->gpa) & PAGE_MASK) &&
           (offset & PAGE_MASK) + mov->size <= PAGE_SIZE;
}

/* Registers that have a place in gpr[], with all of their low bytes there: not RSP, AH, CH, DH and BH. */
static bool mov_register_plain(const struct insn_mov *mov)
{
    return mov->imm_size || (mov->reg != REG_RSP && (mov->size > 1 || mov->rex || mov->reg < REG_RSP));
}

/* Carries it out: neither a walk to its operand nor the executor is needed. */
static ALWAYS_INLINE void mov_do(struct vcpu *vcpu, const struct insn_mov *mov, gpa_t gpa)
{
    uint64_t mask = UINT64_MAX >> (64 - 8 * mov->size);
    uint64_t value = (mov->imm_size ? mov->imm : vcpu->gpr[mov->reg]) & mask;

    access_mmio(vcpu, gpa, mov->size, !mov->load, &value);
    if (mov->load) {
        uint64_t kept = mov->size < 4 ? vcpu->gpr[mov->reg] & ~mask : 0;

        vcpu->gpr[mov->reg] = kept | (value & mask);
    }
    vcpu->insn_len = mov->length;
    vcpu_advance(vcpu);
}

/* Is the address a device's, and not memory whose translation has changed under the guest's hands? */
static ALWAYS_INLINE bool mov_at_device(const struct vcpu *vcpu, gpa_t gpa)
{
    return gpa - vcpu->apic_page < PAGE_SIZE || !gmem_ptr(&vcpu->vm->mem, gpa, 1);
}

/* The same, with the last page remembered that was one. */
static ALWAYS_INLINE bool mov_at_known_device(const struct vcpu *vcpu, gpa_t gpa)
{
    gpa_t page = (gpa & ~PAGE_MASK) | 1;

    if (LIKELY(gpa - vcpu->apic_page < PAGE_SIZE) || LIKELY(page == vcpu->sites->device))
        return true;
    if (gmem_ptr(&vcpu->vm->mem, gpa, 1))
        return false;
    vcpu->sites->device = page;
    return true;
}

/* A plain MOV that was met before. False: it isn't one. */
static inline bool emulate_known(struct vcpu *vcpu, const struct exit_memory *access)
{
    const struct insn_mov *mov;
    uint64_t cr3;

    /* Instruction bytes that the CPU has saved are more to the point than what is in memory now. */
    if (access->bytes_len || UNLIKELY(!vcpu->sites) || UNLIKELY(!vcpu_ops->get_long_root(vcpu, &cr3)))
        return false;
    mov = site_find(vcpu->sites, &vcpu->vm->mem, cr3, vcpu->rip);
    if (UNLIKELY(!mov) || UNLIKELY(!mov_matches(vcpu, mov, access)) ||
        UNLIKELY(!mov_at_known_device(vcpu, access->gpa)))
        return false;
    mov_do(vcpu, mov, access->gpa);
    return true;
}

/* A plain MOV. False: it isn't one. */
static bool emulate_mov(struct vcpu *vcpu, const struct exit_memory *access, const struct vcpu_code *code,
                        const uint8_t *bytes)
{
    struct insn_mov mov;

    if (!insn_decode_mov(bytes, &mov) || !mov_register_plain(&mov) || !mov_matches(vcpu, &mov, access) ||
        !mov_at_device(vcpu, access->gpa))
        return false;
    if (vcpu->sites && !(code->walk.cr4 & CR4_LA57))
        site_learn(vcpu->sites, &vcpu->vm->mem, code->walk.cr3, vcpu->rip, &mov);
    mov_do(vcpu, &mov, access->gpa);
    return true;
}

static __attribute__((noinline)) void emulate_unknown(struct vcpu *vcpu, const struct exit_memory *access)
{
    struct vcpu_code code;
    uint8_t fetched[FETCH_BYTES];
    const uint8_t *bytes = access->bytes;
    size_t len = access->bytes_len;

    if (vmfault_guest(vcpu, access)) /* here, where no known access pays for it */
        return;
    vcpu_ops->get_code(vcpu, &code);
    if (len == 0) {
        bytes = fetched;
        len = vcpu_fetch_code(vcpu, &code, fetched);
    }
    if (LIKELY(code.mode == INSN_MODE_64 && len >= INSN_MOV_MAX) &&
        LIKELY(emulate_mov(vcpu, access, &code, bytes)))
        return;
    emulate_any(vcpu, &emulate_memory_io, &code, bytes, len);
}

void emulate_mmio(struct vcpu *vcpu, const struct exit_memory *access)
{
    if (!LIKELY(emulate_known(vcpu, access)))
        emulate_unknown(vcpu, access);
}

static void emulate_fetched(struct vcpu *vcpu, const struct emul_io *io)
{
    struct vcpu_code code;
    uint8_t bytes[FETCH_BYTES];

    vcpu_ops->get_code(vcpu, &code);
    emulate_any(vcpu, io, &code, bytes, vcpu_fetch_code(vcpu, &code, bytes));
}

void emulate_string_io(struct vcpu *vcpu)
{
    emulate_fetched(vcpu, &emulate_port_io);
}

void emulate_insn(struct vcpu *vcpu)
{
    emulate_fetched(vcpu, &emulate_memory_io);
}

/* A switch to another task has flushed what CR3 has to do with. */
static void emulate_transferred(struct vcpu *vcpu, int result, const struct emul_fault *fault)
{
    vcpu_ops->clear_shadow(vcpu);
    if (result == EMUL_FAULT)
        emulate_raise(vcpu, fault);
    else if (result == EMUL_TRAPPED)
        emulate_task_trap(vcpu);
}

static void emulation_begin(struct vcpu *vcpu, struct emulation *e, struct vcpu_code *code)
{
    vcpu_ops->get_code(vcpu, code);
    *e = (struct emulation){.vcpu = vcpu, .walk = code->walk, .user = code_user(code)};
}

void emulate_task_switch(struct vcpu *vcpu, const struct emul_task *task)
{
    struct emul_fault fault = {0};
    struct vcpu_code code;
    struct emulation e;

    emulation_begin(vcpu, &e, &code);
    emulate_transferred(vcpu, emul_task_switch(&emulate_memory_io, &e, task, &fault), &fault);
}

void emulate_event(struct vcpu *vcpu)
{
    struct event *reinject = &vcpu->events.reinject, event = *reinject;
    bool software = event.type >= EVENT_SOFT_INT;
    struct emul_interrupt interrupt = {.vector = event.vector,
                                       .external = !software || event.type == EVENT_PRIV_EXCEPTION,
                                       .checked = software && event.type != EVENT_PRIV_EXCEPTION,
                                       .has_error = event.has_error,
                                       .error = event.error,
                                       .rip = vcpu->rip + (software ? event.insn_len : 0),
                                       .resumes = event_resumes(&event)};
    struct emul_fault fault = {0};
    struct vcpu_code code;
    struct emulation e;
    int result;

    emulation_begin(vcpu, &e, &code);
    if (software) /* an instruction that has ended, with which RF ends */
        emulate_set(&e, REG_RFLAGS, code.walk.rflags & ~(uint64_t)RFLAGS_RF);
    result = emul_interrupt(&emulate_memory_io, &e, code.mode, &interrupt, &fault);
    if (event.type == EVENT_NMI)
        vcpu_ops->set_nmi_blocked(vcpu, true);
    /* An exception that is being delivered and another make a double fault; what else was delivered is lost by a fault. */
    if (event.type != EVENT_EXCEPTION)
        reinject->valid = false;
    emulate_transferred(vcpu, result, &fault);
    reinject->valid = false;
}
