#include "drivers/hw/terminal.h"

#include "core/lib/string.h"

#define TAB_STOP 8

enum key { KEY_BELL = 0x07, KEY_BACKSPACE = 0x08, KEY_ESC = 0x1b };

/*
 * ECMA-48: ESC alone and its letter; ESC [ ... letter (CSI); ESC ] ... BEL or ESC \ (a string for the
 * terminal).
 */
enum state { STATE_TEXT, STATE_ESC, STATE_CSI, STATE_STRING };

void terminal_init(struct terminal *t, uint32_t columns, uint32_t rows, uint32_t step,
                   void (*draw)(void *ctx, uint32_t row, uint32_t column, char c), void *ctx)
{
    memset(t, 0, sizeof(*t));
    memset(t->cells, ' ', sizeof(t->cells));
    memset(t->drawn, ' ', sizeof(t->drawn));
    t->columns = MIN(columns, (uint32_t)TERMINAL_MAX_COLUMNS);
    t->rows = MIN(rows, (uint32_t)TERMINAL_MAX_ROWS);
    t->step = MAX(1u, MIN(step, t->rows));
    t->draw = draw;
    t->ctx = ctx;
}

/* Gives how many more cells may be drawn; 0: there may be more to do in this row. */
static uint32_t row_draw(struct terminal *t, uint32_t row, uint32_t max)
{
    const char *cells = terminal_row(t, row);
    char *drawn = t->drawn[row];

    for (uint32_t column = 0; column < t->columns && max; column++)
        if (cells[column] != drawn[column]) {
            drawn[column] = cells[column];
            t->draw(t->ctx, row, column, cells[column]);
            max--;
        }
    return max;
}

bool terminal_draw(struct terminal *t, uint32_t max)
{
    for (uint32_t row = 0; row < t->rows; row++) {
        if (!t->changed[row])
            continue;
        max = row_draw(t, row, max);
        if (!max)
            return false;
        t->changed[row] = false;
    }
    return true;
}

static void line_feed(struct terminal *t)
{
    t->column = 0;
    if (++t->row < t->rows)
        return;
    for (uint32_t i = 0; i < t->step; i++)
        memset(terminal_row(t, i), ' ', t->columns);
    t->top = (t->top + t->step) % t->rows;
    t->row -= t->step;
    memset(t->changed, true, t->rows);
}

static void put(struct terminal *t, char c)
{
    if (t->column == t->columns)
        line_feed(t);
    terminal_row(t, t->row)[t->column++] = c;
    t->changed[t->row] = true;
}

static void tab(struct terminal *t)
{
    do
        put(t, ' ');
    while (t->column % TAB_STOP && t->column < t->columns);
}

static void text_byte(struct terminal *t, uint8_t byte)
{
    if (byte >= ' ' && byte < 0x7f)
        put(t, (char)byte);
    else if (byte >= 0xc0) /* the first byte of a UTF-8 sequence; those that follow are below */
        put(t, '?');
    else if (byte == '\n')
        line_feed(t);
    else if (byte == '\r')
        t->column = 0;
    else if (byte == '\t')
        tab(t);
    else if (byte == KEY_BACKSPACE)
        t->column -= t->column > 0;
    else if (byte == KEY_ESC)
        t->state = STATE_ESC;
}

static void escape_byte(struct terminal *t, uint8_t byte)
{
    bool end_of_csi = t->state == STATE_CSI && byte >= 0x40 && byte < 0x7f;

    if (byte == KEY_ESC)
        t->state = STATE_ESC;
    else if (t->state == STATE_ESC && byte == '[')
        t->state = STATE_CSI;
    else if (t->state == STATE_ESC && byte == ']')
        t->state = STATE_STRING;
    else if (t->state == STATE_ESC || end_of_csi || byte == KEY_BELL)
        t->state = STATE_TEXT;
    if (end_of_csi && byte == 'K') {
        memset(terminal_row(t, t->row) + t->column, ' ', t->columns - t->column);
        t->changed[t->row] = true;
    }
}

static void byte_write(struct terminal *t, uint8_t byte)
{
    /* The end of a line also ends a sequence that was cut off. */
    if (byte == '\n')
        t->state = STATE_TEXT;
    if (t->state == STATE_TEXT)
        text_byte(t, byte);
    else
        escape_byte(t, byte);
}

void terminal_write(struct terminal *t, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        byte_write(t, (uint8_t)bytes[i]);
}
