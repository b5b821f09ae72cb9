/* The monitor's table of commands: looked up by the words of a line, and completed as it is typed. Pure. */
#pragma once

#include "core/monitor.h"

void monitor_table_init(void);
uint32_t monitor_table_count(void);
const struct monitor_command *monitor_table_at(uint32_t index); /* sorted by name */
/*
 * The command that the words begin with, or NULL; *skip is the number of words before the last one of its name, so that
 * words[*skip] is where the command's own words begin.
 */
const struct monitor_command *monitor_table_find(const char *const *words, uint32_t count, uint32_t *skip);

/*
 * What text can go on with: the bytes that all candidates have in common, into `more`, which is then `len` long. Returns
 * the number of candidates, and calls `each` with every one of them if it isn't NULL.
 */
uint32_t monitor_complete(const char *text, size_t len, char *more, size_t size,
                          void (*each)(const char *candidate));
