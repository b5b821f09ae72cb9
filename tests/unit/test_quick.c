/* CPUID in a few instructions on AMD: what it does is what the usual way would have done, or it leaves that to it. */
#include "tests/unit/support.h"

#include "core/exit_quick.h"
#include "core/vm.h"
#include "mm/pt_entry.h"
#include "svm/length.h"
#include "tests/unit/svm_vcpu.h"

#define RAM_BYTES (96 * PAGE_SIZE)
#define TABLES    16 /* pages; the first few of memory */
#define TABLE     (PTE_P | PTE_W | PTE_U | PTE_A)
#define LEAF      0x80000005

static uint8_t ram[RAM_BYTES] __attribute__((aligned(4096)));
static struct vm vm;
static struct vmballoon *const a_balloon = (struct vmballoon *)ram;
static const struct cpuid_row answer = {0x11111111, 0x22222222, 0x33333333, 0x44444444};
const struct vcpu_ops *vcpu_ops; /* nothing here asks it */

static uint64_t *entry(uint64_t table, uint64_t index)
{
    return (uint64_t *)(void *)(ram + table) + index;
}

static uint64_t *entry_of(uint64_t rip, uint32_t level) /* 3: the top; tables of page 1 to 4 */
{
    return entry((uint64_t)(4 - level) * PAGE_SIZE, rip >> (12 + 9 * level) & 511);
}

/* Maps the page of rip there, by 4 KiB pages; tables below the top ones are shared by all. */
static void map(uint64_t rip, uint64_t gpa)
{
    for (uint32_t level = 3; level > 0; level--)
        *entry_of(rip, level) = (uint64_t)(5 - level) * PAGE_SIZE | TABLE;
    *entry_of(rip, 0) = gpa | TABLE;
}

static void code(uint64_t gpa, const char *bytes, size_t len)
{
    memcpy(ram + gpa, bytes, len);
}
#define CODE(gpa, bytes) code(gpa, bytes, sizeof(bytes) - 1)

static int begin(void **state)
{
    set_up(state);
    memset(ram, 0, sizeof ram);
    memset(&vm, 0, sizeof vm);
    gmem_init(&vm.mem, ram);
    assert_int_equal(gmem_add(&vm.mem, 0, RAM_BYTES, true), 0);
    vcpu.vm = &vm;
    vcpu.cpuid.rows[0] = answer;
    vcpu.cpuid.leaves[cpuid_slot(LEAF)].count = 1;
    vmcb.exit_code = EXIT_CPUID;
    vmcb.rax = LEAF;
    vmcb.cr0 = CR0_PG | CR0_PE;
    vmcb.cr3 = PAGE_SIZE;
    vmcb.cr4 = CR4_PAE;
    vmcb.efer = EFER_SVME | EFER_LME | EFER_LMA;
    vmcb.cs.attr |= VMCB_ATTR_L;
    vmcb.rip = 0x401100;
    map(vmcb.rip, 0x20000);
    CODE(0x20100, "\x0f\xa2\x90");
    return 0;
}

/* True: it went the quick way, which has done all of it. */
static bool quick(void)
{
    struct vcpu before = vcpu;
    struct vmcb was = vmcb;

    const struct cpuid_row *row = svm_exited_cpuid(&vcpu, &vmcb);

    if (!row) {
        assert_memory_equal(&vcpu, &before, sizeof vcpu);
        assert_memory_equal(&vmcb, &was, sizeof vmcb);
        return false;
    }
    assert_int_equal(vcpu_exits(&vcpu), vcpu_exits(&before) + 1);
    assert_int_equal(vcpu.stats.exits[STATS_CPUID], before.stats.exits[STATS_CPUID] + 1);
    assert_int_equal(vcpu_trace_last(&vcpu)->reason, EXIT_CPUID);
    assert_int_equal(vcpu_trace_last(&vcpu)->rip, was.rip);
    assert_int_equal(vmcb.rax, answer.eax);
    assert_memory_equal(row, &answer, sizeof answer);
    return true;
}

