/*
 * CR0, CR3, CR4 and EFER: what the guest sees and what the CPU runs with (SDM volume 3, 25.6.6, 27.3.1.1).
 *
 * Without unrestricted guest, CR0.PE and PG are always 1. A guest that doesn't page then runs on a table that maps 4 GiB
 * one to one with 4 MiB pages, with a CR3 and a CR4 of ours; that is why its CR3 is intercepted as long.
 */
#include "core/lib/error.h"
#include "core/vm.h"
#include "core/vmmem.h"
#include "core/x86/cr.h"
#include "core/x86/msr.h"
#include "mm/guestram.h"
#include "mm/layout.h"
#include "vmx/vmx.h"

/* Above all devices of the virtual PC, below the largest firmware (16 MiB under 4 GiB). */
#define IDENTITY_GPA 0xfeffc000ull

#define VGA_HOLE 0xa0000ull

/* P, R/W, U/S, A, D, PS: never written by the CPU. */
#define IDENTITY_ENTRY 0xe7u

/* Bits that change nothing which needs control. CD and NW never reach the CPU; NE must be 1. */
#define CR0_OWNED (CR0_MP | CR0_EM | CR0_TS | CR0_WP | CR0_AM)

/* Without paging these either can't be or would find user pages where the guest has none. */
#define CR4_NEEDS_PAGING (CR4_PAE | CR4_PCIDE | CR4_LA57 | CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_PKS | CR4_PGE)

static uint64_t cr0_owned(void)
{
    return cap(CAP_UG) ? CR0_OWNED | CR0_PE : CR0_OWNED;
}

static bool mode_is_identity(const struct vmx_vcpu *v)
{
    return !cap(CAP_UG) && !(v->cr0 & CR0_PG);
}

uint64_t mode_cr0(const struct vmx_vcpu *v)
{
    uint64_t owned = cr0_owned();

    return (vmread(VMCS_GUEST_CR0) & owned) | (v->cr0 & ~owned);
}

uint64_t mode_cr3(const struct vmx_vcpu *v)
{
    return mode_is_identity(v) ? v->cr3 : vmread(VMCS_GUEST_CR3);
}

uint64_t mode_cr4(const struct vmx_vcpu *v)
{
    return (vmread(VMCS_GUEST_CR4) & v->cr4_owned) | (v->cr4 & ~v->cr4_owned);
}

static uint64_t cr0_for_cpu(uint64_t cr0)
{
    const struct vmx_capability *c = &vmx.capability;
    uint64_t fixed0 = c->cr0_fixed0;

    if (cap(CAP_UG))
        fixed0 &= ~(CR0_PE | CR0_PG);
    return ((cr0 & ~(CR0_CD | CR0_NW)) | fixed0 | CR0_NE | CR0_ET) & c->cr0_fixed1;
}

/* MCE stays on: with it off, a machine check in the guest would shut the whole machine down. */
static uint64_t cr4_for_cpu(const struct vmx_vcpu *v, uint64_t cr4)
{
    const struct vmx_capability *c = &vmx.capability;

    if (mode_is_identity(v))
        cr4 = (cr4 & ~CR4_NEEDS_PAGING) | CR4_PSE;
    return (cr4 | c->cr4_fixed0 | CR4_MCE) & c->cr4_fixed1;
}

/* LMA without paging can't be, as the CPU sees it; and with paging forced on, LME must go as well. */
static uint64_t efer_for_cpu(const struct vmx_vcpu *v)
{
    return mode_is_identity(v) ? v->efer & ~(EFER_LME | EFER_LMA) : v->efer;
}

static void mode_write_cr4(struct vmx_vcpu *v, uint64_t cr4)
{
    v->cr4 = cr4;
    v->cr4_owned = vmx.cr4_guest_owned & (mode_is_identity(v) ? ~(CR4_NEEDS_PAGING | CR4_PSE) : ~0ull);
    vmwrite(VMCS_GUEST_CR4, cr4_for_cpu(v, cr4));
    vmwrite(VMCS_CR4_SHADOW, cr4);
    vmwrite(VMCS_CR4_MASK, ~v->cr4_owned);
}

static void mode_write_efer(struct vmx_vcpu *v, uint64_t efer)
{
    bool lma = efer & EFER_LME && v->cr0 & CR0_PG;
    uint32_t entry = v->entry & ~(uint32_t)ENTRY_IA32E;

    v->efer = lma ? efer | EFER_LMA : efer & ~EFER_LMA;
    v->entry = lma ? entry | (uint32_t)ENTRY_IA32E : entry;
    vmwrite(VMCS_ENTRY_CONTROLS, v->entry);
    msr_areas_update(v, efer_for_cpu(v));
}

