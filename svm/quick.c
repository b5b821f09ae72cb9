/* CPUID in a few instructions (core/exit_quick.h). Runs with GIF clear and the guest's FS, GS and TR. Pure. */
#include "core/exit_quick.h"

#include "core/emul/decode.h"
#include "svm/page.h"

#define CPUID_BYTES 0xa20f /* 0f a2 */
#define CPUID_LEN   2

static inline const struct cpuid_row *quick_end(struct vcpu *vcpu, struct vmcb *vmcb,
                                                const struct cpuid_row *row, uint64_t next)
{
    exit_quick_note(vcpu, EXIT_CPUID, vmcb->rip);
    vmcb->rax = row->eax;
    vmcb->rip = next;
    return row;
}

/* Are the two bytes at RIP all of the instruction, or does it begin with prefixes that do nothing? */
static inline bool quick_is_plain(const struct svm_page *page, uint64_t rip)
{
    uint16_t bytes;

    if (UNLIKELY(rip == page->last))
        return false;
    __builtin_memcpy(&bytes, page->code + (rip & PAGE_MASK), sizeof bytes); /* at any address */
    return bytes == CPUID_BYTES;
}

static NOINLINE const struct cpuid_row *quick_learn(struct vcpu *vcpu, struct vmcb *vmcb,
                                                    struct svm_page *page, const struct cpuid_row *row)
{
    if (!page_learn(vcpu, vmcb, page) || !quick_is_plain(page, vmcb->rip))
        return NULL;
    return quick_end(vcpu, vmcb, row, vmcb->rip + CPUID_LEN);
}

/* Without NRIPS, it depends on the bytes at RIP where that goes. */
static inline const struct cpuid_row *quick_seen(struct vcpu *vcpu, struct vmcb *vmcb,
                                                 const struct cpuid_row *row)
{
    uint64_t rip = vmcb->rip;
    struct svm_page *page;

    if (UNLIKELY(!page_usable(vcpu, vmcb)))
        return NULL;
    page = page_slot(vcpu, rip);
    if (UNLIKELY(!page_known(vcpu, vmcb, rip, page)))
        return quick_learn(vcpu, vmcb, page, row);
    if (UNLIKELY(!quick_is_plain(page, rip)))
        return NULL;
    return quick_end(vcpu, vmcb, row, rip + CPUID_LEN);
}

const struct cpuid_row *svm_exited_cpuid(struct vcpu *vcpu, struct vmcb *vmcb)
{
    const struct cpuid_row *row = exit_quick_find(vcpu, vmcb->rax);

    if (UNLIKELY(!row) || UNLIKELY((vmcb->cr4 & READY_CR4) != vcpu->cpuid.cr4) || vmcb_insn_odd(vmcb) ||
        UNLIKELY(vmcb->exit_int_info & EVENT_VALID))
        return NULL;
    if (!cap(CAP_NRIPS))
        return quick_seen(vcpu, vmcb, row);
    if (UNLIKELY(vmcb->nrip - vmcb->rip - 1 >= INSN_MAX_LEN))
        return NULL;
    return quick_end(vcpu, vmcb, row, vmcb->nrip);
}
