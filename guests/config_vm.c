/* The section [vm NAME]: one row a key. */
#include "core/lib/format.h"
#include "core/lib/panic.h"
#include "core/lib/string.h"
#include "guests/config_parser.h"
#include "guests/machine.h"

#define DAY 86400

struct choice {
    const char *name;
    uint32_t value;
};

struct key {
    const char *name;
    /* May change the text. False: not a good value; a setter that tells its own faults returns true then, too. */
    bool (*set)(struct config_parser *p, const struct key *key, char *value);
    const char *takes; /* what it takes, in words; NULL: a number from min to max */
    size_t offset;     /* of the field in struct config_vm */
    uint32_t min, max;
    const struct choice *choices;
    bool repeatable;
    bool may_be_empty;
};

static void *field(struct config_parser *p, const struct key *key)
{
    return (char *)p->vm + key->offset;
}

static bool set_number(struct config_parser *p, const struct key *key, char *value)
{
    uint64_t number;

    if (!str_number(value, false, &number) || number < key->min || number > key->max)
        return false;
    *(uint32_t *)field(p, key) = (uint32_t)number;
    return true;
}

static bool set_cid(struct config_parser *p, const struct key *key, char *value)
{
    p->vm->cid_line = p->line;
    return set_number(p, key, value);
}

static bool set_choice(struct config_parser *p, const struct key *key, char *value)
{
    for (const struct choice *choice = key->choices; choice->name; choice++)
        if (str_eq(choice->name, value)) {
            *(uint32_t *)field(p, key) = choice->value;
            return true;
        }
    return false;
}

static bool set_yes_no(struct config_parser *p, const struct key *key, char *value)
{
    *(bool *)field(p, key) = str_eq(value, "yes");
    return str_eq(value, "yes") || str_eq(value, "no");
}

static bool set_memory(struct config_parser *p, const struct key *key, char *value)
{
    uint64_t bytes;

    (void)key;
    if (!str_number(value, true, &bytes) || bytes < MACHINE_MEMORY_MIN)
        return false;
    p->vm->memory = bytes;
    return true;
}

static bool set_text(struct config_parser *p, const struct key *key, char *value)
{
    *(const char **)field(p, key) = config_keep(p, value);
    return true;
}

static bool file_set(struct config_parser *p, const struct key *key, const char *name,
                     struct config_file *file)
{
    if (!config_file_good(name))
        return false;
    *file = (struct config_file){.name = config_keep(p, name), .key = key->name, .line = p->line};
    return true;
}

static bool set_file(struct config_parser *p, const struct key *key, char *value)
{
    return file_set(p, key, value, field(p, key));
}

/* Whether there is a place for one more; a fault if not. */
static bool room(struct config_parser *p, const struct key *key, uint32_t count, uint32_t max)
{
    if (count == max)
        config_fault(p, "%s is given more than %u times", key->name, max);
    return count < max;
}

static bool set_initrd(struct config_parser *p, const struct key *key, char *value)
{
    struct config_vm *vm = p->vm;

    if (!room(p, key, vm->initrd_count, CONFIG_MAX_INITRDS))
        return true;
    if (!file_set(p, key, value, &vm->initrds[vm->initrd_count]))
        return false;
    vm->initrd_count++;
    return true;
}

/* Whole sectors, and no less than the smallest overlay. */
static bool disk_size(const char *text, uint64_t *bytes)
{
    return str_number(text, true, bytes) && *bytes >= MiB && *bytes <= 64 * 1024 * GiB && *bytes % 512 == 0;
}

/* "ro", "cow" or "cow=SIZE", and only one of them */
static bool disk_option(const char *word, struct config_disk *disk)
{
    bool first = disk->kind == DISK_WRITE, sized = str_starts(word, "cow=");

    disk->kind = str_eq(word, "ro") ? DISK_READ_ONLY : DISK_COW;
    if (sized)
        return first && disk_size(word + 4, &disk->bytes);
    return first && (str_eq(word, "ro") || str_eq(word, "cow"));
}

