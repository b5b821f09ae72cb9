#include "guests/firmware.h"

#include "core/lib/error.h"
#include "guests/platform.h"

#define FIRMWARE_END (4 * GiB)
#define LOW_COPY     (128 * KiB) /* what a PC shows of its ROM below 1 MiB, at most */

uint64_t firmware_size(uint64_t len)
{
    return len >= FIRMWARE_MIN && len <= FIRMWARE_MAX ? ALIGN_UP(len, PAGE_SIZE) : 0;
}

int firmware_load(const struct gmem *mem, struct copies *copies, const void *image, uint64_t len)
{
    uint64_t low = MIN(len, LOW_COPY);
    int err = copies_add(copies, mem, FIRMWARE_END - len, image, len);

    /* What an earlier run left between the option ROMs and here is none of them. */
    if (!err)
        err = gmem_fill(mem, PC_ROM, 0, PC_HIGH_RAM - PC_ROM - low);
    return err ? err : gmem_write(mem, PC_HIGH_RAM - low, (const uint8_t *)image + len - low, low);
}
