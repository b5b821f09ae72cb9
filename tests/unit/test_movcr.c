/* Writes of control registers that exit on AMD: the short way does what the usual one does, or leaves it to that. */
#include "tests/unit/support.h"

#include "core/cpuid.h"
#include "core/emulate.h"
#include "core/exit.h"
#include "core/vcpu_ops.h"
#include "core/vm.h"
#include "mm/pt_entry.h"
#include "svm/length.h"
#include "svm/movcr.h"
#include "tests/unit/svm_vcpu.h"

#define RAM_BYTES (8 * PAGE_SIZE)
#define TABLE     (PTE_P | PTE_W | PTE_U | PTE_A)
#define RIP       0x401100ull
#define CODE_PAGE 0x5000u /* of the page of RIP; the next one is behind it */
#define CR0_64    (CR0_PG | CR0_PE | CR0_ET | CR0_NE)
#define CR4_64    (CR4_PAE | CR4_OSFXSR)
#define CR4_MASK  (CR4_64 | CR4_PGE | CR4_PSE | CR4_DE | CR4_TSD | CR4_LA57 | CR4_PCIDE | CR4_SMEP)

static uint8_t ram[RAM_BYTES] __attribute__((aligned(4096)));
static struct vm vm;

static void ops_flush(struct vcpu *v)
{
    attention_set(svm_vcpu(v), ATTENTION_FLUSH);
}

static const struct vcpu_ops ops = {
    .get = svm_state_get,
    .set = svm_state_set,
    .get_seg = svm_state_get_seg,
    .get_cpl = svm_state_get_cpl,
    .get_code = svm_state_get_code,
    .get_long_root = svm_state_get_long_root,
    .clear_shadow = svm_events_clear_shadow,
    .flush = ops_flush,
};
const struct vcpu_ops *vcpu_ops = &ops;

/* What else the tested file asks of core */

void event_raise(struct vcpu *v, uint8_t vector, bool has_error, uint32_t error)
{
    v->events.exception = (struct event){
        .valid = true, .vector = vector, .has_error = has_error, .error = error};
}

void emulate_insn(struct vcpu *v)
{
    v->events.reinject.valid = true; /* as a note that it was asked */
}

void exit_failed(struct vcpu *v, const char *why)
{
    (void)why;
    v->events.reinject.vector = 1; /* likewise */
}

static uint64_t *entry(uint32_t table, uint64_t index)
{
    return (uint64_t *)(void *)(ram + (uint64_t)table * PAGE_SIZE) + index;
}

static void code(uint64_t rip, const void *bytes, size_t len)
{
    memcpy(ram + CODE_PAGE + (rip - (RIP & ~PAGE_MASK)), bytes, len);
}

/* In 64-bit mode at CPL 0, with MOV CR0, RAX at RIP. */
static int begin(void **state)
{
    set_up(state);
    memset(ram, 0, sizeof ram);
    memset(&vm, 0, sizeof vm);
    caps.bits = BIT(CAP_QUICK);
    gmem_init(&vm.mem, ram);
    assert_int_equal(gmem_add(&vm.mem, 0, RAM_BYTES, true), 0);
    vm.cpuid.cr4_mask = CR4_MASK;
    vcpu.vm = &vm;
    for (uint32_t level = 3; level > 0; level--)
        *entry(4 - level, RIP >> (12 + 9 * level) & 511) = (uint64_t)(5 - level) * PAGE_SIZE | TABLE;
    *entry(4, RIP >> 12 & 511) = CODE_PAGE | TABLE;
    *entry(4, (RIP >> 12 & 511) + 1) = (CODE_PAGE + PAGE_SIZE) | TABLE;
    svm_limits.cr4 = CR4_MASK;
    vmcb.exit_code = EXIT_CR0_SEL_WRITE;
    vmcb.cr0 = CR0_64;
    vmcb.cr3 = PAGE_SIZE;
    vmcb.cr4 = CR4_64;
    vmcb.efer = EFER_SVME | EFER_LME | EFER_LMA;
    vmcb.cs.attr |= VMCB_ATTR_L;
    vmcb.rip = vcpu.rip = RIP;
    vcpu.insn_len = 3;
    vcpu.insn_plain = true;
    code(RIP, "\x0f\x22\xc0", 3);
    return 0;
}

