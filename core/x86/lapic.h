/*
 * The host's local APIC (SDM volume 3 chapter "Advanced Programmable Interrupt Controller"), through MSRs if
 * CAP_X2APIC is settled, else through its page. All functions act on the calling core's own.
 */
#pragma once

#include "core/lib/types.h"

/* Where the page of registers is, for hostmap_device(). */
hpa_t lapic_base(void);
/* Gives the page, uncached; may be NULL if CAP_X2APIC is settled. Once, before the first lapic_enable(). */
void lapic_init(volatile void *page);
/*
 * Puts the calling core's LAPIC into the settled mode with everything masked and VECTOR_SPURIOUS as its spurious vector.
 * ERR_NOTSUP if that mode can't be had: the firmware locked x2APIC mode.
 */
int lapic_enable(void) MUST_CHECK;

uint32_t lapic_id(void);
void lapic_eoi(void);
/* Sends interrupt `vector` to the core with that id. */
void lapic_ipi(uint32_t apic_id, uint8_t vector);
/* Sends an NMI to all cores but this one; does nothing before lapic_enable(). */
void lapic_nmi_others(void);
void lapic_nmi(uint32_t apic_id);
/* The two kinds of IPI that start a core: INIT, and a start-up at `page` (address >> 12). */
void lapic_send_init(uint32_t apic_id);
void lapic_send_startup(uint32_t apic_id, uint8_t page);

/* The calling core's timer counts, from 0 and without an interrupt, for its rate to be measured (drivers/hw/lapic_rate.h). */
void lapic_timer_count(void);
uint32_t lapic_timer_counted(void);
/* Ends that. The timers of all cores have this rate; not needed with CAP_TSC_DEADLINE. */
void lapic_timer_set_rate(uint64_t tsc_hz, uint64_t hz);
/* Makes the calling core's timer raise VECTOR_TIMER. */
void lapic_timer_enable(void);
/*
 * One interrupt when the TSC reaches `tsc`, at once if it has; UINT64_MAX disarms. Without TSC-deadline mode it may come
 * early when the deadline is far away: whoever armed it looks at the time and arms it again.
 */
void lapic_timer_arm(uint64_t tsc);
