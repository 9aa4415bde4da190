/* Make a pack of a directory, for tests: packer DIR OUT LEVEL FRAME_BYTES CHUNK_BYTES PIECE_BYTES
 * where files beyond PIECE_BYTES go in in pieces. With LEVEL 0 the index goes to
 * OUT.index. "read OUT PATH" writes one member to standard output; "verify OUT". */
#include "base/ban.h"
#include "base/clock.h"
#include "base/crc64.h"
#include "base/dirlist.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/scope.h"
#include "pack/join.h"
#include "pack/reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct packer {
    struct pack_chunk *chunk;
    struct pack_join *join;
    int out_fd;
    size_t chunk_bytes, piece_bytes;
};

static void die(const struct err *err)
{
    fprintf(stderr, "packer: %s\n", err->text);
    exit(err->kind == ERR_CORRUPT ? 4 : 1);
}

static void end_chunk(struct packer *packer)
{
    struct err err = { 0 };
    pack_chunk_seal(packer->chunk);
    const struct buf *bytes = pack_chunk_bytes(packer->chunk);
    if (file_write_all(packer->out_fd, buf_text(bytes), bytes->len, &err) < 0 ||
        pack_join_add(packer->join, packer->chunk, &err) < 0)
        die(&err);
    pack_chunk_reset(packer->chunk);
}

/* The data of a file by SEEK_DATA; *ret_sparse only where there are holes. */
static void find_extents(int fd, uint64_t size, struct buf *extents, bool *ret_sparse)
{
    off_t at = 0;
    while ((at = lseek(fd, at, SEEK_DATA)) >= 0 && (uint64_t)at < size) {
        const off_t end = lseek(fd, at, SEEK_HOLE);
        const struct pack_extent extent = { .offset_bytes = (uint64_t)at,
                                            .len_bytes = (uint64_t)(end - at) };
        buf_add(extents, &extent, sizeof extent);
        at = end;
    }
    const struct pack_extent *first = (const struct pack_extent *)(const void *)extents->data;
    *ret_sparse = size != 0 && (extents->len != sizeof *first || first->len_bytes != size);
}

static void read_data(int fd, const struct pack_member *member, struct buf *data)
{
    struct err err = { 0 };
    const struct pack_extent whole = { .len_bytes = member->size_bytes };
    const struct pack_extent *extents = member->sparse ? member->extents : &whole;
    const size_t count = member->sparse ? member->extent_count : 1;
    for (size_t i = 0; i < count; i++) {
        const size_t len = (size_t)extents[i].len_bytes;
        buf_reserve(data, len);
        if (file_read_at(fd, extents[i].offset_bytes, data->data + data->len, len, &err) < 0)
            die(&err);
        data->len += len;
    }
}

static void add_file(struct packer *packer, int dir_fd, const char *name,
                     struct pack_member *member)
{
    SCOPED(buf) struct buf extents = { 0 };
    SCOPED(buf) struct buf data = { 0 };
    SCOPED_FD const int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    find_extents(fd, member->size_bytes, &extents, &member->sparse);
    member->extents = (const struct pack_extent *)(const void *)extents.data;
    member->extent_count = member->sparse ? extents.len / sizeof(struct pack_extent) : 0;
    read_data(fd, member, &data);
    if (data.len <= packer->piece_bytes && !member->sparse) {
        member->crc64 = crc64nvme(0, buf_text(&data), data.len);
        pack_chunk_add(packer->chunk, member, buf_text(&data), data.len);
        return;
    }
    size_t at = 0;
    do {
        const size_t take =
            data.len - at < packer->piece_bytes ? data.len - at : packer->piece_bytes;
        pack_chunk_piece(packer->chunk, member, at, buf_text(&data) + at, take);
        at += take;
        if (pack_chunk_size(packer->chunk) >= packer->chunk_bytes)
            end_chunk(packer);
    } while (at != data.len);
}

static void add_dir(struct packer *packer, int fd, const char *path);

static void add_entry(struct packer *packer, int dir_fd, const char *path,
                      const struct dirlist_entry *entry)
{
    struct pack_member member = { .path = path,
                                  .path_len = (uint32_t)strlen(path),
                                  .mode = entry->mode & 07777,
                                  .uid = entry->uid,
                                  .gid = entry->gid,
                                  .mtime_ns = entry->mtime_ns };
    char target[4096];
    if (entry->kind == ENTRY_FILE) {
        member.kind = PACK_FILE;
        member.size_bytes = entry->size_bytes;
        add_file(packer, dir_fd, entry->name, &member);
    } else if (entry->kind == ENTRY_LINK) {
        member.kind = PACK_LINK;
        member.target = target;
        member.target_len = (uint32_t)readlinkat(dir_fd, entry->name, target, sizeof target);
        pack_chunk_add(packer->chunk, &member, NULL, 0);
    } else if (entry->kind == ENTRY_DIR) {
        member.kind = PACK_DIR;
        pack_chunk_add(packer->chunk, &member, NULL, 0);
        add_dir(packer, openat(dir_fd, entry->name, O_RDONLY | O_DIRECTORY), path);
    }
    if (pack_chunk_size(packer->chunk) >= packer->chunk_bytes)
        end_chunk(packer);
}

