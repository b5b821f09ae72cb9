/* Faults on purpose, for tests (option test=plant): what the audit has to find, and what an entry has to fail with. */
#include "core/lib/error.h"
#include "core/lib/string.h"
#include "core/monitor.h"
#include "core/vcpu_ops.h"
#include "core/vm.h"
#include "core/x86/cr.h"
#include "guests/commands.h"
#include "guests/launch.h"
#include "mm/hostmap.h"
#include "mm/layout.h"

/* Where no VM has anything. */
#define PLANT_GPA BIT(38)

/* Long mode without PAE: no CPU enters a guest with that (SDM 27.3.1.1, APM 15.5.1). */
static void plant_entry(struct vm *vm, const struct launch_args *args)
{
    (void)args;
    vcpu_set(vm->vcpus[0], REG_CR4, vcpu_get(vm->vcpus[0], REG_CR4) & ~CR4_PAE);
}

static void plant_map(struct vm *vm, hpa_t frame)
{
    if (pt_map(&vm->nested, PLANT_GPA, frame, PAGE_SIZE, PT_READ | PT_WRITE))
        monitor_print("vm=%s error=no-memory", vm->name);
}

/* The first page of some other VM's memory. */
static void plant_shared(struct vm *vm, const struct launch_args *args)
{
    struct pt_leaf leaf;

    (void)args;
    for (uint32_t i = 0; i < VM_MAX; i++) {
        if (!vms[i] || vms[i] == vm || !pt_lookup(&vms[i]->space.pt, WINDOW_BASE, &leaf))
            continue;
        plant_map(vm, leaf.hpa);
        return;
    }
    monitor_print("vm=%s error=no-other-vm", vm->name);
}

void commands_plant_shown(void)
{
    struct pt_leaf leaf;

    for (uint32_t i = 0; i < VM_MAX; i++)
        if (vms[i] && pt_lookup(&vms[i]->space.pt, WINDOW_BASE, &leaf))
            (void)hostmap_device(leaf.hpa, PAGE_SIZE, 0);
}

/* The hypervisor's own. */
static void plant_pool(struct vm *vm, const struct launch_args *args)
{
    (void)args;
    plant_map(vm, pool_hpa(vm));
}

static const struct {
    const char *name;
    launch_look plant;
} plants[] = {{"entry", plant_entry}, {"shared", plant_shared}, {"pool", plant_pool}};

static int command_plant(uint32_t count, const char *const *words)
{
    static const struct launch_args none;
    uint32_t vm;

    for (uint32_t i = 0; i < ARRAY_SIZE(plants) && count == 3; i++) {
        if (!str_eq(words[1], plants[i].name))
            continue;
        vm = command_find(words[2]);
        return vm == LAUNCH_NONE ? 0 : command_result(vm, launch_visit_at_rest(vm, plants[i].plant, &none));
    }
    return ERR_INVALID;
}

int commands_plant_init(void)
{
    static const struct monitor_command commands[] = {
        {"plant", "entry|shared|pool NAME", "a fault on purpose, for tests", command_plant},
    };

    return monitor_register(commands, ARRAY_SIZE(commands));
}
