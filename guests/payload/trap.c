/* Exceptions that a test provokes are recorded, and the test goes on behind the instruction; others end the run. */
#include "guests/payload/payload.h"

#include "core/lib/bytes.h"
#include "core/lib/string.h"
#include "core/x86/descriptor.h"

#define TSS_SELECTOR   0x30
#define TSS_LIMIT      103
#define GATE_INTERRUPT 0x8e
#define GATE_DPL3      0x60
#define GATE_PRESENT   0x80

struct gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
};

_Static_assert(sizeof(struct gate) == 16, "SDM figure 6-8");

volatile struct trap trap;
volatile uint64_t trap_resume, trap_at, trap_stack;
void (*trap_handlers[256])(struct trap_frame *frame);

extern const uint8_t trap_stubs[]; /* core/x86/traps.asm */

static struct gate idt[256] __attribute__((aligned(16)));
static uint8_t user_trap_stack[8192] __attribute__((aligned(16)));

void trap_begin(void)
{
    trap.count = 0;
}

static void trap_fatal(const struct trap_frame *f)
{
    print("not ok trap: vector %llu, error %#llx, rip %#llx, rsp %#llx, cr2 %#llx",
          (unsigned long long)f->vector, (unsigned long long)f->error, (unsigned long long)f->rip,
          (unsigned long long)f->rsp, (unsigned long long)read_cr2());
    check("trap.unexpected", false);
    finish();
}

/* From ring 3 the test goes on in ring 0, on the stack that it had. */
static void trap_return(struct trap_frame *f)
{
    f->rip = trap_resume;
    f->rflags &= ~(RFLAGS_TF | RFLAGS_AC);
    if (f->cs & 3) {
        f->cs = CODE_SELECTOR;
        f->ss = DATA_SELECTOR;
        f->rsp = trap_stack;
    }
    trap_resume = 0;
}

void trap_handle(struct trap_frame *f)
{
    if (trap_handlers[f->vector & 0xff]) {
        trap_handlers[f->vector & 0xff](f);
        return;
    }
    if (!trap_resume)
        trap_fatal(f);
    trap.count++;
    trap.vector = f->vector;
    trap.error = f->error;
    trap.rip = f->rip;
    trap.rflags = f->rflags;
    trap.cr2 = read_cr2();
    trap_return(f);
}

static void gate_set(uint32_t vector)
{
    uint64_t stub = (uint64_t)trap_stubs + 16 * vector;

    idt[vector] = (struct gate){
        .offset_low = (uint16_t)stub,
        .selector = CODE_SELECTOR,
        .type = GATE_INTERRUPT | (vector == 3 || vector == 4 ? GATE_DPL3 : 0),
        .offset_middle = (uint16_t)(stub >> 16),
        .offset_high = (uint32_t)(stub >> 32),
    };
}

void trap_gate(uint32_t vector, bool present)
{
    gate_set(vector);
    if (!present)
        idt[vector].type &= (uint8_t)~GATE_PRESENT;
}

/* SDM volume 3 section 8.2.3: a 64-bit TSS descriptor has 16 bytes. */
static void tss_load(void)
{
    uint64_t base = (uint64_t)tss;

    put_le64((uint8_t *)tss + 4, (uint64_t)(user_trap_stack + sizeof(user_trap_stack))); /* RSP0 */
    put_le16((uint8_t *)tss + 102, TSS_LIMIT + 1);                                       /* no I/O bitmap */
    gdt[TSS_SELECTOR / 8] = TSS_LIMIT | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
    gdt[TSS_SELECTOR / 8 + 1] = base >> 32;
    load_task(TSS_SELECTOR);
}

void trap_load(void)
{
    load_idt(&(struct table_pointer){sizeof(idt) - 1, (uint64_t)idt});
}

void trap_init(void)
{
    for (uint32_t i = 0; i < 256; i++)
        gate_set(i);
    trap_load();
    tss_load();
}
