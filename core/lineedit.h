/*
 * The editing of one typed line, as a plain terminal needs it: a cursor, the keys that move it and delete, and a history.
 * Bytes come in one at a time; what has become of the line is for the caller to show. Pure.
 */
#pragma once

#include "core/lib/types.h"

#define LINEEDIT_MAX     128
#define LINEEDIT_HISTORY 16

enum lineedit_result {
    LINEEDIT_NOTHING, /* the line is as it was: an unknown key, or part of a longer sequence */
    LINEEDIT_CHANGED, /* the line or the cursor */
    LINEEDIT_DONE,    /* Enter */
    LINEEDIT_CANCEL,  /* Ctrl-C */
    LINEEDIT_TAB,
    LINEEDIT_REDRAW, /* Ctrl-L */
};

struct lineedit {
    uint32_t len, cursor;
    char text[LINEEDIT_MAX + 1];  /* always with its NUL */
    uint8_t last;                 /* the byte before: CR LF is one Enter */
    uint8_t escape;               /* where in an escape sequence */
    uint32_t number;              /* the sequence's number, as in ESC [ 3 ~ */
    uint32_t count;               /* lines remembered; the newest is in slot (count - 1) % LINEEDIT_HISTORY */
    uint32_t back;                /* how many lines back the shown one is; 0: the line being typed */
    char typed[LINEEDIT_MAX + 1]; /* that line, while an older one is shown */
    char history[LINEEDIT_HISTORY][LINEEDIT_MAX + 1];
};

/* Empty, without a history. */
void lineedit_init(struct lineedit *edit);
/* An empty line; the history stays. */
void lineedit_clear(struct lineedit *edit);
enum lineedit_result lineedit_key(struct lineedit *edit, uint8_t byte);
/* Puts text at the cursor; false, and nothing changed, if it doesn't fit. */
bool lineedit_insert(struct lineedit *edit, const char *text, size_t len);
/* Adds the line to the history, unless it is the newest one there already. */
void lineedit_remember(struct lineedit *edit);
