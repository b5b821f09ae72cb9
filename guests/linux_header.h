/* The setup header of a Linux kernel, read and checked, and the offsets of the protocol's fields. */
#pragma once

#include "core/lib/types.h"

/* In the file and in the zero page alike */
#define LINUX_SETUP_SECTS     0x1f1
#define LINUX_SYSSIZE         0x1f4
#define LINUX_VID_MODE        0x1fa
#define LINUX_BOOT_FLAG       0x1fe
#define LINUX_JUMP            0x200
#define LINUX_MAGIC           0x202
#define LINUX_VERSION         0x206
#define LINUX_TYPE_OF_LOADER  0x210
#define LINUX_LOADFLAGS       0x211
#define LINUX_CODE32_START    0x214
#define LINUX_RAMDISK_IMAGE   0x218
#define LINUX_RAMDISK_SIZE    0x21c
#define LINUX_CMD_LINE_PTR    0x228
#define LINUX_INITRD_ADDR_MAX 0x22c
#define LINUX_ALIGNMENT       0x230
#define LINUX_RELOCATABLE     0x234
#define LINUX_XLOADFLAGS      0x236
#define LINUX_CMDLINE_SIZE    0x238
#define LINUX_SETUP_DATA      0x250
#define LINUX_PREF_ADDRESS    0x258
#define LINUX_INIT_SIZE       0x260
#define LINUX_HEADER_MAX      0x290 /* in the zero page, other things follow */

/* In the zero page alone (Documentation/arch/x86/zero-page.rst) */
#define LINUX_EXT_MEM_K    0x002
#define LINUX_ACPI_RSDP    0x070
#define LINUX_ALT_MEM_K    0x1e0
#define LINUX_E820_ENTRIES 0x1e8
#define LINUX_E820_TABLE   0x2d0
#define LINUX_E820_MAX     128

struct linux_header {
    uint16_t version;    /* 0x206: protocol 2.06 */
    uint32_t header_end; /* offset in the file of the first byte after the setup header */
    uint32_t setup_len;  /* bytes before the protected-mode code */
    uint64_t body_len;   /* bytes of that code */
    uint64_t initrd_max; /* first address that an initrd must not reach */
    uint64_t alignment;  /* of the load address */
    uint64_t pref_address;
    uint64_t
        init_size; /* memory that the kernel uses from its load address on before it reads the memory map */
    uint32_t cmdline_max; /* longest command line, without its NUL */
    bool relocatable;
    bool entry64; /* has a 64-bit entry at 0x200 */
};

/* Reads the header of a file; bounds-checked. Returns 0, or ERR_INVALID or ERR_NOTSUP with a sentence in `why`. */
int linux_header_read(const void *file, uint64_t len, struct linux_header *header, char *why,
                      size_t why_size);
