/*
 * What QEMU's own CPU (TCG, seen with version 7.2) does wrong. A test that is listed here and fails is skipped there; on
 * other machines it counts. Under a hypervisor the first table applies: these never cause an exit.
 */
#include "guests/payload/payload.h"

#include "core/lib/string.h"

static const char *const always[] = {
    /* the PAT takes every value; bases and targets needn't be canonical */
    "msr.pat-type-2-refused",
    "msr.pat-type-8-refused",
    "msr.lstar-canonical-refused",
    "msr.kernel-gs-canonical-refused",
    "msr.fs-base-canonical-refused",
    /* INT1 is undefined; a non-canonical stack access is #GP; the error code of INT n takes a gate for two entries */
    "exceptions.int1-vector",
    "exceptions.int1-rip",
    "exceptions.ss-canonical-vector",
    "exceptions.gp-int-user-error",
    /* that of a gate which isn't there likewise, and without EXT; an injected fault makes no double fault */
    "delivery.ud-np-error",
    "delivery.vmxon-ud-np-error",
    "delivery.interrupt-np-error",
    "delivery.nmi-np-error",
    "delivery.msr-gp-np",
    "delivery.msr-gp-np-error",
    /* the P bit of a reserved-bit fault is missing */
    "exceptions.pf-reserved-error",
    /* there is no #XM and no #AC, and DR7.GD does nothing */
    "exceptions.xm-vector",
    "exceptions.xm-rip",
    "exceptions.ac-vector",
    "exceptions.ac-rip",
    "debug.gd-count",
    "debug.gd-dr6",
    /* RF isn't in what a task switch saves of a task that took a fault */
    "modes.task-by-fault-rf",
    "real.task-by-fault-rf",
    /* PUSHF behind ADCX and ADOX pushes what isn't flags */
    "mmio.adcx",
    "mmio.adox",
    /* RDTSCP asks for no intercept of its own, so it can't be taken away from a guest */
    "instructions.rdtscp-hidden",
};

static const char *const bare[] = {
    /* RF isn't in the frame of a fault */
    "exceptions.ud-rf",
    /* no MSR write is refused, an unknown one reads as 0, and the TSC isn't the one that RDTSC reads */
    "msr.efer-reserved-refused",
    "msr.efer-lme-with-paging-refused",
    "msr.apic-base-reserved-refused",
    "msr.unknown-refused",
    "msr.unknown-read",
    "msr.unknown-read-rip",
    "msr.tsc-read",
    "msr.mtrr-cap-write",
    "msr.mtrr-def-type-2",
    "x2apic.msr-in-xapic-mode",
    "cr.cr8-reserved",
    "instructions.rdpmc",
    /* by default the RTC follows the host's clock, which idle time that is skipped runs away from */
    "clocks.rtc-second",
    /* with an edge on its way, the HPET's timer is late or comes twice */
    "hpet.once",
    "hpet.accumulator",
};

static bool listed(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}

bool known_wrong(const char *name)
{
    if (!on_tcg)
        return false;
    return listed(always, ARRAY_SIZE(always), name) || (!on_keel && listed(bare, ARRAY_SIZE(bare), name));
}
