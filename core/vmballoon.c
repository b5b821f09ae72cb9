#include "core/vmballoon.h"

#include "core/lib/error.h"
#include "core/lib/lock.h"
#include "core/lib/log.h"
#include "core/lib/panic.h"
#include "core/lib/string.h"
#include "core/vcpu_ops.h"
#include "core/vm.h"
#include "core/vmmem.h"
#include "mm/guestram.h"
#include "mm/layout.h"

#define BLOCK_PAGES (GUESTRAM_BLOCK / PAGE_SIZE)

/* In the window, beyond all that guests can address. Both have one table, which the sink keeps alive. */
#define SPARE (WINDOW_SIZE / 2)
#define SINK  (SPARE + GUESTRAM_BLOCK)

enum block_state {
    BLOCK_HERE,
    BLOCK_LEAVING,
    BLOCK_GONE,   /* in neither table */
    BLOCK_COMING, /* gone, and wanted back */
    BLOCK_LOST,   /* gone, and the sink is in its place for the hypervisor: the VM ends */
};

struct block {
    uint16_t
        given; /* pages of it that are in the balloon; of a block that is gone with fewer, the rest was reported */
    uint8_t state;
    uint64_t pages[BLOCK_PAGES / 64]; /* which ones, a bit each */
};

struct vmballoon {
    uint64_t count; /* of blocks, from address 0 on */
    uint64_t first,
        last; /* the blocks that LEAVING and COMING ones are among; last < first: there are none */
    /* What is gone can be touched on several cores at once. Under this come the locks of guest memory and of the pool. */
    struct lock lock; /* guards what follows, and that a block isn't gone any more */
    uint64_t gone, touched;
    hpa_t spare; /* blank memory at SPARE, for the next block that comes; 0: there is none */
    hpa_t sink;
    struct block blocks[];
};

static uint32_t balloon_frames(uint64_t count)
{
    return frame_count(sizeof(struct vmballoon) + count * sizeof(struct block));
}

static void changes_none(struct vmballoon *b)
{
    b->first = UINT64_MAX;
    b->last = 0;
}

static void block_change(struct vmballoon *b, struct block *block, enum block_state state)
{
    uint64_t index = (uint64_t)(block - b->blocks);

    block->state = (uint8_t)state;
    b->first = MIN(b->first, index);
    b->last = MAX(b->last, index);
}

static void window_clear(const struct vm *vm, gpa_t gpa)
{
    uint64_t before = vmmem_open(vm); /* also drops what the TLB knows of another spare */

    memset((void *)(uintptr_t)(WINDOW_BASE + gpa), 0, GUESTRAM_BLOCK);
    vmmem_close(before);
}

/* A block of its own in the window, blank; 0: there is none. */
static hpa_t window_back(struct vm *vm, gpa_t gpa)
{
    hpa_t hpa;

    if (guestram_alloc(GUESTRAM_BLOCK, vm_owner(vm), &hpa) != GUESTRAM_BLOCK)
        return 0;
    if (hostspace_map(&vm->space, gpa, hpa, GUESTRAM_BLOCK)) {
        guestram_free(hpa, GUESTRAM_BLOCK);
        return 0;
    }
    window_clear(vm, gpa);
    return hpa;
}

/* True: the next block can come. */
static bool spare_get(struct vm *vm)
{
    struct vmballoon *b = vm->balloon;

    if (!b->spare)
        b->spare = window_back(vm, SPARE);
    return b->spare;
}

int vmballoon_init(struct vm *vm)
{
    uint64_t count = vm->end / GUESTRAM_BLOCK;
    struct vmballoon *b = frame_alloc(balloon_frames(count), vm_owner(vm));

    if (!b) {
        log_error("vm=%s: no pool memory for its balloon", vm->name);
        return ERR_NOMEM;
    }
    b->count = count;
    changes_none(b);
    vm->balloon = b;
    b->sink = window_back(vm, SINK);
    if (b->sink && spare_get(vm))
        return 0;
    log_error("vm=%s: no memory for its balloon", vm->name);
    return ERR_NOMEM;
}

