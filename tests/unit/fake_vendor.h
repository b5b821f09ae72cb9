/*
 * A vendor back end without a CPU: registers are plain fields, and what core/ asks of it is written down. With it, exits,
 * event injection and the emulator's glue run on the host.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "core/exit.h"
#include "core/fetch.h"
#include "core/vcpu_ops.h"
#include "core/vm.h"
#include "core/vmfault.h"
#include "core/x86/cr.h"
#include "core/x86/fpu.h"

struct fake {
    struct vm vm;
    struct vcpu vcpu;
    uint64_t regs[REG_COUNT];
    struct vcpu_segment segs[SEG_COUNT];
    struct event injected;
    uint32_t injections, flushes, shadows, shadows_begun;
    bool can_interrupt, can_nmi, nmi_blocked;
    bool windows[8];
    int pending[4]; /* the interrupt controller: vectors, the first is peeked; -1 ends */
    uint8_t cr8;
    uint64_t now;       /* VM time */
    uint32_t touched;   /* with a balloon: accesses that aren't a known device's */
    const char *failed; /* what the VM was stopped for */
    char why[128];      /* the same, kept */
    uint64_t ymm[16][4], mm[8];
};

static struct fake fake;
const struct vcpu_ops *vcpu_ops;

static uint64_t fake_get(struct vcpu *v, enum vcpu_reg r)
{
    (void)v;
    return fake.regs[r];
}
static void fake_set(struct vcpu *v, enum vcpu_reg r, uint64_t x)
{
    (void)v;
    fake.regs[r] = x;
}
static void fake_get_seg(struct vcpu *v, enum vcpu_seg s, struct vcpu_segment *o)
{
    (void)v;
    *o = fake.segs[s];
}
static void fake_set_seg(struct vcpu *v, enum vcpu_seg s, const struct vcpu_segment *i)
{
    (void)v;
    fake.segs[s] = *i;
}
static uint32_t fake_get_cpl(struct vcpu *v)
{
    (void)v;
    return SEG_ATTR_DPL(fake.segs[SEG_SS].attr);
}
static bool fake_get_long_root(struct vcpu *v, uint64_t *cr3)
{
    (void)v;
    *cr3 = fake.regs[REG_CR3];
    return code_mode(fake.segs[SEG_CS].attr, fake.regs[REG_EFER]) == INSN_MODE_64;
}
static void fake_get_code(struct vcpu *v, struct vcpu_code *o)
{
    (void)v;
    *o = (struct vcpu_code){
        .walk = {fake.regs[REG_CR0], fake.regs[REG_CR3], fake.regs[REG_CR4], fake.regs[REG_EFER],
                 fake.regs[REG_RFLAGS], 0, 0},
        .mode = code_mode(fake.segs[SEG_CS].attr, fake.regs[REG_EFER]),
        .cs_base = fake.segs[SEG_CS].base,
        .cpl = SEG_ATTR_DPL(fake.segs[SEG_SS].attr),
    };
}
static void fake_flush(struct vcpu *v)
{
    (void)v;
    fake.flushes++;
}
static void fake_clear_shadow(struct vcpu *v)
{
    (void)v;
    fake.shadows++;
}
static void fake_set_shadow(struct vcpu *v)
{
    (void)v;
    fake.shadows_begun++;
}
static bool fake_can_inject(struct vcpu *v, enum event_type t)
{
    (void)v;
    return t == EVENT_NMI ? fake.can_nmi : fake.can_interrupt;
}
static bool fake_nmi_blocked(struct vcpu *v)
{
    (void)v;
    return fake.nmi_blocked;
}
static void fake_set_nmi_blocked(struct vcpu *v, bool blocked)
{
    (void)v;
    fake.nmi_blocked = blocked;
}
static void fake_inject(struct vcpu *v, const struct event *e)
{
    (void)v;
    fake.injected = *e;
    fake.injections++;
}
static bool fake_inject_interrupt(struct vcpu *v, uint8_t vector)
{
    struct event event = {.valid = true, .vector = vector, .type = EVENT_INTERRUPT};

    if (fake.can_interrupt)
        fake_inject(v, &event);
    return fake.can_interrupt;
}
static void fake_window(struct vcpu *v, enum event_type t, bool open)
{
    (void)v;
    fake.windows[t] = open;
}

