/* The AMD back end's event injection, windows, CR8 and NMI blocking. */
#include "tests/unit/support.h"

#include "svm/cr8.h"
#include "svm/nmi.h"
#include "svm/shadow.h"
#include "svm/step.h"
#include "svm/virq.h"
#include "tests/unit/svm_vcpu.h"

/* Events */

static void inject(uint8_t type, uint8_t vector, bool has_error, uint32_t error, uint8_t len)
{
    svm_events_inject(&vcpu, &(struct event){.valid = true,
                                             .vector = vector,
                                             .type = type,
                                             .has_error = has_error,
                                             .error = error,
                                             .insn_len = len});
}

static void events_are_encoded(void **state)
{
    (void)state;
    vmcb.cr0 |= CR0_PE;
    inject(EVENT_EXCEPTION, EXC_GP, true, 0x10, 0);
    assert_int_equal(vmcb.event_inj, 0x0000001080000b0dull);
    inject(EVENT_INTERRUPT, 0x31, false, 0, 0);
    assert_int_equal(vmcb.event_inj, 0x80000031);
    vmcb.cr0 &= ~CR0_PE;
    inject(EVENT_EXCEPTION, EXC_GP, true, 0x10, 0);
    assert_int_equal(vmcb.event_inj, 0x8000030d); /* no error code in real mode */
}

/* For processors that deliver twice what EVENTINJ injects. */
static void an_interrupt_can_be_virtual(void **state)
{
    const uint64_t before = vmcb.int_control, bits = INT_V_IRQ | INT_V_PRIO_MAX | INT_V_IGN_TPR;

    (void)state;
    inject(EVENT_INTERRUPT, 0x31, false, 0, 0);
    assert_false(virq_begin(&s));
    assert_int_equal(vmcb.event_inj, 0);
    assert_int_equal(vmcb.int_control, before | bits | 0x31ull << 32);
    vmcb.int_control &= ~INT_V_IRQ; /* taken */
    virq_end(&vcpu, &s);
    assert_int_equal(vmcb.int_control, before);
    assert_false(reinjected.valid);

    inject(EVENT_INTERRUPT, 0x32, false, 0, 0);
    virq_begin(&s);
    virq_end(&vcpu, &s); /* not taken */
    assert_int_equal(vmcb.int_control, before);
    assert_true(reinjected.valid && reinjected.vector == 0x32 && reinjected.type == EVENT_INTERRUPT);
}

static void other_events_are_not_virtual(void **state)
{
    (void)state;
    vmcb.cr0 |= CR0_PE;
    inject(EVENT_EXCEPTION, EXC_GP, true, 0, 0);
    assert_false(virq_begin(&s));
    assert_true(vmcb.event_inj & EVENT_VALID);
    svm_events_window(&vcpu, EVENT_INTERRUPT, true);
    inject(EVENT_INTERRUPT, 0x31, false, 0, 0);
    assert_true(virq_begin(&s)); /* the processor would keep it */
    assert_int_equal(vmcb.event_inj, 0x80000031);
    assert_false(s.virq);
}

static void software_events_return_behind_the_instruction(void **state)
{
    (void)state;
    vcpu.rip = 0x1000;
    inject(EVENT_SOFT_EXCEPTION, EXC_BP, false, 0, 1);
    assert_int_equal(vmcb.event_inj, 0x80000303);
    assert_int_equal(vcpu.rip, 0x1001);
    assert_int_equal(vmcb.nrip, 0x1001);
    inject(EVENT_SOFT_INT, 0x80, false, 0, 2);
    assert_int_equal(vmcb.event_inj, 0x80000480);
    assert_int_equal(vmcb.nrip, 0x1003);
}

static void injection_waits_for_flag_and_shadow(void **state)
{
    (void)state;
    assert_false(svm_events_can_inject(&vcpu, EVENT_INTERRUPT));
    assert_true(svm_events_can_inject(&vcpu, EVENT_NMI));
    vmcb.rflags |= RFLAGS_IF;
    assert_true(svm_events_can_inject(&vcpu, EVENT_INTERRUPT));
    vmcb.int_shadow = SHADOW_ACTIVE;
    assert_false(svm_events_can_inject(&vcpu, EVENT_INTERRUPT));
    assert_false(svm_events_can_inject(&vcpu, EVENT_NMI));
    svm_events_clear_shadow(&vcpu);
    assert_true(svm_events_can_inject(&vcpu, EVENT_NMI));
}

