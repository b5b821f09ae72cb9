#include "guests/board_virtio.h"

#include "core/lib/error.h"
#include "core/lib/log.h"
#include "core/lib/string.h"
#include "guests/board.h"

#define NET_BUFFER   (256 * KiB) /* for frames on their way to a driver: at least three of the longest */
#define RESEED_BYTES (1 * MiB)

static void *memory_take(struct board *board, uint64_t bytes)
{
    return frame_alloc(frame_count(bytes), vm_owner(board->vm));
}

static int disks_init(struct board *board, const struct board_devices *devices, uint32_t *slot)
{
    struct board_virtio *b = &board->virtio;

    if (!devices->disk_count)
        return 0;
    b->blks = memory_take(board, devices->disk_count * sizeof(*b->blks));
    if (!b->blks)
        return ERR_NOMEM;
    b->blk_room = devices->disk_count;
    for (; b->blk_count < devices->disk_count; b->blk_count++) {
        const struct virtio_blk_config blk = {
            .disk = devices->disks[b->blk_count].disk,
            .serial = devices->disks[b->blk_count].serial,
            .queues = board->vm->vcpu_count,
            .packed = !devices->split_rings,
            .rates = devices->disks[b->blk_count].rates,
        };

        virtio_blk_init(&b->blks[b->blk_count], &b->host, (*slot)++, &blk);
    }
    return 0;
}

static int cdroms_init(struct board *board, const struct board_devices *devices, uint32_t *slot)
{
    struct board_virtio *b = &board->virtio;

    if (!devices->cdrom_count)
        return 0;
    b->scsi = memory_take(board, sizeof(*b->scsi));
    if (!b->scsi)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < devices->cdrom_count; i++)
        b->scsi->targets[i] = (struct vcdrom){.disc = devices->cdroms[i].disk,
                                              .name = devices->cdroms[i].serial};
    b->scsi->target_count = devices->cdrom_count;
    virtio_scsi_init(b->scsi, &b->host, (*slot)++, !devices->split_rings);
    return 0;
}

static int net_init(struct board *board, const struct board_devices *devices, uint32_t slot)
{
    struct board_virtio *b = &board->virtio;
    const struct board_net *from = &devices->nets[b->net_count];
    struct virtio_net_config net = {
        .net = from->net,
        .buffer_bytes = NET_BUFFER,
        .pairs = board->vm->vcpu_count,
        .packed = !devices->split_rings,
        .rates = from->rates,
    };

    net.buffer = memory_take(board, NET_BUFFER);
    if (!net.buffer)
        return ERR_NOMEM;
    memcpy(net.mac, from->mac, VSWITCH_MAC);
    if (virtio_net_init(&b->nets[b->net_count++], &b->host, slot, &net))
        return 0;
    log_error("vm=%s: a switch has no port left for it", board->vm->name);
    return ERR_BUSY;
}

static int nets_init(struct board *board, const struct board_devices *devices, uint32_t *slot)
{
    struct board_virtio *b = &board->virtio;
    int err = 0;

    if (!devices->net_count)
        return 0;
    b->nets = memory_take(board, devices->net_count * sizeof(*b->nets));
    if (!b->nets)
        return ERR_NOMEM;
    b->net_room = devices->net_count;
    while (b->net_count < devices->net_count && !err)
        err = net_init(board, devices, (*slot)++);
    return err;
}

/* -- random numbers --------------------------------------------------------------------------------------------- */

static bool random_seed(struct board_virtio *b)
{
    uint8_t seed[DRBG_SEED];

    if (!b->entropy || !b->entropy(seed, sizeof(seed)))
        return false;
    drbg_seed(&b->drbg, seed);
    b->drawn = 0;
    return true;
}

/* Should the CPU have nothing for once, the generator goes on with what it has. */
static void random_fill(void *ctx, void *buf, uint32_t len)
{
    struct board_virtio *b = ctx;

    if (b->drawn >= RESEED_BYTES)
        random_seed(b);
    b->drawn += len;
    drbg_fill(&b->drbg, buf, len);
}

