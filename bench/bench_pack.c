/* CPU of packing and unpacking, by one thread, output discarded: bench_pack DIR [LEVEL]
 * Without DIR's files it makes them: 100,000 of 1 to 20 KiB, 1.07 GB, "text" (sensor rows) or
 * "random" by DIR's last component. Reads the tree warm: packs it once before it measures. */
#include "base/ban.h"
#include "base/clock.h"
#include "base/crc64.h"
#include "base/mem.h"
#include "base/scope.h"
#include "pack/join.h"
#include "pack/reader.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRS 100
#define FILES 1000
#define FILE_MAX ((size_t)21 * 1024)
#define CHUNK_BYTES ((size_t)32 << 20)

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static void name_of(char *path, size_t size, int dir, int file)
{
    snprintf(path, size, "d%02d/sensor-%05d.csv", dir, file);
}

static size_t fill(char *bytes, bool text, uint64_t seed)
{
    const size_t want = 1024 + mix(seed) % (19 * 1024);
    size_t len = 0;
    for (uint64_t row = 0; len < want; row++) {
        const uint64_t x = mix(seed * 1000003 + row);
        if (text)
            len += (size_t)snprintf(
                bytes + len, FILE_MAX - len, "2024-03-%02u %02u:%02u:%02u,%u.%u,%u,OK\n",
                (unsigned)(1 + seed % 28), (unsigned)(row / 3600 % 24), (unsigned)(row / 60 % 60),
                (unsigned)(row % 60), (unsigned)(18 + x % 8), (unsigned)(x >> 8) % 10,
                (unsigned)(1010 + (x >> 20) % 4));
        else
            for (int i = 0; i < 8; i++)
                bytes[len++] = (char)(x >> (8 * i));
    }
    return want;
}

static void make_files(const char *dir)
{
    static char bytes[FILE_MAX + 256];
    const bool text = strstr(dir, "random") == NULL;
    mkdir(dir, 0777);
    for (int d = 0; d < DIRS; d++) {
        char path[512];
        snprintf(path, sizeof path, "%s/d%02d", dir, d);
        mkdir(path, 0777);
        for (int f = 0; f < FILES; f++) {
            char name[64];
            name_of(name, sizeof name, d, f);
            snprintf(path, sizeof path, "%s/%s", dir, name);
            SCOPED_FD const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
            const size_t len = fill(bytes, text, (uint64_t)(d * FILES + f + 1));
            if (fd < 0 || write(fd, bytes, len) != (ssize_t)len)
                exit(1);
        }
    }
}

static double cpu_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
           ((double)usage.ru_utime.tv_usec + (double)usage.ru_stime.tv_usec) / 1e6;
}

static void die(const struct err *err)
{
    fprintf(stderr, "%s\n", err->text);
    exit(1);
}

