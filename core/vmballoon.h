/*
 * Memory that a VM gives up for a while and takes again. It gives single pages; when all of a block's are given up, the block goes back to
 * guest memory, scrubbed, for whoever starts next. What the hypervisor itself would read or write there, for a device that a guest points
 * to such a page, ends in a block that is kept for that.
 */
#pragma once

#include "core/lib/types.h"

struct vm;
struct vmballoon;

/* For a VM whose memory is there. Takes a block, and pool memory by the VM's size; ERR_NOMEM. */
int vmballoon_init(struct vm *vm) MUST_CHECK;
/* Guest memory that it takes for itself. */
uint64_t vmballoon_bytes(void);
/* The guest gives a page up, and takes one: true, it has it now. Under the VM's device lock; the rest is done by vmballoon_settle. */
void vmballoon_give(struct vm *vm, uint64_t page);
bool vmballoon_take(struct vm *vm, uint64_t page);
/* It takes all of them, or as many as there is memory for. Likewise. */
void vmballoon_empty(struct vm *vm);
/* Is there something for vmballoon_settle to do? */
bool vmballoon_busy(const struct vm *vm);
/* With the VM at rest: a block goes, or comes if there is one. Others that the core has to run wait for that, so it is one. */
void vmballoon_settle(struct vm *vm);
/* All of its memory is to be there again, the VM being at rest: ERR_NOMEM if there isn't enough, and what came stays. */
int vmballoon_refill(struct vm *vm) MUST_CHECK;
/* Bytes that others may have meanwhile. */
uint64_t vmballoon_gone(const struct vm *vm);
/* The block that is in the VM's window for those that are gone. */
bool vmballoon_is_sink(const struct vm *vm, hpa_t hpa);
void vmballoon_free(struct vm *vm);
