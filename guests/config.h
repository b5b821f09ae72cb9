/*
 * keel.conf (DESIGN 6): the text that describes the VMs, read into a struct. The hypervisor reads it at boot, iso/keelconf
 * on the machine where an image is made. Each fault is told by its line and a sentence; a VM with a fault is marked, and
 * the others are as good as without it. Pure.
 */
#pragma once

#include "core/cpuid.h"
#include "core/vm.h"
#include "drivers/virt/vlimit.h"
#include "guests/option.h"

#define CONFIG_NAME        "keel.conf"
#define CONFIG_MAX_VMS     VM_MAX
#define CONFIG_MAX_INITRDS 8
#define CONFIG_MAX_DISKS   8
#define CONFIG_MAX_CDROMS  4
#define CONFIG_MAX_NETS    8
#define CONFIG_MAX_SHMEMS  VM_SHARES_MAX
#define CONFIG_MAX_PORTS   4
#define CONFIG_MAX_HIDDEN  32
#define CONFIG_MAX_CORES   256
#define CONFIG_TEXT_MAX    (256 * KiB)
#define CONFIG_LINE_MAX    4096
#define CONFIG_STRINGS_MAX (64 * KiB)

enum config_crash { ON_CRASH_STOP, ON_CRASH_RESTART, ON_CRASH_HOLD };
enum config_keyboard { KEYBOARD_AUTO, KEYBOARD_YES, KEYBOARD_NO };
enum config_rings { RINGS_PACKED, RINGS_SPLIT };
enum config_reboot { ON_REBOOT_RESTART, ON_REBOOT_STOP };

/* A boot module that a VM wants. */
struct config_file {
    const char *name; /* as written, which is the module's name; NULL: not wanted */
    const char *key;  /* "kernel", "initrd", ... */
    uint32_t line;
};

enum config_disk_kind { DISK_WRITE, DISK_READ_ONLY, DISK_COW, DISK_RAM };

struct config_disk {
    struct config_file file; /* no name with DISK_RAM */
    enum config_disk_kind kind;
    uint64_t bytes; /* of DISK_RAM; of the overlay with DISK_COW, 0: the default */
    struct vlimit_rates rates;
};

struct config_net {
    const char *lan; /* the switch that it is plugged into */
    bool has_mac;
    uint8_t mac[6];
    struct vlimit_rates rates;
    uint32_t line;
};

/* Memory that it shares with all VMs that name it. */
struct config_shmem {
    const char *name;
    uint64_t bytes; /* a power of two */
    uint32_t line;
};

/* A port of the virtio console. */
struct config_port {
    const char *name;
    uint32_t line;
};

/* Kernel or firmware, and memory, are there in each VM that isn't bad; what isn't written has its default. */
struct config_vm {
    const char *name;
    uint32_t line; /* of its section */
    bool bad;      /* has faults: not to be started */
    struct config_file kernel, firmware;
    struct config_file initrds[CONFIG_MAX_INITRDS];
    struct config_disk disks[CONFIG_MAX_DISKS];
    struct config_disk cdroms[CONFIG_MAX_CDROMS]; /* read-only */
    struct config_net nets[CONFIG_MAX_NETS];
    struct config_shmem shmems[CONFIG_MAX_SHMEMS];
    struct config_port ports[CONFIG_MAX_PORTS];
    uint32_t initrd_count, disk_count, cdrom_count, net_count, shmem_count, port_count, hidden_count;
    const struct cpuid_feature *hidden[CONFIG_MAX_HIDDEN]; /* CPU features that it must not see */
    const char *cmdline;                                   /* never NULL */
    uint64_t memory;                                       /* bytes */
    uint64_t cores[CONFIG_MAX_CORES / 64]; /* host cores that it may use, a bit each; 0: any */
    bool exclusive;                        /* and nobody else */
    uint32_t vcpus;
    uint32_t weight;   /* share under contention */
    uint32_t cap;      /* percent of one core for each vCPU; 0: none */
    uint32_t watchdog; /* seconds; 0: off */
    enum config_crash on_crash;
    enum config_reboot on_reboot;
    bool autostart;
    bool debug_exit;
    enum pv_kind pv; /* which paravirtual interface its kernel is shown */
    bool rng;        /* a virtio entropy device */
    bool console;    /* a virtio console */
    bool balloon;    /* a virtio memory balloon */
    uint32_t cid;    /* of a virtio socket device; 0: there is none */
    uint32_t cid_line;
    uint32_t rings;                /* what its virtio devices offer: enum config_rings */
    enum config_keyboard keyboard; /* whether what is typed comes from its keyboard */
};

/* Holds its own strings, and is therefore not to be copied. */
struct config {
    struct options keel; /* [keel] */
    uint32_t vm_count;
    struct config_vm vms[CONFIG_MAX_VMS]; /* in the order of the file; names differ */
    size_t strings_used;
    char strings[CONFIG_STRINGS_MAX];
};

/* Takes a fault. */
typedef void (*config_report)(void *ctx, uint32_t line, const char *sentence);
/* Whether there is a module (on the build machine: a file) of that name. */
typedef bool (*config_lookup)(void *ctx, const char *name);

/* Reads a whole text, which need not end in NUL or newline. Returns the number of faults. */
uint32_t config_parse(const char *text, size_t len, struct config *out, config_report report, void *ctx);
/*
 * Looks for all files of all VMs, for disks that are written by one VM and used elsewhere, too, for shared memory that
 * isn't as large as elsewhere, for ports named as VMs are and for sockets' numbers that aren't one VM's; such a fault makes the VM bad. Returns the number of those.
 */
uint32_t config_check(struct config *config, config_lookup lookup, config_report report, void *ctx);
/* The n-th of the files that a VM wants, from 0; NULL beyond the last. */
const struct config_file *config_file_at(const struct config_vm *vm, uint32_t n);
