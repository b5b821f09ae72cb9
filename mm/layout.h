/*
 * The hypervisor's virtual address space (4 levels, 48 bits). The upper half is shared by all address spaces; the guest
 * window and the memory of disks are all that is in the lower half, and each VM's host page table has its own.
 */
#pragma once

#include "core/lib/types.h"

/* gpa X of the VM that this core runs is at WINDOW_BASE + X. */
#define WINDOW_BASE 0x0000400000000000ull
#define WINDOW_SIZE BIT(46)

/* And beside it, what is behind that VM's disks. */
#define DISK_BASE 0x0000200000000000ull
#define DISK_SIZE BIT(45)

/* Pool frame P is at DIRECT_BASE + P (RW, NX); boot modules too (RO, NX). */
#define DIRECT_BASE 0xffff800000000000ull
#define DIRECT_SIZE BIT(46)

/* Host devices and firmware tables, handed out by hostmap_device and hostmap_firmware. */
#define MMIO_BASE 0xffffd00000000000ull
#define MMIO_SIZE BIT(39)

/* Per-core stacks, each below and above a guard page. */
#define STACK_BASE 0xffffe00000000000ull
#define STACK_SIZE BIT(39)

/* The ELF image, at IMAGE_BASE + its offset from where it was loaded. */
#define IMAGE_BASE 0xffffffff80000000ull

static inline void *pool_ptr(hpa_t hpa)
{
    return (void *)(DIRECT_BASE + hpa);
}

static inline hpa_t pool_hpa(const void *ptr)
{
    return (hpa_t)(uintptr_t)ptr - DIRECT_BASE;
}
