/* The same for memory and the LAPIC: reserved bits of page-table entries, jumps to where nothing is, and a guest that takes its own away. */
#include "guests/payload/chaos/chaos.h"

#include "core/event.h"

#define PF_PRESENT   BIT(0)
#define PF_RESERVED  BIT(3)
#define PAGE_FLAGS   0x83ull         /* 2 MiB, present, writable */
#define NOWHERE      0x8000000000ull /* of the linear addresses: only 4 GiB are mapped */
#define PAGE_USER    BIT(2)
#define LAST_PAGE    0xffe00000ull
#define USER_CODE_32 0x00cffb000000ffffull
#define NOP          0x90
#define HOLE         0x0000800000000000ull

static uint64_t read_trap(uint64_t address)
{
    uint64_t value;

    trap_begin();
    __asm__ volatile(TRAPPING("mov (%1), %0") : "=&r"(value) : "r"(address) : "memory");
    return trap_vector();
}

static uint64_t jump_trap(uint64_t address)
{
    trap_begin();
    __asm__ volatile(TRAPPING("jmp *%0") : : "r"(address) : "memory");
    return trap_vector();
}

/* A page of 2 MiB: bits 13 to 20, and all from the physical width on up to 51 (SDM volume 3, 4.5.4). */
static void every_reserved_bit(void)
{
    uint32_t width = cpuid(0x80000008, 0).eax & 0xff, wrong = 0, tried = 0;

    for (uint32_t bit = 13; bit < 52; bit++) {
        uint64_t old, vector;

        if (bit > 20 && bit < width)
            continue;
        old = page_set(ARENA, ARENA | PAGE_FLAGS | 1ull << bit);
        vector = read_trap(ARENA);
        wrong += vector != EXC_PF || !(trap.error & PF_RESERVED) || trap.cr2 != ARENA;
        page_set(ARENA, old);
        tried++;
    }
    expect("every.page-reserved", wrong, 0);
    expect_range("every.page-reserved-tried", tried, 8, 39);
    expect("every.page-again", read_trap(ARENA), NO_TRAP);
}

static void every_jump(void)
{
    expect("every.jump-nowhere", jump_trap(NOWHERE), EXC_PF);
    expect("every.jump-nowhere-error", trap.error & PF_PRESENT, 0);
    expect("every.jump-nowhere-cr2", trap.cr2, NOWHERE);
    expect("every.jump-canonical", jump_trap(HOLE), EXC_GP);
    expect("every.read-nowhere", read_trap(NOWHERE), EXC_PF);
    expect("every.read-canonical", read_trap(HOLE), EXC_GP);
}

/* With the LAPIC off its page is where nothing is, and CPUID shows none (SDM volume 3, 11.4.3). */
static void every_apic(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);
    uint32_t version = LAPIC_MMIO[4 * LAPIC_VERSION];

    expect("every.apic-off", wrmsr_trap(MSR_APIC_BASE, base & ~(uint64_t)APIC_BASE_ENABLE), NO_TRAP);
    check("every.apic-off-cpuid", !cpu_has(1, 3, 9));
    expect("every.apic-off-page", LAPIC_MMIO[4 * LAPIC_VERSION], UINT32_MAX);
    expect("every.apic-off-x2apic", rdmsr_trap(MSR_X2APIC_BASE + LAPIC_VERSION, &(uint64_t){0}), EXC_GP);
    expect("every.apic-on", wrmsr_trap(MSR_APIC_BASE, base), NO_TRAP);
    expect("every.apic-on-version", LAPIC_MMIO[4 * LAPIC_VERSION], version);
}

/* Code of 32 bits, single-stepped from the last byte below 4 GiB on: it goes on at 0 (SDM volume 1, 3.3.5). */
static void every_wrap(void)
{
    uint64_t old = page_set(LAST_PAGE, ARENA_NEXT | PAGE_FLAGS | PAGE_USER),
             kept = gdt[NOT_PRESENT_SELECTOR / 8];

    *(uint8_t *)(ARENA_NEXT + SIZE_2M - 1) = NOP;
    gdt[NOT_PRESENT_SELECTOR / 8] = USER_CODE_32;
    trap_begin();
    __asm__ volatile("movq $1f, trap_resume\n\tmovq %%rsp, trap_stack\n\tpushq $0x1b\n\tpushq trap_stack\n\t"
                     "pushq $0x102\n\tpushq $0x2b\n\tpushq %0\n\tiretq\n1:\tmovq $0, trap_resume"
                     :
                     : "r"(UINT32_MAX + 0ull)
                     : "memory");
    expect("every.eip-wraps-vector", trap_vector(), EXC_DB);
    if (on_tcg)
        skip("every.eip-wraps", "QEMU's own CPU lets EIP run on");
    else
        expect("every.eip-wraps", trap.rip, 0);
    gdt[NOT_PRESENT_SELECTOR / 8] = kept;
    page_set(LAST_PAGE, old);
}

void chaos_every_more(void)
{
    every_wrap();
    every_reserved_bit();
    every_jump();
    every_apic();
}

void chaos_unmap(void)
{
    print("chaos unmaps itself");
    pml4[0] = 0;
    write_cr3(read_cr3());
}
