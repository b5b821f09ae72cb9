#include "guests/linux_header.h"

#include "core/lib/bytes.h"
#include "core/lib/error.h"
#include "core/lib/format.h"

#define BOOT_FLAG      0xaa55
#define MAGIC          0x53726448 /* "HdrS" */
#define VERSION_LEAST  0x206
#define VERSION_INIT   0x20a /* pref_address and init_size */
#define VERSION_XFLAGS 0x20c /* xloadflags */
#define LOADED_HIGH    BIT(0)
#define XLF_KERNEL_64  BIT(0)
#define SECTOR         512u
#define SECTS_DEFAULT  4   /* what setup_sects = 0 means, for the sake of very old kernels */
#define OLD_LOAD       MiB /* where kernels before 2.10 run */
#define OLD_GROWTH     4   /* and how much larger than their file we assume that they become */

/* Up to where the header must reach for the fields that its version has. */
static uint32_t header_least(uint16_t version)
{
    return version >= VERSION_INIT ? LINUX_INIT_SIZE + 4 : LINUX_CMDLINE_SIZE + 4;
}

static bool is_power_of_two(uint64_t n)
{
    return n && (n & (n - 1)) == 0;
}

static int header_check_magic(const uint8_t *file, uint64_t len, char *why, size_t why_size)
{
    if (len < LINUX_VERSION + 2) {
        fmt_print(why, why_size, "the kernel is no bzImage, or cut off in its header: it has %llu bytes",
                  (unsigned long long)len);
        return ERR_INVALID;
    }
    if (get_le16(file + LINUX_BOOT_FLAG) != BOOT_FLAG || get_le32(file + LINUX_MAGIC) != MAGIC) {
        fmt_print(why, why_size, "the kernel is no bzImage: the Linux boot signature is missing");
        return ERR_INVALID;
    }
    return 0;
}

/* The parts of the file: setup header, setup code, protected-mode code. */
static int header_read_layout(const uint8_t *file, uint64_t len, struct linux_header *h, char *why,
                              size_t why_size)
{
    uint32_t sects = file[LINUX_SETUP_SECTS] ?: SECTS_DEFAULT;
    uint64_t body;

    h->version = get_le16(file + LINUX_VERSION);
    if (h->version < VERSION_LEAST) {
        fmt_print(why, why_size, "the kernel's boot protocol is %u.%02u; 2.06 is the oldest that Keel knows",
                  h->version >> 8, h->version & 0xffu);
        return ERR_NOTSUP;
    }
    /* The jump over the header tells where it ends. */
    h->header_end = LINUX_MAGIC + file[LINUX_JUMP + 1];
    h->setup_len = (sects + 1) * SECTOR;
    if (h->header_end < header_least(h->version) || h->header_end > h->setup_len) {
        fmt_print(why, why_size, "the kernel's header is damaged: it ends at 0x%x", h->header_end);
        return ERR_INVALID;
    }
    if (len <= h->setup_len) {
        fmt_print(why, why_size, "the kernel is cut off in its header: it has %llu bytes of at least %u",
                  (unsigned long long)len, h->setup_len + 1);
        return ERR_INVALID;
    }
    body = 16ull * get_le32(file + LINUX_SYSSIZE);
    h->body_len = MIN(len - h->setup_len, body);
    if (body == 0 || h->body_len + 15 < body) { /* the size is in units of 16 bytes, rounded up */
        fmt_print(why, why_size, "the kernel is cut off in its body: it has %llu bytes of %llu",
                  (unsigned long long)len, (unsigned long long)(h->setup_len + body));
        return ERR_INVALID;
    }
    return 0;
}

/* Where it wants to be. */
static int header_read_place(const uint8_t *file, struct linux_header *h, char *why, size_t why_size)
{
    h->relocatable = file[LINUX_RELOCATABLE] != 0;
    h->alignment = get_le32(file + LINUX_ALIGNMENT);
    h->pref_address = OLD_LOAD;
    h->init_size = OLD_GROWTH * h->body_len;
    if (h->version >= VERSION_INIT) {
        h->pref_address = get_le64(file + LINUX_PREF_ADDRESS) ?: OLD_LOAD;
        h->init_size = MAX(get_le32(file + LINUX_INIT_SIZE), h->body_len);
    }
    if (!h->relocatable)
        h->alignment = PAGE_SIZE; /* it runs at its preferred address and nowhere else */
    if (!is_power_of_two(h->alignment) || h->pref_address < OLD_LOAD || h->pref_address >= 4 * GiB) {
        fmt_print(why, why_size, "the kernel's header is damaged: preferred address 0x%llx, alignment 0x%llx",
                  (unsigned long long)h->pref_address, (unsigned long long)h->alignment);
        return ERR_INVALID;
    }
    h->alignment = MAX(h->alignment, PAGE_SIZE);
    return 0;
}

int linux_header_read(const void *file, uint64_t len, struct linux_header *h, char *why, size_t why_size)
{
    const uint8_t *bytes = file;
    int err = header_check_magic(bytes, len, why, why_size);

    if (!err)
        err = header_read_layout(bytes, len, h, why, why_size);
    if (!err && !(bytes[LINUX_LOADFLAGS] & LOADED_HIGH)) {
        fmt_print(why, why_size, "the kernel is a zImage, which runs below 1 MiB; Keel loads bzImages");
        err = ERR_NOTSUP;
    }
    if (!err)
        err = header_read_place(bytes, h, why, why_size);
    if (err)
        return err;
    h->initrd_max = get_le32(bytes + LINUX_INITRD_ADDR_MAX) + 1ull;
    h->cmdline_max = get_le32(bytes + LINUX_CMDLINE_SIZE);
    h->entry64 = h->version >= VERSION_XFLAGS && get_le16(bytes + LINUX_XLOADFLAGS) & XLF_KERNEL_64;
    return 0;
}
