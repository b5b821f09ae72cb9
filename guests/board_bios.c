/* What the board has for firmware and for what expects one to have run: fw_cfg, the state that a BIOS leaves; and for test suites. */
#include "core/lib/bytes.h"
#include "guests/board.h"
#include "guests/platform.h"

/* -- fw_cfg ----------------------------------------------------------------------------------------------------- */

/* The file etc/e820: base, length and type of the RAM below and above 4G; holes are the firmware's to make. */
static uint32_t board_write_map(struct board *board)
{
    const struct gmem *mem = &board->vm->mem;
    uint32_t count = 0;

    for (uint32_t i = 0; i < mem->count; i++) {
        const struct gmem_slot *slot = &mem->slots[i];
        uint8_t *entry = board->map_file + count * 20;

        if (!slot->writable || (slot->base != PC_HIGH_RAM && slot->base != PC_MEMORY_ABOVE))
            continue;
        put_le64(entry, slot->base == PC_HIGH_RAM ? 0 : slot->base);
        put_le64(entry + 8, slot->base == PC_HIGH_RAM ? slot->base + slot->len : slot->len);
        put_le32(entry + 16, E820_RAM);
        count++;
    }
    return count * 20;
}

/* RAM as a user would count it: without the holes below 1 MiB. */
static uint64_t board_ram_size(const struct board *board)
{
    const struct gmem *mem = &board->vm->mem;
    uint64_t size = PC_HIGH_RAM;

    for (uint32_t i = 0; i < mem->count; i++)
        if (mem->slots[i].writable && mem->slots[i].base >= PC_HIGH_RAM)
            size += mem->slots[i].len;
    return size;
}

static int board_add_firmware_files(struct board *board, const struct acpi_guest *guest)
{
    struct vfwcfg *fw = &board->fwcfg;
    struct acpi_files *acpi = (struct acpi_files *)&board->cpus[board->vm->vcpu_count];
    int err = acpi_files_build(acpi, guest);

    board->acpi = acpi;
    vfwcfg_add_file(fw, "etc/acpi/rsdp", acpi->tables, ACPI_FILES_RSDP_LEN);
    vfwcfg_add_file(fw, "etc/acpi/tables", acpi_files_tables(acpi), acpi->tables_len);
    vfwcfg_add_file(fw, "etc/table-loader", acpi->script, acpi->script_len);
    /* There is no VGA BIOS: SeaBIOS' screen and keyboard are to be on the serial port. */
    put_le64(board->sercon_file, PC_PORT_COM1);
    vfwcfg_add_file(fw, "etc/sercon-port", board->sercon_file, sizeof(board->sercon_file));
    return err;
}

int board_init_fwcfg(struct board *board, const struct acpi_guest *acpi)
{
    static const uint8_t no_uuid[16];
    struct vfwcfg *fw = &board->fwcfg;
    uint32_t vcpus = board->vm->vcpu_count;

    vfwcfg_init(fw, &board->vm->mem);
    vfwcfg_add(fw, VFWCFG_UUID, no_uuid, sizeof(no_uuid));
    vfwcfg_add_number(fw, VFWCFG_RAM_SIZE, board_ram_size(board), 8);
    vfwcfg_add_number(fw, VFWCFG_NOGRAPHIC, 1, 2);
    vfwcfg_add_number(fw, VFWCFG_NB_CPUS, vcpus, 2);
    vfwcfg_add_number(fw, VFWCFG_BOOT_MENU, 0, 2);
    vfwcfg_add_number(fw, VFWCFG_MAX_CPUS, vcpus, 2);
    vfwcfg_add_file(fw, "etc/e820", board->map_file, board_write_map(board));
    if (acpi) {
        int err = board_add_firmware_files(board, acpi);

        if (err)
            return err;
    }
    return bus_claim(&board->vm->pio, PC_PORT_FWCFG, VFWCFG_PORTS, vfwcfg_ports, fw, "fw_cfg");
}

/* -- for test suites -------------------------------------------------------------------------------------------- */

static void board_test_exit(void *ctx, uint32_t value)
{
    vm_stop(((struct board *)ctx)->vm, VM_STOP_EXIT, (int)value);
}

static void board_test_signal(void *ctx, uint32_t vcpu, uint32_t source)
{
    struct vm *vm = ((struct board *)ctx)->vm;

    if (vcpu < vm->vcpu_count && source < HV_SINTS)
        hv_synic_signal(vm->vcpus[vcpu], source);
}

int board_init_test(struct board *board, irq_set set)
{
    struct vm *vm = board->vm;
    int err;

    vexit_init(&board->exit, board_test_exit, board);
    /* Behind what firmware needs, if there is any. */
    vtestdev_init(&board->test, set, board_test_signal, board,
                  (uint8_t *)&board->cpus[vm->vcpu_count] + (board->acpi ? sizeof(*board->acpi) : 0));
    err = bus_claim(&vm->pio, PC_PORT_EXIT, VEXIT_PORTS, vexit_ports, &board->exit, "exit");
    if (!err)
        err = bus_claim(&vm->pio, PC_PORT_TEST, VTESTDEV_PORTS, vtestdev_ports, &board->test, "test");
    if (!err)
        err = bus_claim(&vm->pio, PC_PORT_TEST_LINES, VTESTDEV_LINES, vtestdev_lines, &board->test, "test");
    if (!err)
        err = bus_claim(&vm->pio, PC_PORT_TEST_SINTS, VTESTDEV_SINTS, vtestdev_sints, &board->test, "test");
    if (!err)
        err = bus_claim(&vm->mmio, PC_TEST_MMIO, VTESTDEV_MMIO_SIZE, vtestdev_mmio, &board->test, "test");
    return err;
}

/* -- as a BIOS leaves it ---------------------------------------------------------------------------------------- */

static void board_out(struct board *board, bus_handler handler, void *dev, uint64_t port, uint8_t value)
{
    struct bus_access access = {
        .addr = port, .value = value, .now = vm_now(board->vm), .size = 1, .write = true};

    handler(dev, &access);
}

/* ICW1 to ICW4 (8259A): edges, cascaded, 8086 mode; then the mask. */
static void board_leave_pic(struct board *board, bus_handler chip, const uint8_t words[5])
{
    for (uint32_t i = 0; i < 5; i++)
        board_out(board, chip, &board->pic, i > 0, words[i]);
}

void board_leave_bios(struct board *board)
{
    const uint8_t master[] = {0x11, PC_PIC_MASTER_BASE, 0x04, 0x01, PC_PIC_MASTER_MASK};
    const uint8_t slave[] = {0x11, PC_PIC_SLAVE_BASE, 0x02, 0x01, PC_PIC_SLAVE_MASK};

    board_leave_pic(board, vpic_master_ports, master);
    board_leave_pic(board, vpic_slave_ports, slave);
    board_out(board, vpit_ports, &board->pit, 3, 0x36); /* channel 0: square wave, 65536 counts */
    board_out(board, vpit_ports, &board->pit, 0, 0);
    board_out(board, vpit_ports, &board->pit, 0, 0);
}
