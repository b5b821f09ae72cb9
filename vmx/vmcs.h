/*
 * The VMCS: encodings of its fields in the groups and the order of SDM volume 3 appendix B, and the bits of those fields
 * that have any (SDM chapters 25 and 28). Bits 14:13 of an encoding are the width, 11:10 the area.
 */
#pragma once

#include "core/lib/types.h"

/* B.1 16-bit fields. Control: */
#define VMCS_VPID          0x0000
#define VMCS_POSTED_VECTOR 0x0002
#define VMCS_EPTP_INDEX    0x0004
/* Guest state. The ten segment registers are in the order of enum vcpu_seg, two apart, in all four groups. */
#define VMCS_GUEST_SELECTOR(seg) (0x0800u + 2u * (seg))
#define VMCS_GUEST_INTR_STATUS   0x0810
#define VMCS_PML_INDEX           0x0812
/* Host state: ES to GS as above, but TR directly behind. */
#define VMCS_HOST_ES_SELECTOR 0x0c00
#define VMCS_HOST_CS_SELECTOR 0x0c02
#define VMCS_HOST_SS_SELECTOR 0x0c04
#define VMCS_HOST_DS_SELECTOR 0x0c06
#define VMCS_HOST_FS_SELECTOR 0x0c08
#define VMCS_HOST_GS_SELECTOR 0x0c0a
#define VMCS_HOST_TR_SELECTOR 0x0c0c

/* B.2 64-bit fields. Control: */
#define VMCS_IO_BITMAP_A       0x2000
#define VMCS_IO_BITMAP_B       0x2002
#define VMCS_MSR_BITMAP        0x2004
#define VMCS_EXIT_MSR_STORE    0x2006
#define VMCS_EXIT_MSR_LOAD     0x2008
#define VMCS_ENTRY_MSR_LOAD    0x200a
#define VMCS_EXECUTIVE_VMCS    0x200c
#define VMCS_PML_ADDRESS       0x200e
#define VMCS_TSC_OFFSET        0x2010
#define VMCS_VIRTUAL_APIC      0x2012
#define VMCS_APIC_ACCESS       0x2014
#define VMCS_POSTED_DESCRIPTOR 0x2016
#define VMCS_VM_FUNCTIONS      0x2018
#define VMCS_EPTP              0x201a
#define VMCS_EOI_EXIT0         0x201c
#define VMCS_EOI_EXIT1         0x201e
#define VMCS_EOI_EXIT2         0x2020
#define VMCS_EOI_EXIT3         0x2022
#define VMCS_XSS_EXITING       0x202c
#define VMCS_ENCLS_EXITING     0x202e
#define VMCS_TSC_MULTIPLIER    0x2032
/* Read-only data: */
#define VMCS_GUEST_PHYSICAL 0x2400
/* Guest state: */
#define VMCS_LINK_POINTER      0x2800
#define VMCS_GUEST_DEBUGCTL    0x2802
#define VMCS_GUEST_PAT         0x2804
#define VMCS_GUEST_EFER        0x2806
#define VMCS_GUEST_PERF_GLOBAL 0x2808
#define VMCS_GUEST_PDPTE(n)    (0x280au + 2u * (n))
#define VMCS_GUEST_BNDCFGS     0x2812
/* Host state: */
#define VMCS_HOST_PAT         0x2c00
#define VMCS_HOST_EFER        0x2c02
#define VMCS_HOST_PERF_GLOBAL 0x2c04

