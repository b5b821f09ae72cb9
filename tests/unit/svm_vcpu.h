/* A vCPU of the AMD back end on a plain VMCB, and what the pure files of svm/ ask of core. For one test program each. */
#pragma once

#include <string.h>

#include "core/x86/caps.h"
#include "core/x86/cr.h"
#include "svm/controls.h"
#include "svm/events.h"
#include "svm/svm.h"

struct svm_limits svm_limits;
bool svm_on_tcg;
struct control_maps svm_maps;

static struct vmcb vmcb;
static struct svm_vcpu s;
static struct vcpu vcpu;
static struct event reinjected;
static uint8_t tpr;

/* What the tested files ask of core */

void event_reinject(struct vcpu *v, const struct event *event)
{
    (void)v;
    reinjected = *event;
}

static uint8_t chip_get_cr8(void *chip)
{
    (void)chip;
    return tpr;
}

static void chip_set_cr8(void *chip, uint8_t cr8)
{
    (void)chip;
    tpr = cr8;
}

static const struct irqchip_ops chip = {.get_cr8 = chip_get_cr8, .set_cr8 = chip_set_cr8};

static const struct svm_cpuid epyc = {
    .basic1_ecx = BIT(17) | BIT(26),
    .basic1_edx = 0x178bfbff,
    .basic7_ebx = BIT(0) | BIT(7) | BIT(20),
    .basic7_ecx = BIT(2),
    .ext1_ecx = BIT(2),
    .ext1_edx = BIT(11) | BIT(20) | BIT(25) | BIT(29),
    .ext8_eax = 40,
    .svm_ebx = 16,
    .svm_edx = BIT(0),
};

/* A vCPU as create leaves it, ready to be entered. */
static int set_up(void **state)
{
    (void)state;
    svm_limits = limits_from_cpuid(&epyc);
    svm_maps = (struct control_maps){.iopm = 0x10000, .msrpm = 0x20000};
    memset(&vmcb, 0, sizeof vmcb);
    memset(&s, 0, sizeof s);
    memset(&vcpu, 0, sizeof vcpu);
    memset(&reinjected, 0, sizeof reinjected);
    tpr = 0;
    caps.bits = 0;
    s.vmcb = &vmcb;
    s.vcpu = &vcpu;
    vcpu.arch = &s;
    vcpu.irqchip = &chip;
    controls_init(&vmcb, &svm_maps, 0x30000, false);
    svm_state_reset(&vmcb);
    vmcb.asid = 1;
    return 0;
}