uint64_t vmballoon_bytes(void)
{
    return 2 * GUESTRAM_BLOCK;
}

void vmballoon_free(struct vm *vm)
{
    if (vm->balloon)
        frame_free(vm->balloon, balloon_frames(vm->balloon->count));
    vm->balloon = NULL;
}

bool vmballoon_is_alias(const struct vm *vm, const struct pt_leaf *leaf)
{
    return vm->balloon && leaf->hpa == vm->balloon->sink && leaf->addr != WINDOW_BASE + SINK;
}

static bool block_gone(const struct block *block)
{
    uint8_t state = __atomic_load_n(&block->state, __ATOMIC_ACQUIRE);

    return state == BLOCK_GONE || state == BLOCK_COMING;
}

uint64_t vmballoon_gone(const struct vm *vm)
{
    return vm->balloon ? vm->balloon->gone * GUESTRAM_BLOCK : 0;
}

uint64_t vmballoon_reported(const struct vm *vm)
{
    uint64_t blocks = 0;

    for (uint64_t i = 0; vm->balloon && i < vm->balloon->count; i++)
        blocks += block_gone(&vm->balloon->blocks[i]) && vm->balloon->blocks[i].given < BLOCK_PAGES;
    return blocks * GUESTRAM_BLOCK;
}

uint64_t vmballoon_touched(const struct vm *vm)
{
    return vm->balloon ? vm->balloon->touched : 0;
}

bool vmballoon_busy(const struct vm *vm)
{
    return vm->balloon && vm->balloon->first <= vm->balloon->last;
}

/* -- pages ------------------------------------------------------------------------------------------------------ */

/* NULL: it isn't in RAM. */
static struct block *block_of(const struct vm *vm, uint64_t page)
{
    if (!vm->balloon || page / BLOCK_PAGES >= vm->balloon->count ||
        !gmem_guest_writable(&vm->mem, page * PAGE_SIZE, PAGE_SIZE))
        return NULL;
    return &vm->balloon->blocks[page / BLOCK_PAGES];
}

static uint64_t *page_word(struct block *block, uint64_t page)
{
    return &block->pages[page % BLOCK_PAGES / 64];
}

/* The first block of each gigabyte stays: so do the tables, and memory that comes back needs none. */
static void block_leaves(struct vmballoon *b, struct block *block)
{
    if (block->state == BLOCK_HERE && (uint64_t)(block - b->blocks) % (SIZE_1G / GUESTRAM_BLOCK))
        block_change(b, block, BLOCK_LEAVING);
}

/* A block that is RAM in part can't become complete. */
void vmballoon_give(struct vm *vm, uint64_t page)
{
    struct block *block = block_of(vm, page);

    if (!block || *page_word(block, page) & BIT(page % 64))
        return;
    *page_word(block, page) |= BIT(page % 64);
    if (++block->given == BLOCK_PAGES)
        block_leaves(vm->balloon, block);
}

void vmballoon_report(struct vm *vm, gpa_t gpa, uint64_t len)
{
    gpa_t end = gpa + len;

    for (gpa_t at = ALIGN_UP(gpa, GUESTRAM_BLOCK); at < end && end - at >= GUESTRAM_BLOCK;
         at += GUESTRAM_BLOCK)
        if (block_of(vm, at / PAGE_SIZE) && gmem_guest_writable(&vm->mem, at, GUESTRAM_BLOCK))
            block_leaves(vm->balloon, block_of(vm, at / PAGE_SIZE));
}

/* Who touches it meanwhile is faster. */
static void block_want(struct vmballoon *b, struct block *block)
{
    lock_take(&b->lock);
    if (block->state == BLOCK_GONE)
        block_change(b, block, BLOCK_COMING);
    lock_drop(&b->lock);
}