static const struct vcpu_ops fake_ops = {
    .get = fake_get,
    .set = fake_set,
    .get_seg = fake_get_seg,
    .get_cpl = fake_get_cpl,
    .get_long_root = fake_get_long_root,
    .get_code = fake_get_code,
    .set_seg = fake_set_seg,
    .flush = fake_flush,
    .clear_shadow = fake_clear_shadow,
    .set_shadow = fake_set_shadow,
    .can_inject = fake_can_inject,
    .nmi_blocked = fake_nmi_blocked,
    .set_nmi_blocked = fake_set_nmi_blocked,
    .inject = fake_inject,
    .inject_interrupt = fake_inject_interrupt,
    .window = fake_window,
};

static int fake_peek(void *chip)
{
    (void)chip;
    return fake.pending[0];
}
static bool fake_accept(void *chip, uint8_t vector)
{
    (void)chip;
    (void)vector;
    memmove(fake.pending, fake.pending + 1, sizeof fake.pending - sizeof fake.pending[0]);
    return fake.pending[0] >= 0;
}
static uint8_t fake_get_cr8(void *chip)
{
    (void)chip;
    return fake.cr8;
}
static void fake_set_cr8(void *chip, uint8_t cr8)
{
    (void)chip;
    fake.cr8 = cr8;
}
static void fake_tsc_moved(void *chip)
{
    (void)chip;
}
static const struct irqchip_ops fake_irqchip = {
    .peek = fake_peek,
    .accept = fake_accept,
    .get_cr8 = fake_get_cr8,
    .set_cr8 = fake_set_cr8,
    .tsc_moved = fake_tsc_moved,
};

uint64_t vm_now(const struct vm *vm)
{
    (void)vm;
    return fake.now;
}
bool vmfault_touch(struct vcpu *vcpu, const struct exit_memory *access)
{
    fake.touched++;
    return gmem_guest_writable(&vcpu->vm->mem, access->gpa, 1);
}
void exit_failed(struct vcpu *vcpu, const char *why)
{
    (void)vcpu;
    strncpy(fake.why, why, sizeof fake.why - 1);
    fake.failed = fake.why;
}
/* The guest's vector registers (core/x86/fpu.h). */
void fpu_get_ymm(void *area, uint32_t reg, uint64_t value[4])
{
    (void)area;
    memcpy(value, fake.ymm[reg], sizeof fake.ymm[reg]);
}
void fpu_set_ymm(void *area, uint32_t reg, const uint64_t value[4], bool whole)
{
    (void)area;
    memcpy(fake.ymm[reg], value, whole ? 32 : 16);
}
uint64_t fpu_get_mmx(void *area, uint32_t reg)
{
    (void)area;
    return fake.mm[reg];
}
void fpu_set_mmx(void *area, uint32_t reg, uint64_t value)
{
    (void)area;
    fake.mm[reg] = value;
}
void exit_triple_fault(struct vcpu *vcpu)
{
    exit_failed(vcpu, "triple fault");
}

/* A vCPU in 64-bit mode, interrupts on, nothing pending. */
static void fake_reset(void)
{
    memset(&fake, 0, sizeof fake);
    fake.vm.end = UINT64_MAX;
    vcpu_ops = &fake_ops;
    fake.vcpu.vm = &fake.vm;
    fake.vm.vcpus[0] = &fake.vcpu;
    fake.vm.vcpu_count = 1;
    fake.vcpu.irqchip = &fake_irqchip;
    fake.vcpu.apic_page = NO_APIC_PAGE;
    fake.can_interrupt = fake.can_nmi = true;
    memset(fake.pending, 0xff, sizeof fake.pending);
    fake.regs[REG_CR0] = CR0_PE | CR0_PG;
    fake.regs[REG_CR4] = CR4_PAE;
    fake.regs[REG_EFER] = BIT(8) | BIT(10);
    fake.regs[REG_RFLAGS] = RFLAGS_IF | RFLAGS_FIXED1;
    fake.segs[SEG_CS].attr = SEG_ATTR_L | SEG_ATTR_P | SEG_ATTR_S | 0xb;
    bus_init(&fake.vm.pio, "port");
    bus_init(&fake.vm.mmio, "mmio");
    bus_init_numbered(&fake.vm.msr, "msr");
}
