/*
 * What the loaders of Multiboot and PVH kernels share: which parts of guest memory are taken, and where there is room for
 * modules and for what the kernel is told.
 *
 * Small things go to the top of low memory, large ones to the top of the RAM below 4G: kernels take the memory behind their
 * own end, and often look at the map later or never.
 */
#pragma once

#include "guests/kernel.h"

#define LOADER_CLAIMS_MAX 64
#define LOADER_NAME       "Keel " KEEL_VERSION

struct loader {
    const struct gmem *mem;
    const struct e820 *map;
    const struct guest_files *files;
    gpa_t rsdp;
    char *why;
    size_t why_size;
    uint32_t claim_count;
    struct {
        gpa_t base, end;
    } claims[LOADER_CLAIMS_MAX];
    gpa_t modules[GUEST_MODULES_MAX]; /* where they are; 0 for empty ones */
};

/* Writes the sentence into `why` and gives back err. */
int loader_refuse(struct loader *l, int err, const char *fmt, ...) PRINTF(3, 4);
/* Takes [base, base + len), which has to be RAM and free; `what` is for the sentence if it isn't. */
int loader_claim(struct loader *l, gpa_t base, uint64_t len, const char *what) MUST_CHECK;
/* Whether [base, base + len) is RAM that nothing has. */
bool loader_free(const struct loader *l, gpa_t base, uint64_t len);
/*
 * Finds room for an image that can be moved: its base from `from` to before `to`, aligned (to a power of two), the highest or the
 * lowest. False if there is none.
 */
bool loader_find(const struct loader *l, uint64_t len, uint64_t align, gpa_t from, gpa_t to, bool highest,
                 gpa_t *base);
/* Finds and takes room for something of the loader's own: zeroed, aligned (to a power of two), below 4G. */
int loader_place(struct loader *l, uint64_t len, uint64_t align, const char *what, gpa_t *at) MUST_CHECK;
/* Copies a part of the kernel's file, and zeros behind it, to memory that isn't taken yet. */
int loader_segment(struct loader *l, gpa_t base, const void *data, uint64_t len, uint64_t mem_len) MUST_CHECK;
/* A string with its NUL; name (up to its first blank) goes in front if it isn't NULL. */
int loader_string(struct loader *l, const char *name, const char *text, gpa_t *at) MUST_CHECK;
/* Places all modules, page-aligned. */
int loader_modules(struct loader *l) MUST_CHECK;
/* The GDT of struct guest_entry for protected mode. */
int loader_gdt(struct loader *l, struct guest_entry *entry) MUST_CHECK;
/* KiB of RAM from 0 on, and from 1 MiB on, as a BIOS counts them. */
uint32_t loader_lower_kib(const struct loader *l);
uint32_t loader_upper_kib(const struct loader *l);
