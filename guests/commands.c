/* Commands that list VMs and steer them. */
#include "guests/commands.h"

#include "core/lib/error.h"
#include "core/lib/format.h"
#include "core/monitor.h"
#include "core/vm.h"
#include "guests/launch.h"
#include "mm/frame.h"

#define QUOTED_MAX 1024

typedef unsigned long long ull;

uint32_t command_find(const char *name)
{
    uint32_t vm = launch_find(name);

    if (vm == LAUNCH_NONE)
        monitor_no_vm(name);
    return vm;
}

static const char *command_error(int err)
{
    switch (err) {
    case ERR_BUSY:
        return "not-in-this-state";
    case ERR_NOTFOUND:
        return "not-there";
    case ERR_NOMEM:
        return "no-memory";
    default:
        return "failed";
    }
}

int command_result(uint32_t vm, int err)
{
    if (err)
        monitor_print("vm=%s error=%s state=%s", launch_spec(vm)->name, command_error(err), launch_state(vm));
    return 0;
}

static int command_list(uint32_t count, const char *const *words)
{
    (void)words;
    if (count != 1)
        return ERR_INVALID;
    for (uint32_t i = 0; i < launch_count(); i++) {
        const struct machine_spec *s = launch_spec(i);

        monitor_print("vm=%s state=%s vcpus=%u memory_mib=%llu pool_kib=%llu", s->name, launch_state(i),
                      s->vcpus, (ull)s->memory / MiB,
                      (ull)frame_used_by((uint16_t)(OWNER_VM + i)) * PAGE_SIZE / KiB);
    }
    return 0;
}

static void info_look(struct vm *vm, const struct launch_args *args)
{
    const struct vm_pool pool = vm_pool(vm);

    (void)args;
    monitor_print("vm=%s pool_kib=%llu board_kib=%llu tables_kib=%llu vcpus_kib=%llu vcpu_kib=%llu", vm->name,
                  pool.total * PAGE_SIZE / KiB, pool.board * PAGE_SIZE / KiB, pool.tables * PAGE_SIZE / KiB,
                  pool.vcpus * PAGE_SIZE / KiB, pool.vcpu * PAGE_SIZE / KiB);
    monitor_print("vm=%s made_to_reset_ticks=%llu copy_ticks=%llu gone_mib=%llu reported_mib=%llu", vm->name,
                  (ull)(vm->tsc_start - vm->made), (ull)vm->copy_ticks, (ull)vmballoon_gone(vm) / MiB,
                  (ull)vmballoon_reported(vm) / MiB);
}

/* What a VM holds and what its start took, if it is there. */
static void info_made(uint32_t vm)
{
    const struct launch_args none = {0};

    if (launch_visit(vm, info_look, &none) == ERR_BUSY)
        command_result(vm, ERR_BUSY);
}

static int command_info(uint32_t count, const char *const *words)
{
    static const char *const crashes[] = {"stop", "restart", "hold"};
    static const char *const pvs[] = {"none", "kvm", "hyperv"};
    const struct machine_spec *s;
    char quoted[QUOTED_MAX];
    uint32_t vm;

    if (count != 2)
        return ERR_INVALID;
    vm = command_find(words[1]);
    if (vm == LAUNCH_NONE)
        return 0;
    s = launch_spec(vm);
    monitor_print(
        "vm=%s state=%s vcpus=%u memory_mib=%llu weight=%u cap=%u on_crash=%s on_reboot=%s autostart=%s "
        "watchdog=%u debug_exit=%s pv=%s",
        s->name, launch_state(vm), s->vcpus, (ull)s->memory / MiB, s->weight, s->cap, crashes[s->on_crash],
        s->on_reboot == ON_REBOOT_RESTART ? "restart" : "stop", s->autostart ? "yes" : "no", s->watchdog,
        s->debug_exit ? "yes" : "no", pvs[s->pv]);
    monitor_print("vm=%s kernel_bytes=%llu initrd_bytes=%llu cmdline=\"%s\"", s->name,
                  (ull)s->files.kernel.len, (ull)guest_module_bytes(&s->files),
                  fmt_quote(quoted, sizeof(quoted), s->files.cmdline));
    info_made(vm);
    return 0;
}

static int command_order(uint32_t count, const char *const *words, int (*order)(uint32_t index))
{
    uint32_t vm;

    if (count != 2)
        return ERR_INVALID;
    vm = command_find(words[1]);
    return vm == LAUNCH_NONE ? 0 : command_result(vm, order(vm));
}

static int command_start(uint32_t count, const char *const *words)
{
    return command_order(count, words, launch_start);
}

static int command_stop(uint32_t count, const char *const *words)
{
    return command_order(count, words, launch_stop);
}

static int command_kill(uint32_t count, const char *const *words)
{
    return command_order(count, words, launch_kill);
}

static int command_reset(uint32_t count, const char *const *words)
{
    return command_order(count, words, launch_reset);
}

static int command_pause(uint32_t count, const char *const *words)
{
    return command_order(count, words, launch_pause);
}

static int command_resume(uint32_t count, const char *const *words)
{
    return command_order(count, words, launch_resume);
}

static const char *command_vm_name(uint32_t index)
{
    return index < launch_count() ? launch_spec(index)->name : NULL;
}

int commands_init(void)
{
    static const struct monitor_command commands[] = {
        {"vm list", "", "lists the VMs", command_list},
        {"vm info", "NAME", "shows how a VM is described", command_info},
        {"vm start", "NAME", "makes a VM from its modules and runs it", command_start},
        {"vm stop", "NAME", "switches a VM off", command_stop},
        {"vm kill", "NAME", "switches a VM off and counts it as failed", command_kill},
        {"vm reset", "NAME", "presses a VM's reset switch", command_reset},
        {"vm pause", "NAME", "stops a VM's time", command_pause},
        {"vm resume", "NAME", "lets it go on", command_resume},
    };
    int err = monitor_register(commands, ARRAY_SIZE(commands));

    monitor_set_names(command_vm_name);
    if (!err)
        err = commands_machine_init();
    if (!err)
        err = commands_look_init();
    if (!err)
        err = commands_stats_init();
    if (!err)
        err = commands_trace_init();
    return err ? err : commands_devices_init();
}
