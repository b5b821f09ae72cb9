/* SDM volume 3, 27.2.1: VM-execution, VM-exit and VM-entry control fields. */
#include "core/event.h"
#include "core/x86/cr.h"
#include "vmx/check_rules.h"
#include "vmx/vmcs.h"

static void check_reserved(struct check *c)
{
    const struct vmx_capability *cap = c->capability;

    check_rule(c, control_valid(cap->pin, (uint32_t)check_field(c, VMCS_PIN_CONTROLS)),
               "pin-based controls: reserved bits");
    check_rule(c, control_valid(cap->proc, (uint32_t)check_field(c, VMCS_PROC_CONTROLS)),
               "processor-based controls: reserved bits");
    check_rule(c,
               implies(check_field(c, VMCS_PROC_CONTROLS) & PROC_SECONDARY,
                       control_valid(cap->proc2, check_proc2(c))),
               "secondary processor-based controls: reserved bits");
    check_rule(c, control_valid(cap->exit, (uint32_t)check_field(c, VMCS_EXIT_CONTROLS)),
               "VM-exit controls: reserved bits");
    check_rule(c, control_valid(cap->entry, (uint32_t)check_field(c, VMCS_ENTRY_CONTROLS)),
               "VM-entry controls: reserved bits");
    check_rule(c, check_field(c, VMCS_CR3_TARGET_COUNT) <= 4, "CR3-target count: at most 4");
}

static void check_bitmaps(struct check *c)
{
    uint64_t proc = check_field(c, VMCS_PROC_CONTROLS);

    check_rule(
        c,
        implies(proc & PROC_IO_BITMAPS, check_address(c, check_field(c, VMCS_IO_BITMAP_A), PAGE_SIZE) &&
                                            check_address(c, check_field(c, VMCS_IO_BITMAP_B), PAGE_SIZE)),
        "I/O bitmaps: page-aligned physical addresses");
    check_rule(c,
               implies(proc & PROC_MSR_BITMAP, check_address(c, check_field(c, VMCS_MSR_BITMAP), PAGE_SIZE)),
               "MSR bitmap: page-aligned physical address");
}

static void check_apic(struct check *c)
{
    uint64_t pin = check_field(c, VMCS_PIN_CONTROLS), proc = check_field(c, VMCS_PROC_CONTROLS);
    uint32_t proc2 = check_proc2(c);
    bool shadow = proc & PROC_TPR_SHADOW, delivery = proc2 & PROC2_INTR_DELIVERY;

    check_rule(c, implies(shadow, check_address(c, check_field(c, VMCS_VIRTUAL_APIC), PAGE_SIZE)),
               "virtual-APIC page: page-aligned physical address");
    check_rule(c, implies(shadow && !delivery, check_field(c, VMCS_TPR_THRESHOLD) <= 15),
               "TPR threshold: bits 31:4 are 0");
    check_rule(
        c, implies(!shadow, !(proc2 & (PROC2_X2APIC | PROC2_APIC_REGISTERS | PROC2_INTR_DELIVERY))),
        "without TPR shadow: no x2APIC mode, APIC-register virtualization or virtual-interrupt delivery");
    check_rule(c, !(proc2 & PROC2_X2APIC) || !(proc2 & PROC2_APIC_ACCESS),
               "x2APIC mode excludes virtualized APIC accesses");
    check_rule(
        c, implies(proc2 & PROC2_APIC_ACCESS, check_address(c, check_field(c, VMCS_APIC_ACCESS), PAGE_SIZE)),
        "APIC-access page: page-aligned physical address");
    check_rule(c, implies(delivery, pin & PIN_EXT_INTR),
               "virtual-interrupt delivery needs external-interrupt exiting");
    check_rule(c, implies(pin & PIN_POSTED, delivery && check_field(c, VMCS_EXIT_CONTROLS) & EXIT_ACK_INTR),
               "posted interrupts need virtual-interrupt delivery and acknowledge on exit");
}

static void check_nmi(struct check *c)
{
    uint64_t pin = check_field(c, VMCS_PIN_CONTROLS), proc = check_field(c, VMCS_PROC_CONTROLS);

    check_rule(c, implies(pin & PIN_VIRTUAL_NMI, pin & PIN_NMI), "virtual NMIs need NMI exiting");
    check_rule(c, implies(proc & PROC_NMI_WINDOW, pin & PIN_VIRTUAL_NMI),
               "NMI-window exiting needs virtual NMIs");
}

/* 25.6.11: the EPT pointer. */
static bool check_eptp(const struct check *c, uint64_t eptp)
{
    uint64_t ev = c->capability->ept_vpid, type = eptp & 7;

    if (!(type == EPTP_WB && ev & EPT_CAP_WB) && type != 0)
        return false;
    if ((eptp & 0x38) != EPTP_WALK4 || !(ev & EPT_CAP_WALK4))
        return false;
    if (eptp & BIT(6) && !(ev & EPT_CAP_AD))
        return false;
    return !(eptp & 0xf80) && eptp >> c->capability->physical_bits == 0;
}

