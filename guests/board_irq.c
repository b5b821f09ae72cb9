#include "guests/board_irq.h"

#include "guests/board.h"
#include "guests/platform.h"

/* -- interrupt wires: an ISA line reaches the PIC and the IOAPIC ------------------------------------------------ */

void board_set_irq(void *ctx, uint32_t line, bool level)
{
    struct board *board = ctx;

    vpic_set_line(&board->pic, line, level);
    vioapic_set_pin(&board->ioapic, line == PC_IRQ_PIT ? PC_GSI_PIT : line, level);
}

struct irq_pin board_pin(struct board *board, uint32_t line)
{
    return (struct irq_pin){board_set_irq, board, line};
}

/* Functions share a wire: it is high while one of them holds it; and wires share a PIC line. */
void board_set_intx(void *ctx, uint32_t slot, bool level)
{
    struct board *board = ctx;
    uint32_t wire = PC_PCI_WIRE(slot), other = wire ^ 1;

    if (level)
        board->pci_wires[wire] |= BIT(slot);
    else
        board->pci_wires[wire] &= ~BIT(slot);
    vioapic_set_pin(&board->ioapic, PC_PCI_GSI(wire), board->pci_wires[wire] != 0);
    vpic_set_line(&board->pic, PC_PCI_IRQ(wire), (board->pci_wires[wire] | board->pci_wires[other]) != 0);
}

/* -- messages between APICs ------------------------------------------------------------------------------------- */

void board_deliver(struct board_cpu *cpu, const struct apic_message *m)
{
    switch (m->delivery) {
    case APIC_FIXED:
    case APIC_LOWEST:
        vlapic_post(&cpu->lapic, m->vector, m->trigger == APIC_LEVEL);
        break;
    case APIC_NMI:
        event_post_nmi(cpu->vcpu);
        vcpu_kick(cpu->vcpu);
        break;
    case APIC_INIT:
        vcpu_signal_init(cpu->vcpu);
        break;
    case APIC_SIPI:
        vcpu_signal_startup(cpu->vcpu, m->vector);
        break;
    default:
        /* SMI: there is no SMM. ExtINT comes by LINT0. */
        break;
    }
}

static bool board_is_target(const struct board_cpu *cpu, const struct board_cpu *sender,
                            const struct apic_message *m)
{
    switch (m->shorthand) {
    case APIC_TO_SELF:
        return cpu == sender;
    case APIC_TO_ALL:
        return true;
    case APIC_TO_OTHERS:
        return cpu != sender;
    default:
        return vlapic_accepts(&cpu->lapic, m->dest, m->dest_mode);
    }
}

/* Lowest priority goes to one of the targets: the one that does the least important work now. */
static NOINLINE void board_route_any(struct board *board, const struct board_cpu *sender,
                                     const struct apic_message *m)
{
    struct board_cpu *lowest = NULL;

    for (uint32_t i = 0; i < board->vm->vcpu_count; i++) {
        struct board_cpu *cpu = &board->cpus[i];

        if (!board_is_target(cpu, sender, m))
            continue;
        if (m->delivery != APIC_LOWEST)
            board_deliver(cpu, m);
        else if (!lowest || vlapic_priority(&cpu->lapic) < vlapic_priority(&lowest->lapic))
            lowest = cpu;
    }
    if (lowest)
        board_deliver(lowest, m);
}

/* A LAPIC's id is its vCPU's index, as long as no guest has changed one. */
void board_route(struct board *board, const struct board_cpu *sender, const struct apic_message *m)
{
    bool one = m->shorthand == APIC_TO_DEST && m->dest_mode == APIC_PHYSICAL &&
               m->dest < board->vm->vcpu_count && LIKELY(!__atomic_load_n(&board->renamed, __ATOMIC_RELAXED));

    if (!one)
        board_route_any(board, sender, m);
    else if (LIKELY(vlapic_accepts(&board->cpus[m->dest].lapic, m->dest, APIC_PHYSICAL)))
        board_deliver(&board->cpus[m->dest], m);
}

void board_accept_ending(struct board_cpu *cpu, uint8_t vector)
{
    if (cpu->lapic.config.vapic)
        vapic_accept(cpu->lapic.config.vapic, vector);
    else
        vlapic_accept(&cpu->lapic, vector);
    if (hv_auto_eoi(cpu->vcpu, vector))
        vlapic_eoi(&cpu->lapic);
}

/* A message-signalled interrupt (SDM 11.11). There is nothing else that a function would write a single dword to. */
#define MSI_BASE    0xfee
#define MSI_DEST(a) ((uint32_t)((a) >> 12 & 0xff))
#define MSI_LOGICAL BIT(2)
#define MSI_LEVEL   BIT(15)
#define MSI_ASSERT  BIT(14)

void board_send_msi(void *ctx, uint64_t address, uint32_t data)
{
    struct apic_message message = {
        .dest = MSI_DEST(address) == 0xff ? APIC_BROADCAST : MSI_DEST(address),
        .dest_mode = address & MSI_LOGICAL ? APIC_LOGICAL : APIC_PHYSICAL,
        .delivery = data >> 8 & 7,
        .vector = (uint8_t)data,
        .trigger = data & MSI_LEVEL ? APIC_LEVEL : APIC_EDGE,
        .shorthand = APIC_TO_DEST,
        .level = true,
    };

    if (address >> 20 != MSI_BASE || ((data & MSI_LEVEL) && !(data & MSI_ASSERT)))
        return;
    board_route(ctx, NULL, &message);
}
