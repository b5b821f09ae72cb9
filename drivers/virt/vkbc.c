#include "drivers/virt/vkbc.h"

#include "core/lib/string.h"
#include "drivers/virt/isa.h"
#include "drivers/virt/vkeymap.h"

#define STATUS_FULL     BIT(0) /* the output buffer has a byte for the guest */
#define STATUS_SYSTEM   BIT(2) /* the self-test was passed */
#define STATUS_COMMAND  BIT(3) /* the last byte came through port 0x64 */
#define STATUS_UNLOCKED BIT(4)
#define STATUS_TIMEOUT  BIT(6)

#define MODE_IRQ     BIT(0) /* the command byte, ram[0] */
#define MODE_SYSTEM  BIT(2)
#define MODE_DISABLE BIT(4) /* keyboard */
#define MODE_NO_AUX  BIT(5)
#define MODE_XLATE   BIT(6) /* scan codes of set 2 become those of set 1 */

#define BREAK    0xf0 /* in front of a code of set 2: the key was released */
#define RELEASED 0x80 /* the same in set 1 */

#define OUTPORT_RUN  BIT(0) /* 0 holds the CPU in reset */
#define OUTPORT_A20  BIT(1)
#define OUTPORT_REST 0xcc

#define NO_ANSWER   0xfe /* "resend": what the controller says for a device that is silent */
#define AUX_BROKEN  0x01 /* interface test: the clock line is stuck low */
#define NO_PASSWORD 0xf1
#define SELFTEST_OK 0x55
#define INPUT_PORT  0x80 /* keyboard not locked */

enum kbc_command {
    CMD_READ_RAM = 0x20,
    CMD_WRITE_RAM = 0x60,
    CMD_PASSWORD = 0xa4,
    CMD_AUX_OFF = 0xa7,
    CMD_AUX_ON = 0xa8,
    CMD_AUX_TEST = 0xa9,
    CMD_SELFTEST = 0xaa,
    CMD_KEYBOARD_TEST = 0xab,
    CMD_KEYBOARD_OFF = 0xad,
    CMD_KEYBOARD_ON = 0xae,
    CMD_READ_INPUT = 0xc0,
    CMD_READ_OUTPUT = 0xd0,
    CMD_WRITE_OUTPUT = 0xd1,
    CMD_ECHO = 0xd2,
    CMD_AUX_ECHO = 0xd3,
    CMD_AUX_WRITE = 0xd4,
    CMD_A20_OFF = 0xdd,
    CMD_A20_ON = 0xdf,
    CMD_TEST_LINES = 0xe0,
    CMD_PULSE = 0xf0,
};

static void pin_update(struct vkbc *k)
{
    irq_pin_set(&k->config.pin, (k->status & STATUS_FULL) && (k->ram[0] & MODE_IRQ));
}

static void output_fill(struct vkbc *k, uint8_t byte, bool from_keyboard)
{
    k->output = byte;
    k->from_keyboard = from_keyboard;
    k->status |= STATUS_FULL;
    pin_update(k);
}

/* What the keyboard has sent, and wasn't read yet, comes after the answer. */
static void answer(struct vkbc *k, uint8_t byte)
{
    if ((k->status & STATUS_FULL) && k->from_keyboard) {
        k->held = k->output;
        k->has_held = true;
    }
    output_fill(k, byte, false);
}

/* The next byte from the keyboard, translated if it is to be; false: there is none. */
static bool keyboard_take(struct vkbc *k, uint8_t *byte)
{
    if (k->has_held) {
        *byte = k->held;
        k->has_held = false;
        return true;
    }
    while (vkeyboard_take(&k->keyboard, byte)) {
        if (!(k->ram[0] & MODE_XLATE))
            return true;
        if (*byte != BREAK) {
            *byte = (uint8_t)(vkeymap_set1(*byte) | (k->released ? RELEASED : 0));
            k->released = false;
            return true;
        }
        k->released = true;
    }
    return false;
}

/* Lets the keyboard send, if there is room and its clock isn't held. */
static void keyboard_poll(void *ctx)
{
    struct vkbc *k = ctx;
    uint8_t byte;

    if (!(k->status & STATUS_FULL) && !(k->ram[0] & MODE_DISABLE) && keyboard_take(k, &byte))
        output_fill(k, byte, true);
}

static void answer_silence(struct vkbc *k)
{
    k->status |= STATUS_TIMEOUT;
    answer(k, NO_ANSWER);
}

/* The machine's own switches hang on the output port: bit 0 low resets it. */
static void outport_write(struct vkbc *k, uint8_t value)
{
    k->outport = value | OUTPORT_RUN;
    if (!(value & OUTPORT_RUN))
        k->config.reset(k->config.ctx);
}

static void mode_write(struct vkbc *k, uint8_t value)
{
    k->ram[0] = value;
    if (value & MODE_SYSTEM)
        k->status |= STATUS_SYSTEM;
    else
        k->status &= ~STATUS_SYSTEM;
    pin_update(k);
    keyboard_poll(k);
}

static void selftest(struct vkbc *k)
{
    mode_write(k, MODE_SYSTEM | MODE_DISABLE | MODE_NO_AUX);
    answer(k, SELFTEST_OK);
}

