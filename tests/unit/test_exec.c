/* What the comparison with the processor can't reach: segmentation, faults half-way, ports, and the accesses themselves. */
#include "tests/unit/exec_bench.h"

/* A device sees one access of the right size for each read and each write, and nothing else. */
static void test_accesses(void **state)
{
    struct fixture *f = fixture_new();

    (void)state;
    f->regs[REG_RBX] = 0x400;
    f->regs[REG_RAX] = ~0ull;
    assert_int_equal(RUN(f, INSN_MODE_64, 0x8b, 0x43, 0x08), EMUL_DONE); /* mov eax, [rbx + 8] */
    expect_access(f, 0, 0x408, 4, false, false);
    assert_int_equal(f->accesses, 1);
    assert_int_equal(f->regs[REG_RAX], 0x0f0e0d0c);
    assert_int_equal(RUN(f, INSN_MODE_64, 0x66, 0x89, 0x03), EMUL_DONE); /* mov [rbx], ax */
    expect_access(f, 1, 0x400, 2, true, false);
    assert_int_equal(f->accesses, 2);
    assert_int_equal(RUN(f, INSN_MODE_64, 0x81, 0x0b, 1, 0, 0, 0), EMUL_DONE); /* or dword [rbx], 1 */
    expect_access(f, 2, 0x400, 4, false, true);
    expect_access(f, 3, 0x400, 4, true, false);
    assert_int_equal(RUN(f, INSN_MODE_64, 0x85, 0x03), EMUL_DONE); /* test [rbx], eax */
    expect_access(f, 4, 0x400, 4, false, false);
    assert_int_equal(f->accesses, 5);
    assert_int_equal(RUN(f, INSN_MODE_64, 0xc7, 0x05, 0xf6, 2, 0, 0, 9, 0, 0, 0),
                     EMUL_DONE); /* mov [rip + 2f6h], 9 */
    expect_access(f, 5, 0x400, 4, true, false);
    assert_int_equal(f->regs[REG_RIP], 0x100);
}

static void test_segments_64(void **state)
{
    struct fixture *f = fixture_new();

    (void)state;
    f->segs[SEG_GS].base = 0x800;
    f->segs[SEG_DS] = (struct vcpu_segment){.base = 0x1000}; /* unusable, and nobody cares */
    f->regs[REG_RBX] = 0x10;
    assert_int_equal(RUN(f, INSN_MODE_64, 0x8b, 0x03), EMUL_DONE);
    expect_access(f, 0, 0x10, 4, false, false);
    assert_int_equal(RUN(f, INSN_MODE_64, 0x65, 0x8b, 0x03), EMUL_DONE);
    expect_access(f, 1, 0x810, 4, false, false);
    f->regs[REG_RBX] = 0xffffffff00000010; /* address size 32 drops the upper half before the base is added */
    assert_int_equal(RUN(f, INSN_MODE_64, 0x65, 0x67, 0x8b, 0x03), EMUL_DONE);
    expect_access(f, 2, 0x810, 4, false, false);
}

static void test_segments_32(void **state)
{
    struct fixture *f = fixture_new();

    (void)state;
    f->segs[SEG_DS] = (struct vcpu_segment){.base = 0x400, .limit = 0xff, .attr = 0x4093};
    f->segs[SEG_SS] = f->segs[SEG_DS];
    f->regs[REG_RBX] = f->regs[REG_RBP] = 0xfc;
    assert_int_equal(RUN(f, INSN_MODE_32, 0x8b, 0x03), EMUL_DONE);
    expect_access(f, 0, 0x4fc, 4, false, false);
    f->regs[REG_RBX] = f->regs[REG_RBP] = 0xfd;
    expect_fault(f, RUN(f, INSN_MODE_32, 0x8b, 0x03), EXC_GP, 0);
    expect_fault(f, RUN(f, INSN_MODE_32, 0x8b, 0x45, 0), EXC_SS, 0);
    f->regs[REG_RBX] = 0x10;
    f->segs[SEG_DS].attr = 0x4091; /* read-only */
    assert_int_equal(RUN(f, INSN_MODE_32, 0x8b, 0x03), EMUL_DONE);
    expect_fault(f, RUN(f, INSN_MODE_32, 0x89, 0x03), EXC_GP, 0);
    expect_fault(f, RUN(f, INSN_MODE_32, 0x2e, 0x89, 0x03), EXC_GP, 0); /* code */
    f->regs[REG_CR0] = 0;
    assert_int_equal(RUN(f, INSN_MODE_16, 0x2e, 0x89, 0x07), EMUL_DONE); /* but not in real mode */
    f->regs[REG_CR0] = CR0_PE;
    f->segs[SEG_DS].attr = 0x4099; /* code that can't be read */
    expect_fault(f, RUN(f, INSN_MODE_32, 0x8b, 0x03), EXC_GP, 0);
    f->segs[SEG_DS].attr = 0x4013; /* not present */
    expect_fault(f, RUN(f, INSN_MODE_32, 0x8b, 0x03), EXC_GP, 0);
    f->segs[SEG_DS] = (struct vcpu_segment){.limit = 0xff, .attr = 0x4097}; /* expand down */
    expect_fault(f, RUN(f, INSN_MODE_32, 0x8b, 0x03), EXC_GP, 0);
    f->regs[REG_RBX] = 0x100;
    assert_int_equal(RUN(f, INSN_MODE_32, 0x8b, 0x03), EMUL_DONE);
}