static void take(uint32_t cr)
{
    if (cr == 0)
        movcr_write0(&vcpu);
    else
        movcr_write4(&vcpu);
}

/* Only the usual way has the VMCB looked at before the next entry. True: it wasn't that. */
static bool short_way(uint32_t cr)
{
    take(cr);
    return vcpu.rip != vmcb.rip && !(vcpu.attention & ATTENTION_CHECK);
}

static void toggles_are_short(void **state)
{
    (void)state;
    vcpu.gpr[REG_RAX] = CR0_64 | CR0_WP;
    assert_true(short_way(0));
    assert_int_equal(vmcb.cr0, CR0_64 | CR0_WP);
    assert_int_equal(vcpu.rip, RIP + 3);
    assert_int_equal(vcpu.stats.exits[STATS_CR], 1);
    assert_int_equal(vcpu.attention, 0);

    code(RIP, "\x41\x0f\x22\xe7", 4); /* mov cr4, r15 */
    vcpu.rip = RIP;
    vcpu.gpr[REG_R15] = CR4_64 | CR4_PGE;
    assert_true(short_way(4));
    assert_int_equal(vmcb.cr4, CR4_64 | CR4_PGE);
    assert_int_equal(vcpu.rip, RIP + 4);
    assert_int_equal(vcpu.attention, ATTENTION_FLUSH);
}

static void what_has_conditions_is_not(void **state)
{
    static const uint64_t cr0[] = {CR0_64 | CR0_CD,  CR0_64 | CR0_NW,  CR0_64 & ~CR0_PG,
                                   CR0_64 & ~CR0_PE, CR0_64 | BIT(32), CR0_64 | BIT(6)};
    static const uint64_t cr4[] = {CR4_64 & ~CR4_PAE, CR4_64 | CR4_LA57, CR4_64 | CR4_PCIDE,
                                   CR4_64 | CR4_VMXE, CR4_64 | BIT(40)};

    for (size_t i = 0; i < ARRAY_SIZE(cr0); i++) {
        begin(state);
        vcpu.gpr[REG_RAX] = cr0[i];
        assert_false(short_way(0));
    }
    for (size_t i = 0; i < ARRAY_SIZE(cr4); i++) {
        begin(state);
        code(RIP, "\x0f\x22\xe0", 3);
        vcpu.gpr[REG_RAX] = cr4[i];
        assert_false(short_way(4));
    }
}

static void other_code_is_not(void **state)
{
    static const char codes[][6] = {"\x66\x0f\x22\xc0", "\x44\x0f\x22\xc0", "\x0f\x22\xe0",
                                    "\x0f\x22\x00",     "\x0f\x01\xf0",     "\x41\x40\x0f\x22\xc0"};

    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        begin(state);
        code(RIP, codes[i], 6);
        vcpu.gpr[REG_RAX] = vcpu.gpr[REG_R8] = CR0_64 | CR0_TS;
        assert_false(short_way(0));
    }
    begin(state);
    vcpu.gpr[REG_RAX] = CR0_64 | CR0_WP;
    caps.bits = 0;
    assert_false(short_way(0));
    begin(state);
    vcpu.gpr[REG_RAX] = CR0_64 | CR0_WP;
    vmcb.cpl = 3;
    assert_false(short_way(0));
}

