#include "core/x86/gdt.h"

#include "core/lib/string.h"
#include "core/x86/descriptor.h"

#define DESC_CODE64    0x00af9b000000ffffull /* present, ring 0, execute and read, accessed, long */
#define DESC_DATA      0x00cf93000000ffffull /* present, ring 0, read and write, accessed */
#define DESC_TSS_AVAIL 0x9ull
#define DESC_PRESENT   BIT(47)

/* A system descriptor has 16 bytes (SDM volume 3, figure "TSS and LDT Descriptors in 64-bit Mode"). */
static void tss_descriptor(uint64_t desc[2], const struct tss *tss)
{
    uint64_t base = (uint64_t)tss, limit = sizeof(*tss) - 1;

    desc[0] = limit | (base & MASK(24)) << 16 | DESC_TSS_AVAIL << 40 | DESC_PRESENT |
              (base >> 24 & MASK(8)) << 56;
    desc[1] = base >> 32;
}

void gdt_init(struct cpu *cpu, void *const stacks[IST_COUNT])
{
    memset(cpu->tss, 0, sizeof(*cpu->tss));
    for (uint32_t n = IST_NONE + 1; n < IST_COUNT; n++)
        cpu->tss->ist[n - 1] = (uint64_t)stacks[n];
    cpu->tss->io_map = sizeof(*cpu->tss);
    cpu->gdt[0] = 0;
    cpu->gdt[SEL_CODE / 8] = DESC_CODE64;
    cpu->gdt[SEL_DATA / 8] = DESC_DATA;
}

void gdt_load(struct cpu *cpu)
{
    struct table_pointer pointer = {.limit = GDT_ENTRIES * 8 - 1, .base = (uint64_t)cpu->gdt};

    /* written anew each time: loading TR marks it busy, and a busy one can't be loaded */
    tss_descriptor(&cpu->gdt[SEL_TSS / 8], cpu->tss);
    load_gdt(&pointer);
    load_code_segment(SEL_CODE);
    load_data_segments(SEL_DATA);
    load_task(SEL_TSS);
}
