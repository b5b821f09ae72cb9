/* Integer and address types, and the few macros that every file uses. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t hpa_t; /* host physical address */
typedef uint64_t gpa_t; /* guest physical address */
typedef uint64_t gva_t; /* guest virtual address */

#define BIT(n)  (1ull << (n))
#define MASK(n) (BIT(n) - 1) /* the low n bits, n < 64 */

#define KiB 1024ull
#define MiB (1024ull * KiB)
#define GiB (1024ull * MiB)

#define PAGE_SHIFT 12
#define PAGE_SIZE  BIT(PAGE_SHIFT)
#define PAGE_MASK  (PAGE_SIZE - 1)
#define SIZE_2M    BIT(21)
#define SIZE_1G    BIT(30)

#define NS_PER_SEC 1000000000ull

#define ALIGN_DOWN(x, a)                ((x) & ~((a)-1))
#define ALIGN_UP(x, a)                  ALIGN_DOWN((x) + ((a)-1), a)
#define IS_ALIGNED(x, a)                (((x) & ((a)-1)) == 0)
#define ARRAY_SIZE(a)                   (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                       ((a) < (b) ? (a) : (b))
#define MAX(a, b)                       ((a) > (b) ? (a) : (b))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define PACKED            __attribute__((packed))
#define NORETURN          __attribute__((noreturn))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define ALWAYS_INLINE     inline __attribute__((always_inline))
#define NOINLINE          __attribute__((noinline)) /* keeps the way that is usual short */
#define MUST_CHECK        __attribute__((warn_unused_result))
#define LIKELY(x)         __builtin_expect(!!(x), 1)
#define UNLIKELY(x)       __builtin_expect(!!(x), 0)
