/*
 * Free memory that is reported to the balloon (virtio 1.2, 5.5.6.7): it is gone, and a touch brings it back blank, whoever touches and
 * however: the CPU, its delivery of events and its walks through page tables, another CPU at the same time, devices, and the
 * hypervisor where it carries out an instruction. Between the parts it waits until it is told to go on, by the balloon's target.
 */
#include "guests/payload/smp.h"
#include "guests/payload/virtio.h"

#include "core/event.h"
#include "core/lib/string.h"

#define BALLOON   5
#define REPORTING BIT(5)
#define MUST_TELL BIT(0)
#define REGION    0x800000ull /* what it reports */
#define BLOCKS    6u
#define BYTES     (BLOCKS * SIZE_2M)
#define PATTERN   0x5a5a5a5au
#define STRIDE    1024 /* of the words that are looked at */
#define PATIENCE  60000u
#define ROUNDS    6
#define AT_ONCE   16                    /* the target that asks for that */
#define VECTOR    0x58                  /* 0x40000 more is a self-IPI of it, 0x400 an NMI */
#define NOWHERE   (ARENA_NEXT + 0x1000) /* its page is taken out of the map where a page fault is wanted */
#define QUEUES_AT (ARENA + 0x10000)     /* of other devices */
#define HEAD_AT   (ARENA + 0x20000)
#define DATA_AT   (ARENA + 0x21000)

enum { REPORT = 2, REPORT_BY_NUMBER = 4 };

static struct vdev dev;

static uint64_t block(uint32_t n)
{
    return REGION + n * SIZE_2M;
}

/* Of what the words should be. */
static uint32_t words_other_than(uint64_t from, uint64_t bytes, uint32_t value)
{
    uint32_t other = 0;

    for (uint64_t at = from; at < from + bytes; at += STRIDE)
        other += mmio_read(at) != value;
    return other;
}

static bool report_by(uint32_t queue, uint64_t from, uint64_t bytes, bool write)
{
    const struct vq_part part = {(void *)from, (uint32_t)bytes, write};
    uint32_t id;

    vq_put(&dev, queue, 0, &part, 1);
    return vq_wait(&dev, queue, PATIENCE, &id, NULL);
}

/* Full of a pattern first, so that nothing of it can be there by chance. */
static void report(uint64_t from, uint64_t bytes)
{
    memset((void *)from, PATTERN & 0xff, bytes);
    if (!report_by(REPORT, from, bytes, true))
        check("holes.answers", false);
}

/* One request of a device that touches all of them: without memory for more than the first, the VM ends by that. */
static void touch_at_once(void)
{
    struct vq_part parts[BLOCKS];
    struct vdev rng;
    uint32_t id;

    check("holes.at-once-up", vdev_find(&rng, 4, 0, QUEUES_AT) && vdev_up(&rng, VIRTIO_VERSION_1));
    for (uint32_t n = 0; n < BLOCKS; n++)
        parts[n] = (struct vq_part){(void *)block(n), 64, true};
    vq_put(&rng, 0, 0, parts, BLOCKS);
    check("holes.at-once", vq_wait(&rng, 0, PATIENCE, &id, NULL));
}

/* However long that takes: who sits at the monitor is slow. */
static void target_wait(uint32_t pages)
{
    while (mmio_read(dev.config) != pages) {
        sleep_us(1000);
        if (mmio_read(dev.config) == AT_ONCE)
            touch_at_once();
    }
}

static void holes_up(void)
{
    check("holes.up", vdev_up(&dev, VIRTIO_VERSION_1 | MUST_TELL | REPORTING));
}

/* -- what is reported --------------------------------------------------------------------------------------------- */

