/* A virtual machine: memory, buses, vCPUs, state. Who owns what is written beside each field. */
#pragma once

#include "core/bus.h"
#include "core/cpuid.h"
#include "core/lib/types.h"
#include "core/vcpu.h"
#include "core/vmballoon.h"
#include "core/vmshare.h"
#include "mm/frame.h"
#include "mm/gmem.h"
#include "mm/hostmap.h"
#include "mm/pt.h"

#define VM_NAME_MAX   32
#define VM_MAX_VCPUS  64
#define VM_WHY_MAX    160
#define VM_SHARES_MAX 4
#define VM_BLANKS_MAX 16

enum vm_state {
    VM_CREATED,
    VM_RUNNING,
    VM_PAUSED,
    VM_STOPPED, /* waits for its restart, or to be copied */
    VM_CRASHED, /* kept to look at */
    VM_ENDING,  /* its memory is being scrubbed */
};

/* Why a VM left VM_RUNNING. */
enum vm_stop {
    VM_STOP_NONE,
    VM_STOP_POWEROFF, /* the guest's S5 */
    VM_STOP_REBOOT,   /* the guest's reset: CF9, keyboard controller, ACPI reset register */
    VM_STOP_EXIT,     /* test exit port */
    VM_STOP_RESET,    /* by the monitor */
    VM_STOP_OPERATOR, /* likewise: switched off */
    VM_STOP_KILLED,   /* likewise, as a failure */
    VM_STOP_FAILED,   /* its kernel couldn't be loaded */
    VM_STOP_CRASH,    /* triple fault, failed entry, an exit that can't be handled */
};

/* Why it crashed, and how far the report on that is. */
struct crash {
    struct lock lock;     /* guards the next two until the vCPUs are parked */
    uint32_t vcpu;        /* the one that failed */
    char why[VM_WHY_MAX]; /* a sentence; "": no report is due */
    struct timer timer;   /* the report goes on */
    uint32_t at, step, traced;
    uint32_t part;  /* of the control state that comes next */
    uint32_t waits; /* steps left out since the last one, for want of room on the console */
};

/* Memory of a disk that isn't cleared yet. */
struct vm_blank {
    uint64_t at, len;
};

struct vm {
    uint32_t id;
    char name[VM_NAME_MAX];
    enum vm_state state;
    enum vm_stop stop;                /* set once, from any core: the vCPUs give up their cores */
    bool paused;                      /* likewise, for a while */
    uint32_t parked;                  /* vCPUs that did */
    void (*on_parked)(struct vm *vm); /* called by the last one's core, with nothing of the VM running */
    uint64_t paused_at;               /* host TSC: VM time stands still from then on */
    int status;                       /* 0: a clean stop */
    struct crash crash;
    struct gmem mem;  /* RAM and ROM as seen through the guest window */
    gpa_t end;        /* from here on there is no memory, and no device but what the guest moves there */
    struct pt nested; /* EPT or NPT */
    struct hostspace space; /* the host page table with this VM's window */
    uint64_t scrubbed;      /* how much of the window and of what is beside it vmmem_scrub has done */
    uint64_t disk_used;     /* of the part of it that is for disks (core/vmdisk.h) */
    uint32_t blank_count;
    struct vm_blank blanks[VM_BLANKS_MAX];
    uint32_t share_count;
    struct vmshare shares[VM_SHARES_MAX];
    bool shares_ended;
    struct vmballoon
        *balloon; /* memory that it gave up for a while; NULL: it has none of these (core/vmballoon.h) */
    bool
        resting; /* the pause is vm_rest's: vm_run is due as soon as all vCPUs are parked, and VM time goes on */
    struct bus pio, mmio, msr;
    struct lock devices;       /* guards the device models but the LAPICs, and `timers` */
    struct timer_queue timers; /* of the devices; vCPU 0 runs them */
    void *board;               /* the guests/ layer's struct: pool memory, freed with the VM */
    size_t board_bytes;
    struct cpuid_table cpuid; /* what CPUID shows; fixed before the first start */
    uint64_t misc_enable;     /* what IA32_MISC_ENABLE has of the machine's */
    uint64_t arch_caps;       /* IA32_ARCH_CAPABILITIES, where CPUID shows that */
    struct vm_pv pv;
    uint64_t made;       /* host TSC when its making began */
    uint64_t copy_ticks; /* of its last load: what the copy of its modules took, without pauses */
    uint64_t tsc_start;  /* host TSC at VM time 0 */
    uint64_t tsc_offset; /* guest TSC = host TSC + this + vcpu->tsc_adjust */
    uint32_t vcpu_count;
    struct vcpu *vcpus[VM_MAX_VCPUS];
};

static inline uint16_t vm_owner(const struct vm *vm)
{
    return (uint16_t)(OWNER_VM + vm->id);
}

/* The VM's time in ns: 0 when it was started. */
uint64_t vm_now(const struct vm *vm);

/* Allocates a VM without memory or vCPUs; NULL without pool memory. */
struct vm *vm_create(uint32_t id, const char *name) MUST_CHECK;
/* Adds a vCPU in reset state. The caller gives it an interrupt controller. NULL without pool memory. */
struct vcpu *vm_add_vcpu(struct vm *vm, uint32_t weight, uint32_t cap,
                         const struct cpuset *allowed) MUST_CHECK;
/* Frees everything that the VM has; its memory is scrubbed. */
void vm_destroy(struct vm *vm);
/* What a VM holds of the pool, in frames; what isn't told apart is its own struct. */
struct vm_pool {
    uint32_t total, board;
    uint32_t vcpus, vcpu; /* all of them; the first one */
    uint32_t tables;      /* of nested paging, and of its window in the host's map */
};
struct vm_pool vm_pool(const struct vm *vm);
/* Ends the run, from any core and any depth; the first reason stays. */
void vm_stop(struct vm *vm, enum vm_stop why, int status);
/* The same for a VM that can't go on, for a reason in words: a report follows when no vCPU runs any more (core/crash.h). */
void vm_crash(struct vm *vm, uint32_t vcpu, const char *why);
/* Are its vCPUs to give up their cores? */
static inline bool vm_halting(const struct vm *vm)
{
    return __atomic_load_n(&vm->stop, __ATOMIC_RELAXED) != VM_STOP_NONE ||
           __atomic_load_n(&vm->paused, __ATOMIC_RELAXED);
}
/* Lets the vCPUs that are not waiting for a start-up IPI run: after vm_reset, or to end a pause. */
void vm_run(struct vm *vm);
/* Stops VM time and, soon, the vCPUs; vm_run goes on. False if it isn't running. */
bool vm_pause(struct vm *vm);

/*
 * What the guest sees of memory is to change: if it runs, its vCPUs are brought to rest and go on at once. vm_run does the
 * changes. From one of its own vCPUs, while it doesn't run, or where on_parked can't come in between.
 */
void vm_rest(struct vm *vm);

/* Makes vCPUs as after a reset; the first one starts VM time. Memory stays. */
int vm_reset(struct vm *vm) MUST_CHECK;
const char *vm_stop_name(enum vm_stop why);

/* All VMs, for the audit and the monitor; NULL entries are free. */
#define VM_MAX 64
extern struct vm *vms[VM_MAX];
