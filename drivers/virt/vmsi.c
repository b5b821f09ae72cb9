#include "drivers/virt/vmsi.h"

#include "core/lib/bytes.h"
#include "core/lib/panic.h"
#include "core/lib/string.h"

#define LOG2_MAX 5

void vmsi_init(struct vmsi *msi, uint8_t *cap, uint8_t *writable, uint32_t log2_count,
               const struct vmsi_port *port)
{
    assert(log2_count <= LOG2_MAX);
    *msi = (struct vmsi){.log2_count = log2_count, .cap = cap, .port = *port};
    put_le16(cap + VMSI_CONTROL, (uint16_t)(log2_count << 1 | VMSI_CONTROL_ADDRESS64 | VMSI_CONTROL_MASKING));
    put_le16(writable + VMSI_CONTROL, VMSI_CONTROL_ENABLE | VMSI_CONTROL_VECTORS);
    put_le64(writable + VMSI_ADDRESS, ~3ull);
    put_le16(writable + VMSI_DATA, UINT16_MAX);
    put_le32(writable + VMSI_MASK, (uint32_t)MASK(1u << log2_count));
}

bool vmsi_enabled(const struct vmsi *msi)
{
    return get_le16(msi->cap + VMSI_CONTROL) & VMSI_CONTROL_ENABLE;
}

/* How many vectors may be told apart: what the system allows, and no more than were asked for. */
static uint32_t vectors_allowed(const struct vmsi *msi)
{
    uint32_t log2 = (get_le16(msi->cap + VMSI_CONTROL) & VMSI_CONTROL_VECTORS) >> 4;

    return 1u << MIN(log2, msi->log2_count);
}

/* The low bits of the data are the vector. */
static void message_send(const struct vmsi *msi, uint32_t vector)
{
    uint32_t data = get_le16(msi->cap + VMSI_DATA) & ~(vectors_allowed(msi) - 1);

    msi->port.send(msi->port.ctx, get_le64(msi->cap + VMSI_ADDRESS), data | vector);
}

void vmsi_raise(struct vmsi *msi, uint32_t vector)
{
    uint32_t pending = get_le32(msi->cap + VMSI_PENDING);

    if (!vmsi_enabled(msi))
        return;
    vector %= vectors_allowed(msi);
    if (get_le32(msi->cap + VMSI_MASK) & BIT(vector))
        put_le32(msi->cap + VMSI_PENDING, pending | (uint32_t)BIT(vector));
    else
        message_send(msi, vector);
}

void vmsi_written(struct vmsi *msi)
{
    uint32_t pending = get_le32(msi->cap + VMSI_PENDING);
    uint32_t ready = pending & ~get_le32(msi->cap + VMSI_MASK);

    if (!vmsi_enabled(msi))
        return;
    put_le32(msi->cap + VMSI_PENDING, pending & ~ready);
    for (uint32_t vector = 0; vector < 1u << msi->log2_count; vector++)
        if (ready & BIT(vector))
            message_send(msi, vector % vectors_allowed(msi));
}

void vmsi_reset(struct vmsi *msi)
{
    put_le32(msi->cap + VMSI_PENDING, 0);
}
