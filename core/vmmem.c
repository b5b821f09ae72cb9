#include "core/vmmem.h"

#include "core/lib/string.h"
#include "core/lib/error.h"
#include "core/x86/asm.h"
#include "core/x86/percpu.h"
#include "mm/guestram.h"
#include "mm/layout.h"

_Static_assert(DISK_BASE + DISK_SIZE == WINDOW_BASE, "vmmem_scrub takes both in one");

/* How much to ask for at once: up to the next 1 GiB boundary, whole gigabytes from there on, so that 1G leaves fit. */
static uint64_t vmmem_chunk(gpa_t gpa, uint64_t len)
{
    uint64_t to_boundary = SIZE_1G - (gpa & (SIZE_1G - 1));

    if (to_boundary != SIZE_1G || len < SIZE_1G)
        return MIN(to_boundary, len);
    return SIZE_1G;
}

int vmmem_back(struct vm *vm, gpa_t gpa, uint64_t len)
{
    while (len) {
        hpa_t hpa;
        uint64_t got = guestram_alloc(vmmem_chunk(gpa, len), vm_owner(vm), &hpa);
        int err;

        if (got == 0)
            return ERR_NOMEM;
        err = hostspace_map(&vm->space, gpa, hpa, got);
        if (err) {
            guestram_free(hpa, got);
            return err;
        }
        gpa += got;
        len -= got;
    }
    return 0;
}

/* What lies in one piece in the host, however many leaves the window has for it: the nested table may use larger ones. */
struct vmmem_exposure {
    struct vm *vm;
    gpa_t gpa, end;
    uint32_t attrs;
    gpa_t from; /* the piece that isn't mapped yet */
    hpa_t hpa;
    uint64_t len;
};

static int vmmem_expose_piece(struct vmmem_exposure *e)
{
    return e->len ? pt_map(&e->vm->nested, e->from, e->hpa, e->len, e->attrs) : 0;
}

/* Takes what one leaf of the window has of the range. */
static int vmmem_expose_leaf(void *ctx, const struct pt_leaf *leaf)
{
    struct vmmem_exposure *e = ctx;
    gpa_t base = leaf->addr - WINDOW_BASE;
    gpa_t from = MAX(base, e->gpa), to = MIN(base + leaf->len, e->end);
    hpa_t hpa = leaf->hpa + (from - base);
    int err;

    if (leaf->addr < WINDOW_BASE || leaf->addr - WINDOW_BASE >= WINDOW_SIZE || from >= to)
        return 0;
    if (e->len && e->from + e->len == from && e->hpa + e->len == hpa) {
        e->len += to - from;
        return 0;
    }
    err = vmmem_expose_piece(e);
    e->from = from;
    e->hpa = hpa;
    e->len = to - from;
    return err;
}

int vmmem_expose(struct vm *vm, gpa_t gpa, uint64_t len, bool writable)
{
    struct vmmem_exposure e = {
        .vm = vm, .gpa = gpa, .end = gpa + len, .attrs = PT_READ | PT_EXEC | (writable ? PT_WRITE : 0)};
    int err = gmem_add(&vm->mem, gpa, len, writable);

    if (!err)
        err = pt_visit(&vm->space.pt, vmmem_expose_leaf, &e);
    return err ? err : vmmem_expose_piece(&e);
}

uint64_t vmmem_open(const struct vm *vm)
{
    uint64_t before = read_cr3();

    this_cpu()->cr2 = read_cr2(); /* the loaded vCPU's, perhaps, and the window's page faults change it */
    write_cr3(hostspace_root(&vm->space));
    return before;
}

void vmmem_close(uint64_t before)
{
    write_cr3(before);
}

/* What is scrubbed at once, while the core's other guests have to wait. */
#define SCRUB_BYTES (256 * KiB)

/* Is it for this VM to scrub? What others share with it, and images of disks, stay as they are. */
static bool vmmem_scrubs(const struct vm *vm, hpa_t hpa)
{
    uint16_t owner = guestram_owner(hpa);

    return owner == vm_owner(vm) || vmshare_scrubs(vm, owner);
}

/* The next leaf of that from `scrubbed` on. */
static bool vmmem_scrub_find(struct vm *vm, struct pt_leaf *leaf)
{
    while (vm->scrubbed < DISK_SIZE + WINDOW_SIZE) {
        if (pt_lookup(&vm->space.pt, DISK_BASE + vm->scrubbed, leaf) && vmmem_scrubs(vm, leaf->hpa))
            return true;
        vm->scrubbed = leaf->addr + leaf->len - DISK_BASE;
    }
    return false;
}

bool vmmem_scrub(struct vm *vm)
{
    struct pt_leaf leaf;
    uint64_t before, len;

    vmshare_end(vm);
    if (!vmmem_scrub_find(vm, &leaf))
        return false;
    len = MIN(leaf.addr + leaf.len - DISK_BASE - vm->scrubbed, SCRUB_BYTES);
    before = vmmem_open(vm); /* its memory is mapped nowhere else */
    memset((void *)(DISK_BASE + vm->scrubbed), 0, len);
    vmmem_close(before);
    vm->scrubbed += len;
    return true;
}

static int vmmem_free_leaf(void *ctx, const struct pt_leaf *leaf)
{
    if (leaf->addr >= DISK_BASE && leaf->addr - DISK_BASE < DISK_SIZE + WINDOW_SIZE &&
        guestram_owner(leaf->hpa) == vm_owner(ctx) && !vmballoon_is_alias(ctx, leaf))
        guestram_free(leaf->hpa, leaf->len);
    return 0;
}

void vmmem_free(struct vm *vm)
{
    while (vmmem_scrub(vm))
        ;
    pt_visit(&vm->space.pt, vmmem_free_leaf, vm);
    hostspace_free(&vm->space);
    pt_free(&vm->nested);
    vmshare_leave(vm);
    vmballoon_free(vm);
    vm->disk_used = 0;
    gmem_init(&vm->mem, (void *)(uintptr_t)WINDOW_BASE);
}
