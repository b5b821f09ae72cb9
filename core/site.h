/*
 * Instructions that access devices, remembered: a driver has few, and runs each of them often. A site is one MOV at one linear
 * address. It holds while the guest's page tables lead from there to the same bytes as before, so that code that was changed, moved
 * or unmapped is found out. Whether that code may be run isn't asked: the CPU has just run it. Pure.
 */
#pragma once

#include "core/emul/decode.h"
#include "mm/gwalk.h"

#define SITES      16
#define SITE_BYTES 16

struct site {
    gva_t rip;
    const uint8_t *code; /* in the VM's window; NULL: nothing is here */
    uint64_t bytes[SITE_BYTES / 8];
    struct gwalk_path path;
    struct insn_mov mov;
};

struct sites {
    struct site slots[SITES];
    gpa_t
        device; /* a page where there is no memory, | 1; 0: none is known. A VM's memory stays where it is */
};

/* Remembers a MOV that was found at rip, in 64-bit mode. */
void site_learn(struct sites *sites, const struct gmem *mem, uint64_t cr3, gva_t rip,
                const struct insn_mov *mov);

static inline struct site *site_slot(struct sites *sites, gva_t rip)
{
    return &sites->slots[(rip ^ rip >> 4) % SITES];
}

static inline uint64_t site_word(const uint8_t *code)
{
    uint64_t word;

    __builtin_memcpy(&word, code, sizeof word);
    return word;
}

/* The MOV at rip, in 64-bit mode; NULL: it isn't known. */
static inline const struct insn_mov *site_find(struct sites *sites, const struct gmem *mem, uint64_t cr3,
                                               gva_t rip)
{
    const struct site *site = site_slot(sites, rip);

    if (UNLIKELY(site->rip != rip) || UNLIKELY(!site->code) ||
        UNLIKELY(!gwalk_same(mem, cr3, rip, &site->path)) ||
        UNLIKELY(site_word(site->code) != site->bytes[0]) ||
        UNLIKELY(site_word(site->code + 8) != site->bytes[1]))
        return NULL;
    return &site->mov;
}
