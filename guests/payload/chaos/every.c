/*
 * All of a kind, one after the other: every bit of the control registers and of EFER, every MSR, every type of descriptor in every
 * segment register. Each gives what the manual says for it, and the CPU goes on. Groups report one line, with the first that differs.
 */
#include "guests/payload/chaos/chaos.h"

#include "core/event.h"
#include "core/x86/descriptor.h"

#define GOES_ON  NO_TRAP
#define SELECTOR 0x28 /* start.asm's descriptor that isn't present: ours */
#define CR0_KNOWN                                                                                            \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)
#define TYPE_TSS        9
#define TYPE_LDT        2
#define TYPE_CODE       BIT(3)
#define TYPE_CONFORMING BIT(2) /* of code; of data: expands down */
#define TYPE_ACCESS     BIT(1) /* code is readable, data writable */
#define SYSTEM          BIT(4) /* S: clear */

/* One group: how many there were, and the first that wasn't as it should be. */
static struct {
    const char *name;
    uint32_t count, wrong;
    uint64_t what, got, want;
} group;

static void group_begin(const char *name)
{
    group.name = name;
    group.count = group.wrong = 0;
}

static void group_expect(uint64_t what, uint64_t got, uint64_t want)
{
    group.count++;
    if (got == want || group.wrong++)
        return;
    group.what = what;
    group.got = got;
    group.want = want;
}

static void group_end(void)
{
    if (group.wrong)
        print("# %s: %u of %u differ; the first: %#llx got %#llx want %#llx", group.name, group.wrong,
              group.count, (unsigned long long)group.what, (unsigned long long)group.got,
              (unsigned long long)group.want);
    expect(group.name, group.wrong, 0);
}

/* -- control registers -------------------------------------------------------------------------------------------- */

/* SDM volume 3, 2.5; AMD volume 2, 3.1.1. Reserved bits of the lower half are ignored, and by QEMU's own CPU those of the upper. */
static uint64_t cr0_wanted(uint64_t value)
{
    if ((value >> 32 && !on_tcg) || !(value & CR0_PE) || !(value & CR0_PG) ||
        (value & (CR0_NW | CR0_CD)) == CR0_NW)
        return EXC_GP;
    return GOES_ON;
}

static void every_cr0(void)
{
    uint64_t cr0 = read_cr0(), value;

    group_begin("every.cr0");
    for (uint32_t bit = 0; bit < 64; bit++) {
        value = cr0 ^ 1ull << bit;
        group_expect(bit, cr0_trap(value), cr0_wanted(value));
        group_expect(bit | 0x100, read_cr0(),
                     cr0_wanted(value) == EXC_GP ? cr0 : (value & CR0_KNOWN) | CR0_ET);
        write_cr0(cr0);
    }
    group_expect(0x200, cr0_trap(UINT64_MAX), EXC_GP);
    group_expect(0x201, cr0_trap(0), EXC_GP);
    group_end();
}

/* LMSW by a register and by memory: EM, too, which a hypervisor may watch. */
static void every_status(void)
{
    uint64_t cr0 = read_cr0();
    uint16_t word = (uint16_t)(cr0 | CR0_EM);

    __asm__ volatile("lmsw %w0" : : "r"((uint32_t)word));
    expect("every.lmsw", read_cr0(), cr0 | CR0_EM);
    word = (uint16_t)(cr0 & ~CR0_EM);
    __asm__ volatile("lmsw %0" : : "m"(word));
    expect("every.lmsw-memory", read_cr0(), cr0);
}

/* CR4's bits and the features that they come with; what isn't here is reserved, or for what Keel doesn't offer. */
static bool cr4_has(uint32_t bit)
{
    static const struct {
        uint8_t bit, leaf, reg, feature;
    } rows[] = {{0, 1, 3, 1},   {1, 1, 3, 1},  {2, 1, 3, 4},   {3, 1, 3, 2},  {4, 1, 3, 3},  {6, 1, 3, 7},
                {7, 1, 3, 13},  {9, 1, 3, 24}, {10, 1, 3, 25}, {11, 7, 2, 2}, {16, 7, 1, 0}, {17, 1, 2, 17},
                {18, 1, 2, 26}, {20, 7, 1, 7}, {21, 7, 1, 20}, {22, 7, 2, 3}, {23, 7, 2, 7}, {24, 7, 2, 31}};

    if (bit == 8) /* PCE is older than all bits of CPUID */
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].bit == bit)
            return cpu_has(rows[i].leaf, rows[i].reg, rows[i].feature);
    return false;
}

