#include "drivers/virt/virtio_net.h"

#include "core/lib/bytes.h"
#include "core/lib/string.h"
#include "drivers/virt/virtio_net_parts.h"

/* The configuration: 5.1.4 */
#define CONFIG_STATUS  6
#define CONFIG_PAIRS   8
#define CONFIG_LENGTH  10
#define STATUS_LINK_UP BIT(0)

#define FEATURES                                                                                             \
    (NET_GUEST_OFFLOADS | VIRTIO_NET_F_CSUM | VIRTIO_NET_F_CTRL_GUEST_OFFLOADS | VIRTIO_NET_F_MAC |          \
     VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6 | VIRTIO_NET_F_HOST_ECN | VIRTIO_NET_F_MRG_RXBUF |      \
     VIRTIO_NET_F_STATUS | VIRTIO_NET_F_CTRL_VQ | VIRTIO_NET_F_CTRL_RX | VIRTIO_NET_F_CTRL_VLAN |            \
     VIRTIO_NET_F_CTRL_RX_EXTRA | VIRTIO_NET_F_CTRL_MAC_ADDR)

/* 5.1.3.1: what a feature needs one of. */
static const struct {
    uint64_t feature, one_of;
} needs[] = {
    {VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_CSUM},
    {VIRTIO_NET_F_GUEST_ECN, VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6},
    {VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_CSUM},
    {VIRTIO_NET_F_HOST_ECN, VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6},
    {VIRTIO_NET_F_CTRL_RX | VIRTIO_NET_F_CTRL_VLAN | VIRTIO_NET_F_MQ | VIRTIO_NET_F_CTRL_MAC_ADDR |
         VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
     VIRTIO_NET_F_CTRL_VQ},
    {VIRTIO_NET_F_CTRL_RX_EXTRA, VIRTIO_NET_F_CTRL_RX},
};

bool net_accepts(uint64_t features)
{
    for (uint32_t i = 0; i < ARRAY_SIZE(needs); i++)
        if ((features & needs[i].feature) && !(features & needs[i].one_of))
            return false;
    return true;
}

/* -- sending ---------------------------------------------------------------------------------------------------- */

/* What the header asks for; false if that can't be. Flags that weren't negotiated mean nothing (5.1.6.2.2). */
static bool header_parse(const struct virtio_net *n, const uint8_t *header, const uint8_t *head,
                         struct packet *p)
{
    uint8_t gso = header[NET_HEADER_GSO] & (uint8_t)~NET_GSO_ECN;

    p->sum = virtio_has(&n->v, VIRTIO_NET_F_CSUM) && (header[NET_HEADER_FLAGS] & NET_NEEDS_SUM);
    p->sum_start = get_le16(header + NET_HEADER_START);
    p->sum_offset = get_le16(header + NET_HEADER_OFFSET);
    if (p->sum && !packet_sum_sound(p))
        return false;
    if (gso == 0)
        return true;
    p->gso = gso;
    p->ecn = header[NET_HEADER_GSO] & NET_GSO_ECN;
    p->segment = get_le16(header + NET_HEADER_SEGMENT);
    return ((gso == PACKET_TCP4 && virtio_has(&n->v, VIRTIO_NET_F_HOST_TSO4)) ||
            (gso == PACKET_TCP6 && virtio_has(&n->v, VIRTIO_NET_F_HOST_TSO6))) &&
           p->len <= PACKET_LONG_MAX && packet_parse(head, p);
}

/* 5.1.6.5.6: what comes back is given to the same pair. */
static void flow_note(struct virtio_net *n, uint32_t queue, const uint8_t *head, uint32_t len)
{
    if (n->pairs > 1)
        n->steering[packet_flow(head, len) % VIRTIO_NET_FLOWS] = (uint8_t)(queue / 2);
}

/* Returns what it has cost; 0: it was none. */
static uint32_t frame_send(struct virtio_net *n, uint32_t queue)
{
    const struct vring_chain *chain = n->v.host.chain;
    uint8_t header[NET_HEADER], head[PACKET_HEAD];
    struct vswitch_data data = {.head = head, .rest = vring_readable(chain)};
    struct packet p = {0};

    if (chain->readable_bytes < NET_HEADER || chain->readable != chain->count) {
        virtio_break(&n->v);
        return 0;
    }
    p.len = (uint32_t)chain->readable_bytes - NET_HEADER;
    data.head_len = MIN(p.len, (uint32_t)PACKET_HEAD);
    vring_read(&data.rest, header, NET_HEADER);
    vring_read(&data.rest, head, data.head_len);
    if (p.len < PACKET_MIN || !header_parse(n, header, head, &p)) {
        n->bad++;
        p.len = 0; /* counted as none */
    } else {
        flow_note(n, queue, head, data.head_len);
    }
    vswitch_send(&n->port, &p, &data);
    vlimit_pay(&n->limit, n->v.now, 1, p.len);
    virtio_give(&n->v, queue, 0);
    return NET_FRAME_COST + p.len;
}

