#include "drivers/virt/vpci.h"

#include "core/lib/bytes.h"
#include "core/lib/panic.h"
#include "core/lib/string.h"

#define MSIX_LENGTH       12
#define MSIX_CONTROL      2 /* offsets in the capability */
#define MSIX_TABLE        4
#define MSIX_PENDING      8
#define MSIX_CONTROL_ON   0x8000
#define MSIX_CONTROL_MASK 0x4000
#define PORT_SPACE        0x10000ull
#define INTERRUPT_PIN_A   1
#define LARGE             (16 * MiB) /* of a base address */

static uint32_t command_of(const struct vpci *f)
{
    return get_le16(&f->config[PCI_COMMAND]);
}

/* -- base addresses --------------------------------------------------------------------------------------------- */

static bool bar_is_wide(enum vpci_bar_kind kind)
{
    return kind == VPCI_BAR_MEMORY64 || kind == VPCI_BAR_PREFETCH64;
}

static uint64_t bar_base(const struct vpci *f, uint32_t n)
{
    uint32_t low = get_le32(&f->config[PCI_BAR(n)]);

    switch (f->bars[n].kind) {
    case VPCI_BAR_IO:
        return low & ~3u;
    case VPCI_BAR_MEMORY64:
    case VPCI_BAR_PREFETCH64:
        return (low & ~0xfu) | (uint64_t)get_le32(&f->config[PCI_BAR(n + 1)]) << 32;
    default:
        return low & ~0xfu;
    }
}

static struct bus *bar_bus(const struct vpci *f, uint32_t n)
{
    return f->bars[n].kind == VPCI_BAR_IO ? f->bus->pio : f->bus->mmio;
}

/* Is it to be on its bus? Ports end at 64 KiB, whatever the register can hold. */
static bool bar_decodes(const struct vpci *f, uint32_t n)
{
    const struct vpci_bar *bar = &f->bars[n];

    if (bar->kind == VPCI_BAR_NONE)
        return false;
    if (bar->kind == VPCI_BAR_IO)
        return command_of(f) & PCI_COMMAND_IO && bar_base(f, n) <= PORT_SPACE - bar->size;
    return command_of(f) & PCI_COMMAND_MEMORY;
}

static void bar_release(struct vpci *f, uint32_t n)
{
    struct vpci_bar *bar = &f->bars[n];

    if (bar->claimed && (!bar_decodes(f, n) || bar->base != bar_base(f, n))) {
        bar->claimed = bus_release(bar_bus(f, n), bar->base) != 0;
        assert(!bar->claimed);
        if (f->desc.placed)
            f->desc.placed(f->desc.dev, n, false, 0);
    }
}

static void bar_claim(struct vpci *f, uint32_t n)
{
    struct vpci_bar *bar = &f->bars[n];

    if (bar->claimed || !bar_decodes(f, n))
        return;
    bar->base = bar_base(f, n);
    bar->claimed = bus_claim(bar_bus(f, n), bar->base, bar->size, bar->handler, bar->dev, f->desc.name) == 0;
    if (bar->claimed && f->desc.placed)
        f->desc.placed(f->desc.dev, n, true, bar->base);
}

/* What this function gives up may be what another has waited for. */
static void decode_update(struct vpci *f)
{
    for (uint32_t n = 0; n < PCI_BARS; n++)
        bar_release(f, n);
    for (uint32_t slot = 0; slot < VPCI_SLOTS; slot++)
        for (uint32_t n = 0; f->bus->functions[slot] && n < PCI_BARS; n++)
            bar_claim(f->bus->functions[slot], n);
}

/* -- interrupts ------------------------------------------------------------------------------------------------- */

static bool messages_on(const struct vpci *f)
{
    return (f->msix && f->msix->enabled) || (f->msi && vmsi_enabled(f->msi));
}

static void intx_update(struct vpci *f)
{
    bool level = f->intx && !messages_on(f);

    f->config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_INTX;
    if (level)
        f->config[PCI_STATUS] |= PCI_STATUS_INTX;
    if (f->bus->intx)
        f->bus->intx(f->bus->intx_ctx, f->slot, level && !(command_of(f) & PCI_COMMAND_INTX_OFF));
}

void vpci_set_intx(struct vpci *f, bool level)
{
    if (f->intx == level)
        return;
    f->intx = level;
    intx_update(f);
}

bool vpci_raise(struct vpci *f, uint32_t vector)
{
    if (!messages_on(f))
        return false;
    if (!vpci_is_master(f)) /* a message is a write to memory */
        return true;
    if (f->msix && f->msix->enabled)
        vmsix_raise(f->msix, vector);
    else
        vmsi_raise(f->msi, vector);
    return true;
}

/* -- registers -------------------------------------------------------------------------------------------------- */

static uint32_t config_get(const struct vpci *f, uint32_t offset, uint32_t size)
{
    uint32_t value = 0;

    for (uint32_t i = 0; i < size; i++)
        value |= (uint32_t)f->config[offset + i] << 8 * i;
    return value;
}

