/* The host LAPIC's registers: offsets in the xAPIC page; an x2APIC MSR has the offset's upper digits as its number. */
#pragma once

#include "core/lib/types.h"

#define LAPIC_ID            0x020
#define LAPIC_VERSION       0x030
#define LAPIC_TPR           0x080
#define LAPIC_EOI           0x0b0
#define LAPIC_SPURIOUS      0x0f0
#define SPURIOUS_ENABLE     BIT(8)
#define LAPIC_ISR           0x100
#define LAPIC_ESR           0x280
#define LAPIC_LVT_CMCI      0x2f0
#define LAPIC_ICR_LOW       0x300
#define ICR_FIXED           (0u << 8)
#define ICR_NMI             (4u << 8)
#define ICR_INIT            (5u << 8)
#define ICR_STARTUP         (6u << 8)
#define ICR_PENDING         BIT(12)
#define ICR_ASSERT          (1u << 14)
#define ICR_ALL_OTHERS      (3u << 18)
#define ICR_SPINS           1000000u
#define LAPIC_ICR_HIGH      0x310
#define LAPIC_LVT_TIMER     0x320
#define LAPIC_LVT_THERMAL   0x330
#define LAPIC_LVT_PERF      0x340
#define LAPIC_LVT_LINT0     0x350
#define LAPIC_LVT_LINT1     0x360
#define LAPIC_LVT_ERROR     0x370
#define LVT_MASKED          BIT(16)
#define LVT_TSC_DEADLINE    (2u << 17)
#define LAPIC_TIMER_INITIAL 0x380
#define LAPIC_TIMER_CURRENT 0x390
#define LAPIC_TIMER_DIVIDE  0x3e0
#define DIVIDE_BY_1         0xbu

/* Register access in the settled mode; lapic.c's own, and lapic_timer.c's. */
uint32_t lapic_read(uint32_t reg);
void lapic_write(uint32_t reg, uint32_t value);
