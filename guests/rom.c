#include "guests/rom.h"

#include "core/lib/bytes.h"
#include "core/lib/error.h"
#include "core/lib/string.h"
#include "guests/platform.h"

/*
 * Some systems reboot by a jump to where the CPU starts (Linux: reboot=bios): what is there resets the machine.
 * mov dx, PC_PORT_RESET; mov al, PC_RESET_VALUE; out dx, al; hlt for ever.
 */
static const uint8_t reset_code[] = {
    0xba, PC_PORT_RESET & 0xff, PC_PORT_RESET >> 8, 0xb0, PC_RESET_VALUE, 0xee, 0xf4, 0xeb, 0xfd};
_Static_assert(sizeof(reset_code) <= PC_HIGH_RAM - PC_RESET_VECTOR, "ends with the ROM");

/* Handlers in segment 0xf000, the first and the last where the IBM PC's BIOS has them. */
#define ROM_SEGMENT   0xf000u
#define HANDLER_TIMER 0xfea5u
#define HANDLER_PIC1  0xfee0u
#define HANDLER_PIC2  0xfef0u
#define HANDLER_NONE  0xff53u

/* push ax; push ds; mov ax, 0x40; mov ds, ax; inc dword [0x6c]; mov al, 0x20; out 0x20, al; pop ds; pop ax; iret */
static const uint8_t timer_code[] = {0x50, 0x1e, 0xb8, 0x40, 0x00, 0x8e, 0xd8, 0x66, 0xff, 0x06,
                                     0x6c, 0x00, 0xb0, 0x20, 0xe6, 0x20, 0x1f, 0x58, 0xcf};
/* push ax; mov al, 0x20; (out 0xa0, al;) out 0x20, al; pop ax; iret */
static const uint8_t pic1_code[] = {0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf};
static const uint8_t pic2_code[] = {0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcf};
static const uint8_t none_code[] = {0xcf};

static const struct {
    gpa_t at;
    const uint8_t *code;
    size_t len;
} pieces[] = {
    {PC_RESET_VECTOR, reset_code, sizeof(reset_code)},
    {ROM_SEGMENT * 16 + HANDLER_TIMER, timer_code, sizeof(timer_code)},
    {ROM_SEGMENT * 16 + HANDLER_PIC1, pic1_code, sizeof(pic1_code)},
    {ROM_SEGMENT * 16 + HANDLER_PIC2, pic2_code, sizeof(pic2_code)},
    {ROM_SEGMENT * 16 + HANDLER_NONE, none_code, sizeof(none_code)},
};
_Static_assert(ROM_SEGMENT * 16 + HANDLER_TIMER >= PC_ACPI_TABLES + PC_ACPI_SIZE, "behind the tables");

/* The BIOS data area */
#define BDA_EBDA 0x40e /* segment of the EBDA */
#define BDA_KIB  0x413 /* and kilobytes below it */
#define VECTORS  256

static uint16_t handler_of(uint32_t vector)
{
    if (vector == PC_PIC_MASTER_BASE + PC_IRQ_PIT)
        return HANDLER_TIMER;
    if (vector >= PC_PIC_MASTER_BASE && vector < PC_PIC_MASTER_BASE + 8)
        return HANDLER_PIC1;
    if (vector >= PC_PIC_SLAVE_BASE && vector < PC_PIC_SLAVE_BASE + 8)
        return HANDLER_PIC2;
    return HANDLER_NONE;
}

static void low_memory_write(uint8_t *low)
{
    for (uint32_t vector = 0; vector < VECTORS; vector++) {
        put_le16(low + vector * 4, handler_of(vector));
        put_le16(low + vector * 4 + 2, ROM_SEGMENT);
    }
    put_le16(low + BDA_EBDA, PC_EBDA >> 4);
    put_le16(low + BDA_KIB, PC_EBDA / KiB);
}

int rom_build(const struct gmem *mem)
{
    uint8_t *low = gmem_ptr(mem, 0, PAGE_SIZE);

    if (!low)
        return ERR_RANGE;
    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
        int err = gmem_write(mem, pieces[i].at, pieces[i].code, pieces[i].len);

        if (err)
            return err;
    }
    low_memory_write(low);
    return 0;
}
