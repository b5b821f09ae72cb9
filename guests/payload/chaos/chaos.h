/*
 * A guest that does anything at all, by a seed. Each step is a few instructions, more or less valid, in one of the CPU's modes and
 * with any registers, in a sandbox that everything can be brought back from but the loss of what brings it back: then the
 * VM ends by a triple fault, and the next start goes on with another seed.
 */
#pragma once

#include "guests/payload/payload.h"

/* The sandbox's GDT. What is below these is as in start.asm, what is above is random. */
#define CHAOS_CODE32         0x28
#define CHAOS_TSS64          0x30
#define CHAOS_CODE16         0x40
#define CHAOS_DATA16         0x48
#define CHAOS_USER_CODE32    0x50
#define CHAOS_USER_CODE16    0x58
#define CHAOS_LDT64          0x60
#define CHAOS_TSS32          0x70
#define CHAOS_RECOVERY       0x78
#define CHAOS_LDT32          0x80
#define CHAOS_LOW_CODE       0x88
#define CHAOS_LOW_DATA       0x90
#define CHAOS_NEAR_CODE      0x98 /* these end where the RAM does */
#define CHAOS_NEAR_DATA      0xa0
#define CHAOS_NEAR_USER_CODE 0xa8
#define CHAOS_NEAR_USER_DATA 0xb0
#define CHAOS_RANDOM         0xb8
#define CHAOS_GDT            128 /* entries */

#define CHAOS_LOW  0x7000ull /* the way into real mode */
#define CHAOS_REAL 0x8000ull /* code of real and virtual-8086 mode, 64 KiB with its stack */
#define CHAOS_CODE ARENA
#define CHAOS_STACK                                                                                          \
    (ARENA + 0x8000) /* grows down; so does that of 16 bits, whose segment begins at the arena */
#define CHAOS_DATA (ARENA + 0x10000)
#define CHAOS_LDT  (ARENA + 0x20000)
#define CHAOS_WILD ARENA_NEXT    /* page tables with anything in them */
#define CHAOS_VIEW 0x40000000ull /* where these are used */

enum chaos_kind { CHAOS_LONG, CHAOS_PROTECTED, CHAOS_REAL_MODE };

/* In the order of enter.asm. */
struct chaos_step {
    uint64_t gpr[16];
    uint64_t rip, cs, rflags, rsp, ss;
    uint64_t ds, es, fs, gs;
    uint64_t kind;
    uint64_t frame; /* where IRET finds it, outside of long mode */
    uint64_t cr0, cr3, cr4;
    uint64_t devices; /* whether its page tables map more than RAM */
};

/* Seeds and values (values.c) ----------------------------------------------------------------------------------- */

void chaos_seed(uint64_t seed);
uint64_t chaos_any(void); /* 64 random bits */
uint32_t chaos_below(uint32_t limit);
bool chaos_once_in(uint32_t times);
uint64_t chaos_value(void); /* of a kind that means something to somebody, or of none */
uint64_t chaos_device(void);
uint16_t chaos_port(void);
uint32_t chaos_msr(void);
uint16_t chaos_selector(void);
uint64_t chaos_descriptor(void);
void chaos_find_devices(void);

/* Instructions (code.c) ----------------------------------------------------------------------------------------- */

/* Writes one, at most 32 bytes, and may change the registers that it is entered with; gives its length. */
uint32_t chaos_instruction(uint8_t *code, struct chaos_step *step);
/* The same for one that reads or writes memory, with registers that point to devices. */
uint32_t chaos_access(uint8_t *code, struct chaos_step *step);

/* The sandbox (sandbox.c) --------------------------------------------------------------------------------------- */

void chaos_init(void);
/* Copies what differs: where code was executed, a write is slow in an emulator that translates it. */
void chaos_restore(void *to, const void *from, uint64_t len);
void chaos_set_tf(uint32_t count); /* instructions with TF until the sandbox is left */
void chaos_fill(void);             /* the arena, tables and descriptors, anew */
uint64_t chaos_run(struct chaos_step *step);
/* Puts the devices back that the runner needs: console, interrupt controllers, watchdog. */
void chaos_devices(void);

/* enter.asm */
uint64_t chaos_enter(const struct chaos_step *step);

/* Steps (step.c) ------------------------------------------------------------------------------------------------ */

void chaos_modes(const char *list); /* the only ones to use; NULL: all */
/* One of them; gives the vector that it ended with. */
uint64_t chaos_step(void);

/* All of a kind (every.c, every_more.c), with the tables that the CPU began with ---------------------------------- */

void chaos_every(void);
void chaos_every_more(void);
void chaos_unmap(void); /* ends the VM */
