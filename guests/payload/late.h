/* How late something is, many times: what is usual, and the worst. */
#pragma once

#include "guests/payload/payload.h"

#define LATE_WARM_UP 20 /* the first ones don't count */

void late_begin(void);
/* One more, in ticks. */
void late_note(uint64_t ticks);
/* A number below `below`, at most 65536: the same ones after each late_begin(). */
uint32_t late_random(uint32_t below);
/* Prints what was found, and wants the worst within twice the median. */
void late_judge(const char *what);