static void report_parts(void)
{
    struct vq_part parts[BLOCKS];
    uint32_t id;

    memset((void *)REGION, PATTERN & 0xff, BYTES);
    check("holes.small", report_by(REPORT, REGION + PAGE_SIZE, PAGE_SIZE, true));
    check("holes.not-whole", report_by(REPORT, REGION + PAGE_SIZE, 2 * SIZE_2M - 2 * PAGE_SIZE, true));
    expect("holes.not-whole-stays", words_other_than(REGION, BYTES, PATTERN), 0);
    for (uint32_t n = 0; n < BLOCKS; n++)
        parts[n] = (struct vq_part){(void *)block(n), SIZE_2M, true};
    vq_put(&dev, REPORT, 0, parts, BLOCKS);
    check("holes.reported", vq_wait(&dev, REPORT, PATIENCE, &id, NULL));
    print("holes reported");
    target_wait(2);
    expect("holes.blank", words_other_than(REGION, BYTES, 0), 0);
    memset((void *)REGION, PATTERN & 0xff, BYTES);
    expect("holes.back", words_other_than(REGION, BYTES, PATTERN), 0);
    check("holes.by-number", report_by(REPORT_BY_NUMBER, REGION, SIZE_2M, true));
    expect("holes.by-number-blank", words_other_than(REGION, SIZE_2M, 0), 0);
}

/* What isn't RAM, or is to be read, is no free memory. */
static void report_garbage(void)
{
    static const struct {
        uint64_t from, bytes;
        bool write;
    } reports[] = {
        {0xc0000000, SIZE_2M, true}, {0xfec00000, SIZE_2M, true},       {0x4000000000, SIZE_2M, true},
        {0xe0000, 0x20000, true},    {REGION, 0x80000000, true},        {UINT64_MAX - 0xfff, SIZE_2M, true},
        {REGION, SIZE_2M, false},    {BIT(63) | REGION, SIZE_2M, true},
    };
    uint32_t kept = 0;

    memset((void *)REGION, PATTERN & 0xff, SIZE_2M);
    for (uint32_t i = 0; i < ARRAY_SIZE(reports); i++) {
        const struct vq_part part = {(void *)reports[i].from, (uint32_t)reports[i].bytes, reports[i].write};

        vq_put(&dev, REPORT, 0, &part, 1);
        kept += !(vdev_status(&dev) & VIRTIO_NEEDS_RESET);
        vdev_up(&dev, VIRTIO_VERSION_1 | MUST_TELL | REPORTING);
    }
    expect("holes.garbage", kept, 0);
    expect("holes.garbage-stays", words_other_than(REGION, SIZE_2M, PATTERN), 0);
}

/* -- touches of a CPU --------------------------------------------------------------------------------------------- */

static volatile uint32_t irqs;

static void irq_count_here(struct trap_frame *f)
{
    if (f->vector == VECTOR)
        lapic_write(LAPIC_EOI, 0);
    irqs++;
}

/* Runs what may trap on a stack that isn't there. */
#define ON_HOLE(insn)                                                                                        \
    ({                                                                                                       \
        report(REGION, SIZE_2M);                                                                             \
        trap_begin();                                                                                        \
        __asm__ volatile("mov %%rsp, %%r12\n\tmov %0, %%rsp\n\t" TRAPPING(insn) "mov %%r12, %%rsp" ::"r"(    \
                             REGION + SIZE_2M)                                                               \
                         : "memory", "rax", "rcx", "rdx", "rbx", "r12");                                     \
        trap_vector();                                                                                       \
    })

