/*
 * Runs in the guest: threads spin on all CPUs but the first, where memory is unmapped from under them, and barriers are asked of
 * them all at once. Both interrupt the others' CPUs, or leave that to whoever runs them. Prints how long each took.
 *
 *     program flushes|barriers COUNT
 */
#define _GNU_SOURCE
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile int ready, over;

static void stay_on(long cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set))
        perror("sched_setaffinity"), exit(1);
}

static void *spin(void *cpu)
{
    stay_on((long)cpu);
    __atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
    while (!over)
        ;
    return NULL;
}

static void flush(void)
{
    volatile char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        perror("mmap"), exit(1);
    page[0] = 1;
    munmap((void *)page, 4096);
}

static void barrier(void)
{
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0))
        perror("membarrier"), exit(1);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN), count = argc > 2 ? atol(argv[2]) : 0;
    void (*what)(void) = argc > 1 && !strcmp(argv[1], "flushes") ? flush : barrier;
    pthread_t threads[16];
    double start;

    stay_on(0);
    syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
    for (long cpu = 1; cpu < cpus && cpu < 16; cpu++)
        pthread_create(&threads[cpu], NULL, spin, (void *)cpu);
    while (ready < cpus - 1)
        sched_yield();
    start = now();
    for (long i = 0; i < count; i++)
        what();
    printf("%ld in %.0f us\n", count, (now() - start) * 1e6);
    over = 1;
    for (long cpu = 1; cpu < cpus && cpu < 16; cpu++)
        pthread_join(threads[cpu], NULL);
    return 0;
}
