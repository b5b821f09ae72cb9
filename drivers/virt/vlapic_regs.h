/* Between the files of the LAPIC model: register numbers (MMIO offset / 16, MSR - 0x800; SDM table 11-6), and the timer. */
#pragma once

#include "drivers/virt/vlapic.h"

enum vlapic_reg {
    REG_ID = 0x02,
    REG_VERSION = 0x03,
    REG_TPR = 0x08,
    REG_APR = 0x09,
    REG_PPR = 0x0a,
    REG_EOI = 0x0b,
    REG_RRD = 0x0c,
    REG_LDR = 0x0d,
    REG_DFR = 0x0e,
    REG_SVR = 0x0f,
    REG_ISR = 0x10, /* eight registers each */
    REG_TMR = 0x18,
    REG_IRR = 0x20,
    REG_ESR = 0x28,
    REG_ICR = 0x30, /* x2APIC: all 64 bits */
    REG_ICR_HIGH = 0x31,
    REG_LVT = 0x32, /* LVT_COUNT registers, in the order of enum vlapic_lvt */
    REG_INITIAL = 0x38,
    REG_CURRENT = 0x39,
    REG_DIVIDE = 0x3e,
    REG_SELF_IPI = 0x3f, /* x2APIC only */
    REG_COUNT = 0x40,
};

_Static_assert(VLAPIC_TIMED == (BIT(REG_SVR) | BIT(REG_LVT + LVT_TIMER) | BIT(REG_INITIAL) |
                                BIT(REG_CURRENT) | BIT(REG_DIVIDE)),
               "svr_write and what goes to vlapic_timer.c");

#define SVR_ENABLE          BIT(8)
#define LVT_MASKED          BIT(16)
#define LVT_DELIVERY(lvt)   ((lvt) >> 8 & 7)
#define LVT_TIMER_MODE(lvt) ((lvt) >> 17 & 3)

enum timer_mode { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_DEADLINE };

/* ESR (SDM 11.5.3) */
#define ESR_SEND_VECTOR    BIT(5)
#define ESR_RECEIVE_VECTOR BIT(6)
#define ESR_REGISTER       BIT(7)

/* Notes errors, and interrupts for those that are new. */
void vlapic_error(struct vlapic *l, uint32_t errors);
/* A local source delivers as its LVT entry says. */
void vlapic_lvt_deliver(struct vlapic *l, enum vlapic_lvt entry);
void vlapic_set_tpr(struct vlapic *l, uint8_t tpr);
void vlapic_set_svr(struct vlapic *l, uint32_t svr);

/* The value of a register that exists. */
uint32_t vlapic_reg_read(const struct vlapic *l, uint64_t reg, uint64_t now);
/* A write in xAPIC mode. */
void vlapic_xapic_write(struct vlapic *l, uint64_t reg, uint32_t value, uint64_t now);

/* vlapic_page.c. With config.vapic: */
void vlapic_page_set_tpr(struct vlapic *l, uint8_t tpr);
void vlapic_page_post(struct vlapic *l, uint8_t vector, bool level_triggered);
/* With it or without: */
void vlapic_page_eoi(struct vlapic *l);
void vlapic_page_mode(struct vlapic *l);
/* Shows the registers to reads that don't exit. */
void vlapic_page_show(struct vlapic *l);
/* Shows what a write of that register can have changed. */
void vlapic_page_show_after(struct vlapic *l, uint64_t reg);
/* Only with it: ICR as the guest left it, which it may have written without an exit. */
void vlapic_page_adopt(struct vlapic *l);

void vlapic_timer_init(struct vlapic *l);
void vlapic_timer_reset(struct vlapic *l);
void vlapic_timer_set_lvt(struct vlapic *l, uint32_t lvt, uint64_t now);
void vlapic_timer_set_initial(struct vlapic *l, uint32_t count, uint64_t now);
void vlapic_timer_set_divide(struct vlapic *l, uint32_t divide, uint64_t now);
uint32_t vlapic_timer_current(const struct vlapic *l, uint64_t now);
