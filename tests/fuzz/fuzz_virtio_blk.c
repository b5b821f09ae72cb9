/* A block device and its rings under a hostile driver: no byte outside of RAM is written, nor any of a read-only image. */
#include "drivers/virt/virtio_blk.h"

#include "tests/fuzz/virtio_fuzz.h"

#define LEN (9 * 4096 + 512)

static struct virtio_blk blk;
static uint8_t image[LEN], overlay[4 * 4096];
static uint32_t index_words[10];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct virtio_blk_config config = {.serial = "fuzz", .queues = 2, .packed = true};
    uint32_t kind;

    fuzz_start(data, size);
    fuzz_virtio_start();
    memset(image, 0, sizeof(image));
    memset(index_words, 0, sizeof(index_words));
    kind = (uint32_t)fuzz_number(1) % 3;
    config.disk = (struct vdisk){.image = image, .len = LEN, .read_only = kind == 1};
    if (kind == 2) {
        config.disk.index = index_words;
        config.disk.overlay = overlay;
        config.disk.slots = 4;
    }
    virtio_blk_init(&blk, &fuzz_host, 2, &config);
    while (fuzz_more()) {
        fuzz_virtio_step(&blk.v);
        for (uint32_t i = 0; kind != 0 && i < LEN; i += 512)
            assert(image[i] == 0);
        assert(blk.disk.taken <= blk.disk.slots);
    }
    return 0;
}
