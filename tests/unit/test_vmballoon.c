/*
 * Memory that goes and comes: all that a VM does with it in random order, against a model that knows what each block must hold. The
 * machine's memory is a file, of which the window is a mapping; tables, guest memory and the pool are the real ones.
 */
#define _GNU_SOURCE
#include "core/vmballoon.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/lib/error.h"
#include "core/vcpu_ops.h"
#include "core/vm.h"
#include "core/vmmem.h"
#include "mm/guestram.h"
#include "mm/layout.h"
#include "tests/unit/support.h"

#define BLOCK      GUESTRAM_BLOCK
#define HIGH       (4 * GiB)
#define LOW_BLOCKS 6u
#define BLOCKS     (LOW_BLOCKS + 4)
#define MACHINE    (BLOCKS + 6) /* blocks of guest memory */
#define BASE       (16 * MiB)
#define POOL_BYTES (1 * MiB)
#define OTHER      (OWNER_VM + 9)

const struct vcpu_ops *vcpu_ops;

static struct vm vm;
static int machine; /* its memory */
static void *table, *pool;
static bool resting, tables_fixed;
static uint64_t dice, model[BLOCKS];
static hpa_t taken[MACHINE];
static uint32_t taken_count;

/* -- around the tested file --------------------------------------------------------------------------------------- */

static void *table_new(void *ctx)
{
    void *page;

    (void)ctx;
    assert(!tables_fixed);
    page = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
    memset(page, 0, PAGE_SIZE);
    return page;
}

static void table_drop(void *ctx, void *page)
{
    (void)ctx;
    free(page);
}

static hpa_t table_hpa(const void *page)
{
    return (hpa_t)(uintptr_t)page;
}

static void *table_ptr(hpa_t hpa)
{
    return (void *)(uintptr_t)hpa;
}

