#include "core/vm.h"

#include "core/clock.h"
#include "core/lib/error.h"
#include "core/lib/log.h"
#include "core/lib/string.h"
#include "core/run.h"
#include "core/site.h"
#include "core/trace_ring.h"
#include "core/vapic.h"
#include "core/vcpu_ops.h"
#include "core/vmmem.h"
#include "core/x86/asm.h"
#include "core/x86/fpu.h"
#include "mm/layout.h"
#include "mm/pt_pool.h"

struct vm *vms[VM_MAX];

_Static_assert(OWNER_VM + VM_MAX <= OWNER_MAX, "each VM is an owner of frames");

uint64_t vm_now(const struct vm *vm)
{
    return scale_apply(clock_ns_scale, rdtsc() - vm->tsc_start);
}

uint64_t vcpu_tsc(const struct vcpu *vcpu)
{
    return rdtsc() + vcpu->vm->tsc_offset + vcpu->tsc_adjust;
}

static uint32_t vm_nested_leaf(void)
{
    return cap(CAP_NEST1G) ? 2 : cap(CAP_NEST2M) ? 1 : 0;
}

static int vm_init_memory(struct vm *vm)
{
    struct pt_memory memory = pt_pool(vm_owner(vm));
    int err = pt_init(&vm->nested, vendor->nested, &memory, vm_nested_leaf());

    if (err)
        return err;
    err = hostspace_init(&vm->space, vm_owner(vm), cap(CAP_PAGE1G));
    if (err)
        pt_free(&vm->nested);
    gmem_init(&vm->mem, (void *)(uintptr_t)WINDOW_BASE);
    return err;
}

struct vm *vm_create(uint32_t id, const char *name)
{
    uint64_t now = rdtsc();
    struct vm *vm = frame_alloc(frame_count(sizeof *vm), (uint16_t)(OWNER_VM + id));

    if (!vm)
        return NULL;
    vm->id = id;
    vm->end = UINT64_MAX;
    vm->made = now;
    str_copy(vm->name, name, sizeof vm->name);
    bus_init(&vm->pio, "port");
    bus_init(&vm->mmio, "mmio");
    bus_init_numbered(&vm->msr, "msr");
    timer_queue_init(&vm->timers);
    if (vm_init_memory(vm)) {
        frame_free(vm, frame_count(sizeof *vm));
        return NULL;
    }
    vms[id] = vm;
    return vm;
}

static void vcpu_destroy(struct vcpu *vcpu)
{
    if (vcpu->arch)
        vcpu_ops->destroy(vcpu);
    frame_free(vcpu->vapic, frame_count(sizeof *vcpu->vapic));
    frame_free(vcpu->fpu, frame_count(fpu_size()));
    frame_free(vcpu->sites, frame_count(sizeof *vcpu->sites));
    frame_free(vcpu, frame_count(sizeof *vcpu));
}

static bool vcpu_alloc(struct vcpu *vcpu)
{
    uint16_t owner = vm_owner(vcpu->vm);

    vcpu->fpu = frame_alloc(frame_count(fpu_size()), owner);
    vcpu->sites = frame_alloc(frame_count(sizeof *vcpu->sites), owner);
    if (cap(CAP_APICV))
        vcpu->vapic = frame_alloc(frame_count(sizeof *vcpu->vapic), owner);
    return vcpu->fpu && vcpu->sites && (vcpu->vapic || !cap(CAP_APICV));
}

/* vCPU 0 runs the devices' timers: it has to hear of one that another vCPU armed. */
static void vm_timers_changed(struct timer_queue *queue, bool earlier, void *owner)
{
    (void)queue;
    if (earlier)
        vcpu_kick_timers(owner);
    else
        vcpu_look(owner);
}

struct vcpu *vm_add_vcpu(struct vm *vm, uint32_t weight, uint32_t cap, const struct cpuset *allowed)
{
    uint64_t before = frame_used_by(vm_owner(vm));
    struct vcpu *vcpu = frame_alloc(frame_count(sizeof *vcpu), vm_owner(vm));

    if (!vcpu)
        return NULL;
    vcpu->vm = vm;
    vcpu->index = vm->vcpu_count;
    vcpu->trace_who = trace_who(vm->id, vcpu->index);
    vcpu->apic_page = NO_APIC_PAGE;
    timer_queue_init(&vcpu->timers);
    vcpu->timers.lone = true;
    vcpu->timers.changed = run_vcpu_timers_changed;
    vcpu->timers.owner = vcpu;
    vcpu->wake_ns = vcpu->wake_tsc = vcpu->alarm = TIMER_NEVER;
    timer_init(&vcpu->wakeup, run_timers(0), NULL);
    sched_entity_init(&vcpu->sched, weight, cap, allowed);
    vcpu->parked = true;
    if (!vcpu_alloc(vcpu) || vcpu_ops->create(vcpu)) {
        vcpu_destroy(vcpu);
        return NULL;
    }
    if (vm->vcpu_count == 0) {
        vm->timers.changed = vm_timers_changed;
        vm->timers.owner = vcpu;
    }
    vcpu->pool_frames = (uint32_t)(frame_used_by(vm_owner(vm)) - before);
    vm->vcpus[vm->vcpu_count++] = vcpu;
    return vcpu;
}

