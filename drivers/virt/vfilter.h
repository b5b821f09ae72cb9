/* Which frames a station wants (virtio 1.2, 5.1.6.5.1 to 5.1.6.5.3). */
#pragma once

#include "core/lib/bytes.h"

#define VFILTER_MAC       6
#define VFILTER_ADDRESSES 64
#define VFILTER_VLANS     4096

/* All zero but `mac` is: what is sent to that address, and broadcasts, without VLAN tags. */
struct vfilter {
    bool promiscuous; /* whatever the rest says */
    bool all_multicast, all_unicast, no_multicast, no_unicast, no_broadcast;
    uint8_t mac[VFILTER_MAC];
    uint32_t unicast, multicast; /* how many addresses there are of each; too many are `all` */
    bool many_unicast, many_multicast;
    uint8_t table[VFILTER_ADDRESSES][VFILTER_MAC]; /* unicast ones first */
    uint64_t vlans[VFILTER_VLANS / 64];            /* a bit each */
};

/* As a number: addresses are compared for each frame. */
static inline uint64_t mac_key(const uint8_t *mac)
{
    return get_le32(mac) | (uint64_t)get_le16(mac + 4) << 32;
}

static inline bool mac_is_group(const uint8_t *mac)
{
    return mac[0] & 1;
}
/* The frame's first 16 bytes are there, or all of it. */
bool vfilter_passes(const struct vfilter *filter, const uint8_t *head, uint32_t len);
void vfilter_vlan(struct vfilter *filter, uint16_t vlan, bool wanted);
/* All tags, or none. */
void vfilter_vlans(struct vfilter *filter, bool wanted);
