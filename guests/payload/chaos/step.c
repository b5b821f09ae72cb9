/* One step: a mode, registers, some instructions. */
#include "guests/payload/chaos/chaos.h"

#include "core/lib/bytes.h"
#include "core/lib/string.h"

#define CODE_BYTES 128
#define INT3       0xcc
#define SELECTOR32 0x1b /* user data */

static const struct mode {
    const char *name;
    uint32_t weight;
    enum chaos_kind kind;
    uint16_t cs, ss;
    uint64_t cr0, cr4; /* outside of long mode */
    bool v86;
} modes[] = {
    {"long", 24, CHAOS_LONG, CODE_SELECTOR, DATA_SELECTOR, 0, 0, false},
    {"long3", 12, CHAOS_LONG, 0x23, SELECTOR32, 0, 0, false},
    {"compat", 6, CHAOS_LONG, CHAOS_CODE32, DATA_SELECTOR, 0, 0, false},
    {"compat3", 5, CHAOS_LONG, CHAOS_USER_CODE32 | 3, SELECTOR32, 0, 0, false},
    {"compat16", 3, CHAOS_LONG, CHAOS_CODE16, CHAOS_DATA16, 0, 0, false},
    {"compat16user", 2, CHAOS_LONG, CHAOS_USER_CODE16 | 3, SELECTOR32, 0, 0, false},
    {"flat", 4, CHAOS_PROTECTED, CHAOS_NEAR_CODE, CHAOS_NEAR_DATA, 0, 0, false},
    {"flat3", 3, CHAOS_PROTECTED, CHAOS_NEAR_USER_CODE | 3, CHAOS_NEAR_USER_DATA | 3, 0, 0, false},
    {"flat16", 2, CHAOS_PROTECTED, CHAOS_CODE16, CHAOS_DATA16, 0, 0, false},
    {"paged", 4, CHAOS_PROTECTED, CHAOS_CODE32, DATA_SELECTOR, CR0_PG, CR4_PSE, false},
    {"paged3", 4, CHAOS_PROTECTED, CHAOS_USER_CODE32 | 3, SELECTOR32, CR0_PG, CR4_PSE, false},
    {"pae", 4, CHAOS_PROTECTED, CHAOS_CODE32, DATA_SELECTOR, CR0_PG, CR4_PAE, false},
    {"vm86", 4, CHAOS_PROTECTED, CHAOS_REAL >> 4, CHAOS_REAL >> 4, 0, 0, true},
    {"vm86paged", 3, CHAOS_PROTECTED, CHAOS_REAL >> 4, CHAOS_REAL >> 4, CR0_PG, CR4_PSE, true},
    {"real", 6, CHAOS_REAL_MODE, CHAOS_REAL >> 4, CHAOS_REAL >> 4, 0, 0, false},
};

static const char *wanted;

void chaos_modes(const char *list)
{
    wanted = list;
}

/* QEMU's own CPU knows no limits of segments, so that most of what happens there happens where nothing is. */
static bool is_endless(const struct mode *m)
{
    return on_tcg && m->kind == CHAOS_PROTECTED && !m->cr0 && !m->v86;
}

static const struct mode *mode_choose(void)
{
    uint32_t sum = 0, at;

    for (uint32_t i = 0; i < ARRAY_SIZE(modes); i++)
        sum += modes[i].weight;
    for (;;) {
        const struct mode *m = modes;

        for (at = chaos_below(sum); at >= m->weight; at -= m++->weight)
            ;
        if (wanted ? list_has(wanted, m->name) : !is_endless(m) || chaos_once_in(4))
            return m;
    }
}

static bool is_low(const struct mode *m)
{
    return m->v86 || m->kind == CHAOS_REAL_MODE;
}

/* Where code of 16 bits has a segment of its own, IP counts from that. */
static uint8_t *code_place(const struct mode *m, uint64_t *rip)
{
    uint16_t segment = m->cs & 0xf8;
    bool short_code = !is_low(m) && (segment == CHAOS_CODE16 || segment == (CHAOS_USER_CODE16 & 0xf8));
    uint64_t base = is_low(m) ? CHAOS_REAL : CHAOS_CODE;
    uint64_t offset = chaos_once_in(16) ? 0xff8 : 0; /* on two pages */

    *rip = offset + (is_low(m) || short_code ? 0 : base);
    return (uint8_t *)base + offset;
}

/*
 * What ends QEMU (7.2, TCG) itself: under SVM it loads DR7 without a look at the lists of breakpoints that it keeps, and its translator has
 * no function for some instructions of the maps 0F 38 and 0F 3A. MOV from DR and NOPs take their places.
 */
static void fatal_remove(uint8_t *at, uint32_t n)
{
    for (uint32_t i = 0; on_tcg && i + 1 < n; i++) {
        if (at[i] != 0x0f)
            continue;
        if (at[i + 1] == 0x23)
            at[i + 1] = 0x21;
        else if (at[i + 1] == 0x38 || at[i + 1] == 0x3a)
            at[i + 1] = 0x1f;
    }
}

