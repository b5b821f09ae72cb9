/* Any accesses to fw_cfg, with commands for DMA anywhere in memory and beyond: nothing outside RAM changes, nor does ROM. */
#include "tests/fuzz/device.h"

#include <string.h>

#include "drivers/virt/vfwcfg.h"

#define RAM     (4 * PAGE_SIZE)
#define PATTERN 0xa5

static uint8_t window[3 * RAM];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] = "a file";
    struct vfwcfg fw;
    struct gmem mem;

    memset(window + RAM, PATTERN, 2 * RAM);
    gmem_init(&mem, window);
    if (gmem_add(&mem, 0, RAM, true) || gmem_add(&mem, RAM, RAM, false))
        return 0;
    /* The first bytes are what the guest has in its memory. */
    memcpy(window, data, MIN(size, 64u));
    vfwcfg_init(&fw, &mem);
    vfwcfg_add_number(&fw, VFWCFG_RAM_SIZE, RAM, 8);
    vfwcfg_add_file(&fw, "etc/file", text, sizeof(text));
    fuzz_start(data, size);
    while (fuzz_more()) {
        struct bus_access access;

        fuzz_access(vfwcfg_ports, &fw, VFWCFG_PORTS, &access);
        for (uint64_t at = RAM; at < sizeof(window); at++)
            assert(window[at] == PATTERN);
    }
    return 0;
}
