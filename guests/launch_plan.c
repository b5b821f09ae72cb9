/* The descriptions of the VMs: where they come from, and whether the machine has what they want. */
#include "core/boot_info.h"
#include "core/lib/error.h"
#include "core/lib/format.h"
#include "core/lib/log.h"
#include "core/lib/string.h"
#include "core/vcpu_ops.h"
#include "core/x86/percpu.h"
#include "guests/launch_list.h"
#include "guests/machine_devices.h"
#include "mm/guestram.h"
#include "mm/layout.h"

#define QUOTED_MAX 800 /* of a line of the log */

_Static_assert(CONFIG_MAX_INITRDS <= GUEST_MODULES_MAX, "all of a VM's initrds are taken");

struct launch launches[VM_MAX];
uint32_t launched;
bool launch_failed;

int launch_add(const struct machine_spec *spec)
{
    if (launched == VM_MAX)
        return ERR_NOMEM;
    launches[launched].spec = *spec;
    launches[launched].state = "created";
    launch_init(&launches[launched]);
    launched++;
    return 0;
}

/* The command line behind the first word of a module's line, which is its name. */
static const char *launch_module_args(const char *line)
{
    const char *space = str_find(line, ' ');

    if (!space)
        return "";
    while (*space == ' ')
        space++;
    return space;
}

bool launch_module_is(const struct boot_module *module, const char *name)
{
    size_t len = str_len(name);

    return str_starts(module->cmdline, name) && (module->cmdline[len] == 0 || module->cmdline[len] == ' ');
}

static const struct boot_module *launch_boot_module(const struct boot_info *boot, const char *name)
{
    for (uint32_t i = 0; i < boot->module_count && name; i++)
        if (launch_module_is(&boot->modules[i], name))
            return &boot->modules[i];
    return NULL;
}

static struct guest_file launch_file(const struct boot_module *m)
{
    return (struct guest_file){pool_ptr(m->base), m->len, m->cmdline};
}

static struct guest_file launch_module(const struct boot_info *boot, const char *name)
{
    const struct boot_module *m = launch_boot_module(boot, name);

    return m ? launch_file(m) : (struct guest_file){.line = ""};
}

bool launch_has_module(const struct boot_info *boot, const char *name)
{
    return launch_boot_module(boot, name) != NULL;
}

/* A disk of the file; its module isn't mapped here. False: it can't be one. */
static bool launch_disk(const struct boot_info *boot, const struct config_disk *from, struct machine_disk *to)
{
    const struct boot_module *m = launch_boot_module(boot, from->file.name);
    const char *key = m ? from->file.key : "disk";
    uint64_t bytes = m ? m->len : from->bytes;

    *to = (struct machine_disk){
        .kind = from->kind,
        .name = m ? from->file.name : "ram",
        .base = m ? m->base : 0,
        .len = ALIGN_DOWN(bytes, (uint64_t)VDISK_SECTOR),
        .rates = from->rates,
    };
    if (to->kind == DISK_RAM)
        to->memory = to->len;
    if (to->kind == DISK_COW)
        to->memory = machine_overlay_bytes(to->len, from->bytes);
    if (to->len == 0)
        log_error(CONFIG_NAME ":%u: %s '%s' is empty", from->file.line, key, to->name);
    else if (to->len != bytes)
        log_warn(CONFIG_NAME ":%u: the last %llu bytes of %s '%s' are no whole sector and not part of it",
                 from->file.line, (unsigned long long)(bytes - to->len), key, to->name);
    return to->len != 0;
}

static bool launch_disks(const struct boot_info *boot, const struct config_vm *vm, struct machine_spec *spec)
{
    for (uint32_t i = 0; i < vm->disk_count; i++)
        if (!launch_disk(boot, &vm->disks[i], &spec->disks[i]))
            return false;
    spec->disk_count = vm->disk_count;
    for (uint32_t i = 0; i < vm->cdrom_count; i++)
        if (!launch_disk(boot, &vm->cdroms[i], &spec->cdroms[i]))
            return false;
    spec->cdrom_count = vm->cdrom_count;
    return true;
}

static void launch_nets(const struct config_vm *vm, struct machine_spec *spec)
{
    spec->net_count = vm->net_count;
    for (uint32_t i = 0; i < vm->net_count; i++) {
        spec->nets[i] = (struct machine_net){
            .lan = vm->nets[i].lan, .has_mac = vm->nets[i].has_mac, .rates = vm->nets[i].rates};
        memcpy(spec->nets[i].mac, vm->nets[i].mac, sizeof(spec->nets[i].mac));
    }
}

