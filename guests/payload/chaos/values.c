/* What random registers hold: numbers that mean something to a CPU or a device, mostly. */
#include "guests/payload/chaos/chaos.h"

#define BARS           64
#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA    0xcfc
#define COMMAND        0x04
#define COMMAND_ALL    0x407 /* ports, memory, master; no pin */
#define BAR(n)         (0x10 + 4 * (n))
#define SLOTS          32

static uint64_t state = 1;
static uint64_t bars[BARS];
static uint32_t bar_count;

void chaos_seed(uint64_t seed)
{
    state = seed ? seed : 1;
    chaos_any();
    chaos_any();
}

uint64_t chaos_any(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1dull;
}

uint32_t chaos_below(uint32_t limit)
{
    return (uint32_t)((chaos_any() >> 32) * limit >> 32);
}

bool chaos_once_in(uint32_t times)
{
    return chaos_below(times) == 0;
}

#define ONE_OF(table) (table)[chaos_below(ARRAY_SIZE(table))]

static uint32_t config_read(uint32_t slot, uint32_t offset)
{
    outl(CONFIG_ADDRESS, 0x80000000u | slot << 11 | offset);
    return inl(CONFIG_DATA);
}

/* All memory that base address registers decode, as they are now, and all of it switched on. */
void chaos_find_devices(void)
{
    bar_count = 0;
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        if ((uint16_t)config_read(slot, 0) == 0xffff)
            continue;
        config_read(slot, COMMAND);
        outw(CONFIG_DATA, COMMAND_ALL);
        for (uint32_t bar = 0; bar < 6 && bar_count < BARS; bar++) {
            uint32_t low = config_read(slot, BAR(bar));

            if (low > PAGE_SIZE && !(low & 1))
                bars[bar_count++] = low & ~0xfu;
        }
    }
}

uint64_t chaos_device(void)
{
    static const uint64_t fixed[] = {0xfec00000, 0xfed00000, 0xfee00000,     0xe0000000, 0xa0000,
                                     0xb8000,    0xc0000,    0xe0000,        0xf0000,    0xff000000,
                                     0xd0000000, 0xfffff000, 0x4000000000ull};
    uint64_t base = bar_count && chaos_once_in(2) ? bars[chaos_below(bar_count)] : ONE_OF(fixed);
    static const uint32_t spread[] = {0x10, 0x40, 0x100, 0x400, 0x1000, 0x4000};
    uint64_t at = chaos_below(ONE_OF(spread));

    return base + (chaos_once_in(4) ? at : at & ~3ull);
}

uint16_t chaos_port(void)
{
    static const uint16_t first[] = {0x20,  0xa0,   0x40,  0x60,  0x70,  0x80,  0x92,  0xcf8,
                                     0xcfc, 0x3f8,  0x2f8, 0xe0,  0xe9,  0x402, 0x510, 0x600,
                                     0x4d0, 0x2000, 0xb0,  0x3b4, 0x3d4, 0x1f0};
    static const uint16_t end[] = {0xcf9, 0x64, 0xf4, 0x604, 0x92};

    switch (chaos_below(16)) {
    case 0:
        return (uint16_t)chaos_any();
    case 1:
        return chaos_once_in(8) ? ONE_OF(end) : (uint16_t)chaos_below(0x1000);
    default:
        return (uint16_t)(ONE_OF(first) + chaos_below(chaos_once_in(4) ? 32 : 8));
    }
}