void mode_set_cr3(struct vmx_vcpu *v, uint64_t cr3)
{
    v->cr3 = cr3 & ~CR3_NOFLUSH;
    vmwrite(VMCS_GUEST_CR3, mode_is_identity(v) ? IDENTITY_GPA : v->cr3);
    pending_add(v, PENDING_VPID | PENDING_PDPTE);
}

/* CR0 comes first: it decides what the others become. */
void mode_set(struct vmx_vcpu *v, uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    uint64_t cr3 = mode_cr3(v);

    v->cr0 = cr0 | CR0_ET;
    if (!cap(CAP_UG) && !(cr0 & CR0_PE))
        pending_add(v, PENDING_REAL);
    else
        __atomic_and_fetch(&v->vcpu->attention, (uint8_t)~PENDING_REAL, __ATOMIC_RELAXED);
    vmwrite(VMCS_GUEST_CR0, cr0_for_cpu(v->cr0));
    vmwrite(VMCS_CR0_SHADOW, v->cr0);
    vmwrite(VMCS_CR0_MASK, ~cr0_owned());
    mode_write_cr4(v, cr4);
    mode_write_efer(v, efer);
    mode_set_cr3(v, cr3);
    if (!cap(CAP_UG))
        proc_control_set(v, PROC_CR3_LOAD | PROC_CR3_STORE, mode_is_identity(v));
}

/* Reserved bits of a page-directory-pointer entry in PAE paging (SDM table 4-8). */
static uint64_t pdpte_reserved(void)
{
    return ~MASK(vmx.capability.physical_bits) | 0x1e6;
}

/*
 * In PAE paging the CPU has the four entries in registers, and VM entry takes them from the VMCS (27.3.2.4). An entry that
 * the CPU wouldn't have accepted is one that isn't there.
 */
void mode_load_pdptes(struct vmx_vcpu *v)
{
    uint64_t pdptes[4];
    gpa_t gpa = vmread(VMCS_GUEST_CR3) & 0xffffffe0;

    if (!(v->cr0 & CR0_PG) || v->efer & EFER_LMA || !(mode_cr4(v) & CR4_PAE))
        return;
    if (gmem_read(&v->vcpu->vm->mem, gpa, pdptes, sizeof(pdptes)))
        pdptes[0] = pdptes[1] = pdptes[2] = pdptes[3] = 0;
    for (uint32_t i = 0; i < ARRAY_SIZE(pdptes); i++) {
        if (!(pdptes[i] & 1) || pdptes[i] & pdpte_reserved())
            pdptes[i] = 0;
        vmwrite(VMCS_GUEST_PDPTE(i), pdptes[i]);
    }
}

/* What backs the VGA hole, else a block of its own. */
int hidden_frame(struct vm *vm, uint32_t n, gpa_t *window, hpa_t *frame)
{
    struct pt_leaf leaf;
    int err = 0;

    *window = VGA_HOLE;
    if (!pt_lookup(&vm->space.pt, WINDOW_BASE + VGA_HOLE, &leaf) || pt_lookup(&vm->nested, VGA_HOLE, &leaf)) {
        *window = ALIGN_DOWN(IDENTITY_GPA, GUESTRAM_BLOCK);
        if (!pt_lookup(&vm->space.pt, WINDOW_BASE + *window, &leaf))
            err = vmmem_back(vm, *window, GUESTRAM_BLOCK);
    }
    *window += n * PAGE_SIZE;
    if (!err && !pt_lookup(&vm->space.pt, WINDOW_BASE + *window, &leaf))
        err = ERR_NOMEM;
    *frame = leaf.hpa + (WINDOW_BASE + *window - leaf.addr);
    return err;
}

/* Shown read-only, and as nothing but this one page. It goes with the VM's memory. */
int identity_create(struct vm *vm)
{
    struct pt_leaf leaf;
    gpa_t window;
    hpa_t frame;
    uint32_t *table;
    uint64_t before;
    int err;

    if (cap(CAP_UG) || pt_lookup(&vm->nested, IDENTITY_GPA, &leaf))
        return 0;
    err = hidden_frame(vm, 0, &window, &frame);
    if (err)
        return err;
    table = (void *)(WINDOW_BASE + window);
    before = vmmem_open(vm);
    for (uint32_t i = 0; i < 1024; i++)
        table[i] = i << 22 | IDENTITY_ENTRY;
    vmmem_close(before);
    return pt_map(&vm->nested, IDENTITY_GPA, frame, PAGE_SIZE, PT_READ);
}
