/* The PICs: what is offered can be taken, and the pin agrees with it. */
#include "drivers/virt/vpic.h"

#include "tests/fuzz/device.h"

static struct vpic pic;
static bool intr;

static void check(void)
{
    int vector = vpic_peek(&pic);

    assert(intr == vpic_asserted(&pic));
    assert((vector >= 0) == intr);
    if (vector >= 0)
        assert((vector & ~7) == pic.chips[0].base || (vector & ~7) == pic.chips[1].base);
    for (uint32_t i = 0; i < 2; i++) {
        const struct vpic_chip *c = &pic.chips[i];

        assert(c->first < 8 && c->icw <= 4 && c->icw != 1);
        assert((c->base & 7) == 0);
        assert((c->edges & c->elcr) == 0);
    }
    assert((pic.chips[0].edges & 4) == 0);
}

static void take(void)
{
    int vector = vpic_peek(&pic);

    if (vector < 0)
        return;
    /* Sometimes a line moves in between. */
    if (fuzz_number(1) & 1)
        vpic_set_line(&pic, (uint32_t)fuzz_number(1), false);
    vpic_accept(&pic, vector);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct irq_pin pin = fuzz_pin(&intr);
    struct bus_access access;

    fuzz_start(data, size);
    vpic_init(&pic, &pin);
    while (fuzz_more()) {
        uint64_t step = fuzz_number(1), line;

        switch (step % 8) {
        case 0:
        case 1:
            line = fuzz_number(1);
            vpic_set_line(&pic, (uint32_t)line, step & 0x80);
            break;
        case 2:
        case 3:
            take();
            break;
        case 4:
            assert(fuzz_access(vpic_elcr_ports, &pic, 2, &access) == BUS_OK);
            break;
        case 5:
            assert(fuzz_access(vpic_slave_ports, &pic, 2, &access) == BUS_OK);
            break;
        default:
            assert(fuzz_access(vpic_master_ports, &pic, 2, &access) == BUS_OK);
            break;
        }
        check();
    }
    return 0;
}
