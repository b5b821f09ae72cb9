/* A balloon under a hostile driver, with memory that comes back or doesn't. */
#include "drivers/virt/virtio_balloon.h"

#include "tests/fuzz/virtio_fuzz.h"

static struct virtio_balloon b;
static bool here, busy;

static void give(void *ctx, uint64_t page)
{
    assert(ctx == &b && page <= UINT32_MAX);
}

static bool take(void *ctx, uint64_t page)
{
    assert(ctx == &b && page <= UINT32_MAX);
    return here;
}

static void report(void *ctx, gpa_t gpa, uint64_t len)
{
    assert(ctx == &b && gmem_guest_writable(&fuzz_mem, gpa, len));
}

static bool is_busy(void *ctx)
{
    assert(ctx == &b);
    return busy;
}

static void nothing(void *ctx)
{
    assert(ctx == &b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct virtio_balloon_config config = {give, take, nothing, report, nothing, is_busy, &b, true};

    fuzz_start(data, size);
    fuzz_virtio_start();
    virtio_balloon_init(&b, &fuzz_host, 2, &config);
    while (fuzz_more()) {
        uint32_t step = (uint32_t)fuzz_number(1);

        if (step < 0x10)
            here = step & 1, busy = step & 2;
        else if (step < 0x20)
            virtio_balloon_set_target(&b, step);
        else
            fuzz_virtio_step(&b.v);
    }
    return 0;
}
