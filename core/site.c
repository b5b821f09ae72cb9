#include "core/site.h"

void site_learn(struct sites *sites, const struct gmem *mem, uint64_t cr3, gva_t rip,
                const struct insn_mov *mov)
{
    struct site *site = site_slot(sites, rip);
    gpa_t gpa;

    site->code = NULL;
    if ((rip & PAGE_MASK) > PAGE_SIZE - SITE_BYTES || !gwalk_record(mem, cr3, rip, &site->path, &gpa))
        return;
    site->rip = rip;
    site->mov = *mov;
    site->code = gmem_ptr(mem, gpa, SITE_BYTES);
    if (!site->code)
        return;
    site->bytes[0] = site_word(site->code);
    site->bytes[1] = site_word(site->code + 8);
}
