/*
 * The fixed part of the virtual PC, for ACPI. What guests/platform.h marks with (D) is repeated here: iasl reads no C.
 * The MADT, the FADT and the MCFG, which differ between VMs, are made at run time (guests/acpi.c).
 */
DefinitionBlock ("", "DSDT", 2, "KEEL", "KEELPC", 1)
{
    /* Soft off is the only sleep state; the numbers go into SLP_TYP of the PM1 control registers. */
    Name (\_S5, Package () { 0, 0, 0, 0 })

    /* The system says which interrupt controllers it uses: 0 for the PIC, 1 for the IOAPIC. */
    Name (MODE, Zero)
    Method (\_PIC, 1)
    {
        MODE = Arg0
    }

    Scope (\_SB)
    {
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_UID, Zero)
            Name (_CRS, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                    0, 0, 0, 0, 1)
                IO (Decode16, 0x0CF8, 0x0CF8, 1, 8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0, 0x0000, 0x0CF7, 0, 0x0CF8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0, 0x0D00, 0xFFFF, 0, 0xF300)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0, 0xC0000000, 0xDFFFFFFF, 0, 0x20000000)
                /* Above RAM: guests/acpi.c says where. */
                QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0, 0x100000000, 0x1FFFFFFFF, 0, 0x100000000)
            })

            /* Hard-wired, without link devices: slot, INTA, 0, interrupt. No function has another pin. */
            Method (_PRT)
            {
                If (MODE)
                {
                    Return (APRT)
                }
                Return (PPRT)
            }

            Name (APRT, Package ()
            {
                Package () { 0x0001FFFF, 0, 0, 16 },
                Package () { 0x0002FFFF, 0, 0, 17 },
                Package () { 0x0003FFFF, 0, 0, 18 },
                Package () { 0x0004FFFF, 0, 0, 19 },
                Package () { 0x0005FFFF, 0, 0, 16 },
                Package () { 0x0006FFFF, 0, 0, 17 },
                Package () { 0x0007FFFF, 0, 0, 18 },
                Package () { 0x0008FFFF, 0, 0, 19 },
                Package () { 0x0009FFFF, 0, 0, 16 },
                Package () { 0x000AFFFF, 0, 0, 17 },
                Package () { 0x000BFFFF, 0, 0, 18 },
                Package () { 0x000CFFFF, 0, 0, 19 },
                Package () { 0x000DFFFF, 0, 0, 16 },
                Package () { 0x000EFFFF, 0, 0, 17 },
                Package () { 0x000FFFFF, 0, 0, 18 },
                Package () { 0x0010FFFF, 0, 0, 19 },
                Package () { 0x0011FFFF, 0, 0, 16 },
                Package () { 0x0012FFFF, 0, 0, 17 },
                Package () { 0x0013FFFF, 0, 0, 18 },
                Package () { 0x0014FFFF, 0, 0, 19 },
                Package () { 0x0015FFFF, 0, 0, 16 },
                Package () { 0x0016FFFF, 0, 0, 17 },
                Package () { 0x0017FFFF, 0, 0, 18 },
                Package () { 0x0018FFFF, 0, 0, 19 },
                Package () { 0x0019FFFF, 0, 0, 16 },
                Package () { 0x001AFFFF, 0, 0, 17 },
                Package () { 0x001BFFFF, 0, 0, 18 },
                Package () { 0x001CFFFF, 0, 0, 19 },
                Package () { 0x001DFFFF, 0, 0, 16 },
                Package () { 0x001EFFFF, 0, 0, 17 },
                Package () { 0x001FFFFF, 0, 0, 18 }
            })

            Name (PPRT, Package ()
            {
                Package () { 0x0001FFFF, 0, 0, 10 },
                Package () { 0x0002FFFF, 0, 0, 10 },
                Package () { 0x0003FFFF, 0, 0, 11 },
                Package () { 0x0004FFFF, 0, 0, 11 },
                Package () { 0x0005FFFF, 0, 0, 10 },
                Package () { 0x0006FFFF, 0, 0, 10 },
                Package () { 0x0007FFFF, 0, 0, 11 },
                Package () { 0x0008FFFF, 0, 0, 11 },
                Package () { 0x0009FFFF, 0, 0, 10 },
                Package () { 0x000AFFFF, 0, 0, 10 },
                Package () { 0x000BFFFF, 0, 0, 11 },
                Package () { 0x000CFFFF, 0, 0, 11 },
                Package () { 0x000DFFFF, 0, 0, 10 },
                Package () { 0x000EFFFF, 0, 0, 10 },
                Package () { 0x000FFFFF, 0, 0, 11 },
                Package () { 0x0010FFFF, 0, 0, 11 },
                Package () { 0x0011FFFF, 0, 0, 10 },
                Package () { 0x0012FFFF, 0, 0, 10 },
                Package () { 0x0013FFFF, 0, 0, 11 },
                Package () { 0x0014FFFF, 0, 0, 11 },
                Package () { 0x0015FFFF, 0, 0, 10 },
                Package () { 0x0016FFFF, 0, 0, 10 },
                Package () { 0x0017FFFF, 0, 0, 11 },
                Package () { 0x0018FFFF, 0, 0, 11 },
                Package () { 0x0019FFFF, 0, 0, 10 },
                Package () { 0x001AFFFF, 0, 0, 10 },
                Package () { 0x001BFFFF, 0, 0, 11 },
                Package () { 0x001CFFFF, 0, 0, 11 },
                Package () { 0x001DFFFF, 0, 0, 10 },
                Package () { 0x001EFFFF, 0, 0, 10 },
                Package () { 0x001FFFFF, 0, 0, 11 }
            })
        }

        /* Memory that is nobody's resource: the PCI configuration space that the MCFG describes. */
        Device (MRES)
        {
            Name (_HID, EisaId ("PNP0C02"))
            Name (_CRS, ResourceTemplate ()
            {
                DWordMemory (ResourceConsumer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0, 0xE0000000, 0xEFFFFFFF, 0, 0x10000000)
            })
        }

        Device (PIC)
        {
            Name (_HID, EisaId ("PNP0000"))
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0020, 0x0020, 1, 2)
                IO (Decode16, 0x00A0, 0x00A0, 1, 2)
                IO (Decode16, 0x04D0, 0x04D0, 1, 2)
                IRQNoFlags () { 2 }
            })
        }

        Device (TIMR)
        {
            Name (_HID, EisaId ("PNP0100"))
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0040, 0x0040, 1, 4)
                IRQNoFlags () { 0 }
            })
        }

        Device (HPET)
        {
            Name (_HID, EisaId ("PNP0103"))
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0xFED00000, 0x0400)
            })
        }

        Device (RTC)
        {
            Name (_HID, EisaId ("PNP0B00"))
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0070, 0x0070, 1, 2)
                IRQNoFlags () { 8 }
            })
        }

        Device (KBD)
        {
            Name (_HID, EisaId ("PNP0303"))
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0060, 0x0060, 1, 1)
                IO (Decode16, 0x0064, 0x0064, 1, 1)
                IRQNoFlags () { 1 }
            })
        }

        Device (COM1)
        {
            Name (_HID, EisaId ("PNP0501"))
            Name (_UID, One)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x03F8, 0x03F8, 1, 8)
                IRQNoFlags () { 4 }
            })
        }

        Device (COM2)
        {
            Name (_HID, EisaId ("PNP0501"))
            Name (_UID, 2)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x02F8, 0x02F8, 1, 8)
                IRQNoFlags () { 3 }
            })
        }
    }
}
