"""The text that Keel drew into a framebuffer, read back with its own font (drivers/hw/font.c, drivers/hw/raster.h)."""
import os
import re

import images

CELL_WIDTH, CELL_HEIGHT = 8, 16
COLUMNS, ROWS = 5, 8        # of a glyph, in the middle of its cell
LEFT = (CELL_WIDTH - COLUMNS) // 2


def font():
    """Glyphs, as the tuples of their rows, and the characters that they are."""
    with open(os.path.join(images.TOP, "drivers", "hw", "font.c")) as file:
        rows = re.findall(r"^    \{(0x[0-9a-f, x]+)\}", file.read(), re.M)
    return {tuple(int(number, 16) for number in row.split(",")): chr(ord(" ") + code) for code, row in enumerate(rows)}


def cell(picture, row, column):
    """The glyph at one place of the screen: each of its rows is two lines of pixels."""
    width, _, pixels = picture
    glyph = []
    for line in range(0, CELL_HEIGHT, CELL_HEIGHT // ROWS):
        start = ((row * CELL_HEIGHT + line) * width + column * CELL_WIDTH + LEFT) * 3
        bits = pixels[start:start + COLUMNS * 3:3]
        glyph.append(sum((bit != 0) << (COLUMNS - 1 - number) for number, bit in enumerate(bits)))
    return tuple(glyph)


def lines(picture):
    characters = font()
    width, height, _ = picture
    return ["".join(characters.get(cell(picture, row, column), "\0") for column in range(width // CELL_WIDTH)).rstrip()
            for row in range(height // CELL_HEIGHT)]
