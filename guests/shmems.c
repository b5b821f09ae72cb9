#include "guests/shmems.h"

#include "core/lib/lock.h"
#include "core/lib/string.h"
#include "core/vm.h"
#include "mm/frame.h"

static struct {
    struct lock lock; /* guards the table */
    uint32_t count;
    struct {
        char name[VMSHARE_NAME_MAX];
        struct vivshmem_group *group;
    } rows[SHMEMS_MAX];
} shmems = {.lock = LOCK_INIT};

static struct vivshmem_group *group_make(const char *name)
{
    struct vivshmem_group *group = NULL;

    for (uint32_t i = 0; i < shmems.count; i++)
        if (str_eq(shmems.rows[i].name, name))
            return shmems.rows[i].group;
    if (shmems.count < SHMEMS_MAX)
        group = frame_alloc(frame_count(sizeof(*group)), OWNER_HOST);
    if (!group)
        return NULL;
    str_copy(shmems.rows[shmems.count].name, name, VMSHARE_NAME_MAX);
    shmems.rows[shmems.count++].group = group;
    return group;
}

struct vivshmem_group *shmem_group_get(const char *name)
{
    struct vivshmem_group *group;

    lock_take(&shmems.lock);
    group = group_make(name);
    lock_drop(&shmems.lock);
    return group;
}
