/* Any text as keel.conf: each VM that isn't marked bad can be started, each that is has been told about. */
#include <stdlib.h>
#include <string.h>

#include "boot/options.h"
#include "core/lib/panic.h"
#include "guests/config.h"
#include "guests/launch.h"

static struct config config;

struct told {
    uint32_t count, lines;
};

static void report(void *ctx, uint32_t line, const char *sentence)
{
    struct told *told = ctx;

    told->count++;
    assert(line >= 1 && line <= told->lines);
    assert(sentence[0] != '\0' && !strchr(sentence, '\n'));
}

static bool lookup(void *ctx, const char *name)
{
    (void)ctx;
    return name[0] != 'x';
}

static uint32_t lines_of(const uint8_t *text, size_t len)
{
    uint32_t lines = 1;

    for (size_t i = 0; i < len; i++)
        lines += text[i] == '\n';
    return lines;
}

static void check_string(const char *s)
{
    const char *end = config.strings + config.strings_used;

    assert(s[0] == '\0' || (s >= config.strings && s < end && memchr(s, 0, (size_t)(end - s))));
}

static void check_files(const struct config_vm *vm)
{
    const struct config_file *file;
    uint32_t n, images = 0;

    for (n = 0; (file = config_file_at(vm, n)); n++) {
        check_string(file->name);
        assert(file->name[0] != '\0' && !strpbrk(file->name, " \t\n'\"\\") && file->line > vm->line);
    }
    for (uint32_t i = 0; i < vm->disk_count; i++)
        images += vm->disks[i].kind != DISK_RAM;
    assert(n == !!vm->kernel.name + !!vm->firmware.name + vm->initrd_count + images);
}

static void check_vm(const struct config_vm *vm)
{
    check_string(vm->name);
    check_string(vm->cmdline);
    assert(vm->name[0] != '\0' && strlen(vm->name) < VM_NAME_MAX && !strpbrk(vm->name, "|[] \t"));
    for (const struct config_vm *other = config.vms; other < vm; other++)
        assert(strcmp(other->name, vm->name) != 0);
    assert(vm->initrd_count <= CONFIG_MAX_INITRDS && vm->disk_count <= CONFIG_MAX_DISKS);
    assert(vm->net_count <= CONFIG_MAX_NETS && vm->hidden_count <= CONFIG_MAX_HIDDEN);
    assert(vm->vcpus >= 1 && vm->vcpus <= VM_MAX_VCPUS && vm->weight >= 1 && vm->weight <= 10000 &&
           vm->cap <= 100);
    assert(vm->on_crash <= ON_CRASH_HOLD && vm->on_reboot <= ON_REBOOT_STOP && vm->watchdog <= 86400);
    for (uint32_t i = 0; i < vm->hidden_count; i++)
        assert(vm->hidden[i] >= cpuid_features && vm->hidden[i] < cpuid_features + cpuid_feature_count);
    for (uint32_t i = 0; i < vm->net_count; i++)
        check_string(vm->nets[i].lan);
    check_files(vm);
    assert(vm->bad || (!vm->kernel.name != !vm->firmware.name && vm->memory >= MACHINE_MEMORY_MIN));
}

/* The multiboot2 line has the same options, and goes before the file. */
static void check_options(const uint8_t *data, size_t size)
{
    static struct options options;
    char line[1024];
    size_t len = size < sizeof(line) ? size : sizeof(line) - 1;

    memcpy(line, data, len);
    line[len] = '\0';
    assert(options_parse(&options, line) >= 0);
    assert(memchr(options.disable, 0, sizeof(options.disable)));
    if (options_fill(&options, &config.keel) && config.keel.on_idle)
        assert(options.on_idle);
    assert(memchr(options.disable, 0, sizeof(options.disable)));
}

static void check_text(const uint8_t *data, size_t size)
{
    struct told told = {.lines = lines_of(data, size)};
    uint32_t faults = config_parse((const char *)data, size, &config, report, &told), good = 0;

    assert(faults == told.count && config.strings_used <= CONFIG_STRINGS_MAX &&
           config.vm_count <= CONFIG_MAX_VMS);
    assert(memchr(config.keel.disable, 0, sizeof(config.keel.disable)));
    for (uint32_t i = 0; i < config.vm_count; i++) {
        check_vm(&config.vms[i]);
        good += !config.vms[i].bad;
    }
    assert(faults || (good && good == config.vm_count));
    faults += config_check(&config, lookup, report, &told);
    assert(faults == told.count);
    for (uint32_t i = 0; i < config.vm_count; i++)
        assert(config.vms[i].bad || config.vms[i].kernel.name == NULL || config.vms[i].kernel.name[0] != 'x');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_text(data, size);
    check_options(data, size);
    return 0;
}