/* By how much RIP moves then; 0: not the quick way. The state is as before afterwards. */
static uint32_t moves(void)
{
    struct vmcb was = vmcb;
    uint64_t next;

    if (!quick())
        return 0;
    next = vmcb.rip;
    vmcb = was;
    return (uint32_t)(next - was.rip);
}

/* What the usual way finds; 0: it can't be fetched, hence the CPU can't have run it. */
static uint32_t decoded(void)
{
    vcpu.rip = vmcb.rip;
    svm_length_learn(&vcpu);
    return vcpu.insn_len;
}

static void plain_ones_are_quick(void **state)
{
    (void)state;
    assert_int_equal(moves(), 2);
    assert_int_equal(decoded(), 2);
    vmcb.rip = 0x401ffe;
    CODE(0x20ffe, "\x0f\xa2");
    assert_int_equal(moves(), 2);
    vmcb.rip = 0x401fff; /* goes on on the next page */
    CODE(0x20fff, "\x0f");
    map(0x402000, 0x21000);
    CODE(0x21000, "\xa2");
    assert_int_equal(moves(), 0);
}

static void upper_halves_are_of_no_account(void **state)
{
    (void)state;
    vmcb.rax |= 0xffffffff00000000;
    vcpu.gpr[REG_RCX] = ~0ull;
    assert_int_equal(moves(), 2);
}

static void prefixes_are_for_the_usual_way(void **state)
{
    (void)state;
    assert_int_equal(moves(), 2);
    CODE(0x20100, "\x66\x0f\xa2");
    assert_int_equal(moves(), 0);
    CODE(0x20100, "\x48\x0f\xa2");
    assert_int_equal(moves(), 0);
    CODE(0x20100, "\x0f\xa2\x90");
    assert_int_equal(moves(), 2);
}

/* Nothing that was remembered outlives what it was about. */
static void other_tables_are_walked_anew(void **state)
{
    (void)state;
    assert_int_equal(moves(), 2);
    *entry_of(vmcb.rip, 0) = 0x22000 | TABLE; /* other code at the same address */
    CODE(0x22100, "\xf3\x0f\xa2");
    assert_int_equal(moves(), 0);
    CODE(0x22100, "\x0f\xa2");
    assert_int_equal(moves(), 2);
    *entry_of(vmcb.rip, 0) = 0;
    assert_int_equal(moves(), 0);
    vmcb.cr3 = 10 * PAGE_SIZE; /* another address space, with a way there of its own */
    *entry(10 * PAGE_SIZE, 0) = 2 * PAGE_SIZE | TABLE;
    *entry_of(vmcb.rip, 0) = 0x20000 | TABLE;
    assert_int_equal(moves(), 2);
    vmcb.cr3 = RAM_BYTES; /* none that can be followed */
    assert_int_equal(moves(), 0);
}

static void what_is_not_as_usual_goes_the_usual_way(void **state)
{
    (void)state;
    assert_int_equal(moves(), 2);
    vmcb.rflags |= RFLAGS_TF;
    assert_false(quick());
    vmcb.rflags = RFLAGS_FIXED1 | RFLAGS_RF;
    assert_false(quick());
    vmcb.rflags = RFLAGS_FIXED1;
    vmcb.int_shadow = SHADOW_ACTIVE;
    assert_false(quick());
    vmcb.int_shadow = 0;
    vmcb.exit_int_info = EVENT_VALID;
    assert_false(quick());
    vmcb.exit_int_info = 0;
    vcpu.look = LOOK_EVENTS;
    assert_false(quick());
    vcpu.look = 0;
    vcpu.attention = ATTENTION_FLUSH;
    assert_false(quick());
    vcpu.attention = 0;
    vmcb.rax = LEAF + 1; /* not among those that are ready */
    assert_false(quick());
    vmcb.rax = LEAF;
    vmcb.cr4 |= CR4_OSXSAVE; /* which some of those that are ready follow */
    assert_false(quick());
    vmcb.cr4 = CR4_PAE;
    vm.balloon = a_balloon;
    assert_false(quick());
    vm.balloon = NULL;
    assert_true(quick());
}

