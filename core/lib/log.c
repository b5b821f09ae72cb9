#include "core/lib/log.h"

#include "core/lib/format.h"
#include "core/lib/lock.h"
#include "core/lib/string.h"

#define RING_SIZE   (16 * KiB)
#define LINE_MAX    1024
#define PANIC_SPINS 100000

/* Lines, each ended by a newline, in a ring. Positions only grow; a byte at position p is ring[p %
 * RING_SIZE]. */
static char ring[RING_SIZE];
static uint64_t ring_begin, ring_end;
static struct lock ring_lock = LOCK_INIT; /* guards the three above */

static log_sink sink;
static log_clock clock;
static enum log_level max_level = LOG_INFO;
static bool panicking;

void log_set_sink(log_sink s)
{
    sink = s;
}

void log_set_clock(log_clock c)
{
    lock_name(&ring_lock, "log");
    clock = c;
}

void log_set_level(enum log_level level)
{
    max_level = level;
}

void log_panic(void)
{
    __atomic_store_n(&panicking, true, __ATOMIC_RELAXED);
}

bool log_panicked(void)
{
    return __atomic_load_n(&panicking, __ATOMIC_RELAXED);
}

/* A panic must not wait for ever for a lock whose holder is dead, perhaps this very core. */
static bool ring_take(void)
{
    if (LIKELY(!log_panicked())) {
        lock_take(&ring_lock);
        return true;
    }
    for (uint32_t spins = 0; spins < PANIC_SPINS; spins++)
        if (lock_try(&ring_lock))
            return true;
    return false;
}

static void ring_drop(bool taken)
{
    if (taken)
        lock_drop(&ring_lock);
}

static char ring_at(uint64_t position)
{
    return ring[position % RING_SIZE];
}

static void ring_put(char c)
{
    ring[ring_end++ % RING_SIZE] = c;
}

/* Makes room for len bytes at the cost of the oldest whole lines. */
static void ring_make_room(size_t len)
{
    while (ring_end + len - ring_begin > RING_SIZE)
        while (ring_at(ring_begin++) != '\n')
            ;
}

static void ring_add(const char *line, size_t len)
{
    bool taken = ring_take();

    ring_make_room(len + 1);
    for (size_t i = 0; i < len; i++)
        ring_put(line[i]);
    ring_put('\n');
    ring_drop(taken);
}

/* Copies the first whole line at or after *position; false if there is none. */
static bool ring_next(uint64_t *position, char *line, size_t *len)
{
    bool taken = ring_take();
    bool found;

    *position = MAX(*position, ring_begin);
    found = *position < ring_end;
    *len = 0;
    if (found) {
        for (char c; (c = ring_at(*position)) != '\n'; ++*position)
            line[(*len)++] = c;
        ++*position;
    }
    ring_drop(taken);
    return found;
}

void log_replay(log_sink to)
{
    char line[LINE_MAX];
    uint64_t position = 0;
    size_t len;

    while (ring_next(&position, line, &len))
        to(line, len);
}

/* What came from outside, such as a guest's name or command line, must not be able to fake or to split a
 * line. */
static void line_clean(char *line, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((uint8_t)line[i] < ' ' || line[i] == 0x7f)
            line[i] = '?';
}

struct line {
    char text[LINE_MAX];
    size_t len;
};

static void line_vadd(struct line *line, const char *fmt, va_list ap)
{
    int len = fmt_vprint(line->text + line->len, sizeof(line->text) - line->len, fmt, ap);

    line->len = MIN(line->len + (size_t)len, sizeof(line->text) - 1);
}

static void line_add(struct line *line, const char *fmt, ...) PRINTF(2, 3);
static void line_add(struct line *line, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    line_vadd(line, fmt, ap);
    va_end(ap);
}

static void line_begin(struct line *line)
{
    uint64_t us = clock ? clock() / 1000 : 0;

    line->len = 0;
    line_add(line, "keel[%llu.%06llu] ", (unsigned long long)(us / 1000000),
             (unsigned long long)(us % 1000000));
}

static void line_end(struct line *line)
{
    line_clean(line->text, line->len);
    ring_add(line->text, line->len);
    if (sink)
        sink(line->text, line->len);
}

void log_vwrite(enum log_level level, const char *fmt, va_list ap)
{
    struct line line;

    if (level > max_level)
        return;
    line_begin(&line);
    line_vadd(&line, fmt, ap);
    line_end(&line);
}

void log_write(enum log_level level, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_vwrite(level, fmt, ap);
    va_end(ap);
}

void log_event(const char *name, const char *fmt, ...)
{
    struct line line;
    va_list ap;

    line_begin(&line);
    line_add(&line, "event=%s ", name);
    va_start(ap, fmt);
    line_vadd(&line, fmt, ap);
    va_end(ap);
    if (line.text[line.len - 1] == ' ')
        line.len--;
    line_end(&line);
}