struct vm_pool vm_pool(const struct vm *vm)
{
    struct vm_pool pool = {.total = (uint32_t)frame_used_by(vm_owner(vm)),
                           .board = frame_count(vm->board_bytes),
                           .vcpu = vm->vcpu_count ? vm->vcpus[0]->pool_frames : 0};

    for (uint32_t i = 0; i < vm->vcpu_count; i++)
        pool.vcpus += vm->vcpus[i]->pool_frames;
    pool.tables = pool.total - pool.board - pool.vcpus - frame_count(sizeof *vm);
    return pool;
}

void vm_destroy(struct vm *vm)
{
    vms[vm->id] = NULL;
    for (uint32_t i = 0; i < vm->vcpu_count; i++)
        vcpu_destroy(vm->vcpus[i]);
    vmmem_free(vm);
    frame_free(vm->board, frame_count(vm->board_bytes));
    frame_free(vm, frame_count(sizeof *vm));
}

int vm_reset(struct vm *vm)
{
    vm->stop = VM_STOP_NONE;
    vm->status = 0;
    vm->crash.why[0] = 0;
    /* VM time goes on over a reset: the clocks of the board count by it. */
    if (!vm->tsc_start) {
        vm->tsc_start = rdtsc();
        vm->tsc_offset = -vm->tsc_start;
    }
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        int err = vcpu_reset(vm->vcpus[i], false);

        if (err)
            return err;
    }
    return 0;
}

static void vm_kick(struct vm *vm)
{
    for (uint32_t i = 0; i < vm->vcpu_count; i++)
        vcpu_kick(vm->vcpus[i]);
}

/* VM time goes on where the pause began. */
static void vm_time_resume(struct vm *vm)
{
    uint64_t gone = rdtsc() - vm->paused_at;

    vm->tsc_start += gone;
    vm->tsc_offset -= gone;
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        struct vcpu *vcpu = vm->vcpus[i];

        vcpu->wake_ns = TIMER_NEVER; /* has run_update_wake convert it again */
        vcpu->wake_tsc = TIMER_NEVER;
        if (vcpu->alarm != TIMER_NEVER)
            vcpu->alarm += gone;
        vcpu_ops->tsc_offset(vcpu, vm->tsc_offset + vcpu->tsc_adjust);
    }
}

void vm_run(struct vm *vm)
{
    /* A rest is short, and there are many where memory goes: its time is the guest's, as that of other vCPUs' turns is. */
    if (vm->paused && !vm->resting)
        vm_time_resume(vm);
    vmshare_settle(vm);
    vmballoon_settle(vm);
    vm->resting = false;
    vm->parked = 0;
    for (uint32_t i = 0; i < vm->vcpu_count; i++)
        vm->vcpus[i]->parked = false;
    __atomic_store_n(&vm->paused, false, __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < vm->vcpu_count; i++)
        run_start(vm->vcpus[i]);
    if (vmballoon_busy(vm)) /* on_parked waits for who has called this */
        vm_rest(vm);
}

bool vm_pause(struct vm *vm)
{
    if (vm_halting(vm))
        return false;
    if (__atomic_exchange_n(&vm->paused, true, __ATOMIC_SEQ_CST))
        return false; /* somebody else was faster */
    vm->paused_at = rdtsc();
    vm_kick(vm);
    return true;
}

/* One that doesn't run, or is about to be paused or stopped, has vm_run to come anyway. */
void vm_rest(struct vm *vm)
{
    if (vm->vcpu_count && !vm->vcpus[0]->parked && vm_pause(vm))
        vm->resting = true;
}

void vm_stop(struct vm *vm, enum vm_stop why, int status)
{
    enum vm_stop none = VM_STOP_NONE;

    if (!__atomic_compare_exchange_n(&vm->stop, &none, why, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return;
    vm->status = status;
    vm_kick(vm);
}

/* The reason is there before the last vCPU can have stopped. The first one counts, as with vm_stop. */
void vm_crash(struct vm *vm, uint32_t vcpu, const char *why)
{
    lock_take(&vm->crash.lock);
    if (__atomic_load_n(&vm->stop, __ATOMIC_RELAXED) == VM_STOP_NONE) {
        vm->crash.vcpu = vcpu;
        str_copy(vm->crash.why, why, sizeof vm->crash.why);
        vm_stop(vm, VM_STOP_CRASH, 1);
    }
    lock_drop(&vm->crash.lock);
}

const char *vm_stop_name(enum vm_stop why)
{
    static const char *const names[] = {
        [VM_STOP_NONE] = "none",     [VM_STOP_POWEROFF] = "poweroff", [VM_STOP_REBOOT] = "reboot",
        [VM_STOP_EXIT] = "exit",     [VM_STOP_KILLED] = "killed",     [VM_STOP_CRASH] = "crash",
        [VM_STOP_FAILED] = "failed", [VM_STOP_RESET] = "reset",       [VM_STOP_OPERATOR] = "operator",
    };

    return names[why];
}
