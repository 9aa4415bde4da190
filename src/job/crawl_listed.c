/* Names that somebody else collected, in the order of the walk: a list (--files-from), of which
 * each is looked at, and a listing, which says itself what they are. */
#include "base/ban.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/crawl_internal.h"
#include "job/listing_read.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* ---- files-from ---- */

int crawl_next_in_list(struct crawl *crawl, struct crawl_item *ret_item, struct err *err)
{
    for (;;) {
        struct dirlist_entry entry;
        const int got = dirlist_next(crawl->names, &entry, err);
        if (got <= 0)
            return got;
        if (crawl->last_name.len == entry.name_len && entry.name_len != 0 &&
            memcmp(crawl->last_name.data, entry.name, entry.name_len) == 0)
            continue;
        buf_clear(&crawl->last_name);
        buf_add(&crawl->last_name, entry.name, entry.name_len);
        buf_clear(&crawl->name);
        buf_add(&crawl->name, entry.name, entry.name_len);
        crawl_item_of(crawl, &entry, ret_item);
        if (entry.kind == ENTRY_DIR) {
            buf_add_char(&crawl->name, '/');
            ret_item->empty = true;
        }
        if (entry.kind == ENTRY_LINK && ret_item->reason == REASON_NONE &&
            crawl_link_collides(crawl, "", entry.name))
            ret_item->reason = REASON_COLLISION;
        crawl_set_names(crawl, ret_item);
        if (crawl_wants(crawl, ret_item) || crawl->options.tell_excluded)
            return 1;
    }
}

/* 0 it is there and added; 1 it is not, and why; -1. */
static int look_at_listed(struct crawl *crawl, struct dir_cache *dirs, const char *name,
                          int *ret_sys, struct err *err)
{
    struct err why = { 0 };
    int dir_fd = -1;
    const char *last = NULL;
    if (dir_cache_at(dirs, name, false, &dir_fd, &last, &why) < 0) {
        *ret_sys = why.sys;
        return 1;
    }
    *ret_sys = ENOENT;
    return dirlist_add(crawl->names, dir_fd, last, name, err);
}

static int add_listed(struct crawl *crawl, struct source_dirs *dirs, const char *text,
                      struct err *err)
{
    /* "./a//b/" is a/b. */
    SCOPED(buf) struct buf name = { 0 };
    while (*text == '/' || (text[0] == '.' && text[1] == '/'))
        text++;
    for (; *text != '\0'; text++)
        if (*text != '/' || (name.len != 0 && name.data[name.len - 1] != '/'))
            buf_add_char(&name, *text);
    while (name.len != 0 && name.data[name.len - 1] == '/')
        buf_cut(&name, name.len - 1);
    if (name.len == 0)
        return 0;
    if (!path_rel_ok(name.data))
        return err_set(err, ERR_USAGE, "--files-from: '%s' leaves the source directory", name.data);
    int sys = 0;
    int got = look_at_listed(crawl, &dirs->cache, name.data, &sys, err);
    if (got == 1 && source_set_may_fall_back(crawl->options.sources, sys)) {
        int ignored = 0;
        got = look_at_listed(crawl, &dirs->other, name.data, &ignored, err);
    }
    return got == 1 ? dirlist_add_unreadable(crawl->names, name.data, sys, err) : got;
}

int crawl_read_list(struct crawl *crawl, struct err *err)
{
    const struct source_set *sources = crawl->options.sources;
    if (sources->count != 1 || sources->roots[0].inner[0] != '\0')
        return err_set(err, ERR_USAGE, "--files-from needs one source, a directory");
    const char *path = crawl->options.files_from;
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (file == NULL)
        return err_sys(err, ERR_USAGE, "--files-from '%s'", path);
    crawl->names = dirlist_new(&crawl->list_options);
    struct source_dirs dirs;
    source_dirs_init(&dirs, sources);
    dirs.cache.root_fd = sources->roots[0].dir_fd;
    const int end = crawl->options.files_from_nul ? '\0' : '\n';
    char *line = NULL;
    size_t cap = 0;
    int result = 0;
    ssize_t len;
    while (result == 0 && (len = getdelim(&line, &cap, end, file)) > 0) {
        if (line[len - 1] == end)
            line[--len] = '\0';
        if (!crawl->options.files_from_nul && len != 0 && line[len - 1] == '\r')
            line[--len] = '\0';
        result = add_listed(crawl, &dirs, line, err);
    }
    free(line);
    source_dirs_done(&dirs);
    if (file != stdin)
        fclose(file);
    return result < 0 ? -1 : dirlist_finish(crawl->names, err);
}

