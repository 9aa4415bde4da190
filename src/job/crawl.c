#include "base/ban.h"
#include "base/clock.h"
#include "base/dirlist.h"
#include "base/mem.h"
#include "base/scope.h"
#include "job/crawl_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#define AHEAD_BYTES ((size_t)512 * 1024) /* a thread, of directories read and not yet passed on */
#define AHEAD_BYTES_MAX (64 * AHEAD_BYTES)
#define AHEAD_NODES_MAX 512u
#define ADAPT_NS (100 * NS_PER_MS)
#define WAIT_NS (50 * NS_PER_MS)

enum node_state {
    NODE_WAITING, /* nobody reads it yet */
    NODE_TAKEN,   /* somebody does */
    NODE_READY,   /* list, or sys */
};

/* A directory between the first sight of it and its last entry. */
struct node {
    struct node *parent;
    struct node *first_child, *last_child, *sibling; /* read ahead, in order; guarded by lock */
    struct node *next_open, *prev_open;              /* list of nodes with more to read ahead */
    bool is_open;
    enum node_state state; /* guarded by lock */
    bool has_dirs;         /* something to read ahead; once READY */
    char *name;            /* in the tree, '/' at the end; "" is the root */
    size_t name_len;
    struct dirlist
        *list; /* once READY: the planner's, except for dirlist_next_dir() under the lock */
    enum plan_reason reason;
    int sys;
    bool other;        /* read below the fallback root; once READY */
    size_t ahead;      /* cursor of dirlist_next_dir(); guarded by lock */
    size_t held_bytes; /* counted in ahead_bytes; guarded by lock */
    uint64_t dev, ino;
    uint32_t mode, uid, gid; /* once READY */
    int64_t mtime_ns;
};

/* The planner's place in one directory. */
struct frame {
    struct node *node;
    struct crawl_item item; /* its own, still to be given (filters), name in `node` */
    bool pending;
};

/* ---- nodes ---- */

static struct node *node_new(struct node *parent, const char *name, size_t len)
{
    struct node *node = mem_alloc(sizeof *node);
    node->parent = parent;
    node->name_len = parent == NULL ? 0 : parent->name_len + len + 1;
    node->name = mem_alloc(node->name_len + 1);
    if (parent != NULL) {
        memcpy(node->name, parent->name, parent->name_len);
        memcpy(node->name + parent->name_len, name, len);
        node->name[node->name_len - 1] = '/';
    }
    return node;
}

static void open_list_remove_locked(struct crawl *crawl, struct node *node)
{
    if (!node->is_open)
        return;
    if (node->prev_open != NULL)
        node->prev_open->next_open = node->next_open;
    else
        crawl->open_head = node->next_open;
    if (node->next_open != NULL)
        node->next_open->prev_open = node->prev_open;
    node->next_open = node->prev_open = NULL;
    node->is_open = false;
}

/* In the order of the walk: a directory's children before the rest of the directory itself. */
static void open_list_insert_locked(struct crawl *crawl, struct node *node)
{
    struct node *before = NULL;
    struct node *at = crawl->open_head;
    while (at != NULL) {
        const bool is_above =
            at->name_len < node->name_len && memcmp(at->name, node->name, at->name_len) == 0;
        if (is_above || strcmp(at->name, node->name) > 0)
            break;
        before = at;
        at = at->next_open;
    }
    node->prev_open = before;
    node->next_open = at;
    if (before != NULL)
        before->next_open = node;
    else
        crawl->open_head = node;
    if (at != NULL)
        at->prev_open = node;
    node->is_open = true;
}

/* Few threads, and the planner waits for none for long: a lot read ahead would only take memory. */
static size_t ahead_limit_locked(const struct crawl *crawl)
{
    const size_t limit = crawl->thread_count * AHEAD_BYTES;
    return limit < AHEAD_BYTES_MAX ? limit : AHEAD_BYTES_MAX;
}