/* B.3 32-bit fields. Control: */
#define VMCS_PIN_CONTROLS       0x4000
#define VMCS_PROC_CONTROLS      0x4002
#define VMCS_EXCEPTION_BITMAP   0x4004
#define VMCS_PF_ERROR_MASK      0x4006
#define VMCS_PF_ERROR_MATCH     0x4008
#define VMCS_CR3_TARGET_COUNT   0x400a
#define VMCS_EXIT_CONTROLS      0x400c
#define VMCS_EXIT_MSR_STORE_NUM 0x400e
#define VMCS_EXIT_MSR_LOAD_NUM  0x4010
#define VMCS_ENTRY_CONTROLS     0x4012
#define VMCS_ENTRY_MSR_LOAD_NUM 0x4014
#define VMCS_ENTRY_INTR_INFO    0x4016
#define VMCS_ENTRY_ERROR_CODE   0x4018
#define VMCS_ENTRY_INSN_LEN     0x401a
#define VMCS_TPR_THRESHOLD      0x401c
#define VMCS_PROC2_CONTROLS     0x401e
#define VMCS_PLE_GAP            0x4020
#define VMCS_PLE_WINDOW         0x4022
/* Read-only data: */
#define VMCS_INSN_ERROR      0x4400
#define VMCS_EXIT_REASON     0x4402
#define VMCS_EXIT_INTR_INFO  0x4404
#define VMCS_EXIT_INTR_ERROR 0x4406
#define VMCS_IDT_INFO        0x4408
#define VMCS_IDT_ERROR       0x440a
#define VMCS_EXIT_INSN_LEN   0x440c
#define VMCS_EXIT_INSN_INFO  0x440e
/* Guest state: */
#define VMCS_GUEST_LIMIT(seg)  (0x4800u + 2u * (seg))
#define VMCS_GUEST_ACCESS(seg) (0x4814u + 2u * (seg)) /* ES to TR */
#define VMCS_INTERRUPTIBILITY  0x4824
#define VMCS_ACTIVITY          0x4826
#define VMCS_SMBASE            0x4828
#define VMCS_GUEST_SYSENTER_CS 0x482a
#define VMCS_PREEMPTION_TIMER  0x482e
/* Host state: */
#define VMCS_HOST_SYSENTER_CS 0x4c00

/* B.4 Natural-width fields. Control: */
#define VMCS_CR0_MASK   0x6000
#define VMCS_CR4_MASK   0x6002
#define VMCS_CR0_SHADOW 0x6004
#define VMCS_CR4_SHADOW 0x6006
/* Read-only data: */
#define VMCS_QUALIFICATION 0x6400
#define VMCS_GUEST_LINEAR  0x640a
/* Guest state: */
#define VMCS_GUEST_CR0          0x6800
#define VMCS_GUEST_CR3          0x6802
#define VMCS_GUEST_CR4          0x6804
#define VMCS_GUEST_BASE(seg)    (0x6806u + 2u * (seg))
#define VMCS_GUEST_DR7          0x681a
#define VMCS_GUEST_RSP          0x681c
#define VMCS_GUEST_RIP          0x681e
#define VMCS_GUEST_RFLAGS       0x6820
#define VMCS_PENDING_DEBUG      0x6822
#define VMCS_GUEST_SYSENTER_ESP 0x6824
#define VMCS_GUEST_SYSENTER_EIP 0x6826
/* Host state: */
#define VMCS_HOST_CR0          0x6c00
#define VMCS_HOST_CR3          0x6c02
#define VMCS_HOST_CR4          0x6c04
#define VMCS_HOST_FS_BASE      0x6c06
#define VMCS_HOST_GS_BASE      0x6c08
#define VMCS_HOST_TR_BASE      0x6c0a
#define VMCS_HOST_GDTR_BASE    0x6c0c
#define VMCS_HOST_IDTR_BASE    0x6c0e
#define VMCS_HOST_SYSENTER_ESP 0x6c10
#define VMCS_HOST_SYSENTER_EIP 0x6c12
#define VMCS_HOST_RSP          0x6c14
#define VMCS_HOST_RIP          0x6c16

/* 25.6.1 Pin-based controls. */
#define PIN_EXT_INTR         BIT(0)
#define PIN_NMI              BIT(3)
#define PIN_VIRTUAL_NMI      BIT(5)
#define PIN_PREEMPTION_TIMER BIT(6)
#define PIN_POSTED           BIT(7)

/* 25.6.2 Primary and secondary processor-based controls. */
#define PROC_INTR_WINDOW  BIT(2)
#define PROC_TSC_OFFSET   BIT(3)
#define PROC_HLT          BIT(7)
#define PROC_MWAIT        BIT(10)
#define PROC_RDPMC        BIT(11)
#define PROC_CR3_LOAD     BIT(15)
#define PROC_CR3_STORE    BIT(16)
#define PROC_CR8_LOAD     BIT(19)
#define PROC_CR8_STORE    BIT(20)
#define PROC_TPR_SHADOW   BIT(21)
#define PROC_NMI_WINDOW   BIT(22)
#define PROC_IO           BIT(24)
#define PROC_IO_BITMAPS   BIT(25)
#define PROC_MONITOR_TRAP BIT(27)
#define PROC_MSR_BITMAP   BIT(28)
#define PROC_MONITOR      BIT(29)
#define PROC_SECONDARY    BIT(31)

