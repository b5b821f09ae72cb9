#include "core/lib/scale.h"

/*
 * Divides to_hz by from_hz bit by bit, one more fraction bit each round, until the quotient fills 64 bits:
 * what the compiler's own 128-bit division would need a library for.
 */
struct scale scale_make(uint64_t from_hz, uint64_t to_hz)
{
    struct scale s = {.mult = to_hz / from_hz, .shift = 0};
    uint64_t rest = to_hz % from_hz;

    while (s.shift < 63 && (s.mult & BIT(63)) == 0) {
        rest <<= 1;
        s.mult = s.mult << 1 | (rest >= from_hz);
        if (rest >= from_hz)
            rest -= from_hz;
        s.shift++;
    }
    return s;
}
