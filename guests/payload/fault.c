/* Ways in which a guest ends or goes wrong: what the hypervisor makes of it is looked at from outside. */
#include "guests/payload/payload.h"

#include "core/lib/string.h"
#include "core/x86/descriptor.h"

/* Without an IDT, an exception can't be delivered, nor the double fault that follows. */
static void fault_triple(void)
{
    load_idt(&(struct table_pointer){0, 0});
    __asm__ volatile("ud2");
}

static void fault_reset(void)
{
    outb(0xcf9, 0x02);
    outb(0xcf9, 0x06);
}

static void fault_keyboard(void)
{
    outb(0x64, 0xfe);
}

static void fault_hang(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}

static void fault_spin(void)
{
    for (;;)
        cpu_pause();
}

/* An instruction on a device that no hypervisor needs to know. */
static void fault_emulator(void)
{
    __asm__ volatile("fnsave (%0)" : : "r"(0xfec00000ull) : "memory");
}

/* In the hole below 4 GiB where nothing is. */
#define NOTHING 0xd0000000ull
/* Beyond all memory. */
#define NOWHERE 0x4000000000ull

static void fault_execute(void)
{
    ((void (*)(void))NOTHING)();
}

/* An ordinary store, to where neither memory nor a device can be. */
static void fault_write(void)
{
    page_set(NOTHING, NOWHERE | 0x83);
    *(volatile uint64_t *)(NOTHING + 0x128) = 1;
}

static void fault_tables(void)
{
    __asm__ volatile("mov %0, %%cr3" : : "r"(NOTHING) : "memory");
}

static void fault_exit(void)
{
    outl(0xf4, 7);
}

void fault_run(const char *kind)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } kinds[] = {
        {"triple", fault_triple},   {"reset", fault_reset},   {"keyboard", fault_keyboard},
        {"hang", fault_hang},       {"spin", fault_spin},     {"emulator", fault_emulator},
        {"execute", fault_execute}, {"tables", fault_tables}, {"exit", fault_exit},
        {"write", fault_write},
    };

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (!str_starts(kind, kinds[i].name))
            continue;
        print("fault %s", kinds[i].name);
        kinds[i].run();
        delay_us(1000000);
        check("fault.survived", false);
        finish();
    }
    print("# unknown fault %s", kind);
    check("fault.unknown", false);
    finish();
}
