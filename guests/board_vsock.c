/* The socket device of a board; all VMs that have one reach each other. */
#include "core/lib/error.h"
#include "core/lib/log.h"
#include "guests/board.h"

/* For packets on their way to a driver: more than the 256 KiB that a Linux gives as a stream's credit. */
#define VSOCK_BUFFER (264 * KiB)

static struct vsockets vsockets = {.lock = LOCK_INIT};

int board_vsock_init(struct board *board, const struct board_devices *devices)
{
    struct board_virtio *b = &board->virtio;
    struct virtio_vsock_config config = {
        .net = &vsockets,
        .cid = devices->cid,
        .buffer_bytes = VSOCK_BUFFER,
        .packed = !devices->split_rings,
    };

    if (!devices->cid)
        return 0;
    b->vsock = frame_alloc(frame_count(sizeof(*b->vsock)), vm_owner(board->vm));
    config.buffer = b->vsock ? frame_alloc(frame_count(VSOCK_BUFFER), vm_owner(board->vm)) : NULL;
    if (!config.buffer)
        return ERR_NOMEM;
    if (virtio_vsock_init(b->vsock, &b->host, board_free_slot(board), &config))
        return 0;
    log_error("vm=%s: the vsock number %u is another VM's", board->vm->name, devices->cid);
    return ERR_BUSY;
}

void board_vsock_remove(struct board *board)
{
    struct board_virtio *b = &board->virtio;

    if (!b->vsock)
        return;
    virtio_vsock_remove(b->vsock);
    frame_free(b->vsock->port.buffer, frame_count(VSOCK_BUFFER));
    frame_free(b->vsock, frame_count(sizeof(*b->vsock)));
    b->vsock = NULL;
}
