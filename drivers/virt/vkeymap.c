#include "drivers/virt/vkeymap.h"

#define ESC 0x1b
#define DEL 0x7f

#define KEY_TAB       0x0d
#define KEY_ENTER     0x5a
#define KEY_BACKSPACE 0x66
#define KEY_ESC       0x76

static const struct {
    char plain, shifted;
    uint8_t code;
} keys[] = {
    {'a', 'A', 0x1c}, {'b', 'B', 0x32}, {'c', 'C', 0x21},  {'d', 'D', 0x23},  {'e', 'E', 0x24},
    {'f', 'F', 0x2b}, {'g', 'G', 0x34}, {'h', 'H', 0x33},  {'i', 'I', 0x43},  {'j', 'J', 0x3b},
    {'k', 'K', 0x42}, {'l', 'L', 0x4b}, {'m', 'M', 0x3a},  {'n', 'N', 0x31},  {'o', 'O', 0x44},
    {'p', 'P', 0x4d}, {'q', 'Q', 0x15}, {'r', 'R', 0x2d},  {'s', 'S', 0x1b},  {'t', 'T', 0x2c},
    {'u', 'U', 0x3c}, {'v', 'V', 0x2a}, {'w', 'W', 0x1d},  {'x', 'X', 0x22},  {'y', 'Y', 0x35},
    {'z', 'Z', 0x1a}, {'1', '!', 0x16}, {'2', '@', 0x1e},  {'3', '#', 0x26},  {'4', '$', 0x25},
    {'5', '%', 0x2e}, {'6', '^', 0x36}, {'7', '&', 0x3d},  {'8', '*', 0x3e},  {'9', '(', 0x46},
    {'0', ')', 0x45}, {'`', '~', 0x0e}, {'-', '_', 0x4e},  {'=', '+', 0x55},  {'[', '{', 0x54},
    {']', '}', 0x5b}, {';', ':', 0x4c}, {'\'', '"', 0x52}, {'\\', '|', 0x5d}, {',', '<', 0x41},
    {'.', '>', 0x49}, {'/', '?', 0x4a}, {' ', 0, 0x29},
};

/* What follows ESC [ or ESC O (ECMA-48, and xterm's); all of these keys have E0 in front. */
static const struct {
    char text[3];
    uint8_t code;
} sequences[] = {
    {"A", 0x75},  {"B", 0x72},  {"C", 0x74},  {"D", 0x6b},  {"H", 0x6c},  {"F", 0x69},
    {"1~", 0x6c}, {"2~", 0x70}, {"3~", 0x71}, {"4~", 0x69}, {"5~", 0x7d}, {"6~", 0x7a},
};

static struct vkey printable_find(char c)
{
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (c == keys[i].plain)
            return (struct vkey){.code = keys[i].code};
        if (c == keys[i].shifted)
            return (struct vkey){.code = keys[i].code, .shift = true};
    }
    return (struct vkey){0};
}

struct vkey vkeymap_char(uint8_t c)
{
    switch (c) {
    case '\t':
        return (struct vkey){.code = KEY_TAB};
    case '\r':
    case '\n':
        return (struct vkey){.code = KEY_ENTER};
    case '\b':
    case DEL:
        return (struct vkey){.code = KEY_BACKSPACE};
    case ESC:
        return (struct vkey){.code = KEY_ESC};
    default:
        break;
    }
    if (c >= 1 && c <= 26) {
        struct vkey key = printable_find((char)(c - 1 + 'a'));

        key.ctrl = true;
        return key;
    }
    if (c < ' ')
        return (struct vkey){0};
    return printable_find((char)c);
}

/* How many bytes a sequence has in common with the text: all of them, or all of the text. 0: they differ. */
static uint32_t sequence_match(const char *sequence, const uint8_t *text, uint32_t len)
{
    uint32_t i = 0;

    for (; i < len && sequence[i]; i++)
        if ((uint8_t)sequence[i] != text[i])
            return 0;
    return i;
}

struct vkey vkeymap_escape(const uint8_t *text, uint32_t len, uint32_t *used)
{
    bool open = len < 2;

    *used = 1;
    if (len >= 2 && (text[1] == '[' || text[1] == 'O')) {
        open = len == 2;
        for (size_t i = 0; i < ARRAY_SIZE(sequences) && len > 2; i++) {
            uint32_t same = sequence_match(sequences[i].text, text + 2, len - 2);

            if (same && !sequences[i].text[same]) {
                *used = 2 + same;
                return (struct vkey){.code = sequences[i].code, .extended = true};
            }
            open |= same != 0;
        }
    }
    if (open)
        *used = 0;
    return (struct vkey){.code = KEY_ESC};
}

uint8_t vkeymap_set1(uint8_t code)
{
    /* What the 8042 of a PC/AT has in its ROM. */
    static const uint8_t table[0x85] = {
        0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59, 0x65,
        0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b, 0x67, 0x2e,
        0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d, 0x69, 0x31, 0x30,
        0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33, 0x25, 0x17,
        0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a,
        0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a,
        0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, 0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01,
        0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54, 0x80, 0x81, 0x82, 0x41, 0x54,
    };

    return code < sizeof(table) ? table[code] : code;
}
