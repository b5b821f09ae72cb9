/*
 * The VMs of this machine and their lives (DESIGN 6): started, paused, stopped, started again from their modules; what
 * happens when one ends, and when all have.
 */
#pragma once

#include "core/audit.h"
#include "guests/machine.h"

struct boot_info;
struct boot_module;

/* Adds the VM that is there without keel.conf: its kernel is the first module, its initrd the second. ERR_NOTFOUND without any. */
int launch_add_default(const struct boot_info *boot, uint32_t cores) MUST_CHECK;
/* Adds the VMs of keel.conf but for the bad ones, which count as failed. Its strings must stay. */
int launch_add_config(const struct boot_info *boot, const struct config *config) MUST_CHECK;
/* Has the module that name, the first word of its line? */
bool launch_module_is(const struct boot_module *module, const char *name);
bool launch_has_module(const struct boot_info *boot, const char *name);
/* Adds a VM; its description is copied. ERR_NOMEM when there are too many. */
int launch_add(const struct machine_spec *spec) MUST_CHECK;
/* Says what each VM will be, event=plan, or what it wants that isn't there; such a one is not started. */
void launch_plan(void);
/* Makes all with autostart, without running them. */
void launch_make_all(void);
/*
 * Starts those that were made. `ended` is called, on any core, whenever the last running VM has ended, with 0 if all
 * ended cleanly; at once if none could be started.
 */
void launch_all(void (*ended)(int status));

/* Questions; all by number in the plan. */
#define LAUNCH_NONE UINT32_MAX
uint32_t launch_find(const char *name);
uint32_t launch_count(void);
const struct machine_spec *launch_spec(uint32_t index);
const char *launch_state(uint32_t index);

/*
 * Orders. They return 0, ERR_BUSY if the VM's state doesn't allow it or it is just being made or ended, or what
 * kept it from being made.
 */
int launch_start(uint32_t index);
int launch_stop(uint32_t index);  /* at once, as by the power switch */
int launch_kill(uint32_t index);  /* the same, counted as a failure */
int launch_reset(uint32_t index); /* as by the reset switch */
int launch_pause(uint32_t index);
int launch_resume(uint32_t index);

/* Something that wants to look at a VM, with up to two words of its own. */
struct launch_args {
    uint64_t a, b;
};
typedef void (*launch_look)(struct vm *vm, const struct launch_args *args);
/* Calls `look` with a VM that stays there meanwhile. ERR_NOTFOUND: it isn't there; ERR_BUSY: it is just being changed. */
int launch_visit(uint32_t index, launch_look look, const struct launch_args *args);
/*
 * The same, with its vCPUs at rest and its window open. One that runs is stopped for a moment: then `look` is called
 * later, on any core; ERR_BUSY also if another look waits for that.
 */
int launch_visit_at_rest(uint32_t index, launch_look look, const struct launch_args *args);
/* The audit, while no VM comes or goes. */
struct audit_result launch_audit(void);
