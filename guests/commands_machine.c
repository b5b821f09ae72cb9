/* Commands about the machine and the hypervisor. */
#include "core/lib/error.h"
#include "core/lib/format.h"
#include "core/lib/log.h"
#include "core/lib/string.h"
#include "core/monitor.h"
#include "core/vm.h"
#include "core/x86/caps.h"
#include "core/x86/percpu.h"
#include "guests/commands.h"
#include "guests/launch.h"
#include "mm/frame.h"
#include "mm/guestram.h"

#define LOG_SHOWN 1024

typedef unsigned long long ull;

static int command_caps(uint32_t count, const char *const *words)
{
    (void)words;
    if (count != 1)
        return ERR_INVALID;
    for (uint32_t i = 0; i < CAP_COUNT; i++)
        monitor_print("%s=%u", cap_name(i), cap(i));
    return 0;
}

/* A core's vCPU may go while it is named: its VM is told by the list of VMs, which stays. */
static int command_cpus(uint32_t count, const char *const *words)
{
    (void)words;
    if (count != 1)
        return ERR_INVALID;
    for (uint32_t i = 0; i < cpu_count; i++)
        monitor_print("cpu=%u apic=%u online=%u busy=%u interrupts=%llu", i, cpus[i]->apic_id,
                      cpus[i]->online, __atomic_load_n(&cpus[i]->vcpu, __ATOMIC_RELAXED) != NULL,
                      (ull)cpus[i]->interrupts);
    return 0;
}

static int command_memory(uint32_t count, const char *const *words)
{
    struct frame_stats pool = frame_stats();

    (void)words;
    if (count != 1)
        return ERR_INVALID;
    monitor_print("pool_kib=%llu pool_free_kib=%llu guest_mib=%llu guest_free_mib=%llu",
                  (ull)pool.total * PAGE_SIZE / KiB, (ull)pool.free * PAGE_SIZE / KiB,
                  (ull)guestram_total_bytes() / MiB, (ull)guestram_free_bytes() / MiB);
    return 0;
}

static int command_audit(uint32_t count, const char *const *words)
{
    struct audit_result result;

    (void)words;
    if (count != 1)
        return ERR_INVALID;
    result = launch_audit();
    monitor_print("result=%s faults=%u vms=%llu", result.faults ? "failed" : "ok", result.faults,
                  (ull)result.vms);
    return 0;
}

static void command_log_line(const char *line, size_t len)
{
    monitor_print("%.*s", (int)len, line);
}

/* `keel[SECONDS] TEXT`, and the text of an event has its pairs. */
static void command_log_pairs(const char *line, size_t len)
{
    char text[LOG_SHOWN], quoted[LOG_SHOWN];
    const char *from = text;

    fmt_print(text, sizeof(text), "%.*s", (int)len, line);
    for (; *from && *from != ' '; from++)
        ;
    if (!str_starts(text, "keel[") || from - text < 6 || !*from)
        return;
    if (str_starts(from, " event="))
        monitor_print("seconds=%.*s %s", (int)(from - text) - 6, text + 5, from + 1);
    else
        monitor_print("seconds=%.*s text=\"%s\"", (int)(from - text) - 6, text + 5,
                      fmt_quote(quoted, sizeof(quoted), from + 1));
}

static int command_log(uint32_t count, const char *const *words)
{
    static const char *const names[] = {
        [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};

    if (count == 1) {
        log_replay(monitor_for_program() ? command_log_pairs : command_log_line);
        return 0;
    }
    for (uint32_t i = 0; i < ARRAY_SIZE(names) && count == 2; i++) {
        if (!str_eq(words[1], names[i]))
            continue;
        log_set_level(i);
        monitor_print("log=%s", names[i]);
        return 0;
    }
    return ERR_INVALID;
}

int commands_machine_init(void)
{
    static const struct monitor_command commands[] = {
        {"cpus", "", "lists the cores", command_cpus},
        {"memory", "", "shows the pool and guest memory", command_memory},
        {"cap", "", "shows the capability record", command_caps},
        {"audit", "", "proves the isolation of the VMs", command_audit},
        {"log", "[error|warn|info|debug]", "repeats the hypervisor's last lines, or sets how much it says",
         command_log},
    };

    return monitor_register(commands, ARRAY_SIZE(commands));
}