static void test_real_mode(void **state)
{
    struct fixture *f = fixture_new();

    (void)state;
    f->regs[REG_CR0] = 0;
    f->segs[SEG_DS] = (struct vcpu_segment){.base = 0x1000, .limit = 0xffff, .attr = 0x93};
    f->regs[REG_RBX] = 0xdead0000fff0;
    f->regs[REG_RSI] = 0x30;
    assert_int_equal(RUN(f, INSN_MODE_16, 0x8b, 0x00), EMUL_DONE); /* mov ax, [bx + si]: wraps at 64K */
    expect_access(f, 0, 0x1020, 2, false, false);
    assert_int_equal(RUN(f, INSN_MODE_16, 0xa3, 0x10, 0x00), EMUL_DONE); /* mov [10h], ax */
    expect_access(f, 1, 0x1010, 2, true, false);
}

/* A fault on the write leaves flags and registers alone. */
static void test_write_fault(void **state)
{
    struct fixture *f = fixture_new();
    uint64_t before[REG_COUNT];

    (void)state;
    f->read_only = 0x1000;
    f->regs[REG_RBX] = 0x1800;
    f->regs[REG_RAX] = f->regs[REG_RCX] = ~0ull;
    f->regs[REG_RSP] = 0x1000;
    memcpy(before, f->regs, sizeof(before));
    expect_fault(f, RUN(f, INSN_MODE_64, 0x01, 0x03), EXC_PF, 2);                   /* add */
    expect_fault(f, RUN(f, INSN_MODE_64, 0x87, 0x03), EXC_PF, 2);                   /* xchg */
    expect_fault(f, RUN(f, INSN_MODE_64, 0xf0, 0x0f, 0xc1, 0x03), EXC_PF, 2);       /* xadd */
    expect_fault(f, RUN(f, INSN_MODE_64, 0xf0, 0x48, 0x0f, 0xc7, 0x0b), EXC_PF, 2); /* cmpxchg16b */
    expect_fault(f, RUN(f, INSN_MODE_64, 0x8f, 0x03), EXC_PF, 2);                   /* pop [rbx] */
    expect_fault(f, RUN(f, INSN_MODE_64, 0xd1, 0x23), EXC_PF, 2);                   /* shl */
    assert_memory_equal(before, f->regs, sizeof(before));
}

static void test_rep(void **state)
{
    struct fixture *f = fixture_new();

    (void)state;
    f->regs[REG_RSI] = 0x100;
    f->regs[REG_RDI] = 0x1ff0;
    f->regs[REG_RCX] = 8;
    expect_fault(f, RUN(f, INSN_MODE_64, 0xf3, 0xa5), EXC_PF, 2); /* rep movsd: room for four */
    assert_int_equal(f->regs[REG_RCX], 4);
    assert_int_equal(f->regs[REG_RSI], 0x110);
    assert_int_equal(f->regs[REG_RDI], 0x2000);
    assert_int_equal(f->fault.cr2, 0x2000);

    f->regs[REG_RDI] = 0x400;
    f->regs[REG_RCX] = EMUL_REP_BATCH + 3;
    assert_int_equal(RUN(f, INSN_MODE_64, 0xf3, 0xaa), EMUL_AGAIN); /* rep stosb */
    assert_int_equal(f->regs[REG_RCX], 3);
    assert_int_equal(RUN(f, INSN_MODE_64, 0xf3, 0xaa), EMUL_DONE);
    assert_int_equal(f->regs[REG_RCX], 0);
    f->regs[REG_RCX] = EMUL_REP_BATCH;
    f->regs[REG_RDI] = 0x400;
    assert_int_equal(RUN(f, INSN_MODE_64, 0xf3, 0xaa), EMUL_DONE);

    f->accesses = 0;
    f->regs[REG_RCX] = 0xab00000000; /* ECX is 0 */
    assert_int_equal(RUN(f, INSN_MODE_64, 0x67, 0xf3, 0xaa), EMUL_DONE);
    assert_int_equal(f->accesses, 0);
}