static void add_dir(struct packer *packer, int fd, const char *path)
{
    struct err err = { 0 };
    struct dirlist *list = NULL;
    struct dirlist_entry entry;
    SCOPED(buf) struct buf below = { 0 };
    const struct dirlist_options options = { .suffix_links = true };
    if (dirlist_read(&list, fd, &options, &err) < 0)
        die(&err);
    int got;
    while ((got = dirlist_next(list, &entry, &err)) == 1) {
        buf_clear(&below);
        buf_add_text(&below, path);
        if (path[0] != '\0')
            buf_add_char(&below, '/');
        buf_add(&below, entry.name, entry.name_len);
        add_entry(packer, fd, below.data, &entry);
    }
    if (got < 0)
        die(&err);
    dirlist_free(list);
    close(fd);
}

static void make(char **argv)
{
    struct err err = { 0 };
    const struct pack_options options = { .level = (int)strtol(argv[3], NULL, 10),
                                          .frame_bytes = (uint32_t)strtoul(argv[4], NULL, 10) };
    const struct pack_info info = { .name = "p", .level = (uint32_t)options.level };
    struct packer packer = { .chunk = pack_chunk_new(&options),
                             .join = pack_join_new(&info, false),
                             .out_fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0666),
                             .chunk_bytes = strtoul(argv[5], NULL, 10),
                             .piece_bytes = strtoul(argv[6], NULL, 10) };
    SCOPED(buf) struct buf tail = { 0 };
    add_dir(&packer, open(argv[1], O_RDONLY | O_DIRECTORY), "");
    end_chunk(&packer);
    if (pack_join_tail(packer.join, &tail, &err) < 0 ||
        file_write_all(packer.out_fd, tail.data, tail.len, &err) < 0)
        die(&err);
    if (options.level == 0) {
        SCOPED(buf) struct buf name = { 0 };
        buf_clear(&tail);
        buf_printf(&name, "%s.index", argv[2]);
        SCOPED_FD const int fd = open(name.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (pack_join_sidecar(packer.join, "e", &tail, &err) < 0 ||
            file_write_all(fd, tail.data, tail.len, &err) < 0)
            die(&err);
    }
    pack_chunk_free(packer.chunk);
    pack_join_free(packer.join);
    close(packer.out_fd);
}

/* ---- reading ---- */

static int read_file(void *from, uint64_t offset, size_t len, struct buf *out, struct err *err)
{
    buf_reserve(out, len);
    if (file_read_at(*(const int *)from, offset, out->data + out->len, len, err) < 0)
        return -1;
    out->len += len;
    return 0;
}

static struct pack *open_pack(const char *path, int *fd)
{
    struct err err = { 0 };
    struct pack *pack = NULL;
    struct stat st;
    SCOPED(buf) struct buf name = { 0 };
    SCOPED(buf) struct buf index = { 0 };
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0 || fstat(*fd, &st) < 0) {
        err_sys(&err, ERR_SOURCE, "open '%s'", path);
        die(&err);
    }
    const struct pack_source source = { .read = read_file,
                                        .from = fd,
                                        .size_bytes = (uint64_t)st.st_size };
    buf_printf(&name, "%s.index", path);
    const bool plain = access(name.data, F_OK) == 0;
    if (plain && file_read(AT_FDCWD, name.data, (size_t)1 << 30, &index, &err) < 0)
        die(&err);
    if (plain ? pack_open_index(&pack, index.data, index.len, &source, &err) < 0
              : pack_open(&pack, &source, &err) < 0)
        die(&err);
    return pack;
}

static int take(void *ctx, const struct pack_member *member, uint64_t offset, const void *bytes,
                size_t len, struct err *err)
{
    static const char zeros[4096];
    uint64_t *at = ctx;
    (void)member;
    for (; *at < offset;) {
        const size_t hole = offset - *at < sizeof zeros ? (size_t)(offset - *at) : sizeof zeros;
        if (file_write_all(STDOUT_FILENO, zeros, hole, err) < 0)
            return -1;
        *at += hole;
    }
    *at += len;
    return len == 0 ? 0 : file_write_all(STDOUT_FILENO, bytes, len, err);
}

static void read_one(const char *path, const char *name)
{
    struct err err = { 0 };
    int fd = -1;
    struct pack *pack = open_pack(path, &fd);
    struct pack_cursor *cursor = pack_cursor_new(pack);
    struct pack_member member;
    uint64_t at = 0;
    const int got = pack_find(cursor, name, strlen(name), &member, &err);
    if (got == 0)
        err_set(&err, ERR_ABSENT, "'%s' is not there", name);
    if (got != 1 || pack_read(cursor, &member, 0, UINT64_MAX, take, &at, &err) < 0 ||
        take(&at, &member, member.size_bytes, NULL, 0, &err) < 0)
        die(&err);
    pack_cursor_free(cursor);
    pack_free(pack);
    close(fd);
}

static void verify(const char *path)
{
    struct err err = { 0 };
    int fd = -1;
    struct pack *pack = open_pack(path, &fd);
    if (pack_verify(pack, &err) < 0)
        die(&err);
    printf("%llu members\n", (unsigned long long)pack_info(pack)->member_count);
    pack_free(pack);
    close(fd);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "read") == 0)
        read_one(argv[2], argv[3]);
    else if (argc == 3 && strcmp(argv[1], "verify") == 0)
        verify(argv[2]);
    else if (argc == 7)
        make(argv);
    else
        return 2;
    return 0;
}