#define PROC2_APIC_ACCESS    BIT(0)
#define PROC2_EPT            BIT(1)
#define PROC2_RDTSCP         BIT(3)
#define PROC2_X2APIC         BIT(4)
#define PROC2_VPID           BIT(5)
#define PROC2_WBINVD         BIT(6)
#define PROC2_UG             BIT(7)
#define PROC2_APIC_REGISTERS BIT(8)
#define PROC2_INTR_DELIVERY  BIT(9)
#define PROC2_PLE            BIT(10)
#define PROC2_INVPCID        BIT(12)
#define PROC2_VM_FUNCTIONS   BIT(13)
#define PROC2_SHADOWING      BIT(14)
#define PROC2_ENCLS          BIT(15)
#define PROC2_PML            BIT(17)
#define PROC2_VE             BIT(18)
#define PROC2_XSAVES         BIT(20)
#define PROC2_MBEC           BIT(22)
#define PROC2_TSC_SCALING    BIT(25)

/* 25.7.1 VM-exit controls, 25.8.1 VM-entry controls. */
#define EXIT_SAVE_DEBUG      BIT(2)
#define EXIT_HOST64          BIT(9)
#define EXIT_LOAD_PERF       BIT(12)
#define EXIT_ACK_INTR        BIT(15)
#define EXIT_LOAD_PAT        BIT(19)
#define EXIT_LOAD_EFER       BIT(21)
#define EXIT_SAVE_PREEMPTION BIT(22)

#define ENTRY_LOAD_DEBUG   BIT(2)
#define ENTRY_IA32E        BIT(9)
#define ENTRY_SMM          BIT(10)
#define ENTRY_DUAL_MONITOR BIT(11)
#define ENTRY_LOAD_PERF    BIT(13)
#define ENTRY_LOAD_PAT     BIT(14)
#define ENTRY_LOAD_EFER    BIT(15)
#define ENTRY_LOAD_BNDCFGS BIT(16)

/* 25.6.11 The EPT pointer. */
#define EPTP_WB    6ull
#define EPTP_WALK4 (3ull << 3)

/* 25.4.1 Access rights, 25.4.2 interruptibility and pending debug exceptions. */
#define ACCESS_UNUSABLE       BIT(16)
#define SHADOW_STI            BIT(0)
#define SHADOW_MOV_SS         BIT(1)
#define SHADOW_SMI            BIT(2)
#define SHADOW_NMI            BIT(3)
#define SHADOW_ENCLAVE        BIT(4)
#define SHADOW_INSN           (SHADOW_STI | SHADOW_MOV_SS)
#define PENDING_DEBUG_ENABLED BIT(12)
#define PENDING_DEBUG_BS      BIT(14)

/* 25.8.3, 25.9.2, 25.9.3 Interruption information. */
#define INTR_VECTOR(info)  ((uint8_t)(info))
#define INTR_TYPE(info)    ((uint8_t)((info) >> 8 & 7))
#define INTR_HAS_ERROR     BIT(11)
#define INTR_NMI_UNBLOCKED BIT(12) /* exits only: an IRET had just ended blocking by NMI */
#define INTR_VALID         BIT(31)

/* 25.9.1 Exit reason. */
#define REASON_BASIC(reason) ((reason)&0xffffu)
#define REASON_ENTRY_FAILED  BIT(31)

