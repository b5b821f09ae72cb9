#include "core/x86/traps.h"

#include "core/lib/log.h"
#include "core/x86/asm.h"
#include "core/x86/descriptor.h"
#include "core/x86/extable.h"
#include "core/x86/gdt.h"
#include "core/x86/panic.h"

#define STUB_SIZE      16
#define GATE_INTERRUPT 0x8e00u /* present, ring 0, 64-bit interrupt gate: interrupts go off */

/* SDM volume 3, figure "64-Bit IDT Gate Descriptors". */
struct gate {
    uint16_t offset_low;
    uint16_t selector;
    uint16_t attributes; /* bits 0-2: IST */
    uint16_t offset_middle;
    uint32_t offset_high;
    uint32_t reserved;
};
_Static_assert(sizeof(struct gate) == 16, "IDT gate layout");

extern const char trap_stubs[];

static struct gate idt[256] __attribute__((aligned(4096)));

static uint32_t vector_ist(uint32_t vector)
{
    switch (vector) {
    case TRAP_DF:
        return IST_DOUBLE_FAULT;
    case TRAP_NMI:
        return IST_NMI;
    case TRAP_MC:
        return IST_MACHINE_CHECK;
    default:
        return IST_NONE;
    }
}

void traps_init(void)
{
    for (uint32_t vector = 0; vector < 256; vector++) {
        uint64_t stub = (uint64_t)trap_stubs + (uint64_t)vector * STUB_SIZE;

        idt[vector] = (struct gate){
            .offset_low = (uint16_t)stub,
            .selector = SEL_CODE,
            .attributes = (uint16_t)(GATE_INTERRUPT | vector_ist(vector)),
            .offset_middle = (uint16_t)(stub >> 16),
            .offset_high = (uint32_t)(stub >> 32),
        };
    }
}

void traps_load(void)
{
    struct table_pointer pointer = {.limit = sizeof(idt) - 1, .base = (uint64_t)idt};

    load_idt(&pointer);
}

const char *trap_name(uint64_t vector)
{
    static const char *const names[TRAP_COUNT] = {
        "divide error",
        "debug exception",
        "NMI",
        "breakpoint",
        "overflow",
        "bound range exceeded",
        "invalid opcode",
        "device not available",
        "double fault",
        "coprocessor segment overrun",
        "invalid TSS",
        "segment not present",
        "stack-segment fault",
        "general protection fault",
        "page fault",
        "exception 15",
        "x87 error",
        "alignment check",
        "machine check",
        "SIMD error",
        "virtualization exception",
        "control protection exception",
        [28] = "hypervisor injection exception",
        "VMM communication exception",
        "security exception",
    };

    return vector < TRAP_COUNT && names[vector] ? names[vector] : "unknown exception";
}

static bool (*traps_missing)(uint64_t addr);

void traps_set_missing(bool (*missing)(uint64_t addr))
{
    traps_missing = missing;
}

/* Bit 0 of the error code: a page was there. */
static bool page_missing(const struct trap_frame *frame)
{
    return frame->vector == TRAP_PF && !(frame->error & BIT(0)) && traps_missing && traps_missing(read_cr2());
}

static void nmi_handle(void)
{
    panic_join();
    log_warn("core %u: an NMI came, and nobody handles it", this_cpu()->index);
}

void trap_handle(struct trap_frame *frame)
{
    if (frame->vector >= TRAP_COUNT)
        irq_dispatch((uint32_t)frame->vector);
    else if (frame->vector == TRAP_NMI)
        nmi_handle();
    else if (!page_missing(frame) && !extable_fix(frame))
        panic_trap(frame);
}
