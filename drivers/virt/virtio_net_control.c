/* The network device's control queue (virtio 1.2, 5.1.6.5). */
#include "core/lib/bytes.h"
#include "core/lib/string.h"
#include "drivers/virt/virtio_net_parts.h"

#define COMMAND_LENGTH 2 /* class and command */
#define COMMANDS_BATCH 32

enum { ACK_OK, ACK_ERROR };

/* The data of a command, behind its two first bytes. */
struct data {
    struct vring_cursor at;
    uint64_t left;
};

static bool data_read(struct data *data, void *buf, uint32_t len)
{
    if (data->left < len)
        return false;
    data->left -= len;
    return vring_read(&data->at, buf, len);
}

static bool data_switch(struct data *data, bool *on)
{
    uint8_t value;

    if (!data_read(data, &value, 1) || value > 1)
        return false;
    *on = value;
    return true;
}

static bool data_number(struct data *data, uint32_t bytes, uint64_t *value)
{
    uint8_t number[8] = {0};

    if (!data_read(data, number, bytes))
        return false;
    *value = get_le64(number);
    return true;
}

/* -- RX: 5.1.6.5.1 ---------------------------------------------------------------------------------------------- */

static bool set_promiscuous(struct virtio_net *n, struct data *data)
{
    return data_switch(data, &n->filter.promiscuous);
}

static bool set_all_multicast(struct virtio_net *n, struct data *data)
{
    return data_switch(data, &n->filter.all_multicast);
}

static bool set_all_unicast(struct virtio_net *n, struct data *data)
{
    return data_switch(data, &n->filter.all_unicast);
}

static bool set_no_multicast(struct virtio_net *n, struct data *data)
{
    return data_switch(data, &n->filter.no_multicast);
}

static bool set_no_unicast(struct virtio_net *n, struct data *data)
{
    return data_switch(data, &n->filter.no_unicast);
}

static bool set_no_broadcast(struct virtio_net *n, struct data *data)
{
    return data_switch(data, &n->filter.no_broadcast);
}

/* -- MAC: 5.1.6.5.2 --------------------------------------------------------------------------------------------- */

/* One of the two lists, into `table` from `first` on; with more than there is room for, `many` says so, and none is kept. */
static bool table_read(struct data *data, struct vfilter *filter, uint32_t first, uint32_t *count, bool *many)
{
    uint64_t entries;

    if (!data_number(data, 4, &entries) || data->left / VFILTER_MAC < entries)
        return false;
    *many = entries > VFILTER_ADDRESSES - first;
    *count = *many ? 0 : (uint32_t)entries;
    if (!*many)
        return data_read(data, filter->table[first], *count * VFILTER_MAC);
    data->left -= entries * VFILTER_MAC;
    return vring_skip(&data->at, entries * VFILTER_MAC);
}

/* Both lists, or nothing is changed. */
static bool set_table(struct virtio_net *n, struct data *data)
{
    struct vfilter filter = n->filter;

    if (!table_read(data, &filter, 0, &filter.unicast, &filter.many_unicast) ||
        !table_read(data, &filter, filter.unicast, &filter.multicast, &filter.many_multicast))
        return false;
    n->filter = filter;
    return true;
}

static bool set_address(struct virtio_net *n, struct data *data)
{
    uint8_t mac[VFILTER_MAC];

    if (!data_read(data, mac, sizeof(mac)) || mac_is_group(mac))
        return false;
    net_set_mac(n, mac);
    return true;
}

/* -- VLAN: 5.1.6.5.3 -------------------------------------------------------------------------------------------- */

static bool set_vlan(struct virtio_net *n, struct data *data, bool wanted)
{
    uint64_t vlan;

    if (!data_number(data, 2, &vlan) || vlan >= VFILTER_VLANS)
        return false;
    vfilter_vlan(&n->filter, (uint16_t)vlan, wanted);
    return true;
}

