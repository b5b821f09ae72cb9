/* A console with several ports under a hostile driver, while bytes are typed and the other side is ready or not. */
#include "drivers/virt/virtio_console.h"

#include "tests/fuzz/virtio_fuzz.h"

static struct virtio_console c;
static uint32_t room;

static void take(void *ctx, const uint8_t *bytes, uint32_t len)
{
    assert(ctx == &c && len > 0 && len <= VIRTIO_CONSOLE_PIECE);
    for (uint32_t i = 0; i < len; i += 64)
        assert(bytes[i] || !bytes[i]); /* it can be read */
    room -= MIN(room, len);
}

static bool ready(void *ctx)
{
    (void)ctx;
    return room > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct virtio_console_config config = {.console = true, .packed = true};

    fuzz_start(data, size);
    fuzz_virtio_start();
    config.count = 1 + (uint32_t)fuzz_number(1) % VIRTIO_CONSOLE_PORTS;
    config.console = fuzz_number(1) & 1;
    for (uint32_t i = 0; i < config.count; i++)
        config.ends[i] = (struct virtio_console_end){"name", take, ready, &c};
    virtio_console_init(&c, &fuzz_host, 2, &config);
    while (fuzz_more()) {
        uint32_t step = (uint32_t)fuzz_number(1);

        if (step < 0x10)
            room = 100 * (step & 7);
        else if (step < 0x30)
            virtio_console_type(&c, step % config.count, (uint8_t)step);
        else
            fuzz_virtio_step(&c.v);
        for (uint32_t i = 0; i < config.count; i++)
            assert(c.ports[i].typed <= VIRTIO_CONSOLE_TYPED && c.ports[i].head < VIRTIO_CONSOLE_TYPED);
    }
    return 0;
}
