#include "guests/board_shmem.h"

#include "core/lib/error.h"
#include "core/lib/log.h"
#include "guests/board.h"
#include "guests/platform.h"

/* A guest sees it where nothing else can be: in the windows for PCI, not over RAM, ROM or an interrupt controller. */
static bool place_good(const struct board_shmem_device *d, uint64_t addr)
{
    uint64_t len = d->share->len;

    if (addr >= PC_PCI_WINDOW && addr < PC_PCI_WINDOW_END)
        return len <= PC_PCI_WINDOW_END - addr;
    return addr >= d->board->vm->end && addr < PC_ADDRESS_END && len <= PC_ADDRESS_END - addr;
}

static void shmem_place(void *ctx, bool there, uint64_t addr)
{
    struct board_shmem_device *d = ctx;

    vmshare_place(d->board->vm, d->share, there && place_good(d, addr) ? addr : VMSHARE_NOWHERE);
}

static bool shmem_init(struct board_shmem_device *d, struct board *board, const struct board_shmem_from *from)
{
    const struct vivshmem_config config = {
        .group = from->group,
        .timers = &board->vm->timers,
        .memory = (uint8_t *)(uintptr_t)from->share->at,
        .len = from->share->len,
        .place = shmem_place,
        .ctx = d,
    };

    d->board = board;
    d->share = from->share;
    d->name = from->name;
    return vivshmem_init(&d->s, &board->pci_bus, board_free_slot(board), &config);
}

int board_shmem_init(struct board *board, const struct board_devices *devices)
{
    struct board_shmem *b = &board->shmem;

    if (!devices->shmem_count)
        return 0;
    b->devices = frame_alloc(frame_count(devices->shmem_count * sizeof(*b->devices)), vm_owner(board->vm));
    if (!b->devices)
        return ERR_NOMEM;
    while (b->count < devices->shmem_count) {
        uint32_t i = b->count++;

        if (!shmem_init(&b->devices[i], board, &devices->shmems[i])) {
            log_error("vm=%s: too many VMs share '%s'", board->vm->name, devices->shmems[i].name);
            return ERR_BUSY;
        }
    }
    return 0;
}

void board_shmem_reset(struct board *board)
{
    for (uint32_t i = 0; i < board->shmem.count; i++)
        vivshmem_reset(&board->shmem.devices[i].s);
}

void board_shmem_remove(struct board *board)
{
    struct board_shmem *b = &board->shmem;

    for (uint32_t i = 0; i < b->count; i++)
        vivshmem_remove(&b->devices[i].s);
    frame_free(b->devices, frame_count(b->count * sizeof(*b->devices)));
    b->count = 0;
}
