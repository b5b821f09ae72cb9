/*
 * The shared console: whatever two VMs and the hypervisor write, in any order and at any time, and however much the serial
 * port takes, every line of the stream begins as DESIGN 7 says, and no line mixes two writers. In focus mode one VM's bytes
 * have no prefix; the others' lines are whole all the same.
 */
#include <string.h>

#include "core/console.h"
#include "core/lib/panic.h"
#include "core/monitor.h"

#define STREAM_MAX (1 << 20)

static char stream[STREAM_MAX];
static size_t stream_len;
static struct console_vm vms[2];
static size_t room; /* what the serial port would take */
static bool focus;

static void write_out(void *ctx, const char *bytes, size_t len)
{
    (void)ctx;
    assert(stream_len + len <= STREAM_MAX);
    memcpy(stream + stream_len, bytes, len);
    stream_len += len;
}

static size_t room_left(void *ctx)
{
    (void)ctx;
    return room;
}

static void power(void)
{
}

/*
 * What a VM writes is made of its own letter and of bytes that mean something, so that a mixture would be
 * seen.
 */
static uint8_t vm_byte(uint32_t vm, uint8_t raw)
{
    static const uint8_t special[] = {'\n', '\r', '\b', 0x1b, 0, 0x0b, 0x85, '|'};

    return raw & 1 ? special[raw >> 1 & 7] : (uint8_t)('A' + vm);
}

static bool is_from(const char *line, size_t len, const char *prefix)
{
    return len >= strlen(prefix) && !memcmp(line, prefix, strlen(prefix));
}

static void check_line(const char *line, size_t len)
{
    if (focus && !memchr(line, 'B', len) && !memchr(line, 'h', len))
        return; /* the VM that has the console may have written that */

    bool a = is_from(line, len, "a| "), b = is_from(line, len, "b| ");

    assert(a || b || is_from(line, len, "keel[0.0] "));
    assert(!memchr(line, '\n', len));
    assert(len <= 3 + CONSOLE_LINE_MAX);
    if (a || b)
        assert(!memchr(line, a ? 'B' : 'A', len) && !memchr(line, 'h', len));
}

static void check_stream(void)
{
    const char *at = stream, *end = stream + stream_len;

    while (at < end) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));

        if (!lf) {
            check_line(at, (size_t)(end - at));
            return;
        }
        assert(focus || (lf > at && lf[-1] == '\r'));
        check_line(at, (size_t)(lf - at) - (lf > at && lf[-1] == '\r'));
        at = lf + 1;
    }
}

static void step(const uint8_t *data, size_t len, uint64_t *now)
{
    uint8_t bytes[32];
    uint32_t vm = data[0] & 1;

    *now += (uint64_t)(data[0] >> 4) * 10000000;
    switch (data[0] >> 1 & 7) {
    case 0:
        console_line("keel[0.0] hypervisor", 20);
        break;
    case 1:
        console_flush();
        break;
    case 2:
        room = len > 1 ? 16u * data[1] : SIZE_MAX;
        console_poll(*now);
        assert(console_deadline() > *now);
        break;
    case 3:
        console_vm_remove(&vms[vm]);
        console_vm_add(&vms[vm], vm ? "b" : "a", NULL, NULL);
        if (focus && vm == 0)
            console_attach(&vms[0], true);
        break;
    default:
        for (size_t i = 1; i < len; i++)
            bytes[i] = vm_byte(vm, data[i]);
        /* So often that the VM's buffer is full, where nothing takes from it. */
        for (uint32_t i = 0; i < (room < 256 && len > 1 ? 16u * data[1] : 1); i++)
            console_vm_write(&vms[vm], bytes + 1, len - 1, *now);
        assert(console_ring_used(&vms[vm].ring) <= CONSOLE_RING);
    }
}

/* The monitor gets the rest of the input as keys: only that nothing bad happens. */
static void type(const uint8_t *data, size_t size)
{
    console_enter_monitor();
    for (size_t i = 0; i < size; i++) {
        console_input(data[i]);
        if (data[i] == '\n')
            console_enter_monitor();
    }
}

static void run(const uint8_t *data, size_t size)
{
    static const struct console_sink sink = {.write = write_out, .room = room_left};
    uint64_t now = 0;
    size_t at = 0;

    stream_len = 0;
    room = SIZE_MAX;
    console_init();
    assert(console_add_sink(&sink) == 0);
    console_vm_add(&vms[0], "a", NULL, NULL);
    console_vm_add(&vms[1], "b", NULL, NULL);
    monitor_init(power, power);
    console_attach(&vms[0], focus);
    while (at < size && at < 4096) {
        size_t len = 1 + (data[at] >> 3) % 20;

        len = len < size - at ? len : size - at;
        step(data + at, len, &now);
        at += len;
    }
    console_flush();
    assert(console_deadline() == UINT64_MAX);
    check_stream();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    focus = true;
    run(data, size);
    focus = false;
    run(data, size);
    stream_len = 0;
    type(data, size < 512 ? size : 512);
    return 0;
}
