/* What works all the same after an attack: a disk reads, random numbers come, a port of the console has its name and speaks. */
#include "core/lib/bytes.h"
#include "core/lib/string.h"
#include "guests/payload/attack.h"

#define DATA (ARENA + 0x20000)

/* A read of sector 0: header, data, status (5.2.6). */
static void disk_works(void)
{
    struct vdev d;
    uint8_t *header = (uint8_t *)DATA, *status = header + 1024;
    const struct vq_part parts[] = {{header, 16, false}, {header + 512, 512, true}, {status, 1, true}};
    uint32_t id = 0, len = 0;

    if (!vdev_find(&d, 2, 0, ARENA))
        return;
    memset(header, 0, 16);
    *status = 0xff;
    check("attack.disk-up", vdev_up(&d, VIRTIO_VERSION_1));
    vq_put(&d, 0, 0, parts, 3);
    check("attack.disk-answers", vq_wait(&d, 0, 2000, &id, &len));
    expect("attack.disk-status", *status, 0);
    expect("attack.disk-bytes", len, 513);
}

static void random_works(void)
{
    struct vdev d;
    const struct vq_part part = {(void *)DATA, 64, true};
    uint32_t id = 0, len = 0;

    if (!vdev_find(&d, 4, 0, ARENA))
        return;
    check("attack.random-up", vdev_up(&d, VIRTIO_VERSION_1));
    vq_put(&d, 0, 0, &part, 1);
    check("attack.random-answers", vq_wait(&d, 0, 2000, &id, &len));
    expect("attack.random-bytes", len, 64);
}

/* -- a console with a port (5.3) ---------------------------------------------------------------------------------- */

#define F_MULTIPORT BIT(1)

enum { QUEUE_TELL = 2, QUEUE_HEAR, QUEUE_PORT = 5 };
enum { DEVICE_READY, DEVICE_ADD, PORT_READY = 3, CONSOLE_PORT, PORT_OPEN = 6, PORT_NAME };

static void console_say(struct vdev *d, uint32_t port, uint16_t event)
{
    uint8_t *message = (uint8_t *)DATA;
    const struct vq_part part = {message, 8, false};
    uint32_t id;

    put_le32(message, port);
    put_le16(message + 4, event);
    put_le16(message + 6, 1);
    vq_put(d, QUEUE_HEAR, 0, &part, 1);
    if (!vq_wait(d, QUEUE_HEAR, 2000, &id, NULL))
        check("attack.console-hears", false);
}

/* The next message is this one; a name follows. */
static void console_told(struct vdev *d, uint32_t port, uint16_t event, const char *name)
{
    uint32_t id = 0, len = 0;
    const uint8_t *message;
    bool good = vq_wait(d, QUEUE_TELL, 2000, &id, &len);

    message = (const uint8_t *)(DATA + 0x1000 + 64 * id);
    good &= get_le32(message) == port && get_le16(message + 4) == event && len == 8 + str_len(name);
    if (!good || memcmp(message + 8, name, str_len(name)))
        expect("attack.console-tells", get_le16(message + 4), event);
}

static void console_works(void)
{
    static const char text[] = "words through a port\n";
    const struct vq_part part = {text, sizeof(text) - 1, false};
    struct vdev d;
    uint32_t id;

    if (!vdev_find(&d, 3, 0, ARENA) || d.queues <= QUEUE_PORT)
        return;
    check("attack.console-up", vdev_up(&d, VIRTIO_VERSION_1 | F_MULTIPORT));
    expect("attack.console-ports", mmio_read(d.config + 4), 2);
    for (uint32_t i = 0; i < 8; i++) {
        const struct vq_part room = {(void *)(DATA + 0x1000 + 64 * i), 64, true};

        vq_put(&d, QUEUE_TELL, i, &room, 1);
    }
    console_say(&d, 0, DEVICE_READY);
    console_told(&d, 0, DEVICE_ADD, "");
    console_told(&d, 1, DEVICE_ADD, "");
    console_say(&d, 0, PORT_READY);
    console_told(&d, 0, CONSOLE_PORT, "");
    console_told(&d, 0, PORT_OPEN, "");
    console_told(&d, 0, PORT_NAME, "console");
    console_say(&d, 1, PORT_READY);
    console_told(&d, 1, PORT_OPEN, "");
    console_told(&d, 1, PORT_NAME, "port");
    vq_put(&d, QUEUE_PORT, 0, &part, 1);
    check("attack.port-speaks", vq_wait(&d, QUEUE_PORT, 2000, &id, NULL));
}

void attack_works(void)
{
    disk_works();
    random_works();
    console_works();
}
