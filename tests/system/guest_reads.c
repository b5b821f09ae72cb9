/* Runs in the guest: so many reads of 4 KiB from a disk, one after another and past the page cache. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BLOCK  4096
#define BLOCKS 1024

int main(int argc, char **argv)
{
    static unsigned char bytes[BLOCK] __attribute__((aligned(BLOCK)));
    int fd = open("/dev/vda", O_RDONLY | O_DIRECT), count = argc > 1 ? atoi(argv[1]) : 0;

    for (int i = 0; i < count; i++)
        if (pread(fd, bytes, BLOCK, (off_t)(i * 37 % BLOCKS) * BLOCK) != BLOCK)
            return perror("read"), 1;
    return 0;
}