/* The entry didn't come to be, and core looks once more. */
static void what_waits_for_entry_stays(void **state)
{
    (void)state;
    vmcb.rflags |= RFLAGS_IF;
    assert_true(svm_events_inject_interrupt(&vcpu, 0x26));
    assert_false(svm_events_inject_interrupt(&vcpu, 0xec));
    assert_false(svm_events_can_inject(&vcpu, EVENT_INTERRUPT));
    assert_false(svm_events_can_inject(&vcpu, EVENT_NMI));
    assert_int_equal(vmcb.event_inj, 0x80000026);
    vmcb.event_inj = 0; /* the exit that follows clears it */
    assert_true(svm_events_inject_interrupt(&vcpu, 0xec));
}

static void collect(uint64_t word)
{
    bool given_back;

    memset(&reinjected, 0, sizeof reinjected);
    vmcb.event_inj = 0;
    vmcb.exit_int_info = word;
    given_back = svm_events_collect(&vcpu, &s);
    assert_int_equal(given_back, reinjected.valid);
}

static void cut_short_events_are_given_back(void **state)
{
    (void)state;
    collect(0x80000031);
    assert_true(reinjected.valid);
    assert_int_equal(reinjected.type, EVENT_INTERRUPT);
    assert_int_equal(reinjected.vector, 0x31);
    collect(0x0000000480000b0eull);
    assert_int_equal(reinjected.vector, EXC_PF);
    assert_true(reinjected.has_error);
    assert_int_equal(reinjected.error, 4);
}

static void software_events_run_again(void **state)
{
    (void)state;
    collect(0x80000480);
    assert_false(reinjected.valid);
    collect(0x80000303);
    assert_false(reinjected.valid);
    /* But not when it was injected: RIP is behind it already. */
    inject(EVENT_SOFT_INT, 0x80, false, 0, 2);
    collect(0x80000480);
    assert_true(reinjected.valid);
    assert_int_equal(reinjected.insn_len, 0);
}

static void interrupt_window_is_a_virtual_interrupt(void **state)
{
    uint64_t control = vmcb.int_control;

    (void)state;
    vmcb.clean = CLEAN_ALL;
    svm_events_window(&vcpu, EVENT_INTERRUPT, true);
    assert_true(vmcb.int_control & INT_V_IRQ);
    assert_true(vmcb.int_control & INT_V_IGN_TPR);
    assert_true(vmcb.intercept3 & INTERCEPT3_VINTR);
    assert_false(vmcb.clean & (CLEAN_I | CLEAN_TPR));
    svm_events_window(&vcpu, EVENT_INTERRUPT, false);
    assert_int_equal(vmcb.int_control, control);
    assert_false(vmcb.intercept3 & INTERCEPT3_VINTR);
}

/* CR8 */

static bool cr8_write_exits(void)
{
    return vmcb.intercept_cr_write & BIT(8);
}

static void cr8_is_free_after_first_use(void **state)
{
    (void)state;
    assert_true(cr8_write_exits());
    cr8_use(&s);
    cr8_load(&vcpu, &s);
    assert_false(cr8_write_exits());
    assert_false(vmcb.intercept_cr_read & BIT(8));
    assert_true(vmcb.intercept_cr_write & BIT(4));
    vmcb.int_control |= 5; /* the guest raises it */
    cr8_store(&vcpu, &s);
    assert_int_equal(tpr, 5);
    cr8_load(&vcpu, &s);
    assert_true(cr8_write_exits()); /* lowering it may let something through */
    tpr = 0;
    cr8_load(&vcpu, &s);
    assert_int_equal(vmcb.int_control & INT_V_TPR_MASK, 0);
    assert_false(cr8_write_exits());
}

static void cr8_writes_exit_while_a_window_is_open(void **state)
{
    (void)state;
    cr8_use(&s);
    cr8_load(&vcpu, &s);
    svm_events_window(&vcpu, EVENT_INTERRUPT, true);
    assert_true(cr8_write_exits());
    svm_events_window(&vcpu, EVENT_INTERRUPT, false);
    assert_false(cr8_write_exits());
}

/* NMI */

static void exit_at(uint64_t rip, uint64_t code)
{
    bool stepped;

    vcpu.rip = vmcb.rip = rip;
    vmcb.exit_code = code;
    vmcb.event_inj = 0;
    stepped = step_finish(&s);
    if (vcpu.attention & ATTENTION_NMI)
        nmi_finish(&s, stepped);
    shadow_end(&s, stepped);
}

