/* Exits of port and memory accesses. */
#include "core/access.h"
#include "core/emulate.h"
#include "core/exit.h"
#include "core/lib/format.h"
#include "core/lib/string.h"
#include "core/vm.h"
#include "core/vmfault.h"

static NOINLINE void in_show_wide(struct vcpu *vcpu, const struct bus_access *access)
{
    if (access->size == 2)
        memcpy(&vcpu->gpr[REG_RAX], &access->value, 2);
    else
        vcpu->gpr[REG_RAX] = (uint32_t)access->value;
}

/* A 32-bit result clears the upper half of RAX, smaller ones leave the rest as it is. */
static ALWAYS_INLINE void in_show(struct vcpu *vcpu, const struct bus_access *access)
{
    vcpu->stats.exits[STATS_PORT]++;
    if (LIKELY(access->size == 1))
        *(uint8_t *)&vcpu->gpr[REG_RAX] = (uint8_t)access->value;
    else
        in_show_wide(vcpu, access);
    vcpu_advance(vcpu);
}

/* With the lock held, where the last access wasn't. */
static NOINLINE void in_elsewhere(struct vcpu *vcpu, uint16_t port, uint32_t size)
{
    const struct bus_range *range = bus_find(&vcpu->vm->pio, port, size);
    struct bus_access access = {.value = BUS_NOTHING, .size = size};

    if (range)
        access_range(vcpu, range, port, size, false, 0, &access);
    lock_drop(&vcpu->vm->devices);
    in_show(vcpu, &access);
}

static NOINLINE void in_later(struct vcpu *vcpu, uint16_t port, uint32_t size)
{
    lock_wait(&vcpu->vm->devices);
    in_elsewhere(vcpu, port, size);
}

/*
 * What is rare ends here in a call, and behind the access what is needed is looked up again: registers that last longer would
 * have to be saved first.
 */
void exit_in(struct vcpu *vcpu, uint16_t port, uint32_t size)
{
    struct vm *vm = vcpu->vm;
    const struct bus_range *last;
    struct bus_access access;

    if (UNLIKELY(!lock_try(&vm->devices))) {
        in_later(vcpu, port, size);
        return;
    }
    last = bus_hint(&vm->pio);
    if (UNLIKELY(!bus_range_holds(last, port, size))) {
        in_elsewhere(vcpu, port, size);
        return;
    }
    access_range(vcpu, last, port, size, false, 0, &access);
    lock_drop(&vcpu->vm->devices);
    in_show(vcpu, &access);
}

static void out_finish(struct vcpu *vcpu)
{
    lock_drop(&vcpu->vm->devices);
    vcpu->stats.exits[STATS_PORT]++;
    vcpu_advance(vcpu);
}

static NOINLINE void out_elsewhere(struct vcpu *vcpu, uint16_t port, uint32_t size, uint64_t value)
{
    const struct bus_range *range = bus_find(&vcpu->vm->pio, port, size);
    struct bus_access access;

    if (range)
        access_range(vcpu, range, port, size, true, value, &access);
    out_finish(vcpu);
}

static NOINLINE void out_later(struct vcpu *vcpu, uint16_t port, uint32_t size, uint64_t value)
{
    lock_wait(&vcpu->vm->devices);
    out_elsewhere(vcpu, port, size, value);
}

void exit_out(struct vcpu *vcpu, uint16_t port, uint32_t size)
{
    struct vm *vm = vcpu->vm;
    uint64_t rax = vcpu->gpr[REG_RAX];
    uint64_t value = LIKELY(size == 1) ? (uint8_t)rax : rax & (UINT64_MAX >> (64 - 8 * size));
    const struct bus_range *last;
    struct bus_access access;

    if (UNLIKELY(!lock_try(&vm->devices))) {
        out_later(vcpu, port, size, value);
        return;
    }
    last = bus_hint(&vm->pio);
    if (UNLIKELY(!bus_range_holds(last, port, size))) {
        out_elsewhere(vcpu, port, size, value);
        return;
    }
    access_range(vcpu, last, port, size, true, value, &access);
    out_finish(vcpu);
}

void exit_string_io(struct vcpu *vcpu)
{
    vcpu->stats.exits[STATS_PORT]++;
    emulate_string_io(vcpu);
}

static void exit_no_memory(struct vcpu *vcpu, const char *what, gpa_t gpa)
{
    char why[96];

    fmt_print(why, sizeof why, "the guest's %s where there is no memory, at %#llx", what,
              (unsigned long long)gpa);
    exit_failed(vcpu, why);
}

/* Beyond all memory, where only a device can be that the guest has put there itself. */
static bool exit_beyond(struct vcpu *vcpu, gpa_t gpa)
{
    struct vm *vm = vcpu->vm;
    bool held;

    if (gpa < vm->end)
        return false;
    lock_take(&vm->devices);
    held = bus_holds(&vm->mmio, gpa);
    lock_drop(&vm->devices);
    return !held;
}

static NOINLINE void exit_odd_memory(struct vcpu *vcpu, const struct exit_memory *access)
{
    if (vmfault_guest(vcpu, access))
        return;
    if (access->fetch)
        exit_no_memory(vcpu, "code is", access->gpa);
    else if (access->table_walk)
        exit_no_memory(vcpu, "page tables are", access->gpa);
    else if (access->write && exit_beyond(vcpu, access->gpa))
        exit_no_memory(vcpu, "write goes", access->gpa);
    else if (access->event)
        emulate_event(vcpu);
    else
        emulate_mmio(vcpu, access);
}

void exit_memory(struct vcpu *vcpu, const struct exit_memory *access)
{
    vcpu->stats.exits[STATS_MEMORY]++;
    if (UNLIKELY(access->fetch || access->table_walk || access->event || access->gpa >= vcpu->vm->end))
        exit_odd_memory(vcpu, access);
    else
        emulate_mmio(vcpu, access);
}
