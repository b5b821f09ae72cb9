"""ACPI tables to boot with, sound and unsound ones (the MADT; ACPI 6.5, 5.2.12)."""
import struct

ENABLED = 1


def lapic(apic_id, flags=ENABLED, uid=None):
    """Entry type 0: a processor's local APIC."""
    return struct.pack("<BBBBI", 0, 8, apic_id if uid is None else uid, apic_id, flags)


def x2apic(apic_id, flags=ENABLED, uid=None):
    """Entry type 9: a processor's local x2APIC."""
    return struct.pack("<BBHIII", 9, 16, 0, apic_id, flags, apic_id if uid is None else uid)


def ioapic(ioapic_id=0, address=0xFEC00000, base=0):
    """Entry type 1."""
    return struct.pack("<BBBBII", 1, 12, ioapic_id, 0, address, base)


def table(signature, body, length=None, checksum=None):
    """A table with a right header, but for a length or a checksum that is asked for (checksum: what to add to it)."""
    size = 36 + len(body) if length is None else length
    header = struct.pack("<4sIBB6s8sI4sI", signature, size, 3, 0, b"KEEL  ", b"TEST    ", 1, b"KEEL", 1)
    sound = -sum(header + body) & 0xFF
    data = bytearray(header + body)
    data[9] = (sound + (checksum or 0)) & 0xFF
    return bytes(data)


def madt(entries, **header):
    return table(b"APIC", struct.pack("<II", 0xFEE00000, 1) + b"".join(entries), **header)


def spcr(port, irq, baud=7):
    """Names a 16550 at an I/O port as the firmware's console (Microsoft's SPCR table); baud 7: 115200."""
    address = struct.pack("<BBBBQ", 1, 8, 0, 1, port)
    body = struct.pack("<B3x", 0) + address + struct.pack("<BBIBBBBBx", 1, irq, irq, baud, 0, 1, 0, 3)
    return table(b"SPCR", body + struct.pack("<HHBBBIBI", 0xFFFF, 0xFFFF, 0, 0, 0, 0, 0, 0))
