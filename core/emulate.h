/* Carrying out a guest's instruction in software: the glue between a vCPU and core/emul/. */
#pragma once

#include "core/emul/task.h"
#include "core/exit.h"

/* An access to memory that isn't RAM: decodes the instruction at RIP and executes it against the MMIO bus. */
void emulate_mmio(struct vcpu *vcpu, const struct exit_memory *access);
/* The same for the event in events.reinject: to deliver it, the CPU had to access what isn't RAM. It is used up. */
void emulate_event(struct vcpu *vcpu);
/* INS or OUTS, with or without REP, against the port bus. */
void emulate_string_io(struct vcpu *vcpu);
/* The instruction at RIP, whatever it has to do with. */
void emulate_insn(struct vcpu *vcpu);
/* Into another task; a fault, or the new task's trap, is raised. */
void emulate_task_switch(struct vcpu *vcpu, const struct emul_task *task);
