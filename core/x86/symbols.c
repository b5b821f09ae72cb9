#include "core/x86/symbols.h"

#include "core/lib/string.h"
#include "core/x86/image.h"

extern const uint32_t symbols_count;
extern const uint32_t symbols_offsets[]; /* from text_begin, ascending */
extern const char symbols_names[];

static const char *name_at(uint32_t index)
{
    const char *name = symbols_names;

    while (index-- != 0)
        name += str_len(name) + 1;
    return name;
}

const char *symbol_find(uint64_t addr, uint64_t *offset)
{
    uint64_t wanted = addr - (uint64_t)text_begin;
    uint32_t low = 0, high = symbols_count;

    if (addr < (uint64_t)text_begin || addr >= (uint64_t)text_end)
        return NULL;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (symbols_offsets[middle] <= wanted)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return NULL;
    *offset = wanted - symbols_offsets[low - 1];
    return name_at(low - 1);
}