/* An NMI was injected and its handler is at its IRET. */
static void nmi_up_to_iret(void)
{
    inject(EVENT_NMI, EXC_NMI, false, 0, 0);
    assert_false(svm_events_can_inject(&vcpu, EVENT_NMI));
    assert_true(vmcb.intercept3 & INTERCEPT3_IRET);
    exit_at(0x2000, EXIT_IRET);
    nmi_iret(&vcpu, &s);
    assert_false(vmcb.intercept3 & INTERCEPT3_IRET);
    assert_false(svm_events_can_inject(&vcpu, EVENT_NMI));
}

static void iret_ends_blocking(void **state)
{
    (void)state;
    nmi_up_to_iret();
    assert_false(nmi_prepare(&s));
    assert_false(vmcb.rflags & RFLAGS_TF);
    exit_at(0x2000, EXIT_INTR); /* before the IRET was executed */
    assert_false(svm_events_can_inject(&vcpu, EVENT_NMI));
    exit_at(0x3000, EXIT_INTR);
    assert_true(svm_events_can_inject(&vcpu, EVENT_NMI));
    assert_false(vcpu.attention & ATTENTION_NMI);
}

static void waiting_nmi_steps_over_iret(void **state)
{
    (void)state;
    nmi_up_to_iret();
    svm_events_window(&vcpu, EVENT_NMI, true);
    assert_false(nmi_prepare(&s));
    assert_true(vmcb.rflags & RFLAGS_TF);
    exit_at(0x2000, EXIT_NPF); /* its stack wasn't mapped: try again */
    assert_false(vmcb.rflags & RFLAGS_TF);
    assert_false(svm_events_can_inject(&vcpu, EVENT_NMI));
    assert_false(nmi_prepare(&s));
    vmcb.rflags |= RFLAGS_TF; /* what IRET popped has the guest's own TF */
    vmcb.dr6 |= DR6_BS;
    exit_at(0x3000, EXIT_EXCEPTION + EXC_DB);
    assert_true(step_hides(&s));
    assert_int_equal(vmcb.dr6, DR6_INIT);
    assert_true(vmcb.rflags & RFLAGS_TF);
    assert_true(svm_events_can_inject(&vcpu, EVENT_NMI));
}

static void debug_exception_beside_a_step_is_kept(void **state)
{
    (void)state;
    nmi_up_to_iret();
    svm_events_window(&vcpu, EVENT_NMI, true);
    nmi_prepare(&s);
    vmcb.dr6 |= DR6_BS | BIT(1);
    exit_at(0x3000, EXIT_EXCEPTION + EXC_DB);
    assert_false(step_hides(&s));
    assert_int_equal(vmcb.dr6, DR6_INIT | BIT(1));
}

static void guests_own_step_is_kept(void **state)
{
    (void)state;
    vmcb.rflags |= RFLAGS_TF;
    vmcb.int_shadow = SHADOW_ACTIVE;
    svm_events_window(&vcpu, EVENT_NMI, true);
    nmi_prepare(&s);
    vmcb.dr6 |= DR6_BS;
    exit_at(0x3000, EXIT_EXCEPTION + EXC_DB);
    assert_false(step_hides(&s));
    assert_true(vmcb.rflags & RFLAGS_TF);
    assert_true(vmcb.dr6 & DR6_BS);
}

static void waiting_nmi_steps_over_shadow(void **state)
{
    (void)state;
    vmcb.int_shadow = SHADOW_ACTIVE;
    svm_events_window(&vcpu, EVENT_NMI, true);
    assert_false(nmi_prepare(&s));
    assert_true(vmcb.rflags & RFLAGS_TF);
    vmcb.dr6 |= DR6_BS;
    vmcb.int_shadow = 0;
    exit_at(0x3000, EXIT_EXCEPTION + EXC_DB);
    assert_true(step_hides(&s));
    assert_false(vmcb.rflags & RFLAGS_TF);
}

static void waiting_nmi_lets_an_event_go_first(void **state)
{
    (void)state;
    inject(EVENT_EXCEPTION, EXC_UD, false, 0, 0);
    svm_events_window(&vcpu, EVENT_NMI, true);
    assert_true(nmi_prepare(&s));
    assert_false(vmcb.rflags & RFLAGS_TF);
}

static void nmi_whose_delivery_is_cut_short_isnt_blocking(void **state)
{
    (void)state;
    inject(EVENT_NMI, EXC_NMI, false, 0, 0);
    collect(EVENT_VALID | EVENT_NMI << EVENT_TYPE_SHIFT | EXC_NMI);
    assert_int_equal(reinjected.type, EVENT_NMI);
    assert_true(svm_events_can_inject(&vcpu, EVENT_NMI));
    assert_false(vmcb.intercept3 & INTERCEPT3_IRET);
}