/* QEMU refuses bits beyond the physical address in 32-bit code, too, and tells no length: RIP moves on, wherever the new tables lead. */
static void cr3_is_written_where_qemu_refuses(void **state)
{
    (void)state;
    for (int plain = 0; plain < 2; plain++) {
        begin(state);
        vmcb.cs.attr = (uint16_t)((vmcb.cs.attr & ~VMCB_ATTR_L) | VMCB_ATTR_DB);
        vmcb.cs.base = 0;
        vmcb.exit_code = EXIT_INVALID;
        vcpu.insn_len = 0;
        vcpu.insn_plain = plain;
        code(RIP, "\x0f\x22\xd8", 3); /* mov cr3, eax */
        vcpu.gpr[REG_RAX] = BIT(63) | 6 * PAGE_SIZE;
        assert_true(movcr_write3(&vcpu));
        assert_int_equal(vmcb.cr3, 6 * PAGE_SIZE);
        assert_int_equal(vcpu.rip, RIP + 3);
    }
}

static uint64_t seed;

static uint32_t below(uint32_t count)
{
    return (uint32_t)(support_random(&seed) >> 33) % count;
}

/* Mostly [prefixes] 0f 22 or 0f 20 and any ModRM. */
static void random_code(uint64_t rip)
{
    static const uint8_t prefixes[] = {0x40, 0x41, 0x44, 0x48, 0x49, 0x4f, 0x66, 0xf0, 0xf2, 0x2e};
    uint8_t bytes[6] = {0};
    size_t at = 0;

    for (uint32_t count = below(3); count; count--)
        bytes[at++] = prefixes[below(sizeof prefixes)];
    bytes[at++] = 0x0f;
    bytes[at++] = below(16) ? 0x22 : 0x20;
    bytes[at++] = (uint8_t)(below(4) ? 0xc0 | (below(2) * 4) << 3 | below(8) : below(256));
    code(rip, bytes, sizeof bytes);
}

static void random_state(uint32_t cr)
{
    uint64_t now = cr == 0 ? vmcb.cr0 : vmcb.cr4;

    vmcb.exit_code = cr == 0 ? EXIT_CR0_SEL_WRITE : EXIT_CR4_WRITE;
    vmcb.cpl = below(16) ? 0 : 3;
    if (below(16) == 0)
        vmcb.cs.attr &= (uint16_t)~VMCB_ATTR_L;
    vmcb.rip = vcpu.rip = below(4) ? RIP : (RIP | PAGE_MASK) - below(6);
    for (uint32_t reg = 0; reg < REG_GPR_COUNT; reg++)
        vcpu.gpr[reg] = now ^ (below(8) ? 1ull << below(20) : support_random(&seed));
    vmcb.rsp = vcpu.gpr[REG_RSP];
}

/* All that a guest can tell, or that is counted, after each of the two ways. */
static void both_ways_are_one(void **state)
{
    uint32_t short_ones = 0;

    seed = 1;
    for (uint32_t i = 0; i < 100000; i++) {
        uint32_t cr = below(2) * 4;
        struct vmcb was, quick;
        struct vcpu before, after;

        begin(state);
        random_state(cr);
        random_code(vcpu.rip);
        svm_length_learn(&vcpu);
        if (!vcpu.insn_len)
            continue; /* a CPU takes #UD there */
        was = vmcb;
        before = vcpu;
        short_ones += short_way(cr);
        quick = vmcb;
        after = vcpu;
        vmcb = was;
        vcpu = before;
        caps.bits = 0;
        take(cr);
        assert_int_equal(quick.cr0, vmcb.cr0);
        assert_int_equal(quick.cr4, vmcb.cr4);
        assert_int_equal(quick.efer, vmcb.efer);
        assert_memory_equal(after.gpr, vcpu.gpr, sizeof vcpu.gpr);
        assert_memory_equal(&after.events, &vcpu.events, sizeof vcpu.events);
        assert_memory_equal(&after.stats, &vcpu.stats, sizeof vcpu.stats);
        assert_int_equal(after.events.exception.valid ? 0 : after.rip,
                         vcpu.events.exception.valid ? 0 : vcpu.rip);
    }
    assert_in_range(short_ones, 2500, 50000);
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(toggles_are_short), TEST(what_has_conditions_is_not),
        TEST(other_code_is_not), TEST(cr3_is_written_where_qemu_refuses),
        TEST(both_ways_are_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
