/* The options on the multiboot2 line: words of the form key=value, parted by spaces. Pure. */
#pragma once

#include "guests/option.h"

/* Reads a line. What isn't understood costs one warning each and is left unset. Returns the number of those. */
int options_parse(struct options *options, const char *line);
