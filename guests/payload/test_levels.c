/* Five levels of page tables (SDM volume 3, 4.5): memory, devices and code at addresses that four levels don't have. */
#include "guests/payload/payload.h"

#include "core/event.h"

#define WIDE          BIT(52) /* all memory a second time */
#define WIDE_SLOT     (WIDE >> 48)
#define OUTSIDE       BIT(56) /* not canonical with five levels either */
#define PTE           7ull
#define IOAPIC_READ   1 /* its version */
#define MODIFIED_BASE (WIDE | 0x1000)

void levels_switch(uint64_t cr3, uint64_t cr4);

static uint64_t top[512] __attribute__((aligned(4096)));

static uint64_t wide_read(uint64_t address)
{
    uint64_t value = 0;

    trap_begin();
    __asm__ volatile(TRAPPING("movq (%1), %0") : "+r"(value) : "r"(address) : "memory");
    return value;
}

/* Whatever this leads a hypervisor to read, it has to find by a RIP that only five levels have. */
static NOINLINE uint32_t leaf_7_ecx(void)
{
    uint32_t a = 7, b, c = 0, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return c;
}

static NOINLINE uint32_t device_read(volatile uint32_t *device)
{
    return device[4];
}

static void test_memory(void)
{
    *(volatile uint64_t *)ARENA = 0x1122334455667788;
    expect("levels.memory", wide_read(WIDE | ARENA), 0x1122334455667788);
    expect("levels.beyond-48", wide_read(BIT(47)), 0);
    expect("levels.beyond-48-fault", trap_vector(), EXC_PF);
    expect("levels.beyond-57", (wide_read(OUTSIDE), trap_vector()), EXC_GP);
}

static void test_code(void)
{
    uint32_t (*leaf)(void) = (uint32_t(*)(void))((uint64_t)leaf_7_ecx | WIDE);
    uint32_t (*device)(volatile uint32_t *) = (uint32_t(*)(volatile uint32_t *))((uint64_t)device_read |
                                                                                 WIDE);
    volatile uint32_t *wide = (volatile uint32_t *)((uint64_t)IOAPIC_MMIO | WIDE);

    IOAPIC_MMIO[0] = IOAPIC_READ;
    expect("levels.device", wide[4], IOAPIC_MMIO[4]);
    /* Again and again: what is known of an instruction may be remembered. */
    for (uint32_t i = 0; i < 3; i++)
        expect("levels.device-code", device(wide), IOAPIC_MMIO[4]);
    expect("levels.code", leaf(), leaf_7_ecx());
}

static void test_registers(uint64_t cr4)
{
    uint64_t base, value;

    expect("levels.cr4-on", read_cr4() & CR4_LA57, CR4_LA57);
    expect("levels.cr4-stays", cr4_trap(cr4), EXC_GP);
    rdmsr_trap(MSR_KERNEL_GS_BASE, &base);
    expect("levels.msr", wrmsr_trap(MSR_KERNEL_GS_BASE, MODIFIED_BASE), NO_TRAP);
    rdmsr_trap(MSR_KERNEL_GS_BASE, &value);
    expect("levels.msr-read", value, MODIFIED_BASE);
    wrmsr_trap(MSR_KERNEL_GS_BASE, base);
}

void test_levels(void)
{
    uint64_t cr3 = read_cr3(), cr4 = read_cr4();

    if (!cpu_has(7, 2, 16)) {
        skip("levels", "this CPU has four levels");
        return;
    }
    expect("levels.cr4-refused", cr4_trap(cr4 | CR4_LA57), EXC_GP);
    top[0] = top[WIDE_SLOT] = (uint64_t)pml4 | PTE;
    levels_switch((uint64_t)top, cr4 | CR4_LA57);
    test_registers(cr4);
    test_memory();
    test_code();
    levels_switch(cr3, cr4);
    expect("levels.back", read_cr4(), cr4);
    expect("levels.narrow-again", (wide_read(WIDE | ARENA), trap_vector()), EXC_GP);
}
