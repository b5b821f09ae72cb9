/* Which interrupt vector is whose. */
#pragma once

/* Vectors of the hypervisor's own. The rest of 0x30-0xef is for devices. */
enum vector {
    VECTOR_PIC = 0x20,      /* sixteen that the old interrupt controllers could still raise: ignored */
    VECTOR_DEVICE = 0x30,   /* the first that irq_alloc() hands out */
    VECTOR_TIMER = 0xf0,    /* LAPIC timer */
    VECTOR_WAKE = 0xf1,     /* an IPI that asks a core to look for work */
    VECTOR_EVENTS = 0xf3,   /* an IPI that asks for the events of the vCPU that runs, and nothing else */
    VECTOR_POSTED = 0xf2,   /* notification of posted interrupts */
    VECTOR_ERROR = 0xfe,    /* LAPIC error */
    VECTOR_SPURIOUS = 0xff, /* LAPIC spurious: no EOI */
};
