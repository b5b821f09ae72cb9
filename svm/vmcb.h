/*
 * The virtual machine control block, in the order and with the names of APM volume 2 appendix B: the control area from
 * offset 0, the state save area from 0x400. Offsets stand beside the fields and are checked below.
 */
#pragma once

#include "core/lib/types.h"

/* Segment attributes are a descriptor's bits 40-47 and 52-55, packed into 12 bits. */
struct vmcb_segment {
    uint16_t selector;
    uint16_t attr;
    uint32_t limit;
    uint64_t base;
};

#define VMCB_ATTR_BUSY BIT(1) /* of a TSS */
#define VMCB_ATTR_L    BIT(9)
#define VMCB_ATTR_DB   BIT(10)

struct vmcb {
    /* Control area (table B-1) */
    uint16_t intercept_cr_read;      /* 000 */
    uint16_t intercept_cr_write;     /* 002 */
    uint16_t intercept_dr_read;      /* 004 */
    uint16_t intercept_dr_write;     /* 006 */
    uint32_t intercept_exceptions;   /* 008 */
    uint32_t intercept3;             /* 00c */
    uint32_t intercept4;             /* 010 */
    uint32_t intercept5;             /* 014 */
    uint8_t reserved_018[0x24];      /* 018 */
    uint16_t pause_filter_threshold; /* 03c */
    uint16_t pause_filter_count;     /* 03e */
    uint64_t iopm_base;              /* 040 */
    uint64_t msrpm_base;             /* 048 */
    uint64_t tsc_offset;             /* 050 */
    uint32_t asid;                   /* 058 */
    uint32_t tlb_control;            /* 05c */
    uint64_t int_control;            /* 060 */
    uint64_t int_shadow;             /* 068 */
    uint64_t exit_code;              /* 070 */
    uint64_t exit_info1;             /* 078 */
    uint64_t exit_info2;             /* 080 */
    uint64_t exit_int_info;          /* 088 */
    uint64_t np_control;             /* 090 */
    uint64_t avic_bar;               /* 098 */
    uint64_t ghcb;                   /* 0a0 */
    uint64_t event_inj;              /* 0a8 */
    uint64_t n_cr3;                  /* 0b0 */
    uint64_t virt_ext;               /* 0b8 */
    uint32_t clean;                  /* 0c0 */
    uint32_t reserved_0c4;           /* 0c4 */
    uint64_t nrip;                   /* 0c8 */
    uint8_t insn_len;                /* 0d0: number of bytes fetched */
    uint8_t insn_bytes[15];          /* 0d1 */
    uint64_t avic_backing_page;      /* 0e0 */
    uint64_t reserved_0e8;           /* 0e8 */
    uint64_t avic_logical_table;     /* 0f0 */
    uint64_t avic_physical_table;    /* 0f8 */
    uint8_t reserved_100[0x300];     /* 100 */

    /* State save area (table B-2) */
    struct vmcb_segment es;      /* 400 */
    struct vmcb_segment cs;      /* 410 */
    struct vmcb_segment ss;      /* 420 */
    struct vmcb_segment ds;      /* 430 */
    struct vmcb_segment fs;      /* 440 */
    struct vmcb_segment gs;      /* 450 */
    struct vmcb_segment gdtr;    /* 460 */
    struct vmcb_segment ldtr;    /* 470 */
    struct vmcb_segment idtr;    /* 480 */
    struct vmcb_segment tr;      /* 490 */
    uint8_t reserved_4a0[0x2b];  /* 4a0 */
    uint8_t cpl;                 /* 4cb */
    uint32_t reserved_4cc;       /* 4cc */
    uint64_t efer;               /* 4d0 */
    uint8_t reserved_4d8[0x70];  /* 4d8 */
    uint64_t cr4;                /* 548 */
    uint64_t cr3;                /* 550 */
    uint64_t cr0;                /* 558 */
    uint64_t dr7;                /* 560 */
    uint64_t dr6;                /* 568 */
    uint64_t rflags;             /* 570 */
    uint64_t rip;                /* 578 */
    uint8_t reserved_580[0x58];  /* 580 */
    uint64_t rsp;                /* 5d8 */
    uint64_t s_cet;              /* 5e0 */
    uint64_t ssp;                /* 5e8 */
    uint64_t isst_addr;          /* 5f0 */
    uint64_t rax;                /* 5f8 */
    uint64_t star;               /* 600 */
    uint64_t lstar;              /* 608 */
    uint64_t cstar;              /* 610 */
    uint64_t sfmask;             /* 618 */
    uint64_t kernel_gs_base;     /* 620 */
    uint64_t sysenter_cs;        /* 628 */
    uint64_t sysenter_esp;       /* 630 */
    uint64_t sysenter_eip;       /* 638 */
    uint64_t cr2;                /* 640 */
    uint8_t reserved_648[0x20];  /* 648 */
    uint64_t g_pat;              /* 668 */
    uint64_t dbgctl;             /* 670 */
    uint64_t br_from;            /* 678 */
    uint64_t br_to;              /* 680 */
    uint64_t last_excp_from;     /* 688 */
    uint64_t last_excp_to;       /* 690 */
    uint8_t reserved_698[0x968]; /* 698 */
};

