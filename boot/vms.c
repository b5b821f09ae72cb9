#include "boot/vms.h"

#include "core/audit.h"
#include "core/clock.h"
#include "core/console.h"
#include "core/lib/log.h"
#include "core/lib/string.h"
#include "core/monitor.h"
#include "core/run.h"
#include "core/vm.h"
#include "core/x86/percpu.h"
#include "drivers/hw/firmware.h"
#include "drivers/hw/power.h"
#include "drivers/hw/rtc.h"
#include "guests/commands.h"
#include "guests/config.h"
#include "guests/launch.h"
#include "mm/layout.h"

static NORETURN void machine_end(int status)
{
    log_event("poweroff", "status=%d", status);
    console_flush();
    power_off(status);
}

static void monitor_power_off(void)
{
    machine_end(0);
}

static NORETURN void machine_reset(void)
{
    log_event("poweroff", "status=0 reason=reboot");
    console_flush();
    power_reset();
}

static void monitor_reboot(void)
{
    machine_reset();
}

/* All VMs have stopped: on_idle. */
static void machine_idle(const struct options *options, int status)
{
    log_event("idle", "status=%d", status);
    switch (options->on_idle) {
    case IDLE_REBOOT:
        machine_reset();
    case IDLE_HALT:
        break;
    case IDLE_MONITOR:
        console_enter_monitor();
        break;
    default:
        machine_end(status);
    }
}

static const struct options *vms_options;

static void vms_ended(int status)
{
    machine_idle(vms_options, status);
}

/* The first VM from `from` on that was made, by its number; LAUNCH_NONE if there is none. */
static uint32_t console_next(uint32_t from)
{
    for (uint32_t i = from; i < launch_count(); i++)
        if (console_vm_find(launch_spec(i)->name))
            return i;
    return LAUNCH_NONE;
}

/* With a single VM its console is passed through raw, unless an option says otherwise (DESIGN 7). */
static bool console_is_raw(void)
{
    return vms_options->console == CONSOLE_UNSET ? launch_count() == 1
                                                 : vms_options->console == CONSOLE_FOCUS;
}

static void console_choose(void)
{
    uint32_t first = console_next(0);

    if (first != LAUNCH_NONE)
        console_attach(console_vm_find(launch_spec(first)->name), console_is_raw());
}

/* Where what is typed goes, and how to get elsewhere: the last line before the guests' own. */
static void console_explain(uint32_t first, uint32_t second)
{
    if (first == LAUNCH_NONE)
        return;
    log_info("%s VM %s. Ctrl-] for Keel's prompt:%s%s%s help, quit",
             console_is_raw() ? "this is" : "what you type goes to", launch_spec(first)->name,
             second == LAUNCH_NONE ? "" : " console ", second == LAUNCH_NONE ? "" : launch_spec(second)->name,
             second == LAUNCH_NONE ? "" : ",");
}

/* limit=: an end for machines whose VMs have none. */
static void limit_reached(struct timer *timer, uint64_t now)
{
    (void)timer, (void)now;
    log_event("poweroff", "status=1 reason=limit");
    console_flush();
    power_off(1);
}

static void limit_arm(uint32_t seconds)
{
    static struct timer timer;

    if (seconds == 0)
        return;
    timer_init(&timer, run_timers(0), limit_reached);
    timer_arm(&timer, seconds * NS_PER_SEC);
}

static struct config config;
static bool configured;

static void config_fault(void *ctx, uint32_t line, const char *sentence)
{
    (void)ctx;
    log_error(CONFIG_NAME ":%u: %s", line, sentence);
}

static bool config_has_module(void *ctx, const char *name)
{
    return launch_has_module(ctx, name);
}

/* Files that are disks of VMs and nothing else aren't mapped where every core sees them. */
static void config_mark_disks(struct boot_info *boot)
{
    const struct config_file *file;

    for (uint32_t i = 0; i < boot->module_count; i++) {
        struct boot_module *m = &boot->modules[i];
        uint32_t disks = 0, others = 0;

        for (uint32_t v = 0; v < config.vm_count; v++)
            for (uint32_t n = 0; (file = config_file_at(&config.vms[v], n)); n++) {
                bool same = launch_module_is(m, file->name),
                     disk = str_eq(file->key, "disk") || str_eq(file->key, "cdrom");

                disks += same && disk;
                others += same && !disk;
            }
        m->disk = disks && !others;
    }
}

void vms_configure(struct boot_info *boot, struct options *options)
{
    for (uint32_t i = 0; i < boot->module_count; i++) {
        const struct boot_module *m = &boot->modules[i];

        if (!str_eq(m->cmdline, CONFIG_NAME) && !str_starts(m->cmdline, CONFIG_NAME " "))
            continue;
        configured = true;
        config_parse(pool_ptr(m->base), m->len, &config, config_fault, boot);
        config_check(&config, config_has_module, config_fault, boot);
        config_mark_disks(boot);
        if (!options_fill(options, &config.keel))
            log_warn(CONFIG_NAME ": the list of disabled features is too long");
        return;
    }
}

void vms_start(const struct boot_info *boot, const struct options *options, uint64_t entered)
{
    uint32_t first, second;

    vms_options = options;
    monitor_init(monitor_power_off, monitor_reboot);
    if (commands_init() || (options->test == TEST_PLANT && commands_plant_init()))
        log_warn("the monitor has no room for its commands");
    machine_init(rtc_read(acpi_host.power.century));
    if (configured ? launch_add_config(boot, &config) : launch_add_default(boot, cpu_count))
        machine_end(1);
    launch_plan();
    launch_make_all();
    console_choose();
    if (options->test == TEST_AUDIT)
        commands_plant_shown();
    if (audit_run().faults)
        machine_end(1);
    limit_arm(options->limit);
    first = console_next(0);
    second = first == LAUNCH_NONE ? LAUNCH_NONE : console_next(first + 1);
    launch_all(vms_ended);
    /* What a guest adds to it is its own TSC at its first instruction, which began when its reset did. */
    if (machine_first_reset())
        log_event("bench", "entry-to-reset=%llu copy=%llu",
                  (unsigned long long)(machine_first_reset() - entered),
                  (unsigned long long)machine_copy_ticks());
    console_explain(first, second);
}
