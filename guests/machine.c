#include "guests/machine.h"

#include "core/clock.h"
#include "core/lib/error.h"
#include "core/lib/log.h"
#include "core/lib/string.h"
#include "core/msr.h"
#include "core/run.h"
#include "core/vcpu_ops.h"
#include "core/vmmem.h"
#include "core/x86/asm.h"
#include "core/x86/cr.h"
#include "core/x86/msr.h"
#include "core/x86/msr_safe.h"
#include "guests/acpi.h"
#include "guests/board.h"
#include "guests/firmware.h"
#include "guests/machine_devices.h"
#include "guests/platform.h"
#include "guests/rom.h"
#include "mm/guestram.h"
#include "mm/layout.h"

/* XSAVE components that a guest may use: x87, SSE, AVX, AVX-512, PKRU. Others (AMX, CET) need more than switching. */
#define GUEST_XCR0 (XCR0_X87 | XCR0_SSE | XCR0_AVX | 7ull << 5 | BIT(9))

static uint64_t machine_wall_clock;
static uint64_t machine_reset_at, machine_copied; /* for event=bench */

uint64_t machine_first_reset(void)
{
    return machine_reset_at;
}

uint64_t machine_copy_ticks(void)
{
    return machine_copied;
}

static struct timer machine_stale_timer; /* shows lines that a guest didn't finish, such as prompts */

static void machine_show_stale(struct timer *timer, uint64_t now)
{
    console_flush_stale(now);
    timer_arm(timer, console_deadline());
}

static void machine_console_changed(void)
{
    if (machine_stale_timer.deadline != console_deadline())
        timer_arm(&machine_stale_timer, console_deadline());
}

void machine_init(uint64_t unix_time)
{
    machine_wall_clock = unix_time;
    timer_init(&machine_stale_timer, run_timers(0), machine_show_stale);
}

/* -- memory ----------------------------------------------------------------------------------------------------- */

/* The ROM that ends at 4G. */
static int machine_rom(struct vm *vm, uint64_t size)
{
    uint64_t back = ALIGN_UP(size, GUESTRAM_BLOCK);
    int err = vmmem_back(vm, PC_MEMORY_ABOVE - back, back);

    return err ? err : vmmem_expose(vm, PC_MEMORY_ABOVE - size, size, false);
}

/*
 * Below 4G: RAM up to 640K, a ROM area up to 1M, RAM again; what doesn't fit there begins at 4G. Firmware makes its own of
 * the ROM area, which is RAM for it.
 */
static int machine_memory(struct vm *vm, uint64_t bytes, uint64_t rom)
{
    uint64_t low = MIN(bytes, PC_LOW_MEMORY_MAX);
    int err = bytes > guestram_free_bytes() ? ERR_NOMEM : vmmem_back(vm, 0, low);

    if (!err)
        err = vmmem_expose(vm, 0, PC_LOW_RAM_END, true);
    if (!err)
        err = vmmem_expose(vm, PC_ROM, PC_HIGH_RAM - PC_ROM, rom != 0);
    if (!err)
        err = vmmem_expose(vm, PC_HIGH_RAM, low - PC_HIGH_RAM, true);
    if (!err && bytes > low)
        err = vmmem_back(vm, PC_MEMORY_ABOVE, bytes - low);
    if (!err && bytes > low)
        err = vmmem_expose(vm, PC_MEMORY_ABOVE, bytes - low, true);
    if (!err && rom)
        err = machine_rom(vm, rom);
    /* Kernels probe for devices below 4G; a write beyond all memory is one that runs wild. */
    vm->end = PC_MEMORY_ABOVE + (bytes - low);
    return err;
}

/* -- making the machine ----------------------------------------------------------------------------------------- */

static void machine_host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    struct cpuid_regs r = cpuid(leaf, subleaf);

    regs[0] = r.eax;
    regs[1] = r.ebx;
    regs[2] = r.ecx;
    regs[3] = r.edx;
}

static uint64_t machine_xcr0(void)
{
    struct cpuid_regs r;

    if (!cap(CAP_XSAVE))
        return 0;
    r = cpuid(0xd, 0);
    return (r.eax | (uint64_t)r.edx << 32) & GUEST_XCR0;
}

