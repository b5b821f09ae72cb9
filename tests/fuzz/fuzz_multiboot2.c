/* The loader's information as the input gives it: whatever it says, the result is sound or refused with a sentence. */
#include <stdlib.h>
#include <string.h>

#include "boot/multiboot2.h"

#define CHECK(cond)                                                                                          \
    do {                                                                                                     \
        if (!(cond))                                                                                         \
            abort();                                                                                         \
    } while (0)

static void check_string(const struct boot_info *info, const char *s)
{
    CHECK(s >= info->strings && s < info->strings + info->strings_used);
    CHECK(s + strlen(s) < info->strings + info->strings_used);
}

static void check_info(const struct boot_info *info)
{
    CHECK(memchr(info->cmdline, 0, sizeof(info->cmdline)) && memchr(info->loader, 0, sizeof(info->loader)));
    CHECK(info->range_count <= BOOT_MAX_RANGES && info->module_count <= BOOT_MAX_MODULES);
    CHECK(info->rsdp_len == 0 || (info->rsdp_len >= 20 && info->rsdp_len <= 36));
    CHECK(info->strings_used <= sizeof(info->strings));
    for (uint32_t i = 0; i < info->range_count; i++) {
        const struct boot_range *r = &info->ranges[i];
        CHECK(r->len != 0 && r->base + r->len - 1 >= r->base);
        CHECK(r->kind >= BOOT_RANGE_RAM && r->kind <= BOOT_RANGE_BAD);
    }
    for (uint32_t i = 0; i < info->module_count; i++) {
        CHECK(info->modules[i].base + info->modules[i].len <= UINT32_MAX);
        check_string(info, info->modules[i].cmdline);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static struct boot_info info;
    const char *error = NULL;
    uint32_t total = (uint32_t)size;
    uint8_t *mbi = malloc(size);
    int err;

    if (size != 0)
        memcpy(mbi, input, size);
    /* most inputs should get beyond the first check: an odd first byte leaves the size as it came */
    if (size >= 8 && !(input[0] & 1))
        memcpy(mbi, &total, sizeof(total));
    err = multiboot2_parse(mbi, size, &info, &error);
    CHECK((err == 0) == (error == NULL) && err <= 0);
    if (!err)
        check_info(&info);
    free(mbi);
    return 0;
}
