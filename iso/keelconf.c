/*
 * keelconf FILE: reads a keel.conf as the hypervisor will, on the machine where an image is made. Each fault goes to the
 * standard error as FILE:LINE: SENTENCE, and the status is 1. Without faults it prints the files that the VMs want, each
 * once: its name as a module, a tab, its path. Names are paths relative to FILE.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/boot_info.h"
#include "core/lib/panic.h"
#include "guests/config.h"

#define MAX_FILES (BOOT_MAX_MODULES - 1) /* keel.conf is a module, too */

static struct config config;
static const char *conf; /* path of the file */

static void report(void *ctx, uint32_t line, const char *sentence)
{
    (void)ctx;
    fprintf(stderr, "%s:%u: %s\n", conf, line, sentence);
}

/* Our own assertions end here. */
void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    abort();
}

/* The path of a file that keel.conf names, to be freed. */
static char *path_of(const char *name)
{
    const char *slash = strrchr(conf, '/');
    int directory = slash && name[0] != '/' ? (int)(slash - conf) + 1 : 0;
    char *path;

    if (asprintf(&path, "%.*s%s", directory, conf, name) < 0)
        exit(2);
    return path;
}

static bool is_readable(void *ctx, const char *name)
{
    char *path = path_of(name);
    struct stat status;
    bool readable = stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, R_OK) == 0;

    (void)ctx;
    free(path);
    return readable;
}

/* One byte more than the parser takes is enough for it to see that there are too many. */
static size_t text_read(char *text, size_t size)
{
    FILE *file = fopen(conf, "r");
    size_t len = 0;

    if (file)
        len = fread(text, 1, size, file);
    if (!file || ferror(file)) {
        perror(conf);
        exit(2);
    }
    fclose(file);
    return len;
}

/* Each file once, however many VMs share it. */
static struct {
    uint32_t count;
    const struct config_file *files[MAX_FILES];
} list;

static bool list_has(const char *name)
{
    for (uint32_t i = 0; i < list.count; i++)
        if (strcmp(list.files[i]->name, name) == 0)
            return true;
    return false;
}

/* Returns the number of those that there is no room for. */
static uint32_t list_fill(void)
{
    const struct config_file *file;
    uint32_t faults = 0;

    for (uint32_t vm = 0; vm < config.vm_count; vm++)
        for (uint32_t n = 0; (file = config_file_at(&config.vms[vm], n)); n++) {
            if (list_has(file->name))
                continue;
            if (list.count < MAX_FILES) {
                list.files[list.count++] = file;
                continue;
            }
            fprintf(stderr, "%s:%u: '%s' is one file more than %d\n", conf, file->line, file->name,
                    MAX_FILES);
            faults++;
        }
    return faults;
}

static void list_print(void)
{
    for (uint32_t i = 0; i < list.count; i++) {
        char *path = path_of(list.files[i]->name);

        printf("%s\t%s\n", list.files[i]->name, path);
        free(path);
    }
}

int main(int argc, char **argv)
{
    static char text[CONFIG_TEXT_MAX + 1];
    uint32_t faults;

    if (argc != 2) {
        fputs("usage: keelconf FILE\n", stderr);
        return 2;
    }
    conf = argv[1];
    faults = config_parse(text, text_read(text, sizeof(text)), &config, report, NULL);
    faults += config_check(&config, is_readable, report, NULL);
    faults += list_fill();
    if (faults)
        return 1;
    list_print();
    return fflush(stdout) == 0 ? 0 : 2;
}
