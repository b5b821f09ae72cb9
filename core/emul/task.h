/*
 * Hardware task switches (SDM volume 3, chapter Task Management; APM volume 2, 12.3): out of one TSS of 16 or 32 bits and into
 * another, on registers and memory behind the executor's callbacks. Pure. Never in long mode.
 */
#pragma once

#include "core/emul/exec.h"

/* What switches, as a VMX exit has it. */
enum task_source { TASK_CALL, TASK_IRET, TASK_JMP, TASK_GATE };

struct emul_task {
    uint16_t selector; /* of the new TSS */
    uint8_t source;    /* enum task_source */
    bool external;     /* an event that no instruction has asked for: error codes get EXT */
    bool has_error;    /* the event pushes this onto the new task's stack */
    uint32_t error;
    uint64_t rip;     /* where the old task goes on */
    uint64_t resumes; /* flags that are set in what is saved of it: RF, for a fault */
};

/*
 * EMUL_JUMPED, or EMUL_TRAPPED if the new task's T flag asks for #DB; or EMUL_FAULT with *fault, in the old task with nothing
 * changed, or in the new one, as the manual's table "Exception Conditions Checked During a Task Switch" has it.
 */
int emul_task_switch(const struct emul_io *io, void *ctx, const struct emul_task *task,
                     struct emul_fault *fault);