static void other_modes_go_the_usual_way(void **state)
{
    (void)state;
    vmcb.cr4 |= CR4_LA57;
    assert_false(quick());
    vmcb.cr4 = CR4_PAE;
    vmcb.cs.attr &= (uint16_t)~VMCB_ATTR_L;
    assert_false(quick());
    vmcb.cs.attr |= VMCB_ATTR_L;
    vmcb.efer = EFER_SVME;
    assert_false(quick());
}

static void next_rip_needs_no_look(void **state)
{
    (void)state;
    caps.bits = BIT(CAP_NRIPS);
    vmcb.cr3 = RAM_BYTES;
    vmcb.nrip = vmcb.rip + 3;
    assert_true(quick());
    assert_int_equal(vmcb.rip, vmcb.nrip);
    assert_false(quick()); /* none that is after RIP */
    vmcb.nrip = vmcb.rip + 16;
    assert_false(quick());
}

static uint64_t random_state;

static uint32_t random_below(uint32_t count)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(random_state >> 33) % count;
}

/* An entry that leads to any table, to code, to nowhere, with or without bits that matter. */
static uint64_t random_entry(void)
{
    static const uint64_t bits[] = {TABLE,         TABLE,         TABLE, TABLE | PTE_PS,
                                    TABLE | PTE_G, TABLE | PTE_D, 0,     TABLE & ~PTE_W};
    uint64_t where = random_below(8) ? random_below(RAM_BYTES / PAGE_SIZE) : random_below(1u << 20);

    return where * PAGE_SIZE | bits[random_below(ARRAY_SIZE(bits))];
}

/* Tables and code that change between any two exits: each quick end is that of a walk and of the decoder. */
static void a_guest_that_changes_all(void **state)
{
    static const char codes[][4] = {"\x0f\xa2\x90", "\x0f\xa2", "\x66\x0f\xa2", "\x48\x0f\xa2",
                                    "\xa2\x0f\xa2"};
    static const uint64_t rips[] = {0x401100,       0x401fff,           0x401ffe, 0x402100,
                                    0x7ffff0001100, 0xffffffff80001100, 0x405100, 0x40000100};
    uint32_t ended = 0, moved;

    (void)state;
    for (uint32_t i = 0; i < 200000; i++) {
        vmcb.rip = rips[random_below(ARRAY_SIZE(rips))];
        if (random_below(4) == 0)
            map(vmcb.rip, (TABLES + random_below(RAM_BYTES / PAGE_SIZE - TABLES)) * PAGE_SIZE);
        if (random_below(8) == 0)
            *entry_of(vmcb.rip, random_below(4)) = random_entry();
        if (random_below(2))
            code(TABLES * PAGE_SIZE + random_below(RAM_BYTES / PAGE_SIZE - TABLES) * PAGE_SIZE +
                     (vmcb.rip & PAGE_MASK),
                 codes[random_below(ARRAY_SIZE(codes))], (vmcb.rip & PAGE_MASK) > PAGE_SIZE - 4 ? 1 : 4);
        vmcb.cr3 = (random_below(16) ? 1 : random_below(RAM_BYTES / PAGE_SIZE)) * PAGE_SIZE;
        moved = moves();
        if (!moved || !decoded())
            continue;
        assert_int_equal(moved, vcpu.insn_len);
        ended++;
    }
    assert_in_range(ended, 10000, 190000);
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(plain_ones_are_quick),
        TEST(upper_halves_are_of_no_account),
        TEST(prefixes_are_for_the_usual_way),
        TEST(other_tables_are_walked_anew),
        TEST(what_is_not_as_usual_goes_the_usual_way),
        TEST(other_modes_go_the_usual_way),
        TEST(next_rip_needs_no_look),
        TEST(a_guest_that_changes_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
