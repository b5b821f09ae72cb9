/* From the loader to the run loop: the order in which things come up is this file. */
#include "boot/main.h"

#include "boot/cores.h"
#include "boot/fault.h"
#include "boot/memory.h"
#include "boot/multiboot2.h"
#include "boot/options.h"
#include "boot/output.h"
#include "boot/vms.h"
#include "core/clock.h"
#include "core/console.h"
#include "core/lib/panic.h"
#include "core/run.h"
#include "core/trace.h"
#include "core/vcpu_ops.h"
#include "core/vmfault.h"
#include "core/x86/asm.h"
#include "core/x86/panic.h"
#include "core/x86/percpu.h"
#include "core/x86/vectors.h"
#include "drivers/hw/firmware.h"
#include "drivers/hw/ioapic.h"
#include "drivers/hw/pic.h"
#include "drivers/hw/power.h"
#include "drivers/hw/tsc.h"
#include "mm/layout.h"

const struct vendor *vendor;
const struct vcpu_ops *vcpu_ops;

static struct boot_info boot;
static struct options options;
static uint64_t entered; /* the TSC at our first instruction */

/* The one place that knows both back ends. Whether the chosen one can be used is for its probe to say. */
static void vendor_choose(void)
{
    bool amd = cpuid(0, 0).ecx == 0x444d4163 /* "cAMD" */ ||
               cpuid(0, 0).ecx == 0x656e6975 /* "uine", Hygon */;
    bool svm = cpuid(0x80000001, 0).ecx & BIT(2);

    vendor = svm || amd ? &svm_vendor : &vmx_vendor;
    vcpu_ops = vendor->ops;
}

static void stop_after_panic(void)
{
    console_flush();
    if (options.on_panic == PANIC_POWEROFF)
        power_off(1);
    if (options.on_panic == PANIC_REBOOT)
        power_reset();
    power_halt();
}

static void info_read(uint32_t mbi)
{
    const char *error;
    int err = multiboot2_parse(pool_ptr(mbi), MULTIBOOT2_INFO_MAX, &boot, &error);

    options_parse(&options, boot.cmdline);
    if (!err)
        vms_configure(&boot, &options);
    output_init(&options, &boot.screen);
    log_info("Keel " KEEL_VERSION);
    if (err)
        boot_fail("%s", error);
}

static void clock_start(void)
{
    const char *source;
    uint64_t hz = tsc_find(&acpi_host, &source);

    clock_init(hz);
    log_set_clock(clock_now);
    log_info("clock: the TSC runs at %llu.%03llu MHz (%s)", (unsigned long long)(hz / 1000000),
             (unsigned long long)(hz / 1000 % 1000), source);
}

static void caps_print(void)
{
    char list[640];

    caps_format(caps, list, sizeof(list));
    log_event("cap", "cores=%u list=%s", cpu_count, list);
}

static void boot_print(void)
{
    uint64_t ram = 0;

    for (uint32_t i = 0; i < boot.range_count; i++)
        if (boot.ranges[i].kind == BOOT_RANGE_RAM)
            ram += boot.ranges[i].len;
    log_event("boot", "version=" KEEL_VERSION " firmware=%s vendor=%s cores=%u memory=%lluM loader=\"%s\"",
              boot.efi ? "uefi" : "bios", vendor->name, cpu_count, (unsigned long long)(ram / MiB),
              boot.loader);
}

static void trace_begin(void)
{
    if (options.trace && trace_start(options.trace))
        log_error("the pool has no memory for a trace of %llu KiB for each core",
                  (unsigned long long)(options.trace / KiB));
}

static NORETURN void core_run(void)
{
    if (this_cpu()->index == 0 || options.test == TEST_REMOTE)
        fault_run(options.test);
    run_core();
}

/* On core 0's own stack, in the hypervisor's own address space. */
static NORETURN void boot_rest(void *arg)
{
    (void)arg;
    output_add_screen(&boot.screen);    /* what was said up to now appears there */
    firmware_init(&boot);               /* ACPI tables */
    power_init(&acpi_host);             /* how the machine ends */
    output_add_firmware_port(&options); /* SPCR */
    clock_start();                      /* the TSC's rate; log lines get their time */
    pic_disable(VECTOR_PIC);            /* the old interrupt controllers stay silent */
    ioapic_init(&acpi_host);            /* and so do the I/O APICs */
    if (run_init())                     /* what cores do from here on */
        panic("the vectors of the run loop are taken");
    vmfault_init();                              /* memory may come when it is touched */
    cores_start(&acpi_host, &options, core_run); /* all cores, in root mode or host mode */
    boot_print();                                /* event=boot */
    caps_print();                                /* event=cap */
    trace_begin();                               /* if it is wanted */
    output_start();                              /* serial port and screen work beside the guests */
    vms_start(&boot, &options, entered);         /* the VMs: they run as soon as a core asks for work */
    core_run();
}

void boot_main(uint32_t mbi, uint32_t image, uint64_t tsc)
{
    entered = tsc;
    cores_init();   /* exceptions are told from here on */
    info_read(mbi); /* what the loader says; options; the serial port */
    panic_set_stop(stop_after_panic);
    vendor_choose();                         /* VMX or SVM */
    cores_choose(&options);                  /* what this CPU can do, and will */
    memory_init(&boot, image, options.pool); /* pool, guest memory, our own page tables */
    cores_move_boot(boot_rest, NULL);        /* a stack with a guard page */
}
