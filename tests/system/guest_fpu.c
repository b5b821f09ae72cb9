/*
 * Runs in the guest: several processes keep different values in all vector registers, in MXCSR and in the x87 control word
 * while they give the CPU away to each other, and look whether they still have them. Prints what was compared.
 */
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES 4
#define ROUNDS    40
#define YIELDS    50

struct state {
    uint8_t zmm[32][64];
    uint64_t mask[8];
    uint32_t mxcsr;
    uint16_t control;
} __attribute__((aligned(64)));

/* Loads all of `in`, calls sched_yield some times, stores all in `out`; the compiler has no instruction in between. */
#define ROUND(load, store)                                                                                   \
    __asm__ volatile(                                                                                        \
        "ldmxcsr %c[mxcsr](%[in])\n\tfldcw %c[control](%[in])\n\t" load "mov %[yields], %%r12d\n"            \
        "1:\tmov %[yield], %%eax\n\tsyscall\n\tdec %%r12d\n\tjnz 1b\n\t" store                               \
        "stmxcsr %c[mxcsr](%[out])\n\tfnstcw %c[control](%[out])\n\t"                                        \
        "ldmxcsr %[usual_mxcsr]\n\tfldcw %[usual_control]"                                                   \
        :                                                                                                    \
        : [in] "r"(in), [out] "r"(out), [yields] "i"(YIELDS), [yield] "i"(SYS_sched_yield),                  \
          [mxcsr] "i"(__builtin_offsetof(struct state, mxcsr)),                                              \
          [control] "i"(__builtin_offsetof(struct state, control)),                                          \
          [mask] "i"(__builtin_offsetof(struct state, mask)), [usual_mxcsr] "m"(usual_mxcsr),                \
          [usual_control] "m"(usual_control)                                                                 \
        : "rax", "rcx", "r11", "r12", "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",        \
          "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")

#define R16                 "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15"
#define R32                 R16 ",16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"
#define EACH(numbers, text) ".irp n," numbers "\n\t" text "\n\t.endr\n\t"

static const uint32_t usual_mxcsr = 0x1f80;
static const uint16_t usual_control = 0x37f;

static void round_sse(const struct state *in, struct state *out)
{
    ROUND(EACH(R16, "movdqu \\n*64(%[in]), %%xmm\\n"), EACH(R16, "movdqu %%xmm\\n, \\n*64(%[out])"));
}

static void round_avx(const struct state *in, struct state *out)
{
    ROUND(EACH(R16, "vmovdqu \\n*64(%[in]), %%ymm\\n"), EACH(R16, "vmovdqu %%ymm\\n, \\n*64(%[out])"));
}

static void round_avx512(const struct state *in, struct state *out)
{
    ROUND(EACH(R32, "vmovdqu64 \\n*64(%[in]), %%zmm\\n")
              EACH("1,2,3,4,5,6,7", "kmovw %c[mask]+\\n*8(%[in]), %%k\\n"),
          EACH(R32, "vmovdqu64 %%zmm\\n, \\n*64(%[out])")
              EACH("1,2,3,4,5,6,7", "kmovw %%k\\n, %c[mask]+\\n*8(%[out])"));
}

static const struct kind {
    const char *name;
    void (*round)(const struct state *in, struct state *out);
    uint32_t registers, bytes, masks;
} kinds[] = {
    {"sse", round_sse, 16, 16, 0},
    {"avx", round_avx, 16, 32, 0},
    {"avx512", round_avx512, 32, 64, 8},
};

static const struct kind *kind_find(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f"))
        return &kinds[2];
    return &kinds[__builtin_cpu_supports("avx") ? 1 : 0];
}

/* Values that tell the process, the round and the place. Rounding modes differ, no exception is unmasked. */
static void state_fill(struct state *s, const struct kind *kind, uint32_t process, uint32_t round)
{
    memset(s, 0, sizeof(*s));
    for (uint32_t i = 0; i < kind->registers; i++)
        for (uint32_t j = 0; j < kind->bytes; j++)
            s->zmm[i][j] = (uint8_t)(process * 61 + round * 17 + i * 7 + j + 1);
    for (uint32_t i = 1; i < kind->masks; i++)
        s->mask[i] = (uint16_t)(process * 4099 + round * 257 + i);
    s->mxcsr = 0x1f80 | process % 4 << 13;
    s->control = (uint16_t)(0x37f | process % 4 << 10);
}

static int process_run(const struct kind *kind, uint32_t process)
{
    static struct state in, out;

    for (uint32_t round = 0; round < ROUNDS; round++) {
        state_fill(&in, kind, process, round);
        memset(&out, 0, sizeof(out));
        kind->round(&in, &out);
        if (memcmp(&in, &out, sizeof(in)) != 0) {
            printf("process %u: other values in round %u\n", process, round);
            return 1;
        }
    }
    return 0;
}

int main(void)
{
    const struct kind *kind = kind_find();
    int status, failed = 0;

    for (uint32_t i = 0; i < PROCESSES; i++) {
        pid_t child = fork();

        if (child == 0)
            exit(process_run(kind, i));
        failed += child < 0;
    }
    while (wait(&status) > 0)
        failed += status != 0;
    printf("fpu: %s in %d processes, %d failed\n", kind->name, PROCESSES, failed);
    return failed != 0;
}
