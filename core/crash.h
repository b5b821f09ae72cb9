/* The report on a VM that died of its own doing (DESIGN 1.3): between event=crash and event=crash-end. */
#pragma once

#include "core/lib/types.h"

struct timer_queue;
struct vcpu;
struct vm;

/* Has the VM stopped because of vm_crash()? */
bool crash_due(const struct vm *vm);
/*
 * Prints all that explains the failure, a few lines each millisecond, so that others run meanwhile; then calls on_parked.
 * For the core that stopped the last vCPU, with its own timers: no vCPU runs, all registers are in memory.
 */
void crash_report(struct vm *vm, struct timer_queue *timers, uint64_t now);
/* The walk through the guest's page tables to an address, entry by entry (crash_walk.c); the VM's window is open. */
void crash_walk(struct vcpu *vcpu, const char *what, gva_t gva);
