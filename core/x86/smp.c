#include "core/x86/smp.h"

#include "core/lib/error.h"
#include "core/lib/panic.h"
#include "core/lib/string.h"
#include "core/x86/asm.h"
#include "core/x86/lapic.h"
#include "core/x86/msr.h"

#define US 1000ull
#define MS (1000 * US)

/* Values of the claim word beside the APIC id of the core that is expected. */
#define CLAIM_NONE  0xfffffffeu
#define CLAIM_TAKEN 0xffffffffu

/* At the end of the trampoline page (boot/trampoline.asm). */
struct smp_data {
    uint32_t claim;
    uint32_t root;
    uint32_t efer;
    uint32_t jump_offset; /* physical address of the 64-bit part */
    uint16_t jump_selector;
    uint16_t gdt_limit;
    uint32_t gdt_base;
    uint64_t stack;
    uint64_t cpu;
    uint64_t entry;
};
_Static_assert(offsetof(struct smp_data, gdt_limit) == 18, "trampoline.asm loads GDTR from here");
_Static_assert(offsetof(struct smp_data, stack) == 24, "trampoline.asm knows the layout");

extern const char trampoline_begin[], trampoline_end[], trampoline_gdt[], trampoline_gdt_end[],
    trampoline_long[];
extern const char trampoline_data[];

/* How one attempt is made: short first, since all CPUs of this century can do with that; then by the book. */
static const struct attempt {
    uint64_t init_ns, repeat_ns, limit_ns;
} attempts[] = {
    {100 * US, 1 * MS, 50 * MS},
    {10 * MS, 1 * MS, 1000 * MS},
};
#define ARRIVE_NS (5000 * MS) /* from the trampoline's first instructions to smp_arrive() */

static struct smp_data *data;
static uint8_t page_number;
static void (*cpu_entry)(struct cpu *cpu);

/* Who is on the way from the trampoline to smp_arrive(); NULL: nobody, or it has arrived. */
static struct cpu *expected;
static bool page_lost; /* a core may still be reading the trampoline page: it can't be used for another one */

static uint32_t offset_of(const char *symbol)
{
    return (uint32_t)((uintptr_t)symbol - (uintptr_t)trampoline_begin);
}

/* Where all cores come out of the trampoline. */
static void smp_arrive(struct cpu *cpu)
{
    struct cpu *self = cpu;

    if (__atomic_compare_exchange_n(&expected, &self, NULL, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        cpu_entry(cpu);
    for (;;)
        cpu_halt();
}

void smp_init(const struct smp_trampoline *t)
{
    size_t size = offset_of(trampoline_end);

    assert(t->hpa < MiB && IS_ALIGNED(t->hpa, PAGE_SIZE) && t->root < 4 * GiB);
    assert(size <= PAGE_SIZE);
    memcpy(t->page, trampoline_begin, size);
    page_number = (uint8_t)(t->hpa >> PAGE_SHIFT);
    data = (struct smp_data *)((char *)t->page + offset_of(trampoline_data));
    *data = (struct smp_data){
        .claim = CLAIM_NONE,
        .root = (uint32_t)t->root,
        .efer = (uint32_t)(rdmsr(MSR_EFER) & (EFER_LME | EFER_NXE)),
        .jump_offset = (uint32_t)t->hpa + offset_of(trampoline_long),
        .jump_selector = 0x08,
        .gdt_limit = (uint16_t)(offset_of(trampoline_gdt_end) - offset_of(trampoline_gdt) - 1),
        .gdt_base = (uint32_t)t->hpa + offset_of(trampoline_gdt),
        .entry = (uint64_t)smp_arrive,
    };
}

static uint32_t claim_read(void)
{
    return __atomic_load_n(&data->claim, __ATOMIC_ACQUIRE);
}

static void wait(uint64_t ns, uint64_t (*now)(void))
{
    for (uint64_t end = now() + ns; now() < end;)
        cpu_pause();
}

static bool wait_for_claim(uint64_t ns, uint64_t (*now)(void))
{
    for (uint64_t end = now() + ns; claim_read() != CLAIM_TAKEN && now() < end;)
        cpu_pause();
    return claim_read() == CLAIM_TAKEN;
}

static bool attempt_make(const struct attempt *a, uint32_t apic_id, uint64_t (*now)(void))
{
    lapic_send_init(apic_id);
    wait(a->init_ns, now);
    lapic_send_startup(apic_id, page_number);
    if (wait_for_claim(a->repeat_ns, now))
        return true;
    lapic_send_startup(apic_id, page_number);
    return wait_for_claim(a->limit_ns, now);
}

/* Takes the invitation back; false if the core has just accepted it. */
static bool claim_withdraw(uint32_t apic_id)
{
    return __atomic_compare_exchange_n(&data->claim, &apic_id, CLAIM_NONE, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

static int wait_for_arrival(const struct cpu *cpu, uint64_t (*now)(void))
{
    for (uint64_t end = now() + ARRIVE_NS; now() < end; cpu_pause())
        if (__atomic_load_n(&expected, __ATOMIC_ACQUIRE) == NULL)
            return 0;
    page_lost = true;
    return __atomic_exchange_n(&expected, NULL, __ATOMIC_ACQ_REL) == cpu ? ERR_BUSY : 0;
}

int smp_start(struct cpu *cpu, void (*entry)(struct cpu *cpu), uint64_t (*now)(void))
{
    bool claimed = false;

    if (page_lost)
        return ERR_BUSY;
    cpu_entry = entry;
    data->stack = (uint64_t)cpu->stack_top;
    data->cpu = (uint64_t)cpu;
    __atomic_store_n(&expected, cpu, __ATOMIC_RELEASE);
    __atomic_store_n(&data->claim, cpu->apic_id, __ATOMIC_RELEASE);

    for (size_t i = 0; i < ARRAY_SIZE(attempts) && !claimed; i++)
        claimed = attempt_make(&attempts[i], cpu->apic_id, now);
    if (!claimed && claim_withdraw(cpu->apic_id))
        return ERR_TIMEOUT;
    return wait_for_arrival(cpu, now);
}
