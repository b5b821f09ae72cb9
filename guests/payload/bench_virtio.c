/*
 * What a disk and a network cost. `bench=disk` reads one with one request at a time, and with many; `count=N` only reads, `depth=N`
 * at once, so that exits can be counted from outside; `poll`: without interrupts. Two VMs on a switch run `bench=net`, which measures, and `bench=echo`;
 * `bench=flood` sends without end. `bench=life` writes without end, and says what it finds of an earlier life's; with `count=N` it
 * dies after so many flushes.
 */
#include "core/lib/string.h"
#include "guests/payload/bench.h"
#include "guests/payload/virtq.h"

#define VECTOR 0x94

#define ID_NET  1
#define ID_DISK 2

static struct virtq queues[2];
static struct vdev dev;
static volatile uint64_t taken; /* when the last interrupt came */

static void virtio_handler(struct trap_frame *f)
{
    (void)f;
    taken = rdtsc();
    irq_counts[VECTOR]++;
    lapic_write(LAPIC_EOI, 0);
}

/* -- the disk --------------------------------------------------------------------------------------------------- */

#define SMALL   4096
#define LARGE   (128 * 1024)
#define SECTOR  512
#define DISK    (16u * 1024 * 1024)
#define DEPTH   32
#define DATA    ARENA_NEXT
#define REQUEST ARENA

struct request {
    uint32_t type, reserved;
    uint64_t sector;
    volatile uint8_t status;
} __attribute__((aligned(64)));

static struct request *request(uint32_t n)
{
    return (struct request *)REQUEST + n;
}

/* Three descriptors a request; requests have places of their own. */
static void disk_put(uint32_t n, uint64_t sector, uint32_t bytes)
{
    struct virtq *q = &queues[0];

    *request(n) = (struct request){.sector = sector, .status = 0xff};
    virtq_desc(q, (uint16_t)(3 * n), request(n), 16, VQ_NEXT);
    virtq_desc(q, (uint16_t)(3 * n + 1), (void *)(DATA + n * (uint64_t)SMALL), bytes, VQ_NEXT | VQ_WRITE);
    virtq_desc(q, (uint16_t)(3 * n + 2), &request(n)->status, 1, VQ_WRITE);
    virtq_add(q, (uint16_t)(3 * n));
}

/* Tells of what was put, and waits for the interrupt of its end; returns the ticks from one to the other. */
static uint64_t disk_go(void)
{
    struct virtq *q = &queues[0];
    uint64_t start;

    q->avail.used_event = (uint16_t)(q->avail.index - 1); /* an interrupt for the last one alone */
    taken = 0;
    __asm__ volatile("sti");
    start = rdtsc();
    virtq_kick(q);
    while (!taken)
        cpu_pause();
    __asm__ volatile("cli");
    return taken - start;
}

static uint32_t random_state = 1;

/* Of SMALL bytes. */
static uint64_t random_sector(void)
{
    random_state = random_state * 1103515245 + 12345;
    return (random_state >> 8) % (DISK / SMALL) * (SMALL / SECTOR);
}

/* One at a time: small ones anywhere, large ones one after the other. */
static void disk_single(const char *name, uint32_t bytes)
{
    struct tally t = TALLY_NONE;

    for (uint32_t run = 0; run < BENCH_WARM_UP + BENCH_RUNS; run++) {
        uint64_t ticks;

        disk_put(0, bytes == SMALL ? random_sector() : run % (DISK / LARGE) * (LARGE / SECTOR), bytes);
        ticks = disk_go();
        if (run >= BENCH_WARM_UP)
            tally_add(&t, ticks);
    }
    check(name, request(0)->status == 0);
    tally_print(name, &t);
}

static void disk_fill(uint32_t depth)
{
    for (uint32_t n = 0; n < depth; n++)
        disk_put(n, random_sector(), SMALL);
}

/* DEPTH requests for each notification. */
static void disk_many(const char *name)
{
    struct tally t = TALLY_NONE;
    uint32_t before = irq_counts[VECTOR];

    for (int run = 0; run < BENCH_WARM_UP + BENCH_RUNS; run++) {
        uint64_t ticks;

        disk_fill(DEPTH);
        ticks = disk_go() / DEPTH;
        if (run >= BENCH_WARM_UP)
            tally_add(&t, ticks);
    }
    tally_print(name, &t);
    print("bench disk-interrupts-many=%u mean=%u", irq_counts[VECTOR] - before,
          (BENCH_WARM_UP + BENCH_RUNS) * DEPTH);
}