/* Interrupt shadows that VMRUN doesn't load */

/* The guest is behind its STI, and an interrupt waits. */
static void in_shadow(void)
{
    vcpu.rip = 0x2000;
    vmcb.rflags |= RFLAGS_IF;
    vmcb.int_shadow = SHADOW_ACTIVE;
    svm_events_window(&vcpu, EVENT_INTERRUPT, true);
    shadow_begin(&s);
    vmcb.int_shadow = 0; /* the processor forgets it */
    assert_true(vmcb.rflags & RFLAGS_TF);
    assert_false(vmcb.int_control & INT_V_IRQ);
}

static void shadow_lasts_until_its_instruction_is_done(void **state)
{
    (void)state;
    in_shadow();
    exit_at(0x2000, EXIT_INTR);
    assert_false(vmcb.rflags & RFLAGS_TF);
    assert_false(svm_events_can_inject(&vcpu, EVENT_INTERRUPT));
    shadow_begin(&s);
    vmcb.int_shadow = 0;
    vmcb.dr6 |= DR6_BS;
    exit_at(0x2001, EXIT_EXCEPTION + EXC_DB);
    assert_true(step_hides(&s));
    assert_false(step_hides(&s)); /* that one alone */
    assert_false(vmcb.rflags & RFLAGS_TF);
    assert_int_equal(vmcb.dr6, DR6_INIT);
    assert_true(vmcb.int_control & INT_V_IRQ);
    assert_true(svm_events_can_inject(&vcpu, EVENT_INTERRUPT));
}

static void shadow_covers_an_intercepted_instruction(void **state)
{
    (void)state;
    in_shadow();
    exit_at(0x2000, EXIT_HLT);
    assert_false(vmcb.rflags & RFLAGS_TF);
    assert_false(svm_events_can_inject(&vcpu, EVENT_INTERRUPT));
    svm_events_clear_shadow(&vcpu); /* core steps over it */
    assert_true(svm_events_can_inject(&vcpu, EVENT_INTERRUPT));
}

static void shadow_ends_with_an_exception(void **state)
{
    (void)state;
    in_shadow();
    exit_at(0x8000, EXIT_INTR); /* in the guest's handler */
    assert_true(svm_events_can_inject(&vcpu, EVENT_INTERRUPT));
    assert_true(vmcb.int_control & INT_V_IRQ);
}

/* A loop of one instruction ends its shadow, too. */
static void shadow_of_a_jump_to_itself_ends(void **state)
{
    (void)state;
    in_shadow();
    vmcb.dr6 |= DR6_BS;
    exit_at(0x2000, EXIT_EXCEPTION + EXC_DB);
    assert_true(svm_events_can_inject(&vcpu, EVENT_INTERRUPT));
}

static void without_a_shadow_nothing_is_stepped(void **state)
{
    (void)state;
    shadow_begin(&s);
    assert_false(vmcb.rflags & RFLAGS_TF);
    exit_at(0x2000, EXIT_INTR);
    assert_int_equal(vmcb.int_shadow, 0);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(events_are_encoded),
        TEST(an_interrupt_can_be_virtual),
        TEST(other_events_are_not_virtual),
        TEST(software_events_return_behind_the_instruction),
        TEST(injection_waits_for_flag_and_shadow),
        TEST(what_waits_for_entry_stays),
        TEST(cut_short_events_are_given_back),
        TEST(software_events_run_again),
        TEST(interrupt_window_is_a_virtual_interrupt),
        TEST(cr8_is_free_after_first_use),
        TEST(cr8_writes_exit_while_a_window_is_open),
        TEST(iret_ends_blocking),
        TEST(waiting_nmi_steps_over_iret),
        TEST(debug_exception_beside_a_step_is_kept),
        TEST(guests_own_step_is_kept),
        TEST(waiting_nmi_steps_over_shadow),
        TEST(waiting_nmi_lets_an_event_go_first),
        TEST(nmi_whose_delivery_is_cut_short_isnt_blocking),
        TEST(shadow_lasts_until_its_instruction_is_done),
        TEST(shadow_covers_an_intercepted_instruction),
        TEST(shadow_ends_with_an_exception),
        TEST(shadow_of_a_jump_to_itself_ends),
        TEST(without_a_shadow_nothing_is_stepped),
    };

    return cmocka_run_group_tests_name("svm events", tests, NULL, NULL);
}
