#include "guests/board.h"

#include "core/lib/log.h"
#include "guests/board_irq.h"
#include "guests/platform.h"

/* -- messages between APICs ------------------------------------------------------------------------------------- */

static void board_lapic_send(void *ctx, const struct apic_message *m)
{
    struct board_cpu *cpu = ctx;

    board_route(cpu->board, cpu, m);
}

static void board_ioapic_send(void *ctx, const struct apic_message *m)
{
    board_route(ctx, NULL, m);
}

static void board_lapic_eoi(void *ctx, uint8_t vector)
{
    struct board_cpu *cpu = ctx;
    struct vm *vm = cpu->board->vm;

    lock_take(&vm->devices);
    vioapic_eoi(&cpu->board->ioapic, vector);
    lock_drop(&vm->devices);
}

static void board_lapic_kick(void *ctx)
{
    vcpu_kick_events(((struct board_cpu *)ctx)->vcpu);
}

static uint64_t board_tsc(void *ctx)
{
    return vcpu_tsc(((struct board_cpu *)ctx)->vcpu);
}

static void board_alarm(void *ctx, uint64_t tsc)
{
    vcpu_set_alarm(((struct board_cpu *)ctx)->vcpu, tsc);
}

static void board_lapic_notify(void *ctx)
{
    vcpu_notify(((struct board_cpu *)ctx)->vcpu);
}

/* The PIC's output is LINT0 of the boot vCPU. */
static void board_pic_output(void *ctx, uint32_t line, bool level)
{
    struct board *board = ctx;

    vlapic_set_lint(&board->cpus[0].lapic, line, level);
    if (level)
        vcpu_kick(board->cpus[0].vcpu);
}

/* -- what core/event.c asks ------------------------------------------------------------------------------------- */

/* An ExtINT isn't subject to the LAPIC's priorities, so the PIC comes first. */
static NOINLINE int board_peek_any(struct board_cpu *cpu)
{
    cpu->from_pic = vpic_asserted(&cpu->board->pic) && cpu->vcpu->index == 0 && vlapic_takes_pic(&cpu->lapic);
    if (cpu->from_pic)
        return vpic_peek(&cpu->board->pic);
    vlapic_settle(&cpu->lapic);
    return vlapic_peek(&cpu->lapic);
}

static int board_peek(void *ctx)
{
    struct board_cpu *cpu = ctx;

    if (UNLIKELY(vpic_asserted(&cpu->board->pic) | cpu->lapic.eoi_left_out))
        return board_peek_any(cpu);
    cpu->from_pic = false;
    return vlapic_peek(&cpu->lapic);
}

/* Of two that the LAPIC could deliver, the second has to wait for the EOI of the first, or is more urgent and came just now. */
static NOINLINE bool board_accept_both(struct board_cpu *cpu, uint8_t vector)
{
    struct vm *vm = cpu->board->vm;

    if (cpu->from_pic) {
        lock_take(&vm->devices);
        vpic_accept(&cpu->board->pic, vector);
        lock_drop(&vm->devices);
    } else {
        vlapic_accept(&cpu->lapic, vector);
    }
    return board_peek(cpu) >= 0;
}

static bool board_accept(void *ctx, uint8_t vector)
{
    struct board_cpu *cpu = ctx;

    if (UNLIKELY(cpu->from_pic | vpic_asserted(&cpu->board->pic)))
        return board_accept_both(cpu, vector);
    vlapic_accept(&cpu->lapic, vector);
    return false;
}

static uint8_t board_get_cr8(void *ctx)
{
    return vlapic_cr8(&((struct board_cpu *)ctx)->lapic);
}

static void board_set_cr8(void *ctx, uint8_t cr8)
{
    vlapic_set_cr8(&((struct board_cpu *)ctx)->lapic, cr8);
}

static void board_init_ipi(void *ctx)
{
    vlapic_receive_init(&((struct board_cpu *)ctx)->lapic);
}