#define VMCB_AT(field, offset) _Static_assert(offsetof(struct vmcb, field) == (offset), #field)
VMCB_AT(intercept_exceptions, 0x008);
VMCB_AT(intercept5, 0x014);
VMCB_AT(pause_filter_threshold, 0x03c);
VMCB_AT(iopm_base, 0x040);
VMCB_AT(tsc_offset, 0x050);
VMCB_AT(asid, 0x058);
VMCB_AT(int_control, 0x060);
VMCB_AT(exit_code, 0x070);
VMCB_AT(exit_int_info, 0x088);
VMCB_AT(np_control, 0x090);
VMCB_AT(event_inj, 0x0a8);
VMCB_AT(n_cr3, 0x0b0);
VMCB_AT(clean, 0x0c0);
VMCB_AT(nrip, 0x0c8);
VMCB_AT(insn_bytes, 0x0d1);
VMCB_AT(avic_physical_table, 0x0f8);
VMCB_AT(es, 0x400);
VMCB_AT(gdtr, 0x460);
VMCB_AT(tr, 0x490);
VMCB_AT(cpl, 0x4cb);
VMCB_AT(efer, 0x4d0);
VMCB_AT(cr4, 0x548);
VMCB_AT(rip, 0x578);
VMCB_AT(rsp, 0x5d8);
VMCB_AT(rax, 0x5f8);
VMCB_AT(sysenter_eip, 0x638);
VMCB_AT(cr2, 0x640);
VMCB_AT(g_pat, 0x668);
VMCB_AT(last_excp_to, 0x690);
_Static_assert(sizeof(struct vmcb) == 0x1000, "a VMCB is one page");

/* 00c: intercept3 */
#define INTERCEPT3_INTR        BIT(0)
#define INTERCEPT3_NMI         BIT(1)
#define INTERCEPT3_SMI         BIT(2)
#define INTERCEPT3_INIT        BIT(3)
#define INTERCEPT3_VINTR       BIT(4)
#define INTERCEPT3_CR0_SEL     BIT(5) /* writes of CR0 that change more than TS and MP */
#define INTERCEPT3_TR_WRITE    BIT(13)
#define INTERCEPT3_RDTSC       BIT(14)
#define INTERCEPT3_RDPMC       BIT(15)
#define INTERCEPT3_CPUID       BIT(18)
#define INTERCEPT3_IRET        BIT(20)
#define INTERCEPT3_INVD        BIT(22)
#define INTERCEPT3_PAUSE       BIT(23)
#define INTERCEPT3_HLT         BIT(24)
#define INTERCEPT3_INVLPGA     BIT(26)
#define INTERCEPT3_IOIO        BIT(27)
#define INTERCEPT3_MSR         BIT(28)
#define INTERCEPT3_TASK_SWITCH BIT(29)
#define INTERCEPT3_SHUTDOWN    BIT(31)

/* 010: intercept4 */
#define INTERCEPT4_VMRUN       BIT(0)
#define INTERCEPT4_VMMCALL     BIT(1)
#define INTERCEPT4_VMLOAD      BIT(2)
#define INTERCEPT4_VMSAVE      BIT(3)
#define INTERCEPT4_STGI        BIT(4)
#define INTERCEPT4_CLGI        BIT(5)
#define INTERCEPT4_SKINIT      BIT(6)
#define INTERCEPT4_RDTSCP      BIT(7)
#define INTERCEPT4_WBINVD      BIT(9)
#define INTERCEPT4_MONITOR     BIT(10)
#define INTERCEPT4_MWAIT       BIT(11)
#define INTERCEPT4_MWAIT_ARMED BIT(12)
#define INTERCEPT4_XSETBV      BIT(13)
#define INTERCEPT4_RDPRU       BIT(14)

/* 014: intercept5 */
#define INTERCEPT5_INVLPGB BIT(0)
#define INTERCEPT5_INVPCID BIT(2)
#define INTERCEPT5_MCOMMIT BIT(3)
#define INTERCEPT5_TLBSYNC BIT(4)

/* 05c: tlb_control */
#define TLB_KEEP       0
#define TLB_FLUSH_ALL  1 /* every ASID's entries, global ones included */
#define TLB_FLUSH_ASID 3 /* this guest's */

/* 060: int_control */
#define INT_V_TPR_MASK  MASK(4) /* of the field's 8 bits, those that CR8 has */
#define INT_V_IRQ       BIT(8)
#define INT_V_PRIO_MAX  (15ull << 16)
#define INT_V_IGN_TPR   BIT(20)
#define INT_V_MASKING   BIT(24)
#define INT_V_VECTOR(v) ((uint64_t)(v) << 32)

/* 068: int_shadow */
#define SHADOW_ACTIVE BIT(0)