static void config_set(struct vpci *f, uint32_t offset, uint32_t size, uint32_t value)
{
    for (uint32_t i = 0; i < size; i++) {
        uint8_t kept = f->config[offset + i] & (uint8_t)~f->writable[offset + i];

        f->config[offset + i] = kept | ((uint8_t)(value >> 8 * i) & f->writable[offset + i]);
    }
}

static bool touches(uint32_t offset, uint32_t size, uint32_t from, uint32_t len)
{
    return offset < from + len && from < offset + size;
}

static void msix_written(struct vpci *f)
{
    uint16_t control = get_le16(&f->config[f->msix_cap + MSIX_CONTROL]);

    vmsix_control(f->msix, control & MSIX_CONTROL_ON, control & MSIX_CONTROL_MASK);
    intx_update(f);
}

static void msi_written(struct vpci *f)
{
    vmsi_written(f->msi);
    intx_update(f);
}

/* The bit that starts a reset always reads as 0. */
static void af_written(struct vpci *f)
{
    bool start = f->config[f->af_cap + PCI_AF_CONTROL] & PCI_AF_FLR;

    f->config[f->af_cap + PCI_AF_CONTROL] = 0;
    if (!start)
        return;
    vpci_reset(f);
    if (f->desc.reset)
        f->desc.reset(f->desc.dev);
}

static void command_written(struct vpci *f, uint32_t before)
{
    decode_update(f);
    intx_update(f);
    if (!(before & PCI_COMMAND_MASTER) && vpci_is_master(f) && f->desc.master)
        f->desc.master(f->desc.dev);
}

static void function_write(void *dev, uint32_t offset, uint32_t size, uint32_t value)
{
    struct vpci *f = dev;
    uint32_t before = command_of(f);

    config_set(f, offset, size, value);
    if (touches(offset, size, PCI_COMMAND, 2))
        command_written(f, before);
    if (touches(offset, size, PCI_BAR(0), 4 * PCI_BARS))
        decode_update(f);
    if (f->msix_cap && touches(offset, size, f->msix_cap + MSIX_CONTROL, 2))
        msix_written(f);
    if (f->msi_cap && touches(offset, size, f->msi_cap, VMSI_LENGTH))
        msi_written(f);
    if (f->af_cap && touches(offset, size, f->af_cap + PCI_AF_CONTROL, 1))
        af_written(f);
    if (f->desc.config && offset >= PCI_FIRST_CAPABILITY)
        f->desc.config(f->desc.dev, offset, size, true);
}

static uint32_t function_read(void *dev, uint32_t offset, uint32_t size)
{
    struct vpci *f = dev;

    if (f->desc.config && offset >= PCI_FIRST_CAPABILITY)
        f->desc.config(f->desc.dev, offset, size, false);
    return config_get(f, offset, size);
}

/* -- setting up ------------------------------------------------------------------------------------------------- */

static void header_fill(struct vpci *f)
{
    const struct vpci_config *d = &f->desc;

    put_le16(&f->config[PCI_VENDOR], d->vendor);
    put_le16(&f->config[PCI_DEVICE], d->device);
    f->config[PCI_REVISION] = d->revision;
    f->config[PCI_PROG_IF] = d->prog_if;
    put_le16(&f->config[PCI_CLASS], d->class);
    put_le16(&f->config[PCI_SUBSYSTEM_VENDOR], d->subsystem_vendor);
    put_le16(&f->config[PCI_SUBSYSTEM], d->subsystem);
    f->config[PCI_INTERRUPT_PIN] = INTERRUPT_PIN_A;
    put_le16(&f->writable[PCI_COMMAND],
             PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | PCI_COMMAND_SERR | PCI_COMMAND_INTX_OFF);
    f->writable[PCI_CACHE_LINE] = f->writable[PCI_LATENCY] = f->writable[PCI_INTERRUPT_LINE] = UINT8_MAX;
}

void vpci_init(struct vpci *f, struct vpci_bus *bus, uint32_t slot, const struct vpci_config *desc)
{
    assert(slot < VPCI_SLOTS && !bus->functions[slot]);
    memset(f, 0, sizeof(*f));
    f->bus = bus;
    f->slot = slot;
    f->desc = *desc;
    f->function = (struct vpci_function){.read = function_read, .write = function_write, .dev = f};
    f->caps_end = PCI_FIRST_CAPABILITY;
    header_fill(f);
    bus->functions[slot] = f;
    vpciconf_add(bus->conf, VPCI_DEVFN(slot, 0), &f->function);
}

static const uint8_t bar_type[] = {
    [VPCI_BAR_IO] = PCI_BAR_IO,
    [VPCI_BAR_MEMORY64] = PCI_BAR_64,
    [VPCI_BAR_PREFETCH64] = PCI_BAR_64 | PCI_BAR_PREFETCH,
};