static void board_tsc_moved(void *ctx)
{
    vlapic_tsc_moved(&((struct board_cpu *)ctx)->lapic);
}

/* Where there is RAM, the guest goes on to see that. */
static void board_place_lapic(struct board_cpu *cpu)
{
    cpu->vcpu->apic_base = cpu->lapic.base;
    cpu->vcpu->apic_page = cpu->lapic.base & ~PAGE_MASK;
    cpuid_ready_forget(&cpu->vcpu->cpuid); /* a LAPIC that is off isn't shown */
}

static bool board_set_base(void *ctx, uint64_t base)
{
    struct board_cpu *cpu = ctx;
    bool good = vlapic_set_base(&cpu->lapic, base);

    board_place_lapic(cpu);
    return good;
}

static uint64_t board_get_deadline(void *ctx, uint64_t tsc)
{
    return vlapic_deadline(&((struct board_cpu *)ctx)->lapic, tsc);
}

static void board_set_deadline(void *ctx, uint64_t deadline, uint64_t tsc)
{
    vlapic_set_deadline(&((struct board_cpu *)ctx)->lapic, deadline, tsc);
}

static void board_deadline_due(void *ctx)
{
    vlapic_deadline_due(&((struct board_cpu *)ctx)->lapic);
}

static void board_written(void *ctx, uint32_t offset)
{
    struct board_cpu *cpu = ctx;

    vlapic_written(&cpu->lapic, offset, vm_now(cpu->board->vm));
}

static void board_ended(void *ctx, uint8_t vector)
{
    vlapic_ended(&((struct board_cpu *)ctx)->lapic, vector);
}

static bool board_receive(void *ctx, uint8_t vector, bool nmi)
{
    struct board_cpu *cpu = ctx;
    const struct apic_message message = {
        .delivery = nmi ? APIC_NMI : APIC_FIXED, .vector = vector, .level = true};

    if (!vlapic_accepting(&cpu->lapic))
        return false;
    board_deliver(cpu, &message);
    return true;
}

static void board_set_eoi_flag(void *ctx, uint8_t *flag)
{
    vlapic_set_eoi_flag(&((struct board_cpu *)ctx)->lapic, flag);
}

/* With automatic EOI. A LAPIC that shares its state with the CPU keeps nothing itself. */
static int board_peek_auto(void *ctx)
{
    struct board_cpu *cpu = ctx;
    struct vapic *vapic = cpu->lapic.config.vapic;
    int vector = board_peek(cpu);

    return cpu->from_pic || !vapic ? vector : vlapic_page_peek(vapic);
}

static bool board_accept_auto(void *ctx, uint8_t vector)
{
    struct board_cpu *cpu = ctx;

    if (cpu->from_pic)
        (void)board_accept(cpu, vector);
    else
        board_accept_ending(cpu, vector);
    return board_peek_auto(cpu) >= 0;
}

static void board_auto_eoi(void *ctx, bool on);

#define BOARD_IRQCHIP(peeks, accepts)                                                                        \
    {                                                                                                        \
        .peek = peeks, .accept = accepts, .get_cr8 = board_get_cr8, .set_cr8 = board_set_cr8,                \
        .init = board_init_ipi, .set_base = board_set_base, .get_deadline = board_get_deadline,              \
        .set_deadline = board_set_deadline, .deadline_due = board_deadline_due,                              \
        .tsc_moved = board_tsc_moved, .receive = board_receive, .set_eoi_flag = board_set_eoi_flag,          \
        .auto_eoi = board_auto_eoi, .written = board_written, .ended = board_ended,                          \
    }

/* The second: some vectors end by themselves. Others don't pay for that. */
static const struct irqchip_ops board_irqchips[2] = {
    BOARD_IRQCHIP(board_peek, board_accept),
    BOARD_IRQCHIP(board_peek_auto, board_accept_auto),
};