static void test_ports(void **state)
{
    struct emul_io no_ports = io;
    struct fixture *f = fixture_new();
    struct insn insn;

    (void)state;
    f->regs[REG_RDX] = 0xffff0002;
    f->regs[REG_RDI] = 0x400;
    f->regs[REG_RCX] = 2;
    assert_int_equal(RUN(f, INSN_MODE_64, 0xf3, 0x66, 0x6d), EMUL_DONE); /* rep insw */
    assert_memory_equal(f->memory + 0x400, "\x44\x00\x44\x00", 4);
    f->port_count = 0;
    f->regs[REG_RSI] = 0x403;
    f->regs[REG_RFLAGS] |= RFLAGS_DF;
    f->regs[REG_RCX] = 3;
    assert_int_equal(RUN(f, INSN_MODE_64, 0xf3, 0x6e), EMUL_DONE); /* rep outsb, downwards */
    assert_true(f->port_count == 3 && f->ports[0] == 0 && f->ports[1] == 0x44 && f->ports[2] == 0);
    assert_int_equal(f->regs[REG_RSI], 0x400);
    f->port_count = 0;
    f->regs[REG_RDI] = 0x3000; /* the port isn't read when there is no place for the byte */
    expect_fault(f, RUN(f, INSN_MODE_64, 0x6c), EXC_PF, 2);
    assert_int_equal(f->port_count, 0);

    no_ports.in = NULL;
    no_ports.out = NULL;
    insn_decode((const uint8_t[INSN_MAX_LEN]){0x6c}, INSN_MAX_LEN, INSN_MODE_64, &insn);
    assert_int_equal(emul_run(&no_ports, f, &insn, &f->fault), ERR_NOTSUP);
}

/* Where an INS or OUTS begins: around the ends of pages, of the segment, of memory and of addresses. */
static const uint64_t run_starts[] = {0,      0x10,       0x7fd,      0xffd,       0xffe,    0xfff,
                                      0x1000, 0x1003,     0x17fe,     0x1ff8,      0x1fff,   0x2000,
                                      0xfffe, 0xfffffffd, 0xffffffff, 0x100000000, ~0ull - 2};

static void run_set_up(struct fixture *f, uint64_t start, uint64_t count, uint32_t limit)
{
    f->regs[REG_RDX] = 3;
    f->regs[REG_RSI] = f->regs[REG_RDI] = start;
    f->regs[REG_RCX] = count;
    f->read_only = 0x1800;
    f->segs[SEG_DS].limit = f->segs[SEG_ES].limit = limit;
    f->segs[SEG_DS].base = f->segs[SEG_ES].base = limit == 0xffff ? 0x12 : 0;
}

/* Does it leave all as it does one by one, with a batch and what is left of it as well? */
static void run_compare(const uint8_t *code, enum insn_mode mode, uint64_t start, uint64_t count,
                        uint32_t limit)
{
    static struct fixture one_by_one;
    struct emul_io plain = io;
    struct fixture *f = fixture_new();
    struct insn insn;
    int result;

    plain.run = NULL;
    if (insn_decode(code, INSN_MAX_LEN, mode, &insn) < 0)
        return;
    run_set_up(f, start, count, limit);
    result = emul_run(&plain, f, &insn, &f->fault);
    one_by_one = *f;
    f = fixture_new();
    run_set_up(f, start, count, limit);
    assert_int_equal(emul_run(&io, f, &insn, &f->fault), result);
    assert_memory_equal(f->regs, one_by_one.regs, sizeof(f->regs));
    assert_memory_equal(f->memory, one_by_one.memory, sizeof(f->memory));
    assert_int_equal(f->port_count, one_by_one.port_count);
    assert_int_equal(f->port_sum, one_by_one.port_sum);
    if (result != EMUL_FAULT)
        return;
    assert_int_equal(f->fault.vector, one_by_one.fault.vector);
    assert_int_equal(f->fault.cr2, one_by_one.fault.cr2);
}

