#include "mm/image.h"

#include "core/lib/error.h"
#include "core/lib/lock.h"
#include "mm/frame.h"

/* Whole pages. An entry is complete before the count has it, and never changes: readers need no lock. */
static struct image {
    hpa_t base, end;
    uint16_t writer;
} images[IMAGE_MAX];
static uint32_t image_count;
static struct lock image_lock = LOCK_INIT; /* of those who add */

static const struct image *image_find(hpa_t base, hpa_t end)
{
    for (uint32_t i = 0; i < image_count; i++)
        if (images[i].base == base && images[i].end == end)
            return &images[i];
    return NULL;
}

static int image_add(const struct image *image)
{
    const struct image *before = image_find(image->base, image->end);

    if (before)
        return before->writer == image->writer ? 0 : ERR_BUSY;
    if (image_count == IMAGE_MAX)
        return ERR_NOMEM;
    images[image_count] = *image;
    __atomic_store_n(&image_count, image_count + 1, __ATOMIC_RELEASE);
    return 0;
}

int image_declare(hpa_t base, uint64_t len, uint16_t writer)
{
    const struct image image = {ALIGN_DOWN(base, PAGE_SIZE), ALIGN_UP(base + len, PAGE_SIZE), writer};
    int err;

    lock_take(&image_lock);
    err = image_add(&image);
    lock_drop(&image_lock);
    return err;
}

bool image_allows(hpa_t hpa, uint64_t len, uint16_t owner, bool write)
{
    uint32_t count = __atomic_load_n(&image_count, __ATOMIC_ACQUIRE);

    for (uint32_t i = 0; i < count; i++)
        if (hpa >= images[i].base && hpa < images[i].end && len <= images[i].end - hpa)
            return images[i].writer == owner || (images[i].writer == OWNER_FREE && !write);
    return false;
}

bool image_is_private(hpa_t hpa, uint64_t len)
{
    uint32_t count = __atomic_load_n(&image_count, __ATOMIC_ACQUIRE);

    for (uint32_t i = 0; i < count; i++)
        if (images[i].writer != OWNER_FREE && hpa < images[i].end && images[i].base < hpa + len)
            return true;
    return false;
}

void image_forget_all(void)
{
    image_count = 0;
}