/* ---- a listing ---- */

/* What a listing calls neither file nor directory, and is a directory all the same: the link that
 * led back to one above. */
static bool leads_back(const struct crawl *crawl, const struct crawl_item *item)
{
    if (item->kind != ENTRY_UNKNOWN || !crawl->list_options.follow_links)
        return false;
    SCOPED_FD int fd = path_open(crawl->options.sources->roots[0].dir_fd, item->name,
                                 O_PATH | O_DIRECTORY | O_CLOEXEC, 0, true);
    return fd >= 0;
}

/* Directories are few: they are looked at, as is what the listing has no word for. */
static int add_found(struct crawl *crawl, struct source_dirs *dirs, const struct crawl_item *item,
                     struct err *err)
{
    const bool is_dir = item->kind == ENTRY_DIR;
    if (leads_back(crawl, item)) {
        const struct dirlist_entry link = {
            .name = item->name, .name_len = item->name_len, .kind = ENTRY_LINK, .sys = ELOOP
        };
        return dirlist_add_entry(crawl->names, &link, err);
    }
    if (item->kind == ENTRY_UNKNOWN || crawl->options.look_again || (is_dir && item->no_attr)) {
        SCOPED(buf) struct buf name = { 0 };
        buf_add(&name, item->name, item->name_len - is_dir);
        return add_listed(crawl, dirs, name.data, err);
    }
    static const uint32_t types[] = { [ENTRY_FILE] = S_IFREG,
                                      [ENTRY_DIR] = S_IFDIR,
                                      [ENTRY_LINK] = S_IFLNK,
                                      [ENTRY_SPECIAL] = S_IFCHR,
                                      [ENTRY_UNREADABLE] = S_IFREG };
    const uint32_t type = item->reason == REASON_FIFO     ? S_IFIFO
                          : item->reason == REASON_SOCKET ? S_IFSOCK
                                                          : types[item->kind];
    const struct dirlist_entry entry = { .name = item->name,
                                         .name_len = item->name_len - is_dir,
                                         .kind = item->kind,
                                         .sys = item->sys,
                                         .mode = item->no_attr ? 0 : type | item->mode,
                                         .uid = item->uid,
                                         .gid = item->gid,
                                         .nlink = item->nlink,
                                         .size_bytes = item->size_bytes,
                                         .disk_bytes = item->disk_bytes,
                                         .mtime_ns = item->mtime_ns,
                                         .ino = item->ino };
    return dirlist_add_entry(crawl->names, &entry, err);
}

int crawl_read_listing(struct crawl *crawl, struct err *err)
{
    const struct source_set *sources = crawl->options.sources;
    if (sources->count != 1 || sources->roots[0].inner[0] != '\0')
        return err_set(err, ERR_USAGE, "--from needs one source, a directory");
    struct listing_reader *reader = NULL;
    if (listing_reader_open(&reader, crawl->options.files_from, err) < 0)
        return -1;
    crawl->names = dirlist_new(&crawl->list_options);
    struct source_dirs dirs;
    source_dirs_init(&dirs, sources);
    dirs.cache.root_fd = sources->roots[0].dir_fd;
    struct crawl_item item;
    int got;
    while ((got = listing_reader_next(reader, &item, err)) == 1 &&
           stop_check(crawl->stop, err) == 0)
        if ((got = add_found(crawl, &dirs, &item, err)) < 0)
            break;
    source_dirs_done(&dirs);
    listing_reader_close(reader);
    return got != 0 ? -1 : dirlist_finish(crawl->names, err);
}