static void test_runs_are_as_one_by_one(void **state)
{
    static const uint8_t codes[][INSN_MAX_LEN] = {{0xf3, 0x6e},       {0xf3, 0x6c},       {0xf3, 0x6f},
                                                  {0xf3, 0x6d},       {0xf3, 0x66, 0x6f}, {0xf3, 0x66, 0x6d},
                                                  {0x67, 0xf3, 0x6e}, {0x67, 0xf3, 0x6d}};
    static const uint64_t counts[] = {0, 1, 3, 7, 700, EMUL_REP_BATCH, EMUL_REP_BATCH + 5, 0x1ffffffff};
    static const uint32_t limits[] = {0xffffffff, 0xffff, 0x1005, 0x0};

    (void)state;
    for (size_t code = 0; code < ARRAY_SIZE(codes); code++)
        for (size_t start = 0; start < ARRAY_SIZE(run_starts); start++)
            for (size_t n = 0; n < ARRAY_SIZE(counts); n++)
                for (size_t limit = 0; limit < ARRAY_SIZE(limits); limit++)
                    for (int mode = 0; mode < 3; mode++)
                        run_compare(codes[code],
                                    (enum insn_mode[]){INSN_MODE_16, INSN_MODE_32, INSN_MODE_64}[mode],
                                    run_starts[start], counts[n], limits[limit]);
}

static void test_runs_end_with_the_page(void **state)
{
    struct fixture *f = fixture_new();

    (void)state;
    f->regs[REG_RSI] = 0xf00;
    f->regs[REG_RCX] = 0x200;
    assert_int_equal(RUN(f, INSN_MODE_64, 0xf3, 0x6e), EMUL_DONE); /* rep outsb */
    assert_int_equal(f->in_runs, 0x200);
    assert_int_equal(f->accesses, 0);
    f->regs[REG_RSI] = 0xffe;
    f->regs[REG_RCX] = 3;
    assert_int_equal(RUN(f, INSN_MODE_64, 0xf3, 0x6f), EMUL_DONE); /* rep outsd: the first one crosses */
    assert_int_equal(f->accesses, 1);
    assert_int_equal(f->in_runs, 0x202);
    f->regs[REG_RFLAGS] |= RFLAGS_DF;
    f->regs[REG_RCX] = 3;
    assert_int_equal(RUN(f, INSN_MODE_64, 0xf3, 0x6e), EMUL_DONE);
    assert_int_equal(f->in_runs, 0x202);
}

static void test_jumps(void **state)
{
    struct fixture *f = fixture_new();
    uint64_t target = 0xffff800000001234;

    (void)state;
    f->regs[REG_RBX] = 0x400;
    f->regs[REG_RSP] = 0x800;
    memcpy(f->memory + 0x400, &target, 8);
    assert_int_equal(RUN(f, INSN_MODE_64, 0xff, 0x23), EMUL_JUMPED); /* jmp [rbx] */
    assert_int_equal(f->regs[REG_RIP], target);
    f->regs[REG_RIP] = 0x100;
    assert_int_equal(RUN(f, INSN_MODE_64, 0xff, 0x13), EMUL_JUMPED); /* call [rbx] */
    assert_int_equal(f->regs[REG_RSP], 0x7f8);
    assert_int_equal(f->memory[0x7f8] | f->memory[0x7f9] << 8, 0x102);
    f->memory[0x406] = 0;
    expect_fault(f, RUN(f, INSN_MODE_64, 0xff, 0x13), EXC_GP, 0); /* not canonical */
    assert_int_equal(f->regs[REG_RSP], 0x7f8);
    f->memory[0x406] = 0xff;
    f->memory[0x405] = 0;
    expect_fault(f, RUN(f, INSN_MODE_64, 0xff, 0x23), EXC_GP, 0); /* canonical only with five levels */
    f->regs[REG_CR4] = CR4_LA57;
    assert_int_equal(RUN(f, INSN_MODE_64, 0xff, 0x23), EMUL_JUMPED);
    f->segs[SEG_CS].limit = 0x1000;
    expect_fault(f, RUN(f, INSN_MODE_32, 0xff, 0x23), EXC_GP, 0); /* beyond the limit */
}