/* What was to be delivered is, once, and CR2 is what it was. */
static void touch_delivery(void)
{
    uint64_t entry = page_set(ARENA_NEXT, 0);

    expect("holes.ud", ON_HOLE("ud2"), EXC_UD);
    expect("holes.gp", ON_HOLE("mov $0x4b4c0000, %%ecx; rdmsr"), EXC_GP);
    expect("holes.pf", ON_HOLE("movb 0x601000, %%al"), EXC_PF);
    expect("holes.pf-cr2", trap.cr2, NOWHERE);
    expect("holes.bp", ON_HOLE("int3"), EXC_BP);
    expect("holes.soft", ON_HOLE("int $0x59"), 0x59);
    page_set(ARENA_NEXT, entry);
    trap_handlers[VECTOR] = trap_handlers[EXC_NMI] = irq_count_here;
    irqs = 0;
    lapic_write(LAPIC_ICR_HIGH, lapic_read(LAPIC_ID));
    (void)ON_HOLE("mov $0xfee00300, %%eax; movl $0x40058, (%%rax); sti; nop; nop; cli");
    expect("holes.interrupt", irqs, 1);
    (void)ON_HOLE(
        "mov $0xfee00300, %%eax; movl $0x400, (%%rax); mov $10000, %%ecx; 2: pause; dec %%ecx; jnz 2b");
    expect("holes.nmi", irqs, 2);
    trap_handlers[VECTOR] = trap_handlers[EXC_NMI] = NULL;
}

/* Page tables and code that aren't there: the walk finds nothing, and bytes of 0 are ADD %AL, (%RAX). */
static void touch_walk(void)
{
    uint64_t entry = page_set(ARENA_NEXT, REGION | 7);
    uint64_t code = REGION + SIZE_2M - 64, rax = ARENA;

    report(REGION, SIZE_2M);
    (void)TRAP_OF("movb 0x601000, %%al");
    expect("holes.walk", trap_vector(), EXC_PF);
    expect("holes.walk-cr2", trap.cr2, NOWHERE);
    expect("holes.walk-blank", words_other_than(REGION, SIZE_2M, 0), 0);
    page_set(ARENA_NEXT, entry);
    report(REGION, SIZE_2M);
    *(volatile uint8_t *)(REGION + SIZE_2M) = 0xc3; /* RET, in the next one */
    __asm__ volatile("call *%1" : "+a"(rax) : "r"(code) : "memory", "cc");
    expect("holes.code", words_other_than(REGION, SIZE_2M, 0), 0);
}

/* What the hypervisor carries out: of device memory into a hole, and of ports. CR2 stays the guest's. */
static void touch_emulated(void)
{
    uint64_t from = 0xfec00000, to = REGION, count = 4;
    uint32_t index = *(volatile uint32_t *)from;

    report(REGION, SIZE_2M);
    write_cr2(NOWHERE);
    __asm__ volatile("movsl" : "+S"(from), "+D"(to) : : "memory");
    expect("holes.movs-cr2", read_cr2(), NOWHERE);
    expect("holes.movs", mmio_read(REGION), index);
    expect("holes.movs-else", words_other_than(REGION + STRIDE, SIZE_2M - STRIDE, 0), 0);
    report(REGION, SIZE_2M);
    write_cr2(NOWHERE);
    to = REGION + 16;
    __asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(0x61) : "memory");
    expect("holes.ins-cr2", read_cr2(), NOWHERE);
    expect("holes.ins", mmio_read(REGION), 0);
    expect("holes.ins-moved", to, REGION + 20);
}

/* -- two CPUs ----------------------------------------------------------------------------------------------------- */

static volatile uint32_t turn;
static volatile bool done;

static void race_words(uint32_t cpu)
{
    for (uint32_t n = 0; n < BLOCKS; n++)
        *(volatile uint32_t *)(block(n) + 64 * cpu) = PATTERN + cpu;
}

static void race_run(uint32_t cpu)
{
    while (!turn)
        cpu_pause();
    race_words(cpu);
}

/* Both touch the same blocks at once: each block comes once. */
static void touch_together(void)
{
    uint32_t wrong = 0;

    for (uint32_t i = 0; i < ROUNDS; i++) {
        report(REGION, BYTES);
        turn = 0;
        smp_begin(1, race_run);
        turn = 1;
        race_words(0);
        if (!smp_end(1))
            wrong += 1000;
        for (uint32_t n = 0; n < BLOCKS; n++)
            wrong += mmio_read(block(n)) != PATTERN || mmio_read(block(n) + 64) != PATTERN + 1 ||
                     words_other_than(block(n) + 128, SIZE_2M - 1024, 0);
    }
    expect("holes.together", wrong, 0);
}