static void board_auto_eoi(void *ctx, bool on)
{
    struct board_cpu *cpu = ctx;

    cpu->vcpu->irqchip = &board_irqchips[on];
    vlapic_set_manual(&cpu->lapic, on);
}

/* -- what devices do to the VM ---------------------------------------------------------------------------------- */

static void board_power_off(void *ctx)
{
    vm_stop(((struct board *)ctx)->vm, VM_STOP_POWEROFF, 0);
}

static void board_reboot(void *ctx)
{
    vm_stop(((struct board *)ctx)->vm, VM_STOP_REBOOT, 0);
}

/* The first time that output is lost, that is told: what comes from then on may have gaps, which `stats` counts. */
static void board_tell_loss(struct board *board)
{
    /* A VM that isn't shown waits for nobody, and only its newest lines are kept. */
    if (LIKELY(board->console.ring.dropped == 0) || console_vm_ready(&board->console))
        return;
    if (!__atomic_exchange_n(&board->loss_told, true, __ATOMIC_RELAXED))
        log_event("drop", "vm=%s", board->vm->name);
}

void board_console_write(struct board *board, const uint8_t *bytes, size_t len)
{
    uint64_t now = board->host_now();

    __atomic_store_n(&board->heard, now, __ATOMIC_RELAXED);
    console_vm_write(&board->console, bytes, len, now);
    board_tell_loss(board);
    if (board->console_changed)
        board->console_changed();
}

static void board_console_out(void *ctx, uint8_t byte)
{
    board_console_write(ctx, &byte, 1);
}

static void board_com1_out(void *ctx, uint8_t byte)
{
    struct board *board = ctx;

    board->com1_used = true;
    board->text.waits = byte != '\n';
    board_console_out(ctx, byte);
}

static void board_text_out(void *ctx, uint8_t byte)
{
    ((struct board *)ctx)->text_used = true;
    board_console_out(ctx, byte);
}

static bool board_console_ready(void *ctx)
{
    return console_vm_ready(&((struct board *)ctx)->console);
}

/* Without a word about it in keel.conf: what shows text on its screen, and nothing on the serial port, is typed to as a PC is. */
static bool board_has_keyboard(const struct board *board)
{
    if (board->keyboard == KEYBOARD_AUTO)
        return board->text_used && !board->com1_used;
    return board->keyboard == KEYBOARD_YES;
}

/* Typed bytes, for the virtio console if somebody listens there; what finds no room is lost, as on a wire. */
static void board_console_in(void *ctx, uint8_t byte)
{
    struct board *board = ctx;

    lock_take(&board->vm->devices);
    if (board_has_keyboard(board))
        vkbc_type(&board->kbc, byte, vm_now(board->vm));
    else if (!board_virtio_type(board, byte))
        vuart_receive(&board->com1, &byte, 1, vm_now(board->vm));
    lock_drop(&board->vm->devices);
    vcpu_kick(board->cpus[0].vcpu);
}

static void board_nowhere(void *ctx, uint8_t byte)
{
    (void)ctx;
    (void)byte;
}

/* -- setting up ------------------------------------------------------------------------------------------------- */

static void board_init_cpu(struct board *board, uint32_t index, const struct board_config *config)
{
    struct board_cpu *cpu = &board->cpus[index];
    struct vcpu *vcpu = board->vm->vcpus[index];
    struct vlapic_config lapic = {
        .id = index,
        .bsp = index == 0,
        .x2apic = config->x2apic,
        .tsc_deadline = config->tsc_deadline,
        .phys_bits = config->phys_bits,
        .renamed = &board->renamed,
        .timers = &vcpu->timers,
        .tsc = board_tsc,
        .alarm = board_alarm,
        .send = board_lapic_send,
        .eoi = board_lapic_eoi,
        .kick = board_lapic_kick,
        .notify = board_lapic_notify,
        .vapic = vcpu->vapic,
        .ctx = cpu,
    };

    cpu->board = board;
    cpu->vcpu = vcpu;
    vlapic_init(&cpu->lapic, &lapic);
    vcpu->apic_base = cpu->lapic.base;
    vcpu->irqchip = &board_irqchips[0];
    vcpu->irqchip_ctx = cpu;
    vcpu->apic_page = PC_LAPIC;
    vcpu->apic_mmio = vlapic_mmio;
    vcpu->apic_msr = vlapic_msr;
    vcpu->apic_timed = VLAPIC_TIMED;
    vcpu->apic_ctx = &cpu->lapic;
}

