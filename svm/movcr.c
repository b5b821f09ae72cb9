#include "svm/movcr.h"

#include "core/emulate.h"
#include "core/exit.h"
#include "core/fetch.h"
#include "svm/cr8.h"
#include "svm/page.h"

/* In the map 0f */
#define MOV_FROM_CR 0x20
#define MOV_TO_CR   0x22

/* The bytes of MOV CR, r64, as a number: [REX] 0f 22 /r, where REX.R would be of CR8 and above. */
#define REX_MASK      0xf4u
#define REX           0x40u
#define REX_B         1u
#define MOVCR_MASK    0xf8ffffu
#define MOVCR_TO(cr)  (0xc0220fu | (cr) << 19)
#define MOVCR_RM(all) ((all) >> 16 & 7)
#define MOVCR_LEN     3

/* The instruction at RIP. False if there is none. */
static bool decode_here(struct vcpu *vcpu, struct insn *insn)
{
    uint8_t bytes[INSN_MAX_LEN];
    size_t got = vcpu_fetch(vcpu, bytes, sizeof bytes);

    return insn_decode(bytes, got, vcpu_insn_mode(vcpu), insn) >= 0;
}

/* The same if it is a MOV CR. */
static bool movcr_decode(struct vcpu *vcpu, struct insn *insn)
{
    return decode_here(vcpu, insn) && insn->map == INSN_MAP_0F &&
           (insn->opcode == MOV_FROM_CR || insn->opcode == MOV_TO_CR);
}

/* The general register of a MOV CR: from the decode assists, else from the instruction itself. */
static bool movcr_operand(struct vcpu *vcpu, struct svm_vcpu *s, enum vcpu_reg *reg)
{
    uint64_t info = s->vmcb->exit_info1;
    struct insn insn;

    if (cap(CAP_DECODE_ASSISTS) && (info & MOVCR_VALID)) {
        *reg = (enum vcpu_reg)MOVCR_GPR(info);
        return true;
    }
    if (!movcr_decode(vcpu, &insn))
        return false;
    *reg = (enum vcpu_reg)insn.rm;
    return true;
}

static void cr_write(struct vcpu *vcpu, uint32_t cr, enum vcpu_reg reg)
{
    uint64_t value = vcpu_get(vcpu, reg);

    if (vcpu_insn_mode(vcpu) != INSN_MODE_64)
        value = (uint32_t)value;
    exit_cr_write(vcpu, cr, value);
}

/* Its length and general register if it has none but the usual bytes, in 64-bit mode; else 0. */
static inline uint8_t movcr_seen(struct vcpu *vcpu, const struct vmcb *vmcb, uint32_t cr, enum vcpu_reg *reg)
{
    uint64_t rip = vmcb->rip, at = rip & PAGE_MASK;
    struct svm_page *page = page_slot(vcpu, rip);
    uint32_t bytes, high = 0;
    uint8_t len = MOVCR_LEN;

    if (UNLIKELY(!page_usable(vcpu, vmcb)) || UNLIKELY(at > PAGE_SIZE - sizeof bytes))
        return 0;
    if (UNLIKELY(!page_known(vcpu, vmcb, rip, page)) && !page_learn(vcpu, vmcb, page))
        return 0;
    __builtin_memcpy(&bytes, page->code + at, sizeof bytes);
    if ((bytes & REX_MASK) == REX) {
        high = (bytes & REX_B) << 3;
        bytes >>= 8;
        len++;
    }
    if (UNLIKELY((bytes & MOVCR_MASK) != MOVCR_TO(cr)))
        return 0;
    *reg = (enum vcpu_reg)(high | MOVCR_RM(bytes));
    return len;
}

/*
 * All of such an exit, if exit_cr_plain lets it through. What VMRUN looks at isn't among that, and of CR0 nothing that the TLB
 * depends on (APM volume 2, 5.5).
 */
static bool movcr_quick(struct vcpu *vcpu, struct svm_vcpu *s, uint32_t cr)
{
    struct vmcb *vmcb = s->vmcb;
    uint64_t *now = cr == 0 ? &vmcb->cr0 : &vmcb->cr4, value;
    enum vcpu_reg reg;
    uint8_t len;

    if (UNLIKELY(!cap(CAP_QUICK)) || UNLIKELY(vmcb->cpl))
        return false;
    len = movcr_seen(vcpu, vmcb, cr, &reg);
    if (UNLIKELY(!len))
        return false;
    value = reg == REG_RSP ? vmcb->rsp : vcpu->gpr[reg];
    if (UNLIKELY(!exit_cr_plain(vcpu, cr, *now, value)))
        return false;
    *now = value;
    vmcb_dirty(s, CLEAN_CRX);
    if (cr == 4)
        attention_set(s, ATTENTION_FLUSH);
    vcpu->stats.exits[STATS_CR]++;
    vcpu->insn_len = len;
    vcpu_advance(vcpu);
    return true;
}

void movcr_write(struct vcpu *vcpu)
{
    struct svm_vcpu *s = svm_vcpu(vcpu);
    uint32_t cr = (uint32_t)s->vmcb->exit_code - EXIT_CR0_WRITE;
    enum vcpu_reg reg;

    if (!movcr_operand(vcpu, s, &reg)) {
        exit_failed(vcpu, "an intercepted MOV to a control register can't be decoded");
        return;
    }
    if (cr == 8)
        cr8_use(s);
    cr_write(vcpu, cr, reg);
}

void movcr_write4(struct vcpu *vcpu)
{
    if (UNLIKELY(!movcr_quick(vcpu, svm_vcpu(vcpu), 4)))
        movcr_write(vcpu);
}

/* What LMSW reads may be memory, and so the emulator carries it out. */
static NOINLINE void movcr_write0_any(struct vcpu *vcpu)
{
    struct insn insn;

    if (movcr_decode(vcpu, &insn))
        cr_write(vcpu, 0, (enum vcpu_reg)insn.rm);
    else if (decode_here(vcpu, &insn) && !insn.has_memory)
        exit_lmsw(vcpu, (uint16_t)vcpu_get(vcpu, (enum vcpu_reg)insn.rm));
    else
        emulate_insn(vcpu);
}

void movcr_write0(struct vcpu *vcpu)
{
    if (UNLIKELY(!movcr_quick(vcpu, svm_vcpu(vcpu), 0)))
        movcr_write0_any(vcpu);
}

void movcr_read8(struct vcpu *vcpu)
{
    struct svm_vcpu *s = svm_vcpu(vcpu);
    enum vcpu_reg reg;

    if (!movcr_operand(vcpu, s, &reg)) {
        exit_failed(vcpu, "an intercepted MOV from CR8 can't be decoded");
        return;
    }
    cr8_use(s);
    exit_cr_read(vcpu, 8, reg);
}

bool movcr_write3(struct vcpu *vcpu)
{
    struct insn insn;

    if (!movcr_decode(vcpu, &insn) || insn.opcode != MOV_TO_CR || insn.reg != 3)
        return false;
    svm_vcpu(vcpu)->vmcb->event_inj = 0;
    vcpu->insn_len = (uint8_t)insn.length; /* the new CR3 may lead to another one */
    cr_write(vcpu, 3, (enum vcpu_reg)insn.rm);
    return true;
}