static void node_free(struct crawl *crawl, struct node *node)
{
    lock_take(&crawl->lock);
    open_list_remove_locked(crawl, node);
    crawl->ahead_bytes -= node->held_bytes;
    if (crawl->idle_count != 0 && crawl->open_head != NULL &&
        crawl->ahead_bytes < ahead_limit_locked(crawl) / 2)
        cond_wake_one(&crawl->changed);
    for (struct node *child = node->first_child; child != NULL;) {
        struct node *next = child->sibling;
        lock_give(&crawl->lock);
        node_free(crawl, child);
        lock_take(&crawl->lock);
        child = next;
    }
    lock_give(&crawl->lock);
    dirlist_free(node->list);
    mem_release(node->name);
    mem_release(node);
}

/* Everything below `name` (ending in '/') has a key up to start_after: nothing to see there. */
static bool passed_already(const struct crawl *crawl, const char *name, size_t len)
{
    const char *after = crawl->options.start_after;
    return after != NULL && strcmp(name, after) < 0 && strncmp(name, after, len) != 0;
}

static bool directory_wanted(const struct crawl *crawl, const char *name, size_t len)
{
    if (passed_already(crawl, name, len))
        return false;
    const char *rule = NULL;
    return crawl->options.filter == NULL ||
           filter_dir(crawl->options.filter, name, len - 1, &rule) != FILTER_DIR_NONE;
}

/* The next directory below `node` that is to be read; NULL when there is none left. */
static struct node *node_expand_locked(const struct crawl *crawl, struct node *node)
{
    for (;;) {
        const char *name = dirlist_next_dir(node->list, &node->ahead);
        if (name == NULL)
            return NULL;
        struct node *child = node_new(node, name, strlen(name));
        if (directory_wanted(crawl, child->name, child->name_len))
            return child;
        mem_release(child->name);
        mem_release(child);
    }
}

/* ---- reading a directory ---- */

static bool is_above(const struct node *node, uint64_t dev, uint64_t ino)
{
    for (const struct node *up = node->parent; up != NULL; up = up->parent)
        if (up->ino == ino && up->dev == dev)
            return true;
    return false;
}

/* Below one of the two roots. */
static void read_node_at(const struct crawl *crawl, struct node *node, bool other)
{
    SCOPED_FD int fd =
        source_set_open_name(crawl->options.sources, node->name, other, O_RDONLY | O_DIRECTORY,
                             crawl->list_options.follow_links);
    struct stat st;
    node->other = other;
    /* "." also asks whether its entries may be looked at, which listing does not need. */
    const bool may_turn = !other && crawl->options.sources->fallback != NULL;
    if (fd < 0 || (may_turn ? fstatat(fd, ".", &st, 0) : fstat(fd, &st)) < 0) {
        node->sys = errno;
        node->reason = REASON_UNREADABLE;
        return;
    }
    node->dev = st.st_dev;
    node->ino = st.st_ino;
    node->mode = st.st_mode & 07777;
    node->uid = st.st_uid;
    node->gid = st.st_gid;
    node->mtime_ns = clock_from_timespec_ns(st.st_mtim);
    if (crawl->options.links == LINKS_FOLLOW && is_above(node, node->dev, node->ino)) {
        node->reason = REASON_LOOP;
        return;
    }
    if (crawl->options.one_file_system && node->parent != NULL && node->parent->dev != 0 &&
        node->other == node->parent->other && node->dev != node->parent->dev) {
        node->reason = REASON_OTHER_DEVICE;
        return;
    }
    struct err err = { 0 };
    if (dirlist_read(&node->list, fd, &crawl->list_options, &err) < 0) {
        node->sys = err.sys != 0 ? err.sys : EIO;
        node->reason = REASON_UNREADABLE;
        return;
    }
    size_t cursor = 0;
    node->has_dirs = dirlist_next_dir(node->list, &cursor) != NULL;
}

static void read_node(const struct crawl *crawl, struct node *node)
{
    read_node_at(crawl, node, false);
    const int sys = node->sys;
    if (node->reason != REASON_UNREADABLE || !source_set_may_fall_back(crawl->options.sources, sys))
        return;
    node->reason = REASON_NONE;
    node->sys = 0;
    read_node_at(crawl, node, true);
    if (node->reason == REASON_UNREADABLE)
        node->sys = sys; /* why not below the first */
    else
        source_set_count_other(crawl->options.sources);
}