/* As dirlist_next(), and tells whether the entry is a directory without any entry behind it. */
static int next_listed(struct crawl *crawl, struct dirlist_entry *ret_entry, bool *ret_empty,
                       struct err *err)
{
    int got = 1;
    if (crawl->has_ahead)
        *ret_entry = crawl->ahead;
    else
        got = dirlist_next(crawl->names, ret_entry, err);
    crawl->has_ahead = false;
    if (got <= 0)
        return got;
    buf_clear(&crawl->name);
    buf_add(&crawl->name, ret_entry->name, ret_entry->name_len);
    *ret_empty = false;
    if (ret_entry->kind != ENTRY_DIR)
        return 1;
    buf_add_char(&crawl->name, '/');
    got = dirlist_next(crawl->names, &crawl->ahead, err);
    if (got < 0)
        return -1;
    crawl->has_ahead = got == 1;
    *ret_empty = got == 0 || crawl->ahead.name_len < crawl->name.len ||
                 memcmp(crawl->ahead.name, crawl->name.data, crawl->name.len) != 0;
    return 1;
}

static void wait_for_content(struct crawl *crawl, const struct crawl_item *item)
{
    if (crawl->waiting_count == crawl->waiting_cap) {
        crawl->waiting_cap = crawl->waiting_cap == 0 ? 16 : crawl->waiting_cap * 2;
        crawl->waiting = mem_resize(crawl->waiting, crawl->waiting_cap * sizeof *crawl->waiting);
    }
    crawl->waiting[crawl->waiting_count++] = (struct waiting){ .item = *item };
}

/* Forget the directories that do not lead to crawl->name. */
static void drop_waiting(struct crawl *crawl, const char *before, size_t before_len)
{
    size_t same = 0;
    while (same < before_len && same < crawl->name.len && before[same] == crawl->name.data[same])
        same++;
    while (crawl->waiting_count != 0 &&
           crawl->waiting[crawl->waiting_count - 1].item.name_len > same)
        crawl->waiting_count--;
}

static bool give_waiting(struct crawl *crawl, struct crawl_item *ret_item)
{
    for (size_t i = 0; i < crawl->waiting_count; i++) {
        struct waiting *waiting = &crawl->waiting[i];
        if (waiting->given)
            continue;
        waiting->given = true;
        *ret_item = waiting->item;
        buf_clear(&crawl->waiting_name);
        buf_add(&crawl->waiting_name, crawl->name.data, ret_item->name_len);
        ret_item->name = ret_item->key = crawl->waiting_name.data;
        return true;
    }
    return false;
}

static bool listed_wanted(struct crawl *crawl, struct crawl_item *item)
{
    item->rule = NULL;
    const struct filter *filter = crawl->options.filter;
    if (filter == NULL)
        return true;
    /* An empty directory must pass itself, as in a tree that is crawled. */
    if (filter_path(filter, item->name, item->name_len, &item->rule) &&
        (item->kind != ENTRY_DIR || filter_file(filter, item->name, item->name_len, &item->rule)))
        return true;
    crawl->excluded++;
    item->reason = REASON_EXCLUDED;
    return false;
}

int crawl_next_in_listing(struct crawl *crawl, struct crawl_item *ret_item, struct err *err)
{
    for (;;) {
        if (crawl->giving && give_waiting(crawl, ret_item))
            return 1;
        crawl->giving = false;
        if (crawl->holding) {
            crawl->holding = false;
            *ret_item = crawl->held;
            return 1;
        }
        buf_clear(&crawl->last_name);
        buf_add(&crawl->last_name, buf_text(&crawl->name), crawl->name.len);
        struct dirlist_entry entry;
        bool empty;
        const int got = next_listed(crawl, &entry, &empty, err);
        if (got <= 0)
            return got;
        if (crawl->last_name.len == crawl->name.len &&
            memcmp(crawl->last_name.data, crawl->name.data, crawl->name.len) == 0)
            continue; /* twice in it */
        drop_waiting(crawl, buf_text(&crawl->last_name), crawl->last_name.len);
        struct crawl_item item;
        crawl_item_of(crawl, &entry, &item);
        item.empty = empty;
        if (item.kind == ENTRY_LINK && item.reason == REASON_NONE &&
            crawl_link_collides(crawl, "", crawl->name.data))
            item.reason = REASON_COLLISION;
        crawl_set_names(crawl, &item);
        if (crawl->options.filter != NULL && item.kind == ENTRY_DIR && !empty) {
            wait_for_content(crawl, &item);
        } else if (listed_wanted(crawl, &item)) {
            crawl->held = item;
            crawl->holding = crawl->giving = true;
        } else if (crawl->options.tell_excluded) {
            *ret_item = item;
            return 1;
        }
    }
}