/* keep NULL: discard the bytes. Returns the bytes of content. */
static uint64_t pack_tree(int root_fd, int level, struct buf *keep, bool read_only)
{
    static char bytes[FILE_MAX + 256];
    struct err err = { 0 };
    const struct pack_options options = { .level = level };
    const struct pack_info info = { .name = "bench", .level = (uint32_t)level };
    struct pack_chunk *chunk = pack_chunk_new(&options);
    struct pack_join *join = pack_join_new(&info, true);
    SCOPED(buf) struct buf delta = { 0 };
    SCOPED(buf) struct buf tail = { 0 };
    uint64_t total = 0;
    uint64_t packed = 0;
    for (int i = 0; i < DIRS * FILES; i++) {
        char name[64];
        struct stat st;
        name_of(name, sizeof name, i / FILES, i % FILES);
        SCOPED_FD const int fd = openat(root_fd, name, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0 || read(fd, bytes, sizeof bytes) != st.st_size)
            exit(1);
        total += (uint64_t)st.st_size;
        if (read_only)
            continue;
        const struct pack_member member = { .path = name,
                                            .path_len = (uint32_t)strlen(name),
                                            .kind = PACK_FILE,
                                            .mode = st.st_mode & 07777,
                                            .uid = st.st_uid,
                                            .gid = st.st_gid,
                                            .mtime_ns = clock_from_timespec_ns(st.st_mtim),
                                            .size_bytes = (uint64_t)st.st_size,
                                            .crc64 = crc64nvme(0, bytes, (size_t)st.st_size) };
        pack_chunk_add(chunk, &member, bytes, (size_t)st.st_size);
        if (pack_chunk_size(chunk) < CHUNK_BYTES && i + 1 < DIRS * FILES)
            continue;
        pack_chunk_seal(chunk);
        packed += pack_chunk_bytes(chunk)->len;
        if (keep != NULL)
            buf_add(keep, pack_chunk_bytes(chunk)->data, pack_chunk_bytes(chunk)->len);
        if (pack_join_add(join, chunk, &err) < 0)
            die(&err);
        pack_join_delta(join, &delta);
        pack_chunk_reset(chunk);
    }
    if (!read_only && pack_join_tail(join, keep != NULL ? keep : &tail, &err) < 0)
        die(&err);
    if (!read_only && keep == NULL)
        printf("  %.3f of the size, index and seek table %.1f bytes a member, journal %.1f\n",
               (double)(packed + tail.len) / (double)total, (double)tail.len / (DIRS * FILES),
               (double)delta.len / (DIRS * FILES));
    pack_chunk_free(chunk);
    pack_join_free(join);
    return total;
}

static int read_held(void *from, uint64_t offset, size_t len, struct buf *out, struct err *err)
{
    (void)err;
    buf_add(out, ((struct buf *)from)->data + offset, len);
    return 0;
}

static int take(void *ctx, const struct pack_member *member, uint64_t offset, const void *bytes,
                size_t len, struct err *err)
{
    (void)member;
    (void)offset;
    (void)bytes;
    (void)err;
    *(uint64_t *)ctx += len;
    return 0;
}

static int end(void *ctx, const struct pack_member *member, bool crc_ok, struct err *err)
{
    (void)ctx;
    return crc_ok ? 0 : err_set(err, ERR_CORRUPT, "'%s'", member->path);
}

static void unpack(struct buf *object, uint64_t total)
{
    struct err err = { 0 };
    struct pack *pack = NULL;
    uint64_t got = 0;
    const struct pack_source source = { .read = read_held,
                                        .from = object,
                                        .size_bytes = object->len };
    const struct pack_visitor visitor = { .take = take, .end = end, .ctx = &got };
    const double start = cpu_s();
    if (pack_open(&pack, &source, &err) < 0 || pack_hold_index(pack, &err) < 0)
        die(&err);
    struct pack_cursor *cursor = pack_cursor_new(pack);
    for (uint32_t i = 0; i < pack_block_count(pack); i++) {
        if (pack_visit(cursor, i, &visitor, &err) < 0)
            die(&err);
    }
    if (got != total)
        exit(1);
    const double spent = cpu_s() - start;
    printf("unpack in memory   %.2f s/GB, %.1f us a file\n", spent / (double)total * 1e9,
           spent / (DIRS * FILES) * 1e6);
    pack_cursor_free(cursor);
    pack_free(pack);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    const int level = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 1;
    int root_fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0) {
        make_files(argv[1]);
        root_fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    pack_tree(root_fd, level, NULL, true);
    double start = cpu_s();
    const uint64_t total = pack_tree(root_fd, level, NULL, true);
    const double read_s = cpu_s() - start;
    printf("read               %.2f s/GB\n", read_s / (double)total * 1e9);
    for (int i = 0; i < 2; i++) {
        start = cpu_s();
        pack_tree(root_fd, level, NULL, false);
        const double spent = cpu_s() - start;
        printf("read and pack      %.2f s/GB, %.1f us a file\n", spent / (double)total * 1e9,
               spent / (DIRS * FILES) * 1e6);
    }
    SCOPED(buf) struct buf object = { 0 };
    pack_tree(root_fd, level, &object, false);
    unpack(&object, total);
    close(root_fd);
    return 0;
}
