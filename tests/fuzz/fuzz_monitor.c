/*
 * The monitor's prompt: whatever is typed, the editor's line stays well-formed, each command gets words from its own
 * line, and what is shown are lines of the stream's grammar (DESIGN 7).
 */
#include <string.h>

#include "core/console.h"
#include "core/lib/panic.h"
#include "core/monitor.h"

static size_t column;
static char begin[8]; /* the first bytes of the line that is put out */

static void write_out(void *ctx, const char *bytes, size_t len)
{
    (void)ctx;
    if (len == 4 && !memcmp(bytes, "\r\x1b[K", 4)) {
        column = 0;
        return;
    }
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == '\n') {
            assert(!memcmp(begin, "keel> ", 6) || !memcmp(begin, "keel| ", 6) || !memcmp(begin, "vm| ", 4));
            column = 0;
            memset(begin, 0, sizeof(begin));
        } else if (bytes[i] == '\r') {
            column = 0;
        } else if (column < sizeof(begin)) {
            begin[column++] = bytes[i];
        }
    }
}

static void power(void)
{
}

static const char *name_at(uint32_t index)
{
    static const char *const names[] = {"web", "worker", "a-name-that-fills-the-room-it-has"};

    return index < 3 ? names[index] : NULL;
}

static int run(uint32_t count, const char *const *words)
{
    assert(count > 0 && count <= MONITOR_MAX_WORDS);
    for (uint32_t i = 0; i < count; i++) {
        assert(words[i][0] != '\0' && strlen(words[i]) <= MONITOR_LINE_MAX && !strchr(words[i], ' '));
        monitor_print("word=%s", words[i]);
    }
    return count > 2 ? -1 : 0;
}

static int run_later(uint32_t count, const char *const *words)
{
    if (count == 2)
        monitor_no_vm(words[1]);
    return MONITOR_LATER;
}

static const struct monitor_command rows[] = {
    {"vm list", "", "lists", run},
    {"vm start", "NAME", "starts", run},
    {"stats", "[NAME]", "counts", run},
    {"vm start all now", "NAME", "starts all", run},
    {"later", "NAME", "answers later", run_later},
};

static void check_editor(const uint8_t *data, size_t size)
{
    static struct lineedit edit;

    lineedit_init(&edit);
    for (size_t i = 0; i < size; i++) {
        if (lineedit_key(&edit, data[i]) == LINEEDIT_DONE) {
            lineedit_remember(&edit);
            lineedit_clear(&edit);
        }
        assert(edit.len == strlen(edit.text) && edit.len <= LINEEDIT_MAX && edit.cursor <= edit.len);
        assert(edit.back <= LINEEDIT_HISTORY && edit.back <= edit.count);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct console_sink sink = {.write = write_out};
    static struct console_vm vm;

    size = size < 2048 ? size : 2048;
    check_editor(data, size);
    column = 0;
    memset(begin, 0, sizeof(begin));
    console_init();
    assert(console_add_sink(&sink) == 0);
    console_vm_add(&vm, "vm", NULL, NULL);
    monitor_init(power, power);
    monitor_set_names(name_at);
    assert(monitor_register(rows, 5) == 0);
    for (size_t i = 0; i < size; i++) {
        console_enter_monitor();
        console_input(data[i]);
    }
    return 0;
}
