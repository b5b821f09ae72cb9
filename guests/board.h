/* The virtual PC's board: the device models, at which ports and pins they sit, and what each vCPU sees of them. */
#pragma once

#include "core/console.h"
#include "core/vm.h"
#include "drivers/virt/vdebug.h"
#include "drivers/virt/vexit.h"
#include "drivers/virt/vfwcfg.h"
#include "drivers/virt/vhostbridge.h"
#include "drivers/virt/vhpet.h"
#include "drivers/virt/vioapic.h"
#include "drivers/virt/vkbc.h"
#include "drivers/virt/vlapic.h"
#include "drivers/virt/vpci.h"
#include "drivers/virt/vpciconf.h"
#include "drivers/virt/vpic.h"
#include "drivers/virt/vpit.h"
#include "drivers/virt/vpiix.h"
#include "drivers/virt/vpm.h"
#include "drivers/virt/vreset.h"
#include "drivers/virt/vrtc.h"
#include "drivers/virt/vtestdev.h"
#include "drivers/virt/vtext.h"
#include "drivers/virt/vuart.h"
#include "guests/acpi_loader.h"
#include "guests/board_virtio.h"
#include "guests/config.h"
#include "guests/e820.h"
#include "guests/platform.h"

struct board;

/* A vCPU's own part. */
struct board_cpu {
    struct board *board;
    struct vcpu *vcpu;
    struct vlapic lapic;
    bool from_pic; /* where the vector that peek gave last came from */
};

struct board {
    struct vm *vm;
    struct vpic pic;
    struct vioapic ioapic;
    struct vpit pit;
    struct vhpet hpet;
    struct vrtc rtc;
    struct vuart com1, com2;
    struct vpm pm;
    struct vkbc kbc;
    struct vreset reset;
    struct vdebug debug, firmware_log;
    struct vtext text;
    struct vexit exit; /* this and the test device: only with debug_exit */
    struct vtestdev test;
    struct vfwcfg fwcfg;
    struct acpi_files *acpi;                  /* of fwcfg; NULL without firmware */
    uint8_t map_file[2 * 20], sercon_file[8]; /* of fwcfg */
    struct vpciconf pci;
    struct vpci_bus pci_bus;
    gpa_t window, window_end;         /* of it, above RAM */
    uint32_t pci_wires[PC_PCI_WIRES]; /* the slots that hold each wire, a bit each */
    struct vpcifixed bridge;
    struct vpiix piix; /* only with firmware */
    struct board_virtio virtio;
    struct board_shmem shmem;
    struct console_vm console;
    uint64_t (*host_now)(void);
    void (*console_changed)(void);
    uint64_t heard; /* host time of the last output on a console, or of the start */
    bool loss_told; /* that output was lost */
    enum config_keyboard keyboard;
    bool com1_used, text_used; /* the guest has put something out there since its reset */
    bool renamed;              /* it has given a LAPIC another id since then */
    struct board_cpu cpus[];
};

struct board_config {
    uint64_t unix_time; /* wall clock at VM time 0 */
    bool x2apic, tsc_deadline;
    bool debug_exit; /* the test exit port and the test device are there */
    enum config_keyboard keyboard;
    const struct acpi_guest
        *acpi; /* for firmware, which is told by fw_cfg; NULL: the VM starts with a kernel */
    uint32_t phys_bits;
    gpa_t window, window_end; /* for PCI, above RAM */
    const struct board_devices *devices;
    uint64_t (*host_now)(void);    /* host time in ns, for the console */
    void (*console_changed)(void); /* an unfinished line waits to be shown (console_deadline) */
};

/* Bytes of a board for so many vCPUs. */
size_t board_size(uint32_t vcpus, bool debug_exit, bool firmware);
/*
 * Puts the devices on the VM's buses and gives each vCPU its interrupt controller; `board` is zeroed memory of the VM's.
 * Returns 0 or what went wrong; board_remove is due in both cases.
 */
int board_init(struct board *board, struct vm *vm, const struct board_config *config) MUST_CHECK;
/* Before the VM goes: gives back what the board has taken elsewhere; its own memory is the caller's. */
void board_remove(struct board *board);
/* The first slot of the PCI bus without a function. */
uint32_t board_free_slot(const struct board *board);
/* What a device of the board shows on the VM's console. */
void board_console_write(struct board *board, const uint8_t *bytes, size_t len);
/* What devices hold back for the console: the VM ends. */
void board_flush(struct board *board);
/* All devices as after power-on, at VM time 0; memory sizes go into CMOS. */
void board_reset(struct board *board);
/* Then: interrupt controller and timer as a BIOS leaves them, for kernels that may count on that. */
void board_leave_bios(struct board *board);

/* Parts of board_init that are apart (guests/board_bios.c): the firmware configuration device; the test exit port and device. */
int board_init_fwcfg(struct board *board, const struct acpi_guest *acpi) MUST_CHECK;
int board_init_test(struct board *board, irq_set set) MUST_CHECK;
