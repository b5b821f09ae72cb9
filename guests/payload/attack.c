/*
 * A guest that means harm to its virtio devices: registers, rings and descriptors as no driver has them, and while the device reads
 * them. A device may want a reset then, and nothing worse: after each attack it comes up and works. What becomes of others is
 * looked at from outside.
 */
#include "guests/payload/attack.h"

#include "core/lib/string.h"
#include "guests/payload/smp.h"

#define RINGS       ARENA
#define INDIRECT    (ARENA + 0x10000) /* a table */
#define DATA        (ARENA + 0x20000)
#define GUARD       (ARENA + 0x80000) /* filled with a pattern, and never given to a device */
#define GUARD_BYTES 0x10000u
#define PATTERN     0x6b6b6b6bu
#define BALLOON     5
#define MUST_TELL   BIT(0) /* of the balloon */
#define REPORTING   BIT(5)
#define ROUNDS      400
#define NOWHERE     0x4000000000ull /* beyond all memory */
#define DEVICE      0xd0000000ull   /* where PCI devices may be */
#define IOAPIC      0xfec00000ull
#define ROM         0xe0000ull

static uint32_t seed = 12345;
static uint64_t needed; /* features without which the device doesn't come up */
static uint32_t wrong;  /* devices that didn't come back */

uint32_t attack_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
}

static uint64_t any_address(void)
{
    static const uint64_t places[] = {
        0,      DATA,    DATA + 0xfff, RINGS,           INDIRECT,       ROM,    DEVICE,
        IOAPIC, NOWHERE, 0xfffff000,   UINT64_MAX - 15, BIT(63) | DATA, 0xa0000};

    return places[attack_random() % ARRAY_SIZE(places)] + (attack_random() & 1 ? attack_random() % 64 : 0);
}

static uint32_t any_length(void)
{
    static const uint32_t lengths[] = {0, 1, 12, 16, 44, 512, 4096, 0x10000, 0x7fffffff, 0xffffffff};

    return lengths[attack_random() % ARRAY_SIZE(lengths)];
}

/* Whatever became of the device, a driver that begins anew finds it in order. */
static void settle(struct vdev *d, const char *what)
{
    uint8_t status = vdev_status(d);

    if (vdev_up(d, needed))
        return;
    wrong++;
    print("# device %u after %s: status %#x, then %#x", d->id, what, status, vdev_status(d));
}

/* -- features and status ------------------------------------------------------------------------------------------ */

static void attack_features(struct vdev *d)
{
    uint64_t offered = vdev_offered(d);

    expect("attack.unoffered", vdev_negotiate(d, needed | BIT(50)), false);
    expect("attack.old-driver", vdev_negotiate(d, offered & ~VIRTIO_VERSION_1), false);
    vdev_set_status(d, 0);
    vdev_set_status(d, VIRTIO_DRIVER_OK);
    expect("attack.early", vdev_status(d) & VIRTIO_DRIVER_OK, 0);
    vdev_set_status(d, 0xff);
    expect("attack.all-at-once", vdev_status(d) & (VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET), 0);
    settle(d, "features");
    vdev_set_status(d, VIRTIO_ACKNOWLEDGE); /* nothing is taken back */
    expect("attack.taken-back", vdev_status(d), VIRTIO_UP);
    mmio_write(d->common + VIRTIO_DRIVER_FEATURE, UINT32_MAX);
    settle(d, "late features");
}

/* -- queues ------------------------------------------------------------------------------------------------------- */

static void attack_addresses(struct vdev *d)
{
    for (uint32_t i = 0; i < 40; i++) {
        if (!vdev_negotiate(d, needed)) {
            settle(d, "addresses");
            continue;
        }
        common16_set(d, VIRTIO_QUEUE_SELECT, (uint16_t)(attack_random() % (d->queues + 1)));
        common16_set(d, VIRTIO_QUEUE_SIZE, (uint16_t)(i & 1 ? attack_random() : VQ_SIZE));
        common64_set(d, VIRTIO_QUEUE_DESC, any_address());
        common64_set(d, VIRTIO_QUEUE_DRIVER, any_address());
        common64_set(d, VIRTIO_QUEUE_DEVICE, any_address());
        common16_set(d, VIRTIO_QUEUE_ENABLE, 1);
        vdev_set_status(d, VIRTIO_UP);
        for (uint32_t q = 0; q <= d->queues; q++)
            vq_kick(d, q);
        settle(d, "addresses");
    }
}

static void desc_random(struct vq_desc *d)
{
    *d = (struct vq_desc){any_address(), any_length(), (uint16_t)(attack_random() & 0x7),
                          (uint16_t)(attack_random() % 20)};
}

