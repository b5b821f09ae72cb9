/* Reads what a Multiboot2 loader passes (specification 0.6.96, chapter 3.6) into a struct boot_info. Pure. */
#pragma once

#include "core/boot_info.h"

#define MULTIBOOT2_INFO_MAX (1 * MiB) /* more than any loader needs, so that a wild size is caught */

/*
 * Parses the information at mbi, of which at most `limit` bytes are read. Returns 0, or ERR_INVALID, ERR_RANGE or ERR_NOMEM
 * and in *error a sentence that says what is wrong; *info is then of no use but for its strings.
 */
int multiboot2_parse(const void *mbi, size_t limit, struct boot_info *info, const char **error) MUST_CHECK;