static void launch_shmems(const struct config_vm *vm, struct machine_spec *spec)
{
    spec->shmem_count = vm->shmem_count;
    for (uint32_t i = 0; i < vm->shmem_count; i++)
        spec->shmems[i] = (struct machine_shmem){vm->shmems[i].name, vm->shmems[i].bytes};
}

static void launch_ports(const struct config_vm *vm, struct machine_spec *spec)
{
    spec->port_count = vm->port_count;
    for (uint32_t i = 0; i < vm->port_count; i++)
        spec->ports[i] = vm->ports[i].name;
}

/* A VM of the file; no cores named means all. */
static int launch_add_vm(const struct boot_info *boot, const struct config_vm *vm)
{
    struct machine_spec spec = {
        .files = {.kernel = launch_module(boot, vm->kernel.name), .cmdline = vm->cmdline},
        .firmware = launch_module(boot, vm->firmware.name),
        .memory = vm->memory,
        .vcpus = vm->vcpus,
        .weight = vm->weight,
        .cap = vm->cap,
        .exclusive = vm->exclusive,
        .on_crash = vm->on_crash,
        .on_reboot = vm->on_reboot,
        .autostart = vm->autostart,
        .debug_exit = vm->debug_exit,
        .pv = vm->pv,
        .rng = vm->rng,
        .console = vm->console,
        .cid = vm->cid,
        .balloon = vm->balloon,
        .split_rings = vm->rings == RINGS_SPLIT,
        .keyboard = vm->keyboard,
        .watchdog = vm->watchdog,
        .hide_count = vm->hidden_count,
        .hide = vm->hidden,
    };
    uint64_t any = 0;

    for (uint32_t i = 0; i < vm->initrd_count; i++)
        spec.files.modules[spec.files.module_count++] = launch_module(boot, vm->initrds[i].name);
    str_copy(spec.name, vm->name, sizeof spec.name);
    if (!launch_disks(boot, vm, &spec))
        return ERR_INVALID;
    launch_nets(vm, &spec);
    launch_shmems(vm, &spec);
    launch_ports(vm, &spec);
    for (uint32_t i = 0; i < ARRAY_SIZE(vm->cores); i++)
        any |= spec.cpus.bits[i] = vm->cores[i];
    spec.cores_named = any;
    for (uint32_t i = 0; i < CPU_MAX && !any; i++)
        cpuset_add(&spec.cpus, i);
    return launch_add(&spec);
}

int launch_add_default(const struct boot_info *boot, uint32_t cores)
{
    const struct boot_module *m = boot->modules;
    struct machine_spec spec = {
        .name = "vm0",
        .memory = guestram_free_bytes(),
        .vcpus = MIN(cores, (uint32_t)VM_MAX_VCPUS),
        .weight = SCHED_WEIGHT,
        .autostart = true,
        .pv = PV_KVM,
    };

    if (boot->module_count == 0) {
        log_error("no module: the menu entry needs a module2 line with a kernel (and one with its initrd)");
        return ERR_NOTFOUND;
    }
    spec.files.kernel = launch_file(&m[0]);
    spec.files.cmdline = launch_module_args(m[0].cmdline);
    spec.files.module_count = MIN(boot->module_count - 1, GUEST_MODULES_MAX);
    for (uint32_t i = 0; i < spec.files.module_count; i++)
        spec.files.modules[i] = launch_file(&m[1 + i]);
    if (boot->module_count - 1 > GUEST_MODULES_MAX)
        log_warn("%u modules after the first %u are not used", boot->module_count - 1 - GUEST_MODULES_MAX,
                 GUEST_MODULES_MAX + 1);
    for (uint32_t i = 0; i < cores; i++)
        cpuset_add(&spec.cpus, i);
    return launch_add(&spec);
}

int launch_add_config(const struct boot_info *boot, const struct config *config)
{
    int err = 0;

    for (uint32_t i = 0; i < config->vm_count && !err; i++) {
        if (config->vms[i].bad)
            launch_failed = true;
        else
            err = launch_add_vm(boot, &config->vms[i]);
        if (err == ERR_INVALID) { /* that was told; the others aren't the worse for it */
            launch_failed = true;
            err = 0;
        }
    }
    return err;
}

