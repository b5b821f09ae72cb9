/*
 * The firmware configuration device of QEMU (docs/specs/fw_cfg): items by number, of which some are files with names, read byte by
 * byte at the ports 0x510/0x511 or by DMA at 0x514. Items can't be written.
 */
#pragma once

#include "core/bus.h"
#include "mm/gmem.h"

#define VFWCFG_PORTS     12
#define VFWCFG_ITEMS_MAX 40
#define VFWCFG_FILES_MAX 24
#define VFWCFG_FILE_NAME 56 /* with its NUL */
#define VFWCFG_STORE     256

enum vfwcfg_key {
    VFWCFG_SIGNATURE = 0x00,
    VFWCFG_ID = 0x01,
    VFWCFG_UUID = 0x02,
    VFWCFG_RAM_SIZE = 0x03,
    VFWCFG_NOGRAPHIC = 0x04,
    VFWCFG_NB_CPUS = 0x05,
    VFWCFG_BOOT_MENU = 0x0e,
    VFWCFG_MAX_CPUS = 0x0f,
    VFWCFG_DIRECTORY = 0x19,
    VFWCFG_FILE_FIRST = 0x20,
};

struct vfwcfg_item {
    uint16_t key;
    uint32_t len;
    const void *data;
};

struct vfwcfg {
    const struct gmem *mem; /* for DMA */
    uint16_t selected;
    uint32_t offset; /* in the selected item */
    uint32_t dma_high;
    uint32_t item_count, file_count;
    struct vfwcfg_item items[VFWCFG_ITEMS_MAX];
    uint32_t stored;
    uint8_t store[VFWCFG_STORE]; /* of numbers */
    uint8_t directory[4 + VFWCFG_FILES_MAX * (8 + VFWCFG_FILE_NAME)];
};

/* Without items but signature, id and an empty directory. */
void vfwcfg_init(struct vfwcfg *fw, const struct gmem *mem);
void vfwcfg_reset(struct vfwcfg *fw);
/* Adds an item; the data stays the caller's, and stays. There is room, or it is a fault of ours. */
void vfwcfg_add(struct vfwcfg *fw, uint16_t key, const void *data, uint32_t len);
/* Adds a little-endian number of 1 to 8 bytes. */
void vfwcfg_add_number(struct vfwcfg *fw, uint16_t key, uint64_t value, uint32_t size);
/* Adds a file; again the data stays the caller's. */
void vfwcfg_add_file(struct vfwcfg *fw, const char *name, const void *data, uint32_t len);
/* VFWCFG_PORTS ports. DMA is done when the write to its register is. */
enum bus_result vfwcfg_ports(void *fw, struct bus_access *access);
