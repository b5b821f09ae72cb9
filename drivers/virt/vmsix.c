#include "drivers/virt/vmsix.h"

#include "core/lib/panic.h"

#define CONTROL_MASKED 1u

enum { FIELD_ADDRESS_LOW, FIELD_ADDRESS_HIGH, FIELD_DATA, FIELD_CONTROL };

void vmsix_init(struct vmsix *msix, uint32_t count, const struct vmsi_port *port)
{
    assert(count > 0 && count <= VMSIX_MAX);
    *msix = (struct vmsix){.count = count, .port = *port};
    vmsix_reset(msix);
}

void vmsix_reset(struct vmsix *msix)
{
    msix->enabled = msix->masked = false;
    msix->pending = 0;
    for (uint32_t i = 0; i < msix->count; i++)
        msix->table[i] = (struct vmsix_entry){.control = CONTROL_MASKED};
}

static bool entry_sends(const struct vmsix *msix, uint32_t vector)
{
    return msix->enabled && !msix->masked && !(msix->table[vector].control & CONTROL_MASKED);
}

void vmsix_raise(struct vmsix *msix, uint32_t vector)
{
    if (vector >= msix->count || !msix->enabled)
        return;
    if (entry_sends(msix, vector))
        msix->port.send(msix->port.ctx, msix->table[vector].address, msix->table[vector].data);
    else
        msix->pending |= BIT(vector);
}

/* A message that waited is sent when nothing holds it back any more. */
static void entry_release(struct vmsix *msix, uint32_t vector)
{
    if (!(msix->pending & BIT(vector)) || !entry_sends(msix, vector))
        return;
    msix->pending &= ~BIT(vector);
    msix->port.send(msix->port.ctx, msix->table[vector].address, msix->table[vector].data);
}

void vmsix_control(struct vmsix *msix, bool enabled, bool masked)
{
    msix->enabled = enabled;
    msix->masked = masked;
    for (uint32_t i = 0; i < msix->count; i++)
        entry_release(msix, i);
}

static uint32_t field_read(const struct vmsix *msix, uint32_t dword)
{
    const struct vmsix_entry *entry = &msix->table[dword / 4];

    switch (dword % 4) {
    case FIELD_ADDRESS_LOW:
        return (uint32_t)entry->address;
    case FIELD_ADDRESS_HIGH:
        return (uint32_t)(entry->address >> 32);
    case FIELD_DATA:
        return entry->data;
    default:
        return entry->control;
    }
}

static void field_write(struct vmsix *msix, uint32_t dword, uint32_t value)
{
    struct vmsix_entry *entry = &msix->table[dword / 4];

    switch (dword % 4) {
    case FIELD_ADDRESS_LOW: /* the two low bits are 0: a message is a dword */
        entry->address = (entry->address & ~(uint64_t)UINT32_MAX) | (value & ~3u);
        break;
    case FIELD_ADDRESS_HIGH:
        entry->address = (uint32_t)entry->address | (uint64_t)value << 32;
        break;
    case FIELD_DATA:
        entry->data = value;
        break;
    default:
        entry->control = value & CONTROL_MASKED;
        entry_release(msix, dword / 4);
    }
}

static bool access_sound(const struct bus_access *access, uint64_t len)
{
    return (access->size == 4 || access->size == 8) && IS_ALIGNED(access->addr, access->size) &&
           access->addr + access->size <= len;
}

enum bus_result vmsix_table(void *dev, struct bus_access *access)
{
    struct vmsix *msix = dev;
    uint32_t first = (uint32_t)(access->addr / 4), dwords = access->size / 4;

    if (!access_sound(access, msix->count * sizeof(struct vmsix_entry)))
        return BUS_UNCLAIMED;
    if (!access->write)
        access->value = 0;
    for (uint32_t i = 0; i < dwords; i++) {
        if (access->write)
            field_write(msix, first + i, (uint32_t)(access->value >> 32 * i));
        else
            access->value |= (uint64_t)field_read(msix, first + i) << 32 * i;
    }
    return BUS_OK;
}

/* Read-only: writes are undefined. */
enum bus_result vmsix_pending(void *dev, struct bus_access *access)
{
    const struct vmsix *msix = dev;

    if (!access_sound(access, sizeof(msix->pending)))
        return BUS_UNCLAIMED;
    if (!access->write)
        access->value = msix->pending >> 8 * access->addr;
    return BUS_OK;
}
