/* The entropy device under a hostile driver. */
#include "drivers/virt/virtio_rng.h"

#include "tests/fuzz/virtio_fuzz.h"

static struct virtio_rng rng;

static void fill(void *ctx, void *buf, uint32_t len)
{
    assert(ctx == &rng && len <= 4096);
    memset(buf, 0x5a, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_start(data, size);
    fuzz_virtio_start();
    virtio_rng_init(&rng, &fuzz_host, 2, true, fill, &rng);
    while (fuzz_more())
        fuzz_virtio_step(&rng.v);
    return 0;
}