/* Chains that loop, end nowhere, or are longer than the ring. */
static void chain_make(struct vq_memory *q, uint32_t kind)
{
    for (uint32_t i = 0; i < VQ_SIZE; i++)
        q->desc[i] = (struct vq_desc){DATA + 64 * i, 64, VQ_NEXT, (uint16_t)((i + 1) % VQ_SIZE)};
    switch (kind) {
    case 0: /* one that is its own next */
        q->desc[0].next = 0;
        break;
    case 1: /* all in a circle */
        break;
    case 2:
        q->desc[0].next = VQ_SIZE;
        break;
    case 3: /* what may be read behind what may be written */
        q->desc[0].flags |= VQ_WRITE;
        q->desc[1].flags = 0;
        break;
    case 4: /* an indirect table in an indirect table */
        q->desc[0] = (struct vq_desc){INDIRECT, 32, VQ_INDIRECT, 0};
        ((struct vq_desc *)INDIRECT)[0] = (struct vq_desc){INDIRECT, 32, VQ_INDIRECT, 0};
        break;
    case 5: /* of no whole number of descriptors */
        q->desc[0] = (struct vq_desc){INDIRECT, 17, VQ_INDIRECT, 0};
        break;
    case 6: /* much larger than any queue */
        q->desc[0] = (struct vq_desc){INDIRECT, 16 * 65535, VQ_INDIRECT, 0};
        for (uint32_t i = 0; i < 4096; i++)
            ((struct vq_desc *)INDIRECT)[i] = (struct vq_desc){DATA, 1, VQ_NEXT, (uint16_t)(i + 1)};
        break;
    default:
        for (uint32_t i = 0; i < VQ_SIZE; i++)
            desc_random(&q->desc[i]);
        for (uint32_t i = 0; i < 64; i++)
            desc_random((struct vq_desc *)INDIRECT + i);
    }
}

static void attack_chains(struct vdev *d)
{
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t queue = attack_random() % d->queues;
        struct vq_memory *q = &d->q[queue];

        chain_make(q, i % 24);
        q->avail[q->avail_index % VQ_SIZE] = (uint16_t)(i % 5 ? 0 : attack_random());
        q->avail_index += (uint16_t)(i % 7 ? 1 : attack_random());
        vq_kick(d, queue);
        settle(d, "chains");
    }
}

/* -- while it reads ----------------------------------------------------------------------------------------------- */

static volatile bool over;
static struct vdev *changed;

static void change(uint32_t cpu)
{
    (void)cpu;
    for (uint32_t i = 0; !over; i++) {
        struct vq_memory *q = &changed->q[i % changed->queues];

        q->desc[i % VQ_SIZE].address = i & 1 ? DATA : NOWHERE;
        q->desc[(i + 1) % VQ_SIZE].len = i & 2 ? 64 : 0xffffffff;
        q->desc[(i + 2) % VQ_SIZE].flags = (uint16_t)(i & 7);
        q->desc[(i + 3) % VQ_SIZE].next = (uint16_t)(i % 20);
        q->avail_index = (uint16_t)i;
    }
}

static void attack_changing(struct vdev *d)
{
    changed = d;
    over = false;
    smp_begin(1, change);
    for (uint32_t i = 0; i < ROUNDS / 4; i++) {
        for (uint32_t queue = 0; queue < d->queues; queue++)
            vq_kick(d, queue);
        vdev_up(d, needed);
    }
    over = true;
    check("attack.other-cpu", smp_end(1));
    settle(d, "changes");
}

/* -- all of it ---------------------------------------------------------------------------------------------------- */

static uint64_t words_sum(uint64_t from, uint32_t bytes)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < bytes; i += 4)
        sum = sum * 31 + mmio_read(from + i);
    return sum;
}

static void attack_device(struct vdev *d, bool two)
{
    needed = VIRTIO_VERSION_1 | (d->id == BALLOON ? MUST_TELL | REPORTING : 0);
    check("attack.up", vdev_up(d, needed));
    attack_features(d);
    attack_addresses(d);
    attack_chains(d);
    if (two)
        attack_changing(d);
    attack_registers(d);
    settle(d, "all");
    attack_reset(d);
    settle(d, "a function level reset");
    vdev_set_status(d, 0);
    expect("attack.reset", vdev_status(d), 0);
    pci_enable(d->slot, false);
}

void attack_run(uint32_t cpus)
{
    static const uint32_t kinds[] = {1, 2, 3, 4, 5, 8, 19};
    uint64_t rom = words_sum(ROM, 0x10000);
    uint32_t devices = 0;
    struct vdev d;

    if (cpus > 1)
        expect("attack.cpus", smp_start(cpus), cpus);
    memset((void *)GUARD, (int)(PATTERN & 0xff), GUARD_BYTES);
    for (uint32_t i = 0; i < 256; i++)
        if (i >= 32 && !trap_handlers[i])
            irq_count((uint8_t)i, false);
    for (uint32_t i = 0; i < ARRAY_SIZE(kinds); i++)
        for (uint32_t n = 0; vdev_find(&d, kinds[i], n, RINGS); n++) {
            print("attack device=%u queues=%u", d.id, d.queues);
            attack_device(&d, cpus > 1);
            devices++;
        }
    attack_functions();
    expect("attack.came-back", wrong, 0);
    expect("attack.rom", words_sum(ROM, 0x10000), rom);
    for (uint32_t i = 0; i < GUARD_BYTES; i += 4)
        if (mmio_read(GUARD + i) != PATTERN)
            expect("attack.guard", mmio_read(GUARD + i), PATTERN);
    print("attack devices=%u", devices);
    attack_works();
}
