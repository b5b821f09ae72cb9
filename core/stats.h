/*
 * What a vCPU's exits were about, counted by the common actions of core/exit.h: one increment an exit. What a back end
 * settles by itself is in the total alone.
 */
#pragma once

#include "core/lib/types.h"

#define STATS_EXITS(X)                                                                                       \
    X(CPUID, "cpuid")                                                                                        \
    X(HLT, "hlt")                                                                                            \
    X(PAUSE, "pause")                                                                                        \
    X(HYPERCALL, "hypercall")                                                                                \
    X(RDMSR, "rdmsr")                                                                                        \
    X(WRMSR, "wrmsr")                                                                                        \
    X(PORT, "port")                                                                                          \
    X(MEMORY, "memory")                                                                                      \
    X(CR, "cr")                                                                                              \
    X(XSETBV, "xsetbv")                                                                                      \
    X(HOST, "host-interrupt")                                                                                \
    X(WINDOW, "window")                                                                                      \
    X(UNDEFINED, "undefined")

enum stats_exit {
#define STATS_ENUM(id, name) STATS_##id,
    STATS_EXITS(STATS_ENUM)
#undef STATS_ENUM
        STATS_EXIT_COUNT,
};

struct stats {
    uint64_t exits[STATS_EXIT_COUNT];
    uint64_t interrupts; /* injected: not all there are, see vcpu_interrupts */
    /* Counted by whoever calls it, from any core. */
    uint64_t calls;   /* host IPIs to the core on which it ran */
    uint64_t wakeups; /* from HLT */
};

const char *stats_exit_name(enum stats_exit kind);