static void command_single(struct vkbc *k, uint8_t command)
{
    switch (command) {
    case CMD_PASSWORD:
        answer(k, NO_PASSWORD);
        break;
    case CMD_AUX_OFF:
        mode_write(k, k->ram[0] | MODE_NO_AUX);
        break;
    case CMD_AUX_ON:
        mode_write(k, k->ram[0] & ~MODE_NO_AUX);
        break;
    case CMD_AUX_TEST:
        answer(k, AUX_BROKEN);
        break;
    case CMD_SELFTEST:
        selftest(k);
        break;
    case CMD_KEYBOARD_TEST:
    case CMD_TEST_LINES:
        answer(k, 0);
        break;
    case CMD_KEYBOARD_OFF:
        mode_write(k, k->ram[0] | MODE_DISABLE);
        break;
    case CMD_KEYBOARD_ON:
        mode_write(k, k->ram[0] & ~MODE_DISABLE);
        break;
    case CMD_READ_INPUT:
        answer(k, INPUT_PORT);
        break;
    case CMD_READ_OUTPUT:
        answer(k, k->outport);
        break;
    case CMD_A20_OFF:
        k->outport &= ~OUTPORT_A20;
        break;
    case CMD_A20_ON:
        k->outport |= OUTPORT_A20;
        break;
    default: /* unknown ones are ignored */
        break;
    }
}

static void command_write(struct vkbc *k, uint8_t command)
{
    k->status = (k->status | STATUS_COMMAND) & ~STATUS_TIMEOUT;
    k->pending = 0;
    if ((command & 0xe0) == CMD_READ_RAM)
        answer(k, k->ram[command & 0x1f]);
    else if ((command & 0xe0) == CMD_WRITE_RAM || (command >= CMD_WRITE_OUTPUT && command <= CMD_AUX_WRITE))
        k->pending = command;
    else if (command < CMD_PULSE)
        command_single(k, command);
    else if (!(command & OUTPORT_RUN))
        k->config.reset(k->config.ctx); /* pulses the lines whose bits are 0 */
}

/* The byte that a command waited for. */
static void operand_write(struct vkbc *k, uint8_t command, uint8_t value)
{
    if (command == CMD_WRITE_RAM)
        mode_write(k, value);
    else if ((command & 0xe0) == CMD_WRITE_RAM)
        k->ram[command & 0x1f] = value;
    else if (command == CMD_WRITE_OUTPUT)
        outport_write(k, value);
    else if (command == CMD_ECHO)
        answer(k, value);
    else
        answer_silence(k); /* both auxiliary commands: nothing is there */
}

static void data_write(struct vkbc *k, uint8_t value)
{
    uint8_t command = k->pending;

    k->status &= ~(STATUS_COMMAND | STATUS_TIMEOUT);
    k->pending = 0;
    if (command) {
        operand_write(k, command, value);
        return;
    }
    /* A byte for the keyboard lets it send, too (8042's firmware does so). */
    k->ram[0] &= (uint8_t)~MODE_DISABLE;
    k->released = false;
    vkeyboard_write(&k->keyboard, value);
}

static uint8_t data_read(struct vkbc *k)
{
    uint8_t byte = k->output;

    k->status &= ~(STATUS_FULL | STATUS_TIMEOUT);
    pin_update(k);
    keyboard_poll(k);
    return byte;
}

enum bus_result vkbc_data_port(void *dev, struct bus_access *access)
{
    struct vkbc *k = dev;

    if (access->size != 1)
        return isa_split(vkbc_data_port, dev, access);
    if (access->write)
        data_write(k, (uint8_t)access->value);
    else
        access->value = data_read(k);
    return BUS_OK;
}

enum bus_result vkbc_command_port(void *dev, struct bus_access *access)
{
    struct vkbc *k = dev;

    if (access->size != 1)
        return isa_split(vkbc_command_port, dev, access);
    if (access->write)
        command_write(k, (uint8_t)access->value);
    else
        access->value = k->status;
    return BUS_OK;
}

void vkbc_type(struct vkbc *k, uint8_t c, uint64_t now)
{
    vkeyboard_type(&k->keyboard, c, now);
}

/* As a BIOS leaves it: self-tested, A20 open, the keyboard at work. */
void vkbc_reset(struct vkbc *k)
{
    memset(k->ram, 0, sizeof(k->ram));
    k->ram[0] = MODE_IRQ | MODE_SYSTEM | MODE_NO_AUX | MODE_XLATE;
    k->status = STATUS_SYSTEM | STATUS_UNLOCKED;
    k->outport = OUTPORT_RUN | OUTPORT_A20 | OUTPORT_REST;
    k->output = k->pending = k->held = 0;
    k->from_keyboard = k->has_held = k->released = false;
    vkeyboard_reset(&k->keyboard);
    pin_update(k);
}

void vkbc_init(struct vkbc *k, const struct vkbc_config *config)
{
    memset(k, 0, sizeof(*k));
    k->config = *config;
    vkeyboard_init(&k->keyboard, config->timers, keyboard_poll, k);
    vkbc_reset(k);
}