/* A set of cores as in keel.conf: 2-3,5. */
static void launch_cores_format(const struct cpuset *set, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (uint32_t cpu = 0, last; cpu < CPU_MAX; cpu = last + 1) {
        last = cpu;
        if (!cpuset_has(set, cpu))
            continue;
        while (last + 1 < CPU_MAX && cpuset_has(set, last + 1))
            last++;
        used += (size_t)fmt_print(text + MIN(used, size - 1), size - MIN(used, size - 1),
                                  last > cpu ? "%s%u-%u" : "%s%u", used ? "," : "", cpu, last);
    }
}

static bool launch_cores_fit(const struct machine_spec *s)
{
    char wanted[128];

    for (uint32_t i = 0; i < cpu_count; i++)
        if (cpus[i]->online && cpuset_has(&s->cpus, i))
            return true;
    launch_cores_format(&s->cpus, wanted, sizeof wanted);
    log_error("vm=%s: it may use the cores %s, and none of them is there; this machine has 0-%u", s->name,
              wanted, cpu_count - 1);
    return false;
}

/* Has a VM before that one, which starts by itself as well, the same shared memory? */
static bool launch_shmem_counted(const struct machine_spec *before, const char *name)
{
    for (const struct launch *l = launches; &l->spec != before; l++)
        for (uint32_t i = 0; i < l->spec.shmem_count && l->spec.autostart && !l->refused; i++)
            if (str_eq(l->spec.shmems[i].name, name))
                return true;
    return false;
}

/* What a VM takes that others haven't taken for it. */
static uint64_t launch_bytes(const struct machine_spec *s)
{
    uint64_t bytes = machine_memory_bytes(s);

    for (uint32_t i = 0; i < s->shmem_count; i++)
        if (!launch_shmem_counted(s, s->shmems[i].name))
            bytes += ALIGN_UP(s->shmems[i].bytes, GUESTRAM_BLOCK);
    return bytes;
}

static uint32_t launch_cores_count(const struct machine_spec *s)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < cpu_count; i++)
        count += cpus[i]->online && cpuset_has(&s->cpus, i);
    return count;
}

/*
 * Cores of a VM's own: none of its vCPUs ever waits for another, and Keel does nothing there but what the VM itself asks for. Core 0
 * has Keel's own work.
 */
static bool launch_exclusive_good(const struct machine_spec *s)
{
    uint32_t cores = launch_cores_count(s);

    if (!s->exclusive)
        return true;
    if (cpuset_has(&s->cpus, 0))
        log_error("vm=%s: core 0 does Keel's own work and can't be exclusive", s->name);
    else if (cores < s->vcpus)
        log_error("vm=%s: its %u vCPUs want a core each to be exclusive, and %u of those named are there",
                  s->name, s->vcpus, cores);
    return !cpuset_has(&s->cpus, 0) && cores >= s->vcpus;
}

/* Those that a VM named it misses, and is told so. */
static void launch_take_cores(struct machine_spec *s, const struct machine_spec *owner)
{
    for (uint32_t cpu = 0; cpu < CPU_MAX; cpu++) {
        if (!cpuset_has(&owner->cpus, cpu) || !cpuset_has(&s->cpus, cpu))
            continue;
        if (s->cores_named && cpu < cpu_count)
            log_warn("vm=%s: core %u is exclusive to VM %s", s->name, cpu, owner->name);
        cpuset_remove(&s->cpus, cpu);
    }
}

/* All do without the cores that one has for itself. Of two that want the same, the first one gets them. */
static void launch_share_cores(uint32_t index)
{
    struct machine_spec *s = &launches[index].spec;

    for (uint32_t i = 0; i < launched; i++)
        if (launches[i].spec.exclusive && !launches[i].refused && (i < index || !s->exclusive))
            launch_take_cores(s, &launches[i].spec);
}

/* What the machine can't give is refused before anything starts. */
static bool launch_fits(const struct machine_spec *s, uint64_t left)
{
    uint64_t wanted = launch_bytes(s);
    bool cores = s->exclusive || launch_cores_fit(s);

    if (wanted > left)
        log_error("vm=%s: it wants %llu MiB of memory; of %llu MiB for guests, %llu MiB are left for it",
                  s->name, (unsigned long long)wanted / MiB, (unsigned long long)guestram_total_bytes() / MiB,
                  (unsigned long long)left / MiB);
    return cores && wanted <= left;
}

