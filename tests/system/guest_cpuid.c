/*
 * In the Linux guest: CPUID is the same, and ends at the same place, whichever way its exit goes. A single-stepped one never goes the
 * quick way (core/exit_quick.h); others do from the second time on.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE 4096
#define TF   0x100

struct answer {
    uint32_t eax, ebx, ecx, edx;
};

static volatile uint64_t trapped_at;
static unsigned answers, lengths, failed;

static void on_trap(int number, siginfo_t *info, void *context)
{
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

    (void)number;
    (void)info;
    trapped_at = (uint64_t)regs[REG_RIP];
    regs[REG_EFL] &= ~(greg_t)TF;
}

static struct answer ask(uint32_t leaf, uint32_t subleaf)
{
    struct answer a;

    __asm__ volatile("cpuid" : "=a"(a.eax), "=b"(a.ebx), "=c"(a.ecx), "=d"(a.edx) : "a"(leaf), "c"(subleaf));
    return a;
}

static struct answer ask_stepped(uint32_t leaf, uint32_t subleaf)
{
    struct answer a;
    uint64_t behind;

    __asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; orq %6, (%%rsp); popfq\n"
                     "cpuid\n"
                     "1: lea 128(%%rsp), %%rsp; lea 1b(%%rip), %4"
                     : "=a"(a.eax), "=b"(a.ebx), "=c"(a.ecx), "=d"(a.edx), "=&r"(behind)
                     : "a"(leaf), "i"(TF), "c"(subleaf)
                     : "memory", "cc");
    failed += trapped_at != behind;
    trapped_at = 0;
    return a;
}

static void compare(uint32_t leaf, uint32_t subleaf)
{
    struct answer stepped = ask_stepped(leaf, subleaf), first = ask(leaf, subleaf),
                  second = ask(leaf, subleaf);

    answers++;
    if (memcmp(&stepped, &first, sizeof first) == 0 && memcmp(&stepped, &second, sizeof second) == 0)
        return;
    failed++;
    printf("cpuid: leaf %x.%x: %x %x %x %x stepped, then %x %x %x %x\n", leaf, subleaf, stepped.eax,
           stepped.ebx, stepped.ecx, stepped.edx, second.eax, second.ebx, second.ecx, second.edx);
}

static void compare_all(void)
{
    static const uint32_t ranges[] = {0, 0x40000000, 0x40000100, 0x80000000, 0xc0000000};
    static const uint32_t subleaves[] = {0, 1, 2, 3, 4, 5, 9, 63, 64, 0x100, 0x80000000, UINT32_MAX};

    for (unsigned r = 0; r < sizeof ranges / sizeof *ranges; r++)
        for (uint32_t leaf = ranges[r]; leaf < ranges[r] + 36; leaf++)
            for (unsigned s = 0; s < sizeof subleaves / sizeof *subleaves; s++)
                compare(leaf, subleaves[s]);
}

/* Which do the same: of 2 to 6 bytes. One that were taken for shorter than it is would run its end as another instruction. */
static const struct {
    uint8_t len, bytes[6];
} forms[] = {
    {2, {0x0f, 0xa2}},
    {3, {0x66, 0x0f, 0xa2}},
    {3, {0x48, 0x0f, 0xa2}},
    {4, {0x2e, 0x66, 0x0f, 0xa2}},
    {6, {0x66, 0x2e, 0x66, 0x48, 0x0f, 0xa2}},
};
#define FORMS (sizeof forms / sizeof *forms)

/* EBX of leaf 0, by that form, whose first byte stands there. */
static uint32_t run_form(uint8_t *at, unsigned form)
{
    static const uint8_t before[] = {0x53, 0x31, 0xc0, 0x31, 0xc9}; /* push rbx; xor eax, eax; xor ecx, ecx */
    static const uint8_t after[] = {0x89, 0xd8, 0x5b, 0xc3};        /* mov eax, ebx; pop rbx; ret */
    uint32_t (*code)(void);

    memcpy(at - sizeof before, before, sizeof before);
    memcpy(at, forms[form].bytes, forms[form].len);
    memcpy(at + forms[form].len, after, sizeof after);
    at -= sizeof before;
    memcpy(&code, &at, sizeof code);
    return code();
}

/* All forms at the same few addresses, those across two pages too, again and again. */
static void run_forms(uint8_t *page, uint32_t expected)
{
    static const unsigned offsets[] = {64, 0x7ff, PAGE - 2, PAGE - 1, PAGE};

    for (unsigned n = 0; n < 3 * FORMS; n++)
        for (unsigned o = 0; o < sizeof offsets / sizeof *offsets; o++) {
            lengths++;
            failed += run_form(page + offsets[o], n * 7 % FORMS) != expected;
        }
}

/* In an address space of its own the same address has other code. */
static void run_elsewhere(uint8_t *page, uint32_t expected, unsigned form)
{
    int status;

    fflush(stdout);
    if (fork() == 0)
        _exit(run_form(page + 64, form) != expected || run_form(page + 64, (form + 1) % FORMS) != expected);
    wait(&status);
    failed += status != 0;
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    uint8_t *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                          0);
    uint32_t expected;

    sigaction(SIGTRAP, &action, NULL);
    compare_all();
    expected = ask(0, 0).ebx;
    run_forms(pages, expected);
    for (unsigned form = 0; form < FORMS; form++) {
        run_elsewhere(pages, expected, form);
        failed += run_form(pages + 64, form) != expected; /* here it is as it was */
    }
    printf("cpuid: %u answers, %u lengths, %u failed\n", answers, lengths, failed);
    return failed != 0;
}
