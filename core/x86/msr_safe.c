#include "core/x86/msr_safe.h"

#include "core/x86/extable.h"

/* `failed` is set first and cleared behind the instruction: a fault skips the clearing. */

bool rdmsr_safe(uint32_t msr, uint64_t *value)
{
    uint32_t lo = 0, hi = 0, failed;

    __asm__ volatile("mov $1, %[failed]\n"
                     "1:\trdmsr\n\t"
                     "xor %[failed], %[failed]\n"
                     "2:\n\t" EXTABLE("1b", "2b")
                     : [failed] "=&r"(failed), "+a"(lo), "+d"(hi)
                     : "c"(msr)
                     : "cc");
    if (failed)
        return false;
    *value = (uint64_t)hi << 32 | lo;
    return true;
}

bool wrmsr_safe(uint32_t msr, uint64_t value)
{
    uint32_t failed;

    __asm__ volatile("mov $1, %[failed]\n"
                     "1:\twrmsr\n\t"
                     "xor %[failed], %[failed]\n"
                     "2:\n\t" EXTABLE("1b", "2b")
                     : [failed] "=&r"(failed)
                     : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "cc", "memory");
    return !failed;
}

bool read_safe(uint64_t addr, uint64_t *value)
{
    uint64_t v = 0;
    uint32_t failed;

    __asm__ volatile("mov $1, %[failed]\n"
                     "1:\tmov (%[addr]), %[v]\n\t"
                     "xor %[failed], %[failed]\n"
                     "2:\n\t" EXTABLE("1b", "2b")
                     : [failed] "=&r"(failed), [v] "+&r"(v)
                     : [addr] "r"(addr)
                     : "cc", "memory");
    if (failed)
        return false;
    *value = v;
    return true;
}
