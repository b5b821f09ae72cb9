/* Commands that look into a VM: its registers, memory and last exits. */
#include "core/fetch.h"
#include "core/lib/error.h"
#include "core/lib/format.h"
#include "core/lib/string.h"
#include "core/monitor.h"
#include "core/vcpu_ops.h"
#include "guests/commands.h"
#include "guests/launch.h"

#define MEM_DEFAULT 64
#define MEM_MAX     4096
#define MEM_LINE    16

typedef unsigned long long ull;

/* Has a VM at rest looked at, by its name. */
static int command_look(const char *name, launch_look look, struct launch_args args)
{
    uint32_t vm = command_find(name);
    int err;

    if (vm == LAUNCH_NONE)
        return 0;
    err = launch_visit_at_rest(vm, look, &args);
    return err ? command_result(vm, err) : MONITOR_LATER;
}

/* The answer may come after others: its last line says so. */
static void look_end(const struct vm *vm, const char *command)
{
    monitor_print("vm=%s end=%s", vm->name, command);
}

static void regs_vcpu(struct vcpu *vcpu)
{
    static const char *const states[] = {"stopped", "running", "halted"};
    static const char *const gprs[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                       "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    static const char *const segs[] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr", "gdtr", "idtr"};
    const char *name = vcpu->vm->name;

    monitor_print("vm=%s vcpu=%u state=%s rip=0x%llx rflags=0x%llx", name, vcpu->index, states[vcpu->state],
                  (ull)vcpu->rip, (ull)vcpu_get(vcpu, REG_RFLAGS));
    for (uint32_t i = 0; i < REG_GPR_COUNT; i += 4)
        monitor_print("vm=%s vcpu=%u %s=0x%llx %s=0x%llx %s=0x%llx %s=0x%llx", name, vcpu->index, gprs[i],
                      (ull)vcpu_get(vcpu, i), gprs[i + 1], (ull)vcpu_get(vcpu, i + 1), gprs[i + 2],
                      (ull)vcpu_get(vcpu, i + 2), gprs[i + 3], (ull)vcpu_get(vcpu, i + 3));
    monitor_print("vm=%s vcpu=%u cr0=0x%llx cr2=0x%llx cr3=0x%llx cr4=0x%llx efer=0x%llx", name, vcpu->index,
                  (ull)vcpu_get(vcpu, REG_CR0), (ull)vcpu_get(vcpu, REG_CR2), (ull)vcpu_get(vcpu, REG_CR3),
                  (ull)vcpu_get(vcpu, REG_CR4), (ull)vcpu_get(vcpu, REG_EFER));
    for (uint32_t i = 0; i < SEG_COUNT; i++) {
        struct vcpu_segment s;

        vcpu_ops->get_seg(vcpu, i, &s);
        monitor_print("vm=%s vcpu=%u seg=%s sel=0x%x base=0x%llx limit=0x%x attr=0x%x", name, vcpu->index,
                      segs[i], s.selector, (ull)s.base, s.limit, s.attr);
    }
}

static void regs_look(struct vm *vm, const struct launch_args *args)
{
    (void)args;
    for (uint32_t i = 0; i < vm->vcpu_count; i++)
        regs_vcpu(vm->vcpus[i]);
    look_end(vm, "regs");
}

static int command_regs(uint32_t count, const char *const *words)
{
    if (count != 2)
        return ERR_INVALID;
    return command_look(words[1], regs_look, (struct launch_args){0});
}

/* One line of memory; false where there is none. */
static bool mem_line(const struct vm *vm, gpa_t gpa, uint32_t len)
{
    uint8_t bytes[MEM_LINE];
    char text[3 * MEM_LINE + 1] = "";

    if (gmem_read(&vm->mem, gpa, bytes, len)) {
        monitor_print("vm=%s gpa=0x%llx error=no-memory", vm->name, (ull)gpa);
        return false;
    }
    for (uint32_t i = 0; i < len; i++)
        fmt_print(text + 3 * i, 4, "%02x ", bytes[i]);
    text[3 * len - 1] = '\0';
    monitor_print("vm=%s gpa=0x%llx bytes=\"%s\"", vm->name, (ull)gpa, text);
    return true;
}

