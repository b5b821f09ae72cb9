/*
 * Runs in the guest: `serve` sends a stream of AF_VSOCK back to where it comes from, `talk CID` compares, and tries what must fail.
 * `sink` takes what comes; `past CID CID` sends to the first, which is a sink, until that takes no more, then talks to the second, and
 * goes on with the first when it can; and waits for an answer that won't come.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

#define PORT  1234
#define IDLE  1235
#define BYTES (2 << 20)
#define STILL 3000 /* ms without room for more */
#define PIECE 50000

static unsigned char bytes[BYTES], back[BYTES];

static struct sockaddr_vm address(unsigned cid, unsigned port)
{
    struct sockaddr_vm a = {.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};

    return a;
}

static int answer(unsigned port)
{
    struct sockaddr_vm a = address(VMADDR_CID_ANY, port);
    int listener = socket(AF_VSOCK, SOCK_STREAM, 0), s = -1;

    if (!bind(listener, (struct sockaddr *)&a, sizeof(a)) && !listen(listener, 1))
        s = accept(listener, NULL, NULL);
    if (s < 0)
        perror("listen");
    return s;
}

static int serve(void)
{
    int s = answer(PORT);
    ssize_t n, sum = 0;

    while ((n = read(s, bytes, PIECE)) > 0)
        for (ssize_t done = 0, got; done < n; done += got, sum += got)
            if ((got = write(s, bytes + done, n - done)) <= 0)
                return perror("write"), 1;
    printf("served %zd bytes\n", sum);
    return 0;
}

static int dial(unsigned cid, unsigned port)
{
    struct sockaddr_vm a = address(cid, port);
    int s = socket(AF_VSOCK, SOCK_STREAM, 0);

    if (connect(s, (struct sockaddr *)&a, sizeof(a)) == 0)
        return s;
    close(s);
    return -1;
}

/* Both directions at once: the other side would stop reading if nobody took what it writes. */
static void echo(int s)
{
    long sent = 0, taken = 0, wrong = 0;
    ssize_t n;

    while (taken < BYTES) {
        struct pollfd p = {s, POLLIN | (sent < BYTES ? POLLOUT : 0), 0};

        poll(&p, 1, -1);
        if ((p.revents & POLLOUT) &&
            (n = send(s, bytes + sent, BYTES - sent < PIECE ? BYTES - sent : PIECE, MSG_DONTWAIT)) > 0)
            sent += n;
        if (p.revents & (POLLIN | POLLHUP)) {
            if ((n = recv(s, back + taken, BYTES - taken, 0)) <= 0)
                break;
            taken += n;
        }
    }
    for (long i = 0; i < taken; i++)
        wrong += back[i] != bytes[i];
    printf("echoed %ld bytes, %ld wrong\n", taken, wrong);
}

static int dial_until(unsigned cid, unsigned port)
{
    int s;

    while ((s = dial(cid, port)) < 0)
        usleep(100000);
    return s;
}

static void bytes_fill(void)
{
    for (long i = 0; i < BYTES; i++)
        bytes[i] = (unsigned char)(i * 2654435761u >> 11);
}

static int talk(unsigned cid)
{
    int s = dial_until(cid, PORT);

    bytes_fill();
    echo(s);
    dial(cid, PORT + 1);
    printf("no listener: %s\n", strerror(errno));
    dial(cid + 100, PORT);
    printf("no VM: %s\n", strerror(errno));
    close(s);
    return 0;
}

/* What is sent over and over again are `bytes`. */
static int sink(void)
{
    long sum = 0, wrong = 0;
    int s = answer(PORT), idle = answer(IDLE);
    ssize_t n;

    bytes_fill();
    while ((n = read(s, back, sizeof(back))) > 0)
        for (ssize_t i = 0; i < n; i++, sum++)
            wrong += back[i] != bytes[sum % BYTES];
    printf("sank %ld bytes, %ld wrong\n", sum, wrong);
    return (int)read(idle, back, 1);
}

/* Packets of many sizes, until there is no room for so long, or there were so many bytes; returns how many. */
static long pour(int s, long sent, long most)
{
    struct pollfd p = {s, POLLOUT, 0};

    while (sent < most && poll(&p, 1, STILL) > 0) {
        long at = sent % BYTES, len = 1 + sent * 31 % 2000;
        ssize_t n = send(s, bytes + at, BYTES - at < len ? BYTES - at : len, MSG_DONTWAIT);

        if (n < 0 && errno != EAGAIN)
            return perror("send"), sent;
        sent += n > 0 ? n : 0;
    }
    return sent;
}

static int past(unsigned still, unsigned other)
{
    int s = dial_until(still, PORT), idle = dial_until(still, IDLE);
    long sent;

    bytes_fill();
    printf("pours\n");
    sent = pour(s, 0, 1l << 40);
    printf("stands still\n");
    echo(dial_until(other, PORT));
    sent = pour(s, sent, sent + BYTES);
    close(s);
    printf("poured %ld bytes\n", sent);
    sent = read(idle, back, 1);
    printf("its end: %ld %s\n", sent, sent < 0 ? strerror(errno) : "");
    return 0;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 3)
        return past((unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]));
    if (argc > 2)
        return talk((unsigned)atoi(argv[2]));
    return strcmp(argv[1], "sink") ? serve() : sink();
}