static void test_stack(void **state)
{
    struct fixture *f = fixture_new();

    (void)state;
    f->segs[SEG_SS].attr = 0x93; /* a 16-bit stack under 32-bit code */
    f->segs[SEG_SS].base = 0x400;
    f->regs[REG_RSP] = 0xabcd0002;
    f->regs[REG_RAX] = 0x12345678;
    f->segs[SEG_SS].limit = 0xffff;
    expect_fault(f, RUN(f, INSN_MODE_32, 0x50), EXC_SS, 0); /* push eax at FFFE: beyond the limit */
    assert_int_equal(f->regs[REG_RSP], 0xabcd0002);
    f->regs[REG_RSP] = 0xabcd0104;
    assert_int_equal(RUN(f, INSN_MODE_32, 0x50), EMUL_DONE);
    expect_access(f, 0, 0x500, 4, true, false);
    assert_int_equal(f->regs[REG_RSP], 0xabcd0100);
    f->regs[REG_RSP] = 0x800;
    assert_int_equal(RUN(f, INSN_MODE_64, 0x8f, 0x44, 0x24, 0x10),
                     EMUL_DONE); /* pop [rsp + 10h]: after RSP has moved */
    expect_access(f, 2, 0x818, 8, true, false);
}

static void test_refused(void **state)
{
    struct fixture *f = fixture_new();

    (void)state;
    f->regs[REG_RBX] = 0x400;
    expect_fault(f, RUN(f, INSN_MODE_64, 0xf0, 0x8b, 0x03), EXC_UD, 0);       /* lock mov */
    expect_fault(f, RUN(f, INSN_MODE_64, 0xf0, 0x01, 0xc3), EXC_UD, 0);       /* lock add ebx, eax */
    expect_fault(f, RUN(f, INSN_MODE_64, 0xf0, 0x39, 0x03), EXC_UD, 0);       /* lock cmp */
    expect_fault(f, RUN(f, INSN_MODE_64, 0xf0, 0x0f, 0xa3, 0x03), EXC_UD, 0); /* lock bt */
    assert_int_equal(RUN(f, INSN_MODE_64, 0xf0, 0x01, 0x03), EMUL_DONE);
    assert_int_equal(RUN(f, INSN_MODE_64, 0xf0, 0x0f, 0xba, 0x2b, 1), EMUL_DONE); /* lock bts */
    assert_int_equal(RUN(f, INSN_MODE_64, 0x0f, 0x22, 0xc0), ERR_NOTSUP);         /* mov cr0, rax */
    assert_int_equal(RUN(f, INSN_MODE_64, 0x0f, 0x30), ERR_NOTSUP);               /* wrmsr */
    assert_int_equal(RUN(f, INSN_MODE_64, 0xef), ERR_NOTSUP);                     /* out dx, eax */
    assert_int_equal(RUN(f, INSN_MODE_64, 0x0f, 0x58, 0x03), ERR_NOTSUP);         /* addps xmm0, [rbx] */
    assert_int_equal(RUN(f, INSN_MODE_64, 0xc5, 0xf8, 0x58, 0x03), ERR_NOTSUP);   /* vaddps */
    assert_int_equal(RUN(f, INSN_MODE_64, 0xd9, 0x03), ERR_NOTSUP);               /* fld [rbx] */
    f->regs[REG_RBX] = 0x408;
    expect_fault(f, RUN(f, INSN_MODE_64, 0x48, 0x0f, 0xc7, 0x0b), EXC_GP, 0); /* cmpxchg16b, unaligned */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accesses),
        cmocka_unit_test(test_segments_64),
        cmocka_unit_test(test_segments_32),
        cmocka_unit_test(test_real_mode),
        cmocka_unit_test(test_write_fault),
        cmocka_unit_test(test_rep),
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_runs_are_as_one_by_one),
        cmocka_unit_test(test_runs_end_with_the_page),
        cmocka_unit_test(test_jumps),
        cmocka_unit_test(test_stack),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
