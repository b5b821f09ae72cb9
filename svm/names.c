#include "svm/vcpu.h"

static const char *const exceptions[32] = {
    "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "#9",  "#TS",
    "#NP", "#SS", "#GP", "#PF", "#15", "#MF", "#AC", "#MC", "#XF", "#20", "#CP",
    "#22", "#23", "#24", "#25", "#26", "#27", "#HV", "#VC", "#SX", "#31",
};

static const struct {
    uint32_t code;
    const char *name;
} names[] = {
    {EXIT_CR8_READ, "CR8 read"},
    {EXIT_CR0_WRITE, "CR0 write"},
    {EXIT_CR4_WRITE, "CR4 write"},
    {EXIT_CR8_WRITE, "CR8 write"},
    {EXIT_INTR, "host interrupt"},
    {EXIT_NMI, "host NMI"},
    {EXIT_SMI, "SMI"},
    {EXIT_INIT, "INIT"},
    {EXIT_VINTR, "interrupt window"},
    {EXIT_CR0_SEL_WRITE, "CR0 selective write"},
    {EXIT_TR_WRITE, "TR write"},
    {EXIT_RDTSC, "RDTSC"},
    {EXIT_RDPMC, "RDPMC"},
    {EXIT_CPUID, "CPUID"},
    {EXIT_IRET, "IRET"},
    {EXIT_INVD, "INVD"},
    {EXIT_PAUSE, "PAUSE"},
    {EXIT_HLT, "HLT"},
    {EXIT_INVLPGA, "INVLPGA"},
    {EXIT_IOIO, "I/O"},
    {EXIT_MSR, "MSR"},
    {EXIT_TASK_SWITCH, "task switch"},
    {EXIT_SHUTDOWN, "shutdown"},
    {EXIT_VMRUN, "VMRUN"},
    {EXIT_VMMCALL, "VMMCALL"},
    {EXIT_VMLOAD, "VMLOAD"},
    {EXIT_VMSAVE, "VMSAVE"},
    {EXIT_STGI, "STGI"},
    {EXIT_CLGI, "CLGI"},
    {EXIT_SKINIT, "SKINIT"},
    {EXIT_RDTSCP, "RDTSCP"},
    {EXIT_WBINVD, "WBINVD"},
    {EXIT_MONITOR, "MONITOR"},
    {EXIT_MWAIT, "MWAIT"},
    {EXIT_MWAIT_ARMED, "MWAIT, armed"},
    {EXIT_XSETBV, "XSETBV"},
    {EXIT_RDPRU, "RDPRU"},
    {EXIT_INVLPGB, "INVLPGB"},
    {EXIT_INVPCID, "INVPCID"},
    {EXIT_MCOMMIT, "MCOMMIT"},
    {EXIT_TLBSYNC, "TLBSYNC"},
    {EXIT_NPF, "nested page fault"},
    {(uint32_t)EXIT_INVALID, "invalid VMCB"},
    {(uint32_t)EXIT_BUSY, "VMSA busy"},
};

const char *svm_exit_name(uint32_t code)
{
    if (code - EXIT_EXCEPTION < ARRAY_SIZE(exceptions))
        return exceptions[code - EXIT_EXCEPTION];
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (names[i].code == code)
            return names[i].name;
    return "unknown";
}