/* Wakes only whom it concerns: a wake-up costs as much as looking at five files. */
static void publish_locked(struct crawl *crawl, struct node *node)
{
    node->state = NODE_READY;
    if (node->list != NULL) {
        node->held_bytes = dirlist_memory(node->list);
        crawl->ahead_bytes += node->held_bytes;
        if (node->has_dirs)
            open_list_insert_locked(crawl, node);
    }
    if (crawl->awaited == node)
        cond_wake_all(&crawl->ready);
    if (node->has_dirs && crawl->idle_count != 0)
        cond_wake_all(&crawl->changed);
}

/* ---- the crawl threads ---- */

static struct node *take_ahead_locked(struct crawl *crawl)
{
    if (crawl->ahead_bytes >= ahead_limit_locked(crawl) || crawl->ahead_nodes >= AHEAD_NODES_MAX)
        return NULL;
    while (crawl->open_head != NULL) {
        struct node *from = crawl->open_head;
        struct node *child = node_expand_locked(crawl, from);
        if (child == NULL) {
            open_list_remove_locked(crawl, from);
            continue;
        }
        if (from->last_child != NULL)
            from->last_child->sibling = child;
        else
            from->first_child = child;
        from->last_child = child;
        child->state = NODE_TAKEN;
        crawl->ahead_nodes++;
        return child;
    }
    return NULL;
}

/* What a thread did since its last look. Waiting for a processor is not sleeping: more threads
 * would not help. */
struct spent {
    int schedstat_fd; /* -1 = the kernel does not tell */
    int64_t wall_ns, cpu_ns, queued_ns;
    long sleeps;
};

static int64_t thread_cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return clock_from_timespec_ns(ts);
}

static long thread_sleeps(void)
{
    struct rusage usage = { 0 };
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nvcsw;
}

/* Time in the queue for a processor: the second number of schedstat (proc(5)). */
static int64_t thread_queued_ns(int schedstat_fd)
{
    char text[96];
    const ssize_t len = schedstat_fd < 0 ? -1 : pread(schedstat_fd, text, sizeof text - 1, 0);
    if (len <= 0)
        return 0;
    text[len] = '\0';
    const char *second = strchr(text, ' ');
    return second == NULL ? 0 : strtoll(second, NULL, 10);
}

static void spent_begin(struct spent *spent)
{
    spent->wall_ns = clock_monotonic_ns();
    spent->cpu_ns = thread_cpu_ns();
    spent->sleeps = thread_sleeps();
}

/* The queue is looked at only where the thread slept at all; what it queued since the last look is
 * then taken for queued now, so the time slept is rather told too short. */
static void spent_end(struct spent *spent, int64_t *ret_cpu_ns, int64_t *ret_slept_ns)
{
    *ret_cpu_ns = thread_cpu_ns() - spent->cpu_ns;
    *ret_slept_ns = 0;
    if (thread_sleeps() == spent->sleeps)
        return;
    const int64_t wall_ns = clock_monotonic_ns() - spent->wall_ns;
    const int64_t queued_ns = thread_queued_ns(spent->schedstat_fd);
    const int64_t slept_ns = wall_ns - *ret_cpu_ns - (queued_ns - spent->queued_ns);
    spent->queued_ns = queued_ns;
    *ret_slept_ns = slept_ns > 0 ? slept_ns : 0;
}

static void *crawl_thread(void *arg);

/* Reading that mostly waits (a network file system) wants more threads; reading that computes does
 * not. */
static void adapt_locked(struct crawl *crawl)
{
    /* crawl_close() joins the threads that it has seen. */
    if (crawl->closing || crawl->slept_ns + crawl->cpu_ns < ADAPT_NS)
        return;
    const bool waits = crawl->slept_ns > crawl->cpu_ns;
    crawl->slept_ns = crawl->cpu_ns = 0;
    for (uint32_t more = crawl->thread_count; waits && more > 0; more--) {
        if (crawl->thread_count == crawl->thread_most || crawl->open_head == NULL)
            return;
        struct err ignored = { 0 }; /* fewer threads are only slower */
        if (thread_start(&crawl->threads[crawl->thread_count], "lade-crawl", crawl_thread, crawl,
                         &ignored) < 0)
            return;
        crawl->thread_count++;
    }
}

