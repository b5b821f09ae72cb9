/*
 * The common exit actions. A back end calls exactly one for each exit; it acts on the guest, moves RIP if the instruction
 * is done, or raises an exception, or stops the VM. All are in core/exit_*.c.
 */
#pragma once

#include "core/vcpu.h"

/* An access to a gpa that nested paging doesn't allow. */
struct exit_memory {
    gpa_t gpa;
    bool write, fetch;    /* neither: a read */
    bool table_walk;      /* it was the guest's page walk that touched gpa */
    bool event;           /* it was the delivery of what is in events.reinject */
    const uint8_t *bytes; /* instruction bytes, if the CPU saved them (decode assists) */
    uint8_t bytes_len;
};

void exit_cpuid(struct vcpu *vcpu);
void exit_hlt(struct vcpu *vcpu);
void exit_pause(struct vcpu *vcpu);
void exit_hypercall(struct vcpu *vcpu, uint32_t cpl); /* VMCALL or VMMCALL */
void exit_rdmsr(struct vcpu *vcpu);                   /* number in ECX */
void exit_wrmsr(struct vcpu *vcpu);
void exit_rdtsc(struct vcpu *vcpu, bool rdtscp); /* only when the back end can't offset the TSC */
void exit_rdpmc(struct vcpu *vcpu);              /* #GP: no performance counters */
void exit_in(struct vcpu *vcpu, uint16_t port, uint32_t size); /* into AL, AX or EAX */
void exit_out(struct vcpu *vcpu, uint16_t port, uint32_t size);
void exit_string_io(struct vcpu *vcpu); /* INS and OUTS: what the instruction says is decoded */
void exit_memory(struct vcpu *vcpu, const struct exit_memory *access);
void exit_cr_write(struct vcpu *vcpu, uint32_t cr,
                   uint64_t value); /* CR0, CR3, CR4, CR8; the whole new value */
/*
 * In 64-bit mode at CPL 0: may CR0 or CR4, which was `old`, get this value without a look at anything else? No bit changes then but such
 * as say what instructions do and what translations allow.
 */
bool exit_cr_plain(const struct vcpu *vcpu, uint32_t cr, uint64_t old, uint64_t value);
void exit_cr_read(struct vcpu *vcpu, uint32_t cr, enum vcpu_reg into);
void exit_clts(struct vcpu *vcpu);
void exit_lmsw(struct vcpu *vcpu, uint16_t value);
void exit_xsetbv(struct vcpu *vcpu);
void exit_invd(struct vcpu *vcpu); /* INVD and WBINVD: caches are coherent, nothing to do */
void exit_undefined(
    struct vcpu *vcpu); /* an instruction that this guest doesn't have (VMX, SVM, MONITOR ...): #UD */
/* The new TSS, and an enum task_source. The event that went through a task gate is in events.reinject; it is used up. */
void exit_task_switch(struct vcpu *vcpu, uint16_t selector, uint32_t source);
void exit_interrupt(struct vcpu *vcpu); /* an external interrupt that waits to be taken */
void exit_host_interrupt(
    struct vcpu *vcpu); /* one that was, a host NMI, the preemption timer: the run loop looks */
void exit_window(struct vcpu *vcpu, enum event_type type); /* the asked-for window opened */
void exit_triple_fault(struct vcpu *vcpu);
void exit_init(struct vcpu *vcpu); /* INIT or SIPI reached the guest: never */
/* The entry failed, or an exit that isn't in the back end's table: stops the VM with a crash report; `why` in words, copied. */
void exit_failed(struct vcpu *vcpu, const char *why);