void vpci_add_bar(struct vpci *f, uint32_t n, enum vpci_bar_kind kind, uint64_t size, bus_handler handler,
                  void *dev)
{
    bool wide = bar_is_wide(kind), io = kind == VPCI_BAR_IO;

    assert(n + wide < PCI_BARS && (size & (size - 1)) == 0 && size >= (io ? 4u : 16u));
    assert(io ? size <= 256 : size <= (wide ? BIT(46) : BIT(31)));
    f->bars[n] = (struct vpci_bar){.kind = kind, .size = size, .handler = handler, .dev = dev};
    put_le32(&f->config[PCI_BAR(n)], bar_type[kind]);
    put_le32(&f->writable[PCI_BAR(n)], (uint32_t) ~(size - 1));
    if (wide)
        put_le32(&f->writable[PCI_BAR(n + 1)], (uint32_t)(~(size - 1) >> 32));
    f->writable[PCI_COMMAND] |= io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
}

uint32_t vpci_add_cap(struct vpci *f, uint8_t id, uint32_t len)
{
    uint32_t at = f->caps_end;

    assert(len >= 2 && ALIGN_UP(at + len, 4) <= PCI_CONFIG_SIZE);
    f->config[at] = id;
    f->config[f->last_cap ? f->last_cap + 1 : PCI_CAPABILITIES] = (uint8_t)at;
    f->config[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
    f->last_cap = at;
    f->caps_end = ALIGN_UP(at + len, 4);
    return at;
}

void vpci_add_msix(struct vpci *f, struct vmsix *msix, uint32_t count, uint32_t bar, uint32_t table,
                   uint32_t pending)
{
    uint32_t at = vpci_add_cap(f, PCI_CAP_MSIX, MSIX_LENGTH);

    vmsix_init(msix, count, &f->bus->msi);
    f->msix = msix;
    f->msix_cap = at;
    put_le16(&f->config[at + MSIX_CONTROL], (uint16_t)(count - 1));
    put_le16(&f->writable[at + MSIX_CONTROL], MSIX_CONTROL_ON | MSIX_CONTROL_MASK);
    put_le32(&f->config[at + MSIX_TABLE], table | bar);
    put_le32(&f->config[at + MSIX_PENDING], pending | bar);
}

void vpci_add_msi(struct vpci *f, struct vmsi *msi, uint32_t log2_count)
{
    f->msi = msi;
    f->msi_cap = vpci_add_cap(f, PCI_CAP_MSI, VMSI_LENGTH);
    vmsi_init(msi, &f->config[f->msi_cap], &f->writable[f->msi_cap], log2_count, &f->bus->msi);
}

void vpci_add_flr(struct vpci *f)
{
    f->af_cap = vpci_add_cap(f, PCI_CAP_AF, PCI_AF_LENGTH);
    f->config[f->af_cap + 2] = PCI_AF_LENGTH;
    f->config[f->af_cap + PCI_AF_CAPS] = PCI_AF_CAPS_TP_FLR;
    f->writable[f->af_cap + PCI_AF_CONTROL] = PCI_AF_FLR;
}

void vpci_reset(struct vpci *f)
{
    for (uint32_t i = 0; i < PCI_CONFIG_SIZE; i++)
        f->config[i] &= (uint8_t)~f->writable[i];
    decode_update(f);
    if (f->msix)
        vmsix_reset(f->msix);
    if (f->msi)
        vmsi_reset(f->msi);
    f->intx = false;
    intx_update(f);
}

static void bar_set(struct vpci *f, uint32_t n, uint64_t at)
{
    config_set(f, PCI_BAR(n), 4, (uint32_t)at);
    if (bar_is_wide(f->bars[n].kind))
        config_set(f, PCI_BAR(n + 1), 4, (uint32_t)(at >> 32));
}

/* Base addresses are multiples of the size. */
static bool bar_place(struct vpci *f, uint32_t n, uint64_t *next, uint64_t end)
{
    uint64_t size = f->bars[n].size, at = ALIGN_UP(*next, size);

    if (at > end || size > end - at)
        return false;
    bar_set(f, n, at);
    *next = at + size;
    return true;
}

/* The same from the end downwards. */
static bool bar_place_last(struct vpci *f, uint32_t n, uint64_t next, uint64_t *end)
{
    uint64_t size = f->bars[n].size, at = ALIGN_DOWN(*end - MIN(*end, size), size);

    if (at < next || size > *end - at)
        return false;
    bar_set(f, n, at);
    *end = at;
    return true;
}

/* Large ones from the end, so that they take no room from small ones by their alignment. */
static bool memory_place(struct vpci *f, uint32_t n, struct vpci_window *window)
{
    bool below = f->bars[n].size >= LARGE ? bar_place_last(f, n, window->memory, &window->memory_end)
                                          : bar_place(f, n, &window->memory, window->memory_end);

    return below || (bar_is_wide(f->bars[n].kind) && bar_place(f, n, &window->above, window->above_end));
}

bool vpci_place(struct vpci *f, struct vpci_window *window, uint8_t interrupt_line)
{
    bool fits = true;

    for (uint32_t n = 0; n < PCI_BARS; n++) {
        if (f->bars[n].kind == VPCI_BAR_IO)
            fits &= bar_place(f, n, &window->port, window->port_end);
        else if (f->bars[n].kind != VPCI_BAR_NONE)
            fits &= memory_place(f, n, window);
    }
    f->config[PCI_INTERRUPT_LINE] = interrupt_line;
    if (fits)
        function_write(f, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
    return fits;
}