static void rng_init(struct board *board, const struct board_devices *devices, uint32_t *slot)
{
    struct board_virtio *b = &board->virtio;

    if (!devices->rng)
        return;
    b->entropy = devices->entropy;
    b->has_rng = random_seed(b);
    if (b->has_rng)
        virtio_rng_init(&b->rng, &b->host, (*slot)++, !devices->split_rings, random_fill, b);
    else
        log_warn("vm=%s: no random number device: this CPU has neither RDSEED nor RDRAND", board->vm->name);
}

/* -- the balloon ------------------------------------------------------------------------------------------------ */

static void page_give(void *ctx, uint64_t page)
{
    vmballoon_give(((struct board *)ctx)->vm, page);
}

static bool page_take(void *ctx, uint64_t page)
{
    return vmballoon_take(((struct board *)ctx)->vm, page);
}

static void pages_empty(void *ctx)
{
    vmballoon_empty(((struct board *)ctx)->vm);
}

static void pages_report(void *ctx, gpa_t gpa, uint64_t len)
{
    vmballoon_report(((struct board *)ctx)->vm, gpa, len);
}

static bool pages_busy(void *ctx)
{
    return vmballoon_busy(((struct board *)ctx)->vm);
}

static void pages_settle(void *ctx)
{
    struct vm *vm = ((struct board *)ctx)->vm;

    if (vmballoon_busy(vm))
        vm_rest(vm);
}

static void balloon_init(struct board *board, const struct board_devices *devices)
{
    const struct virtio_balloon_config config = {
        .give = page_give,
        .take = page_take,
        .empty = pages_empty,
        .report = pages_report,
        .settle = pages_settle,
        .busy = pages_busy,
        .ctx = board,
        .packed = !devices->split_rings,
    };

    board->virtio.has_balloon = devices->balloon;
    if (devices->balloon)
        virtio_balloon_init(&board->virtio.balloon, &board->virtio.host, board_free_slot(board), &config);
}

/* -- all of them ------------------------------------------------------------------------------------------------ */

int board_virtio_init(struct board *board, const struct board_devices *devices)
{
    struct board_virtio *b = &board->virtio;
    uint32_t slot = PC_SLOT_FIRST;
    int err;

    b->host = (struct virtio_host){
        .pci = &board->pci_bus,
        .mem = &board->vm->mem,
        .timers = &board->vm->timers,
        .chain = &b->chain,
    };
    err = disks_init(board, devices, &slot);
    if (!err)
        err = cdroms_init(board, devices, &slot);
    if (!err)
        err = nets_init(board, devices, &slot);
    if (err)
        return err;
    err = board_console_init(board, devices, &slot);
    if (err)
        return err;
    rng_init(board, devices, &slot);
    balloon_init(board, devices);
    return board_vsock_init(board, devices);
}

void board_virtio_reset(struct board *board)
{
    struct board_virtio *b = &board->virtio;

    for (uint32_t i = 0; i < b->blk_count; i++)
        virtio_reset(&b->blks[i].v);
    for (uint32_t i = 0; i < b->net_count; i++)
        virtio_reset(&b->nets[i].v);
    if (b->scsi)
        virtio_reset(&b->scsi->v);
    if (b->has_console)
        virtio_reset(&b->console.v);
    if (b->has_rng)
        virtio_reset(&b->rng.v);
    if (b->has_balloon)
        virtio_reset(&b->balloon.v);
    if (b->vsock)
        virtio_reset(&b->vsock->v);
}

void board_virtio_remove(struct board *board)
{
    struct board_virtio *b = &board->virtio;

    board_console_remove(board);
    board_vsock_remove(board);
    for (uint32_t i = 0; i < b->net_count; i++) {
        virtio_net_remove(&b->nets[i]);
        frame_free(b->nets[i].port.buffer, frame_count(NET_BUFFER));
    }
    frame_free(b->scsi, frame_count(sizeof(*b->scsi)));
    frame_free(b->nets, frame_count(b->net_room * sizeof(*b->nets)));
    frame_free(b->blks, frame_count(b->blk_room * sizeof(*b->blks)));
}
