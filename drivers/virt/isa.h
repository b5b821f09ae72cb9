/* What the 8-bit devices of a PC have in common. */
#pragma once

#include "core/bus.h"

/*
 * ISA's way with a 2- or 4-byte access to an 8-bit device: byte cycles at ascending addresses. Calls handler once for
 * each; a byte that it doesn't claim reads as 0xff.
 */
enum bus_result isa_split(bus_handler handler, void *dev, struct bus_access *access);