static bool set_disk(struct config_parser *p, const struct key *key, char *value)
{
    struct config_vm *vm = p->vm;
    char *list = value, *name = config_word(&list), *word;
    struct config_disk disk = {0};

    if (!room(p, key, vm->disk_count, CONFIG_MAX_DISKS))
        return true;
    if (str_starts(name, "ram:")) {
        disk.kind = DISK_RAM;
        if (!disk_size(name + 4, &disk.bytes))
            return false;
    }
    while ((word = config_word(&list)))
        if (!config_limit(p, word, "iops", &disk.rates) && !disk_option(word, &disk))
            return false;
    if (disk.kind != DISK_RAM && !file_set(p, key, name, &disk.file))
        return false;
    vm->disks[vm->disk_count++] = disk;
    return true;
}

static bool set_cdrom(struct config_parser *p, const struct key *key, char *value)
{
    struct config_vm *vm = p->vm;
    struct config_disk disc = {.kind = DISK_READ_ONLY};

    if (!room(p, key, vm->cdrom_count, CONFIG_MAX_CDROMS))
        return true;
    if (!file_set(p, key, value, &disc.file))
        return false;
    vm->cdroms[vm->cdrom_count++] = disc;
    return true;
}

static bool set_net(struct config_parser *p, const struct key *key, char *value)
{
    struct config_vm *vm = p->vm;
    char *list = value, *name = config_word(&list), *word;
    struct config_net net = {.line = p->line};

    if (!room(p, key, vm->net_count, CONFIG_MAX_NETS))
        return true;
    while ((word = config_word(&list))) {
        if (config_limit(p, word, "fps", &net.rates))
            continue;
        if (net.has_mac || !str_starts(word, "mac=") || !config_mac(word + 4, net.mac))
            return false;
        net.has_mac = true;
    }
    if (!config_name_good(name))
        return false;
    net.lan = config_keep(p, name);
    vm->nets[vm->net_count++] = net;
    return true;
}

/* Whether a VM has it already; a fault then. */
static bool shmem_known(struct config_parser *p, const char *name)
{
    for (uint32_t i = 0; i < p->vm->shmem_count; i++)
        if (str_eq(p->vm->shmems[i].name, name)) {
            config_fault(p, "shmem '%s' was given on line %u already", name, p->vm->shmems[i].line);
            return true;
        }
    return false;
}

/* A base address register's size is a power of two. */
static bool set_shmem(struct config_parser *p, const struct key *key, char *value)
{
    struct config_vm *vm = p->vm;
    char *size = (char *)str_find(value, ':');
    struct config_shmem shmem = {.line = p->line};

    if (!room(p, key, vm->shmem_count, CONFIG_MAX_SHMEMS))
        return true;
    if (!size)
        return false;
    *size++ = '\0';
    if (!str_number(size, true, &shmem.bytes) || shmem.bytes < PAGE_SIZE || shmem.bytes > VMSHARE_BYTES_MAX ||
        (shmem.bytes & (shmem.bytes - 1)) || !config_name_good(value))
        return false;
    if (shmem_known(p, value))
        return true;
    shmem.name = config_keep(p, value);
    vm->shmems[vm->shmem_count++] = shmem;
    return true;
}

static bool port_known(struct config_parser *p, const char *name)
{
    for (uint32_t i = 0; i < p->vm->port_count; i++)
        if (str_eq(p->vm->ports[i].name, name)) {
            config_fault(p, "virtio_port '%s' was given on line %u already", name, p->vm->ports[i].line);
            return true;
        }
    return false;
}

