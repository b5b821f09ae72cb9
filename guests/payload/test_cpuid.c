/* CPUID: what is there to see agrees with itself and with what the CPU does. */
#include "guests/payload/payload.h"

#include "core/lib/string.h"

enum { EAX, EBX, ECX, EDX };

#define HYPERVISOR_LEAF 0x40000000
#define FXSAVE_AREA     512
#define XSAVE_HEADER    64

static void test_hypervisor_leaves(void)
{
    struct cpuid_regs r = cpuid(HYPERVISOR_LEAF, 0);
    char name[13] = {0};

    check("cpuid.hypervisor-bit", cpu_has(1, ECX, 31));
    memcpy(name, &r.ebx, 4);
    memcpy(name + 4, &r.ecx, 4);
    memcpy(name + 8, &r.edx, 4);
    print("# hypervisor %s, leaves to %#x", name, r.eax);
    check("cpuid.hypervisor-leaves", r.eax >= HYPERVISOR_LEAF && r.eax < HYPERVISOR_LEAF + 0x10000);
    check("cpuid.hypervisor-signature", r.ebx && r.ecx);
    if (!on_keel) {
        skip("cpuid.frequencies", "not on Keel");
        return;
    }
    r = cpuid(HYPERVISOR_LEAF + 0x10, 0);
    expect_range("cpuid.frequencies", r.eax * 100ull / (tsc_hz / 1000), 97, 103);
}

static void test_os_bits(void)
{
    uint64_t cr4 = read_cr4();

    if (!cpu_has(1, ECX, 26)) {
        skip("cpuid.osxsave", "no XSAVE");
    } else {
        write_cr4(cr4 & ~CR4_OSXSAVE);
        expect("cpuid.osxsave-off", cpu_has(1, ECX, 27), 0);
        write_cr4(cr4 | CR4_OSXSAVE);
        expect("cpuid.osxsave-on", cpu_has(1, ECX, 27), 1);
    }
    if (!cpu_has(7, ECX, 3)) {
        skip("cpuid.ospke", "no protection keys");
    } else {
        write_cr4(cr4 | CR4_PKE);
        expect("cpuid.ospke-on", cpu_has(7, ECX, 4), 1);
        write_cr4(cr4 & ~CR4_PKE);
        expect("cpuid.ospke-off", cpu_has(7, ECX, 4), 0);
    }
    write_cr4(cr4);
}

static void test_apic_ids(void)
{
    uint32_t id = lapic_read(LAPIC_ID) >> 24;
    struct cpuid_regs r;

    expect("cpuid.apic-id", cpuid(1, 0).ebx >> 24, id);
    if (cpuid(0, 0).eax < 0xb) {
        skip("cpuid.topology", "no leaf B");
        return;
    }
    r = cpuid(0xb, 0);
    expect("cpuid.topology-id", r.edx, id);
    expect("cpuid.topology-smt", r.ecx, 0x100);
    expect("cpuid.topology-core", cpuid(0xb, 1).ecx, 0x201);
    r = cpuid(0xb, 2);
    expect("cpuid.topology-end", r.ecx, 2);
    expect("cpuid.topology-end-ebx", r.ebx, 0);
}

/* Leaf 7 has no further subleaves than it says. */
static void test_leaf_7(void)
{
    struct cpuid_regs r;
    uint32_t last;

    if (cpuid(0, 0).eax < 7) {
        skip("cpuid.leaf-7", "no such leaf");
        return;
    }
    last = cpuid(7, 0).eax;
    r = cpuid(7, last + 1);
    expect("cpuid.leaf-7-end", r.eax | r.ebx | r.ecx | r.edx, 0);
}

/* The area for components 0 and 1 is the legacy one; each further one lies where its subleaf says. */
static uint32_t xsave_size(uint64_t xcr0)
{
    uint32_t size = FXSAVE_AREA + XSAVE_HEADER;

    for (uint32_t i = 2; i < 63; i++) {
        struct cpuid_regs r = cpuid(0xd, i);

        if (xcr0 >> i & 1)
            size = MAX(size, r.eax + r.ebx);
    }
    return size;
}

static void test_leaf_d(void)
{
    uint64_t cr4 = read_cr4(), all, old;

    if (!cpu_has(1, ECX, 26)) {
        skip("cpuid.leaf-d", "no XSAVE");
        return;
    }
    write_cr4(cr4 | CR4_OSXSAVE);
    old = xgetbv(0);
    all = cpuid(0xd, 0).eax | (uint64_t)cpuid(0xd, 0).edx << 32;
    expect("cpuid.leaf-d-max", cpuid(0xd, 0).ecx, xsave_size(all));
    xsetbv(0, 1);
    expect("cpuid.leaf-d-x87", cpuid(0xd, 0).ebx, xsave_size(1));
    xsetbv(0, 3);
    expect("cpuid.leaf-d-sse", cpuid(0xd, 0).ebx, xsave_size(3));
    xsetbv(0, all & ~(3ull << 17)); /* TILE needs more than this */
    expect("cpuid.leaf-d-all", cpuid(0xd, 0).ebx, xsave_size(all & ~(3ull << 17)));
    xsetbv(0, old);
    write_cr4(cr4);
}

/* CPUID writes 32-bit registers: the upper halves become zero. */
static void test_upper_halves(void)
{
    uint64_t a = ~0ull << 32, b = ~0ull, c = ~0ull << 32, d = ~0ull;

    __asm__ volatile("cpuid" : "+a"(a), "+b"(b), "+c"(c), "+d"(d));
    expect("cpuid.upper-halves", (a | b | c | d) >> 32, 0);
}

static void test_extended(void)
{
    uint32_t bits = cpuid(0x80000008, 0).eax & 0xff;

    check("cpuid.extended-max", cpuid(0x80000000, 0).eax >= 0x80000008);
    expect_range("cpuid.physical-bits", bits, 36, 52);
    check("cpuid.long-mode", cpu_has(0x80000001, EDX, 29));
}

void test_cpuid(void)
{
    test_hypervisor_leaves();
    test_os_bits();
    test_apic_ids();
    test_leaf_7();
    test_leaf_d();
    test_upper_halves();
    test_extended();
}
