/* For a guest: whether a file consists of blocks that are all the same. What is in the first one, others can tell. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int read_whole(int file, char *to, size_t size)
{
    size_t done = 0;

    while (done < size) {
        ssize_t got = read(file, to + done, size - done);

        if (got <= 0)
            break;
        done += (size_t)got;
    }
    return done == size;
}

int main(int argc, char **argv)
{
    size_t size = argc == 3 ? strtoul(argv[2], NULL, 0) : 0;
    char *first = malloc(size), *next = malloc(size);
    int file = argc == 3 ? open(argv[1], O_RDONLY) : -1;
    unsigned long count = 1;

    if (file < 0 || !first || !next || !read_whole(file, first, size))
        return 1;
    while (read_whole(file, next, size)) {
        if (memcmp(first, next, size)) {
            printf("block %lu differs\n", count);
            return 1;
        }
        count++;
    }
    printf("%lu blocks, all as the first\n", count);
    return 0;
}
