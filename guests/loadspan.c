#include "guests/loadspan.h"

#include "core/lib/error.h"

static int span_refuse(struct loader *l, const struct loadspan *span)
{
    return loader_refuse(
        l, ERR_INVALID,
        "the kernel's Multiboot header has addresses that don't fit its %llu bytes: header at 0x%x, "
        "load 0x%x to 0x%x, BSS to 0x%x",
        (unsigned long long)span->file_len, span->header_addr, span->load_addr, span->load_end,
        span->bss_end);
}

int loadspan_load(struct loader *l, const struct loadspan *span)
{
    uint64_t load = span->load_addr, before, offset, len, mem_len;

    if (span->load_addr == LOADSPAN_FROM_START)
        load = span->header_addr - span->header_offset;
    before = span->header_addr - load;
    if (load > span->header_addr || before > span->header_offset)
        return span_refuse(l, span);
    offset = span->header_offset - before;
    len = span->load_end ? span->load_end - load : span->file_len - offset;
    mem_len = span->bss_end ? span->bss_end - load : len;
    if ((span->load_end && span->load_end < load) || len > span->file_len - offset ||
        (span->bss_end && span->bss_end < load) || mem_len < len)
        return span_refuse(l, span);
    return loader_segment(l, load, span->file + offset, len, mem_len);
}
