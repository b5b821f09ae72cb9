/* Port accesses of all sizes, to devices and to nothing, and the registers that they go through. */
#include "guests/payload/payload.h"

#define UNCLAIMED    0x5a0
#define UART_SCRATCH 0x3ff
#define PIC_MASK     0x21
#define PCI_ADDRESS  0xcf8
#define PCI_DATA     0xcfc

static void test_unclaimed(void)
{
    expect("ports.unclaimed-byte", inb(UNCLAIMED), 0xff);
    expect("ports.unclaimed-word", inw(UNCLAIMED), 0xffff);
    expect("ports.unclaimed-dword", inl(UNCLAIMED), 0xffffffff);
    outb(UNCLAIMED, 0);
    outw(UNCLAIMED, 0);
    outl(UNCLAIMED, 0);
    expect("ports.unclaimed-after-write", inl(UNCLAIMED), 0xffffffff);
}

/* IN to AL and AX keeps the rest of RAX, IN to EAX clears the upper half. */
static void test_registers(void)
{
    uint64_t a;

    outb(UART_SCRATCH, 0x5a);
    a = 0x1122334455667788;
    __asm__ volatile("inb %%dx, %%al" : "+a"(a) : "d"(UART_SCRATCH));
    expect("ports.al", a, 0x112233445566775a);
    a = 0x1122334455667788;
    __asm__ volatile("inw %%dx, %%ax" : "+a"(a) : "d"(UNCLAIMED));
    expect("ports.ax", a, 0x112233445566ffff);
    a = 0x1122334455667788;
    __asm__ volatile("inl %%dx, %%eax" : "+a"(a) : "d"(UNCLAIMED));
    expect("ports.eax", a, 0xffffffff);
    a = 0x1122334455667788;
    __asm__ volatile("inb $0x21, %%al" : "+a"(a)); /* the masked PIC */
    expect("ports.immediate", a, 0x11223344556677ff);
    a = 0xffffffffffff00a5;
    __asm__ volatile("outb %%al, $0x21; inb $0x21, %%al" : "+a"(a));
    expect("ports.immediate-out", a, 0xffffffffffff00a5);
    outb(PIC_MASK, 0xff);
    a = (uint64_t)UART_SCRATCH | 0xdead0000ull;
    __asm__ volatile("inb %%dx, %%al" : "=a"(a) : "d"(a), "a"(0));
    expect("ports.dx-only", a, 0x5a);
}

static void test_pci(void)
{
    outl(PCI_ADDRESS, 0x80000000);
    expect("ports.pci-address", inl(PCI_ADDRESS), 0x80000000);
    check("ports.pci-bridge", inl(PCI_DATA) != 0xffffffff);
    expect("ports.pci-word", inw(PCI_DATA + 2), inl(PCI_DATA) >> 16);
    expect("ports.pci-byte", inb(PCI_DATA + 1), inl(PCI_DATA) >> 8 & 0xff);
    outl(PCI_ADDRESS, 0x8000f800);
    expect("ports.pci-nothing", inl(PCI_DATA), 0xffffffff);
    outl(PCI_ADDRESS, 0);
}

void test_ports(void)
{
    test_unclaimed();
    test_registers();
    test_pci();
}