bool vmballoon_take(struct vm *vm, uint64_t page)
{
    struct block *block = block_of(vm, page);

    if (!block)
        return true;
    if (*page_word(block, page) & BIT(page % 64)) {
        *page_word(block, page) &= ~BIT(page % 64);
        block->given--;
    }
    if (block->state == BLOCK_LEAVING)
        block->state = BLOCK_HERE;
    if (!block_gone(block))
        return true;
    /* Without memory, a rest would be for nothing. */
    if (guestram_free_bytes())
        block_want(vm->balloon, block);
    return false;
}

/* What was reported is for the guest to touch. */
static void block_empty(struct vmballoon *b, struct block *block)
{
    bool whole = block->given == BLOCK_PAGES;

    block->given = 0;
    memset(block->pages, 0, sizeof(block->pages));
    if (block->state == BLOCK_LEAVING)
        block->state = BLOCK_HERE;
    else if (whole)
        block_want(b, block);
}

void vmballoon_empty(struct vm *vm)
{
    for (uint64_t i = 0; vm->balloon && i < vm->balloon->count; i++)
        block_empty(vm->balloon, &vm->balloon->blocks[i]);
}

/* -- blocks ----------------------------------------------------------------------------------------------------- */

static gpa_t block_gpa(const struct vmballoon *b, const struct block *block)
{
    return (gpa_t)(block - b->blocks) * GUESTRAM_BLOCK;
}

/* False: a table can't be split, and all is as it was. */
static bool block_leave(struct vm *vm, gpa_t gpa)
{
    struct pt_leaf leaf;
    hpa_t hpa;

    if (!pt_lookup(&vm->nested, gpa, &leaf))
        return false;
    hpa = leaf.hpa + (gpa - leaf.addr);
    window_clear(vm, gpa);
    if (hostspace_unmap(&vm->space, gpa, GUESTRAM_BLOCK))
        return false;
    if (pt_unmap(&vm->nested, gpa, GUESTRAM_BLOCK)) {
        if (hostspace_map(&vm->space, gpa, hpa, GUESTRAM_BLOCK))
            vm_crash(vm, 0, "no pool memory to bring back what the balloon has");
        return false;
    }
    vm->balloon->gone++;
    guestram_free(hpa, GUESTRAM_BLOCK);
    return true;
}

/* Only nested pages of 4 KiB need a table for that, and pool memory: false, there is none. */
static bool block_back(struct vm *vm, struct block *block, hpa_t hpa)
{
    gpa_t gpa = block_gpa(vm->balloon, block);

    if (pt_map(&vm->nested, gpa, hpa, GUESTRAM_BLOCK, PT_READ | PT_WRITE | PT_EXEC) ||
        hostspace_map(&vm->space, gpa, hpa, GUESTRAM_BLOCK))
        return false;
    vm->balloon->gone--;
    __atomic_store_n(&block->state, BLOCK_HERE, __ATOMIC_RELEASE);
    return true;
}

/* Under the lock: the spare, which is blank before anybody sees it there, and then another spare. False: there is none. */
static bool block_come(struct vm *vm, struct block *block)
{
    struct vmballoon *b = vm->balloon;

    if (!spare_get(vm) || !block_back(vm, block, b->spare))
        return false;
    b->spare = 0;
    if (hostspace_unmap(&vm->space, SPARE, GUESTRAM_BLOCK))
        panic("the window of vm=%s can't be changed", vm->name);
    (void)spare_get(vm);
    return true;
}

/* At rest, and not with the last memory that there is. */
static void block_settle_coming(struct vm *vm, struct block *block)
{
    lock_take(&vm->balloon->lock);
    if (!guestram_free_bytes() || !block_come(vm, block))
        block->state = BLOCK_GONE;
    lock_drop(&vm->balloon->lock);
}

/* True: there was something to do. */
static bool block_settle(struct vm *vm, struct block *block)
{
    if (block->state == BLOCK_LEAVING)
        block->state = block_leave(vm, block_gpa(vm->balloon, block)) ? BLOCK_GONE : BLOCK_HERE;
    else if (block->state == BLOCK_COMING)
        block_settle_coming(vm, block);
    else
        return false;
    return true;
}