/* What it writes is shown as VM.PORT, which has to fit as a VM's name does. */
static bool set_port(struct config_parser *p, const struct key *key, char *value)
{
    struct config_vm *vm = p->vm;

    if (!room(p, key, vm->port_count, CONFIG_MAX_PORTS))
        return true;
    if (!config_name_good(value))
        return false;
    if (port_known(p, value))
        return true;
    if (str_len(vm->name) + 1 + str_len(value) >= VM_NAME_MAX) {
        config_fault(p, "virtio_port: '%s.%s' is longer than %u characters", vm->name, value,
                     VM_NAME_MAX - 1);
        return true;
    }
    vm->ports[vm->port_count++] = (struct config_port){config_keep(p, value), p->line};
    return true;
}

static bool set_cpus(struct config_parser *p, const struct key *key, char *value)
{
    char *last = NULL;

    (void)key;
    for (char *comma = (char *)str_find(value, ','); comma; comma = (char *)str_find(comma + 1, ','))
        last = comma;
    if (last && str_eq(config_trim(last + 1), "exclusive")) {
        *last = '\0';
        p->vm->exclusive = true;
    }
    return config_cores(value, p->vm->cores);
}

/* Each name for itself, so that each wrong one is told. */
static bool set_hide(struct config_parser *p, const struct key *key, char *value)
{
    struct config_vm *vm = p->vm;

    for (char *word; (word = config_word(&value));) {
        const struct cpuid_feature *feature = cpuid_feature_find(word);

        if (word[0] == '\0')
            return false;
        if (!feature)
            config_fault(p, "there is no CPU feature '%s' to hide", config_excerpt(word).text);
        else if (vm->hidden_count == CONFIG_MAX_HIDDEN)
            config_fault(p, "%s: '%s' is one feature more than %u", key->name, word, CONFIG_MAX_HIDDEN);
        else
            vm->hidden[vm->hidden_count++] = feature;
    }
    return true;
}

static const struct choice crashes[] = {
    {"stop", ON_CRASH_STOP}, {"restart", ON_CRASH_RESTART}, {"hold", ON_CRASH_HOLD}, {NULL, 0}};
static const struct choice rings[] = {{"packed", RINGS_PACKED}, {"split", RINGS_SPLIT}, {NULL, 0}};
static const struct choice pvs[] = {{"none", PV_NONE}, {"kvm", PV_KVM}, {"hyperv", PV_HYPERV}, {NULL, 0}};
static const struct choice keyboards[] = {
    {"auto", KEYBOARD_AUTO}, {"yes", KEYBOARD_YES}, {"no", KEYBOARD_NO}, {NULL, 0}};
static const struct choice reboots[] = {{"restart", ON_REBOOT_RESTART}, {"stop", ON_REBOOT_STOP}, {NULL, 0}};

#define FIELD(name) .offset = offsetof(struct config_vm, name)
#define FILE_TEXT   "the name of a file without blanks, quotes and backslashes"

