/* INVD and WBINVD pass, and lose no data of a virtual machine. */
#include "guests/payload/payload.h"

#include "core/event.h"

void test_cache(void)
{
    volatile uint64_t *word = (volatile uint64_t *)ARENA;

    *word = 0x1234567890abcdef;
    expect("cache.wbinvd", TRAP_OF("wbinvd"), NO_TRAP);
    expect("cache.wbinvd-data", *word, 0x1234567890abcdef);
    if (on_keel) { /* on a real machine this would throw away what isn't in memory yet */
        *word = 0xfedcba0987654321;
        expect("cache.invd", TRAP_OF("invd"), NO_TRAP);
        expect("cache.invd-data", *word, 0xfedcba0987654321);
    } else {
        skip("cache.invd", "not on Keel");
    }
    expect("cache.wbinvd-user", USER_TRAP_OF("wbinvd"), EXC_GP);
    expect("cache.invd-user", USER_TRAP_OF("invd"), EXC_GP);
}
