/*
 * A grid of characters that text is written into, and what is drawn of it: only cells that changed since the
 * last drawing, so that a burst of lines costs one drawing, and some at a time, as screens are slow. Pure: drawing goes
 * through a pointer.
 */
#pragma once

#include "core/lib/types.h"

#define TERMINAL_MAX_COLUMNS 240
#define TERMINAL_MAX_ROWS    135

struct terminal {
    void (*draw)(void *ctx, uint32_t row, uint32_t column, char c);
    void *ctx;
    uint32_t columns, rows;
    uint32_t step; /* lines to scroll by: drawing all of a large screen for each line would be slow */
    uint32_t row,
        column;    /* where the next character goes; column may be `columns`: then it begins a new line */
    uint8_t state; /* of an escape sequence */
    uint32_t top;  /* which of cells[] is the uppermost row; the others follow it in a ring */
    bool changed[TERMINAL_MAX_ROWS]; /* rows that may differ from what is drawn */
    char cells[TERMINAL_MAX_ROWS][TERMINAL_MAX_COLUMNS];
    char drawn[TERMINAL_MAX_ROWS][TERMINAL_MAX_COLUMNS]; /* what stands on the screen */
};

/* A blank grid; the screen is blank already. More columns or rows than there can be are cut. */
void terminal_init(struct terminal *t, uint32_t columns, uint32_t rows, uint32_t step,
                   void (*draw)(void *ctx, uint32_t row, uint32_t column, char c), void *ctx);
/*
 * Writes text into the grid. CR, LF, TAB and backspace act, and ESC [ K, which clears to the end of the line; all
 * other escape sequences are swallowed. What isn't ASCII becomes a question mark.
 */
void terminal_write(struct terminal *t, const char *bytes, size_t len);
/* Draws up to `max` cells that have changed. True: the screen shows what was written. */
bool terminal_draw(struct terminal *t, uint32_t max);
/* One row of the grid, from the top. */
static inline char *terminal_row(struct terminal *t, uint32_t row)
{
    return t->cells[(t->top + row) % t->rows];
}
