/* The nested arrays of DESI's find.py: [name, type, size, children...]. A directory's size comes
 * before what is below it, so the text is kept with a mark in its place, and the sizes beside it;
 * at the end both are put together. */
#include "job/listing_internal.h"

#include "base/ban.h"
#include "base/json.h"

#define SIZE_LATER '\0' /* in no JSON text */

static void begin(struct listing *listing)
{
    const char *top = listing->options.top;
    buf_add_char(&listing->out, '[');
    json_string(&listing->out, top, strlen(top));
    buf_add(&listing->out, ",0,", 3);
    buf_add_char(&listing->out, SIZE_LATER);
}

static void add(struct listing *listing, const struct crawl_item *item, const char *name,
                size_t name_len)
{
    struct buf *out = &listing->out;
    buf_add(out, ",[", 2);
    json_string(out, name, name_len);
    if (listing_enters(item)) {
        buf_add(out, ",0,", 3);
        buf_add_char(out, SIZE_LATER);
    } else if (item->kind == ENTRY_FILE) {
        buf_add(out, ",1,", 3);
        buf_add_decimal(out, item->size_bytes);
        buf_add_char(out, ']');
    } else {
        buf_add(out, ",-1,0]", 6);
    }
}

static int leave(struct listing *listing, const struct trail_step *step, struct err *err)
{
    buf_add_char(&listing->out, ']');
    return spill_numbers_set(&listing->sizes, step->index, step->bytes, err);
}

static int merge(struct listing *listing, const char *bytes, size_t len, uint64_t *number,
                 struct err *err)
{
    struct buf *out = &listing->out;
    const char *const end = bytes + len;
    while (bytes != end) {
        const char *mark = memchr(bytes, SIZE_LATER, (size_t)(end - bytes));
        const char *stop = mark != NULL ? mark : end;
        buf_add(out, bytes, (size_t)(stop - bytes));
        bytes = stop;
        if (mark == NULL)
            break;
        uint64_t size = 0;
        if (spill_numbers_get(&listing->sizes, (*number)++, &size, err) < 0)
            return -1;
        buf_add_decimal(out, size);
        bytes++;
    }
    return listing_flush(listing, err);
}

static int end(struct listing *listing, struct err *err)
{
    buf_add_char(&listing->out, '\n');
    if (spill_add(&listing->text, listing->out.data, listing->out.len, err) < 0)
        return -1;
    buf_clear(&listing->out);
    if (spill_numbers_finish(&listing->sizes, err) < 0)
        return -1;
    const char *bytes = NULL;
    size_t len = 0;
    uint64_t number = 0;
    int got;
    while ((got = spill_next(&listing->text, &bytes, &len, err)) == 1)
        if (merge(listing, bytes, len, &number, err) < 0)
            return -1;
    return got;
}

const struct listing_writer listing_desi = {
    .begin = begin, .add = add, .leave = leave, .end = end
};
