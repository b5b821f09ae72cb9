/* Descriptors and the checks of loading a segment register (SDM volume 3, chapters 3 and 5). */
#pragma once

#include "core/emul/operand.h"

#define SELECTOR_LDT   BIT(2)
#define SELECTOR_RPL   3
#define SELECTOR_ERROR 0xfffc /* of a selector, what an error code shows */

/* Types: of code and data (S = 1), and of system descriptors. */
#define TYPE_ACCESSED   0x1
#define TYPE_WRITABLE   0x2 /* data; code: readable */
#define TYPE_CONFORMING 0x4 /* code; data: expand-down */
#define TYPE_CODE       0x8
#define TYPE_LDT        0x2
#define TYPE_TSS        0x1
#define TYPE_TSS_BUSY   0x2 /* a TSS: 1 or 9, 3 or B if busy */

struct descriptor {
    uint64_t raw[2];
    gva_t where;
    struct vcpu_segment segment; /* as it would be loaded */
};

static inline bool selector_is_null(uint16_t selector)
{
    return !(selector & ~SELECTOR_RPL);
}

/* What the CPU itself reads and writes in a descriptor table or a TSS. */
static inline struct emul_ref table_ref(gva_t gva, uint32_t size, bool write)
{
    return (struct emul_ref){
        .gva = gva, .seg = SEG_DS, .size = (uint8_t)size, .unit = 8, .rmw = write, .system = true};
}

/* Is there one? */
bool descriptor_exists(const struct emul *e, uint16_t selector);
/*
 * Reads a descriptor of the GDT or of the LDT; of a system descriptor in long mode, 16 bytes. Raises `vector` with the selector if
 * there is none.
 */
int descriptor_read(const struct emul *e, uint16_t selector, uint8_t vector, bool system,
                    struct descriptor *out);
/* Writes its type back, with bits set and cleared: accessed or busy. */
int descriptor_mark(const struct emul *e, struct descriptor *d, uint32_t set, uint32_t clear);

/*
 * What a load into ES, SS, DS, FS or GS leaves in *out, at privilege level cpl; marks the descriptor accessed. `vector` is #GP, or
 * #TS in a task switch.
 */
int segment_load_data(const struct emul *e, enum vcpu_seg seg, uint16_t selector, uint32_t cpl,
                      uint8_t vector, struct vcpu_segment *out);
/* The same for CS by a far jump (cpl stays), without gates: ERR_NOTSUP for a system descriptor. */
int segment_load_code(const struct emul *e, uint16_t selector, uint32_t cpl, struct vcpu_segment *out);
/* In real mode and virtual-8086 mode: the selector is a paragraph. */
void segment_load_real(const struct emul *e, enum vcpu_seg seg, uint16_t selector, struct vcpu_segment *out);

/* Raises a fault whose error code is the selector. */
static inline int selector_fault(const struct emul *e, uint8_t vector, uint16_t selector)
{
    return fault_raise_error(e, vector, selector & SELECTOR_ERROR);
}
