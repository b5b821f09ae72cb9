#include "boot/cores.h"

#include "boot/memory.h"
#include "boot/output.h"
#include "core/clock.h"
#include "core/vcpu_ops.h"
#include "core/lib/error.h"
#include "core/lib/lock.h"
#include "core/x86/asm.h"
#include "core/x86/cpu_init.h"
#include "core/x86/features.h"
#include "core/x86/fpu.h"
#include "core/x86/lapic.h"
#include "core/x86/panic.h"
#include "core/x86/smp.h"
#include "core/x86/traps.h"
#include "drivers/hw/acpi.h"
#include "drivers/hw/lapic_rate.h"
#include "mm/frame.h"
#include "mm/hostmap.h"
#include "mm/layout.h"

#define STACK_PAGES     4
#define IST_STACK_PAGES 1
#define EARLY_STACK     4096
#define ANSWER_NS       (5 * NS_PER_SEC)

static struct cpu_memory boot_cpu;
static uint8_t early_stacks[IST_COUNT][EARLY_STACK] __attribute__((aligned(16)));

static struct caps allowed = {MASK(CAP_COUNT)}; /* less what the options disable */
static NORETURN void (*cores_run)(void);

/* How far a core is, in cpu->stage. */
enum stage { STAGE_NONE, STAGE_EXAMINED, STAGE_ENABLED, STAGE_UNFIT };

void cores_init(void)
{
    void *stacks[IST_COUNT];
    struct cpu *cpu = cpu_setup(&boot_cpu, 0, 0);

    for (uint32_t i = 0; i < IST_COUNT; i++)
        stacks[i] = early_stacks[i] + EARLY_STACK;
    gdt_init(cpu, stacks);
    traps_init();
    cpu_load(cpu);
    cpus[0] = cpu;
    cpu_count = 1;
}

static void *stack_alloc(uint32_t pages)
{
    void *top = hostmap_stack(pages);

    if (!top)
        boot_fail("memory: none left for a core's stack");
    return top;
}

static void stacks_alloc(struct cpu *cpu)
{
    void *stacks[IST_COUNT] = {NULL};

    for (uint32_t i = IST_NONE + 1; i < IST_COUNT; i++)
        stacks[i] = stack_alloc(IST_STACK_PAGES);
    cpu->stack_top = stack_alloc(STACK_PAGES);
    gdt_init(cpu, stacks);
}

void cores_move_boot(void (*next)(void *arg), void *arg)
{
    struct cpu *cpu = cpus[0];

    stacks_alloc(cpu);
    cpu_load(cpu);
    panic_set_guard(hostmap_is_guard);
    cpu_switch_stack(cpu->stack_top, next, arg);
}

/* What this core can do, by itself; cpu->error if it can't be used. */
static int core_examine(struct cpu *cpu)
{
    struct caps generic, virtual = {0};
    int err = features_probe(&generic, &cpu->error);

    if (!err)
        err = vendor->probe(&virtual, &cpu->error);
    cpu->caps.bits = generic.bits | virtual.bits;
    return err;
}

void cores_choose(const struct options *options)
{
    struct cpu *cpu = this_cpu();

    caps_disable(&allowed, options->disable);
    if (core_examine(cpu))
        boot_fail("this machine can't run Keel: %s", cpu->error);
    caps_settle((struct caps){cpu->caps.bits & allowed.bits});
    features_enable();
}

/* What each core does for itself once the record is settled. */
static int core_enable(struct cpu *cpu)
{
    features_enable();
    if (lapic_enable()) {
        cpu->error = "its LAPIC can't be put into the mode of the others";
        return ERR_NOTSUP;
    }
    cpu->apic_id = lapic_id();
    lapic_timer_enable();
    if (vendor->cpu_on()) {
        cpu->error = "it can't be taken into the mode for running guests";
        return ERR_NOTSUP;
    }
    cpu->online = true;
    return 0;
}

static void stage_set(struct cpu *cpu, uint32_t stage)
{
    __atomic_store_n(&cpu->stage, stage, __ATOMIC_RELEASE);
}

static uint32_t stage_get(const struct cpu *cpu)
{
    return __atomic_load_n(&cpu->stage, __ATOMIC_ACQUIRE);
}

static bool stage_wait(const struct cpu *cpu, uint32_t from)
{
    uint64_t limit = clock_now() + ANSWER_NS;

    while (stage_get(cpu) == from && clock_now() < limit)
        cpu_pause();
    return stage_get(cpu) != from;
}

static NORETURN void core_park(void)
{
    for (;;)
        cpu_halt();
}

/* Set by the boot core when the record is settled; a core that isn't in cpus[] by then isn't wanted. */
static bool settled;

static bool core_wanted(const struct cpu *cpu)
{
    return cpu->index < cpu_count && cpus[cpu->index] == cpu;
}

/* The life of every core but the first. */
static void core_main(struct cpu *cpu)
{
    hostmap_activate();
    cpu_load(cpu);
    stage_set(cpu, core_examine(cpu) ? STAGE_UNFIT : STAGE_EXAMINED);
    while (!__atomic_load_n(&settled, __ATOMIC_ACQUIRE))
        cpu_pause();
    if (!core_wanted(cpu))
        core_park();
    if (core_enable(cpu)) {
        stage_set(cpu, STAGE_UNFIT);
        core_park();
    }
    stage_set(cpu, STAGE_ENABLED);
    cores_run();
}

