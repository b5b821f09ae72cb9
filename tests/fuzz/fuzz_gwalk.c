/* Page tables and control registers from the input: the walk stays in guest memory, ends, and agrees with itself. */
#include <stdlib.h>
#include <string.h>

#include "core/lib/bytes.h"
#include "core/lib/panic.h"
#include "core/x86/cr.h"
#include "mm/gwalk.h"

#define PAGES  8
#define HEADER 52

static _Alignas(4096) uint8_t ram[PAGES * PAGE_SIZE];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gwalk_state state;
    struct gwalk_result plain, marked;
    struct gmem mem;
    uint32_t access;
    gva_t gva;
    bool ok;

    if (size < HEADER)
        return 0;
    memset(ram, 0, sizeof(ram));
    memcpy(ram, data + HEADER, MIN(size - HEADER, sizeof(ram)));
    gmem_init(&mem, ram);
    if (gmem_add(&mem, 0, sizeof(ram) - PAGE_SIZE, true) ||
        gmem_add(&mem, sizeof(ram) - PAGE_SIZE, PAGE_SIZE, false))
        return 0;
    state = (struct gwalk_state){
        .cr0 = get_le64(data),
        .cr3 = get_le64(data + 8),
        .cr4 = get_le64(data + 16),
        .efer = get_le64(data + 24),
        .rflags = get_le64(data + 32),
        .pkru = get_le32(data + 40),
        .phys_bits = data[44],
    };
    access = data[45] & (GWALK_WRITE | GWALK_USER | GWALK_FETCH | GWALK_IMPLICIT);
    gva = (uint64_t)(int32_t)get_le32(data + 46) << (data[50] & 31);

    ok = gwalk(&mem, &state, gva, access, &plain);
    /* Setting bits must not change where the walk leads; that a table maps itself can change what a second walk finds. */
    assert(gwalk(&mem, &state, gva, access | GWALK_SET_AD, &marked) == ok);
    assert(memcmp(&plain, &marked, sizeof(plain)) == 0);
    if (ok) {
        assert(plain.error == 0 && !plain.noncanonical);
        assert(!(state.cr0 & CR0_PG) ||
               (plain.page_size && plain.gpa % plain.page_size == gva % plain.page_size));
    } else {
        assert(state.cr0 & CR0_PG);
        assert(!plain.noncanonical || plain.error == 0);
    }
    return 0;
}