static void *crawl_thread(void *arg)
{
    struct crawl *crawl = arg;
    SCOPED_FD int schedstat_fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    struct spent spent = { .schedstat_fd = schedstat_fd };
    lock_take(&crawl->lock);
    while (!crawl->closing && !stop_raised(crawl->stop)) {
        struct node *node = take_ahead_locked(crawl);
        if (node == NULL) {
            crawl->idle_count++;
            cond_wait_for(&crawl->changed, &crawl->lock, WAIT_NS);
            crawl->idle_count--;
            continue;
        }
        lock_give(&crawl->lock);
        spent_begin(&spent);
        read_node(crawl, node);
        int64_t cpu_ns, slept_ns;
        spent_end(&spent, &cpu_ns, &slept_ns);
        lock_take(&crawl->lock);
        publish_locked(crawl, node);
        crawl->cpu_ns += cpu_ns;
        crawl->slept_ns += slept_ns;
        adapt_locked(crawl);
    }
    lock_give(&crawl->lock);
    return NULL;
}

/* ---- the planner's walk ---- */

static void push_frame(struct crawl *crawl, struct node *node)
{
    if (crawl->depth == crawl->frames_cap) {
        crawl->frames_cap = crawl->frames_cap == 0 ? 16 : crawl->frames_cap * 2;
        crawl->frames = mem_resize(crawl->frames, crawl->frames_cap * sizeof *crawl->frames);
    }
    crawl->frames[crawl->depth++] = (struct frame){ .node = node };
}

/* The node of directory `name` below `parent`: read ahead, or read now by us. */
static struct node *enter(struct crawl *crawl, struct node *parent, const char *name, size_t len)
{
    lock_take(&crawl->lock);
    struct node *child = parent->first_child;
    if (child != NULL) {
        parent->first_child = child->sibling;
        if (parent->first_child == NULL)
            parent->last_child = NULL;
        child->sibling = NULL;
        crawl->ahead_nodes--;
        crawl->awaited = child;
        while (child->state != NODE_READY && !stop_raised(crawl->stop))
            cond_wait_for(&crawl->ready, &crawl->lock, WAIT_NS);
        crawl->awaited = NULL;
        /* Stopped, and a reader still has the node: it stays where crawl_close() finds it. */
        if (child->state != NODE_READY) {
            child->sibling = parent->first_child;
            parent->first_child = child;
            if (parent->last_child == NULL)
                parent->last_child = child;
            crawl->ahead_nodes++;
            child = NULL;
        }
        lock_give(&crawl->lock);
        return child;
    }
    child = dirlist_spilled(parent->list) ? node_new(parent, name, len)
                                          : node_expand_locked(crawl, parent);
    child->state = NODE_TAKEN;
    lock_give(&crawl->lock);
    assert(child->name_len == parent->name_len + len + 1);
    read_node(crawl, child);
    lock_take(&crawl->lock);
    publish_locked(crawl, child);
    lock_give(&crawl->lock);
    return child;
}

static enum plan_reason special_reason(uint32_t mode)
{
    if (S_ISFIFO(mode))
        return REASON_FIFO;
    return S_ISSOCK(mode) ? REASON_SOCKET : REASON_DEVICE;
}

void crawl_item_of(const struct crawl *crawl, const struct dirlist_entry *entry,
                   struct crawl_item *item)
{
    *item = (struct crawl_item){ .kind = entry->kind,
                                 .sys = entry->sys,
                                 .no_attr = (entry->mode & S_IFMT) == 0,
                                 .mode = entry->mode & 07777,
                                 .uid = entry->uid,
                                 .gid = entry->gid,
                                 .nlink = entry->nlink,
                                 .dev = entry->dev,
                                 .ino = entry->ino,
                                 .disk_bytes = entry->disk_bytes,
                                 .size_bytes = entry->kind == ENTRY_DIR ? 0 : entry->size_bytes,
                                 .mtime_ns = entry->mtime_ns };
    switch (entry->kind) {
    case ENTRY_UNREADABLE:
        item->reason = REASON_UNREADABLE;
        break;
    case ENTRY_SPECIAL:
        item->reason = special_reason(entry->mode);
        item->size_bytes = 0;
        break;
    case ENTRY_LINK:
        if (crawl->options.links == LINKS_SKIP)
            item->reason = REASON_LINK_SKIPPED;
        else if (crawl->options.links == LINKS_FOLLOW)
            item->reason = entry->sys == ELOOP ? REASON_LOOP : REASON_DANGLING;
        break;
    default:
        break;
    }
}

