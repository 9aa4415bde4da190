/* An archive of anybody: read, and unpacked into a directory: nothing beside that changes, no
 * temporary file stays, and what ends it is one of the errors that are promised. The first byte
 * says whether what is there is overwritten, and whether only a part is wanted. */
#include "base/ban.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"
#include "fuzz.h"
#include "fuzz_file.h"
#include "pack/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#define CANARY "the canary sings"

static void require(bool promise)
{
    if (!promise)
        abort();
}

struct bytes {
    const uint8_t *data;
    size_t size;
};

static int read_bytes(void *from, uint64_t offset_bytes, void *bytes, size_t len, size_t *ret_len,
                      struct err *err)
{
    const struct bytes *all = from;
    (void)err;
    const size_t left = offset_bytes < all->size ? all->size - (size_t)offset_bytes : 0;
    *ret_len = len < left ? len : left;
    if (*ret_len != 0)
        memcpy(bytes, all->data + offset_bytes, *ret_len);
    return 0;
}

static void tell(void *to, enum unpack_outcome outcome, const char *rel, uint64_t size_bytes,
                 const struct err *err)
{
    (void)to;
    (void)size_bytes;
    require(rel != NULL);
    require((err != NULL) == (outcome == UNPACK_SKIPPED || outcome == UNPACK_FAILED));
    require(err == NULL || (err->kind != ERR_NONE && err->text[0] != '\0'));
}

static int bring(struct unpack *unpack, struct archive_in *in, const struct archive_member *member,
                 struct err *err)
{
    SCOPED(buf) struct buf rel = { 0 };
    SCOPED(buf) struct buf target = { 0 };
    struct err why = { 0 };
    if (archive_path_rel(&member->path, &rel, &why) < 0) {
        unpack_refuse(unpack, buf_text(&member->path), &why);
        return 0;
    }
    if (rel.len == 0)
        return 0;
    require(path_rel_ok(rel.data));
    if (!member->is_hard_link)
        return unpack_member(unpack, in, member, rel.data, err);
    if (archive_path_rel(&member->target, &target, &why) < 0) {
        unpack_refuse(unpack, rel.data, &why);
        return 0;
    }
    return unpack_hard_link(unpack, member, rel.data, buf_text(&target), err);
}

static void unpack_all(const struct archive_source *source, int root_fd, bool overwrite,
                       const char *inside)
{
    static const struct archive_limits limits = { .members = 500,
                                                  .ratio = 100,
                                                  .free_bytes = 1 << 20 };
    const struct unpack_options options = {
        .root_fd = root_fd, .tag = "fuzz", .overwrite = overwrite, .tell = tell
    };
    struct err err = { 0 };
    struct archive_in *in = NULL;
    struct archive_member member = { 0 };
    struct unpack *unpack = NULL;
    require(unpack_new(&unpack, &options, &err) == 0);
    int got = archive_in_open(&in, source, &limits, inside, &err);
    if (got == 0)
        while ((got = archive_in_next(in, &member, &err)) == 1)
            if ((got = bring(unpack, in, &member, &err)) < 0)
                break;
    require(got == 0 || err.kind == ERR_CORRUPT || err.kind == ERR_LIMIT);
    err_clear(&err);
    require(unpack_finish(unpack, &err) == 0);
    unpack_free(unpack);
    archive_in_close(in);
    archive_member_done(&member);
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    require(!stage_is_temporary(path + at->base));
    require((type == FTW_DP ? rmdir(path) : unlink(path)) == 0);
    return 0;
}

/* A directory that its own mode closes is opened, so that it can be emptied. */
static int open_up(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)at;
    if (type == FTW_D || type == FTW_DNR)
        (void)!chmod(path, 0700);
    return 0;
}

static void check_canary(void)
{
    char text[64] = "";
    SCOPED_FD const int fd = openat(fuzz_dir(), "canary", O_RDONLY | O_CLOEXEC);
    struct stat st;
    require(fd >= 0 && read(fd, text, sizeof text - 1) == (ssize_t)strlen(CANARY));
    require(strcmp(text, CANARY) == 0 && fstat(fd, &st) == 0 && st.st_nlink == 1);
    require(faccessat(fuzz_dir(), "x", F_OK, AT_SYMLINK_NOFOLLOW) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 1 << 17)
        return 0;
    struct bytes bytes = { data + 1, size - 1 };
    const struct archive_source source = { .from = &bytes,
                                           .size_bytes = bytes.size,
                                           .read = read_bytes };
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d/dest", fuzz_dir());
    fuzz_write("canary", CANARY, strlen(CANARY));
    require(mkdirat(fuzz_dir(), "dest", 0700) == 0);
    SCOPED_FD const int root_fd = openat(fuzz_dir(), "dest", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    require(root_fd >= 0 && symlinkat("../canary", root_fd, "link") == 0);
    unpack_all(&source, root_fd, (data[0] & 1) != 0, (data[0] & 2) != 0 ? "d/" : "");
    check_canary();
    (void)nftw(path, open_up, 8, FTW_PHYS);
    require(nftw(path, visit, 8, FTW_PHYS | FTW_DEPTH) == 0);
    return 0;
}
