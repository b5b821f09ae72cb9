/* INS and OUTS: sizes, direction, address sizes, counts, and pages that end or miss. */
#include "guests/payload/payload.h"

#include "core/event.h"
#include "core/lib/string.h"

#define UNCLAIMED    0x5a0
#define UART_SCRATCH 0x3ff

static uint8_t *const arena = (uint8_t *)ARENA;

struct string_regs {
    uint64_t si, di, cx;
};

/* Runs a string instruction on port; DF is set by an STD in the text, and cleared behind it. */
#define STRING(insn, r, port)                                                                                \
    __asm__ volatile(TRAPPING(insn) "cld"                                                                    \
                     : "+S"((r)->si), "+D"((r)->di), "+c"((r)->cx)                                           \
                     : "d"(port)                                                                             \
                     : "memory", "cc")

static void test_out(void)
{
    struct string_regs r = {.si = ARENA, .cx = 5};

    memcpy(arena, "\x11\x22\x33\x44\x55", 5);
    STRING("rep outsb", &r, UART_SCRATCH);
    expect("string.outsb-last", inb(UART_SCRATCH), 0x55);
    expect("string.outsb-rsi", r.si, ARENA + 5);
    expect("string.outsb-rcx", r.cx, 0);
    r = (struct string_regs){.si = ARENA + 4, .cx = 5};
    STRING("std; rep outsb", &r, UART_SCRATCH);
    expect("string.outsb-down-last", inb(UART_SCRATCH), 0x11);
    expect("string.outsb-down-rsi", r.si, ARENA - 1);
    r = (struct string_regs){.si = ARENA, .cx = 3};
    STRING("rep outsl", &r, UNCLAIMED);
    expect("string.outsl-rsi", r.si, ARENA + 12);
    r = (struct string_regs){.si = ARENA + 1, .cx = 7};
    STRING("outsb", &r, UART_SCRATCH);
    expect("string.outsb-single", inb(UART_SCRATCH), 0x22);
    expect("string.outsb-single-rcx", r.cx, 7);
}

static void test_in(void)
{
    struct string_regs r = {.di = ARENA, .cx = 4};

    outb(UART_SCRATCH, 0xc3);
    memset(arena, 0, 16);
    STRING("rep insb", &r, UART_SCRATCH);
    check("string.insb", !memcmp(arena, "\xc3\xc3\xc3\xc3\0", 5));
    expect("string.insb-rdi", r.di, ARENA + 4);
    r = (struct string_regs){.di = ARENA + 4, .cx = 2};
    STRING("rep insw", &r, UNCLAIMED);
    check("string.insw", !memcmp(arena, "\xc3\xc3\xc3\xc3\xff\xff\xff\xff\0", 9));
    r = (struct string_regs){.di = ARENA + 8, .cx = 1};
    STRING("rep insl", &r, UNCLAIMED);
    expect("string.insl-rdi", r.di, ARENA + 12);
    memset(arena, 0, 16);
    r = (struct string_regs){.di = ARENA + 3, .cx = 2};
    STRING("std; rep insb", &r, UART_SCRATCH);
    check("string.insb-down", !memcmp(arena, "\0\0\xc3\xc3\0", 5));
}

/* With a 32-bit address size the upper halves of RSI, RDI and RCX don't count. */
static void test_address_size(void)
{
    const uint64_t junk = 0xdeadbeefull << 32;
    struct string_regs r = {.di = junk | ARENA, .cx = junk | 2};

    memset(arena, 0, 8);
    STRING("addr32 rep insb", &r, UART_SCRATCH);
    check("string.addr32", arena[0] == 0xc3 && arena[1] == 0xc3 && arena[2] == 0);
    expect("string.addr32-edi", (uint32_t)r.di, ARENA + 2);
    expect("string.addr32-ecx", (uint32_t)r.cx, 0);
}

static void test_zero_count(void)
{
    struct string_regs r = {.si = ~0ull >> 1, .di = ~0ull >> 1};

    trap_begin();
    STRING("rep insb", &r, UART_SCRATCH);
    STRING("rep outsb", &r, UART_SCRATCH);
    expect("string.zero-count", trap_vector(), NO_TRAP);
    expect("string.zero-count-rdi", r.di, ~0ull >> 1);
}

static void test_segment(void)
{
    struct string_regs r = {.si = 8, .cx = 1};
    uint64_t old = rdmsr(MSR_FS_BASE);

    arena[24] = 0x77;
    wrmsr(MSR_FS_BASE, ARENA + 16);
    STRING("rep outsb %%fs:(%%rsi), %%dx", &r, UART_SCRATCH);
    wrmsr(MSR_FS_BASE, old);
    expect("string.segment", inb(UART_SCRATCH), 0x77);
}

static void test_page_crossing(void)
{
    struct string_regs r = {.di = ARENA_NEXT - 2, .cx = 5};

    outb(UART_SCRATCH, 0x3c);
    memset((void *)(ARENA_NEXT - 2), 0, 8);
    STRING("rep insb", &r, UART_SCRATCH);
    check("string.page-crossing", !memcmp((void *)(ARENA_NEXT - 2), "\x3c\x3c\x3c\x3c\x3c\0", 6));
    r = (struct string_regs){.di = ARENA_NEXT - 2, .cx = 1};
    STRING("rep insl", &r, UNCLAIMED);
    check("string.word-across-pages", !memcmp((void *)(ARENA_NEXT - 2), "\xff\xff\xff\xff\x3c", 5));
}

/* The count and the pointer stop at the page that isn't there. */
static void test_fault(void)
{
    struct string_regs r = {.di = ARENA_NEXT - 3, .cx = 5};
    uint64_t entry = page_set(ARENA_NEXT, 0);

    trap_begin();
    STRING("rep insb", &r, UART_SCRATCH);
    page_set(ARENA_NEXT, entry);
    expect("string.fault", trap_vector(), EXC_PF);
    expect("string.fault-error", trap.error, 2);
    expect("string.fault-cr2", trap.cr2, ARENA_NEXT);
    expect("string.fault-rcx", r.cx, 2);
    expect("string.fault-rdi", r.di, ARENA_NEXT);
    r = (struct string_regs){.si = ARENA_NEXT - 3, .cx = 5};
    memcpy((void *)r.si, "\x21\x22\x23", 3);
    entry = page_set(ARENA_NEXT, 0);
    trap_begin();
    STRING("rep outsb", &r, UART_SCRATCH);
    page_set(ARENA_NEXT, entry);
    expect("string.outsb-fault", trap_vector(), EXC_PF);
    expect("string.outsb-fault-error", trap.error, 0);
    expect("string.outsb-fault-cr2", trap.cr2, ARENA_NEXT);
    expect("string.outsb-fault-rcx", r.cx, 2);
    expect("string.outsb-fault-last", inb(UART_SCRATCH), 0x23);
}

/* Longer than what is done at once. */
static void test_long(void)
{
    struct string_regs r = {.si = ARENA, .cx = 3000};

    arena[2999] = 0x99;
    STRING("rep outsb", &r, UART_SCRATCH);
    expect("string.long-last", inb(UART_SCRATCH), 0x99);
    expect("string.long-rsi", r.si, ARENA + 3000);
    expect("string.long-rcx", r.cx, 0);
}

void test_string_io(void)
{
    test_out();
    test_in();
    test_address_size();
    test_zero_count();
    test_segment();
    test_page_crossing();
    test_fault();
    test_long();
}
