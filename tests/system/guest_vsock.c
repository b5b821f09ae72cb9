/* Runs in the guest: `serve` sends a stream of AF_VSOCK back to where it comes from, `talk CID` compares, and tries what must fail. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

#define PORT  1234
#define BYTES (2 << 20)
#define PIECE 50000

static unsigned char bytes[BYTES], back[BYTES];

static struct sockaddr_vm address(unsigned cid, unsigned port)
{
    struct sockaddr_vm a = {.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};

    return a;
}

static int serve(void)
{
    struct sockaddr_vm a = address(VMADDR_CID_ANY, PORT);
    int listener = socket(AF_VSOCK, SOCK_STREAM, 0), s;
    ssize_t n, sum = 0;

    if (bind(listener, (struct sockaddr *)&a, sizeof(a)) || listen(listener, 1))
        return perror("listen"), 1;
    s = accept(listener, NULL, NULL);
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

static int talk(unsigned cid)
{
    int s;

    for (long i = 0; i < BYTES; i++)
        bytes[i] = (unsigned char)(i * 2654435761u >> 11);
    while ((s = dial(cid, PORT)) < 0)
        usleep(100000);
    echo(s);
    dial(cid, PORT + 1);
    printf("no listener: %s\n", strerror(errno));
    dial(cid + 100, PORT);
    printf("no VM: %s\n", strerror(errno));
    close(s);
    return 0;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    return argc > 2 ? talk((unsigned)atoi(argv[2])) : serve();
}
