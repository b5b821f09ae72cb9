#include "core/vmballoon.h"

#include "core/lib/error.h"
#include "core/lib/log.h"
#include "core/lib/string.h"
#include "core/vcpu_ops.h"
#include "core/vm.h"
#include "core/vmmem.h"
#include "mm/guestram.h"
#include "mm/layout.h"

#define BLOCK_PAGES (GUESTRAM_BLOCK / PAGE_SIZE)

enum block_state { BLOCK_HERE, BLOCK_LEAVING, BLOCK_GONE, BLOCK_COMING };

struct block {
    uint16_t given; /* pages of it that the guest has given up */
    uint8_t state;
    uint64_t pages[BLOCK_PAGES / 64]; /* which ones, a bit each */
};

struct vmballoon {
    uint64_t count; /* of blocks, from address 0 on */
    uint64_t gone;
    uint64_t first,
        last;   /* the blocks that LEAVING and COMING ones are among; last < first: there are none */
    hpa_t sink; /* blank while no block is gone */
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
    if (guestram_alloc(GUESTRAM_BLOCK, vm_owner(vm), &b->sink) != GUESTRAM_BLOCK) {
        log_error("vm=%s: no guest memory for its balloon", vm->name);
        frame_free(b, balloon_frames(count));
        return ERR_NOMEM;
    }
    vm->balloon = b;
    return 0;
}

uint64_t vmballoon_bytes(void)
{
    return GUESTRAM_BLOCK;
}

void vmballoon_free(struct vm *vm)
{
    struct vmballoon *b = vm->balloon;

    if (!b)
        return;
    guestram_free(b->sink, GUESTRAM_BLOCK);
    frame_free(b, balloon_frames(b->count));
    vm->balloon = NULL;
}

bool vmballoon_is_sink(const struct vm *vm, hpa_t hpa)
{
    return vm->balloon && hpa >= vm->balloon->sink && hpa - vm->balloon->sink < GUESTRAM_BLOCK;
}

uint64_t vmballoon_gone(const struct vm *vm)
{
    return vm->balloon ? vm->balloon->gone * GUESTRAM_BLOCK : 0;
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

/* A block that is RAM in part can't become complete. */
void vmballoon_give(struct vm *vm, uint64_t page)
{
    struct block *block = block_of(vm, page);

    if (!block || *page_word(block, page) & BIT(page % 64))
        return;
    *page_word(block, page) |= BIT(page % 64);
    if (++block->given < BLOCK_PAGES || block->state != BLOCK_HERE)
        return;
    block_change(vm->balloon, block, BLOCK_LEAVING);
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
    if (block->state == BLOCK_HERE)
        return true;
    /* Without memory, a rest would be for nothing. */
    if (block->state == BLOCK_GONE && guestram_free_bytes())
        block_change(vm->balloon, block, BLOCK_COMING);
    return false;
}

void vmballoon_empty(struct vm *vm)
{
    struct vmballoon *b = vm->balloon;

    for (uint64_t i = 0; b && i < b->count; i++) {
        struct block *block = &b->blocks[i];

        block->given = 0;
        memset(block->pages, 0, sizeof(block->pages));
        if (block->state == BLOCK_LEAVING)
            block->state = BLOCK_HERE;
        else if (block->state == BLOCK_GONE)
            block_change(b, block, BLOCK_COMING);
    }
}

/* -- blocks ----------------------------------------------------------------------------------------------------- */

static void block_clear(const struct vm *vm, gpa_t gpa)
{
    uint64_t before = vmmem_open(vm);

    memset((void *)(uintptr_t)(WINDOW_BASE + gpa), 0, GUESTRAM_BLOCK);
    vmmem_close(before);
}

/* False: a table can't be split, and all is as it was. */
static bool block_leave(struct vm *vm, gpa_t gpa)
{
    struct pt_leaf leaf;
    hpa_t hpa;

    if (!pt_lookup(&vm->space.pt, WINDOW_BASE + gpa, &leaf))
        return false;
    hpa = leaf.hpa + (WINDOW_BASE + gpa - leaf.addr);
    block_clear(vm, gpa);
    if (hostspace_map(&vm->space, gpa, vm->balloon->sink, GUESTRAM_BLOCK))
        return false;
    if (pt_unmap(&vm->nested, gpa, GUESTRAM_BLOCK)) {
        if (hostspace_map(&vm->space, gpa, hpa, GUESTRAM_BLOCK))
            vm_crash(vm, 0, "no pool memory to bring back what the balloon has");
        return false;
    }
    if (!vm->balloon->gone++)
        block_clear(vm, gpa);
    guestram_free(hpa, GUESTRAM_BLOCK);
    return true;
}

/* False: there is no memory, or no table for it. Nobody else sees the sink with what was written there. */
static bool block_come(struct vm *vm, gpa_t gpa, bool clear)
{
    hpa_t hpa;

    if (guestram_alloc(GUESTRAM_BLOCK, vm_owner(vm), &hpa) != GUESTRAM_BLOCK)
        return false;
    if (pt_map(&vm->nested, gpa, hpa, GUESTRAM_BLOCK, PT_READ | PT_WRITE | PT_EXEC)) {
        guestram_free(hpa, GUESTRAM_BLOCK);
        return false;
    }
    if (vm->balloon->gone == 1)
        block_clear(vm, gpa);
    if (hostspace_map(&vm->space, gpa, hpa, GUESTRAM_BLOCK)) {
        if (pt_unmap(&vm->nested, gpa, GUESTRAM_BLOCK) == 0)
            guestram_free(hpa, GUESTRAM_BLOCK);
        return false;
    }
    if (clear)
        block_clear(vm, gpa);
    vm->balloon->gone--;
    return true;
}

/* True: there was something to do. */
static bool block_settle(struct vm *vm, uint64_t index, bool clear)
{
    struct block *block = &vm->balloon->blocks[index];
    gpa_t gpa = index * GUESTRAM_BLOCK;

    if (block->state == BLOCK_LEAVING)
        block->state = block_leave(vm, gpa) ? BLOCK_GONE : BLOCK_HERE;
    else if (block->state == BLOCK_COMING)
        block->state = block_come(vm, gpa, clear) ? BLOCK_HERE : BLOCK_GONE;
    else
        return false;
    return true;
}

/* The first of those that are to change, and whoever runs next is told. */
static void balloon_settle(struct vm *vm, bool clear)
{
    struct vmballoon *b = vm->balloon;

    while (b->first <= b->last && !block_settle(vm, b->first++, clear))
        ;
    if (b->first > b->last)
        changes_none(b);
    for (uint32_t i = 0; i < vm->vcpu_count; i++)
        vcpu_ops->flush(vm->vcpus[i]);
}

void vmballoon_settle(struct vm *vm)
{
    if (vmballoon_busy(vm))
        balloon_settle(vm, true);
}

/* Nothing is cleared at once here: what was free has been scrubbed, and a reset leaves memory as it is. */
int vmballoon_refill(struct vm *vm)
{
    vmballoon_empty(vm);
    while (vmballoon_busy(vm))
        balloon_settle(vm, false);
    if (!vmballoon_gone(vm))
        return 0;
    log_error("vm=%s: %llu MiB that its balloon gave up aren't to be had again", vm->name,
              (unsigned long long)vmballoon_gone(vm) / MiB);
    return ERR_NOMEM;
}
