#include "drivers/virt/vkeyboard.h"

#include "core/lib/string.h"
#include "drivers/virt/vkeymap.h"

#define KEY_NS    5000000ull  /* from one key to the next */
#define ESCAPE_NS 20000000ull /* what comes later isn't part of an escape sequence */

#define ACK       0xfa
#define RESEND    0xfe
#define TEST_GOOD 0xaa
#define PREFIX    0xe0
#define BREAK     0xf0
#define ID_FIRST  0xab
#define ID_SECOND 0x83

#define ESC 0x1b

enum command {
    CMD_LEDS = 0xed,
    CMD_ECHO = 0xee,
    CMD_SET = 0xf0,
    CMD_ID = 0xf2,
    CMD_RATE = 0xf3,
    CMD_ENABLE = 0xf4,
    CMD_DISABLE = 0xf5,
    CMD_DEFAULTS = 0xf6,
    CMD_RESEND = 0xfe,
    CMD_RESET = 0xff,
};

/* Answers and a key at most: neither begins while there isn't room for it. */
static void put(struct vkeyboard *kb, uint8_t byte)
{
    if (kb->count < VKEYBOARD_FIFO)
        kb->fifo[(kb->first + kb->count++) % VKEYBOARD_FIFO] = byte;
}

/* -- keys ------------------------------------------------------------------------------------------------------- */

static void put_code(struct vkeyboard *kb, uint8_t code, bool extended, bool released)
{
    if (extended)
        put(kb, PREFIX);
    if (kb->set == 2 && released)
        put(kb, BREAK);
    put(kb, kb->set == 2 ? code : (uint8_t)(vkeymap_set1(code) | (released ? 0x80 : 0)));
}

static void put_key(struct vkeyboard *kb, const struct vkey *key)
{
    if (key->ctrl)
        put_code(kb, VKEY_CTRL, false, false);
    if (key->shift)
        put_code(kb, VKEY_SHIFT, false, false);
    put_code(kb, key->code, key->extended, false);
    put_code(kb, key->code, key->extended, true);
    if (key->shift)
        put_code(kb, VKEY_SHIFT, false, true);
    if (key->ctrl)
        put_code(kb, VKEY_CTRL, false, true);
}

/* The next key of what was typed, and how many characters mean it; 0: it isn't all there yet. */
static struct vkey key_next(const struct vkeyboard *kb, uint32_t *used)
{
    struct vkey key;

    *used = 1;
    if (kb->typed[0] != ESC)
        return vkeymap_char(kb->typed[0]);
    key = vkeymap_escape(kb->typed, kb->typed_count, used);
    if (*used == 0 && kb->waited)
        *used = 1;
    return key;
}

/* A key follows when all before it was taken. */
static void send_at(struct vkeyboard *kb, uint64_t time)
{
    if (kb->scanning && kb->typed_count && !kb->count)
        timer_arm(&kb->timer, time);
}

static void on_timer(struct timer *timer, uint64_t now)
{
    struct vkeyboard *kb = CONTAINER_OF(timer, struct vkeyboard, timer);

    while (kb->scanning && kb->typed_count && !kb->count) {
        uint32_t used;
        struct vkey key = key_next(kb, &used);

        kb->waited = !used;
        if (!used) {
            send_at(kb, now + ESCAPE_NS);
            return;
        }
        kb->typed_count -= used;
        memmove(kb->typed, kb->typed + used, kb->typed_count);
        if (key.code)
            put_key(kb, &key);
    }
    kb->next_at = now + KEY_NS;
    kb->ready(kb->ctx);
}

void vkeyboard_type(struct vkeyboard *kb, uint8_t c, uint64_t now)
{
    if (kb->typed_count == VKEYBOARD_TYPED)
        return;
    kb->typed[kb->typed_count++] = c;
    kb->waited = false;
    send_at(kb, MAX(now, kb->next_at));
}

/* -- the host's commands ---------------------------------------------------------------------------------------- */

static void defaults(struct vkeyboard *kb, bool scanning)
{
    kb->set = 2;
    kb->scanning = scanning;
    kb->command = 0;
}

static void operand(struct vkeyboard *kb, uint8_t command, uint8_t value)
{
    bool good = command != CMD_SET || value <= 2; /* set 3 isn't there */

    put(kb, good ? ACK : RESEND);
    if (command != CMD_SET || !good)
        return;
    if (value)
        kb->set = value;
    else
        put(kb, kb->set);
}

static void command_run(struct vkeyboard *kb, uint8_t command)
{
    switch (command) {
    case CMD_LEDS:
    case CMD_SET:
    case CMD_RATE:
        kb->command = command;
        put(kb, ACK);
        break;
    case CMD_ECHO:
        put(kb, CMD_ECHO);
        break;
    case CMD_ID:
        put(kb, ACK);
        put(kb, ID_FIRST);
        put(kb, ID_SECOND);
        break;
    case CMD_ENABLE:
        kb->scanning = true;
        put(kb, ACK);
        break;
    case CMD_DISABLE:
    case CMD_DEFAULTS:
        defaults(kb, command == CMD_DEFAULTS && kb->scanning);
        put(kb, ACK);
        break;
    case CMD_RESEND:
        put(kb, kb->last);
        break;
    case CMD_RESET:
        defaults(kb, true);
        put(kb, ACK);
        put(kb, TEST_GOOD);
        break;
    default:
        put(kb, RESEND);
    }
}

/* What it hasn't sent is forgotten when the host speaks; a byte that is no operand is a command. */
void vkeyboard_write(struct vkeyboard *kb, uint8_t byte)
{
    uint8_t command = kb->command;

    kb->count = 0;
    kb->command = 0;
    if (command && byte < CMD_LEDS)
        operand(kb, command, byte);
    else
        command_run(kb, byte);
    kb->ready(kb->ctx);
}

bool vkeyboard_take(struct vkeyboard *kb, uint8_t *byte)
{
    if (!kb->count)
        return false;
    *byte = kb->last = kb->fifo[kb->first];
    kb->first = (kb->first + 1) % VKEYBOARD_FIFO;
    kb->count--;
    send_at(kb, kb->next_at);
    return true;
}

void vkeyboard_reset(struct vkeyboard *kb)
{
    kb->count = kb->first = kb->typed_count = 0;
    kb->waited = false;
    kb->last = 0;
    kb->next_at = 0;
    defaults(kb, true);
    timer_disarm(&kb->timer);
}

void vkeyboard_init(struct vkeyboard *kb, struct timer_queue *timers, void (*ready)(void *ctx), void *ctx)
{
    memset(kb, 0, sizeof(*kb));
    kb->ready = ready;
    kb->ctx = ctx;
    timer_init(&kb->timer, timers, on_timer);
    vkeyboard_reset(kb);
}
