/* Exits of port and memory accesses. */
#include "core/access.h"
#include "core/emulate.h"
#include "core/exit.h"
#include "core/lib/format.h"
#include "core/vm.h"

void exit_in(struct vcpu *vcpu, uint16_t port, uint32_t size)
{
    uint64_t value = access_port_read(vcpu, port, size);
    uint64_t *rax = &vcpu->gpr[REG_RAX];

    vcpu->stats.exits[STATS_PORT]++;
    /* A 32-bit result clears the upper half, smaller ones leave the rest as it is. */
    if (LIKELY(size == 1))
        *rax = (*rax & ~0xffull) | (uint8_t)value;
    else if (size == 2)
        *rax = (*rax & ~0xffffull) | (uint16_t)value;
    else
        *rax = (uint32_t)value;
    vcpu_advance(vcpu);
}

void exit_out(struct vcpu *vcpu, uint16_t port, uint32_t size)
{
    uint64_t rax = vcpu->gpr[REG_RAX];

    vcpu->stats.exits[STATS_PORT]++;
    access_port_write(vcpu, port, size,
                      LIKELY(size == 1) ? (uint8_t)rax : rax & (UINT64_MAX >> (64 - 8 * size)));
    vcpu_advance(vcpu);
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

    if (LIKELY(gpa < vm->end))
        return false;
    lock_take(&vm->devices);
    held = bus_holds(&vm->mmio, gpa);
    lock_drop(&vm->devices);
    return !held;
}

void exit_memory(struct vcpu *vcpu, const struct exit_memory *access)
{
    vcpu->stats.exits[STATS_MEMORY]++;
    if (UNLIKELY(access->fetch)) {
        exit_no_memory(vcpu, "code is", access->gpa);
        return;
    }
    if (UNLIKELY(access->table_walk)) {
        exit_no_memory(vcpu, "page tables are", access->gpa);
        return;
    }
    if (UNLIKELY(access->write && exit_beyond(vcpu, access->gpa))) {
        exit_no_memory(vcpu, "write goes", access->gpa);
        return;
    }
    emulate_mmio(vcpu, access);
}
