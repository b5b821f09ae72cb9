#include "core/cpuid_ready.h"

#include "core/lib/string.h"

/* XSETBV, which decides on its sizes, doesn't exit everywhere (svm/vcpu.c). */
#define LEAF_XSAVE 0xd

uint32_t cpuid_ready_room(const struct cpuid_ready *ready, const struct cpuid_table *table, uint32_t leaf)
{
    /* One subleaf more than there are: C libraries look whether it is there. */
    uint32_t slot = cpuid_slot(leaf), rows = cpuid_subleaves(table, leaf) + 1;

    if (slot >= CPUID_SLOTS || leaf == LEAF_XSAVE || ready->leaves[slot].count)
        return 0;
    return rows <= READY_ROWS - ready->used ? rows : 0;
}

void cpuid_ready_add(struct cpuid_ready *ready, const struct cpuid_table *table,
                     const struct cpuid_entry *answer)
{
    uint32_t slot = cpuid_slot(answer->leaf);

    if (!ready->leaves[slot].count) {
        ready->leaves[slot].ecx_mask = cpuid_subleaves(table, answer->leaf) ? UINT32_MAX : 0;
        ready->leaves[slot].first = (uint8_t)ready->used;
    }
    ready->leaves[slot].count++;
    ready->rows[ready->used++] = (struct cpuid_row){answer->eax, answer->ebx, answer->ecx, answer->edx};
}

void cpuid_ready_forget(struct cpuid_ready *ready)
{
    memset(ready->leaves, 0, sizeof ready->leaves);
    ready->used = 0;
}
