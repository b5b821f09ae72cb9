#include "mm/pt_pool.h"

#include "mm/frame.h"
#include "mm/layout.h"

static void *table_alloc(void *ctx)
{
    return frame_alloc(1, (uint16_t)(uintptr_t)ctx);
}

static void table_free(void *ctx, void *table)
{
    (void)ctx;
    frame_free(table, 1);
}

struct pt_memory pt_pool(uint16_t owner)
{
    return (struct pt_memory){
        .alloc = table_alloc,
        .free = table_free,
        .hpa = pool_hpa,
        .ptr = pool_ptr,
        .ctx = (void *)(uintptr_t)owner,
    };
}