static void board_init_interrupts(struct board *board)
{
    struct vioapic_config ioapic = {board_ioapic_send, board};

    vpic_init(&board->pic, &(struct irq_pin){board_pic_output, board, 0});
    vioapic_init(&board->ioapic, &ioapic);
    board->ioapic.id = PC_IOAPIC_ID;
}

static void board_init_clocks(struct board *board, uint64_t unix_time)
{
    struct timer_queue *timers = &board->vm->timers;
    struct irq_pin pit = {vhpet_set_legacy, &board->hpet, VHPET_LEGACY_PIT};
    struct irq_pin rtc = {vhpet_set_legacy, &board->hpet, VHPET_LEGACY_RTC};
    struct vhpet_config hpet = {
        .timers = timers,
        .legacy = {board_pin(board, PC_IRQ_PIT), board_pin(board, PC_IRQ_RTC)},
        .set = vioapic_set_pin,
        .listener = &board->ioapic,
        .fsb = {board_send_msi, board},
    };
    struct vpm_config pm = {
        .sci = board_pin(board, PC_IRQ_SCI),
        .timers = timers,
        .timer_bits = 32,
        .s5_type = PC_S5_TYPE,
        .power_off = board_power_off,
        .ctx = board,
    };

    vhpet_init(&board->hpet, &hpet);
    vpit_init(&board->pit, &pit, timers);
    vrtc_init(&board->rtc, &rtc, timers, unix_time);
    vpm_init(&board->pm, &pm);
}

static void board_init_consoles(struct board *board, bool firmware)
{
    struct timer_queue *timers = &board->vm->timers;
    struct vuart_config com1 = {board_pin(board, PC_IRQ_COM1), timers, board_com1_out, board,
                                board_console_ready};
    struct vuart_config com2 = {board_pin(board, PC_IRQ_COM2), timers, board_nowhere, board, NULL};
    struct vkbc_config kbc = {board_pin(board, PC_IRQ_KBC), timers, board_reboot, board};

    vuart_init(&board->com1, &com1);
    vuart_init(&board->com2, &com2);
    vkbc_init(&board->kbc, &kbc);
    vtext_init(&board->text, timers, board_text_out, board);
    vdebug_init(&board->debug, board_console_out, board);
    /* What firmware puts on its screen, which is the console, it also writes to its log: once is enough. */
    vdebug_init(&board->firmware_log, firmware ? board_nowhere : board_console_out, board);
}

/* Firmware recognises the machine by its bridges; a kernel that is started without one needs none but the first. */
static void board_init_pci(struct board *board, bool firmware)
{
    struct vpiix_ports ports = {&board->vm->pio, vpm_ports, &board->pm, VPM_PORTS, PC_PORT_PM};

    vreset_init(&board->reset, board_reboot, board);
    vpciconf_init(&board->pci, vreset_control_port, &board->reset);
    vhostbridge_init(&board->bridge, &board->pci);
    if (firmware)
        vpiix_init(&board->piix, &board->pci, PC_SLOT_ISA, &ports);
    board->pci_bus = (struct vpci_bus){
        .conf = &board->pci,
        .pio = &board->vm->pio,
        .mmio = &board->vm->mmio,
        .msi = {board_send_msi, board},
        .intx = board_set_intx,
        .intx_ctx = board,
    };
}

