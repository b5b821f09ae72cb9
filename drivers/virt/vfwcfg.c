#include "drivers/virt/vfwcfg.h"

#include "core/lib/bytes.h"
#include "core/lib/panic.h"
#include "core/lib/string.h"

#define PORT_SELECTOR 0
#define PORT_DATA     1
#define PORT_DMA      4 /* 8 bytes, big-endian */
#define PORT_DMA_LOW  8

#define ID_TRADITIONAL BIT(0)
#define ID_DMA         BIT(1)
#define DMA_SIGNATURE  0x51454d5520434647ull /* "QEMU CFG" */

#define DMA_LEN    16u /* control, length, address, all big-endian */
#define DMA_ERROR  BIT(0)
#define DMA_READ   BIT(1)
#define DMA_SKIP   BIT(2)
#define DMA_SELECT BIT(3)
#define DMA_WRITE  BIT(4)

#define FILE_ENTRY (8 + VFWCFG_FILE_NAME)

static void put_be32(uint8_t *at, uint32_t value)
{
    put_le32(at, __builtin_bswap32(value));
}

static uint32_t get_be32(const uint8_t *at)
{
    return __builtin_bswap32(get_le32(at));
}

static uint64_t get_be64(const uint8_t *at)
{
    return __builtin_bswap64(get_le64(at));
}

/* -- items ------------------------------------------------------------------------------------------------------ */

void vfwcfg_add(struct vfwcfg *fw, uint16_t key, const void *data, uint32_t len)
{
    assert(fw->item_count < VFWCFG_ITEMS_MAX);
    fw->items[fw->item_count++] = (struct vfwcfg_item){.key = key, .len = len, .data = data};
}

void vfwcfg_add_number(struct vfwcfg *fw, uint16_t key, uint64_t value, uint32_t size)
{
    uint8_t *at = fw->store + fw->stored;

    assert(size <= VFWCFG_STORE - fw->stored);
    memcpy(at, &value, size);
    fw->stored += size;
    vfwcfg_add(fw, key, at, size);
}

static struct vfwcfg_item *item_find(struct vfwcfg *fw, uint16_t key)
{
    for (uint32_t i = 0; i < fw->item_count; i++)
        if (fw->items[i].key == key)
            return &fw->items[i];
    return NULL;
}

void vfwcfg_add_file(struct vfwcfg *fw, const char *name, const void *data, uint32_t len)
{
    uint16_t key = (uint16_t)(VFWCFG_FILE_FIRST + fw->file_count);
    uint8_t *entry = fw->directory + 4 + fw->file_count * FILE_ENTRY;

    assert(fw->file_count < VFWCFG_FILES_MAX && str_len(name) < VFWCFG_FILE_NAME);
    put_be32(entry, len);
    put_le16(entry + 4, __builtin_bswap16(key));
    memcpy(entry + 8, name, str_len(name) + 1);
    put_be32(fw->directory, ++fw->file_count);
    item_find(fw, VFWCFG_DIRECTORY)->len += FILE_ENTRY;
    vfwcfg_add(fw, key, data, len);
}

void vfwcfg_reset(struct vfwcfg *fw)
{
    fw->selected = VFWCFG_SIGNATURE;
    fw->offset = 0;
    fw->dma_high = 0;
}

void vfwcfg_init(struct vfwcfg *fw, const struct gmem *mem)
{
    memset(fw, 0, sizeof(*fw));
    fw->mem = mem;
    vfwcfg_add(fw, VFWCFG_SIGNATURE, "QEMU", 4);
    vfwcfg_add_number(fw, VFWCFG_ID, ID_TRADITIONAL | ID_DMA, 4);
    vfwcfg_add(fw, VFWCFG_DIRECTORY, fw->directory, 4);
    vfwcfg_reset(fw);
}

/* -- access ----------------------------------------------------------------------------------------------------- */

static void item_select(struct vfwcfg *fw, uint16_t key)
{
    fw->selected = key;
    fw->offset = 0;
}

/* Zeros beyond the end, and where there is no item. Both wait at the end of 32 bits. */
static void item_skip(struct vfwcfg *fw, uint32_t len)
{
    fw->offset += MIN(len, UINT32_MAX - fw->offset);
}

/* The next bytes of the selected item: how many there are, at most len. */
static uint32_t item_rest(struct vfwcfg *fw, uint32_t len, const uint8_t **data)
{
    const struct vfwcfg_item *item = item_find(fw, fw->selected);

    if (!item || fw->offset >= item->len)
        return 0;
    *data = (const uint8_t *)item->data + fw->offset;
    return MIN(len, item->len - fw->offset);
}

static uint8_t data_read(struct vfwcfg *fw)
{
    const uint8_t *data;
    uint8_t value = item_rest(fw, 1, &data) ? *data : 0;

    item_skip(fw, 1);
    return value;
}

/* To memory that the guest may write to, all or nothing. */
static bool dma_read(struct vfwcfg *fw, gpa_t to, uint32_t len)
{
    const uint8_t *data = NULL;
    uint32_t some = item_rest(fw, len, &data);

    if (len && !gmem_guest_writable(fw->mem, to, len))
        return false;
    if ((some && gmem_write(fw->mem, to, data, some)) ||
        (len > some && gmem_fill(fw->mem, to + some, 0, len - some)))
        return false;
    item_skip(fw, len);
    return true;
}

static void dma_run(struct vfwcfg *fw, gpa_t at)
{
    uint8_t command[DMA_LEN], result[4];
    uint32_t control;
    bool good = true;

    if (!gmem_guest_writable(fw->mem, at, DMA_LEN) || gmem_read(fw->mem, at, command, DMA_LEN))
        return; /* nowhere to say so */
    control = get_be32(command);
    if (control & DMA_SELECT)
        item_select(fw, (uint16_t)(control >> 16));
    if (control & DMA_READ)
        good = dma_read(fw, get_be64(command + 8), get_be32(command + 4));
    else if (control & DMA_WRITE)
        good = false;
    else if (control & DMA_SKIP)
        item_skip(fw, get_be32(command + 4));
    put_be32(result, good ? 0 : DMA_ERROR);
    if (gmem_write(fw->mem, at, result, sizeof(result)))
        return;
}

static enum bus_result dma_access(struct vfwcfg *fw, struct bus_access *access)
{
    uint32_t at = (uint32_t)access->addr - PORT_DMA;

    if (!access->write) {
        /* As its bytes lie in memory: the most significant one first. */
        access->value = __builtin_bswap64(DMA_SIGNATURE) >> 8 * at;
        return BUS_OK;
    }
    if (access->size != 4)
        return BUS_UNCLAIMED;
    if (access->addr == PORT_DMA) {
        fw->dma_high = __builtin_bswap32((uint32_t)access->value);
    } else if (access->addr == PORT_DMA_LOW) {
        gpa_t gpa = (uint64_t)fw->dma_high << 32 | __builtin_bswap32((uint32_t)access->value);

        fw->dma_high = 0;
        dma_run(fw, gpa);
    }
    return BUS_OK;
}

enum bus_result vfwcfg_ports(void *dev, struct bus_access *access)
{
    struct vfwcfg *fw = dev;

    if (access->addr >= PORT_DMA)
        return dma_access(fw, access);
    if (access->addr == PORT_SELECTOR && access->size == 2 && access->write) {
        item_select(fw, (uint16_t)access->value);
        return BUS_OK;
    }
    if (access->addr != PORT_DATA || access->size != 1)
        return BUS_UNCLAIMED;
    if (!access->write)
        access->value = data_read(fw);
    return BUS_OK;
}
