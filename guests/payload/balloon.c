/*
 * The balloon (virtio 1.2, 5.5): pages that are put in have nothing any more of what was there; those that are taken out are blank.
 * Between the two it waits until it is told to go on, by the balloon's target.
 */
#include "guests/payload/virtio.h"

#include "core/lib/string.h"

#define DEVICE_ID 5
#define MUST_TELL BIT(0)
#define FIRST     0x800000ull /* what it gives up: 4 MiB from here on */
#define BLOCKS    2u
#define PAGES     (BLOCKS * 512)
#define ARRAY     256
#define ARRAY_AT  (ARENA + 0x10000)
#define PATTERN   0x5a5a5a5au
#define STRIDE    1024 /* of the words that are looked at */
#define PATIENCE  30000u

enum { INFLATE, DEFLATE };

static struct vdev dev;

/* Page n of those, in an order that completes no block before the end: even ones first. */
static uint32_t page_of(uint32_t n)
{
    return (uint32_t)(FIRST / PAGE_SIZE) + (n < PAGES / 2 ? 2 * n : 2 * (n - PAGES / 2) + 1);
}

static void pages_put(uint32_t queue, uint32_t from, uint32_t count)
{
    uint32_t *array = (uint32_t *)ARRAY_AT, id;
    const struct vq_part part = {array, 4 * ARRAY, false};

    for (uint32_t n = from; n < from + count; n += ARRAY) {
        for (uint32_t i = 0; i < ARRAY; i++)
            array[i] = page_of(n + i);
        vq_put(&dev, queue, 0, &part, 1);
        if (!vq_wait(&dev, queue, PATIENCE, &id, NULL))
            expect("balloon.answers", n, PAGES);
    }
    mmio_write(dev.config + 4, queue == INFLATE ? PAGES : 0);
}

static uint32_t words_other_than(uint64_t from, uint64_t bytes, uint32_t value)
{
    uint32_t other = 0;

    for (uint64_t at = from; at < from + bytes; at += STRIDE)
        other += mmio_read(at) != value;
    return other;
}

/* However long that takes: who sits at the monitor is slow. */
static void target_wait(uint32_t pages)
{
    while (mmio_read(dev.config) != pages)
        sleep_us(1000);
}

/* Whoever touches what is in the balloon, against the rules, brings it back by that: a device does, too. */
static void device_to_gone(void)
{
    struct vdev rng;
    const struct vq_part part = {(void *)(FIRST + SIZE_2M), 64, true};
    uint32_t id;

    if (!vdev_find(&rng, 4, 0, ARENA + 0x8000))
        return;
    check("balloon.rng-up", vdev_up(&rng, VIRTIO_VERSION_1));
    vq_put(&rng, 0, 0, &part, 1);
    check("balloon.rng", vq_wait(&rng, 0, 1000, &id, NULL));
    check("balloon.rng-filled", mmio_read(FIRST + SIZE_2M) | mmio_read(FIRST + SIZE_2M + 4));
    vdev_set_status(&rng, 0);
    memset((void *)(FIRST + SIZE_2M), 0, 64);
}

void balloon_run(void)
{
    check("balloon.found", vdev_find(&dev, DEVICE_ID, 0, ARENA));
    expect("balloon.must-tell", vdev_negotiate(&dev, VIRTIO_VERSION_1), false);
    check("balloon.up", vdev_up(&dev, VIRTIO_VERSION_1 | MUST_TELL));
    memset((void *)FIRST, PATTERN & 0xff, BLOCKS * SIZE_2M);
    target_wait(PAGES);
    pages_put(INFLATE, 0, PAGES / 2);
    expect("balloon.half", words_other_than(FIRST, BLOCKS * SIZE_2M, PATTERN), 0);
    pages_put(INFLATE, PAGES / 2, PAGES / 2);
    pages_put(INFLATE, 0, ARRAY); /* again: changes nothing */
    print("balloon given");
    target_wait(0);
    device_to_gone();
    pages_put(DEFLATE, 0, PAGES);
    expect("balloon.blank", words_other_than(FIRST, BLOCKS * SIZE_2M, 0), 0);
    memset((void *)FIRST, PATTERN & 0xff, BLOCKS * SIZE_2M);
    expect("balloon.back", words_other_than(FIRST, BLOCKS * SIZE_2M, PATTERN), 0);
    pages_put(INFLATE, 0, PAGES);
    vdev_set_status(&dev, 0);
    expect("balloon.reset-empties", words_other_than(FIRST, BLOCKS * SIZE_2M, 0), 0);
    print("balloon taken");
}