static void touch_always(uint32_t cpu)
{
    while (!done)
        for (uint32_t n = 0; n < BLOCKS; n++)
            *(volatile uint32_t *)(block(n) + 64 * cpu) += 1;
}

/* One that doesn't care what it has reported. */
static void touch_meanwhile(void)
{
    bool answered = true;

    done = false;
    smp_begin(1, touch_always);
    for (uint32_t i = 0; i < ROUNDS; i++)
        answered &= report_by(REPORT, REGION, BYTES, true);
    done = true;
    check("holes.meanwhile-ends", smp_end(1));
    check("holes.meanwhile", answered);
}

/* -- devices ------------------------------------------------------------------------------------------------------ */

static void disk_do(struct vdev *disk, bool write, uint64_t data)
{
    volatile uint8_t *status = (uint8_t *)HEAD_AT + 64;
    const struct vq_part parts[] = {
        {(void *)HEAD_AT, 16, false}, {(void *)data, 4096, !write}, {(void *)status, 1, true}};
    uint32_t id;

    memset((void *)HEAD_AT, 0, 16);
    *(uint32_t *)HEAD_AT = write;
    *status = 0xff;
    vq_put(disk, 0, 0, parts, 3);
    check("holes.disk", vq_wait(disk, 0, PATIENCE, &id, NULL) && *status == 0);
}

static void touch_devices(void)
{
    struct vdev disk, rng;
    const struct vq_part part = {(void *)(REGION + 64), 64, true};
    uint32_t id;

    if (!vdev_find(&disk, 2, 0, QUEUES_AT) || !vdev_up(&disk, VIRTIO_VERSION_1) ||
        !vdev_find(&rng, 4, 0, QUEUES_AT + 0x8000) || !vdev_up(&rng, VIRTIO_VERSION_1)) {
        check("holes.devices", false);
        return;
    }
    memset((void *)DATA_AT, PATTERN & 0xff, 4096);
    disk_do(&disk, true, DATA_AT);
    report(REGION, SIZE_2M);
    disk_do(&disk, false, REGION + 0x10000);
    expect("holes.disk-read", words_other_than(REGION + 0x10000, 4096, PATTERN), 0);
    expect("holes.disk-read-below", words_other_than(REGION, 0x10000, 0), 0);
    expect("holes.disk-read-above", words_other_than(REGION + 0x11000, SIZE_2M - 0x11000, 0), 0);
    report(REGION, SIZE_2M);
    disk_do(&disk, true, REGION);
    disk_do(&disk, false, DATA_AT);
    expect("holes.disk-write", words_other_than(DATA_AT, 4096, 0), 0);
    report(REGION, SIZE_2M);
    vq_put(&rng, 0, 0, &part, 1);
    check("holes.rng", vq_wait(&rng, 0, PATIENCE, &id, NULL));
    check("holes.rng-filled", mmio_read(REGION + 64) | mmio_read(REGION + 68));
    expect("holes.rng-else", mmio_read(REGION) | mmio_read(REGION + 128), 0);
    vdev_set_status(&disk, 0);
    vdev_set_status(&rng, 0);
}

void holes_run(uint32_t cpus)
{
    check("holes.found", vdev_find(&dev, BALLOON, 0, ARENA));
    holes_up();
    target_wait(1);
    report_parts();
    report_garbage();
    touch_delivery();
    touch_walk();
    touch_emulated();
    touch_devices();
    expect("holes.cpus", smp_start(cpus), cpus);
    touch_together();
    touch_meanwhile();
    report(REGION, BYTES);
    vdev_set_status(&dev, 0);
    expect("holes.reset", words_other_than(REGION, BYTES, 0), 0);
    holes_up();
    report(REGION, BYTES);
    print("holes reported");
    target_wait(3);
    expect("holes.late", words_other_than(REGION, BYTES, 0), 0);
    print("holes touched");
    report(REGION, BYTES);
    print("holes reported");
    target_wait(4);
}
