/* Process-context identifiers and INVPCID (SDM 4.10, and the instruction's page). */
#include "guests/payload/payload.h"

#include "core/event.h"

#define CR3_NO_FLUSH BIT(63)
#define PCID         5

static volatile struct {
    uint64_t pcid, address;
} descriptor __attribute__((used));

static uint64_t invpcid(uint64_t type, uint64_t pcid, uint64_t address)
{
    descriptor.pcid = pcid;
    descriptor.address = address;
    trap_begin();
    __asm__ volatile(TRAPPING("invpcid descriptor, %0") : : "r"(type) : "memory");
    return trap_vector();
}

static void test_invpcid(void)
{
    static const char *const names[] = {"pcid.invpcid-address", "pcid.invpcid-context", "pcid.invpcid-all",
                                        "pcid.invpcid-all-but-global"};

    for (uint64_t type = 0; type < ARRAY_SIZE(names); type++)
        expect(names[type], invpcid(type, PCID, ARENA), NO_TRAP);
    expect("pcid.invpcid-type", invpcid(4, PCID, ARENA), EXC_GP);
    expect("pcid.invpcid-reserved", invpcid(1, PCID | BIT(12), 0), EXC_GP);
    expect("pcid.invpcid-canonical", invpcid(0, PCID, 1ull << 47), EXC_GP);
    expect("pcid.invpcid-user", USER_TRAP_OF("mov $2, %%eax; invpcid descriptor, %%rax"), EXC_GP);
}

/* A translation that a context of its own keeps, until that is flushed. */
static void test_contexts(uint64_t cr3)
{
    volatile uint64_t *word = (volatile uint64_t *)ARENA_NEXT;
    uint64_t entry = page_set(ARENA_NEXT, ARENA | 0x83);

    *(volatile uint64_t *)ARENA = 0x1111;
    *(volatile uint64_t *)(ARENA_NEXT + SIZE_2M) = 0x2222;
    expect("pcid.first", *word, 0x1111);
    page_set(ARENA_NEXT, (ARENA_NEXT + SIZE_2M) | 0x83);
    expect("pcid.changed", *word, 0x2222);
    expect("pcid.switch", cr3_trap(cr3 | PCID), NO_TRAP);
    expect("pcid.read", read_cr3(), cr3 | PCID);
    expect("pcid.in-context", *word, 0x2222);
    expect("pcid.switch-without-flush", cr3_trap(cr3 | CR3_NO_FLUSH), NO_TRAP);
    expect("pcid.no-flush-reads-0", read_cr3(), cr3);
    expect("pcid.back", *word, 0x2222);
    page_set(ARENA_NEXT, entry);
}

void test_pcid(void)
{
    uint64_t cr3 = read_cr3(), cr4 = read_cr4();

    if (!cpu_has(1, 2, 17)) {
        skip("pcid", "not in CPUID");
        if (!cpu_has(7, 1, 10))
            expect("pcid.invpcid-hidden", TRAP_OF("mov $2, %%eax; invpcid descriptor, %%rax"), EXC_UD);
        return;
    }
    expect("pcid.no-flush-without", cr3_trap(cr3 | CR3_NO_FLUSH), EXC_GP);
    cr3_trap(cr3 | BIT(3)); /* PWT: low bits that aren't 0 */
    expect("pcid.enable-with-low-bits", cr4_trap(cr4 | CR4_PCIDE), EXC_GP);
    cr3_trap(cr3);
    expect("pcid.enable", cr4_trap(cr4 | CR4_PCIDE), NO_TRAP);
    test_contexts(cr3);
    if (cpu_has(7, 1, 10))
        test_invpcid();
    cr3_trap(cr3);
    expect("pcid.disable", cr4_trap(cr4), NO_TRAP);
}