static void machine_cpuid(struct vm *vm, const struct machine_spec *spec)
{
    struct cpuid_policy policy = {
        .host = machine_host_cpuid,
        .vcpus = spec->vcpus,
        .tsc_hz = clock_tsc_hz(),
        .apic_hz = VLAPIC_HZ,
        .xcr0 = machine_xcr0(),
        .caps = caps.bits,
        .pv = spec->pv,
        .dedicated = spec->exclusive,
    };

    cpuid_build(&vm->cpuid, &policy);
    for (uint32_t i = 0; i < spec->hide_count; i++)
        cpuid_hide(&vm->cpuid, spec->hide[i]);
}

/* What the wall clock says now, at its making, is what the RTC says at VM time 0. */
static uint64_t machine_unix_time(void)
{
    return machine_wall_clock + clock_now() / NS_PER_SEC;
}

/* Where fast strings are off, kernels do without ERMS: REP MOVSB and REP STOSB go byte by byte there (SDM table 2-2). */
static uint64_t machine_misc_enable(void)
{
    uint64_t value;

    return rdmsr_safe(MSR_MISC_ENABLE, &value) ? value & MISC_ENABLE_FAST_STRINGS : MISC_ENABLE_FAST_STRINGS;
}

/* A hypervisor beneath may leave out what its CPU has. */
static uint64_t machine_arch_caps(void)
{
    bool listed = cpuid(0, 0).eax >= 7 && cpuid(7, 0).edx & BIT(29);

    return msr_arch_caps(listed ? rdmsr(MSR_ARCH_CAPABILITIES) : 0, !(cpuid(1, 0).ecx & BIT(31)));
}

static void machine_pv(struct vm *vm, const struct machine_spec *spec)
{
    vm->pv = (struct vm_pv){
        .kind = spec->pv,
        .clock = scale_make(clock_tsc_hz(), NS_PER_SEC),
        .hv_clock = scale_make(clock_tsc_hz(), NS_PER_SEC / HV_TIME_NS),
        .tsc_hz = clock_tsc_hz(),
        .apic_hz = VLAPIC_HZ,
        .unix_time = machine_unix_time(),
    };
    memcpy(vm->pv.hypercall, vendor->hypercall, sizeof(vm->pv.hypercall));
}

static uint32_t machine_phys_bits(const struct vm *vm)
{
    const struct cpuid_entry *sizes = cpuid_find(&vm->cpuid, 0x80000008, 0);

    return sizes ? sizes->eax & 0xff : 36;
}

/* Above RAM, as far as its addresses go: a window for PCI. */
static gpa_t machine_window(const struct vm *vm)
{
    return ALIGN_UP(vm->end, PC_WINDOW_ALIGN);
}

static gpa_t machine_window_end(const struct vm *vm)
{
    return MAX(MIN(BIT(machine_phys_bits(vm)), PC_ADDRESS_END), machine_window(vm));
}

static struct acpi_guest machine_acpi(const struct vm *vm)
{
    return (struct acpi_guest){.vcpus = vm->vcpu_count,
                               .ecam = true,
                               .window = machine_window(vm),
                               .window_end = machine_window_end(vm),
                               .dsdt = dsdt_aml,
                               .dsdt_len = (size_t)(dsdt_aml_end - dsdt_aml)};
}

static int machine_board(struct vm *vm, const struct machine_spec *spec)
{
    size_t size = board_size(vm->vcpu_count, spec->debug_exit, spec->firmware.data);
    struct board *board = frame_alloc(frame_count(size), vm_owner(vm));
    struct acpi_guest acpi = machine_acpi(vm);
    struct board_devices devices;
    struct board_config config = {
        .unix_time = vm->pv.unix_time,
        .x2apic = cpuid_has(&vm->cpuid, 1, 2, 21),
        .tsc_deadline = cpuid_has(&vm->cpuid, 1, 2, 24),
        .phys_bits = machine_phys_bits(vm),
        .window = acpi.window,
        .window_end = acpi.window_end,
        .debug_exit = spec->debug_exit,
        .keyboard = spec->keyboard,
        .acpi = spec->firmware.data ? &acpi : NULL,
        .devices = &devices,
        .host_now = clock_now,
        .console_changed = machine_console_changed,
    };
    int err;

    if (!board)
        return ERR_NOMEM;
    err = machine_devices(vm, spec, &devices);
    if (err) {
        frame_free(board, frame_count(size));
        return err;
    }
    vm->board_bytes = size;
    return board_init(board, vm, &config);
}