/* 088 and 0a8: exit_int_info and event_inj (15.7.2, 15.20); the type is an enum event_type, the error code is on top */
#define EVENT_VECTOR(e)   ((uint8_t)(e))
#define EVENT_TYPE(e)     ((uint8_t)((e) >> 8 & 7))
#define EVENT_TYPE_SHIFT  8
#define EVENT_HAS_ERROR   BIT(11)
#define EVENT_VALID       BIT(31)
#define EVENT_ERROR_SHIFT 32

/* 090: np_control */
#define NP_ENABLE BIT(0)

/* 0c0: clean: what the processor may keep from the last time that it ran this VMCB (15.15.3) */
#define CLEAN_I    BIT(0) /* intercepts, TSC offset, pause filter */
#define CLEAN_IOPM BIT(1) /* bases of both permission maps */
#define CLEAN_ASID BIT(2)
#define CLEAN_TPR  BIT(3) /* int_control */
#define CLEAN_NP   BIT(4) /* np_control, n_cr3, g_pat */
#define CLEAN_CRX  BIT(5) /* CR0, CR3, CR4, EFER */
#define CLEAN_DRX  BIT(6) /* DR6, DR7 */
#define CLEAN_DT   BIT(7) /* GDTR, IDTR */
#define CLEAN_SEG  BIT(8) /* CS, DS, SS, ES, CPL */
#define CLEAN_CR2  BIT(9)
#define CLEAN_ALL  MASK(10)

/* 070: exit_code (appendix C) */
enum svm_exit {
    EXIT_CR0_READ = 0x000,
    EXIT_CR8_READ = 0x008,
    EXIT_CR0_WRITE = 0x010,
    EXIT_CR4_WRITE = 0x014,
    EXIT_CR8_WRITE = 0x018,
    EXIT_DR0_READ = 0x020,
    EXIT_DR0_WRITE = 0x030,
    EXIT_EXCEPTION = 0x040, /* + vector */
    EXIT_INTR = 0x060,
    EXIT_NMI = 0x061,
    EXIT_SMI = 0x062,
    EXIT_INIT = 0x063,
    EXIT_VINTR = 0x064,
    EXIT_CR0_SEL_WRITE = 0x065,
    EXIT_TR_WRITE = 0x06d,
    EXIT_RDTSC = 0x06e,
    EXIT_RDPMC = 0x06f,
    EXIT_CPUID = 0x072,
    EXIT_IRET = 0x074,
    EXIT_INVD = 0x076,
    EXIT_PAUSE = 0x077,
    EXIT_HLT = 0x078,
    EXIT_INVLPGA = 0x07a,
    EXIT_IOIO = 0x07b,
    EXIT_MSR = 0x07c,
    EXIT_TASK_SWITCH = 0x07d,
    EXIT_SHUTDOWN = 0x07f,
    EXIT_VMRUN = 0x080,
    EXIT_VMMCALL = 0x081,
    EXIT_VMLOAD = 0x082,
    EXIT_VMSAVE = 0x083,
    EXIT_STGI = 0x084,
    EXIT_CLGI = 0x085,
    EXIT_SKINIT = 0x086,
    EXIT_RDTSCP = 0x087,
    EXIT_WBINVD = 0x089,
    EXIT_MONITOR = 0x08a,
    EXIT_MWAIT = 0x08b,
    EXIT_MWAIT_ARMED = 0x08c,
    EXIT_XSETBV = 0x08d,
    EXIT_RDPRU = 0x08e,
    EXIT_INVLPGB = 0x0a0,
    EXIT_INVPCID = 0x0a2,
    EXIT_MCOMMIT = 0x0a3,
    EXIT_TLBSYNC = 0x0a4,
    EXIT_NPF = 0x400,
    EXIT_INVALID = -1,
    EXIT_BUSY = -2,
};
#define EXIT_COUNT 0x0a5 /* of the dense part */

/* EXITINFO1 of IOIO (15.10.2); EXITINFO2 is the next RIP */
#define IOIO_IN              BIT(0)
#define IOIO_STRING          BIT(2)
#define IOIO_REP             BIT(3)
#define IOIO_SIZE(info)      ((uint8_t)((info) >> 4 & 7))  /* 1, 2 or 4 */
#define IOIO_ADDR_SIZE(info) ((uint8_t)((info) >> 6 & 14)) /* 2, 4 or 8 */
#define IOIO_SEG(info)       ((uint8_t)((info) >> 10 & 7)) /* with decode assists; numbered as enum vcpu_seg */
#define IOIO_PORT(info)      ((uint16_t)((info) >> 16))

/* EXITINFO1 of a nested page fault (15.25.6); EXITINFO2 is the gpa */
#define NPF_WRITE      BIT(1)
#define NPF_FETCH      BIT(4)
#define NPF_TABLE_WALK BIT(33)

/* EXITINFO1 of MOV CR with decode assists (15.33.1) */
#define MOVCR_VALID     BIT(63)
#define MOVCR_GPR(info) ((uint32_t)((info)&15))
