#include "guests/rom.h"

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

int rom_build(const struct gmem *mem)
{
    void *at = gmem_ptr(mem, PC_RESET_VECTOR, sizeof(reset_code));

    if (!at)
        return ERR_RANGE;
    memcpy(at, reset_code, sizeof(reset_code));
    return 0;
}
