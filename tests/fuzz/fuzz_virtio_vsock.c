/* A socket device under a hostile driver, with a peer that sends and takes packets at any time. */
#include "drivers/virt/virtio_vsock.h"

#include "tests/fuzz/virtio_fuzz.h"

static struct vsockets net;
static struct virtio_vsock s;
static struct vsockets_port peer;
static uint8_t buffer[8192], peer_buffer[8192], data[VSOCKETS_DATA];

static void wake(void *ctx)
{
    assert(ctx == &peer);
}

/* A header as a driver has it, where chains find theirs. */
static void header_make(void)
{
    const struct vsockets_packet packet = {.from = 3,
                                           .to = 2 + (fuzz_number(1) & 3),
                                           .type = 1,
                                           .op = (uint16_t)(fuzz_number(1) % 9),
                                           .len = (uint32_t)fuzz_number(1) * 8};

    vsockets_write_header(fuzz_memory + FUZZ_DATA, &packet);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    const struct virtio_vsock_config config = {&net, 3, buffer, sizeof(buffer), true};
    struct vsockets_packet packet;

    fuzz_start(input, size);
    fuzz_virtio_start();
    memset(&net, 0, sizeof(net));
    assert(virtio_vsock_init(&s, &fuzz_host, 2, &config));
    peer = (struct vsockets_port){
        .cid = 4, .buffer = peer_buffer, .buffer_bytes = sizeof(peer_buffer), .wake = wake, .ctx = &peer};
    assert(vsockets_attach(&net, &peer));
    vsockets_open(&peer);
    while (fuzz_more()) {
        uint32_t step = (uint32_t)fuzz_number(1);

        packet = (struct vsockets_packet){
            .from = 4, .to = 3, .type = 1, .op = step & 7, .len = (uint32_t)fuzz_number(2) % 4097};
        if (step < 0x20)
            vsockets_send(&peer, &packet, data);
        else if (step < 0x40)
            vsockets_receive(&peer, &packet, data, step * 16);
        else if (step < 0x60)
            header_make();
        else
            fuzz_virtio_step(&s.v);
        assert(s.port.used <= sizeof(buffer) && peer.used <= sizeof(peer_buffer));
        assert(s.port.last < s.port.used || !s.port.last);
        assert(s.v.queues[VIRTIO_VSOCK_TRANSMIT].kept <= VIRTIO_VSOCK_HELD);
        assert(s.port.offset < s.port.used || !s.port.offset);
    }
    return 0;
}
