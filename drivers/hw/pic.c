#include "drivers/hw/pic.h"

#include "core/x86/io.h"

#define PIC1_COMMAND 0x20
#define PIC1_DATA    0x21
#define PIC2_COMMAND 0xa0
#define PIC2_DATA    0xa1

#define ICW1_INIT   0x11 /* edge-triggered, cascaded, ICW4 follows */
#define ICW3_MASTER 0x04 /* the second one is at input 2 */
#define ICW3_SLAVE  0x02
#define ICW4_8086   0x01
#define MASK_ALL    0xff

/*
 * The 8259A's data sheet: ICW1 to the command port, ICW2 (vector), ICW3 and ICW4 to the data port; then OCW1,
 * the mask.
 */
static void pic_program(uint16_t command, uint16_t data, uint8_t vector, uint8_t icw3)
{
    outb(command, ICW1_INIT);
    outb(data, vector);
    outb(data, icw3);
    outb(data, ICW4_8086);
    outb(data, MASK_ALL);
}

void pic_disable(uint8_t vector)
{
    pic_program(PIC1_COMMAND, PIC1_DATA, vector, ICW3_MASTER);
    pic_program(PIC2_COMMAND, PIC2_DATA, (uint8_t)(vector + 8), ICW3_SLAVE);
}
