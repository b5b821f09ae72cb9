#include "core/x86/panic.h"

#include "core/lib/format.h"
#include "core/lib/log.h"
#include "core/lib/panic.h"
#include "core/x86/asm.h"
#include "core/x86/lapic.h"
#include "core/x86/msr.h"
#include "core/x86/msr_safe.h"
#include "core/x86/percpu.h"
#include "core/x86/symbols.h"
#include "core/x86/traps.h"

#define TRACE_MAX   24
#define NO_CORE     UINT32_MAX
#define MESSAGE_MAX 256
#define STOP_SPINS  10000

static uint32_t panic_core = NO_CORE; /* index of the core that panics */
static void (*panic_stop)(void);
static bool (*panic_is_guard)(uint64_t addr);

void panic_set_stop(void (*stop)(void))
{
    panic_stop = stop;
}

void panic_set_guard(bool (*is_guard)(uint64_t addr))
{
    panic_is_guard = is_guard;
}

static NORETURN void core_halt(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}

void panic_join(void)
{
    if (__atomic_load_n(&panic_core, __ATOMIC_RELAXED) != NO_CORE)
        core_halt();
}

static NORETURN void machine_stop(void)
{
    if (panic_stop)
        panic_stop();
    core_halt();
}

/*
 * Before anything is printed: what is wrong may be theirs to spread, and from log_panic() on the console waits for no lock
 * of theirs. The pause gives the NMIs time to arrive.
 */
static void others_stop(void)
{
    lapic_nmi_others();
    for (uint32_t i = 0; i < STOP_SPINS; i++)
        cpu_pause();
}

/* The message stands in double quotes in the event line. */
static void quotes_soften(char *s)
{
    for (; *s != '\0'; s++)
        if (*s == '"')
            *s = '\'';
}

/* One core panics; a second one waits for the NMI. A panic inside a panic says one line and stops. */
static void panic_enter(char *message)
{
    uint32_t nobody = NO_CORE, self = this_cpu()->index;

    interrupts_off();
    if (__atomic_compare_exchange_n(&panic_core, &nobody, self, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        others_stop();
        log_panic();
        quotes_soften(message);
        log_event("panic", "core=%u message=\"%s\"", self, message);
        return;
    }
    if (nobody != self)
        core_halt();
    log_error("panic: once more while panicking: %s", message);
    machine_stop();
}

static void trace_line(uint32_t depth, uint64_t addr)
{
    uint64_t offset;
    const char *name = symbol_find(addr, &offset);

    if (name)
        log_error("panic: #%u %016llx %s+0x%llx", depth, (unsigned long long)addr, name,
                  (unsigned long long)offset);
    else
        log_error("panic: #%u %016llx", depth, (unsigned long long)addr);
}

/*
 * Follows saved frame pointers, towards higher addresses only, so that a damaged chain ends. What a frame pointer leads to
 * may be unmapped.
 */
static void trace_print(uint64_t rip, uint64_t rbp)
{
    uint64_t next;

    trace_line(0, rip);
    for (uint32_t depth = 1; depth < TRACE_MAX && rbp != 0; depth++) {
        if (!IS_ALIGNED(rbp, 8) || !read_safe(rbp + 8, &rip) || !read_safe(rbp, &next) || rip == 0)
            return;
        trace_line(depth, rip - 1); /* the call, not what follows it: the function may have ended there */
        if (next <= rbp)
            return;
        rbp = next;
    }
}

static void control_print(uint64_t rsp)
{
    const struct cpu *cpu = this_cpu();

    log_error("panic: core %u, APIC id 0x%x, stack %016llx below %016llx, vCPU %s", cpu->index, cpu->apic_id,
              (unsigned long long)rsp, (unsigned long long)cpu->stack_top, cpu->vcpu ? "loaded" : "none");
    log_error("panic: cr0=%llx cr2=%llx cr3=%llx cr4=%llx efer=%llx", (unsigned long long)read_cr0(),
              (unsigned long long)read_cr2(), (unsigned long long)read_cr3(), (unsigned long long)read_cr4(),
              (unsigned long long)rdmsr(MSR_EFER));
}

static void registers_print(const struct trap_frame *f)
{
    const struct {
        const char *name;
        uint64_t value;
    } regs[] = {
        {"rax", f->rax}, {"rbx", f->rbx}, {"rcx", f->rcx}, {"rdx", f->rdx}, {"rsi", f->rsi}, {"rdi", f->rdi},
        {"rbp", f->rbp}, {"rsp", f->rsp}, {"r8 ", f->r8},  {"r9 ", f->r9},  {"r10", f->r10}, {"r11", f->r11},
        {"r12", f->r12}, {"r13", f->r13}, {"r14", f->r14}, {"r15", f->r15},
    };

    log_error("panic: vector=%llu error=%llx rip=%llx cs=%llx rflags=%llx", (unsigned long long)f->vector,
              (unsigned long long)f->error, (unsigned long long)f->rip, (unsigned long long)f->cs,
              (unsigned long long)f->rflags);
    for (size_t i = 0; i < ARRAY_SIZE(regs); i += 4)
        log_error("panic: %s=%016llx %s=%016llx %s=%016llx %s=%016llx", regs[i].name,
                  (unsigned long long)regs[i].value, regs[i + 1].name, (unsigned long long)regs[i + 1].value,
                  regs[i + 2].name, (unsigned long long)regs[i + 2].value, regs[i + 3].name,
                  (unsigned long long)regs[i + 3].value);
}

void panic(const char *fmt, ...)
{
    uint64_t *frame = __builtin_frame_address(0);
    char message[MESSAGE_MAX];
    va_list ap;

    va_start(ap, fmt);
    fmt_vprint(message, sizeof(message), fmt, ap);
    va_end(ap);
    panic_enter(message);
    control_print((uint64_t)frame);
    trace_print((uint64_t)__builtin_return_address(0) - 1, frame[0]);
    machine_stop();
}

/* One sentence about an exception, with what it was about where that is known. */
static void trap_message(const struct trap_frame *f, char *buf, size_t size)
{
    uint64_t addr = read_cr2();

    /* the stack itself is what can't be written to: the page fault's own delivery faults (SDM "Double Fault") */
    if ((f->vector == TRAP_DF || f->vector == TRAP_PF) && panic_is_guard && panic_is_guard(addr))
        fmt_print(buf, size, "stack overflow: %s at the guard page, address 0x%llx", trap_name(f->vector),
                  (unsigned long long)addr);
    else if (f->vector == TRAP_PF)
        fmt_print(buf, size, "page fault: %s at 0x%llx",
                  f->error & BIT(4)   ? "execution"
                  : f->error & BIT(1) ? "write"
                                      : "read",
                  (unsigned long long)addr);
    else
        fmt_print(buf, size, "%s", trap_name(f->vector));
}

void panic_trap(const struct trap_frame *frame)
{
    char message[MESSAGE_MAX];

    trap_message(frame, message, sizeof(message));
    panic_enter(message);
    control_print(frame->rsp);
    registers_print(frame);
    trace_print(frame->rip, frame->rbp);
    machine_stop();
}