static void window_set(gpa_t gpa, hpa_t hpa, uint64_t len, bool there)
{
    void *at = (void *)(uintptr_t)(WINDOW_BASE + gpa);
    void *got = there ? mmap(at, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, machine,
                             (off_t)(hpa - BASE))
                      : mmap(at, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

    assert(got == at);
}

int hostspace_map(struct hostspace *space, gpa_t gpa, hpa_t hpa, uint64_t len)
{
    window_set(gpa, hpa, len, true);
    return pt_map(&space->pt, WINDOW_BASE + gpa, hpa, len, PT_READ | PT_WRITE);
}

int hostspace_unmap(struct hostspace *space, gpa_t gpa, uint64_t len)
{
    window_set(gpa, 0, len, false);
    return pt_unmap(&space->pt, WINDOW_BASE + gpa, len);
}

uint64_t vmmem_open(const struct vm *v)
{
    assert(v == &vm);
    return 0;
}

void vmmem_close(uint64_t before)
{
    (void)before;
}

void vm_rest(struct vm *v)
{
    assert(v == &vm);
    resting = true;
}

void vm_crash(struct vm *v, uint32_t vcpu, const char *why)
{
    (void)v;
    (void)vcpu;
    fail_msg("%s", why);
}

/* -- the machine -------------------------------------------------------------------------------------------------- */

static gpa_t block_at(uint32_t n)
{
    return n < LOW_BLOCKS ? n * BLOCK : HIGH + (n - LOW_BLOCKS) * BLOCK;
}

static void vm_begin(uint32_t machine_blocks)
{
    const struct pt_memory memory = {table_new, table_drop, table_hpa, table_ptr, NULL};
    struct memmap map;

    memmap_clear(&map);
    memmap_add(&map, BASE, machine_blocks * BLOCK);
    table = malloc(guestram_table_bytes(&map));
    guestram_init(&map, table);
    machine = memfd_create("machine", 0);
    assert(machine >= 0 && ftruncate(machine, (off_t)(machine_blocks * BLOCK)) == 0);
    pool = aligned_alloc(PAGE_SIZE, POOL_BYTES);
    frame_init((uintptr_t)pool);
    assert(frame_add(0, POOL_BYTES) == 0);
    memset(&vm, 0, sizeof(vm));
    memset(model, 0, sizeof(model));
    resting = tables_fixed = false;
    taken_count = 0;
    vm.end = HIGH + (BLOCKS - LOW_BLOCKS) * BLOCK;
    assert(pt_init(&vm.nested, &pt_ept, &memory, 2) == 0 && pt_init(&vm.space.pt, &pt_host, &memory, 1) == 0);
    gmem_init(&vm.mem, (void *)WINDOW_BASE);
    assert(gmem_add(&vm.mem, 0, 640 * KiB, true) == 0 &&
           gmem_add(&vm.mem, MiB, LOW_BLOCKS * BLOCK - MiB, true) == 0 &&
           gmem_add(&vm.mem, HIGH, (BLOCKS - LOW_BLOCKS) * BLOCK, true) == 0);
    for (uint32_t n = 0; n < BLOCKS; n++) {
        hpa_t hpa;

        assert(guestram_alloc(BLOCK, vm_owner(&vm), &hpa) == BLOCK);
        assert(hostspace_map(&vm.space, block_at(n), hpa, BLOCK) == 0);
        assert(pt_map(&vm.nested, block_at(n), hpa, BLOCK, PT_READ | PT_WRITE | PT_EXEC) == 0);
    }
    assert_int_equal(vmballoon_init(&vm), 0);
}

static int free_leaf(void *ctx, const struct pt_leaf *leaf)
{
    (void)ctx;
    if (leaf->addr >= WINDOW_BASE && !vmballoon_is_alias(&vm, leaf))
        guestram_free(leaf->hpa, leaf->len);
    return 0;
}

/* All is given back: guest memory by the window, as vmmem_free does it. */
static void vm_end(void)
{
    tables_fixed = false;
    for (uint32_t i = 0; i < taken_count; i++)
        guestram_free(taken[i], BLOCK);
    pt_visit(&vm.space.pt, free_leaf, NULL);
    assert_int_equal(guestram_free_bytes(), guestram_total_bytes());
    vmballoon_free(&vm);
    assert_null(vm.balloon);
    assert_int_equal(frame_used_by(vm_owner(&vm)), 0);
    pt_free(&vm.nested);
    pt_free(&vm.space.pt);
    munmap((void *)WINDOW_BASE, vm.end);
    close(machine);
    free(pool);
    free(table);
}

static bool nested_has(uint32_t n, hpa_t *hpa)
{
    struct pt_leaf leaf;

    if (!pt_lookup(&vm.nested, block_at(n), &leaf))
        return false;
    *hpa = leaf.hpa + (block_at(n) - leaf.addr);
    return true;
}

static bool window_has(uint32_t n, hpa_t *hpa)
{
    struct pt_leaf leaf;

    if (!pt_lookup(&vm.space.pt, WINDOW_BASE + block_at(n), &leaf))
        return false;
    *hpa = leaf.hpa;
    return true;
}

static volatile uint64_t *word(uint32_t n, bool last)
{
    return (uint64_t *)(uintptr_t)(WINDOW_BASE + block_at(n) + (last ? BLOCK - 8 : 0));
}

/* What vm_run does, as often as it is due. */
static void rest(void)
{
    while (resting || vmballoon_busy(&vm)) {
        resting = false;
        vmballoon_settle(&vm);
        (void)vmballoon_ready(&vm);
    }
    /* A block that has gone is blank when it comes again. */
    for (uint32_t n = 0; n < BLOCKS; n++) {
        hpa_t hpa;

        if (!nested_has(n, &hpa))
            model[n] = 0;
    }
}

/* No frame twice, none of another's; both tables say the same; whatever is free is blank. */
static void check(void)
{
    uint32_t here = 0, owned = 0;

    for (uint32_t n = 0; n < BLOCKS; n++) {
        hpa_t a = 0, b = 0;
        bool there = nested_has(n, &a);

        assert_int_equal(window_has(n, &b), there);
        assert_int_equal(a, b);
        here += there;
        if (!there)
            continue;
        assert_int_equal(guestram_owner(a), vm_owner(&vm));
        assert_int_equal(*word(n, false), model[n]);
        assert_int_equal(*word(n, true), model[n]);
        for (uint32_t m = 0; m < n; m++)
            assert_true(!nested_has(m, &b) || a != b);
    }
    for (hpa_t hpa = BASE; guestram_contains(hpa); hpa += BLOCK) {
        uint64_t value = 1;

        owned += guestram_owner(hpa) == vm_owner(&vm);
        assert_int_equal(pread(machine, &value, 8, (off_t)(hpa - BASE)), 8);
        assert_true(guestram_owner(hpa) != OWNER_FREE || value == 0);
    }
    assert_int_equal(vmballoon_gone(&vm), (BLOCKS - here) * BLOCK);
    assert_true(vmballoon_reported(&vm) <= vmballoon_gone(&vm));
    assert_true(owned == here + 2 || (owned == here + 1 && !guestram_free_bytes()));
}

/* A touch needs no table, and brings memory unless there is none at all. */
static bool touch(uint32_t n)
{
    hpa_t hpa;
    int err;

    if (nested_has(n, &hpa))
        return true;
    tables_fixed = true;
    err = vmballoon_touch(&vm, block_at(n) + support_random(&dice) % BLOCK);
    tables_fixed = false;
    assert_int_equal(err == 0, nested_has(n, &hpa));
    assert_true(err == 0 || (err == ERR_NOMEM && resting));
    return err == 0;
}

static void write_block(uint32_t n)
{
    if (!touch(n))
        return;
    model[n] = support_random(&dice);
    *word(n, false) = *word(n, true) = model[n];
}

static void give_all(uint32_t n)
{
    for (uint32_t page = 0; page < BLOCK / PAGE_SIZE; page++)
        vmballoon_give(&vm, block_at(n) / PAGE_SIZE + page);
}

static bool take_all(uint32_t n)
{
    bool here = true;

    for (uint32_t page = 0; page < BLOCK / PAGE_SIZE; page++)
        here &= vmballoon_take(&vm, block_at(n) / PAGE_SIZE + page);
    return here;
}

static void others_take(void)
{
    if (taken_count < MACHINE && guestram_alloc(BLOCK, OTHER, &taken[taken_count]) == BLOCK)
        taken_count++;
}

static void others_give(void)
{
    if (taken_count)
        guestram_free(taken[--taken_count], BLOCK);
}

/* -- tests -------------------------------------------------------------------------------------------------------- */

static void test_report(void **state)
{
    (void)state;
    vm_begin(MACHINE);
    write_block(2);
    write_block(4);
    vmballoon_report(&vm, 2 * BLOCK - PAGE_SIZE, BLOCK); /* no whole block */
    vmballoon_report(&vm, 2 * BLOCK + 1, BLOCK);         /* nor there */
    vmballoon_report(&vm, 0, BLOCK);                     /* isn't all RAM */
    vmballoon_report(&vm, 3 * GiB, 64 * MiB);            /* nothing is there */
    vmballoon_report(&vm, HIGH, BLOCK);                  /* keeps the tables */
    vmballoon_report(&vm, vm.end - BLOCK, 1 * GiB);      /* ends beyond all */
    vmballoon_report(&vm, UINT64_MAX - BLOCK, BLOCK);
    assert_true(vmballoon_busy(&vm));
    rest();
    assert_int_equal(vmballoon_gone(&vm), BLOCK);
    vmballoon_report(&vm, 2 * BLOCK, 3 * BLOCK);
    assert_int_equal(vmballoon_gone(&vm), BLOCK); /* at rest only */
    rest();
    assert_int_equal(vmballoon_reported(&vm), 4 * BLOCK);
    check();
    assert_int_equal(vmballoon_touch(&vm, 700 * KiB), ERR_NOTFOUND);
    assert_int_equal(vmballoon_touch(&vm, 3 * GiB), ERR_NOTFOUND);
    assert_int_equal(vmballoon_touch(&vm, vm.end), ERR_NOTFOUND);
    assert_int_equal(vmballoon_touch(&vm, 5 * BLOCK), 0); /* was there: another core was faster */
    assert_int_equal(vmballoon_touched(&vm), 0);
    assert_true(touch(3));
    check();
    assert_int_equal(vmballoon_touched(&vm), 1);
    assert_int_equal(vmballoon_gone(&vm), 3 * BLOCK);
    assert_false(resting);
    vm_end();
}

/* One touch succeeds when others have all the rest, and then it waits; the hypervisor, which can't, gets the sink. */
static void test_no_memory(void **state)
{
    (void)state;
    vm_begin(BLOCKS + 2);
    vmballoon_report(&vm, BLOCK, 4 * BLOCK);
    rest();
    while (guestram_free_bytes())
        others_take();
    check();
    assert_true(touch(1));
    assert_true(resting);
    resting = false;
    assert_false(vmballoon_ready(&vm));
    check();
    assert_false(touch(2));
    assert_true(resting);
    others_give();
    assert_true(vmballoon_ready(&vm));
    resting = false;
    assert_true(touch(2));
    assert_int_equal(vmballoon_touch(&vm, 3 * BLOCK), ERR_NOMEM);
    vmballoon_lose(&vm, 3 * BLOCK);
    *word(3, false) = 1;
    assert_int_equal(vmballoon_touch(&vm, 3 * BLOCK),
                     0); /* for the guest nothing is there, and its VM is ending */
    assert_int_equal(vmballoon_refill(&vm), ERR_NOMEM);
    assert_int_equal(vmballoon_gone(&vm), 2 * BLOCK);
    while (taken_count)
        others_give();
    assert_int_equal(vmballoon_refill(&vm), 0);
    assert_int_equal(vmballoon_gone(&vm), 0);
    check(); /* what was written is nowhere */
    vm_end();
}

static void test_balloon(void **state)
{
    (void)state;
    vm_begin(MACHINE);
    write_block(2);
    give_all(2);
    assert_true(take_all(2)); /* while it is leaving */
    rest();
    check();
    give_all(2);
    give_all(3);
    vmballoon_report(&vm, 4 * BLOCK, BLOCK);
    rest();
    assert_int_equal(vmballoon_gone(&vm), 3 * BLOCK);
    assert_int_equal(vmballoon_reported(&vm), BLOCK);
    assert_false(take_all(2));
    rest();
    assert_true(take_all(2));
    check();
    assert_true(touch(3));    /* though it is in the balloon */
    assert_true(take_all(3)); /* so that it is there already */
    give_all(2);
    rest();
    vmballoon_empty(&vm);
    rest();
    assert_int_equal(vmballoon_gone(&vm), BLOCK); /* what was reported waits for its touch */
    check();
    vm_end();
}

static void test_random(void **state)
{
    (void)state;
    dice = 7;
    vm_begin(MACHINE);
    for (uint32_t i = 0; i < 3000; i++) {
        uint32_t n = (uint32_t)(support_random(&dice) % BLOCKS);

        switch (support_random(&dice) % 10) {
        case 0:
        case 1:
            vmballoon_report(&vm, block_at(n) - support_random(&dice) % 2 * PAGE_SIZE,
                             support_random(&dice) % (3 * BLOCK));
            rest();
            break;
        case 2:
            give_all(n);
            rest();
            break;
        case 3:
            (void)take_all(n);
            rest();
            break;
        case 4:
            others_take();
            break;
        case 5:
            others_give();
            (void)vmballoon_ready(&vm); /* as who waits for it asks */
            break;
        case 6:
            if (support_random(&dice) % 20 == 0)
                assert_true(vmballoon_refill(&vm) == 0 || vmballoon_gone(&vm) || !guestram_free_bytes());
            else if (support_random(&dice) % 8 == 0)
                vmballoon_empty(&vm);
            rest();
            break;
        default:
            write_block(n);
            rest();
        }
        check();
    }
    assert_true(vmballoon_touched(&vm) > 100);
    vm_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_report),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_balloon),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
