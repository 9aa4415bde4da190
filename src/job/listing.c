#include "job/listing.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "job/listing_internal.h"

#define OUT_BYTES ((size_t)256 * 1024)

const char *listing_kind_name(const struct crawl_item *item)
{
    if (item->kind == ENTRY_UNREADABLE)
        return "unreadable";
    if (item->kind == ENTRY_UNKNOWN)
        return "other";
    if (item->kind != ENTRY_SPECIAL)
        return entry_kind_name(item->kind);
    if (item->reason == REASON_FIFO)
        return "fifo";
    return item->reason == REASON_SOCKET ? "socket" : "device";
}

void listing_add_time(struct buf *out, int64_t time_ns)
{
    if (time_ns < 0)
        buf_add_char(out, '-');
    const uint64_t span = time_ns < 0 ? -(uint64_t)time_ns : (uint64_t)time_ns;
    buf_add_decimal(out, span / (uint64_t)NS_PER_S);
    char digits[10] = { '.' };
    uint64_t rest = span % (uint64_t)NS_PER_S;
    for (size_t i = sizeof digits - 1; i != 0; i--, rest /= 10)
        digits[i] = (char)('0' + rest % 10);
    buf_add(out, digits, sizeof digits);
}

/* The writer has put a place for the size of a directory into its text already. */
static int enter(struct listing *listing, const char *name, size_t name_len, bool written,
                 struct err *err)
{
    struct trail_step *step = trail_enter(&listing->trail, name, name_len);
    step->written = written;
    return written && listing->writer == &listing_desi
               ? spill_numbers_add(&listing->sizes, &step->index, err)
               : 0;
}

int listing_open(struct listing **ret_listing, const struct listing_options *options,
                 struct err *err)
{
    static const struct listing_writer *const writers[] = {
        [LISTING_DESI] = &listing_desi,
        [LISTING_JSONL] = &listing_jsonl,
        [LISTING_CSV] = &listing_csv,
        [LISTING_NCDU] = &listing_ncdu,
    };
    struct listing *listing = mem_alloc(sizeof *listing);
    listing->options = *options;
    listing->writer = writers[options->format];
    spill_init(&listing->text, options->temp_dir, (size_t)4 * 1024 * 1024);
    spill_numbers_init(&listing->sizes, options->temp_dir);
    if (listing->writer->begin != NULL)
        listing->writer->begin(listing);
    if (enter(listing, "", 0, true, err) < 0) {
        listing_close(listing);
        return -1;
    }
    *ret_listing = listing;
    return 0;
}

int listing_flush(struct listing *listing, struct err *err)
{
    const int result =
        file_write_all(listing->options.fd, listing->out.data, listing->out.len, err);
    buf_clear(&listing->out);
    return result;
}

static int flush_some(struct listing *listing, struct err *err)
{
    if (listing->out.len < OUT_BYTES)
        return 0;
    if (listing->writer != &listing_desi)
        return listing_flush(listing, err);
    const int result = spill_add(&listing->text, listing->out.data, listing->out.len, err);
    buf_clear(&listing->out);
    return result;
}

static int leave(struct listing *listing, struct err *err)
{
    const struct trail_step *step = trail_last(&listing->trail);
    if (step->written && listing->writer->leave != NULL &&
        listing->writer->leave(listing, step, err) < 0)
        return -1;
    trail_leave(&listing->trail);
    return 0;
}

int listing_add(struct listing *listing, const struct crawl_item *item, struct err *err)
{
    struct trail *trail = &listing->trail;
    while (trail_passed(trail, item->name, item->name_len))
        if (leave(listing, err) < 0)
            return -1;
    const size_t above_len = trail_last(trail)->name_len;
    if (memchr(item->name + above_len, '/', item->name_len - above_len - (item->kind == ENTRY_DIR)))
        return err_set(err, ERR_CORRUPT, "'%s' does not come behind its directory", item->name);
    const uint32_t depth_max = listing->options.depth_max;
    const bool written = depth_max == 0 || trail->depth <= depth_max;
    const size_t skip = trail_last(trail)->name_len;
    const bool is_dir = item->kind == ENTRY_DIR;
    if (written)
        listing->writer->add(listing, item, item->name + skip, item->name_len - skip - is_dir);
    if (item->kind == ENTRY_FILE)
        trail_last(trail)->bytes += item->size_bytes;
    if (!listing_enters(item))
        return flush_some(listing, err);
    if (enter(listing, item->name, item->name_len, written, err) < 0)
        return -1;
    return flush_some(listing, err);
}

int listing_finish(struct listing *listing, struct err *err)
{
    while (listing->trail.depth != 0)
        if (leave(listing, err) < 0)
            return -1;
    if (listing->writer->end != NULL && listing->writer->end(listing, err) < 0)
        return -1;
    return listing_flush(listing, err);
}

void listing_close(struct listing *listing)
{
    if (listing == NULL)
        return;
    trail_done(&listing->trail);
    buf_done(&listing->out);
    spill_done(&listing->text);
    spill_numbers_done(&listing->sizes);
    mem_release(listing);
}
