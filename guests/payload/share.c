/*
 * Two VMs with one memory (ivshmem): it is blank to begin with, what one writes the other reads, wherever each has put it, and
 * doorbells come as MSI-X interrupts. Both run this; their numbers tell them apart.
 */
#include "guests/payload/pci.h"
#include "guests/payload/smp.h"

#define POSITION 8
#define DOORBELL 12
#define VECTOR   0x70 /* and the next three */
#define VECTORS  4
#define PATIENCE 20000u /* ms */
#define ALIVE    0x414c4956u
#define MOVED    0x4d4f5645u
#define PATTERN  4096 /* where each side's part begins; a page each */
/* Free addresses: in the PCI window, and above 4G, seen at an address that is mapped for nothing else. */
#define ELSEWHERE 0xd0000000ull
#define ABOVE     0x800000000ull
#define VIEW      0xd8000000ull

/* Words of the first page. */
enum { WORD_ALIVE, WORD_WRITTEN = 2, WORD_MOVED = 4, WORD_COPIED = 6 };

static uint32_t slot, self;
static uint64_t registers, memory;

static volatile uint32_t *word(uint64_t base, uint32_t index)
{
    return (volatile uint32_t *)base + index;
}

static void ring(uint32_t peer, uint32_t vector)
{
    mmio_write(registers + DOORBELL, peer << 16 | vector);
}

static bool await(uint32_t index, uint32_t value)
{
    uint64_t end = rdtsc() + PATIENCE * (tsc_hz / 1000);

    while (*word(memory, index) != value && rdtsc() < end)
        sleep_us(1000);
    return *word(memory, index) == value;
}

static uint32_t pattern(uint32_t who, uint32_t i)
{
    return (i * 2654435761u) ^ (who + 1);
}

static uint64_t words_other_than(uint64_t base, uint64_t from, uint64_t to, bool blank, uint32_t who)
{
    uint64_t other = 0;

    for (uint64_t i = from / 4; i < to / 4; i++)
        other += *word(base, (uint32_t)i) != (blank ? 0 : pattern(who, (uint32_t)i));
    return other;
}

static void share_find(void)
{
    uint64_t size;

    slot = pci_find(0x1af4, 0x1110, 0);
    check("share.found", slot != PCI_NONE);
    if (slot == PCI_NONE)
        finish();
    expect("share.class", pci_read(slot, 8), 0x05000001);
    size = pci_bar_size(slot, 2);
    expect("share.registers-size", pci_bar_size(slot, 0), 0x100);
    pci_enable(slot, true);
    registers = pci_bar(slot, 0);
    memory = pci_bar(slot, 2);
    self = mmio_read(registers + POSITION);
    print("share peer=%u bytes=%llu", self, (unsigned long long)size);
    expect("share.blank", words_other_than(memory, 4 * WORD_WRITTEN, size, true, 0), 0);
    for (uint32_t i = 0; i < VECTORS; i++)
        pci_msix_set(slot, i, (uint8_t)(VECTOR + i));
}

/* By itself: a doorbell may be one's own; what is masked waits; what isn't there is ignored. */
static void share_doorbells(void)
{
    ring(self, 1);
    check("share.own-doorbell", irq_wait(VECTOR + 1, 1, 1000));
    pci_msix_mask(slot, 2, true);
    ring(self, 2);
    check("share.masked", !irq_wait(VECTOR + 2, 1, 20));
    expect("share.pending", mmio_read(pci_bar(slot, 1) + 0x800), BIT(2));
    pci_msix_mask(slot, 2, false);
    check("share.unmasked", irq_wait(VECTOR + 2, 1, 1000));
    ring(63, 0);
    ring(self, VECTORS);
    ring(0xffff, 0xffff);
    expect("share.no-such-doorbell", irq_counts[VECTOR] + irq_counts[VECTOR + 3], 0);
    expect("share.register-read", mmio_read(registers) | mmio_read(registers + DOORBELL), 0);
}

static void share_exchange(void)
{
    uint32_t peer = !self;

    *word(memory, WORD_ALIVE + self) = ALIVE;
    check("share.peer", await(WORD_ALIVE + peer, ALIVE));
    for (uint32_t i = 0; i < PAGE_SIZE / 4; i++)
        *word(memory + PATTERN + self * PAGE_SIZE, i) = pattern(self, i);
    *word(memory, WORD_WRITTEN + self) = ALIVE;
    ring(peer, 0);
    check("share.doorbell", irq_wait(VECTOR, 1, PATIENCE));
    check("share.written", await(WORD_WRITTEN + peer, ALIVE));
    expect("share.pattern", words_other_than(memory + PATTERN + peer * PAGE_SIZE, 0, PAGE_SIZE, false, peer),
           0);
}

/* What a second CPU, which runs all the time, sees at an address. */
static volatile uint32_t watched_value;
static volatile uint64_t watched;

static void share_watch(uint32_t cpu)
{
    (void)cpu;
    while (watched)
        watched_value = mmio_read(watched);
}

static bool watch_await(uint32_t value)
{
    uint64_t end = rdtsc() + 1000 * (tsc_hz / 1000);

    while (watched_value != value && rdtsc() < end)
        cpu_pause();
    return watched_value == value;
}

/* No CPU goes on to see it where it was. */
static void share_leave(uint64_t from, uint64_t to)
{
    watched = from;
    smp_begin(1, share_watch);
    check("share.watched", watch_await(ALIVE));
    pci_bar_set(slot, 2, to);
    check("share.watched-left", watch_await(UINT32_MAX));
    pci_bar_set(slot, 2, from);
    check("share.watched-back", watch_await(ALIVE));
    watched = 0;
    check("share.watch-ends", smp_end(1));
}

/* It can be put elsewhere, and is the same there; an address of RAM isn't one. */
static void share_move(void)
{
    uint32_t peer = !self;
    uint64_t before = memory;

    pci_bar_set(slot, 2, ELSEWHERE);
    expect("share.left", mmio_read(before), UINT32_MAX);
    expect("share.moved", mmio_read(ELSEWHERE), ALIVE);
    pci_bar_set(slot, 2, 0);
    expect("share.not-over-ram", *(volatile uint32_t *)(MiB) == ALIVE, 0);
    pci_bar_set(slot, 2, ABOVE);
    page_set(VIEW, ABOVE | 0x83);
    memory = VIEW;
    expect("share.above", *word(memory, WORD_ALIVE), ALIVE);
    *word(memory, WORD_MOVED + self) = MOVED;
    check("share.moved-peer", await(WORD_MOVED + peer, MOVED));
    pci_enable(slot, false);
    expect("share.off", *word(memory, WORD_ALIVE), UINT32_MAX);
    pci_enable(slot, true);
    expect("share.on", *word(memory, WORD_ALIVE), ALIVE);
}

/* An instruction that reads a device's register into the memory: the hypervisor does both. */
static void share_copy(void)
{
    uint64_t from = registers + POSITION, to = memory + 4 * (WORD_COPIED + self);

    *word(memory, WORD_COPIED + self) = UINT32_MAX;
    __asm__ volatile("movsl" : "+S"(from), "+D"(to)::"memory");
    expect("share.copied", *word(memory, WORD_COPIED + self), self);
}

void share_run(uint32_t cpus)
{
    share_find();
    if (cpus > 1)
        expect("share.cpus", smp_start(cpus), cpus);
    share_doorbells();
    share_exchange();
    print("share exchanged");
    if (cpus > 1)
        share_leave(memory, ELSEWHERE);
    share_move();
    share_copy();
}
