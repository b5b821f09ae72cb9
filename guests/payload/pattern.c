/*
 * Whether anything of a VM's memory outlives it. One VM writes a pattern to all of its RAM but what it runs from; one that is
 * started after it looks for the pattern in all of its own, and for anything else that nobody put there.
 */
#include "guests/payload/payload.h"

#include "core/lib/bytes.h"

#define PARAM_E820_COUNT 0x1e8
#define PARAM_E820       0x2d0
#define E820_BYTES       20
#define E820_RAM         1

/* Its complement is in the code, so that the code isn't found. */
#define PATTERN_INVERSE 0x5a17c3e9960f2db4ull

extern const uint8_t *boot_params;
extern uint8_t bss_end[];

struct range {
    uint64_t from, to;
};

static struct range ram[128];
static uint32_t ram_count;

/* What of a range of RAM isn't our own code, data and stack, in two pieces; payload.ld puts us at 1 MiB. */
static void range_spare(struct range all, struct range spare[2])
{
    uint64_t own = MiB, end = ALIGN_UP((uint64_t)bss_end, PAGE_SIZE);

    spare[0] = (struct range){all.from, MIN(all.to, own)};
    spare[1] = (struct range){MAX(all.from, end), all.to};
}

/* The sum of what `word` gives for each word of a range. */
static uint64_t range_each(struct range range, uint64_t (*word)(volatile uint64_t *at))
{
    uint64_t sum = 0;

    for (uint64_t at = ALIGN_UP(range.from, 8); at + 8 <= range.to; at += 8)
        sum += word((volatile uint64_t *)at);
    return sum;
}

/* The map is where it may be written over: it is read once. */
static void ram_find(void)
{
    ram_count = MIN((uint32_t)boot_params[PARAM_E820_COUNT], (uint32_t)ARRAY_SIZE(ram));
    for (uint32_t i = 0; i < ram_count; i++) {
        const uint8_t *entry = boot_params + PARAM_E820 + i * E820_BYTES;
        uint64_t base = get_le64(entry), len = get_le32(entry + 16) == E820_RAM ? get_le64(entry + 8) : 0;

        ram[i] = (struct range){base, base + len};
    }
}

static uint64_t ram_each(uint64_t (*word)(volatile uint64_t *at))
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < ram_count; i++) {
        struct range spare[2];

        range_spare(ram[i], spare);
        sum += range_each(spare[0], word) + range_each(spare[1], word);
    }
    return sum;
}

static uint64_t word_write(volatile uint64_t *at)
{
    *at = ~PATTERN_INVERSE;
    return 1;
}

static uint64_t word_is_pattern(volatile uint64_t *at)
{
    return *at == ~PATTERN_INVERSE;
}

static uint64_t word_is_used(volatile uint64_t *at)
{
    return *at != 0;
}

void pattern_write(void)
{
    uint64_t words;

    ram_find();
    words = ram_each(word_write);
    print("pattern words=%llu found=%llu", (unsigned long long)words,
          (unsigned long long)ram_each(word_is_pattern));
}

void pattern_search(void)
{
    ram_find();
    print("pattern found=%llu used=%llu", (unsigned long long)ram_each(word_is_pattern),
          (unsigned long long)ram_each(word_is_used));
}
