/*
 * All modes of the CPU in one walk (modes.asm): what code of each has seen, in order. Real mode is on the way only when it is asked
 * for, since not every CPU lets guests into it.
 */
#include "guests/payload/payload.h"

#include "core/lib/format.h"
#include "core/lib/string.h"

#define LOW     0x6000
#define WINDOW  0x40000000u
#define LEGACY  0x800000u /* what 32-bit paging has in the window: a page of 4 MiB */
#define FILLING 0x11111111u

#define PTE     0x87ull /* present, writable, user, large */
#define PTE_DIR 0x01ull

enum { CODE32 = 0x18, DATA = 0x10, CODE16 = 0x20, DATA16 = 0x28, MAIN = 0x30, TASK32 = 0x38, TASK16 = 0x40 };

/* Words of a 32-bit TSS, and halves of words of a 16-bit one. */
enum { TSS_ESP0 = 1, TSS_SS0 = 2, TSS_CR3 = 7, TSS_EIP = 8, TSS_EFLAGS = 9, TSS_ESP = 14, TSS_ES = 18 };
enum { TSS16_IP = 7, TSS16_FLAGS = 8, TSS16_SP = 13, TSS16_ES = 17 };

extern const uint8_t modes_low[], modes_low_end[], modes_task32[], modes_fault[];
extern uint8_t modes_low_real[], modes_stack_top[], modes_task_stack_top[], modes_vm86_stack_top[];
void modes_walk(void);

uint64_t modes_gdt[9] = {
    0,
    0x00af9b000000ffff,
    0x00cf93000000ffff,
    0x00cf9b000000ffff,
    0x00009b000000ffff | LOW << 16,
    0x000093000000ffff | LOW << 16,
};
uint64_t modes_idt[0x42], modes_gate;
uint32_t modes_pae, modes_legacy, modes_main_tss[26], modes_results[64], modes_count;
static uint32_t task32_tss[26];
static uint16_t task16_tss[22];

static uint64_t directories[3][512] __attribute__((aligned(4096)));
static uint32_t legacy_directory[1024] __attribute__((aligned(4096)));
static uint64_t pointers[2][4] __attribute__((aligned(32)));

static uint32_t address_of(const volatile void *p)
{
    return (uint32_t)(uint64_t)p;
}

/* Two sets for PAE and one for 32-bit paging: low memory one to one, and a page of its own in the window. */
static void tables_fill(void)
{
    for (uint32_t i = 0; i < 4; i++)
        directories[0][i] = i * SIZE_2M | PTE;
    directories[1][0] = ARENA | PTE;
    directories[2][0] = ARENA_NEXT | PTE;
    for (uint32_t set = 0; set < 2; set++) {
        pointers[set][0] = address_of(directories[0]) | PTE_DIR;
        pointers[set][WINDOW >> 30] = address_of(directories[1 + set]) | PTE_DIR;
    }
    legacy_directory[0] = (uint32_t)PTE;
    legacy_directory[1] = 0x400000 | (uint32_t)PTE;
    legacy_directory[WINDOW >> 22] = LEGACY | (uint32_t)PTE;
    modes_pae = address_of(pointers[0]);
    modes_legacy = address_of(legacy_directory);
    *(volatile uint32_t *)ARENA = FILLING;
    *(volatile uint32_t *)ARENA_NEXT = 2 * FILLING;
    *(volatile uint32_t *)(uint64_t)LEGACY = 3 * FILLING;
}

static uint64_t tss_descriptor(const void *at, uint32_t bytes, uint64_t type)
{
    uint64_t base = address_of(at);

    return (base & 0xffffff) << 16 | (base >> 24) << 56 | type << 40 | (bytes - 1);
}

