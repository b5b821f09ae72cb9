/* A small bitmap font for the printable ASCII characters. */
#pragma once

#include "core/lib/types.h"

#define FONT_FIRST   ' '
#define FONT_LAST    '~'
#define FONT_COLUMNS 5 /* of a glyph, bit 4 is the leftmost */
#define FONT_ROWS    8 /* the last one is for descenders */

/* The rows of a character's glyph, from the top; those of a question mark if it has none. */
const uint8_t *font_glyph(char c);
