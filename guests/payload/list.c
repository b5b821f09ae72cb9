/* What a command line's lists hold. */
#include "guests/payload/payload.h"

#include "core/lib/string.h"

bool list_has(const char *list, const char *name)
{
    size_t len = str_len(name);

    while (*list && *list != ' ') {
        if (str_starts(list, name) && (list[len] == ',' || list[len] == ' ' || list[len] == 0))
            return true;
        while (*list && *list != ' ' && *list++ != ',')
            ;
    }
    return false;
}
