/*
 * The command line: `every=1` for what can be tried one after the other, `unmap=1` for a guest without memory; else `seed=N` of the whole, `batches=N` and then the end (without it, never), `only=N` for one batch by its own
 * seed, `modes=A,B` for those modes (step.c) alone. A line before each batch of steps says what a repetition needs.
 */
#include "guests/payload/chaos/chaos.h"

#include "core/lib/format.h"
#include "core/lib/string.h"

#define BATCH 500
#define SAY   50

void payload_main(void);

static const char *option_find(const char *key)
{
    size_t len = str_len(key);

    for (const char *p = cmdline; *p; p++)
        if ((p == cmdline || p[-1] == ' ') && str_starts(p, key) && p[len] == '=')
            return p + len + 1;
    return NULL;
}

static uint32_t digit_of(char c)
{
    return c >= '0' && c <= '9' ? (uint32_t)(c - '0') : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10 : 16;
}

/* Hexadecimal behind 0x. */
static uint64_t option_number(const char *key)
{
    const char *p = option_find(key);
    uint64_t value = 0, base = 10;

    if (p && p[0] == '0' && p[1] == 'x') {
        base = 16;
        p += 2;
    }
    for (; p && digit_of(*p) < base; p++)
        value = value * base + digit_of(*p);
    return value;
}

static uint64_t mix(uint64_t value)
{
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
    value = (value ^ value >> 27) * 0x94d049bb133111ebull;
    return value ^ value >> 31;
}

static uint32_t vectors[0x103];

/* What ended the steps since the last such line. */
static void vectors_print(void)
{
    static const struct {
        const char *name;
        uint32_t vector;
    } rows[] = {{"db", 1},  {"nmi", 2}, {"bp", 3},  {"ud", 6},  {"nm", 7},  {"df", 8},       {"ts", 10},
                {"np", 11}, {"ss", 12}, {"gp", 13}, {"pf", 14}, {"ac", 17}, {"task", 0x101}, {"real", 0x102}};
    char line[256];
    int len = 0;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        len += fmt_print(line + len, sizeof line - (size_t)len, " %s=%u", rows[i].name,
                         vectors[rows[i].vector]);
    print("chaos ends%s", line);
    memset(vectors, 0, sizeof vectors);
}

/* Says where it is now and then, so that a report that follows can be found again. */
static void batch_run(uint64_t seed)
{
    chaos_devices();
    chaos_seed(seed);
    chaos_find_devices();
    chaos_fill();
    for (uint32_t i = 0; i <= BATCH; i++) {
        uint64_t vector;

        if (i % SAY == 0) {
            chaos_devices();
            print("chaos seed=%#llx step=%u", (unsigned long long)seed, i);
        }
        vector = chaos_step();
        if (vector < ARRAY_SIZE(vectors))
            vectors[vector]++;
    }
}

void payload_main(void)
{
    uint64_t seed, batches, only;

    machine_init();
    acpi_init();
    if (option_number("every"))
        chaos_every();
    if (option_number("unmap"))
        chaos_unmap();
    if (option_number("every"))
        finish();
    chaos_init();
    seed = option_number("seed");
    batches = option_number("batches");
    only = option_number("only");
    chaos_modes(option_find("modes"));
    if (only)
        batches = 1;
    /* Another one at each start; the clock goes on over resets. */
    seed = mix(seed + first_tsc);
    for (uint64_t i = 0; !batches || i < batches; i++) {
        batch_run(only ? only : mix(seed + i));
        chaos_devices();
        vectors_print();
    }
    check("chaos.end", true);
    finish();
}