static void mem_look(struct vm *vm, const struct launch_args *args)
{
    uint64_t at = 0;

    while (at < args->b && mem_line(vm, args->a + at, (uint32_t)MIN(args->b - at, (uint64_t)MEM_LINE)))
        at += MEM_LINE;
    look_end(vm, "mem");
}

static int command_mem(uint32_t count, const char *const *words)
{
    struct launch_args args = {.b = MEM_DEFAULT};

    if (count < 3 || count > 4 || !str_number(words[2], true, &args.a))
        return ERR_INVALID;
    if (count == 4 && (!str_number(words[3], true, &args.b) || args.b == 0 || args.b > MEM_MAX))
        return ERR_INVALID;
    return command_look(words[1], mem_look, args);
}

static void walk_vcpu(struct vcpu *vcpu, gva_t gva)
{
    struct vcpu_code code;
    struct gwalk_result r;

    vcpu_ops->get_code(vcpu, &code);
    if (gwalk(&vcpu->vm->mem, &code.walk, gva, GWALK_READ | GWALK_IMPLICIT, &r))
        monitor_print("vm=%s vcpu=%u gva=0x%llx gpa=0x%llx page=0x%llx", vcpu->vm->name, vcpu->index,
                      (ull)gva, (ull)r.gpa, (ull)r.page_size);
    else
        monitor_print("vm=%s vcpu=%u gva=0x%llx error=%s code=0x%x", vcpu->vm->name, vcpu->index, (ull)gva,
                      r.noncanonical ? "not-canonical" : "page-fault", r.error);
}

/* By the tables that vCPU `b` uses now. */
static void walk_look(struct vm *vm, const struct launch_args *args)
{
    if (args->b < vm->vcpu_count)
        walk_vcpu(vm->vcpus[args->b], args->a);
    else
        monitor_print("vm=%s vcpus=%u error=no-such-vcpu", vm->name, vm->vcpu_count);
    look_end(vm, "walk");
}

static int command_walk(uint32_t count, const char *const *words)
{
    struct launch_args args = {0};

    if (count < 3 || count > 4 || !str_number(words[2], false, &args.a))
        return ERR_INVALID;
    if (count == 4 && !str_number(words[3], false, &args.b))
        return ERR_INVALID;
    return command_look(words[1], walk_look, args);
}

/* The last exits of each vCPU, newest first. */
static void trace_look(struct vm *vm, const struct launch_args *args)
{
    (void)args;
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        const struct vcpu *vcpu = vm->vcpus[i];

        for (uint32_t n = 1; n <= MIN(vcpu_exits(vcpu), (uint64_t)VCPU_TRACE); n++) {
            const struct trace_exit *t = vcpu_trace_back(vcpu, n);

            monitor_print("vm=%s vcpu=%u exit=\"%s\" info=0x%x rip=0x%llx", vm->name, i,
                          vcpu_ops->exit_name(t->reason), t->info, (ull)t->rip);
        }
    }
    look_end(vm, "trace");
}

static int command_trace(uint32_t count, const char *const *words)
{
    if (count != 2)
        return ERR_INVALID;
    return command_look(words[1], trace_look, (struct launch_args){0});
}

int commands_look_init(void)
{
    static const struct monitor_command commands[] = {
        {"regs", "NAME", "shows a VM's registers", command_regs},
        {"mem", "NAME GPA [LENGTH]", "shows a VM's memory, up to 4K", command_mem},
        {"walk", "NAME GVA [VCPU]", "looks an address up in a VM's page tables", command_walk},
        {"trace", "NAME", "shows the last exits of a VM", command_trace},
    };

    return monitor_register(commands, ARRAY_SIZE(commands));
}
