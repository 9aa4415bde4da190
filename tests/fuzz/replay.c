/* Feeds each file of a corpus to a fuzz target, and mutations of it: the same ones in each run.
 * Usage: replay_X CORPUS_DIR | FILE...; a file by itself is fed once, to look at a crash. */
#include "base/ban.h"
#include "base/buf.h"
#include "base/clock.h"
#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MUTATIONS_PER_FILE 2000
#define GROWTH_MAX 4096
/* For the whole corpus. A slow machine or a sanitizer gets through fewer mutations, not others. */
#define BUDGET_NS (2 * NS_PER_S)

static uint64_t next_random(uint64_t *state) /* splitmix64 */
{
    uint64_t mix = *state += UINT64_C(0x9e3779b97f4a7c15);
    mix = (mix ^ mix >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mix = (mix ^ mix >> 27) * UINT64_C(0x94d049bb133111eb);
    return mix ^ mix >> 31;
}

static size_t random_below(uint64_t *state, size_t limit)
{
    return limit == 0 ? 0 : (size_t)(next_random(state) % limit);
}

static void insert(struct buf *bytes, size_t at, uint64_t *state)
{
    const size_t from = random_below(state, bytes->len);
    const size_t len = 1 + random_below(state, bytes->len - from < 64 ? bytes->len - from : 64);
    if (bytes->len == 0 || from + len > bytes->len || bytes->len > GROWTH_MAX) {
        buf_add_char(bytes, (char)next_random(state));
        return;
    }
    buf_reserve(bytes, len);
    char piece[64];
    memcpy(piece, bytes->data + from, len);
    memmove(bytes->data + at + len, bytes->data + at, bytes->len - at);
    memcpy(bytes->data + at, piece, len);
    bytes->len += len;
}

static void mutate(struct buf *bytes, uint64_t *state)
{
    static const unsigned char edges[] = { 0, 1, 0x7f, 0x80, 0xfe, 0xff, '\n', '/' };
    const size_t at = random_below(state, bytes->len);
    const uint64_t kind = next_random(state) % 8;
    if (kind == 0 || bytes->len == 0) {
        insert(bytes, at, state);
    } else if (kind == 1) {
        buf_cut(bytes, at);
    } else if (kind == 2) {
        memmove(bytes->data + at, bytes->data + at + 1, bytes->len - at - 1);
        buf_cut(bytes, bytes->len - 1);
    } else if (kind == 3) {
        bytes->data[at] = (char)edges[next_random(state) % sizeof(edges)];
    } else if (kind == 4) {
        bytes->data[at] = (char)next_random(state);
    } else {
        bytes->data[at] = (char)(bytes->data[at] ^ 1 << next_random(state) % 8);
    }
}

/* A copy of exactly the size, so that a sanitizer sees the first byte too many. */
static void feed(const struct buf *bytes)
{
    uint8_t *copy = malloc(bytes->len == 0 ? 1 : bytes->len);
    if (copy == NULL)
        abort();
    if (bytes->len != 0)
        memcpy(copy, bytes->data, bytes->len);
    LLVMFuzzerTestOneInput(copy, bytes->len);
    free(copy);
}

static unsigned feed_mutations(const struct buf *bytes, int64_t until_ns)
{
    uint64_t state = bytes->len;
    unsigned count = 0;
    struct buf mutant = { 0 };
    for (; count < MUTATIONS_PER_FILE && clock_monotonic_ns() < until_ns; count++) {
        buf_clear(&mutant);
        if (bytes->len != 0)
            buf_add(&mutant, bytes->data, bytes->len);
        for (uint64_t changes = 1 + next_random(&state) % 4; changes > 0; changes--)
            mutate(&mutant, &state);
        feed(&mutant);
    }
    buf_done(&mutant);
    return count;
}

static void read_file(int dir_fd, const char *name, struct buf *bytes)
{
    buf_clear(bytes);
    const int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        perror(name);
        exit(1);
    }
    char chunk[4096];
    ssize_t got;
    while ((got = read(fd, chunk, sizeof(chunk))) > 0)
        buf_add(bytes, chunk, (size_t)got);
    close(fd);
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void replay_corpus(const char *path)
{
    struct dirent **entries = NULL;
    const int count = scandir(path, &entries, visible, alphasort);
    const int dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (count <= 0 || dir_fd < 0) {
        fprintf(stderr, "%s: no corpus\n", path);
        exit(1);
    }
    const int64_t start_ns = clock_monotonic_ns();
    unsigned mutations = 0;
    struct buf bytes = { 0 };
    for (int i = 0; i < count; i++) {
        read_file(dir_fd, entries[i]->d_name, &bytes);
        feed(&bytes);
        mutations += feed_mutations(&bytes, start_ns + BUDGET_NS / count * (i + 1));
        free(entries[i]);
    }
    printf("%d files, %u mutations\n", count, mutations);
    free(entries);
    buf_done(&bytes);
    close(dir_fd);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s CORPUS_DIR | FILE...\n", argv[0]);
        return 2;
    }
    struct stat st;
    if (stat(argv[1], &st) == 0 && S_ISDIR(st.st_mode)) {
        replay_corpus(argv[1]);
        return 0;
    }
    struct buf bytes = { 0 };
    for (int i = 1; i < argc; i++) {
        read_file(AT_FDCWD, argv[i], &bytes);
        feed(&bytes);
    }
    buf_done(&bytes);
    return 0;
}
