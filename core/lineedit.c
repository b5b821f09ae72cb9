#include "core/lineedit.h"

#include "core/lib/string.h"

#define CTRL(letter) ((letter)-0x40)
#define KEY_ESC      0x1b
#define KEY_DELETE   0x7f

/* Where in an escape sequence (ECMA-48 5.4; the keys as xterm and the VT220 send them). */
enum escape { ESCAPE_NONE, ESCAPE_BEGUN, ESCAPE_CSI, ESCAPE_SS3 };

void lineedit_init(struct lineedit *edit)
{
    memset(edit, 0, sizeof(*edit));
}

void lineedit_clear(struct lineedit *edit)
{
    edit->len = edit->cursor = edit->back = 0;
    edit->text[0] = '\0';
    edit->escape = ESCAPE_NONE;
}

bool lineedit_insert(struct lineedit *edit, const char *text, size_t len)
{
    if (len > LINEEDIT_MAX - edit->len)
        return false;
    memmove(edit->text + edit->cursor + len, edit->text + edit->cursor, edit->len - edit->cursor + 1);
    memcpy(edit->text + edit->cursor, text, len);
    edit->len += (uint32_t)len;
    edit->cursor += (uint32_t)len;
    return true;
}

/* Takes out what is between two places; the cursor is at the first of them then. */
static enum lineedit_result cut(struct lineedit *edit, uint32_t from, uint32_t to)
{
    if (from == to)
        return LINEEDIT_NOTHING;
    memmove(edit->text + from, edit->text + to, edit->len - to + 1);
    edit->len -= to - from;
    edit->cursor = from;
    return LINEEDIT_CHANGED;
}

static enum lineedit_result move(struct lineedit *edit, uint32_t to)
{
    if (to == edit->cursor)
        return LINEEDIT_NOTHING;
    edit->cursor = to;
    return LINEEDIT_CHANGED;
}

/* The beginning of the word to the left, past the blanks in between. */
static uint32_t word_begin(const struct lineedit *edit)
{
    uint32_t at = edit->cursor;

    while (at > 0 && edit->text[at - 1] == ' ')
        at--;
    while (at > 0 && edit->text[at - 1] != ' ')
        at--;
    return at;
}

/* History ------------------------------------------------------------------------------------------------ */

static const char *history_line(const struct lineedit *edit, uint32_t back)
{
    return back == 0 ? edit->typed : edit->history[(edit->count - back) % LINEEDIT_HISTORY];
}

static enum lineedit_result history_show(struct lineedit *edit, uint32_t back)
{
    if (edit->back == 0)
        str_copy(edit->typed, edit->text, sizeof(edit->typed));
    edit->back = back;
    str_copy(edit->text, history_line(edit, back), sizeof(edit->text));
    edit->len = edit->cursor = (uint32_t)str_len(edit->text);
    return LINEEDIT_CHANGED;
}

static enum lineedit_result history_older(struct lineedit *edit)
{
    if (edit->back == MIN(edit->count, LINEEDIT_HISTORY))
        return LINEEDIT_NOTHING;
    return history_show(edit, edit->back + 1);
}

static enum lineedit_result history_newer(struct lineedit *edit)
{
    if (edit->back == 0)
        return LINEEDIT_NOTHING;
    return history_show(edit, edit->back - 1);
}

void lineedit_remember(struct lineedit *edit)
{
    if (edit->count > 0 && str_eq(history_line(edit, 1), edit->text))
        return;
    str_copy(edit->history[edit->count++ % LINEEDIT_HISTORY], edit->text, LINEEDIT_MAX + 1);
}

/* Keys --------------------------------------------------------------------------------------------------- */

static enum lineedit_result key_left(struct lineedit *edit)
{
    return move(edit, edit->cursor - (edit->cursor > 0));
}

static enum lineedit_result key_right(struct lineedit *edit)
{
    return move(edit, MIN(edit->cursor + 1, edit->len));
}

static enum lineedit_result key_delete(struct lineedit *edit)
{
    return cut(edit, edit->cursor, MIN(edit->cursor + 1, edit->len));
}