/* What has the name, below the first root or else the other. */
static bool look_at(const struct crawl *crawl, const char *name, struct stat *ret_st)
{
    const struct source_set *sources = crawl->options.sources;
    SCOPED_FD int fd = source_set_open_name(sources, name, false, O_PATH | O_NOFOLLOW, false);
    if (fd < 0 && source_set_may_fall_back(sources, errno))
        fd = source_set_open_name(sources, name, true, O_PATH | O_NOFOLLOW, false);
    return fd >= 0 && fstat(fd, ret_st) == 0;
}

/* A link's object must not meet an entry that really has that name. */
bool crawl_link_collides(const struct crawl *crawl, const char *dir, const char *name)
{
    SCOPED(buf) struct buf other = { 0 };
    buf_printf(&other, "%s%s%s", dir, name, LINK_SUFFIX);
    struct stat st;
    return look_at(crawl, buf_text(&other), &st) && !S_ISLNK(st.st_mode);
}

/* A file that cannot be looked at may be there below the fallback root. A directory would stand
 * at another place of the order, so it stays unreadable. */
static void look_elsewhere(const struct crawl *crawl, const char *name, struct crawl_item *item)
{
    struct stat st;
    if (item->kind != ENTRY_UNREADABLE ||
        !source_set_may_fall_back(crawl->options.sources, item->sys) ||
        !look_at(crawl, name, &st) || !S_ISREG(st.st_mode))
        return;
    *item = (struct crawl_item){ .kind = ENTRY_FILE,
                                 .mode = st.st_mode & 07777,
                                 .uid = st.st_uid,
                                 .gid = st.st_gid,
                                 .size_bytes = (uint64_t)st.st_size,
                                 .mtime_ns = clock_from_timespec_ns(st.st_mtim) };
}

void crawl_set_names(struct crawl *crawl, struct crawl_item *item)
{
    item->name = buf_text(&crawl->name);
    item->name_len = (uint32_t)crawl->name.len;
    item->key = item->name;
    /* As the list is sorted, whether it is moved or not: keys ascend. */
    if (item->kind == ENTRY_LINK && crawl->list_options.suffix_links) {
        buf_clear(&crawl->key);
        buf_add(&crawl->key, crawl->name.data, crawl->name.len);
        buf_add_text(&crawl->key, LINK_SUFFIX);
        item->key = crawl->key.data;
    }
}

/* An item is given unless the filter leaves it out, and then only to be told. */
bool crawl_wants(struct crawl *crawl, struct crawl_item *item)
{
    item->rule = NULL;
    if (crawl->options.filter == NULL ||
        filter_file(crawl->options.filter, item->name, item->name_len, &item->rule))
        return true;
    crawl->excluded++;
    item->reason = REASON_EXCLUDED;
    return false;
}

/* Give the first directory on the way here that was held back; false when there is none. */
static bool give_pending(struct crawl *crawl, struct crawl_item *ret_item)
{
    for (size_t i = 0; i < crawl->depth; i++) {
        struct frame *frame = &crawl->frames[i];
        if (!frame->pending)
            continue;
        frame->pending = false;
        *ret_item = frame->item;
        ret_item->name = ret_item->key = frame->node->name;
        ret_item->name_len = (uint32_t)frame->node->name_len;
        return true;
    }
    return false;
}

