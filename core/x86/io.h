/* Port and MMIO accesses of the host. For drivers/hw and core/x86; device models never see this. */
#pragma once

#include "core/lib/types.h"

#define IO_PORT(suffix, type)                                                                                \
    static inline type in##suffix(uint16_t port)                                                             \
    {                                                                                                        \
        type v;                                                                                              \
        __asm__ volatile("in %1, %0" : "=a"(v) : "Nd"(port));                                                \
        return v;                                                                                            \
    }                                                                                                        \
    static inline void out##suffix(uint16_t port, type v)                                                    \
    {                                                                                                        \
        __asm__ volatile("out %0, %1" : : "a"(v), "Nd"(port) : "memory");                                    \
    }
IO_PORT(b, uint8_t)
IO_PORT(w, uint16_t)
IO_PORT(l, uint32_t)
#undef IO_PORT

static inline uint32_t mmio_read32(const volatile void *p)
{
    return *(const volatile uint32_t *)p;
}

static inline void mmio_write32(volatile void *p, uint32_t v)
{
    *(volatile uint32_t *)p = v;
}