static bool add_vlan(struct virtio_net *n, struct data *data)
{
    return set_vlan(n, data, true);
}

static bool remove_vlan(struct virtio_net *n, struct data *data)
{
    return set_vlan(n, data, false);
}

/* -- queues and offloads: 5.1.6.5.6, 5.1.6.5.8 ------------------------------------------------------------------ */

static bool set_pairs(struct virtio_net *n, struct data *data)
{
    uint64_t pairs;

    if (!data_number(data, 2, &pairs) || pairs < 1 || pairs > n->pairs_max)
        return false;
    n->pairs = (uint32_t)pairs;
    return true;
}

static bool set_offloads(struct virtio_net *n, struct data *data)
{
    uint64_t accepted = n->v.accepted & NET_GUEST_OFFLOADS, wanted;

    if (!data_number(data, 8, &wanted) || (wanted & ~accepted) || !net_accepts(wanted))
        return false;
    n->off = accepted & ~wanted;
    return true;
}

/* -- commands --------------------------------------------------------------------------------------------------- */

static const struct {
    uint8_t class, command;
    bool (*act)(struct virtio_net *n, struct data *data); /* false: it can't be done, and nothing was */
    uint64_t feature;
} commands[] = {
    {0, 0, set_promiscuous, VIRTIO_NET_F_CTRL_RX},
    {0, 1, set_all_multicast, VIRTIO_NET_F_CTRL_RX},
    {0, 2, set_all_unicast, VIRTIO_NET_F_CTRL_RX_EXTRA},
    {0, 3, set_no_multicast, VIRTIO_NET_F_CTRL_RX_EXTRA},
    {0, 4, set_no_unicast, VIRTIO_NET_F_CTRL_RX_EXTRA},
    {0, 5, set_no_broadcast, VIRTIO_NET_F_CTRL_RX_EXTRA},
    {1, 0, set_table, VIRTIO_NET_F_CTRL_RX},
    {1, 1, set_address, VIRTIO_NET_F_CTRL_MAC_ADDR},
    {2, 0, add_vlan, VIRTIO_NET_F_CTRL_VLAN},
    {2, 1, remove_vlan, VIRTIO_NET_F_CTRL_VLAN},
    {4, 0, set_pairs, VIRTIO_NET_F_MQ},
    {5, 0, set_offloads, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS},
};

static bool command_run(struct virtio_net *n, const uint8_t command[COMMAND_LENGTH], struct data *data)
{
    for (uint32_t i = 0; i < ARRAY_SIZE(commands); i++)
        if (commands[i].class == command[0] && commands[i].command == command[1])
            return virtio_has(&n->v, commands[i].feature) && commands[i].act(n, data);
    return false;
}

/* False: there is no command, or no place for the answer. */
static bool command_take(struct virtio_net *n, uint32_t queue)
{
    const struct vring_chain *chain = n->v.host.chain;
    struct data data = {.at = vring_readable(chain)};
    struct vring_cursor to = vring_writable(chain);
    uint8_t command[COMMAND_LENGTH], ack;

    if (chain->writable_bytes == 0 || !vring_read(&data.at, command, COMMAND_LENGTH)) {
        virtio_break(&n->v);
        return false;
    }
    data.left = chain->readable_bytes - COMMAND_LENGTH;
    ack = command_run(n, command, &data) ? ACK_OK : ACK_ERROR;
    n->commands++;
    n->commands_refused += ack;
    net_apply_filter(n);
    vring_write(&to, &ack, 1);
    virtio_give(&n->v, queue, 1);
    return true;
}

void net_control(struct virtio_net *n, uint32_t queue)
{
    uint32_t done = 0;

    while (done < COMMANDS_BATCH && virtio_take(&n->v, queue) && command_take(n, queue))
        done++;
    virtio_signal(&n->v, queue);
    if (done == COMMANDS_BATCH)
        virtio_defer(&n->v, queue);
}