/* The key of a sequence that ends in a letter: ESC [ A, ESC O A. */
static enum lineedit_result key_letter(struct lineedit *edit, uint8_t letter)
{
    switch (letter) {
    case 'A':
        return history_older(edit);
    case 'B':
        return history_newer(edit);
    case 'C':
        return key_right(edit);
    case 'D':
        return key_left(edit);
    case 'H':
        return move(edit, 0);
    case 'F':
        return move(edit, edit->len);
    default:
        return LINEEDIT_NOTHING;
    }
}

/* The key of a sequence that is a number: ESC [ 3 ~. */
static enum lineedit_result key_number(struct lineedit *edit, uint32_t number)
{
    switch (number) {
    case 1:
    case 7:
        return move(edit, 0);
    case 3:
        return key_delete(edit);
    case 4:
    case 8:
        return move(edit, edit->len);
    default:
        return LINEEDIT_NOTHING;
    }
}

/* Parameters are digits and separators; what is none of them ends the sequence. */
static enum lineedit_result key_csi(struct lineedit *edit, uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        edit->number = MIN(edit->number * 10 + byte - '0', 1000u);
        return LINEEDIT_NOTHING;
    }
    if (byte >= ' ' && byte <= '?')
        return LINEEDIT_NOTHING;
    edit->escape = ESCAPE_NONE;
    return byte == '~' ? key_number(edit, edit->number) : key_letter(edit, byte);
}

static enum lineedit_result key_escape(struct lineedit *edit, uint8_t byte)
{
    if (edit->escape == ESCAPE_CSI)
        return key_csi(edit, byte);
    if (edit->escape == ESCAPE_SS3) {
        edit->escape = ESCAPE_NONE;
        return key_letter(edit, byte);
    }
    edit->number = 0;
    edit->escape = byte == '[' ? ESCAPE_CSI : byte == 'O' ? ESCAPE_SS3 : ESCAPE_NONE;
    return LINEEDIT_NOTHING;
}

static enum lineedit_result key_control(struct lineedit *edit, uint8_t byte, uint8_t before)
{
    switch (byte) {
    case '\r':
        return LINEEDIT_DONE;
    case '\n':
        return before == '\r' ? LINEEDIT_NOTHING : LINEEDIT_DONE;
    case '\t':
        return LINEEDIT_TAB;
    case KEY_ESC:
        edit->escape = ESCAPE_BEGUN;
        return LINEEDIT_NOTHING;
    case '\b':
    case KEY_DELETE:
        return cut(edit, edit->cursor - (edit->cursor > 0), edit->cursor);
    case CTRL('A'):
        return move(edit, 0);
    case CTRL('B'):
        return key_left(edit);
    case CTRL('C'):
        return LINEEDIT_CANCEL;
    case CTRL('D'):
        return key_delete(edit);
    case CTRL('E'):
        return move(edit, edit->len);
    case CTRL('F'):
        return key_right(edit);
    case CTRL('K'):
        return cut(edit, edit->cursor, edit->len);
    case CTRL('L'):
        return LINEEDIT_REDRAW;
    case CTRL('N'):
        return history_newer(edit);
    case CTRL('P'):
        return history_older(edit);
    case CTRL('U'):
        return cut(edit, 0, edit->cursor);
    case CTRL('W'):
        return cut(edit, word_begin(edit), edit->cursor);
    default:
        return LINEEDIT_NOTHING;
    }
}

enum lineedit_result lineedit_key(struct lineedit *edit, uint8_t byte)
{
    uint8_t before = edit->last;
    char c = (char)byte;

    edit->last = byte;
    /* A control character amid a sequence is a key of its own: the sequence was a lone ESC. */
    if (byte < ' ' || byte == KEY_DELETE) {
        edit->escape = ESCAPE_NONE;
        return key_control(edit, byte, before);
    }
    if (edit->escape != ESCAPE_NONE)
        return key_escape(edit, byte);
    if (byte > KEY_DELETE)
        return LINEEDIT_NOTHING;
    return lineedit_insert(edit, &c, 1) ? LINEEDIT_CHANGED : LINEEDIT_NOTHING;
}
