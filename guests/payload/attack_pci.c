/* The part of it that is about registers: those in memory, and those of PCI. */
#include "core/lib/string.h"
#include "guests/payload/attack.h"

#define BAR_BYTES   0x4000
#define TABLE       0x2000 /* of MSI-X, and what follows */
#define ROUNDS      1000
#define COMMAND     0x04
#define BAR(n)      (0x10 + 4 * (n))
#define CONFIG_END  0x100
#define WINDOW_TYPE 5
#define CAP_AF      0x13 /* advanced features: a function level reset */
#define AF_CONTROL  4
#define AF_RESET    1
#define DATA        (ARENA + 0x20000)

/* One of any size, which needn't be one that the register has. */
static void access_random(uint64_t at)
{
    uint64_t value = (uint64_t)attack_random() << 32 | attack_random();

    switch (attack_random() % 8) {
    case 0:
        *(volatile uint8_t *)at = (uint8_t)value;
        break;
    case 1:
        *(volatile uint16_t *)at = (uint16_t)value;
        break;
    case 2:
        *(volatile uint32_t *)at = (uint32_t)value;
        break;
    case 3:
        *(volatile uint64_t *)at = value;
        break;
    case 4:
        (void)*(volatile uint8_t *)at;
        break;
    case 5:
        (void)*(volatile uint16_t *)at;
        break;
    case 6:
        (void)*(volatile uint32_t *)at;
        break;
    default:
        (void)*(volatile uint64_t *)at;
    }
}

/* Messages are left out: a guest may send itself an NMI or an INIT, and gets it. */
void attack_registers(struct vdev *d)
{
    uint32_t window = 0;

    for (uint32_t i = 0; i < ROUNDS; i++)
        access_random(d->common + attack_random() % (TABLE - 8));
    for (uint32_t i = 0; i < ROUNDS / 4; i++)
        (void)mmio_read(d->common + TABLE + attack_random() % (BAR_BYTES - TABLE - 4) / 4 * 4);
    for (uint32_t at = pci_cap(d->slot, 9, 0); at; at = pci_cap(d->slot, 9, at))
        if (pci_read(d->slot, at) >> 24 == WINDOW_TYPE)
            window = at;
    check("attack.window", window);
    for (uint32_t i = 0; i < ROUNDS / 4; i++) {
        pci_write(d->slot, window + 4, i & 1 ? 0 : attack_random());
        pci_write(d->slot, window + 8, i & 2 ? attack_random() % TABLE : attack_random());
        pci_write(d->slot, window + 12, i & 4 ? 1u << (attack_random() & 3) : attack_random());
        if (attack_random() & 1)
            pci_write(d->slot, window + 16, attack_random());
        else
            (void)pci_read(d->slot, window + 16);
    }
}

/* The function's own reset, with buffers in its queues: it decodes nothing then, and comes back where it was. */
void attack_reset(struct vdev *d)
{
    uint32_t cap = pci_cap(d->slot, CAP_AF, 0), command = pci_read(d->slot, COMMAND) & 0xffff;
    uint64_t place = pci_bar(d->slot, 0);
    const struct vq_part part = {(void *)DATA, 4096, true};

    check("attack.reset-capability", cap);
    for (uint32_t i = 0; i < d->queues; i++)
        vq_put(d, i, 0, &part, 1);
    pci_write(d->slot, cap + AF_CONTROL, AF_RESET);
    if (pci_bar(d->slot, 0) != 0 || (pci_read(d->slot, COMMAND) & 0xffff) != 0)
        expect("attack.decodes", pci_bar(d->slot, 0), 0);
    pci_bar_set(d->slot, 0, place);
    pci_write(d->slot, COMMAND, command);
    expect("attack.function-reset", vdev_status(d), 0);
}

/* -- configuration space ------------------------------------------------------------------------------------------ */

/* Where a function's memory mustn't come to lie over what is there. */
static const uint64_t taken[] = {0,          DATA,       0xa0000,        0xe0000,
                                 0xe0000000, 0xfec00000, 0xfee00000,     0xff000000,
                                 0xfffff000, 0xc0000000, 0x100000000ull, 0xffffffffffffff00ull};

static void function_move(uint32_t slot)
{
    for (uint32_t i = 0; i < ARRAY_SIZE(taken); i++)
        for (uint32_t bar = 0; bar < 6; bar++) {
            pci_write(slot, BAR(bar), (uint32_t)taken[i]);
            if (bar < 5 && (pci_read(slot, BAR(bar)) & 7) == 4)
                pci_write(slot, BAR(bar + 1), (uint32_t)(taken[i] >> 32));
            pci_write(slot, COMMAND, 0x3);
        }
}

static void function_random(uint32_t slot, uint32_t rounds)
{
    for (uint32_t i = 0; i < rounds; i++) {
        uint32_t at = attack_random() % CONFIG_END & ~3u;

        pci_write(slot, at, attack_random() & 1 ? UINT32_MAX : attack_random());
        (void)pci_read(slot, at);
    }
}

static void function_attack(uint32_t slot)
{
    uint32_t before[CONFIG_END / 4], identity = pci_read(slot, 0), class = pci_read(slot, 8);

    for (uint32_t i = 0; i < CONFIG_END / 4; i++)
        before[i] = pci_read(slot, 4 * i);
    *(volatile uint32_t *)DATA = identity;
    function_move(slot);
    if (*(volatile uint32_t *)DATA != identity)
        expect("attack.ram", *(volatile uint32_t *)DATA, identity);
    function_random(slot, ROUNDS / 8);
    pci_write(slot, COMMAND, 0);
    for (uint32_t i = CONFIG_END / 4; i-- > 0;)
        pci_write(slot, 4 * i, before[i]);
    if (pci_read(slot, 0) != identity || pci_read(slot, 8) != class)
        expect("attack.identity", pci_read(slot, 0), identity);
}

void attack_functions(void)
{
    uint32_t functions = 0;

    for (uint32_t slot = 1; slot < PCI_NONE; slot++)
        if (pci_read(slot, 0) != UINT32_MAX) {
            function_attack(slot);
            functions++;
        }
    for (uint32_t i = 0; i < ROUNDS; i++) { /* buses and functions that aren't there */
        outl(0xcf8, attack_random() | 0x80000000u | 1u << 16);
        outl(0xcfc, attack_random());
        (void)inw(0xcfe);
    }
    print("attack functions=%u", functions);
}
