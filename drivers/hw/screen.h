/* The host's screen as the boot loader handed it over: VGA text, or a framebuffer. Output only. */
#pragma once

#include "core/boot_info.h"

/* Maps the screen and clears it. ERR_NOTFOUND if there is none that can be used. Needs hostmap_device(). */
int screen_init(const struct boot_screen *screen) MUST_CHECK;
/* The same while the boot page tables are in use: for a message with which all ends. */
int screen_init_early(const struct boot_screen *screen) MUST_CHECK;
/* Writes text: CR, LF, TAB and backspace act, escape sequences are left out. ctx is not used. */
void screen_write(void *ctx, const char *bytes, size_t len);
/* One line: for log_replay(), when the screen came up late. */
void screen_line(const char *line, size_t len);
