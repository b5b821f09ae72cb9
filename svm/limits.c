/* APM volume 2, 3.1.3 (CR4), 3.1.7 (EFER), 15.5.1 (what VMRUN refuses). */
#include "svm/limits.h"

#include "core/x86/cr.h"
#include "core/x86/msr.h"

struct limit_row {
    uint64_t bit;    /* in CR4 or EFER */
    uint8_t reg;     /* which register of CPUID has the feature */
    uint8_t feature; /* and at which bit */
};

enum limit_reg { BASIC1_ECX, BASIC1_EDX, BASIC7_EBX, BASIC7_ECX, EXT1_ECX, EXT1_EDX };

static const struct limit_row cr4_rows[] = {
    {CR4_VME | CR4_PVI, BASIC1_EDX, 1}, {CR4_DE, BASIC1_EDX, 2},       {CR4_PSE, BASIC1_EDX, 3},
    {CR4_TSD, BASIC1_EDX, 4},           {CR4_PAE, BASIC1_EDX, 6},      {CR4_MCE, BASIC1_EDX, 7},
    {CR4_PGE, BASIC1_EDX, 13},          {CR4_OSFXSR, BASIC1_EDX, 24},  {CR4_OSXMMEXCPT, BASIC1_EDX, 25},
    {CR4_PCIDE, BASIC1_ECX, 17},        {CR4_OSXSAVE, BASIC1_ECX, 26}, {CR4_FSGSBASE, BASIC7_EBX, 0},
    {CR4_SMEP, BASIC7_EBX, 7},          {CR4_SMAP, BASIC7_EBX, 20},    {CR4_UMIP, BASIC7_ECX, 2},
    {CR4_PKE, BASIC7_ECX, 3},           {CR4_CET, BASIC7_ECX, 7},      {CR4_LA57, BASIC7_ECX, 16},
};

static const struct limit_row efer_rows[] = {
    {EFER_SVME, EXT1_ECX, 2}, {EFER_TCE, EXT1_ECX, 17},   {EFER_SCE, EXT1_EDX, 11},
    {EFER_NXE, EXT1_EDX, 20}, {EFER_FFXSR, EXT1_EDX, 25}, {EFER_LME | EFER_LMA, EXT1_EDX, 29},
};

static uint64_t limit_bits(const uint32_t *regs, const struct limit_row *rows, size_t count)
{
    uint64_t bits = 0;

    for (size_t i = 0; i < count; i++)
        if (regs[rows[i].reg] & BIT(rows[i].feature))
            bits |= rows[i].bit;
    return bits;
}

struct svm_limits limits_from_cpuid(const struct svm_cpuid *id)
{
    const uint32_t regs[] = {
        [BASIC1_ECX] = id->basic1_ecx, [BASIC1_EDX] = id->basic1_edx, [BASIC7_EBX] = id->basic7_ebx,
        [BASIC7_ECX] = id->basic7_ecx, [EXT1_ECX] = id->ext1_ecx,     [EXT1_EDX] = id->ext1_edx,
    };
    uint32_t width = id->ext8_eax & 0xff ? id->ext8_eax & 0xff : 36;

    return (struct svm_limits){
        /* CR3 has no reserved bits below the physical address width: flags or a PCID are in the low 12. */
        .cr3 = MASK(width),
        .cr4 = CR4_PCE | limit_bits(regs, cr4_rows, ARRAY_SIZE(cr4_rows)),
        .efer = limit_bits(regs, efer_rows, ARRAY_SIZE(efer_rows)),
        .phys = BIT(width),
    };
}
