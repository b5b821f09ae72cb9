/* The whole VMCB for a crash report, in the manual's order. */
#include "core/lib/log.h"
#include "svm/check.h"
#include "svm/svm.h"
#include "svm/vcpu.h"

typedef unsigned long long ull;

static void dump_segment(const char *name, const struct vmcb_segment *seg)
{
    log_error("%-4s selector=%04x attr=%03x limit=%08x base=%016llx", name, seg->selector, seg->attr,
              seg->limit, (ull)seg->base);
}

static void dump_segments(const struct vmcb *v)
{
    dump_segment("es", &v->es);
    dump_segment("cs", &v->cs);
    dump_segment("ss", &v->ss);
    dump_segment("ds", &v->ds);
    dump_segment("fs", &v->fs);
    dump_segment("gs", &v->gs);
    dump_segment("gdtr", &v->gdtr);
    dump_segment("ldtr", &v->ldtr);
    dump_segment("idtr", &v->idtr);
    dump_segment("tr", &v->tr);
}

static void dump_controls(const struct vmcb *v)
{
    log_error("intercepts: cr_read=%04x cr_write=%04x dr_read=%04x dr_write=%04x exceptions=%08x",
              v->intercept_cr_read, v->intercept_cr_write, v->intercept_dr_read, v->intercept_dr_write,
              v->intercept_exceptions);
    log_error("intercepts: vector3=%08x vector4=%08x vector5=%08x pause=%u/%u", v->intercept3, v->intercept4,
              v->intercept5, v->pause_filter_count, v->pause_filter_threshold);
    log_error("iopm=%llx msrpm=%llx tsc_offset=%llx asid=%u tlb_control=%u", (ull)v->iopm_base,
              (ull)v->msrpm_base, (ull)v->tsc_offset, v->asid, v->tlb_control);
    log_error("int_control=%llx int_shadow=%llx event_inj=%llx exit_int_info=%llx", (ull)v->int_control,
              (ull)v->int_shadow, (ull)v->event_inj, (ull)v->exit_int_info);
    log_error("np_control=%llx n_cr3=%llx clean=%x nrip=%llx bytes_fetched=%u", (ull)v->np_control,
              (ull)v->n_cr3, v->clean, (ull)v->nrip, v->insn_len);
}

static void dump_state(const struct vmcb *v)
{
    log_error("rip=%016llx rsp=%016llx rax=%016llx rflags=%08llx cpl=%u", (ull)v->rip, (ull)v->rsp,
              (ull)v->rax, (ull)v->rflags, v->cpl);
    log_error("cr0=%08llx cr2=%016llx cr3=%016llx cr4=%08llx efer=%llx", (ull)v->cr0, (ull)v->cr2,
              (ull)v->cr3, (ull)v->cr4, (ull)v->efer);
    log_error("dr6=%08llx dr7=%08llx pat=%016llx dbgctl=%llx", (ull)v->dr6, (ull)v->dr7, (ull)v->g_pat,
              (ull)v->dbgctl);
    log_error("star=%016llx lstar=%016llx cstar=%016llx sfmask=%llx", (ull)v->star, (ull)v->lstar,
              (ull)v->cstar, (ull)v->sfmask);
    log_error("kernel_gs_base=%016llx sysenter=%llx:%llx esp=%llx", (ull)v->kernel_gs_base,
              (ull)v->sysenter_cs, (ull)v->sysenter_eip, (ull)v->sysenter_esp);
}

static void dump_rule(void *ctx, const char *what)
{
    (void)ctx;
    log_error("VMRUN refuses: %s", what);
}

bool svm_dump(struct vcpu *vcpu, uint32_t part)
{
    const struct svm_vcpu *s = svm_vcpu(vcpu);
    const struct vmcb *v = s->vmcb;

    (void)part;
    log_error("vmcb: exit=%llx (%s) info1=%llx info2=%llx", (ull)v->exit_code,
              svm_exit_name((uint32_t)v->exit_code), (ull)v->exit_info1, (ull)v->exit_info2);
    dump_state(v);
    dump_segments(v);
    dump_controls(v);
    log_error("nmi: blocked=%d iret=%d window=%d; irq_window=%d attention=%x", s->nmi.blocked, s->nmi.iret,
              s->nmi.window, s->irq_window, s->vcpu->attention);
    check_vmcb(v, &svm_limits, dump_rule, NULL);
    return false; /* all in the first one */
}