/* New tables and page tables are nearly always the end of the VM, and to start it anew takes longer than hundreds of steps: one in eight. */
static void endings_thin(uint8_t *at, uint32_t n)
{
    for (uint32_t i = 0; i + 2 < n; i++) {
        uint8_t reg = at[i + 2] >> 3 & 7;

        if (at[i] != 0x0f || chaos_once_in(8))
            continue;
        if (at[i + 1] == 0x22 && reg == 3)
            at[i + 1] = 0x20; /* MOV from CR3 */
        else if (at[i + 1] == 0x01 && at[i + 2] < 0xc0 && (reg == 2 || reg == 3))
            at[i + 2] ^= 0x10; /* SGDT, SIDT */
    }
}

/* What follows an access to a device would find the same registers, and not much can be carried out there. */
static void code_make(uint8_t *place, struct chaos_step *step)
{
    static uint8_t at[CODE_BYTES];
    uint32_t n = 0;

    step->devices = chaos_once_in(10);
    if (step->devices)
        n = chaos_once_in(64) ? chaos_instruction(at, step) : chaos_access(at, step);
    else
        for (uint32_t count = 1 + chaos_below(3); count--;)
            n += chaos_instruction(at + n, step);
    memset(at + n, INT3, CODE_BYTES - n);
    fatal_remove(at, CODE_BYTES);
    endings_thin(at, n);
    chaos_restore(place, at, CODE_BYTES);
}

/* Without paging most pointers stay where there is RAM. */
static void registers_make(struct chaos_step *step)
{
    bool paged = step->kind == CHAOS_LONG || (step->cr0 & CR0_PG);

    for (uint32_t i = 0; i < 16; i++)
        step->gpr[i] = chaos_value() & (paged || chaos_once_in(16) ? UINT64_MAX : 0xffffff);
}

/* Interrupts are on in one of four, so that there is more than what they do. */
static uint64_t flags_make(bool tf)
{
    uint64_t flags = (chaos_any() & 0xcd5) | RFLAGS_FIXED1;

    if (tf)
        flags |= RFLAGS_TF;
    if (chaos_once_in(4))
        flags |= RFLAGS_IF;
    if (chaos_once_in(8))
        flags |= chaos_any() & (RFLAGS_IOPL | RFLAGS_NT | RFLAGS_RF | RFLAGS_AC | RFLAGS_ID);
    return flags;
}

static void segments_make(struct chaos_step *step, const struct mode *m)
{
    uint64_t *segments = &step->ds;

    step->cs = m->cs;
    step->ss = m->ss;
    for (uint32_t i = 0; i < 4; i++)
        segments[i] = is_low(m) ? chaos_once_in(2) ? CHAOS_REAL >> 4
                                                   : chaos_any() & (chaos_once_in(16) ? 0xffff : 0x7fff)
                                : m->ss;
    if (m->v86)
        for (uint32_t i = 0; i < 4; i++)
            segments[i] = DATA_SELECTOR;
}

/* EIP, CS, EFLAGS, and for others than ring 0 ESP, SS; for virtual-8086 mode the other segments, too. */
static void frame_make(struct chaos_step *step, const struct mode *m)
{
    uint8_t *at = (uint8_t *)(CHAOS_STACK + 0x400);
    uint64_t words[9] = {step->rip,
                         step->cs,
                         step->rflags,
                         step->rsp,
                         step->ss,
                         chaos_any() & 0xffff,
                         CHAOS_REAL >> 4,
                         chaos_any() & 0xffff,
                         chaos_any() & 0xffff};

    step->frame = (uint64_t)at;
    for (uint32_t i = 0; i < 9; i++)
        put_le32(at + 4 * i, (uint32_t)words[i]);
    if (m->kind != CHAOS_REAL_MODE)
        return;
    at = (uint8_t *)(CHAOS_REAL + (uint16_t)step->rsp);
    for (uint32_t i = 0; i < 3; i++)
        put_le16(at + 2 * i, (uint16_t)words[i]);
}

uint64_t chaos_step(void)
{
    static struct chaos_step step;
    const struct mode *m = mode_choose();
    bool tf = chaos_once_in(2);
    uint8_t *code;

    step.kind = m->kind;
    step.cr0 = m->cr0 | CR0_PE | CR0_ET | CR0_NE | (m->cr0 && chaos_once_in(2) ? CR0_WP : 0);
    step.cr4 = m->cr4;
    segments_make(&step, m);
    registers_make(&step);
    code = code_place(m, &step.rip);
    code_make(code, &step);
    step.rflags = flags_make(tf) | (m->v86 ? RFLAGS_VM : 0);
    step.rsp = is_low(m) || m->ss == CHAOS_DATA16 ? 0x8000 : CHAOS_STACK;
    frame_make(&step, m);
    chaos_set_tf(1 + chaos_below(8));
    return chaos_run(&step);
}
