/*
 * Writes and reads of control registers that exit (APM volume 2, 15.8.1). Which general register it was, decode assists tell, else the
 * instruction itself does; in QEMU, where kernels' writes to CR0 and CR4 exit (controls.c says which), it has to, and such that change
 * nothing but what any kernel may change at any time take a short way. Pure.
 */
#pragma once

#include "svm/vcpu.h"

void movcr_write0(struct vcpu *vcpu); /* CR0 selective: MOV or LMSW */
void movcr_write4(struct vcpu *vcpu);
void movcr_write(struct vcpu *vcpu); /* of the register that the exit code says */
void movcr_read8(struct vcpu *vcpu);
/*
 * QEMU 7.2 (TCG) leaves the guest as if VMRUN had refused a VMCB that is right where a MOV to CR3 sets bits beyond the physical address
 * width: there the guest is to get its #GP. False: it is something else.
 */
bool movcr_write3(struct vcpu *vcpu);