static void net_transmit(struct virtio_net *n, uint32_t queue)
{
    uint32_t cost = 0, done = 1;
    uint64_t wait = 0;

    while (done && cost < NET_BATCH && !(wait = vlimit_wait(&n->limit, n->v.now)) &&
           virtio_take(&n->v, queue)) {
        done = frame_send(n, queue);
        cost += done;
    }
    virtio_signal(&n->v, queue);
    if (wait || cost >= NET_BATCH)
        virtio_defer_until(&n->v, queue, wait);
}

/* -- receiving: when frames have come --------------------------------------------------------------------------- */

static void net_arrived(struct timer *timer, uint64_t now)
{
    struct virtio_net *n = CONTAINER_OF(timer, struct virtio_net, arrived);

    n->v.now = now;
    if (n->v.status & VIRTIO_DRIVER_OK)
        net_receive(n);
    else
        vswitch_flush(&n->port); /* nobody listens */
}

/* On the sender's core. */
static void net_wake(void *ctx)
{
    timer_arm(&((struct virtio_net *)ctx)->arrived, 0);
}

/* -- the device ------------------------------------------------------------------------------------------------- */

/* 5.1.2: receive and transmit queues in turn, and behind those that the driver knows of the control queue. */
static void net_notify(struct virtio *v, uint32_t queue)
{
    struct virtio_net *n = net_of(v);
    uint32_t pairs = virtio_has(v, VIRTIO_NET_F_MQ) ? n->pairs_max : 1;

    if (queue == 2 * pairs && virtio_has(v, VIRTIO_NET_F_CTRL_VQ))
        net_control(n, queue);
    else if (queue < 2 * pairs && queue % 2)
        net_transmit(n, queue);
    else if (queue < 2 * pairs)
        net_receive(n);
}

void net_set_mac(struct virtio_net *n, const uint8_t *mac)
{
    memcpy(n->v.config, mac, VSWITCH_MAC);
    memcpy(n->filter.mac, mac, VSWITCH_MAC);
}

void net_apply_filter(struct virtio_net *n)
{
    struct vfilter filter = n->filter;

    if (!virtio_has(&n->v, VIRTIO_NET_F_CTRL_VLAN))
        vfilter_vlans(&filter, true);
    vswitch_filter(&n->port, &filter);
}

/* Until the driver says what it wants, it gets all that the switch has for this port. */
static void net_reset(struct virtio *v)
{
    struct virtio_net *n = net_of(v);

    n->filter = (struct vfilter){.promiscuous = true};
    n->off = 0;
    n->pairs = 1;
    n->piece = 0;
    memset(n->steering, 0, sizeof(n->steering));
    net_set_mac(n, n->mac);
    if (!n->port.net)
        return;
    net_apply_filter(n);
    vswitch_flush(&n->port);
}

static const struct virtio_ops net_ops = {.reset = net_reset, .notify = net_notify, .accepts = net_accepts};

bool virtio_net_init(struct virtio_net *n, const struct virtio_host *host, uint32_t slot,
                     const struct virtio_net_config *config)
{
    uint32_t pairs = MIN(MAX(config->pairs, 1u), (uint32_t)VIRTIO_NET_PAIRS);
    const struct virtio_config desc = {
        .name = "virtio-net",
        .id = 1,
        .pci_class = 0x0200,
        .features = FEATURES | (pairs > 1 ? VIRTIO_NET_F_MQ : 0),
        .packed = config->packed,
        .queues = 2 * pairs + 1,
        .config_len = CONFIG_LENGTH,
        .ops = &net_ops,
    };

    memset(n, 0, sizeof(*n));
    n->pairs_max = pairs;
    memcpy(n->mac, config->mac, VSWITCH_MAC);
    virtio_init(&n->v, host, slot, &desc);
    net_set_mac(n, n->mac);
    put_le16(n->v.config + CONFIG_STATUS, STATUS_LINK_UP);
    put_le16(n->v.config + CONFIG_PAIRS, (uint16_t)pairs);
    timer_init(&n->arrived, host->timers, net_arrived);
    vlimit_set(&n->limit, &config->rates);
    n->port.buffer = config->buffer;
    n->port.buffer_bytes = config->buffer_bytes;
    n->port.filter = n->filter;
    n->port.wake = net_wake;
    n->port.ctx = n;
    return vswitch_attach(config->net, &n->port);
}

void virtio_net_remove(struct virtio_net *n)
{
    vswitch_detach(&n->port);
    timer_disarm(&n->arrived);
}

/* 5.1.4.1 */
void virtio_net_link(struct virtio_net *n, bool up)
{
    uint16_t status = get_le16(n->v.config + CONFIG_STATUS);
    uint16_t wanted = (uint16_t)(up ? status | STATUS_LINK_UP : status & ~STATUS_LINK_UP);

    if (wanted == status)
        return;
    put_le16(n->v.config + CONFIG_STATUS, wanted);
    vswitch_link(&n->port, up);
    virtio_config_changed(&n->v);
}

void virtio_net_limit(struct virtio_net *n, const struct vlimit_rates *rates)
{
    vlimit_set(&n->limit, rates);
    virtio_hurry(&n->v);
}
