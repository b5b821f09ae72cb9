/*
 * The test exit port of QEMU's isa-debug-exit device: a value that is written to it ends the machine with that status.
 * Reads give zeros.
 */
#pragma once

#include "core/bus.h"

#define VEXIT_PORTS 4

struct vexit {
    void (*exit)(void *ctx, uint32_t value);
    void *ctx;
};

void vexit_init(struct vexit *exit, void (*callback)(void *ctx, uint32_t value), void *ctx);
/* VEXIT_PORTS ports; a value is written to the first, with any access size. */
enum bus_result vexit_ports(void *exit, struct bus_access *access);
