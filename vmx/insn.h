/* The VMX instructions, and what only this back end needs to know of the host's registers. */
#pragma once

#include "core/lib/types.h"

/* A VMREAD or VMWRITE that fails is a bug of ours: panics with the field and the instruction error. */
NORETURN void vmcs_access_failed(uint64_t field);

static inline uint64_t vmread(uint64_t field)
{
    uint64_t value;

    __asm__ goto("vmread %1, %0\n\tjbe %l2" : "=r"(value) : "r"(field) : "cc" : failed);
    return value;
failed:
    vmcs_access_failed(field);
}

/*
 * For the way that every exit takes: fields that this CPU has can't fail to be read and written once another one of the same
 * VMCS was, by vmread.
 */
static inline uint64_t vmread_surely(uint64_t field)
{
    uint64_t value;

    __asm__ volatile("vmread %1, %0" : "=r"(value) : "r"(field) : "cc");
    return value;
}

static inline void vmwrite_surely(uint64_t field, uint64_t value)
{
    __asm__ volatile("vmwrite %1, %0" : : "r"(field), "r"(value) : "cc", "memory");
}

static inline void vmwrite(uint64_t field, uint64_t value)
{
    __asm__ goto("vmwrite %1, %0\n\tjbe %l2" : : "r"(field), "r"(value) : "cc", "memory" : failed);
    return;
failed:
    vmcs_access_failed(field);
}

/* For dumps: a field that this CPU may lack. */
static inline bool vmread_try(uint64_t field, uint64_t *value)
{
    bool failed;

    __asm__ volatile("vmread %2, %1\n\tsetbe %0" : "=qm"(failed), "=r"(*value) : "r"(field) : "cc");
    return !failed;
}

#define VMX_POINTER_INSN(name)                                                                               \
    static inline bool name##_try(hpa_t region)                                                              \
    {                                                                                                        \
        bool failed;                                                                                         \
                                                                                                             \
        __asm__ volatile(#name " %1\n\tsetbe %0" : "=qm"(failed) : "m"(region) : "cc", "memory");            \
        return !failed;                                                                                      \
    }
VMX_POINTER_INSN(vmxon)
VMX_POINTER_INSN(vmclear)
VMX_POINTER_INSN(vmptrld)
#undef VMX_POINTER_INSN

static inline void vmxoff(void)
{
    __asm__ volatile("vmxoff" : : : "cc", "memory");
}

/* SDM 31.3: types of INVEPT and INVVPID. */
#define INV_SINGLE 1ull
#define INV_ALL    2ull

struct inv_descriptor {
    uint64_t context; /* the EPTP or the VPID */
    uint64_t address;
};

static inline void invept(uint64_t type, uint64_t eptp)
{
    struct inv_descriptor d = {eptp, 0};

    __asm__ volatile("invept %0, %1" : : "m"(d), "r"(type) : "cc", "memory");
}

static inline void invvpid(uint64_t type, uint16_t vpid)
{
    struct inv_descriptor d = {vpid, 0};

    __asm__ volatile("invvpid %0, %1" : : "m"(d), "r"(type) : "cc", "memory");
}

struct table_pointer {
    uint16_t limit;
    uint64_t base;
} PACKED;
_Static_assert(sizeof(struct table_pointer) == 10, "operand of SGDT and SIDT");

#define HOST_SELECTOR(name, insn)                                                                            \
    static inline uint16_t host_##name(void)                                                                 \
    {                                                                                                        \
        uint16_t v;                                                                                          \
                                                                                                             \
        __asm__ volatile(insn : "=r"(v));                                                                    \
        return v;                                                                                            \
    }
HOST_SELECTOR(cs, "mov %%cs, %0")
HOST_SELECTOR(ss, "mov %%ss, %0")
HOST_SELECTOR(tr, "str %0")
#undef HOST_SELECTOR

static inline uint64_t host_gdt_base(void)
{
    struct table_pointer p;

    __asm__ volatile("sgdt %0" : "=m"(p));
    return p.base;
}

static inline uint64_t host_idt_base(void)
{
    struct table_pointer p;

    __asm__ volatile("sidt %0" : "=m"(p));
    return p.base;
}
