/*
 * Guest memory that several VMs share, because each of their descriptions says so, by a name: the only memory that can be in
 * two VMs. Each member has it beside its window, as it has its disks, and sees it where its device puts it. When the last
 * member ends, it is scrubbed; a VM that comes then begins anew.
 */
#pragma once

#include "core/lib/types.h"
#include "mm/frame.h"

struct vm;

#define VMSHARE_NOWHERE   UINT64_MAX
#define VMSHARE_NAME_MAX  32
#define VMSHARE_BYTES_MAX (256 * MiB)

/* A VM's part in one. */
struct vmshare {
    uint16_t owner; /* of its blocks, from OWNER_SHARE on */
    uint64_t at;    /* where the hypervisor sees it while it runs this VM */
    uint64_t len;
    gpa_t wanted, mapped; /* where the guest is to see it, and does; VMSHARE_NOWHERE */
    bool last;            /* no other member will stay: this VM scrubs it */
};

/*
 * Makes a VM that doesn't run yet a member, the first one with zeroed memory in one piece; returns its place in vm->shares.
 * NULL if there isn't so much, or no room for one more.
 */
struct vmshare *vmshare_join(struct vm *vm, const char *name, uint64_t len) MUST_CHECK;
/* Where the guest is to see it from its next instruction on. Under the VM's device lock, from one of its own vCPUs or at rest. */
void vmshare_place(struct vm *vm, struct vmshare *share, gpa_t gpa);
/* Brings the nested table to that; the VM must be at rest. What can't be mapped is left to the device's handler. */
void vmshare_settle(struct vm *vm);
/* For the audit: may this VM see blocks of that owner? */
bool vmshare_allows(const struct vm *vm, uint16_t owner);
/* The VM ends: what it is the last to have is its own to scrub, as vmshare_scrubs says; then it leaves them all. */
void vmshare_end(struct vm *vm);
bool vmshare_scrubs(const struct vm *vm, uint16_t owner);
void vmshare_leave(struct vm *vm);
