/*
 * An Ethernet switch between VMs: learns who is where, floods what it doesn't know, and keeps frames for each port in a buffer
 * of the hypervisor's, into which the sender's core copies and out of which the receiver's core does. A port whose buffer is
 * full loses frames; nobody ever waits. Pure but for its lock: any core may send at any time.
 */
#pragma once

#include "core/lib/lock.h"
#include "core/lib/types.h"

#define VSWITCH_PORTS     64
#define VSWITCH_ADDRESSES 256
#define VSWITCH_FRAME_MIN 14
#define VSWITCH_FRAME_MAX 1518 /* with a VLAN tag, without checksum */
#define VSWITCH_MAC       6

struct vswitch;

struct vswitch_counters {
    uint64_t frames, bytes, dropped;
};

struct vswitch_port {
    struct vswitch *net; /* NULL: not plugged in */
    uint32_t number;
    uint8_t *buffer; /* of buffer_bytes, the caller's */
    uint32_t buffer_bytes, head, used;
    void (*wake)(void *ctx); /* a frame came into an empty buffer; on any core, with the switch locked */
    void *ctx;
    struct vswitch_counters in, out; /* from the switch's view: of the port's sender; to its receiver */
};

struct vswitch_address {
    uint8_t mac[VSWITCH_MAC];
    uint8_t port; /* + 1; 0: free */
};

struct vswitch {
    struct lock lock; /* guards all below, and all of the ports but `net` and `ctx` */
    struct vswitch_port *ports[VSWITCH_PORTS];
    struct vswitch_address addresses[VSWITCH_ADDRESSES];
};

/* Plugs a port in, its buffer and wake filled in; false if there is no free one. */
bool vswitch_attach(struct vswitch *net, struct vswitch_port *port);
void vswitch_detach(struct vswitch_port *port);
/* Takes a frame of the port's sender; false if it is none (it is then counted as dropped). */
bool vswitch_send(struct vswitch_port *port, const uint8_t *frame, uint32_t len);
/* The next frame for the port, or 0; buf has room for VSWITCH_FRAME_MAX. */
uint32_t vswitch_receive(struct vswitch_port *port, uint8_t *buf);
/* Forgets what waits. */
void vswitch_flush(struct vswitch_port *port);
