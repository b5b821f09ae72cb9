/* Where the host console's lines go: serial port and screen (DESIGN 7). */
#pragma once

#include "boot/options.h"
#include "core/boot_info.h"

/*
 * The serial port that the options name, or COM1: needs nothing but ports, so that the first line can come early. The
 * screen is for boot_fail(), should it be called before output_add_screen().
 */
void output_init(const struct options *options, const struct boot_screen *screen);
/* The screen, with all lines up to now; needs hostmap_device(). */
void output_add_screen(const struct boot_screen *screen);
/* The port that the firmware names in SPCR, if no option says otherwise. */
void output_add_firmware_port(const struct options *options);
/*
 * From now on no core waits for the serial port or the screen: what is written is queued, and the calling core puts it out
 * by interrupts and timers. Typed bytes come by an interrupt, too, and by polling where that can't be.
 */
void output_start(void);
/* Says why Keel can't go on, and ends the machine with a failing status. */
NORETURN void boot_fail(const char *fmt, ...) PRINTF(1, 2);
