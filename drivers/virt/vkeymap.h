/* Characters as a US keyboard has them on its keys, by the make codes of scan code set 2; and these in set 1. */
#pragma once

#include "core/lib/types.h"

#define VKEY_SHIFT 0x12
#define VKEY_CTRL  0x14

struct vkey {
    uint8_t code;  /* 0: there is no such key */
    bool extended; /* E0 in front */
    bool shift, ctrl;
};

/* The key for a character, control characters included. */
struct vkey vkeymap_char(uint8_t c);
/*
 * The key that a terminal means by an escape sequence, of which `text` holds the first bytes. *used: how many of them it takes; 0: it
 * may be one whose end is still to come. What is none is the key Esc by itself.
 */
struct vkey vkeymap_escape(const uint8_t *text, uint32_t len, uint32_t *used);
/* A code of set 2 as the 8042 translates it to set 1. */
uint8_t vkeymap_set1(uint8_t code);
