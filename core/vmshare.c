#include "core/vmshare.h"

#include "core/lib/lock.h"
#include "core/lib/string.h"
#include "core/vcpu_ops.h"
#include "core/vm.h"
#include "core/vmdisk.h"
#include "core/vmmem.h"
#include "mm/guestram.h"

/* One memory; its blocks are owned by OWNER_SHARE + its row. */
static struct {
    struct lock lock; /* guards the rows, but for a look at members */
    struct {
        char name[VMSHARE_NAME_MAX]; /* "": nobody can join any more */
        hpa_t base;
        uint64_t bytes;
        uint64_t members; /* VMs, a bit each */
        uint32_t staying; /* of those, the ones that haven't begun to end */
    } rows[VMSHARE_MAX];
} shares = {.lock = LOCK_INIT};

_Static_assert(VM_MAX <= 64, "a bit of members each");
_Static_assert(OWNER_VM + VM_MAX <= OWNER_SHARE, "no VM owns what is shared");

static uint32_t row_of(uint16_t owner)
{
    return (uint32_t)owner - OWNER_SHARE;
}

/* -- joining ---------------------------------------------------------------------------------------------------- */

/* The row of that name, else an empty one; VMSHARE_MAX if there is none. */
static uint32_t row_find(const char *name)
{
    uint32_t empty = VMSHARE_MAX;

    for (uint32_t i = 0; i < VMSHARE_MAX; i++) {
        if (shares.rows[i].name[0] && str_eq(shares.rows[i].name, name))
            return i;
        if (!shares.rows[i].members)
            empty = MIN(empty, i);
    }
    return empty;
}

static bool row_back(uint32_t row, const char *name, uint64_t bytes)
{
    hpa_t base;
    uint64_t got = guestram_alloc(bytes, (uint16_t)(OWNER_SHARE + row), &base);

    if (got < bytes) {
        guestram_free(base, got);
        return false;
    }
    shares.rows[row].base = base;
    shares.rows[row].bytes = bytes;
    str_copy(shares.rows[row].name, name, VMSHARE_NAME_MAX);
    return true;
}

static void row_enter(uint32_t row, const struct vm *vm)
{
    shares.rows[row].members |= BIT(vm->id);
    shares.rows[row].staying++;
}

static void row_exit(uint32_t row, const struct vm *vm)
{
    shares.rows[row].members &= ~BIT(vm->id);
    if (!shares.rows[row].members)
        guestram_free(shares.rows[row].base, shares.rows[row].bytes);
}

/* What was in the machine before Keel isn't for guests. */
static void share_clear(const struct vm *vm, uint64_t at, uint64_t bytes)
{
    uint64_t before = vmmem_open(vm);

    memset((void *)(uintptr_t)at, 0, bytes);
    vmmem_close(before);
}

static bool share_join(struct vm *vm, const char *name, uint64_t len, struct vmshare *share)
{
    uint32_t row = row_find(name);
    bool fresh = row < VMSHARE_MAX && !shares.rows[row].members;

    if (row == VMSHARE_MAX || (fresh && !row_back(row, name, ALIGN_UP(len, GUESTRAM_BLOCK))))
        return false;
    *share = (struct vmshare){.owner = (uint16_t)(OWNER_SHARE + row),
                              .len = len,
                              .wanted = VMSHARE_NOWHERE,
                              .mapped = VMSHARE_NOWHERE};
    row_enter(row, vm);
    share->at = vmdisk_map(vm, shares.rows[row].base, shares.rows[row].bytes, true);
    if (share->at && fresh)
        share_clear(vm, share->at, shares.rows[row].bytes);
    vm->share_count++; /* also without a place: what was entered is left with the rest */
    return share->at;
}

struct vmshare *vmshare_join(struct vm *vm, const char *name, uint64_t len)
{
    struct vmshare *share = &vm->shares[vm->share_count];
    bool good;

    if (vm->share_count == VM_SHARES_MAX)
        return NULL;
    lock_take(&shares.lock);
    good = share_join(vm, name, len, share);
    lock_drop(&shares.lock);
    return good ? share : NULL;
}

/* -- what the guest sees ---------------------------------------------------------------------------------------- */

void vmshare_place(struct vm *vm, struct vmshare *share, gpa_t gpa)
{
    share->wanted = gpa;
    if (share->wanted != share->mapped)
        vm_rest(vm);
}

static void share_settle(struct vm *vm, struct vmshare *share)
{
    hpa_t base = shares.rows[row_of(share->owner)].base;

    if (share->mapped != VMSHARE_NOWHERE && pt_unmap(&vm->nested, share->mapped, share->len) == 0)
        share->mapped = VMSHARE_NOWHERE;
    if (share->wanted != VMSHARE_NOWHERE && share->mapped == VMSHARE_NOWHERE &&
        pt_map(&vm->nested, share->wanted, base, share->len, PT_READ | PT_WRITE | PT_EXEC) == 0)
        share->mapped = share->wanted;
}

void vmshare_settle(struct vm *vm)
{
    bool moved = false;

    for (uint32_t i = 0; i < vm->share_count; i++) {
        if (vm->shares[i].wanted == vm->shares[i].mapped)
            continue;
        share_settle(vm, &vm->shares[i]);
        moved = true;
    }
    for (uint32_t i = 0; i < vm->vcpu_count && moved; i++)
        vcpu_ops->flush(vm->vcpus[i]);
}

bool vmshare_allows(const struct vm *vm, uint16_t owner)
{
    if (owner < OWNER_SHARE || owner >= OWNER_SHARE + VMSHARE_MAX)
        return false;
    return __atomic_load_n(&shares.rows[row_of(owner)].members, __ATOMIC_RELAXED) & BIT(vm->id);
}

/* -- the end ---------------------------------------------------------------------------------------------------- */

void vmshare_end(struct vm *vm)
{
    if (vm->shares_ended)
        return;
    vm->shares_ended = true;
    lock_take(&shares.lock);
    for (uint32_t i = 0; i < vm->share_count; i++) {
        uint32_t row = row_of(vm->shares[i].owner);

        vm->shares[i].last = --shares.rows[row].staying == 0;
        if (vm->shares[i].last)
            shares.rows[row].name[0] = '\0';
    }
    lock_drop(&shares.lock);
}

bool vmshare_scrubs(const struct vm *vm, uint16_t owner)
{
    for (uint32_t i = 0; i < vm->share_count; i++)
        if (vm->shares[i].owner == owner)
            return vm->shares[i].last;
    return false;
}

void vmshare_leave(struct vm *vm)
{
    lock_take(&shares.lock);
    for (uint32_t i = 0; i < vm->share_count; i++)
        row_exit(row_of(vm->shares[i].owner), vm);
    vm->share_count = 0;
    lock_drop(&shares.lock);
}
