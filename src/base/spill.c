#include "base/spill.h"

#include "base/ban.h"
#include "base/file.h"
#include "base/mem.h"

#include <assert.h>
#include <unistd.h>

#define PIECE_BYTES ((size_t)256 * 1024)
#define WINDOW_BYTES (SPILL_WINDOW * sizeof(uint64_t))

void spill_init(struct spill *spill, const char *temp_dir, size_t memory_bytes)
{
    *spill = (struct spill){ .temp_dir = temp_dir, .memory_bytes = memory_bytes, .fd = -1 };
}

void spill_done(struct spill *spill)
{
    if (spill->fd >= 0)
        close(spill->fd);
    spill->fd = -1;
    buf_done(&spill->tail);
}

static int write_tail(struct spill *spill, struct err *err)
{
    if (spill->fd < 0 && (spill->fd = file_open_temp(spill->temp_dir, err)) < 0)
        return -1;
    if (file_write_all(spill->fd, spill->tail.data, spill->tail.len, err) < 0)
        return err_at(err, "temporary file");
    spill->file_bytes += spill->tail.len;
    buf_clear(&spill->tail);
    return 0;
}

int spill_add(struct spill *spill, const void *bytes, size_t len, struct err *err)
{
    buf_add(&spill->tail, bytes, len);
    /* Once there is a file, it gets all in pieces: a long tail would only take memory. */
    const size_t most = spill->fd < 0 ? spill->memory_bytes : PIECE_BYTES;
    return spill->tail.len > most ? write_tail(spill, err) : 0;
}

int spill_next(struct spill *spill, const char **ret_bytes, size_t *ret_len, struct err *err)
{
    if (spill->fd >= 0 && spill->read_bytes == 0 && spill->tail.len != 0 &&
        write_tail(spill, err) < 0)
        return -1;
    if (spill->fd < 0) {
        *ret_bytes = buf_text(&spill->tail);
        *ret_len = spill->tail_given ? 0 : spill->tail.len;
        spill->tail_given = true;
        return *ret_len != 0;
    }
    const uint64_t left = spill->file_bytes - spill->read_bytes;
    *ret_len = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
    if (*ret_len == 0)
        return 0;
    buf_reserve(&spill->tail, PIECE_BYTES);
    if (file_read_at(spill->fd, spill->read_bytes, spill->tail.data, *ret_len, err) < 0)
        return err_at(err, "temporary file");
    spill->read_bytes += *ret_len;
    *ret_bytes = spill->tail.data;
    return 1;
}

/* ---- numbers ---- */

void spill_numbers_init(struct spill_numbers *numbers, const char *temp_dir)
{
    *numbers = (struct spill_numbers){ .temp_dir = temp_dir, .fd = -1 };
    numbers->window = mem_alloc(WINDOW_BYTES);
}

void spill_numbers_done(struct spill_numbers *numbers)
{
    if (numbers->fd >= 0)
        close(numbers->fd);
    numbers->fd = -1;
    mem_free(numbers->window);
}

static int write_window(struct spill_numbers *numbers, struct err *err)
{
    if (numbers->fd < 0 && (numbers->fd = file_open_temp(numbers->temp_dir, err)) < 0)
        return -1;
    if (file_write_at(numbers->fd, numbers->window, WINDOW_BYTES, numbers->base * sizeof(uint64_t),
                      err) < 0)
        return err_at(err, "temporary file");
    return 0;
}

int spill_numbers_add(struct spill_numbers *numbers, uint64_t *ret_index, struct err *err)
{
    if (numbers->count == numbers->base + SPILL_WINDOW) {
        if (write_window(numbers, err) < 0)
            return -1;
        numbers->base = numbers->count;
        memset(numbers->window, 0, WINDOW_BYTES);
    }
    *ret_index = numbers->count++;
    return 0;
}

int spill_numbers_set(struct spill_numbers *numbers, uint64_t index, uint64_t value,
                      struct err *err)
{
    assert(index < numbers->count);
    if (index >= numbers->base) {
        numbers->window[index - numbers->base] = value;
        return 0;
    }
    if (file_write_at(numbers->fd, &value, sizeof value, index * sizeof value, err) < 0)
        return err_at(err, "temporary file");
    return 0;
}

static int read_window(struct spill_numbers *numbers, uint64_t base, struct err *err)
{
    numbers->base = base;
    if (file_read_at(numbers->fd, base * sizeof(uint64_t), numbers->window, WINDOW_BYTES, err) < 0)
        return err_at(err, "temporary file");
    return 0;
}

int spill_numbers_finish(struct spill_numbers *numbers, struct err *err)
{
    if (numbers->base == 0)
        return 0;
    return write_window(numbers, err) < 0 ? -1 : read_window(numbers, 0, err);
}

int spill_numbers_get(struct spill_numbers *numbers, uint64_t index, uint64_t *ret_value,
                      struct err *err)
{
    if (index >= numbers->base + SPILL_WINDOW &&
        read_window(numbers, index - index % SPILL_WINDOW, err) < 0)
        return -1;
    *ret_value = numbers->window[index - numbers->base];
    return 0;
}
