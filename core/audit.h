/*
 * The proof of isolation (DESIGN 4): walks all live nested tables, windows, the frame table and the host map, and finds
 * any frame in two VMs, any hypervisor frame in a VM, and any host page that is writable and executable.
 */
#pragma once

#include "core/lib/types.h"

struct audit_result {
    uint64_t vms, guest_bytes, host_leaves;
    uint64_t leaves, leaves_4k, leaves_2m, leaves_1g; /* of the nested tables: all, and by size */
    uint32_t faults;                                  /* each has its own log line */
};

/* Runs the audit and writes event=audit. Nothing may change the tables meanwhile. */
struct audit_result audit_run(void);
