/*
 * An Ethernet switch between VMs: learns who is where, floods what it doesn't know, and keeps frames for each port in a buffer
 * of the hypervisor's, into which the sender's core copies and out of which the receiver's core does. A port whose buffer is
 * full loses frames; nobody ever waits. Pure but for its lock: any core may send at any time.
 */
#pragma once

#include "core/lib/lock.h"
#include "drivers/virt/packet.h"
#include "drivers/virt/vfilter.h"
#include "drivers/virt/vring.h"

#define VSWITCH_PORTS     64
#define VSWITCH_ADDRESSES 256
#define VSWITCH_MAC       VFILTER_MAC

struct vswitch;

struct vswitch_counters {
    uint64_t frames, bytes, dropped;
};

struct vswitch_port {
    struct vswitch *net; /* NULL: not plugged in */
    uint32_t number;
    bool down; /* its cable is out: nothing comes or goes */
    struct vfilter filter;
    uint8_t *buffer; /* of buffer_bytes, a power of two; the caller's */
    uint32_t buffer_bytes;
    uint32_t head;           /* frames are taken out here, by the receiver alone; counts on without end */
    uint32_t tail;           /* and put in here */
    void (*wake)(void *ctx); /* a frame came into an empty buffer; on any core, with the switch locked */
    void *ctx;
    struct vswitch_counters in, out; /* from the switch's view: of the port's sender; to its receiver */
};

struct vswitch_address {
    uint64_t key; /* the address (mac_key) */
    uint8_t port; /* + 1; 0: free */
};

struct vswitch {
    struct lock lock; /* guards all below, and all of the ports but `net`, `ctx` and `head` */
    struct vswitch_port *ports[VSWITCH_PORTS];
    struct vswitch_address addresses[VSWITCH_ADDRESSES];
};

/* The bytes of a frame that is sent: the first ones, which nobody changes any more, and the others. */
struct vswitch_data {
    const uint8_t *head;
    uint32_t head_len;
    struct vring_cursor rest;
};

/* Plugs a port in, its buffer, filter and wake filled in; false if there is no free one. */
bool vswitch_attach(struct vswitch *net, struct vswitch_port *port);
void vswitch_detach(struct vswitch_port *port);
void vswitch_link(struct vswitch_port *port, bool up);
void vswitch_filter(struct vswitch_port *port, const struct vfilter *filter);
/* Takes a frame of the port's sender; false if it is none (it is then counted as dropped). */
bool vswitch_send(struct vswitch_port *port, const struct packet *packet, const struct vswitch_data *data);
/* The next frame for the port, which stays where it is and may be changed there until vswitch_next; NULL: none. */
uint8_t *vswitch_peek(struct vswitch_port *port, struct packet **packet);
void vswitch_next(struct vswitch_port *port);
/* Bytes of the buffer that are in use. */
uint32_t vswitch_waiting(const struct vswitch_port *port);
/* Forgets what waits; the receiver's to call. */
void vswitch_flush(struct vswitch_port *port);
