/* All of a VMCS in words, and the rules of VM entry that it breaks. */
#include "core/lib/format.h"
#include "core/lib/log.h"
#include "core/lib/string.h"
#include "vmx/check.h"
#include "vmx/names.h"
#include "vmx/vmx.h"

#define DUMP_COLUMNS 3
#define DUMP_WIDTH   40
#define DUMP_FIELDS  (6 * DUMP_COLUMNS) /* of one part */

static uint32_t dump_field_count(void)
{
    uint32_t count = 0;

    while (field_names[count].name)
        count++;
    return count;
}

static void dump_fields(uint32_t first)
{
    char line[DUMP_COLUMNS * (DUMP_WIDTH + 1) + 1];
    uint32_t column = 0;

    for (const struct field_name *f = field_names + first; f->name && f < field_names + first + DUMP_FIELDS;
         f++) {
        uint64_t value;

        if (!vmread_try(f->field, &value))
            continue;
        fmt_print(line + column * DUMP_WIDTH, DUMP_WIDTH + 1, "%-21s %-18llx", f->name,
                  (unsigned long long)value);
        if (++column < DUMP_COLUMNS)
            continue;
        log_error("  %s", line);
        column = 0;
    }
    if (column)
        log_error("  %s", line);
}

static void dump_segments(void)
{
    static const char *const names[] = {"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR", "GDTR", "IDTR"};

    for (uint32_t seg = 0; seg < SEG_COUNT; seg++) {
        uint64_t base = vmread(VMCS_GUEST_BASE(seg)), limit = vmread(VMCS_GUEST_LIMIT(seg));

        if (seg >= SEG_GDTR)
            log_error("  guest %-4s base %llx limit %llx", names[seg], (unsigned long long)base,
                      (unsigned long long)limit);
        else
            log_error("  guest %-4s base %llx limit %llx selector %llx access %llx", names[seg],
                      (unsigned long long)base, (unsigned long long)limit,
                      (unsigned long long)vmread(VMCS_GUEST_SELECTOR(seg)),
                      (unsigned long long)vmread(VMCS_GUEST_ACCESS(seg)));
    }
}

/* Fields that this CPU hasn't got count as 0. */
static uint64_t dump_read(void *ctx, uint32_t field)
{
    uint64_t value;

    (void)ctx;
    return vmread_try(field, &value) ? value : 0;
}

static void dump_report(void *ctx, const char *rule)
{
    (void)ctx;
    log_error("  VM entry: broken rule: %s", rule);
}

static void dump_rest(const struct vmx_vcpu *v)
{
    struct check check = {.read = dump_read, .report = dump_report, .capability = &vmx.capability};

    for (uint32_t i = 0; i < v->slots; i++)
        log_error("  MSR 0x%x: guest 0x%llx host 0x%llx", v->entry_msrs[i].index,
                  (unsigned long long)v->entry_msrs[i].value, (unsigned long long)v->exit_msrs[i].value);
    if (v->entry_failed && !check_entry(&check))
        log_error("  VM entry: no rule is broken as far as this can be told");
}

bool vmx_dump(struct vcpu *vcpu, uint32_t part)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);
    uint32_t fields = dump_field_count(), first = part * DUMP_FIELDS;

    vmcs_borrow(v);
    if (part == 0 && v->reason == REASON_REFUSED)
        log_error("  last entry: %s", v->failure);
    if (first < fields)
        dump_fields(first);
    else if (first < fields + DUMP_FIELDS)
        dump_segments();
    else
        dump_rest(v);
    vmcs_return(v);
    return first < fields + DUMP_FIELDS;
}
