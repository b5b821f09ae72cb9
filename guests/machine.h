/* Making a VM out of its description: memory, vCPUs, board; and loading its kernel. */
#pragma once

#include "core/vm.h"
#include "guests/config.h"
#include "guests/kernel.h"

#define MACHINE_MEMORY_MIN (4 * MiB) /* less has no room for any kernel */

struct machine_disk {
    enum config_disk_kind kind;
    const char *name; /* of the module */
    hpa_t base;       /* it is mapped only for the VM */
    uint64_t len;     /* bytes of the disk */
    uint64_t memory;  /* guest memory that it takes: the blank disk itself, or the overlay */
    struct vlimit_rates rates;
};

struct machine_net {
    const char *lan; /* the switch */
    bool has_mac;    /* else one is made up */
    uint8_t mac[6];
    struct vlimit_rates rates;
};

struct machine_shmem {
    const char *name;
    uint64_t bytes;
};

/* What a VM is made of (DESIGN 6). Everything that it points to stays the caller's, and stays. */
struct machine_spec {
    char name[VM_NAME_MAX];
    struct guest_files files;   /* mapped read-only */
    struct guest_file firmware; /* likewise; instead of a kernel */
    uint64_t memory;            /* bytes; rounded down to 2 MiB */
    uint32_t vcpus, weight, cap;
    struct cpuset cpus;
    bool cores_named; /* in keel.conf */
    bool exclusive;   /* nobody else gets these */
    enum config_crash on_crash;
    enum config_reboot on_reboot;
    bool autostart, debug_exit;
    enum config_keyboard keyboard;
    uint32_t watchdog; /* seconds; 0: none */
    uint32_t disk_count;
    struct machine_disk disks[CONFIG_MAX_DISKS];
    uint32_t cdrom_count;
    struct machine_disk cdroms[CONFIG_MAX_CDROMS]; /* read-only */
    uint32_t net_count;
    struct machine_net nets[CONFIG_MAX_NETS];
    uint32_t shmem_count;
    struct machine_shmem shmems[CONFIG_MAX_SHMEMS];
    uint32_t port_count;
    const char *ports[CONFIG_MAX_PORTS]; /* of its virtio console */
    bool rng, console, balloon;
    enum pv_kind pv;
    uint32_t cid;     /* of its socket device; 0: it has none */
    bool split_rings; /* its virtio devices offer no packed ones */
    uint32_t hide_count;
    const struct cpuid_feature *const *hide; /* features that its CPUID must not show */
};

/* Once. The wall clock at host time 0 (core/clock.h), in seconds since 1970, is for the RTCs. */
void machine_init(uint64_t unix_time);
/* For event=bench: the host TSC at which the first VM's time began, and the ticks that copying kernels has taken so far. */
uint64_t machine_first_reset(void);
uint64_t machine_copy_ticks(void);
/* Guest memory that the VM takes in all. */
uint64_t machine_memory_bytes(const struct machine_spec *spec);
/* Of it, for disks. */
uint64_t machine_disk_bytes(const struct machine_spec *spec);
/* Makes the VM, without a kernel in it. NULL, one line in the log and nothing left behind if that can't be. */
struct vm *machine_create(uint32_t id, const struct machine_spec *spec) MUST_CHECK;
/*
 * Resets all of it and loads the kernel: vCPU 0 is at the entry point. One line in the log if it can't be. What is large is in `copies`
 * afterwards, and has to be copied before the VM may run.
 */
int machine_load(struct vm *vm, const struct machine_spec *spec, struct copies *copies) MUST_CHECK;
/* The next piece of that. */
void machine_copy(struct vm *vm, struct copies *copies);
void machine_destroy(struct vm *vm);