static const struct key keys[] = {
    {.name = "kernel", .set = set_file, .takes = FILE_TEXT, FIELD(kernel)},
    {.name = "firmware", .set = set_file, .takes = FILE_TEXT, FIELD(firmware)},
    {.name = "initrd", .set = set_initrd, .takes = FILE_TEXT, .repeatable = true},
    {.name = "cmdline", .set = set_text, FIELD(cmdline), .may_be_empty = true},
    {.name = "memory", .set = set_memory, .takes = "a size from 4M upwards, such as 512M or 2G"},
    {.name = "vcpus", .set = set_number, FIELD(vcpus), .min = 1, .max = VM_MAX_VCPUS},
    {.name = "cpus",
     .set = set_cpus,
     .takes = "numbers of cores from 0 to 255, such as 2-3,5, and perhaps ',exclusive'"},
    {.name = "weight", .set = set_number, FIELD(weight), .min = 1, .max = 10000},
    {.name = "cap", .set = set_number, FIELD(cap), .min = 0, .max = 100},
    {.name = "disk",
     .set = set_disk,
     .takes = FILE_TEXT
     ", and perhaps ',ro', ',cow' or ',cow=SIZE'; or ram:SIZE; limits are ',iops=N', ',bps=SIZE'",
     .repeatable = true},
    {.name = "cdrom", .set = set_cdrom, .takes = FILE_TEXT, .repeatable = true},
    {.name = "net",
     .set = set_net,
     .takes = "a switch's name, and perhaps ',mac=' with an address such as 52:54:00:12:34:56; limits are "
              "',fps=N', "
              "',bps=SIZE'",
     .repeatable = true},
    {.name = "shmem",
     .set = set_shmem,
     .takes = "NAME:SIZE, the size a power of two from 4K to 256M",
     .repeatable = true},
    {.name = "on_crash",
     .set = set_choice,
     .takes = "stop, restart or hold",
     FIELD(on_crash),
     .choices = crashes},
    {.name = "on_reboot",
     .set = set_choice,
     .takes = "restart or stop",
     FIELD(on_reboot),
     .choices = reboots},
    {.name = "virtio_rings", .set = set_choice, .takes = "packed or split", FIELD(rings), .choices = rings},
    {.name = "pv", .set = set_choice, .takes = "none, kvm or hyperv", FIELD(pv), .choices = pvs},
    {.name = "keyboard",
     .set = set_choice,
     .takes = "auto, yes or no",
     FIELD(keyboard),
     .choices = keyboards},
    {.name = "hide", .set = set_hide, .takes = "names of CPU features with commas between them"},
    {.name = "autostart", .set = set_yes_no, .takes = "yes or no", FIELD(autostart)},
    {.name = "virtio_console", .set = set_yes_no, .takes = "yes or no", FIELD(console)},
    {.name = "virtio_port", .set = set_port, .takes = "the name of a port", .repeatable = true},
    {.name = "vsock", .set = set_cid, FIELD(cid), .min = 3, .max = UINT32_MAX - 1},
    {.name = "balloon", .set = set_yes_no, .takes = "yes or no", FIELD(balloon)},
    {.name = "rng", .set = set_yes_no, .takes = "yes or no", FIELD(rng)},
    {.name = "debug_exit", .set = set_yes_no, .takes = "yes or no", FIELD(debug_exit)},
    {.name = "watchdog", .set = set_number, FIELD(watchdog), .min = 0, .max = DAY},
};

_Static_assert(ARRAY_SIZE(keys) <= CONFIG_KEYS_MAX, "all keys of a section can be noted");
_Static_assert(sizeof(enum config_crash) == 4 && sizeof(enum config_reboot) == 4 &&
                   sizeof(enum pv_kind) == 4 && sizeof(enum config_keyboard) == 4,
               "set_choice writes 32 bits");
_Static_assert(MACHINE_MEMORY_MIN == 4194304 && CONFIG_MAX_CORES == 256, "the words in the table say so");

static const struct key *key_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (str_eq(keys[i].name, name))
            return &keys[i];
    return NULL;
}

void config_vm_set(struct config_parser *p, const char *name, char *value)
{
    const struct key *key = key_find(name);
    struct config_excerpt shown = config_excerpt(value);
    char range[48];

    if (!key) {
        config_fault(p, "there is no key '%s' in [vm NAME]", config_excerpt(name).text);
        return;
    }
    if (!config_note(p, key->name, key->repeatable))
        return;
    if ((value[0] != '\0' || key->may_be_empty) && key->set(p, key, value))
        return;
    fmt_print(range, sizeof(range), "a number from %u to %u", key->min, key->max);
    config_value_fault(p, key->name, key->takes ? key->takes : range, shown.text);
}

void config_vm_defaults(struct config_vm *vm)
{
    *vm = (struct config_vm){
        .name = "",
        .cmdline = "",
        .vcpus = 1,
        .weight = 256,
        .autostart = true,
        .pv = PV_KVM,
    };
}