static int machine_vcpus(struct vm *vm, const struct machine_spec *spec)
{
    for (uint32_t i = 0; i < spec->vcpus; i++)
        if (!vm_add_vcpu(vm, spec->weight, spec->cap, &spec->cpus))
            return ERR_NOMEM;
    return 0;
}

uint64_t machine_disk_bytes(const struct machine_spec *spec)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < spec->disk_count; i++)
        bytes += ALIGN_UP(spec->disks[i].memory, GUESTRAM_BLOCK);
    return bytes;
}

uint64_t machine_memory_bytes(const struct machine_spec *spec)
{
    return ALIGN_DOWN(spec->memory, GUESTRAM_BLOCK) + ALIGN_UP(spec->firmware.len, GUESTRAM_BLOCK) +
           machine_disk_bytes(spec) + (spec->balloon ? vmballoon_bytes() : 0);
}

static int machine_build(struct vm *vm, const struct machine_spec *spec, uint64_t bytes)
{
    int err = machine_memory(vm, bytes, firmware_size(spec->firmware.len));

    if (err) {
        log_error("vm=%s: %llu MiB of memory can't be had: %llu MiB are free", vm->name,
                  (unsigned long long)bytes / MiB, (unsigned long long)guestram_free_bytes() / MiB);
        return err;
    }
    machine_cpuid(vm, spec);
    vm->misc_enable = machine_misc_enable();
    vm->arch_caps = machine_arch_caps();
    machine_pv(vm, spec);
    err = spec->balloon ? vmballoon_init(vm) : 0;
    if (!err)
        err = machine_vcpus(vm, spec);
    if (!err)
        err = machine_board(vm, spec);
    if (err)
        log_error("vm=%s: its board can't be set up (error %d)", vm->name, err);
    return err;
}

/* -- loading ---------------------------------------------------------------------------------------------------- */

/* Flat segments; 64-bit code ignores limits. */
static void machine_segments(struct vcpu *vcpu, const struct guest_entry *entry)
{
    const struct vcpu_segment data = {.selector = ENTRY_DS,
                                      .limit = UINT32_MAX,
                                      .attr = 0x3 | SEG_ATTR_S | SEG_ATTR_P | SEG_ATTR_DB | SEG_ATTR_G};
    const struct vcpu_segment gdt = {.base = entry->gdt_base, .limit = entry->gdt_limit};
    const enum vcpu_seg segments[] = {SEG_DS, SEG_ES, SEG_SS, SEG_FS, SEG_GS};
    struct vcpu_segment code = data;

    code.selector = ENTRY_CS;
    code.attr = 0xb | SEG_ATTR_S | SEG_ATTR_P | SEG_ATTR_G | (entry->long_mode ? SEG_ATTR_L : SEG_ATTR_DB);
    vcpu_ops->set_seg(vcpu, SEG_CS, &code);
    for (size_t i = 0; i < (entry->all_segments ? ARRAY_SIZE(segments) : 3); i++)
        vcpu_ops->set_seg(vcpu, segments[i], &data);
    vcpu_ops->set_seg(vcpu, SEG_GDTR, &gdt);
}

/* What PVH asks for: a 32-bit TSS (busy) of the least size, at 0. */
static void machine_task(struct vcpu *vcpu)
{
    const struct vcpu_segment task = {.limit = 0x67, .attr = 0xb | SEG_ATTR_P};

    vcpu_ops->set_seg(vcpu, SEG_TR, &task);
}

/* Control registers first: the back end checks segments against the mode. */
static void machine_registers(struct vcpu *vcpu, const struct guest_entry *entry)
{
    uint64_t cr0 = CR0_PE | CR0_ET;

    if (entry->long_mode) {
        vcpu_set(vcpu, REG_CR3, entry->cr3);
        vcpu_set(vcpu, REG_CR4, CR4_PAE);
        vcpu_set(vcpu, REG_CR0, cr0 | CR0_NE | CR0_PG);
        vcpu_set(vcpu, REG_EFER, EFER_LME | EFER_LMA);
    } else {
        vcpu_set(vcpu, REG_CR0, cr0);
    }
    machine_segments(vcpu, entry);
    if (entry->all_segments)
        machine_task(vcpu);
    vcpu->gpr[REG_RAX] = entry->rax;
    vcpu->gpr[REG_RBX] = entry->rbx;
    vcpu->gpr[REG_RSI] = entry->rsi;
    vcpu_set(vcpu, REG_RFLAGS, RFLAGS_FIXED1);
    vcpu_set_rip(vcpu, entry->rip);
    vcpu->state = VCPU_RUNNING;
}

