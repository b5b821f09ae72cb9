#include "boot/fault.h"

#include "core/lib/panic.h"
#include "core/x86/image.h"
#include "core/x86/lapic.h"
#include "core/x86/percpu.h"

#define UNMAPPED 0xffff900000000000ull /* between the areas of mm/layout.h */

static volatile uint8_t scratch = 0xc3; /* RET, if only it could be executed */

static void read_at(uint64_t addr)
{
    uint64_t value;

    __asm__ volatile("mov (%1), %0" : "=r"(value) : "r"(addr));
}

/* Each call uses its buffer after the next one returns, so that the compiler can't make a loop of this. */
static uint64_t overflow_stack(volatile uint64_t *depth)
{
    volatile uint64_t buffer[16];

    ++*depth;
    buffer[*depth % 16] = *depth;
    return *depth == 0 ? 0 : overflow_stack(depth) + buffer[*depth % 16];
}

void fault_run(enum option_test test)
{
    volatile uint64_t depth = 0;
    void (*data)(void) = (void (*)(void))(uintptr_t)&scratch;

    switch (test) {
    case TEST_UNSET:
    case TEST_AUDIT: /* boot/vms.c */
    case TEST_PLANT:
        break;
    case TEST_FAULT:
        read_at(UNMAPPED);
        break;
    case TEST_GUARD:
        overflow_stack(&depth);
        break;
    case TEST_ASSERT:
        assert(this_cpu()->index == CPU_MAX);
        break;
    case TEST_TEXT:
        *(volatile uint8_t *)(uintptr_t)text_begin = 0;
        break;
    case TEST_EXEC:
        data();
        break;
    case TEST_NULL:
        read_at(0);
        break;
    case TEST_NMI:
        lapic_nmi(lapic_id());
        break;
    case TEST_REMOTE:
        if (this_cpu()->index != 0)
            panic("test=remote");
        break;
    }
}