/* A directory entry: go into it. 1 when its own item is to be given now. */
static int visit_directory(struct crawl *crawl, struct node *parent,
                           const struct dirlist_entry *entry, struct crawl_item *ret_item,
                           struct err *err)
{
    buf_cut(&crawl->name, parent->name_len);
    buf_add(&crawl->name, entry->name, entry->name_len);
    buf_add_char(&crawl->name, '/');
    if (!directory_wanted(crawl, crawl->name.data, crawl->name.len)) {
        if (passed_already(crawl, crawl->name.data, crawl->name.len))
            return 0;
        crawl->excluded++;
        crawl_item_of(crawl, entry, ret_item);
        ret_item->reason = REASON_EXCLUDED;
        (void)filter_dir(crawl->options.filter, crawl->name.data, crawl->name.len - 1,
                         &ret_item->rule);
        crawl_set_names(crawl, ret_item);
        return crawl->options.tell_excluded ? 1 : 0;
    }
    struct node *node = enter(crawl, parent, entry->name, entry->name_len);
    if (node == NULL)
        return stop_check(crawl->stop, err);
    push_frame(crawl, node);
    struct frame *frame = &crawl->frames[crawl->depth - 1];
    crawl_item_of(crawl, entry, &frame->item);
    frame->item.reason = node->reason;
    frame->item.sys = node->sys;
    if (node->other && node->list != NULL) {
        /* What could not be read may not tell either what it is like. */
        frame->item.mode = node->mode;
        frame->item.uid = node->uid;
        frame->item.gid = node->gid;
        frame->item.mtime_ns = node->mtime_ns;
    }
    frame->item.empty = node->list != NULL && dirlist_count(node->list) == 0;
    /* With a filter a directory is wanted for what is in it, or when it is empty and passes itself.
     */
    frame->pending = true;
    if (crawl->options.filter != NULL && node->reason == REASON_NONE &&
        !(frame->item.empty &&
          filter_file(crawl->options.filter, node->name, node->name_len, NULL)))
        return 0;
    crawl->giving = true;
    return 0;
}

static int visit(struct crawl *crawl, struct node *node, const struct dirlist_entry *entry,
                 struct crawl_item *ret_item, struct err *err)
{
    if (entry->kind == ENTRY_DIR)
        return visit_directory(crawl, node, entry, ret_item, err);
    buf_cut(&crawl->name, node->name_len);
    buf_add(&crawl->name, entry->name, entry->name_len);
    struct crawl_item item;
    crawl_item_of(crawl, entry, &item);
    look_elsewhere(crawl, buf_text(&crawl->name), &item);
    if (item.kind == ENTRY_LINK && item.reason == REASON_NONE &&
        crawl_link_collides(crawl, node->name, entry->name))
        item.reason = REASON_COLLISION;
    crawl_set_names(crawl, &item);
    if (!crawl_wants(crawl, &item)) {
        *ret_item = item;
        return crawl->options.tell_excluded ? 1 : 0;
    }
    if (give_pending(crawl, ret_item)) {
        crawl->held = item;
        crawl->holding = crawl->giving = true;
        return 1;
    }
    *ret_item = item;
    return 1;
}

static void leave(struct crawl *crawl)
{
    struct frame *frame = &crawl->frames[--crawl->depth];
    node_free(crawl, frame->node);
    buf_cut(&crawl->name, crawl->depth != 0 ? crawl->frames[crawl->depth - 1].node->name_len : 0);
}

static int next_in_tree(struct crawl *crawl, struct crawl_item *ret_item, struct err *err)
{
    while (crawl->depth != 0) {
        if (crawl->giving && give_pending(crawl, ret_item))
            return 1;
        crawl->giving = false;
        if (crawl->holding) {
            crawl->holding = false;
            *ret_item = crawl->held;
            return 1;
        }
        struct node *node = crawl->frames[crawl->depth - 1].node;
        struct dirlist_entry entry;
        int got = node->list != NULL ? dirlist_next(node->list, &entry, err) : 0;
        if (got < 0)
            return err_at(err, "directory '%s'", node->name);
        if (got == 0) {
            leave(crawl);
            continue;
        }
        got = visit(crawl, node, &entry, ret_item, err);
        if (got != 0)
            return got;
    }
    return 0;
}

/* ---- the whole ---- */

/* The directory that holds the sources by their names, when it is not one source itself. */
static int make_root_list(struct crawl *crawl, struct node *node, struct err *err)
{
    const struct source_set *sources = crawl->options.sources;
    node->list = dirlist_new(&crawl->list_options);
    for (size_t i = 0; i < sources->count; i++) {
        const struct source_root *root = &sources->roots[i];
        const char *path = root->inner[0] != '\0' ? root->inner : ".";
        if (dirlist_add(node->list, root->dir_fd, path, root->name, err) < 0)
            return -1;
    }
    return dirlist_finish(node->list, err);
}