static void machine_count_copy(struct vm *vm, uint64_t ticks)
{
    vm->copy_ticks += ticks;
    machine_copied += ticks;
}

/* Everything from the reset button to the kernel's entry point. The VM's window must be open. */
static int machine_kernel(struct vm *vm, const struct machine_spec *spec, struct copies *copies)
{
    struct guest_files files = spec->files;
    struct acpi_guest acpi = machine_acpi(vm);
    struct guest_entry entry;
    struct e820 map;
    gpa_t rsdp;
    uint64_t start;
    char why[160];
    int err = rom_build(&vm->mem);

    if (!err)
        err = acpi_build(&vm->mem, &acpi, &rsdp);
    if (err) {
        log_error("vm=%s: its ROM can't be written (error %d)", vm->name, err);
        return err;
    }
    e820_build(&map, &vm->mem, true);
    files.copies = copies;
    start = rdtsc();
    err = kernel_load(&vm->mem, &files, &map, rsdp, &entry, why, sizeof why);
    machine_count_copy(vm, rdtsc() - start);
    if (err) {
        log_error("vm=%s: %s", vm->name, why);
        return err;
    }
    machine_registers(vm->vcpus[0], &entry);
    if (entry.bios)
        board_leave_bios(vm->board);
    return 0;
}

/* Everything else is the firmware's business: the boot vCPU is as after a reset. */
static int machine_firmware(struct vm *vm, const struct machine_spec *spec, struct copies *copies)
{
    int err = firmware_load(&vm->mem, copies, spec->firmware.data, spec->firmware.len);

    if (err)
        log_error("vm=%s: its firmware can't be loaded (error %d)", vm->name, err);
    else
        vm->vcpus[0]->state = VCPU_RUNNING;
    return err;
}

int machine_load(struct vm *vm, const struct machine_spec *spec, struct copies *copies)
{
    uint64_t before;
    int err = vm_reset(vm);

    if (!err)
        err = vmballoon_refill(vm);
    if (err)
        return err;
    if (!machine_reset_at)
        machine_reset_at = vm->tsc_start;
    board_reset(vm->board);
    before = vmmem_open(vm);
    vm->copy_ticks = 0;
    copies->count = 0;
    err = spec->firmware.data ? machine_firmware(vm, spec, copies) : machine_kernel(vm, spec, copies);
    vmmem_close(before);
    return err;
}

void machine_copy(struct vm *vm, struct copies *copies)
{
    uint64_t before = vmmem_open(vm), start = rdtsc();

    copies_step(copies, &vm->mem);
    machine_count_copy(vm, rdtsc() - start);
    vmmem_close(before);
}

void machine_destroy(struct vm *vm)
{
    if (vm->board)
        board_remove(vm->board);
    vm_destroy(vm);
}

struct vm *machine_create(uint32_t id, const struct machine_spec *spec)
{
    uint64_t bytes = ALIGN_DOWN(spec->memory, GUESTRAM_BLOCK);
    struct vm *vm;

    if (bytes < MACHINE_MEMORY_MIN) {
        log_error("vm=%s: %llu MiB of memory are less than the least, %llu MiB", spec->name,
                  (unsigned long long)spec->memory / MiB, (unsigned long long)MACHINE_MEMORY_MIN / MiB);
        return NULL;
    }
    if (spec->firmware.data && !firmware_size(spec->firmware.len)) {
        log_error("vm=%s: a firmware image has %u KiB to %u KiB, and this one has %llu bytes", spec->name,
                  (uint32_t)(FIRMWARE_MIN / KiB), (uint32_t)(FIRMWARE_MAX / KiB),
                  (unsigned long long)spec->firmware.len);
        return NULL;
    }
    vm = vm_create(id, spec->name);
    if (!vm) {
        log_error("vm=%s: no pool memory for it", spec->name);
        return NULL;
    }
    if (machine_build(vm, spec, bytes)) {
        machine_destroy(vm);
        return NULL;
    }
    return vm;
}
