#include "drivers/virt/vfilter.h"

#include "core/lib/string.h"

#define TAG_TYPE 12 /* 0x8100, in network order */
#define TAG      14

#define BROADCAST 0xffffffffffffull

static bool table_has(const struct vfilter *filter, uint32_t first, uint32_t count, const uint8_t *mac)
{
    for (uint32_t i = first; i < first + count; i++)
        if (mac_key(filter->table[i]) == mac_key(mac))
            return true;
    return false;
}

static bool vlan_passes(const struct vfilter *filter, const uint8_t *head, uint32_t len)
{
    uint32_t vlan;

    if (len < TAG + 2 || head[TAG_TYPE] != 0x81 || head[TAG_TYPE + 1] != 0x00)
        return true;
    vlan = (head[TAG] & 0x0fu) << 8 | head[TAG + 1];
    return filter->vlans[vlan / 64] & BIT(vlan % 64);
}

static bool group_passes(const struct vfilter *filter, const uint8_t *mac)
{
    if (mac_key(mac) == BROADCAST)
        return !filter->no_broadcast;
    return !filter->no_multicast && (filter->all_multicast || filter->many_multicast ||
                                     table_has(filter, filter->unicast, filter->multicast, mac));
}

static bool station_passes(const struct vfilter *filter, const uint8_t *mac)
{
    return !filter->no_unicast &&
           (filter->all_unicast || filter->many_unicast || mac_key(mac) == mac_key(filter->mac) ||
            table_has(filter, 0, filter->unicast, mac));
}

bool vfilter_passes(const struct vfilter *filter, const uint8_t *head, uint32_t len)
{
    if (filter->promiscuous)
        return true;
    return vlan_passes(filter, head, len) &&
           (mac_is_group(head) ? group_passes(filter, head) : station_passes(filter, head));
}

void vfilter_vlan(struct vfilter *filter, uint16_t vlan, bool wanted)
{
    uint64_t *word = &filter->vlans[vlan % VFILTER_VLANS / 64], bit = BIT(vlan % 64);

    *word = wanted ? *word | bit : *word & ~bit;
}

void vfilter_vlans(struct vfilter *filter, bool wanted)
{
    memset(filter->vlans, wanted ? 0xff : 0, sizeof(filter->vlans));
}