void bench_disk(uint32_t count, uint32_t depth, bool poll)
{
    trap_handlers[VECTOR] = virtio_handler;
    if (!virtq_device(&dev, ID_DISK, VIRTIO_EVENT_IDX)) {
        check("bench.disk", false);
        return;
    }
    virtq_init(&dev, &queues[0], 0, poll ? 0 : VECTOR);
    vdev_set_status(&dev, VIRTIO_UP);
    if (!count) {
        bench_overhead();
        disk_single("disk-read-4k", SMALL);
        disk_single("disk-read-128k", LARGE);
        disk_many("disk-read-4k-many");
        return;
    }
    irq_counts[VECTOR] = 0;
    depth = MIN(depth, (uint32_t)DEPTH);
    for (uint32_t n = 0; n < count; n += depth) {
        disk_fill(depth);
        if (poll)
            virtq_kick(&queues[0]);
        else
            disk_go();
        while (virtq_used(&queues[0]) != queues[0].avail.index)
            cpu_pause();
    }
    print("disk requests=%u interrupts=%u", count, irq_counts[VECTOR]);
}

/* -- a life with a disk, that ends at any time ------------------------------------------------------------------ */

#define BLOCKS       64
#define LIFE_WRITES  8 /* for each flush */
#define LIFE_REPORTS 8 /* flushes for each line */

enum { REQUEST_IN, REQUEST_OUT, REQUEST_FLUSH = 4 };

static uint64_t *life_block(uint32_t n)
{
    return (uint64_t *)(DATA + n * (uint64_t)SMALL);
}

static void life_put(uint32_t n, uint32_t type, uint64_t block)
{
    disk_put(n, block * (SMALL / SECTOR), type == REQUEST_FLUSH ? 0 : SMALL);
    request(n)->type = type;
    if (type != REQUEST_IN)
        queues[0].desc[3 * n + 1].flags = VQ_NEXT;
}

static void life_wait(void)
{
    virtq_kick(&queues[0]);
    while (virtq_used(&queues[0]) != queues[0].avail.index)
        cpu_pause();
}

/* Each block is full of the number of the write that was there last. */
static uint64_t life_look(void)
{
    uint64_t last = 0;
    uint32_t torn = 0;

    for (uint64_t block = 0; block < BLOCKS; block++) {
        const uint64_t *words = life_block(0);

        life_put(0, REQUEST_IN, block);
        life_wait();
        for (uint32_t i = 1; i < SMALL / 8; i++)
            torn += words[i] != words[0];
        last = MAX(last, words[0]);
    }
    print("life last=%llu torn=%u", (unsigned long long)last, torn);
    return last;
}

/* Writes and a flush, in one go; with `dies`, nobody waits for their end. */
static uint64_t life_write(uint64_t number, bool dies)
{
    for (uint32_t n = 0; n < LIFE_WRITES; n++) {
        number++;
        for (uint32_t i = 0; i < SMALL / 8; i++)
            life_block(n)[i] = number;
        life_put(n, REQUEST_OUT, number % BLOCKS);
    }
    life_put(LIFE_WRITES, REQUEST_FLUSH, 0);
    if (dies) {
        virtq_kick(&queues[0]);
        fault_run("triple");
    }
    life_wait();
    return number;
}

void disk_life(uint32_t flushes)
{
    uint64_t number;

    if (!virtq_device(&dev, ID_DISK, 0)) {
        check("life.disk", false);
        return;
    }
    virtq_init(&dev, &queues[0], 0, 0);
    vdev_set_status(&dev, VIRTIO_UP);
    number = life_look();
    for (uint32_t n = 1;; n++) {
        number = life_write(number, n == flushes);
        if (n % LIFE_REPORTS == 0)
            print("life flushed=%llu", (unsigned long long)number);
    }
}

/* -- the network ------------------------------------------------------------------------------------------------ */

#define CSUM       BIT(0)
#define GUEST_CSUM BIT(1)
#define GUEST_TSO4 BIT(7)
#define HOST_TSO4  BIT(11)
#define FEATURES   (CSUM | GUEST_CSUM | GUEST_TSO4 | HOST_TSO4)

#define HEADER      12
#define FRAME_SMALL 64
#define FRAME_LARGE 65535    /* the longest that Linux' bridge takes whole */
#define ROOM        0x10100u /* for a frame and its header */
#define RECEIVED    ARENA_NEXT
#define SENT        ARENA
#define RECEIVERS   30
#define BURST       16
#define BURST_LARGE 3
#define KIND        54 /* the first byte of TCP's payload: what is to be done */

enum { KIND_NOTHING, KIND_ANSWER, KIND_END };

#define IN  (&queues[0])
#define OUT (&queues[1])

static uint16_t seen, given; /* used entries of IN that were looked at; buffers */
static uint8_t own[6], peer[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}; /* all, until one has answered */

static volatile uint8_t *buffer_in(uint32_t n)
{
    return (volatile uint8_t *)(RECEIVED + n * (uint64_t)ROOM);
}