uint32_t chaos_msr(void)
{
    static const struct {
        uint32_t first, count;
    } ranges[] = {{0, 0x200},          {0x170, 16},        {0x1d0, 16},         {0x200, 0x100},
                  {0x400, 64},         {0x480, 32},        {0x6a0, 16},         {0x6e0, 1},
                  {0x800, 0x40},       {0x800, 0x100},     {0xc80, 0x20},       {0xda0, 1},
                  {0, 0x2000},         {0xc0000080, 8},    {0xc0000100, 8},     {0xc0000000, 0x2000},
                  {0xc0010000, 0x200}, {0xc0011000, 0x40}, {0x40000000, 0x120}, {0x4b564d00, 8},
                  {0x1b, 1},           {0x277, 1},         {0xc0000080, 1},     {0x1d9, 1}};
    uint32_t i = chaos_below(ARRAY_SIZE(ranges) + 1);

    return i == ARRAY_SIZE(ranges) ? (uint32_t)chaos_any() : ranges[i].first + chaos_below(ranges[i].count);
}

uint16_t chaos_selector(void)
{
    static const uint16_t usual[] = {0,    8,    0x10, 0x1b, 0x23, 0x28, 0x30, 0x40,
                                     0x48, 0x53, 0x5b, 0x60, 0x70, 0x78, 0x80};

    switch (chaos_below(8)) {
    case 0:
        return (uint16_t)chaos_any();
    case 1:
    case 2:
        return ONE_OF(usual);
    default:
        return (uint16_t)((CHAOS_RANDOM + 8 * chaos_below(CHAOS_GDT - CHAOS_RANDOM / 8)) |
                          (chaos_below(8) & 7));
    }
}

static uint64_t descriptor_of(uint64_t base, uint32_t limit, uint64_t attributes)
{
    return (limit & 0xffff) | (base & 0xffffff) << 16 | attributes << 40 | (limit & 0xf0000ull) << 32 |
           (base >> 24 & 0xff) << 56;
}

/* A gate, a segment or a system descriptor in which not everything is wrong; or any bits. */
uint64_t chaos_descriptor(void)
{
    uint64_t base = chaos_value(), at = CHAOS_CODE + chaos_below(64);
    uint32_t limit = chaos_once_in(2) ? 0xfffff : chaos_below(0x100000);
    uint64_t attributes = chaos_any() & 0xf0ff;

    if (chaos_once_in(2))
        attributes |= 0x80;
    if (chaos_once_in(2))
        base = chaos_once_in(2) ? 0 : ARENA;
    switch (chaos_below(8)) {
    case 0:
        return chaos_any();
    case 1:
    case 2: /* any gate, which leads to the sandbox */
        return (at & 0xffff) | (uint64_t)chaos_selector() << 16 | (attributes & 0xef) << 40 |
               (at & 0xffff0000) << 32 | chaos_below(4) * (1ull << 32);
    default:
        return descriptor_of(base, limit, attributes);
    }
}

static uint64_t edge(void)
{
    static const uint64_t edges[] = {0,
                                     1,
                                     0x7f,
                                     0x80,
                                     0xff,
                                     0xffff,
                                     0x7fffffff,
                                     0x80000000,
                                     0xffffffff,
                                     0x100000000ull,
                                     0x7fffffffffffull,
                                     0x800000000000ull,
                                     0xffff800000000000ull,
                                     0xffff7fffffffffffull,
                                     0x8000000000000000ull,
                                     0xffffffffffffffffull,
                                     0xffffff,
                                     0x1000000,
                                     0xfffff,
                                     0x100000};

    return ONE_OF(edges) + chaos_below(16) - 8;
}

uint64_t chaos_value(void)
{
    switch (chaos_below(14)) {
    case 0:
        return chaos_any();
    case 1:
        return (uint32_t)chaos_any();
    case 2:
        return 1ull << chaos_below(64);
    case 3:
        return edge();
    case 4:
    case 5:
    case 6:
        return CHAOS_DATA + chaos_below(0x10000);
    case 7:
        return CHAOS_VIEW + (chaos_any() & 0x7ffffff);
    case 8:
        return chaos_once_in(16) ? chaos_device() : CHAOS_DATA;
    case 9:
    case 10:
        return chaos_selector();
    case 11:
        return chaos_port();
    case 12:
        return chaos_msr();
    default:
        return chaos_below(64);
    }
}