static int start_walk(struct crawl *crawl, struct err *err)
{
    struct node *root = node_new(NULL, "", 0);
    push_frame(crawl, root);
    if (crawl->options.sources->roots[0].name[0] == '\0') {
        read_node(crawl, root);
        if (root->reason != REASON_NONE) {
            errno = root->sys;
            return err_sys(err, ERR_SOURCE, "read '%s'", crawl->options.sources->roots[0].path);
        }
    } else if (make_root_list(crawl, root, err) < 0) {
        return -1;
    }
    lock_take(&crawl->lock);
    publish_locked(crawl, root);
    lock_give(&crawl->lock);

    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t start = crawl->options.crawlers;
    crawl->thread_most = start;
    if (start == 0) {
        crawl->thread_most = CRAWLERS_MAX;
        start = cores > 1 && cores < 8 ? (uint32_t)cores : cores <= 1 ? 1 : 8;
    }
    lock_take(&crawl->lock);
    int result = 0;
    while (result == 0 && crawl->thread_count < start) {
        result = thread_start(&crawl->threads[crawl->thread_count], "lade-crawl", crawl_thread,
                              crawl, err);
        if (result == 0)
            crawl->thread_count++;
    }
    lock_give(&crawl->lock);
    return result;
}

int crawl_open(struct crawl **ret_crawl, const struct crawl_options *options, struct err *err)
{
    struct crawl *crawl = mem_alloc(sizeof *crawl);
    crawl->options = *options;
    crawl->stop = options->stop;
    crawl->list_options = (struct dirlist_options){ .follow_links = options->links == LINKS_FOLLOW,
                                                    .suffix_links = options->links == LINKS_KEEP &&
                                                                    !options->dirs_first,
                                                    .dirs_first = options->dirs_first,
                                                    .memory_bytes = options->list_memory_bytes,
                                                    .temp_dir = options->temp_dir };
    lock_init(&crawl->lock);
    cond_init(&crawl->changed);
    cond_init(&crawl->ready);
    const int result = options->is_listing           ? crawl_read_listing(crawl, err)
                       : options->files_from != NULL ? crawl_read_list(crawl, err)
                                                     : start_walk(crawl, err);
    if (result < 0) {
        crawl_close(crawl);
        return -1;
    }
    *ret_crawl = crawl;
    return 0;
}

int crawl_next(struct crawl *crawl, struct crawl_item *ret_item, struct err *err)
{
    for (;;) {
        if (stop_check(crawl->stop, err) < 0)
            return -1;
        const int got = crawl->options.is_listing ? crawl_next_in_listing(crawl, ret_item, err)
                        : crawl->names != NULL    ? crawl_next_in_list(crawl, ret_item, err)
                                                  : next_in_tree(crawl, ret_item, err);
        const char *after = crawl->options.start_after;
        if (got <= 0 || after == NULL || strcmp(ret_item->key, after) > 0)
            return got;
    }
}

uint64_t crawl_excluded_count(const struct crawl *crawl)
{
    return crawl->excluded;
}

void crawl_close(struct crawl *crawl)
{
    if (crawl == NULL)
        return;
    lock_take(&crawl->lock);
    crawl->closing = true;
    cond_wake_all(&crawl->changed);
    const uint32_t threads = crawl->thread_count;
    lock_give(&crawl->lock);
    /* A thread may hang in the kernel for as long as the file system does. After a signal the main
     * thread ends the process without waiting for us; whoever else stops takes away what it uses.
     */
    for (uint32_t i = 0; i < threads; i++)
        thread_join(&crawl->threads[i]);
    while (crawl->depth != 0)
        leave(crawl);
    mem_release(crawl->frames);
    dirlist_free(crawl->names);
    buf_done(&crawl->name);
    buf_done(&crawl->key);
    buf_done(&crawl->last_name);
    buf_done(&crawl->waiting_name);
    mem_release(crawl->waiting);
    lock_done(&crawl->lock);
    cond_done(&crawl->changed);
    cond_done(&crawl->ready);
    mem_release(crawl);
}