/* Page tables for the way out of the trampoline: its page at its own address, and the hypervisor's half. */
static void *trampoline_tables(hpa_t page)
{
    uint64_t *tables = frame_alloc(4, OWNER_HOST_PT);
    const uint64_t *shared = pool_ptr(hostmap_root());

    if (!tables)
        return NULL;
    for (uint32_t slot = 256; slot < 512; slot++)
        tables[slot] = shared[slot];
    for (size_t level = 0; level < 3; level++)
        tables[512 * level] = (pool_hpa(tables) + (level + 1) * PAGE_SIZE) | 3; /* present, writable */
    tables[3 * 512ull + (page >> PAGE_SHIFT)] = page | 3;
    return tables;
}

static struct cpu *core_new(void)
{
    struct cpu_memory *memory = frame_alloc(frame_count(sizeof(*memory)), OWNER_CPU);
    struct cpu *cpu;

    if (!memory)
        boot_fail("memory: none left for core %u", cpu_count);
    cpu = cpu_setup(memory, cpu_count, 0);
    stacks_alloc(cpu);
    return cpu;
}

/* Starts and examines a core; returns what smp_start() said, and in cpu->error why it can't be used. */
static int core_start(struct cpu *cpu)
{
    int err = smp_start(cpu, core_main, clock_now);

    if (err == ERR_TIMEOUT)
        cpu->error = "it doesn't answer";
    else if (err)
        cpu->error = "it, or one before it, got lost while it started";
    else if (!stage_wait(cpu, STAGE_NONE))
        cpu->error = "it went silent after its first instructions";
    return err;
}

/* An id that this LAPIC mode can't address can't be started either. */
static bool apic_id_reachable(uint32_t apic_id)
{
    return cap(CAP_X2APIC) || apic_id < 255;
}

/* False if a core got lost on its way through the trampoline. */
static bool others_start(const struct acpi_info *acpi, uint32_t limit)
{
    struct cpu *spare = NULL; /* of a core that didn't answer: the next one takes its memory and number */
    bool lost = false;

    for (uint32_t i = 0; i < acpi->cpu_count && cpu_count < limit && !lost; i++) {
        uint32_t id = acpi->cpus[i];
        struct cpu *cpu;
        int err;

        if (id == cpus[0]->apic_id)
            continue;
        if (!apic_id_reachable(id)) {
            log_warn("core with APIC id 0x%x is left out: only x2APIC mode reaches it", id);
            continue;
        }
        cpu = spare ? spare : core_new();
        cpu->apic_id = id;
        cpu->error = NULL;
        err = core_start(cpu);
        if (cpu->error)
            log_warn("core with APIC id 0x%x is left out: %s", id, cpu->error);
        else
            cpus[cpu_count++] = cpu;
        spare = err == ERR_TIMEOUT ? cpu : NULL;
        lost = err == ERR_BUSY;
    }
    return !lost;
}

static void trampoline_run(const struct acpi_info *acpi, uint32_t limit)
{
    struct smp_trampoline t = {.hpa = memory_low_page()};
    void *tables = t.hpa ? trampoline_tables(t.hpa) : NULL;

    t.page = t.hpa ? hostmap_device(t.hpa, PAGE_SIZE, 0) : NULL;
    if (!tables || !t.page) {
        log_warn("no memory below 1 MiB: the other cores can't be started");
        return;
    }
    t.root = pool_hpa(tables);
    smp_init(&t);
    if (others_start(acpi, limit))
        frame_free(tables, 4);
}

/* All cores that are in, reduced to what each of them has. */
static void record_settle(void)
{
    struct caps common = allowed;

    for (uint32_t i = 0; i < cpu_count; i++)
        common.bits &= cpus[i]->caps.bits;
    caps_settle(common);
}

static void others_enable(void)
{
    __atomic_store_n(&settled, true, __ATOMIC_RELEASE);
    for (uint32_t i = 1; i < cpu_count; i++)
        if (!stage_wait(cpus[i], STAGE_EXAMINED) || stage_get(cpus[i]) != STAGE_ENABLED)
            log_warn("core %u is left out: %s", i, cpus[i]->error ? cpus[i]->error : "it went silent");
}

void cores_start(const struct acpi_info *acpi, const struct options *options, NORETURN void (*run)(void))
{
    struct cpu *cpu = this_cpu();
    void *page = hostmap_device(lapic_base(), PAGE_SIZE, PT_UC);

    cores_run = run;
    if (features_virtual())
        lock_be_unfair();
    lapic_init(page);
    if (!page || lapic_enable())
        boot_fail("the local APIC can't be put into %s mode", cap(CAP_X2APIC) ? "x2APIC" : "xAPIC");
    cpu->apic_id = lapic_id();
    trampoline_run(acpi, options->cpus != 0 ? MIN(options->cpus, CPU_MAX) : CPU_MAX);
    record_settle();
    fpu_init();
    lapic_rate_measure(clock_tsc_hz());
    if (vendor->init())
        boot_fail("%s can't be set up: no memory", vendor->name);
    if (core_enable(cpu))
        boot_fail("this machine can't run Keel: %s", cpu->error);
    others_enable();
}