/* Who sits where. */
static int board_claim(struct board *board)
{
    struct vm *vm = board->vm;
    const struct {
        struct bus *bus;
        uint64_t base, len;
        bus_handler handler;
        void *dev;
        const char *name;
        uint32_t timeless;
    } rows[] = {
        {&vm->pio, PC_PORT_PIC_MASTER, 2, vpic_master_ports, &board->pic, "pic", BUS_TIMELESS},
        {&vm->pio, PC_PORT_PIC_SLAVE, 2, vpic_slave_ports, &board->pic, "pic", BUS_TIMELESS},
        {&vm->pio, PC_PORT_ELCR, 2, vpic_elcr_ports, &board->pic, "elcr", BUS_TIMELESS},
        {&vm->pio, PC_PORT_PIT, 4, vpit_ports, &board->pit, "pit", 0},
        {&vm->pio, PC_PORT_61, 1, vpit_port61, &board->pit, "port61", 0},
        {&vm->pio, PC_PORT_KBC_DATA, 1, vkbc_data_port, &board->kbc, "kbc", BUS_TIMELESS},
        {&vm->pio, PC_PORT_KBC_CMD, 1, vkbc_command_port, &board->kbc, "kbc", BUS_TIMELESS},
        {&vm->pio, PC_PORT_RTC, 2, vrtc_ports, &board->rtc, "rtc", 0},
        {&vm->pio, PC_PORT_92, 1, vreset_port92, &board->reset, "port92", BUS_TIMELESS},
        {&vm->pio, PC_PORT_COM1, 8, vuart_ports, &board->com1, "com1", VUART_TIMELESS},
        {&vm->pio, PC_PORT_COM2, 8, vuart_ports, &board->com2, "com2", VUART_TIMELESS},
        {&vm->pio, PC_PORT_DEBUG, 1, vdebug_port, &board->firmware_log, "debug", BUS_TIMELESS},
        {&vm->pio, PC_PORT_DEBUG_E9, 1, vdebug_port, &board->debug, "debug", BUS_TIMELESS},
        {&vm->pio, PC_PORT_CRTC, VTEXT_PORTS, vtext_ports, &board->text, "vga", 0},
        {&vm->mmio, PC_VGA_TEXT, VTEXT_SIZE, vtext_mmio, &board->text, "vga", 0},
        {&vm->pio, PC_PORT_PCI, 8, vpciconf_ports, &board->pci, "pci", BUS_TIMELESS},
        {&vm->pio, PC_PORT_PM, VPM_PORTS, vpm_ports, &board->pm, "pm", 0},
        {&vm->mmio, PC_ECAM, PC_ECAM_SIZE, vpciconf_ecam, &board->pci, "ecam", BUS_TIMELESS},
        {&vm->mmio, PC_IOAPIC, PAGE_SIZE, vioapic_mmio, &board->ioapic, "ioapic", BUS_TIMELESS},
        {&vm->mmio, PC_HPET, VHPET_SIZE, vhpet_mmio, &board->hpet, "hpet", 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int err = bus_claim(rows[i].bus, rows[i].base, rows[i].len, rows[i].handler, rows[i].dev,
                            rows[i].name);

        if (err)
            return err;
        bus_set_timeless(rows[i].bus, rows[i].base, rows[i].timeless);
    }
    return 0;
}

size_t board_size(uint32_t vcpus, bool debug_exit, bool firmware)
{
    return sizeof(struct board) + vcpus * sizeof(struct board_cpu) +
           (firmware ? sizeof(struct acpi_files) : 0) + (debug_exit ? VTESTDEV_MMIO_SIZE : 0);
}

void board_remove(struct board *board)
{
    board_shmem_remove(board);
    board_virtio_remove(board);
    console_vm_remove(&board->console);
}

int board_init(struct board *board, struct vm *vm, const struct board_config *config)
{
    int err;

    board->vm = vm;
    board->host_now = config->host_now;
    board->console_changed = config->console_changed;
    board->keyboard = config->keyboard;
    board->window = config->window;
    board->window_end = config->window_end;
    vm->board = board;
    board_init_interrupts(board);
    for (uint32_t i = 0; i < vm->vcpu_count; i++)
        board_init_cpu(board, i, config);
    board_init_clocks(board, config->unix_time);
    board_init_consoles(board, config->acpi);
    board_init_pci(board, config->acpi);
    console_vm_add(&board->console, vm->name, board_console_in, board);
    err = board_claim(board);
    if (!err)
        err = board_init_fwcfg(board, config->acpi);
    if (!err && config->debug_exit)
        err = board_init_test(board, board_set_irq);
    if (!err)
        err = board_virtio_init(board, config->devices);
    return err ? err : board_shmem_init(board, config->devices);
}

uint32_t board_free_slot(const struct board *board)
{
    uint32_t slot = PC_SLOT_FIRST;

    while (board->pci_bus.functions[slot])
        slot++;
    return slot;
}

static uint64_t board_ram_between(const struct gmem *mem, gpa_t from, gpa_t to)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < mem->count; i++)
        if (mem->slots[i].writable && mem->slots[i].base >= from && mem->slots[i].base < to)
            bytes += mem->slots[i].len;
    return bytes;
}