/* The first of those that are to change, and whoever runs next is told. */
void vmballoon_settle(struct vm *vm)
{
    struct vmballoon *b = vm->balloon;

    if (!vmballoon_busy(vm))
        return;
    while (b->first <= b->last && !block_settle(vm, &b->blocks[b->first++]))
        ;
    if (b->first > b->last)
        changes_none(b);
    for (uint32_t i = 0; i < vm->vcpu_count; i++)
        vcpu_ops->flush(vm->vcpus[i]);
}

/* -- touching --------------------------------------------------------------------------------------------------- */

int vmballoon_touch(struct vm *vm, gpa_t gpa)
{
    struct block *block = block_of(vm, gpa / PAGE_SIZE);
    bool here = true, spare;

    if (!block)
        return ERR_NOTFOUND;
    lock_take(&vm->balloon->lock);
    if (block_gone(block)) {
        here = block_come(vm, block);
        vm->balloon->touched += here;
    }
    spare = vm->balloon->spare;
    lock_drop(&vm->balloon->lock);
    if (!spare)
        vm_rest(vm);
    return here ? 0 : ERR_NOMEM;
}

bool vmballoon_ready(struct vm *vm)
{
    bool ready;

    if (!vm->balloon)
        return true;
    lock_take(&vm->balloon->lock);
    ready = spare_get(vm) || vmballoon_busy(vm);
    lock_drop(&vm->balloon->lock);
    return ready;
}

void vmballoon_lose(struct vm *vm, gpa_t gpa)
{
    struct vmballoon *b = vm->balloon;
    struct block *block = &b->blocks[gpa / GUESTRAM_BLOCK];

    lock_take(&b->lock);
    if (block_gone(block)) {
        if (hostspace_map(&vm->space, block_gpa(b, block), b->sink, GUESTRAM_BLOCK))
            panic("the window of vm=%s can't be changed", vm->name);
        __atomic_store_n(&block->state, BLOCK_LOST, __ATOMIC_RELEASE);
    }
    lock_drop(&b->lock);
}

/* -- all of it -------------------------------------------------------------------------------------------------- */

/* Nothing is cleared here: what was free has been scrubbed, and a reset leaves memory as it is. */
static bool block_refill(struct vm *vm, struct block *block)
{
    hpa_t hpa;

    if (guestram_alloc(GUESTRAM_BLOCK, vm_owner(vm), &hpa) != GUESTRAM_BLOCK)
        return false;
    if (block_back(vm, block, hpa))
        return true;
    guestram_free(hpa, GUESTRAM_BLOCK);
    return false;
}

/* A block that is lost is gone like others, and what was meant for it is nowhere. */
static void blocks_find(struct vm *vm)
{
    struct vmballoon *b = vm->balloon;
    bool lost = false;

    for (uint64_t i = 0; i < b->count; i++)
        if (b->blocks[i].state == BLOCK_LOST) {
            if (hostspace_unmap(&vm->space, i * GUESTRAM_BLOCK, GUESTRAM_BLOCK))
                panic("the window of vm=%s can't be changed", vm->name);
            b->blocks[i].state = BLOCK_GONE;
            lost = true;
        }
    if (lost)
        window_clear(vm, SINK);
}

int vmballoon_refill(struct vm *vm)
{
    struct vmballoon *b = vm->balloon;
    bool good = true;

    if (!b)
        return 0;
    vmballoon_empty(vm);
    changes_none(b);
    blocks_find(vm);
    for (uint64_t i = 0; i < b->count; i++) {
        struct block *block = &b->blocks[i];

        if (block_gone(block) && (!good || !block_refill(vm, block))) {
            block->state = BLOCK_GONE;
            good = false;
        }
    }
    if (good && vmballoon_ready(vm))
        return 0;
    log_error("vm=%s: %llu MiB that its balloon gave up aren't to be had again", vm->name,
              (unsigned long long)vmballoon_gone(vm) / MiB);
    return ERR_NOMEM;
}
