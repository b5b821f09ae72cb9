#include "guests/option.h"

#include "core/lib/string.h"
#include "core/trace_ring.h"

#define POOL_MIN (4 * MiB)
#define COM1     0x3f8
#define COM2     0x2f8

#define LIMIT_MAX 1000000000u /* seconds */

struct choice {
    const char *name;
    int value;
};

static const struct choice consoles[] = {{"line", CONSOLE_LINE}, {"focus", CONSOLE_FOCUS}, {NULL, 0}};
static const struct choice idles[] = {{"poweroff", IDLE_POWEROFF},
                                      {"reboot", IDLE_REBOOT},
                                      {"halt", IDLE_HALT},
                                      {"monitor", IDLE_MONITOR},
                                      {NULL, 0}};
static const struct choice panics[] = {
    {"halt", PANIC_HALT}, {"reboot", PANIC_REBOOT}, {"poweroff", PANIC_POWEROFF}, {NULL, 0}};
static const struct choice levels[] = {
    {"error", LOG_ERROR}, {"warn", LOG_WARN}, {"info", LOG_INFO}, {"debug", LOG_DEBUG}, {NULL, 0}};
static const struct choice tests[] = {
    {"fault", TEST_FAULT},
    {"guard", TEST_GUARD},
    {"assert", TEST_ASSERT},
    {"text", TEST_TEXT},
    {"exec", TEST_EXEC},
    {"null", TEST_NULL},
    {"nmi", TEST_NMI},
    {"remote", TEST_REMOTE},
    {"audit", TEST_AUDIT},
    {"plant", TEST_PLANT},
    {NULL, 0},
};

static bool choose(const struct choice *choices, const char *value, int *chosen)
{
    for (; choices->name; choices++)
        if (str_eq(choices->name, value)) {
            *chosen = choices->value;
            return true;
        }
    return false;
}

static bool set_console(struct options *o, char *value)
{
    int v;

    if (!choose(consoles, value, &v))
        return false;
    o->console = (enum option_console)v;
    return true;
}

static bool set_log(struct options *o, char *value)
{
    int v;

    if (!choose(levels, value, &v))
        return false;
    o->log = (enum log_level)v;
    o->log_set = true;
    return true;
}

static bool set_idle(struct options *o, char *value)
{
    int v;

    if (!choose(idles, value, &v))
        return false;
    o->on_idle = (enum option_idle)v;
    return true;
}

static bool set_panic(struct options *o, char *value)
{
    int v;

    if (!choose(panics, value, &v))
        return false;
    o->on_panic = (enum option_panic)v;
    return true;
}

static bool set_test(struct options *o, char *value)
{
    int v;

    if (!choose(tests, value, &v))
        return false;
    o->test = (enum option_test)v;
    return true;
}

static bool serial_place(const char *value, enum option_serial *serial, uint16_t *port)
{
    uint64_t number;

    *serial = SERIAL_PORT;
    *port = 0;
    if (str_eq(value, "com1")) {
        *port = COM1;
    } else if (str_eq(value, "com2")) {
        *port = COM2;
    } else if (str_eq(value, "none")) {
        *serial = SERIAL_NONE;
    } else {
        if (!str_number(value, false, &number) || number == 0 || number > UINT16_MAX - 7)
            return false;
        *port = (uint16_t)number;
    }
    return true;
}

static bool set_serial(struct options *o, char *value)
{
    char *comma = (char *)str_find(value, ',');
    enum option_serial serial;
    uint64_t baud = 0;
    uint16_t port;

    if (comma) {
        *comma = '\0';
        if (!str_number(comma + 1, false, &baud) || baud < 50 || baud > 4000000)
            return false;
    }
    if (!serial_place(value, &serial, &port))
        return false;
    o->serial = serial;
    o->serial_port = port;
    o->serial_baud = (uint32_t)baud;
    return true;
}

static bool set_pool(struct options *o, char *value)
{
    uint64_t bytes;

    if (!str_number(value, true, &bytes) || bytes < POOL_MIN)
        return false;
    o->pool = bytes;
    return true;
}

static bool set_trace(struct options *o, char *value)
{
    uint64_t bytes;

    if (!str_number(value, true, &bytes) || bytes < TRACE_BYTES_MIN || bytes > TRACE_BYTES_MAX)
        return false;
    o->trace = bytes;
    return true;
}

static bool set_cpus(struct options *o, char *value)
{
    uint64_t count;

    if (!str_number(value, false, &count) || count == 0 || count > UINT32_MAX)
        return false;
    o->cpus = (uint32_t)count;
    return true;
}

static bool set_limit(struct options *o, char *value)
{
    uint64_t seconds;

    if (!str_number(value, false, &seconds) || seconds == 0 || seconds > LIMIT_MAX)
        return false;
    o->limit = (uint32_t)seconds;
    return true;
}

static bool disable_add(struct options *o, const char *value)
{
    size_t used = str_len(o->disable);

    if (used + 1 + str_len(value) >= sizeof(o->disable))
        return false;
    if (used != 0)
        o->disable[used++] = ',';
    return str_copy(o->disable + used, value, sizeof(o->disable) - used);
}

/* The names are checked by caps_disable(), which knows them. */
static bool set_disable(struct options *o, char *value)
{
    return disable_add(o, value);
}

static const struct option table[] = {
    {"console", set_console, "line or focus", false},
    {"serial", set_serial,
     "com1, com2, a port such as 0x3e8, or none, and perhaps a speed, as in com1,115200", false},
    {"log", set_log, "error, warn, info or debug", false},
    {"disable", set_disable, "names of features with commas between them", false},
    {"on_idle", set_idle, "poweroff, reboot, halt or monitor", false},
    {"panic", set_panic, "halt, reboot or poweroff", false},
    {"pool", set_pool, "a size from 4M upwards", false},
    {"limit", set_limit, "a number of seconds from 1 to 1000000000", false},
    {"trace", set_trace, "a size from 4K to 16M, for each core", false},
    {"cpus", set_cpus, "a number from 1 upwards", true},
    {"test", set_test, "fault, guard, assert, text, exec, null, nmi, remote, audit or plant", true},
};

const struct option *option_find(const char *key)
{
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        if (str_eq(table[i].key, key))
            return &table[i];
    return NULL;
}

bool options_fill(struct options *o, const struct options *other)
{
    if (o->console == CONSOLE_UNSET)
        o->console = other->console;
    if (o->serial == SERIAL_UNSET) {
        o->serial = other->serial;
        o->serial_port = other->serial_port;
        o->serial_baud = other->serial_baud;
    }
    if (!o->log_set) {
        o->log_set = other->log_set;
        o->log = other->log;
    }
    if (o->on_idle == IDLE_UNSET)
        o->on_idle = other->on_idle;
    if (o->on_panic == PANIC_UNSET)
        o->on_panic = other->on_panic;
    if (o->pool == 0)
        o->pool = other->pool;
    if (o->trace == 0)
        o->trace = other->trace;
    if (o->limit == 0)
        o->limit = other->limit;
    return other->disable[0] == '\0' || disable_add(o, other->disable);
}
