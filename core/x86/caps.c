#include "core/x86/caps.h"

#include "core/lib/log.h"
#include "core/lib/string.h"

struct caps caps;

static const char *const names[CAP_COUNT] = {
#define X(id, name) [CAP_##id] = name,
    CAP_LIST(X)
#undef X
};

const char *cap_name(enum cap c)
{
    return names[c];
}

int cap_find(const char *name, size_t len)
{
    for (int c = 0; c < CAP_COUNT; c++)
        if (str_len(names[c]) == len && memcmp(names[c], name, len) == 0)
            return c;
    return -1;
}

static size_t word_len(const char *list)
{
    const char *comma = str_find(list, ',');

    return comma ? (size_t)(comma - list) : str_len(list);
}

int caps_disable(struct caps *allowed, const char *list)
{
    int unknown = 0;

    while (*list != '\0') {
        size_t len = word_len(list);
        int c = cap_find(list, len);

        if (c >= 0) {
            allowed->bits &= ~BIT(c);
        } else if (len != 0) {
            log_warn("disable: there is no feature '%.*s'", (int)len, list);
            unknown++;
        }
        list += len;
        list += *list == ',';
    }
    return unknown;
}

void caps_format(struct caps c, char *buf, size_t size)
{
    size_t used = 0;

    if (size == 0)
        return;
    buf[0] = '\0';
    for (uint32_t i = 0; i < CAP_COUNT; i++) {
        if (!(c.bits & BIT(i)))
            continue;
        if (used != 0 && str_copy(buf + used, ",", size - used))
            used++;
        str_copy(buf + used, names[i], size - used);
        used += str_len(buf + used);
    }
}

/* The first is of no use without the second. In an order in which one pass is enough. */
static const struct {
    enum cap cap, needs;
} dependencies[] = {
    {CAP_XSAVES, CAP_XSAVE},    {CAP_NEST1G, CAP_NEST2M},    {CAP_INVVPID_SINGLE, CAP_ASID},
    {CAP_FLUSH_ASID, CAP_ASID}, {CAP_APICV, CAP_TPR_SHADOW}, {CAP_POSTED, CAP_APICV},
};

void caps_settle(struct caps c)
{
    for (size_t i = 0; i < ARRAY_SIZE(dependencies); i++)
        if (!(c.bits & BIT(dependencies[i].needs)))
            c.bits &= ~BIT(dependencies[i].cap);
    caps = c;
}
