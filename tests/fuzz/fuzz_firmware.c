/*
 * A flat firmware image of any size into a VM whose ROM is of any other: it has no header that could lie, so that only sizes can be wrong.
 * What isn't the VM's memory isn't mapped here, or is checked.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/lib/bytes.h"
#include "core/lib/panic.h"
#include "guests/firmware.h"
#include "guests/platform.h"

#define HIGH_MAX  (2 * MiB)
#define IMAGE_MAX (FIRMWARE_MAX + PAGE_SIZE)
#define PATTERN   0xa5

static uint8_t *window;

static void window_make(void)
{
    window = mmap(NULL, 4 * GiB + PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert(window != MAP_FAILED);
    assert(mprotect(window, PC_HIGH_RAM + PAGE_SIZE, PROT_READ | PROT_WRITE) == 0);
    assert(mprotect(window + 4 * GiB - HIGH_MAX, HIGH_MAX + PAGE_SIZE, PROT_READ | PROT_WRITE) == 0);
}

static bool all_are(const uint8_t *at, uint64_t len, uint8_t byte)
{
    return len == 0 || (at[0] == byte && memcmp(at, at + 1, len - 1) == 0);
}

static void window_fill(void)
{
    memset(window, PATTERN, PC_HIGH_RAM + PAGE_SIZE);
    memset(window + 4 * GiB - HIGH_MAX, PATTERN, HIGH_MAX + PAGE_SIZE);
}

/* Borders that a wrong size would cross. */
static void check_rest(uint64_t rom)
{
    assert(all_are(window, PC_ROM, PATTERN));
    assert(all_are(window + PC_HIGH_RAM, PAGE_SIZE, PATTERN));
    assert(all_are(window + 4 * GiB - HIGH_MAX, HIGH_MAX - rom, PATTERN));
    assert(all_are(window + 4 * GiB, PAGE_SIZE, PATTERN));
}

static void check_placed(const uint8_t *image, uint64_t len)
{
    uint64_t low = MIN(len, 128 * KiB);

    assert(memcmp(window + 4 * GiB - len, image, len) == 0);
    assert(memcmp(window + PC_HIGH_RAM - low, image + len - low, low) == 0);
    assert(all_are(window + PC_ROM, PC_HIGH_RAM - PC_ROM - low, 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t len, rom, want;
    struct gmem mem;
    uint8_t *image;
    int err;

    if (!window)
        window_make();
    if (size < 8)
        return 0;
    len = get_le32(data) % IMAGE_MAX;
    rom = MIN(get_le32(data + 4) & ~PAGE_MASK, HIGH_MAX);
    want = firmware_size(len);
    assert(want ? want >= len && want - len < PAGE_SIZE : len < FIRMWARE_MIN || len > FIRMWARE_MAX);
    if (!want || want > HIGH_MAX)
        return 0;
    window_fill();
    gmem_init(&mem, window);
    if (gmem_add(&mem, 0, PC_LOW_RAM_END, true) || gmem_add(&mem, PC_ROM, PC_HIGH_RAM - PC_ROM, false) ||
        (rom && gmem_add(&mem, 4 * GiB - rom, rom, false)))
        return 0;
    image = malloc(len);
    for (uint64_t i = 0; i < len; i++)
        image[i] = (uint8_t)(i ^ i >> 8 ^ data[i % size]);
    err = firmware_load(&mem, NULL, image, len);
    assert(!err == (len <= rom));
    if (!err)
        check_placed(image, len);
    else
        assert(all_are(window + 4 * GiB - rom, rom, PATTERN));
    check_rest(rom);
    free(image);
    return 0;
}