/* Exit qualifications (28.2.1): control-register accesses, I/O, task switches, EPT violations. */
#define QUAL_CR_NUMBER(q)     ((uint32_t)(q)&15u)
#define QUAL_CR_ACCESS(q)     ((uint32_t)(q) >> 4 & 3u)
#define QUAL_CR_TO            0u
#define QUAL_CR_FROM          1u
#define QUAL_CR_CLTS          2u
#define QUAL_CR_LMSW          3u
#define QUAL_CR_GPR(q)        ((uint32_t)(q) >> 8 & 15u)
#define QUAL_CR_LMSW_VALUE(q) ((uint16_t)((q) >> 16))
#define QUAL_IO_SIZE(q)       (((uint32_t)(q)&7u) + 1u)
#define QUAL_IO_IN            BIT(3)
#define QUAL_IO_STRING        BIT(4)
#define QUAL_IO_REP           BIT(5)
#define QUAL_IO_PORT(q)       ((uint16_t)((q) >> 16))
/* Table 28-6: APIC accesses. */
#define QUAL_APIC_OFFSET(q)    ((uint32_t)(q)&0xfffu)
#define QUAL_APIC_TYPE(q)      ((uint32_t)(q) >> 12 & 15u)
#define APIC_TYPE_READ         0u
#define APIC_TYPE_WRITE        1u
#define APIC_TYPE_FETCH        2u
#define QUAL_TASK_SELECTOR(q)  ((uint16_t)(q))
#define QUAL_TASK_SOURCE(q)    ((uint32_t)(q) >> 30 & 3u)
#define QUAL_TASK_IRET         1u
#define QUAL_EPT_READ          BIT(0)
#define QUAL_EPT_WRITE         BIT(1)
#define QUAL_EPT_FETCH         BIT(2)
#define QUAL_EPT_GVA_VALID     BIT(7)
#define QUAL_EPT_TRANSLATED    BIT(8) /* with a valid gva: not the page walk, but the access itself */
#define QUAL_EPT_NMI_UNBLOCKED BIT(12)
#define QUAL_DB_DR6            0xe00full /* B0-B3, BD, BS: to be put into DR6 */
#define QUAL_DB_BS             BIT(14)

/* Instruction information of INS and OUTS (table 28-8). */
#define INFO_IO_ADDR_SIZE(i) ((i) >> 7 & 7u) /* 2 << this bytes */
#define INFO_IO_SEGMENT(i)   ((i) >> 15 & 7u)

/* Appendix C. Basic exit reasons. */
enum vmx_reason {
    REASON_EXCEPTION = 0,
    REASON_EXT_INTR = 1,
    REASON_TRIPLE_FAULT = 2,
    REASON_INIT = 3,
    REASON_SIPI = 4,
    REASON_IO_SMI = 5,
    REASON_OTHER_SMI = 6,
    REASON_INTR_WINDOW = 7,
    REASON_NMI_WINDOW = 8,
    REASON_TASK_SWITCH = 9,
    REASON_CPUID = 10,
    REASON_GETSEC = 11,
    REASON_HLT = 12,
    REASON_INVD = 13,
    REASON_INVLPG = 14,
    REASON_RDPMC = 15,
    REASON_RDTSC = 16,
    REASON_RSM = 17,
    REASON_VMCALL = 18,
    REASON_VMCLEAR = 19,
    REASON_VMLAUNCH = 20,
    REASON_VMPTRLD = 21,
    REASON_VMPTRST = 22,
    REASON_VMREAD = 23,
    REASON_VMRESUME = 24,
    REASON_VMWRITE = 25,
    REASON_VMXOFF = 26,
    REASON_VMXON = 27,
    REASON_CR_ACCESS = 28,
    REASON_MOV_DR = 29,
    REASON_IO = 30,
    REASON_RDMSR = 31,
    REASON_WRMSR = 32,
    REASON_BAD_GUEST_STATE = 33,
    REASON_BAD_MSR_LOAD = 34,
    REASON_MWAIT = 36,
    REASON_MONITOR_TRAP = 37,
    REASON_MONITOR = 39,
    REASON_PAUSE = 40,
    REASON_ENTRY_MC = 41,
    REASON_TPR_BELOW = 43,
    REASON_APIC_ACCESS = 44,
    REASON_EOI = 45,
    REASON_GDTR_IDTR = 46,
    REASON_LDTR_TR = 47,
    REASON_EPT_VIOLATION = 48,
    REASON_EPT_MISCONFIG = 49,
    REASON_INVEPT = 50,
    REASON_RDTSCP = 51,
    REASON_PREEMPTION_TIMER = 52,
    REASON_INVVPID = 53,
    REASON_WBINVD = 54,
    REASON_XSETBV = 55,
    REASON_APIC_WRITE = 56,
    REASON_RDRAND = 57,
    REASON_INVPCID = 58,
    REASON_VMFUNC = 59,
    REASON_ENCLS = 60,
    REASON_RDSEED = 61,
    REASON_PML_FULL = 62,
    REASON_XSAVES = 63,
    REASON_XRSTORS = 64,
    REASON_PCONFIG = 65,
    REASON_SPP = 66,
    REASON_UMWAIT = 67,
    REASON_TPAUSE = 68,
    REASON_LOADIWKEY = 69,
    REASON_COUNT,
};
