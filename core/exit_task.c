/* Exits of hardware task switches, where the CPU leaves them to its hypervisor (SDM volume 3, 28.2.1, 28.4.2). */
#include "core/emulate.h"
#include "core/exit.h"
#include "core/x86/cr.h"

/* What the event that is delivered adds: an error code, RF in what is saved of the task that it interrupts. */
static void task_add_event(struct emul_task *task, const struct event *event)
{
    bool software = event->type >= EVENT_SOFT_INT;

    task->external = !software;
    task->has_error = event->has_error;
    task->error = event->error;
    task->resumes = event_resumes(event);
}

void exit_task_switch(struct vcpu *vcpu, uint16_t selector, uint32_t source)
{
    struct emul_task task = {.selector = selector, .source = (uint8_t)source};
    struct event event = vcpu->events.reinject;

    /* An event from outside the program has moved RIP past nothing. */
    task.rip = vcpu->rip;
    if (source != TASK_GATE || (event.valid && event.type >= EVENT_SOFT_INT))
        task.rip += vcpu->insn_len;
    if (source == TASK_GATE && event.valid)
        task_add_event(&task, &event);
    /* An exception that is being delivered and another make a double fault; what else was delivered is lost by a fault. */
    if (event.type != EVENT_EXCEPTION)
        vcpu->events.reinject.valid = false;
    emulate_task_switch(vcpu, &task);
    vcpu->events.reinject.valid = false;
}