static void check_translation(struct check *c)
{
    uint32_t proc2 = check_proc2(c);
    bool ept = proc2 & PROC2_EPT;

    check_rule(c, implies(proc2 & PROC2_VPID, check_field(c, VMCS_VPID)), "VPID: not 0");
    check_rule(c, implies(ept, check_eptp(c, check_field(c, VMCS_EPTP))),
               "EPT pointer: memory type, walk length, reserved bits");
    check_rule(c, implies(proc2 & PROC2_UG, ept), "unrestricted guest needs EPT");
    check_rule(
        c, implies(proc2 & PROC2_PML, ept && check_address(c, check_field(c, VMCS_PML_ADDRESS), PAGE_SIZE)),
        "page-modification log: EPT and a page-aligned physical address");
    check_rule(c, implies(proc2 & PROC2_MBEC, ept), "mode-based execute control needs EPT");
}

static void check_msr_area(struct check *c, uint32_t address_field, uint32_t count_field, const char *rule)
{
    uint64_t count = check_field(c, count_field);

    check_rule(c,
               implies(count, check_address(c, check_field(c, address_field), 16) &&
                                  count <= MISC_MSR_LIST_MAX(c->capability->misc)),
               rule);
}

static void check_areas(struct check *c)
{
    check_rule(c,
               implies(check_field(c, VMCS_EXIT_CONTROLS) & EXIT_SAVE_PREEMPTION,
                       check_field(c, VMCS_PIN_CONTROLS) & PIN_PREEMPTION_TIMER),
               "saving the preemption timer needs the timer");
    check_msr_area(c, VMCS_EXIT_MSR_STORE, VMCS_EXIT_MSR_STORE_NUM, "VM-exit MSR-store area: address, count");
    check_msr_area(c, VMCS_EXIT_MSR_LOAD, VMCS_EXIT_MSR_LOAD_NUM, "VM-exit MSR-load area: address, count");
    check_msr_area(c, VMCS_ENTRY_MSR_LOAD, VMCS_ENTRY_MSR_LOAD_NUM, "VM-entry MSR-load area: address, count");
    check_rule(c, !(check_field(c, VMCS_ENTRY_CONTROLS) & (ENTRY_SMM | ENTRY_DUAL_MONITOR)),
               "entry to SMM and deactivation of dual-monitor treatment are for SMM only");
}

/* Exceptions that push an error code (27.2.1.3). */
static bool check_vector_has_error(uint8_t vector)
{
    const uint32_t with = BIT(EXC_DF) | BIT(EXC_TS) | BIT(EXC_NP) | BIT(EXC_SS) | BIT(EXC_GP) | BIT(EXC_PF) |
                          BIT(EXC_AC);

    return vector < 32 && with & BIT(vector);
}

static bool check_error_code(const struct check *c, uint64_t info)
{
    bool has = info & INTR_HAS_ERROR;
    bool real = check_proc2(c) & PROC2_UG && !(check_field(c, VMCS_GUEST_CR0) & CR0_PE);

    if (real || INTR_TYPE(info) != EVENT_EXCEPTION)
        return !has;
    if (c->capability->basic & BASIC_ANY_ERROR_CODE)
        return true;
    return has == check_vector_has_error(INTR_VECTOR(info));
}

static bool check_event_vector(uint64_t info)
{
    switch (INTR_TYPE(info)) {
    case EVENT_NMI:
        return INTR_VECTOR(info) == EXC_NMI;
    case EVENT_EXCEPTION:
        return INTR_VECTOR(info) < 32;
    case 1:
    case 7:
        return false; /* reserved; monitor trap flag, which Keel doesn't use */
    default:
        return true;
    }
}

static bool check_event_length(const struct check *c, uint64_t info)
{
    uint64_t len = check_field(c, VMCS_ENTRY_INSN_LEN);

    if (INTR_TYPE(info) < EVENT_SOFT_INT)
        return true;
    return len <= 15 && (len || c->capability->misc & MISC_INSN_LEN_0);
}

static void check_event(struct check *c)
{
    uint64_t info = check_field(c, VMCS_ENTRY_INTR_INFO);

    if (!(info & INTR_VALID))
        return;
    check_rule(c, check_event_vector(info), "injected event: type and vector");
    check_rule(c, check_error_code(c, info),
               "injected event: an error code where the vector has one, in protected mode");
    check_rule(c, !(info & 0x7ffff000), "injected event: reserved bits");
    check_rule(c, implies(info & INTR_HAS_ERROR, check_field(c, VMCS_ENTRY_ERROR_CODE) <= 0xffff),
               "injected event: error code of 16 bits");
    check_rule(c, check_event_length(c, info), "injected event: instruction length");
}

void check_controls(struct check *c)
{
    check_reserved(c);
    check_bitmaps(c);
    check_apic(c);
    check_nmi(c);
    check_translation(c);
    check_areas(c);
    check_event(c);
}
