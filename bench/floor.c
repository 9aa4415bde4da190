/* The least that any client can do for small files and large ones, to set a figure against: threads
 * that open, look at, read and digest a file, send it as one PUT by plain system calls, read the
 * answer, look again and close. No library, no signature (the bucket must be open to all), no
 * retry, no record, one write and one read a request; parts of large files are sent as objects of
 * their own.
 *
 *     floor HOST PORT BUCKET THREADS PART_BYTES DIR      (the files of one level of directories)
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PIECE = 128 * 1024 };

struct item {
    char path[512];
    off_t offset, size;
};

static struct item *items;
static size_t count, room;
static atomic_size_t next;
static const char *host, *bucket;
static int port;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void add(const char *path, off_t part)
{
    struct stat st;
    if (stat(path, &st) != 0)
        fail(path);
    for (off_t at = 0; at < st.st_size || at == 0; at += part) {
        if (count == room)
            items = realloc(items, (room = room * 2 + 1024) * sizeof *items);
        struct item *item = &items[count++];
        snprintf(item->path, sizeof item->path, "%s", path);
        item->offset = at;
        item->size = st.st_size - at < part ? st.st_size - at : part;
    }
}

static void walk(const char *dir, off_t part)
{
    struct dirent **names;
    const int n = scandir(dir, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]->d_name);
        struct stat st;
        if (names[i]->d_name[0] != '.' && stat(path, &st) == 0)
            S_ISDIR(st.st_mode) ? walk(path, part) : add(path, part);
        free(names[i]);
    }
    free(names);
}

static int dial(void)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    inet_pton(AF_INET, host, &to.sin_addr);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        fail("connect");
    return fd;
}

static void send_all(int fd, const char *bytes, size_t len)
{
    while (len != 0) {
        const ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent <= 0)
            fail("send");
        bytes += sent;
        len -= (size_t)sent;
    }
}

static void put(int socket_fd, const struct item *item, char *buffer)
{
    struct stat before;
    struct stat after;
    const int fd = open(item->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &before) != 0)
        fail(item->path);
    int head =
        snprintf(buffer, 1024,
                 "PUT /%s/floor%s.%lld HTTP/1.1\r\nHost: %s:%d\r\nContent-Length: %lld\r\n\r\n",
                 bucket, item->path, (long long)item->offset, host, port, (long long)item->size);
    SHA256_CTX sha;
    SHA256_Init(&sha);
    off_t done = 0;
    do {
        const size_t want = item->size - done < PIECE ? (size_t)(item->size - done) : PIECE;
        if (pread(fd, buffer + head, want, item->offset + done) != (ssize_t)want)
            fail(item->path);
        SHA256_Update(&sha, buffer + head, want);
        send_all(socket_fd, buffer, (size_t)head + want);
        head = 0;
        done += (off_t)want;
    } while (done < item->size);
    unsigned char digest[32];
    SHA256_Final(digest, &sha);
    const ssize_t got = recv(socket_fd, buffer, 4096, 0);
    if (got < 12 || memcmp(buffer + 9, "200", 3) != 0) {
        fprintf(stderr, "%.*s\n", (int)got, buffer);
        exit(1);
    }
    if (stat(item->path, &after) != 0 || after.st_mtime != before.st_mtime)
        fail(item->path);
    close(fd);
}

static void *work(void *arg)
{
    (void)arg;
    char *buffer = malloc(PIECE + 1024);
    const int fd = dial();
    for (size_t i = atomic_fetch_add(&next, 1); i < count; i = atomic_fetch_add(&next, 1))
        put(fd, &items[i], buffer);
    close(fd);
    free(buffer);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: floor HOST PORT BUCKET THREADS PART_BYTES DIR\n");
        return 2;
    }
    host = argv[1];
    port = atoi(argv[2]);
    bucket = argv[3];
    const int threads = atoi(argv[4]);
    walk(argv[6], atoll(argv[5]));
    pthread_t ids[256];
    for (int i = 0; i < threads; i++)
        if (pthread_create(&ids[i], NULL, work, NULL) != 0)
            fail("pthread_create");
    for (int i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    return 0;
}
