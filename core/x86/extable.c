#include "core/x86/extable.h"

#include "core/x86/traps.h"

extern const struct extable_entry extable_begin[], extable_end[];

bool extable_fix(struct trap_frame *frame)
{
    size_t count = ((uintptr_t)extable_end - (uintptr_t)extable_begin) / sizeof(extable_begin[0]);

    for (size_t i = 0; i < count; i++)
        if (extable_begin[i].from == frame->rip) {
            frame->rip = extable_begin[i].to;
            return true;
        }
    return false;
}
