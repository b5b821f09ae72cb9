/* The IOAPIC: no level that is high, unmasked and not waiting for an EOI is ever left undelivered. */
#include "drivers/virt/vioapic.h"

#include "tests/fuzz/device.h"

#define LEVEL      BIT(15)
#define MASKED     BIT(16)
#define REMOTE_IRR BIT(14)

static struct vioapic ioapic;

static void note_send(void *ctx, const struct apic_message *m)
{
    assert(ctx == &ioapic && m->level && m->shorthand == APIC_TO_DEST);
    assert(m->dest < 0xff || m->dest == APIC_BROADCAST);
}

static void check(void)
{
    for (uint32_t pin = 0; pin < VIOAPIC_PINS; pin++) {
        uint64_t entry = ioapic.redirection[pin];
        bool by_eoi = (entry >> 8 & 7) <= APIC_LOWEST;

        assert((entry & ~0xff0000000001ffffull) == 0 && !(entry & BIT(12)));
        if (entry & REMOTE_IRR)
            assert(entry & LEVEL);
        if (by_eoi && (entry & LEVEL) && !(entry & MASKED) && (ioapic.lines & BIT(pin)))
            assert(entry & REMOTE_IRR);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vioapic_config config = {.send = note_send, .ctx = &ioapic};
    struct bus_access access;

    fuzz_start(data, size);
    vioapic_init(&ioapic, &config);
    while (fuzz_more()) {
        uint64_t step = fuzz_number(1);

        switch (step % 4) {
        case 0:
            vioapic_set_pin(&ioapic, (uint32_t)fuzz_number(1) % 32, step & 0x80);
            break;
        case 1:
            vioapic_eoi(&ioapic, (uint8_t)fuzz_number(1));
            break;
        case 2: /* a register, as software does it */
            ioapic.select = (uint8_t)(fuzz_number(1) % 0x42);
            access = (struct bus_access){.addr = 0x10, .size = 4, .write = step & 0x80};
            access.value = fuzz_number(4);
            assert(vioapic_mmio(&ioapic, &access) == BUS_OK);
            break;
        default:
            assert(fuzz_access(vioapic_mmio, &ioapic, PAGE_SIZE, &access) == BUS_OK);
            break;
        }
        check();
    }
    return 0;
}
