/*
 * A plugin for QEMU (its "TCG plugins" interface, version 1): which cache lines several cores touch while they execute Keel's
 * code, at least one of them with writes, and how often each. What a core does counts from where its guest executes one of
 * the two instructions below to where it executes the other. At the end of the machine, to the file that `out=` names:
 *
 *     exits CORE N          how often the core has entered its guest
 *     line PHYSICAL LINEAR  then for each core: reads, writes, and where it wrote last, or else read
 *
 * The declarations are those of the interface that are used here; Debian has no package of QEMU's header.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t plugin_id;
typedef uint32_t plugin_meminfo;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_hwaddr;

enum { NO_REGISTERS = 0, READS_AND_WRITES = 3 };

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
bool qemu_plugin_mem_is_store(plugin_meminfo info);
struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(plugin_meminfo info, uint64_t address);
bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *address);
uint64_t qemu_plugin_hwaddr_phys_addr(const struct qemu_plugin_hwaddr *address);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*call)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, void (*call)(unsigned, void *),
                                            int flags, void *data);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn,
                                      void (*call)(unsigned, plugin_meminfo, uint64_t, void *), int flags,
                                      int what, void *data);
void qemu_plugin_register_atexit_cb(plugin_id id, void (*call)(plugin_id, void *), void *data);

extern int qemu_plugin_version;
int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv);

int qemu_plugin_version = 1;

#define KEEL_CODE 0xffffffff80000000ull
#define CORES     8
#define LINES     (1u << 20)

struct line {
    uint64_t physical, linear;
    struct {
        uint64_t reads, writes, at;
    } by[CORES];
};

/* NOPs with a displacement that nobody else gives them: guests/payload/hog.c. The last byte: begin, or end. */
static const uint8_t mark[6] = {0x0f, 0x1f, 0x80, 0x4c, 0x45, 0x4b};
static bool counts[CORES];

static struct line *lines; /* by a hash of the number */
static uint64_t entries[CORES];
static char out[4096];

static struct line *line_of(uint64_t number)
{
    uint32_t at = (uint32_t)(number * 0x9e3779b97f4a7c15ull >> 44);

    for (;; at = (at + 1) % LINES) {
        if (lines[at].physical == number || !lines[at].linear)
            return &lines[at];
    }
}

static void touched(unsigned core, plugin_meminfo info, uint64_t address, void *insn)
{
    const struct qemu_plugin_hwaddr *where = qemu_plugin_get_hwaddr(info, address);
    bool writes = qemu_plugin_mem_is_store(info);
    struct line *line;

    if (core >= CORES || !counts[core] || !where || qemu_plugin_hwaddr_is_io(where))
        return;
    line = line_of(qemu_plugin_hwaddr_phys_addr(where) / 64);
    if (!line->linear) {
        line->physical = qemu_plugin_hwaddr_phys_addr(where) / 64;
        line->linear = address;
    }
    if (writes || !line->by[core].writes)
        line->by[core].at = KEEL_CODE | (uintptr_t)insn;
    *(writes ? &line->by[core].writes : &line->by[core].reads) += 1;
}

static void entered(unsigned core, void *unused)
{
    (void)unused;
    if (core < CORES && counts[core])
        entries[core]++;
}

static void marked(unsigned core, void *begins)
{
    if (core < CORES)
        counts[core] = begins != NULL;
}

static bool insn_is(const struct qemu_plugin_insn *insn, const uint8_t *bytes, size_t len)
{
    return qemu_plugin_insn_size(insn) >= len && !memcmp(qemu_plugin_insn_data(insn), bytes, len);
}

static void translated(plugin_id id, struct qemu_plugin_tb *block)
{
    static const uint8_t vmrun[3] = {0x0f, 0x01, 0xd8};

    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);
        uint64_t address = qemu_plugin_insn_vaddr(insn);

        if (insn_is(insn, mark, sizeof(mark)))
            qemu_plugin_register_vcpu_insn_exec_cb(
                insn, marked, NO_REGISTERS,
                (void *)(uintptr_t)((const uint8_t *)qemu_plugin_insn_data(insn))[6]);
        if (address < KEEL_CODE)
            continue;
        if (insn_is(insn, vmrun, sizeof(vmrun)))
            qemu_plugin_register_vcpu_insn_exec_cb(insn, entered, NO_REGISTERS, NULL);
        qemu_plugin_register_vcpu_mem_cb(insn, touched, NO_REGISTERS, READS_AND_WRITES,
                                         (void *)(uintptr_t)(address & ~KEEL_CODE));
    }
}

static void line_print(FILE *file, const struct line *line)
{
    uint32_t cores = 0;
    bool written = false;

    for (uint32_t core = 0; core < CORES; core++) {
        cores += line->by[core].reads + line->by[core].writes > 0;
        written |= line->by[core].writes > 0;
    }
    if (cores < 2 || !written)
        return;
    fprintf(file, "line %" PRIx64 " %" PRIx64, line->physical * 64, line->linear);
    for (uint32_t core = 0; core < CORES; core++)
        fprintf(file, " %" PRIu64 " %" PRIu64 " %" PRIx64, line->by[core].reads, line->by[core].writes,
                line->by[core].at);
    fprintf(file, "\n");
}

static void ended(plugin_id id, void *unused)
{
    FILE *file = fopen(out, "w");

    (void)id;
    (void)unused;
    if (!file)
        return;
    for (uint32_t core = 0; core < CORES; core++)
        fprintf(file, "exits %u %" PRIu64 "\n", core, entries[core]);
    for (uint32_t i = 0; i < LINES; i++)
        line_print(file, &lines[i]);
    fclose(file);
}

int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info;
    if (argc != 1 || strncmp(argv[0], "out=", 4) != 0 || strlen(argv[0]) - 4 >= sizeof(out))
        return -1;
    strcpy(out, argv[0] + 4);
    lines = calloc(LINES, sizeof(*lines));
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return lines ? 0 : -1;
}