/* SMEP would forbid us to run: our pages are the user's, too. */
static void every_cr4(void)
{
    uint64_t cr4 = read_cr4(), want;

    group_begin("every.cr4");
    for (uint32_t bit = 0; bit < 64; bit++) {
        if (bit == 20 || bit == 21)
            continue;
        want = bit != 5 && cr4_has(bit) ? GOES_ON : EXC_GP;
        group_expect(bit, cr4_trap(cr4 ^ 1ull << bit), want);
        group_expect(bit | 0x100, read_cr4(), want == EXC_GP ? cr4 : cr4 ^ 1ull << bit);
        write_cr4(cr4);
    }
    group_expect(0x200, cr4_trap(UINT64_MAX), EXC_GP);
    group_expect(0x201, cr4_trap(0), EXC_GP);
    group_end();
}

static void every_cr3(void)
{
    uint64_t cr3 = read_cr3();
    uint32_t width = cpuid(0x80000008, 0).eax & 0xff;

    group_begin("every.cr3");
    for (uint32_t bit = 0; bit < 64; bit++) {
        if (bit >= 12 && bit < width)
            continue; /* other tables */
        group_expect(bit, cr3_trap(cr3 ^ 1ull << bit), bit < 12 ? GOES_ON : EXC_GP);
        write_cr3(cr3);
    }
    group_end();
}

static void every_cr8(void)
{
    group_begin("every.cr8");
    for (uint32_t bit = 0; bit < 64; bit++)
        group_expect(bit, cr8_trap(1ull << bit), bit < 4 ? GOES_ON : EXC_GP);
    cr8_trap(0);
    group_end();
}

static uint64_t efer_wanted(uint32_t bit)
{
    bool there = bit == 0 || (bit == 11 && cpu_has(0x80000001, 3, 20)) ||
                 (bit == 14 && cpu_has(0x80000001, 3, 25)) || (bit == 15 && cpu_has(0x80000001, 2, 17)) ||
                 bit == 10; /* LMA is ignored */

    return there ? GOES_ON : EXC_GP;
}

static void every_efer(void)
{
    uint64_t efer = rdmsr(MSR_EFER);

    group_begin("every.efer");
    for (uint32_t bit = 0; bit < 64; bit++) {
        if (bit == 10 && on_intel)
            continue;
        group_expect(bit, wrmsr_trap(MSR_EFER, efer ^ 1ull << bit), efer_wanted(bit));
        wrmsr(MSR_EFER, efer);
    }
    group_end();
}

/* -- MSRs --------------------------------------------------------------------------------------------------------- */

/* What we run by. */
static bool msr_is_ours(uint32_t msr)
{
    return msr == MSR_EFER || msr == MSR_FS_BASE || msr == MSR_GS_BASE;
}

static void msr_write(uint32_t msr, uint64_t value)
{
    uint64_t vector = wrmsr_trap(msr, value);

    group_expect(msr, vector == EXC_GP ? GOES_ON : vector, GOES_ON);
}

/* None takes anything but #GP; one that can be read keeps its value through all that is refused. */
static void msr_try(uint32_t msr)
{
    uint64_t value, vector = rdmsr_trap(msr, &value);

    group_expect(msr, vector == EXC_GP ? GOES_ON : vector, GOES_ON);
    if (msr_is_ours(msr))
        return;
    msr_write(msr, 0);
    msr_write(msr, UINT64_MAX);
    for (uint32_t bit = 0; vector == NO_TRAP && bit < 64; bit++)
        msr_write(msr, 1ull << bit);
    if (vector == NO_TRAP)
        msr_write(msr, value);
}

/* Between what AMD's CPUs have there is nothing: reading that is enough. */
static void every_msr(void)
{
    static const struct {
        const char *name;
        uint32_t first, last;
        bool all;
    } ranges[] = {{"every.msr-low", 0, 0x1fff, true},
                  {"every.msr-hypervisor", 0x40000000, 0x40000fff, true},
                  {"every.msr-kvm", 0x4b564d00, 0x4b564dff, true},
                  {"every.msr-extended", 0xc0000000, 0xc0001fff, true},
                  {"every.msr-between", 0xc0002000, 0xc000ffff, false},
                  {"every.msr-amd", 0xc0010000, 0xc0011fff, true},
                  {"every.msr-last", 0xffffff00, 0xffffffff, true}};
    uint64_t value;

    for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
        group_begin(ranges[i].name);
        for (uint64_t msr = ranges[i].first; msr <= ranges[i].last; msr++)
            if (ranges[i].all)
                msr_try((uint32_t)msr);
            else
                group_expect(msr, rdmsr_trap((uint32_t)msr, &value), EXC_GP);
        group_end();
    }
}

/* -- descriptors -------------------------------------------------------------------------------------------------- */

