/*
 * What the TLB may remember of a guest (SDM volume 3, 29.4). With EPT there are guest-physical mappings, by EPTP, and
 * combined ones, by EPTP, VPID and PCID. Without VPIDs every entry and exit drops the combined ones.
 */
#include "core/lib/lock.h"
#include "core/vm.h"
#include "vmx/vmx.h"

#define VPIDS 2048 /* more than VMs have vCPUs; who comes late runs without */

static struct lock vpid_lock = LOCK_INIT;    /* guards vpid_used; nothing is taken under it */
static uint64_t vpid_used[VPIDS / 64] = {1}; /* VPID 0 is the host's */

uint16_t vpid_alloc(void)
{
    uint16_t vpid = 0;

    if (!cap(CAP_ASID))
        return 0;
    lock_take(&vpid_lock);
    for (uint32_t i = 0; i < ARRAY_SIZE(vpid_used); i++) {
        if (~vpid_used[i]) {
            uint32_t bit = (uint32_t)__builtin_ctzll(~vpid_used[i]);

            vpid_used[i] |= BIT(bit);
            vpid = (uint16_t)(64 * i + bit);
            break;
        }
    }
    lock_drop(&vpid_lock);
    return vpid;
}

void vpid_free(uint16_t vpid)
{
    if (!vpid)
        return;
    lock_take(&vpid_lock);
    vpid_used[vpid / 64] &= ~BIT(vpid % 64);
    lock_drop(&vpid_lock);
}

uint64_t eptp_make(const struct vm *vm)
{
    return vm->nested.memory.hpa(vm->nested.root) | EPTP_WALK4 | EPTP_WB;
}

static bool ept_cap(uint64_t bit)
{
    return vmx.capability.ept_vpid & bit;
}

/* `disable=` decides if the CPU leaves the choice. */
static void ept_invalidate(uint64_t eptp)
{
    if (cap(CAP_INVEPT_SINGLE) || !ept_cap(EPT_CAP_INVEPT_ALL))
        invept(INV_SINGLE, eptp);
    else
        invept(INV_ALL, 0);
}

static void vpid_invalidate(uint16_t vpid)
{
    if (cap(CAP_INVVPID_SINGLE) || !ept_cap(EPT_CAP_INVVPID_ALL))
        invvpid(INV_SINGLE, vpid);
    else
        invvpid(INV_ALL, 0);
}

/* A core starts with nothing remembered of whoever used VMX before. */
void tlb_flush_core(void)
{
    if (ept_cap(EPT_CAP_INVEPT_ALL))
        invept(INV_ALL, 0);
    if (cap(CAP_ASID) && ept_cap(EPT_CAP_INVVPID_ALL))
        invvpid(INV_ALL, 0);
}

/* INVEPT drops combined mappings as well, of all VPIDs. */
void tlb_settle(struct vmx_vcpu *v, uint32_t pending)
{
    if (pending & PENDING_EPT)
        ept_invalidate(eptp_make(v->vcpu->vm));
    else if (pending & PENDING_VPID && v->vpid)
        vpid_invalidate(v->vpid);
}

void vmx_flush(struct vcpu *vcpu)
{
    pending_add(vmx_vcpu(vcpu), PENDING_EPT);
}
