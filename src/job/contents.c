#include "job/contents.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"

#include <search.h>
#include <stdlib.h>

struct contents {
    struct archived archived;
    struct archive_member member;
    char *inside;
    bool recursive;
    bool found;
    void *seen; /* names of directories that were told, as a tree of search.h */
    struct buf rel;
};

int contents_open(struct contents **ret_contents, const struct archived_place *place,
                  const struct contents_options *options, struct err *err)
{
    struct contents *contents = mem_alloc(sizeof *contents);
    if (archived_open(&contents->archived, place->archive, &options->opening, NULL,
                      &options->limits, place->inside, err) < 0) {
        mem_release(contents);
        return -1;
    }
    contents->inside = mem_string(place->inside);
    contents->recursive = options->recursive;
    *ret_contents = contents;
    return 0;
}

static void release(void *name)
{
    mem_release(name);
}

void contents_close(struct contents *contents)
{
    archived_done(&contents->archived);
    archive_member_done(&contents->member);
    buf_done(&contents->rel);
    tdestroy(contents->seen, release);
    mem_release(contents->inside);
    mem_release(contents);
}

static int compare(const void *left, const void *right)
{
    return strcmp(left, right);
}

/* Is it new? One level shows each directory once. */
static bool see(struct contents *contents, const char *name)
{
    if (tfind(name, &contents->seen, compare) != NULL)
        return false;
    tsearch(mem_string(name), &contents->seen, compare);
    return true;
}

static void fill(struct contents *contents, struct object *object, bool is_dir)
{
    object->size_bytes = is_dir ? 0 : contents->member.size_bytes;
    object->attr = contents->member.attr;
    object->stored_ns = 0;
    object->etag[0] = '\0';
    if (is_dir && contents->member.attr.kind != ENTRY_DIR)
        object->attr = (struct attr){ .kind = ENTRY_DIR };
}

/* The member, if it is to be told. */
static bool tell(struct contents *contents, struct object *object)
{
    struct err ignored = { 0 };
    const char *rest = NULL;
    const bool is_dir = contents->member.attr.kind == ENTRY_DIR;
    buf_clear(&object->key);
    /* A name that is no path is shown as it is. */
    if (archive_path_rel(&contents->member.path, &contents->rel, &ignored) < 0) {
        contents->found = true;
        buf_add_text(&object->key, buf_text(&contents->member.path));
        fill(contents, object, is_dir);
        return contents->inside[0] == '\0';
    }
    if (!archive_is_inside(buf_text(&contents->rel), contents->inside, &rest))
        return false;
    contents->found = true;
    if (rest[0] == '\0' && is_dir)
        return false;
    if (rest[0] == '\0') {
        char *base = path_base(buf_text(&contents->rel));
        buf_add_text(&object->key, base);
        mem_release(base);
        fill(contents, object, false);
        return true;
    }
    const char *slash = strchr(rest, '/');
    const bool cut = !contents->recursive && slash != NULL;
    buf_add(&object->key, rest, cut ? (size_t)(slash - rest) : strlen(rest));
    if (is_dir || cut)
        buf_add_char(&object->key, '/');
    fill(contents, object, is_dir || cut);
    return contents->recursive || !(is_dir || cut) || see(contents, object->key.data);
}

int contents_next(struct contents *contents, struct object *object, struct err *err)
{
    int got;
    while ((got = archive_in_next(contents->archived.in, &contents->member, err)) == 1)
        if (tell(contents, object))
            return 1;
    if (got == 0)
        got = archived_verify(&contents->archived, err);
    if (got == 0 && !contents->found && contents->inside[0] != '\0')
        return err_set(err, ERR_ABSENT, "the archive has no member '%s'", contents->inside);
    return got;
}