static void net_start(void)
{
    trap_handlers[VECTOR] = virtio_handler;
    if (!virtq_device(&dev, ID_NET, FEATURES)) {
        check("bench.net", false);
        finish();
    }
    virtq_init(&dev, IN, 0, VECTOR);
    virtq_init(&dev, OUT, 1, 0);
    vdev_set_status(&dev, VIRTIO_UP);
    OUT->avail.flags = 1; /* no interrupts */
    for (uint32_t i = 0; i < sizeof(own); i++)
        own[i] = ((volatile uint8_t *)dev.config)[i];
    for (given = 0; given < RECEIVERS; given++) {
        virtq_desc(IN, given, buffer_in(given), ROOM, VQ_WRITE);
        virtq_add(IN, given);
    }
    virtq_kick(IN);
}

/* TCP over IPv4 to the other one, with its checksum begun, in the n-th place of those for sending. */
static void net_fill(uint32_t n, uint32_t len, uint8_t kind)
{
    static const uint8_t headers[HEADER + KIND] = {
        [0] = 1,     [1] = 1,   [4] = 0xb4, [5] = 5,   [6] = 34,  [8] = 16, [24] = 8,
        [26] = 0x45, [34] = 64, [35] = 6,   [38] = 10, [42] = 10, [45] = 1, [58] = 0x50};
    uint8_t *at = (uint8_t *)(SENT + n * (uint64_t)ROOM);

    memcpy(at, headers, sizeof(headers));
    memcpy(at + HEADER, peer, sizeof(peer));
    memcpy(at + HEADER + 6, own, sizeof(own));
    if (len == FRAME_SMALL)
        memset(at, 0, HEADER);
    at[HEADER + KIND] = kind;
    virtq_desc(OUT, (uint16_t)n, at, HEADER + len, 0);
}

/* `count` frames, of which the last one is of that kind, are put together; and sent, one by one. */
static void net_prepare(uint32_t count, uint32_t len, uint8_t kind)
{
    for (uint32_t n = 0; n < count; n++)
        net_fill(n, len, n + 1 == count ? kind : KIND_NOTHING);
}

static void net_go(uint32_t count)
{
    for (uint32_t n = 0; n < count; n++) {
        virtq_add(OUT, (uint16_t)n);
        virtq_kick(OUT);
    }
}

static void net_send(uint32_t len, uint8_t kind)
{
    net_prepare(1, len, kind);
    net_go(1);
}

/* Halts until a frame has come; gives its buffer back, and returns its kind. */
static uint8_t net_wait(void)
{
    uint8_t kind;
    uint32_t id;

    while (virtq_used(IN) == seen)
        __asm__ volatile("sti; hlt; cli" ::: "memory");
    id = IN->used.ring[seen++ % VIRTQ_SIZE].id;
    kind = buffer_in(id)[HEADER + KIND];
    memcpy(peer, (const uint8_t *)buffer_in(id) + HEADER + 6, sizeof(peer));
    virtq_add(IN, (uint16_t)id);
    return kind;
}

void bench_echo(void)
{
    uint8_t kind;

    net_start();
    do {
        kind = net_wait();
        if (kind == KIND_ANSWER)
            net_send(FRAME_SMALL, KIND_NOTHING);
    } while (kind != KIND_END);
}

void bench_flood(void)
{
    uint16_t sent = 0;

    net_start();
    net_prepare(BURST, FRAME_SMALL, KIND_ANSWER);
    for (;; sent += BURST) {
        net_go(BURST);
        while (virtq_used(OUT) != (uint16_t)(sent + BURST))
            cpu_pause();
        while (virtq_used(IN) != seen)
            net_wait();
    }
}

/* From the first of `count` frames to the answer to the last. */
static void net_burst(const char *name, uint32_t count, uint32_t len)
{
    struct tally t = TALLY_NONE;

    net_prepare(count, len, KIND_ANSWER);
    for (int run = 0; run < BENCH_WARM_UP + BENCH_RUNS; run++) {
        uint64_t start = rdtsc(), ticks;

        net_go(count);
        net_wait();
        ticks = rdtsc() - start;
        if (run >= BENCH_WARM_UP)
            tally_add(&t, ticks);
    }
    tally_print(name, &t);
}

/* The other one may not be there yet. */
static void net_meet(void)
{
    do {
        net_send(FRAME_SMALL, KIND_ANSWER);
        sleep_us(1000);
    } while (virtq_used(IN) == 0);
    sleep_us(10000);
    while (virtq_used(IN) != seen)
        net_wait();
}

void bench_net(void)
{
    net_start();
    net_meet();
    bench_overhead();
    net_burst("net-ping", 1, FRAME_SMALL);
    net_burst("net-burst-64", BURST, FRAME_SMALL);
    net_burst("net-frame-64k", 1, FRAME_LARGE);
    net_burst("net-burst-64k", BURST_LARGE, FRAME_LARGE);
    net_send(FRAME_SMALL, KIND_END);
}