static void tasks_fill(void)
{
    memset(modes_main_tss, 0, sizeof modes_main_tss);
    memset(task32_tss, 0, sizeof task32_tss);
    memset(task16_tss, 0, sizeof task16_tss);
    modes_main_tss[TSS_ESP0] = address_of(modes_vm86_stack_top);
    modes_main_tss[TSS_SS0] = DATA;
    modes_main_tss[TSS_CR3] = modes_pae; /* which no switch saves */
    task32_tss[TSS_CR3] = address_of(pointers[1]);
    task32_tss[TSS_EIP] = address_of(modes_task32);
    task32_tss[TSS_EFLAGS] = 2;
    task32_tss[TSS_ESP] = address_of(modes_task_stack_top);
    for (uint32_t i = 0; i < 6; i++)
        task32_tss[TSS_ES + i] = i == 1 ? CODE32 : DATA;
    task16_tss[TSS16_IP] = 0; /* where modes_low begins */
    task16_tss[TSS16_FLAGS] = 2;
    task16_tss[TSS16_SP] = 0xf00;
    for (uint32_t i = 0; i < 4; i++)
        task16_tss[TSS16_ES + i] = i == 1 ? CODE16 : DATA16;
    modes_gdt[MAIN / 8] = tss_descriptor(modes_main_tss, sizeof modes_main_tss, 0x89);
    modes_gdt[TASK32 / 8] = tss_descriptor(task32_tss, sizeof task32_tss, 0x89);
    modes_gdt[TASK16 / 8] = tss_descriptor(task16_tss, sizeof task16_tss, 0x81);
}

/* Task gates for #GP and INT 40H; an interrupt gate for #GP comes later. */
static void gates_fill(void)
{
    const uint64_t gate = (uint64_t)0x8500 << 32 | TASK32 << 16;
    uint64_t fault = address_of(modes_fault);

    modes_idt[13] = modes_idt[0x40] = gate;
    modes_gate = (fault & 0xffff0000) << 32 | 0x8e00ull << 32 | CODE32 << 16 | (fault & 0xffff);
}

static void walk(bool real)
{
    uint32_t real_at = (uint32_t)(modes_low_real - modes_low);

    tables_fill();
    tasks_fill();
    gates_fill();
    memcpy((void *)LOW, modes_low, (size_t)(modes_low_end - modes_low));
    *(volatile uint8_t *)(uint64_t)(LOW + real_at) = real;
    modes_count = 0;
    modes_walk();
}

struct seen {
    const char *name;
    uint32_t value;
};

static void results_check(const char *group, const struct seen *seen, uint32_t first, uint32_t count)
{
    char name[64];

    for (uint32_t i = 0; i < count; i++) {
        fmt_print(name, sizeof name, "%s.%s", group, seen[i].name);
        expect(name, modes_results[first + i], seen[i].value);
    }
}

static const struct seen common[] = {
    {"compatibility", 4},
    {"long-mode-left", 0},
    {"pae-window", FILLING},
    {"task-register", TASK32},
    {"task-ts", CR0_TS},
    {"task-cr3", 2 * FILLING},
    {"task-nt", 1 << 14},
    {"task-call-returned", 0x101},
    {"task-called-again", 0x201},
    {"task-by-int", 0x202},
    {"task-by-fault-error", 0x1234},
    {"task-by-fault-rf", 1 << 16},
    {"task-by-fault-returned", 0x102},
    {"task-by-jump", 0x203},
    {"task-16", 0x1616},
    {"task-16-returned", MAIN},
    {"task-cr3-returned", FILLING},
    {"legacy-window", 3 * FILLING},
    {"vm86-error", 0},
    {"vm86-eip", 0},
    {"vm86-flag", 1 << 17},
    {"vm86-es-frame", 0x5678},
    {"vm86-es", 0x5678},
    {"long-mode-asked-for", 1},
    {"protected-16", 0x56781234},
};

void test_mode_walk(void)
{
    walk(false);
    expect("modes.count", modes_count, ARRAY_SIZE(common));
    results_check("modes", common, 0, ARRAY_SIZE(common));
}

void test_real(void)
{
    const struct seen seen[] = {
        {"interrupt", 0x60600000 | LOW >> 4},
        {"msw", 0},
        {"beyond-1m", *(const volatile uint32_t *)0x100000},
    };

    walk(true);
    expect("real.count", modes_count, ARRAY_SIZE(common) + ARRAY_SIZE(seen));
    results_check("real", common, 0, ARRAY_SIZE(common));
    results_check("real", seen, ARRAY_SIZE(common), ARRAY_SIZE(seen));
}
