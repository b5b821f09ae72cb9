/* The virtio console of a board: the VM's own console, and ports with names, each a console of its own. */
#include "core/lib/error.h"
#include "core/lib/format.h"
#include "guests/board.h"

static void console_write(void *ctx, const uint8_t *bytes, uint32_t len)
{
    board_console_write(ctx, bytes, len);
}

static bool console_ready(void *ctx)
{
    return console_vm_ready(&((struct board *)ctx)->console);
}

/* -- ports ------------------------------------------------------------------------------------------------------ */

static void port_write(void *ctx, const uint8_t *bytes, uint32_t len)
{
    struct board_port *port = ctx;

    console_vm_write(&port->console, bytes, len, port->board->host_now());
    if (port->board->console_changed)
        port->board->console_changed();
}

static bool port_ready(void *ctx)
{
    return console_vm_ready(&((struct board_port *)ctx)->console);
}

static void port_typed(void *ctx, uint8_t byte)
{
    struct board_port *port = ctx;
    struct board *board = port->board;

    lock_take(&board->vm->devices);
    virtio_console_type(&board->virtio.console, port->number, byte);
    lock_drop(&board->vm->devices);
    vcpu_kick(board->cpus[0].vcpu);
}

static void port_init(struct board *board, struct board_port *port, uint32_t number, const char *name)
{
    char full[CONSOLE_NAME_MAX];

    port->board = board;
    port->number = number;
    fmt_print(full, sizeof(full), "%s.%s", board->vm->name, name);
    console_vm_add(&port->console, full, port_typed, port);
}

/* -- the device ------------------------------------------------------------------------------------------------- */

int board_console_init(struct board *board, const struct board_devices *devices, uint32_t *slot)
{
    struct board_virtio *b = &board->virtio;
    struct virtio_console_config config = {.console = devices->console, .packed = !devices->split_rings};

    if (!devices->console && !devices->port_count)
        return 0;
    if (devices->console)
        config.ends[config.count++] = (struct virtio_console_end){"console", console_write, console_ready,
                                                                  board};
    if (devices->port_count) {
        b->ports = frame_alloc(frame_count(devices->port_count * sizeof(*b->ports)), vm_owner(board->vm));
        if (!b->ports)
            return ERR_NOMEM;
    }
    for (; b->port_count < devices->port_count; b->port_count++) {
        struct board_port *port = &b->ports[b->port_count];

        port_init(board, port, config.count, devices->ports[b->port_count]);
        config.ends[config.count++] = (struct virtio_console_end){devices->ports[b->port_count], port_write,
                                                                  port_ready, port};
    }
    b->has_console = true;
    virtio_console_init(&b->console, &b->host, (*slot)++, &config);
    return 0;
}

bool board_virtio_type(struct board *board, uint8_t byte)
{
    struct virtio_console *c = &board->virtio.console;

    if (!board->virtio.has_console || !c->console || !virtio_console_listens(c, 0))
        return false;
    virtio_console_type(c, 0, byte);
    return true;
}

void board_console_flush(struct board *board)
{
    for (uint32_t i = 0; i < board->virtio.port_count; i++)
        console_vm_flush(&board->virtio.ports[i].console);
}

void board_console_remove(struct board *board)
{
    struct board_virtio *b = &board->virtio;

    for (uint32_t i = 0; i < b->port_count; i++)
        console_vm_remove(&b->ports[i].console);
    frame_free(b->ports, frame_count(b->port_count * sizeof(*b->ports)));
    b->port_count = 0;
}