static uint64_t descriptor_make(uint32_t type, uint32_t dpl, bool present)
{
    return 0x00a0000000000000ull * (type >= (SYSTEM | TYPE_CODE)) | (uint64_t)type << 40 |
           (uint64_t)dpl << 45 | (uint64_t)present << 47 | 0xffff | (uint64_t)CHAOS_DATA << 16;
}

/* SDM volume 2, MOV. CPL is 0. */
static uint64_t data_wanted(uint32_t type, bool present)
{
    if (!(type & SYSTEM) || ((type & TYPE_CODE) && !(type & TYPE_ACCESS)))
        return EXC_GP;
    return present ? GOES_ON : EXC_NP;
}

static uint64_t data_wanted_of(uint32_t type, uint32_t dpl, uint32_t rpl, bool present)
{
    bool conforming = (type & (TYPE_CODE | TYPE_CONFORMING)) == (TYPE_CODE | TYPE_CONFORMING);

    if ((type & SYSTEM) && !conforming && rpl > dpl)
        return EXC_GP;
    return data_wanted(type, present);
}

static uint64_t stack_wanted(uint32_t type, uint32_t dpl, uint32_t rpl, bool present)
{
    if (!(type & SYSTEM) || (type & TYPE_CODE) || !(type & TYPE_ACCESS) || dpl || rpl)
        return EXC_GP;
    return present ? GOES_ON : EXC_SS;
}

static uint64_t system_wanted(uint32_t type, uint32_t wanted, bool present)
{
    if (type != wanted)
        return EXC_GP;
    return present ? GOES_ON : EXC_NP;
}

#define LOAD_OF(insn, selector)                                                                              \
    ({                                                                                                       \
        trap_begin();                                                                                        \
        __asm__ volatile(TRAPPING(insn) : : "r"((uint32_t)(selector)) : "memory");                           \
        trap_vector();                                                                                       \
    })

static void segments_try(uint32_t type, uint32_t dpl, uint32_t rpl, bool present)
{
    uint32_t selector = SELECTOR | rpl, what = type | dpl << 8 | rpl << 12 | (uint32_t)present << 16;

    gdt[SELECTOR / 8] = descriptor_make(type, dpl, present);
    gdt[SELECTOR / 8 + 1] = 0;
    group_expect(what, LOAD_OF("mov %0, %%ds", selector), data_wanted_of(type, dpl, rpl, present));
    group_expect(what | 0x100000, LOAD_OF("mov %0, %%es", selector), data_wanted_of(type, dpl, rpl, present));
    group_expect(what | 0x400000, LOAD_OF("mov %0, %%fs", selector), data_wanted_of(type, dpl, rpl, present));
    group_expect(what | 0x500000, LOAD_OF("mov %0, %%gs", selector), data_wanted_of(type, dpl, rpl, present));
    group_expect(what | 0x200000, LOAD_OF("mov %0, %%ss", selector), stack_wanted(type, dpl, rpl, present));
    load_data_segments(DATA_SELECTOR);
}

static void system_try(uint32_t type, uint32_t dpl, bool present)
{
    uint32_t what = type | dpl << 8 | (uint32_t)present << 16;

    gdt[SELECTOR / 8] = descriptor_make(type, dpl, present);
    gdt[SELECTOR / 8 + 1] = 0;
    group_expect(what | 0x600000, LOAD_OF("lldt %w0", SELECTOR), system_wanted(type, TYPE_LDT, present));
    gdt[SELECTOR / 8] = descriptor_make(type, dpl, present);
    if (type != TYPE_TSS || !present)
        group_expect(what | 0x700000, LOAD_OF("ltr %w0", SELECTOR), system_wanted(type, TYPE_TSS, present));
}

static void every_descriptor(void)
{
    uint64_t kept[2] = {gdt[SELECTOR / 8], gdt[SELECTOR / 8 + 1]};

    group_begin("every.segment");
    for (uint32_t type = 0; type < 32; type++)
        for (uint32_t at = 0; at < 32; at++)
            segments_try(type, at & 3, at >> 2 & 3, at >> 4);
    group_end();
    group_begin("every.system-segment");
    for (uint32_t type = 0; type < 32; type++)
        for (uint32_t at = 0; at < 8; at++)
            system_try(type, at & 3, at >> 2);
    group_end();
    expect("every.null-tr", LOAD_OF("ltr %w0", 0), EXC_GP);
    expect("every.null-ldt", LOAD_OF("lldt %w0", 0), GOES_ON);
    gdt[SELECTOR / 8] = kept[0];
    gdt[SELECTOR / 8 + 1] = kept[1];
}

void chaos_every(void)
{
    trap_init();
    every_cr0();
    every_status();
    every_cr3();
    every_cr4();
    every_cr8();
    every_efer();
    every_descriptor();
    chaos_every_more();
    every_msr();
}
