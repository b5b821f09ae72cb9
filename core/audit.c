#include "core/audit.h"

#include "core/lib/log.h"
#include "core/vm.h"
#include "mm/guestram.h"
#include "mm/image.h"
#include "mm/layout.h"

struct audit_walk {
    struct audit_result *result;
    const struct vm *vm;
    const char *table;
};

static void audit_fault(struct audit_walk *w, const struct pt_leaf *leaf, const char *what)
{
    w->result->faults++;
    log_error("audit: %s%s%s: %s: address 0x%llx, frame 0x%llx, %llu KiB", w->vm ? w->vm->name : "host",
              w->vm ? " " : "", w->vm ? w->table : "", what, (unsigned long long)leaf->addr,
              (unsigned long long)leaf->hpa, (unsigned long long)leaf->len / 1024);
}

/*
 * Each frame that a VM reaches must be guest memory that the block table gives to this VM, or to a share that it is declared
 * a member of: since a block has one owner, no other frame can then be in two VMs, and none of the hypervisor's is in any.
 */
static void audit_guest_frames(struct audit_walk *w, const struct pt_leaf *leaf)
{
    for (uint64_t off = 0; off < leaf->len; off += GUESTRAM_BLOCK) {
        hpa_t hpa = leaf->hpa + off;

        if (!guestram_contains(hpa))
            audit_fault(w, leaf, "maps what isn't guest memory");
        else if (guestram_owner(hpa) != vm_owner(w->vm) && !vmshare_allows(w->vm, guestram_owner(hpa)))
            audit_fault(w, leaf, "maps another owner's memory");
        else
            continue;
        return;
    }
}

static int audit_nested_leaf(void *ctx, const struct pt_leaf *leaf)
{
    struct audit_walk *w = ctx;

    w->result->leaves++;
    w->result->leaves_4k += leaf->len == PAGE_SIZE;
    w->result->leaves_2m += leaf->len == SIZE_2M;
    w->result->leaves_1g += leaf->len == SIZE_1G;
    w->result->guest_bytes += leaf->len;
    audit_guest_frames(w, leaf);
    return 0;
}

/* Behind disks there are also images: each is declared as one VM's to write, or as everybody's to read. */
static void audit_disk_leaf(struct audit_walk *w, const struct pt_leaf *leaf)
{
    bool write = leaf->attrs & PT_WRITE;

    if (guestram_contains(leaf->hpa))
        audit_guest_frames(w, leaf);
    else if (!image_allows(leaf->hpa, leaf->len, vm_owner(w->vm), write))
        audit_fault(w, leaf,
                    write ? "makes an image writable that isn't its own" : "is no image that it may read");
    if (leaf->attrs & PT_EXEC)
        audit_fault(w, leaf, "is executable for the hypervisor");
}

static int audit_window_leaf(void *ctx, const struct pt_leaf *leaf)
{
    struct audit_walk *w = ctx;

    if (leaf->addr >= DIRECT_BASE)
        return 0;
    if (leaf->addr >= DISK_BASE && leaf->addr - DISK_BASE < DISK_SIZE) {
        audit_disk_leaf(w, leaf);
        return 0;
    }
    if (leaf->addr < WINDOW_BASE || leaf->addr - WINDOW_BASE >= WINDOW_SIZE)
        audit_fault(w, leaf, "lies outside of the guest window");
    if (leaf->attrs & PT_EXEC)
        audit_fault(w, leaf, "is executable for the hypervisor");
    audit_guest_frames(w, leaf);
    return 0;
}

static int audit_host_leaf(void *ctx, const struct pt_leaf *leaf)
{
    struct audit_walk *w = ctx;

    w->result->host_leaves++;
    if ((leaf->attrs & PT_WRITE) && (leaf->attrs & PT_EXEC))
        audit_fault(w, leaf, "is writable and executable");
    if (leaf->addr < DIRECT_BASE)
        audit_fault(w, leaf, "is in the lower half");
    if (image_is_private(leaf->hpa, leaf->len))
        audit_fault(w, leaf, "maps one VM's disk for all");
    for (uint64_t off = 0; off < leaf->len; off += PAGE_SIZE)
        if (guestram_contains(leaf->hpa + off)) {
            audit_fault(w, leaf, "maps guest memory for all VMs");
            break;
        }
    return 0;
}

static void audit_vm(struct audit_result *result, const struct vm *vm)
{
    struct audit_walk w = {result, vm, "nested"};

    result->vms++;
    pt_visit(&vm->nested, audit_nested_leaf, &w);
    w.table = "window";
    pt_visit(&vm->space.pt, audit_window_leaf, &w);
}

struct audit_result audit_run(void)
{
    struct audit_result result = {0};
    struct audit_walk host = {&result, NULL, NULL};

    hostmap_visit(audit_host_leaf, &host);
    for (uint32_t i = 0; i < VM_MAX; i++)
        if (vms[i])
            audit_vm(&result, vms[i]);
    log_event("audit",
              "result=%s faults=%u vms=%llu guest_mib=%llu leaves=%llu leaves_4k=%llu leaves_2m=%llu "
              "leaves_1g=%llu host_leaves=%llu",
              result.faults ? "failed" : "ok", result.faults, (unsigned long long)result.vms,
              (unsigned long long)(result.guest_bytes / MiB), (unsigned long long)result.leaves,
              (unsigned long long)result.leaves_4k, (unsigned long long)result.leaves_2m,
              (unsigned long long)result.leaves_1g, (unsigned long long)result.host_leaves);
    return result;
}
