/* The host's screen as the boot loader handed it over: VGA text, or a framebuffer. Output only. */
#pragma once

#include "core/boot_info.h"

/* Maps the screen and clears it. ERR_NOTFOUND if there is none that can be used. Needs hostmap_device(). */
int screen_init(const struct boot_screen *screen) MUST_CHECK;
/* The same while the boot page tables are in use: for a message with which all ends. */
int screen_init_early(const struct boot_screen *screen) MUST_CHECK;
/* Writes text: CR, LF, TAB and backspace act, escape sequences are left out. ctx is not used. */
void screen_write(void *ctx, const char *bytes, size_t len);
/*
 * From now on what is written is drawn by screen_draw(): drawing all of a screen takes as long as some guests' slices.
 * `later` is called when there is something to draw.
 */
void screen_set_later(void (*later)(void));
/* Draws a part of it; true if nothing is left. */
bool screen_draw(void);
/* Draws all of it. `last`: other cores are stopped; no locks from now on, and what is written is drawn at once. */
void screen_flush(void *ctx, bool last);
/* One line: for log_replay(), when the screen came up late. */
void screen_line(const char *line, size_t len);
