/* Paravirtual MSRs, hypercalls and timers: whatever a guest writes, its memory alone is written to, and nothing asserts. */
#include "core/pv.h"

#include "core/run.h"
#include "core/x86/msr.h"
#include "tests/fuzz/device.h"

#include "tests/unit/fake_vendor.h"

#define RAM_BYTES (4 * PAGE_SIZE)

static uint8_t ram[RAM_BYTES + PAGE_SIZE] __attribute__((aligned(4096)));
static struct irqchip_ops chip;
static uint8_t *eoi_flag;
static bool autos;

void vcpu_kick(struct vcpu *vcpu)
{
    (void)vcpu;
}

void run_yield(void)
{
}

void run_yield_to(struct vcpu *vcpu)
{
    (void)vcpu;
}

static bool receive(void *ctx, uint8_t vector, bool nmi)
{
    (void)ctx;
    (void)vector;
    (void)nmi;
    return true;
}

static void set_eoi_flag(void *ctx, uint8_t *flag)
{
    (void)ctx;
    assert(!flag || (flag >= ram && flag < ram + RAM_BYTES));
    eoi_flag = flag;
}

static void auto_eoi(void *ctx, bool on)
{
    (void)ctx;
    assert(on != autos);
    autos = on;
}

static enum bus_result apic(void *ctx, struct bus_access *access)
{
    (void)ctx;
    assert(access->addr < PAGE_SIZE);
    return access->value & 1 ? BUS_OK : BUS_FAULT;
}

static uint32_t msr_of(uint8_t which)
{
    return fake.vm.pv.kind == PV_KVM ? MSR_KVM_FIRST + which % 6 : MSR_HV_FIRST + which;
}

static void step(uint64_t command)
{
    uint64_t value;

    switch (command % 8) {
    case 0:
        fake.now += fuzz_number(command & 8 ? 2 : 5);
        timer_queue_run(&fake.vcpu.timers, fake.now);
        break;
    case 1:
        for (int reg = 0; reg < 8; reg++)
            fake.vcpu.gpr[reg] = fuzz_number(command & 16 ? 8 : 1);
        (void)pv_call(&fake.vcpu);
        break;
    case 2:
        fake.vcpu.tsc_adjust = fuzz_number(8);
        pv_tsc_adjusted(&fake.vcpu);
        break;
    case 3:
        if (fake.vcpu.pv.steal & PV_ENABLED) {
            pv_steal_end(&fake.vcpu);
            fake.vcpu.sched.waited += fuzz_number(2);
            pv_steal_begin(&fake.vcpu);
        }
        break;
    case 4:
        (command & 8 ? hv_read_msr : pv_kvm_read_msr)(&fake.vcpu, msr_of((uint8_t)fuzz_number(1)), &value);
        break;
    default:
        value = fuzz_number(command & 16 ? 8 : 2);
        if (fake.vm.pv.kind == PV_HYPERV)
            (void)hv_write_msr(&fake.vcpu, msr_of((uint8_t)fuzz_number(1)), value);
        else
            (void)pv_kvm_write_msr(&fake.vcpu, msr_of((uint8_t)fuzz_number(1)), value);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_start(data, size);
    fake_reset();
    memset(ram, 0, sizeof(ram));
    chip = fake_irqchip;
    chip.receive = receive;
    chip.set_eoi_flag = set_eoi_flag;
    chip.auto_eoi = auto_eoi;
    autos = false;
    fake.vcpu.irqchip = &chip;
    fake.vcpu.apic_mmio = fake.vcpu.apic_msr = apic;
    gmem_init(&fake.vm.mem, ram);
    if (gmem_add(&fake.vm.mem, 0, RAM_BYTES, true))
        return 0;
    timer_queue_init(&fake.vcpu.timers);
    fake.vm.pv = (struct vm_pv){.kind = size % 2 ? PV_KVM : PV_HYPERV,
                                .clock = scale_make(2500000000, NS_PER_SEC),
                                .hv_clock = scale_make(2500000000, NS_PER_SEC / HV_TIME_NS)};
    pv_reset(&fake.vcpu);
    while (fuzz_more())
        step(fuzz_number(1));
    for (uint32_t at = RAM_BYTES; at < sizeof(ram); at++)
        assert(ram[at] == 0);
    return 0;
}
