/* A network device under a hostile driver, with a peer on its switch that sends at any time. */
#include "drivers/virt/virtio_net.h"

#include "tests/fuzz/virtio_fuzz.h"

static struct virtio_net n;
static struct vswitch net;
static struct vswitch_port peer;
static uint8_t buffer[4096], peer_buffer[4096], frame[VSWITCH_FRAME_MAX];

static void wake(void *ctx)
{
    assert(ctx == &peer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct virtio_net_config config = {
        .net = &net, .mac = {2}, .buffer = buffer, .buffer_bytes = sizeof(buffer), .packed = true};

    fuzz_start(data, size);
    fuzz_virtio_start();
    memset(&net, 0, sizeof(net));
    assert(virtio_net_init(&n, &fuzz_host, 2, &config));
    peer = (struct vswitch_port){
        .buffer = peer_buffer, .buffer_bytes = sizeof(peer_buffer), .wake = wake, .ctx = &peer};
    assert(vswitch_attach(&net, &peer));
    while (fuzz_more()) {
        if (fuzz_number(1) & 1) {
            fuzz_virtio_step(&n.v);
        } else {
            memset(frame, (int)fuzz_number(1), 12);
            vswitch_send(&peer, frame, (uint32_t)fuzz_number(2) % 2000);
        }
        assert(n.port.used <= sizeof(buffer) && peer.used <= sizeof(peer_buffer));
        assert(vswitch_receive(&peer, frame) <= VSWITCH_FRAME_MAX);
    }
    return 0;
}
