/* A page walk for a report: each entry with its place, as far as it goes (SDM volume 3, 4.3 to 4.5). */
#include "core/crash.h"
#include "core/fetch.h"
#include "core/lib/log.h"
#include "core/vcpu_ops.h"
#include "core/vm.h"
#include "core/x86/cr.h"
#include "core/x86/msr.h"

#define ENTRY_P    BIT(0)
#define ENTRY_PS   BIT(7)
#define ADDRESS    0x000ffffffffff000ull
#define CR3_PAE    0xffffffe0ull
#define CR3_LEGACY 0xfffff000ull

typedef unsigned long long ull;

/* What the paging mode makes of an address. */
struct walk_mode {
    uint32_t levels, bits, entry_size;
    uint64_t root;
    bool large_legacy; /* CR4.PSE: large pages at level 2 of 32-bit paging */
};

static struct walk_mode walk_mode(const struct gwalk_state *s)
{
    if (s->efer & EFER_LMA)
        return (struct walk_mode){s->cr4 & CR4_LA57 ? 5 : 4, 9, 8, s->cr3 & ADDRESS, false};
    if (s->cr4 & CR4_PAE)
        return (struct walk_mode){3, 9, 8, s->cr3 & CR3_PAE, false};
    return (struct walk_mode){2, 10, 4, s->cr3 & CR3_LEGACY, s->cr4 & CR4_PSE};
}

/* Large pages are at levels 2 and 3; PAE's level 3 has none. */
static bool walk_ends(const struct walk_mode *m, uint32_t level, uint64_t entry)
{
    bool large = (level == 2 && (m->entry_size == 8 || m->large_legacy)) || (level == 3 && m->levels >= 4);

    return !(entry & ENTRY_P) || level == 1 || (large && (entry & ENTRY_PS));
}

static void walk_entries(struct vcpu *vcpu, const struct walk_mode *m, gva_t gva)
{
    gpa_t table = m->root;

    for (uint32_t level = m->levels; level; level--) {
        uint64_t entry = 0, index = gva >> (PAGE_SHIFT + (level - 1) * m->bits) & (BIT(m->bits) - 1);
        gpa_t at = table + index * m->entry_size;

        if (gmem_read(&vcpu->vm->mem, at, &entry, m->entry_size)) {
            log_error("    level %u: %llx is no memory", level, (ull)at);
            return;
        }
        log_error("    level %u: [%llx] = %016llx", level, (ull)at, (ull)entry);
        if (walk_ends(m, level, entry))
            return;
        table = entry & ADDRESS;
    }
}

/* The result as the CPU would have it: where it leads, or with which error code it fails. */
static void walk_result(struct vcpu *vcpu, const struct gwalk_state *state, const char *what, gva_t gva)
{
    struct gwalk_result r;

    if (gwalk(&vcpu->vm->mem, state, gva, GWALK_READ | GWALK_IMPLICIT, &r))
        log_error("  walk %s: gva=%llx gpa=%llx page=%llx", what, (ull)gva, (ull)r.gpa, (ull)r.page_size);
    else if (r.noncanonical)
        log_error("  walk %s: gva=%llx is not canonical", what, (ull)gva);
    else
        log_error("  walk %s: gva=%llx faults, error code 0x%x", what, (ull)gva, r.error);
}

void crash_walk(struct vcpu *vcpu, const char *what, gva_t gva)
{
    struct vcpu_code code;
    struct walk_mode mode;

    vcpu_ops->get_code(vcpu, &code);
    mode = walk_mode(&code.walk);
    walk_result(vcpu, &code.walk, what, gva);
    if (code.walk.cr0 & CR0_PG)
        walk_entries(vcpu, &mode, gva);
}
