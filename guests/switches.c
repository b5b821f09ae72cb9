#include "guests/switches.h"

#include "core/lib/lock.h"
#include "core/lib/string.h"
#include "core/vm.h"
#include "mm/frame.h"

static struct {
    struct lock lock; /* guards the table */
    uint32_t count;
    struct {
        char name[VM_NAME_MAX];
        struct vswitch *net;
    } rows[SWITCHES_MAX];
} switches = {.lock = LOCK_INIT};

static struct vswitch *switch_make(const char *name)
{
    struct vswitch *net = NULL;

    for (uint32_t i = 0; i < switches.count; i++)
        if (str_eq(switches.rows[i].name, name))
            return switches.rows[i].net;
    if (switches.count < SWITCHES_MAX)
        net = frame_alloc(frame_count(sizeof(*net)), OWNER_HOST);
    if (!net)
        return NULL;
    str_copy(switches.rows[switches.count].name, name, VM_NAME_MAX);
    switches.rows[switches.count++].net = net;
    return net;
}

struct vswitch *switch_get(const char *name)
{
    struct vswitch *net;

    lock_take(&switches.lock);
    net = switch_make(name);
    lock_drop(&switches.lock);
    return net;
}