/* As firmware would, for a system that is started without one. */
static void board_reset_pci(struct board *board)
{
    struct vpci_window window = {
        .memory = PC_PCI_WINDOW,
        .memory_end = PC_PCI_WINDOW_END,
        .above = board->window,
        .above_end = board->window_end,
        .port = PC_PCI_PORTS,
        .port_end = UINT16_MAX,
    };

    vpciconf_reset(&board->pci);
    vpcifixed_reset(&board->bridge);
    vpiix_reset(&board->piix);
    for (uint32_t slot = 0; slot < VPCI_SLOTS; slot++)
        if (board->pci_bus.functions[slot])
            vpci_reset(board->pci_bus.functions[slot]);
    for (uint32_t slot = 0; slot < VPCI_SLOTS && !board->acpi; slot++)
        if (board->pci_bus.functions[slot])
            vpci_place(board->pci_bus.functions[slot], &window, PC_PCI_IRQ(PC_PCI_WIRE(slot)));
}

void board_flush(struct board *board)
{
    lock_take(&board->vm->devices);
    vtext_flush(&board->text);
    lock_drop(&board->vm->devices);
    console_vm_flush(&board->console);
    board_console_flush(board);
}

/* What a reset and the firmware leave behind. The clock and CMOS RAM live on, as with a battery. */
void board_reset(struct board *board)
{
    const struct gmem *mem = &board->vm->mem;

    vpic_reset(&board->pic);
    vpic_set_elcr(&board->pic, BIT(PC_IRQ_SCI) | PC_PCI_IRQS); /* as the MADT and PCI say */
    vioapic_reset(&board->ioapic);
    for (uint32_t i = 0; i < board->vm->vcpu_count; i++) {
        vlapic_reset(&board->cpus[i].lapic);
        board_place_lapic(&board->cpus[i]);
        vlapic_virtual_wire(&board->cpus[i].lapic);
    }
    vhpet_reset(&board->hpet);
    vpit_reset(&board->pit);
    vrtc_reset(&board->rtc);
    vrtc_set_memory(&board->rtc, PC_HIGH_RAM + board_ram_between(mem, PC_HIGH_RAM, PC_MEMORY_ABOVE),
                    board_ram_between(mem, PC_MEMORY_ABOVE, UINT64_MAX));
    vuart_reset(&board->com1);
    vuart_reset(&board->com2);
    vpm_reset(&board->pm);
    vkbc_reset(&board->kbc);
    vreset_reset(&board->reset);
    board_virtio_reset(board);
    board_shmem_reset(board);
    board_reset_pci(board);
    vtext_reset(&board->text);
    board->com1_used = board->text_used = board->renamed = false;
    vfwcfg_reset(&board->fwcfg);
    if (board->test.mmio)
        vtestdev_reset(&board->test);
}
