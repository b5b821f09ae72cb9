/*
 * The test guest. The command line says what runs: nothing or `exits` for all tests, `exits=cpuid,msr` for some, `bench`
 * for the measurements of one CPU, `bench=common` for some of them in many VMs, `bench=pair` or `bench=switch` for those of two, `bench=disk`, `bench=net` and `bench=echo`
 * for those of devices, `fault=KIND` to end the machine in one of the ways of fault.c. `smp=N` is for N CPUs; `beat=MS` and `hog=KINDS` are for VMs beside others, `for=MS` says how long;
 * `ipi=N` sends so many to a second CPU that runs, or with `halted` sleeps, and with `late` looks how late they are; `after=MS` has all of this wait first.
 * `sockets=CID` talks to another VM; `share` uses the memory that another VM, which runs the same, shares with this one; `attack` misuses all virtio devices; `balloon` gives memory up and takes it again, `holes` reports it to be free and touches it.
 * `steps=N` has exits of known kinds, `late=N` measures how late so many timers are; `pattern=write` fills the RAM before a fault, `pattern=search` looks through it.
 */
#include "guests/payload/bench.h"
#include "guests/payload/pv.h"
#include "guests/payload/smp.h"

#include "core/lib/string.h"

static const struct {
    const char *name;
    void (*run)(void);
} tests[] = {
    {"cpuid", test_cpuid},
    {"msr", test_msr},
    {"x2apic", test_x2apic},
    {"ports", test_ports},
    {"string", test_string_io},
    {"exceptions", test_exceptions},
    {"delivery", test_delivery},
    {"debug", test_debug},
    {"cr", test_cr},
    {"pcid", test_pcid},
    {"xsave", test_xsave},
    {"cache", test_cache},
    {"instructions", test_instructions},
    {"lapic", test_lapic},
    {"ioapic", test_ioapic},
    {"hpet", test_hpet},
    {"nmi", test_nmi},
    {"hlt", test_hlt},
    {"timer", test_lapic_timer},
    {"pv", test_pv},
    {"hv", test_hv},
    {"clocks", test_clocks},
    {"modes", test_mode_walk},
    {"levels", test_levels},
    {"mmio", test_mmio},
    {"stack", test_stack},
};

/* Only when they are named: not every CPU can run them. */
static const struct {
    const char *name;
    void (*run)(void);
} more_tests[] = {
    {"real", test_real},
};

void payload_main(void);

/* The word of the command line that begins with key and ends there or goes on with '=', or NULL. */
static const char *option_find(const char *key)
{
    size_t len = str_len(key);

    for (const char *p = cmdline; *p; p++) {
        bool begins = p == cmdline || p[-1] == ' ';

        if (begins && str_starts(p, key) && (p[len] == 0 || p[len] == ' ' || p[len] == '='))
            return p;
    }
    return NULL;
}

/* The number behind `key=`. */
static uint32_t option_number(const char *key, uint32_t otherwise)
{
    const char *p = option_find(key);
    uint32_t value = 0;

    if (!p || p[str_len(key)] != '=')
        return otherwise;
    for (p += str_len(key) + 1; *p >= '0' && *p <= '9'; p++)
        value = value * 10 + (uint32_t)(*p - '0');
    return value;
}

static void tests_run(const char *option)
{
    const char *list = option ? str_find(option, '=') : NULL;
    const char *end = option ? str_find(option, ' ') : NULL;

    if (list && end && end < list)
        list = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
        if (!list || list_has(list + 1, tests[i].name))
            tests[i].run();
    for (size_t i = 0; list && i < ARRAY_SIZE(more_tests); i++)
        if (list_has(list + 1, more_tests[i].name))
            more_tests[i].run();
}

/* What VMs do beside each other. True if there was such a word. */
static bool company_run(void)
{
    const char *hog = option_find("hog");
    uint32_t ms = option_number("for", 1000), beat = option_number("beat", 0), cpus = option_number("smp", 0);
    uint32_t ipis = option_number("ipi", 0), steps = option_number("steps", 0),
             late = option_number("late", 0);
    uint32_t other = option_number("sockets", 0);
    bool share = option_find("share"), attack = option_find("attack"), balloon = option_find("balloon"),
         holes = option_find("holes");

    if (hog)
        hog_run(str_starts(hog, "hog=") ? hog + 4 : "", MAX(cpus, 1), ms);
    else if (beat)
        beat_run(beat, ms);
    else if (steps)
        steps_run(steps);
    else if (late)
        late_run(late);
    else if (ipis && option_find("late"))
        ipi_late_run(ipis, option_find("halted"));
    else if (ipis)
        ipi_run(ipis, option_find("halted"));
    else if (balloon)
        balloon_run();
    else if (holes)
        holes_run(cpus);
    else if (attack)
        attack_run(cpus);
    else if (share)
        share_run(cpus);
    else if (other)
        sockets_run(other);
    else if (cpus && option_find("fault"))
        smp_start(cpus);
    else if (cpus)
        smp_run_tests(cpus);
    return hog || beat || steps || late || ipis || share || other || attack || balloon || holes ||
           (cpus && !option_find("fault"));
}

static void bench_kind(const char *kind)
{
    if (str_starts(kind, "disk"))
        bench_disk(option_number("count", 0), option_number("depth", 1), option_find("poll"));
    else if (str_starts(kind, "net"))
        bench_net();
    else if (str_starts(kind, "echo"))
        bench_echo();
    else if (str_starts(kind, "common"))
        bench_common();
    else if (str_starts(kind, "flood"))
        bench_flood();
    else if (str_starts(kind, "life"))
        disk_life(option_number("count", 0));
    else
        bench_pair_run(kind);
}

static void alone_run(void)
{
    const char *fault = option_find("fault"), *pattern = option_find("pattern"),
               *bench = option_find("bench");

    if (pattern && str_starts(pattern, "pattern=write"))
        pattern_write();
    else if (pattern)
        pattern_search();
    if (fault)
        fault_run(str_starts(fault, "fault=") ? fault + 6 : "");
    if (bench && str_starts(bench, "bench="))
        bench_kind(bench + 6);
    else if (bench)
        bench_run();
    if (option_find("exits") || !(bench || pattern))
        tests_run(option_find("exits"));
}

void payload_main(void)
{
    bool company;

    trap_init();
    machine_init();
    acpi_init();
    print("first-instruction tsc=%llu", (unsigned long long)first_tsc);
    interrupts_init();
    company = option_find("hog") || option_find("beat") || option_find("smp") || option_find("ipi") ||
              option_find("steps") || option_find("late") || option_find("attack") ||
              option_find("balloon") || option_find("holes") || option_find("share") ||
              option_find("sockets") || option_find("after") || option_find("pattern");
    clocks_init(!company);
    if (option_number("after", 0))
        sleep_us(1000ull * option_number("after", 0));
    if (!company_run())
        alone_run();
    finish();
}
