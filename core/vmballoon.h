/*
 * Memory that a VM gives up for a while: blocks of 2 MiB, complete ones of the pages in its balloon and those that it reports to be free.
 * They go back to guest memory, scrubbed, for whoever starts next. A touch brings a block back, blank, whoever touches: the guest, by
 * an exit, or the hypervisor in the VM's window, by a page fault (core/vmfault.h). One block is kept for that, so that a touch succeeds
 * when others have all the rest; then the VM has to stand still until there is another one.
 */
#pragma once

#include "core/lib/types.h"

struct pt_leaf;
struct vm;
struct vmballoon;

/* For a VM whose memory is there. Takes two blocks, and pool memory by the VM's size; ERR_NOMEM: vmmem_free gives back what it took. */
int vmballoon_init(struct vm *vm) MUST_CHECK;
/* Guest memory that it takes for itself. */
uint64_t vmballoon_bytes(void);
/* The guest gives a page up, and takes one: true, it has it now. Under the VM's device lock; the rest is done by vmballoon_settle. */
void vmballoon_give(struct vm *vm, uint64_t page);
bool vmballoon_take(struct vm *vm, uint64_t page);
/* It takes all of them, or as many as there is memory for. Likewise. */
void vmballoon_empty(struct vm *vm);
/* What is in there isn't wanted, as long as nobody touches it: whole blocks of it go. Likewise. */
void vmballoon_report(struct vm *vm, gpa_t gpa, uint64_t len);
/* Is there something for vmballoon_settle to do? */
bool vmballoon_busy(const struct vm *vm);
/* With the VM at rest: a block goes, or comes if there is one. Others that the core has to run wait for that, so it is one. */
void vmballoon_settle(struct vm *vm);
/*
 * Nothing is mapped at gpa: 0, memory is there now, ERR_NOTFOUND, it isn't RAM, ERR_NOMEM. On any core, with whatever locks are held
 * where guest memory is accessed. Without memory for the next touch, the VM is brought to rest.
 */
int vmballoon_touch(struct vm *vm, gpa_t gpa) MUST_CHECK;
/* Is there memory for the next touch, or may some come of what is to be settled? Gets some if it can. */
bool vmballoon_ready(struct vm *vm);
/* What the hypervisor accesses at gpa leads nowhere: the VM is about to end. */
void vmballoon_lose(struct vm *vm, gpa_t gpa);
/* All of its memory is to be there again, the VM being at rest: ERR_NOMEM if there isn't enough, and what came stays. */
int vmballoon_refill(struct vm *vm) MUST_CHECK;
/* Bytes that others may have meanwhile; what of it was reported; how many blocks were touched. */
uint64_t vmballoon_gone(const struct vm *vm);
uint64_t vmballoon_reported(const struct vm *vm);
uint64_t vmballoon_touched(const struct vm *vm);
/* A second place of a block in the window. */
bool vmballoon_is_alias(const struct vm *vm, const struct pt_leaf *leaf);
void vmballoon_free(struct vm *vm);
