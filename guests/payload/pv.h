/* KVM's paravirtual interface as a guest sees it. */
#pragma once

#include "guests/payload/payload.h"

#define PV_CLOCK     BIT(3) /* CPUID 4000'0001H EAX */
#define PV_STEAL     BIT(5)
#define PV_EOI       BIT(6)
#define PV_UNHALT    BIT(7)
#define PV_TLB_FLUSH BIT(9)
#define PV_SEND_IPI  BIT(11)
#define PV_POLL      BIT(12)
#define PV_YIELD     BIT(13)

#define PV_CALL_POLL_IRQ 1
#define PV_CALL_KICK     5
#define PV_CALL_IPI      10
#define PV_CALL_YIELD    11

/* struct kvm_steal_time */
struct pv_steal {
    uint64_t steal;
    uint32_t version, flags;
    uint8_t preempted, pad[47];
} __attribute__((aligned(64)));

/* What is offered; 0 where the signature isn't KVM's. */
uint32_t pv_features(void);
uint64_t pv_call(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
void test_pv(void);
void test_hv(void);
void test_pv_smp(uint32_t cpu);