/* Firmware begins in real mode. */
static bool launch_can_begin(const struct machine_spec *s)
{
    bool good = !s->firmware.data || !vendor->real_mode || vendor->real_mode();

    if (!good)
        log_error("vm=%s: its firmware starts in real mode, and this CPU has no unrestricted guest (or "
                  "`disable=ug`)",
                  s->name);
    return good;
}

static void launch_refuse(struct launch *l)
{
    l->refused = true;
    l->state = "refused";
    launch_failed = true;
}

/* Where guests can't be in real mode, no vCPU can start another: the VM gets the first one. */
static void launch_limit_vcpus(struct machine_spec *s)
{
    if (s->vcpus == 1 || !vendor->real_mode || vendor->real_mode())
        return;
    log_warn("vm=%s: 1 vCPU instead of %u: further ones start in real mode, and this CPU has no unrestricted "
             "guest (or `disable=ug`)",
             s->name, s->vcpus);
    s->vcpus = 1;
}

static void launch_plan_limit(const struct machine_spec *s, const char *kind, uint32_t index, const char *ops,
                              const struct vlimit_rates *rates)
{
    if (rates->ops || rates->bytes)
        log_event("plan", "vm=%s %s=%u %s=%llu bps=%llu", s->name, kind, index, ops,
                  (unsigned long long)rates->ops, (unsigned long long)rates->bytes);
}

/* A line for each disk and port that has one; 0: no limit of that kind. */
static void launch_plan_limits(const struct machine_spec *s)
{
    for (uint32_t i = 0; i < s->disk_count; i++)
        launch_plan_limit(s, "disk", i, "iops", &s->disks[i].rates);
    for (uint32_t i = 0; i < s->net_count; i++)
        launch_plan_limit(s, "net", i, "fps", &s->nets[i].rates);
}

/* These go first, so that one that can't be takes nothing from others. */
static void launch_plan_exclusive(void)
{
    for (uint32_t i = 0; i < launched; i++) {
        struct machine_spec *s = &launches[i].spec;

        if (!s->exclusive)
            continue;
        launch_limit_vcpus(s);
        launch_share_cores(i);
        if (!launch_cores_fit(s) || !launch_exclusive_good(s))
            launch_refuse(&launches[i]);
    }
}

void launch_plan(void)
{
    uint64_t left = guestram_free_bytes();

    launch_plan_exclusive();
    for (uint32_t i = 0; i < launched; i++) {
        struct machine_spec *s = &launches[i].spec;

        launch_limit_vcpus(s);
        if (launches[i].refused)
            continue;
        if (!s->exclusive)
            launch_share_cores(i);
        if (!launch_can_begin(s) || !launch_fits(s, s->autostart ? left : guestram_total_bytes())) {
            launch_refuse(&launches[i]);
            continue;
        }
        if (s->autostart)
            left -= MIN(left, launch_bytes(s));
        char quoted[QUOTED_MAX];

        log_event("plan",
                  "vm=%s vcpus=%u memory_mib=%llu weight=%u cap=%u kernel_bytes=%llu initrd_bytes=%llu "
                  "disks=%u cdroms=%u disk_memory_mib=%llu cmdline=\"%s\"",
                  s->name, s->vcpus, (unsigned long long)s->memory / MiB, s->weight, s->cap,
                  (unsigned long long)s->files.kernel.len, (unsigned long long)guest_module_bytes(&s->files),
                  s->disk_count, s->cdrom_count, (unsigned long long)machine_disk_bytes(s) / MiB,
                  fmt_quote(quoted, sizeof(quoted), s->files.cmdline));
        launch_plan_limits(s);
    }
}

/* -- questions -------------------------------------------------------------------------------------------------- */

uint32_t launch_find(const char *name)
{
    for (uint32_t i = 0; i < launched; i++)
        if (str_eq(launches[i].spec.name, name))
            return i;
    return LAUNCH_NONE;
}

uint32_t launch_count(void)
{
    return launched;
}

const struct machine_spec *launch_spec(uint32_t index)
{
    return &launches[index].spec;
}

const char *launch_state(uint32_t index)
{
    return __atomic_load_n(&launches[index].state, __ATOMIC_RELAXED);
}
