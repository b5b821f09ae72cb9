#include "svm/page.h"

bool page_learn(struct vcpu *vcpu, const struct vmcb *vmcb, struct svm_page *page)
{
    const struct gmem *mem = &vcpu->vm->mem;
    gpa_t gpa;

    page->last = 0;
    if (!gwalk_record(mem, vmcb->cr3, vmcb->rip & ~PAGE_MASK, &page->path, &gpa))
        return false;
    page->code = gmem_ptr(mem, gpa, PAGE_SIZE);
    if (!page->code)
        return false;
    page->last = vmcb->rip | PAGE_MASK;
    return true;
}
