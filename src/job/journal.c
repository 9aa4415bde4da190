#include "job/journal.h"

#include "base/ban.h"
#include "base/clock.h"
#include "base/crc64.h"
#include "base/file.h"
#include "base/scope.h"
#include "job/segment.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD "LADEJNL1"
#define FRAME_BYTES 12u /* length, CRC */
#define WINDOW_BYTES ((size_t)1024 * 1024)

static void file_name(uint32_t process, char text[32])
{
    snprintf(text, 32, "journal-%06u.log", process);
}

/* A frame is opened with room for length and CRC, which frame_close() fills in. */
static size_t frame_open(struct journal *journal, enum journal_kind kind)
{
    const size_t at = journal->pending.len;
    static const char room[FRAME_BYTES];
    buf_add(&journal->pending, room, sizeof room);
    buf_add_char(&journal->pending, (char)kind);
    return at;
}

static void frame_close(struct journal *journal, size_t at)
{
    const size_t len = journal->pending.len - at - FRAME_BYTES;
    assert(len <= JOURNAL_RECORD_MAX);
    SCOPED(buf) struct buf head = { 0 };
    buf_add_u32(&head, (uint32_t)len);
    const uint64_t crc =
        crc64nvme(crc64nvme(0, head.data, 4), journal->pending.data + at + FRAME_BYTES, len);
    buf_add_u64(&head, crc);
    memcpy(journal->pending.data + at, head.data, FRAME_BYTES);
}

int journal_create(struct journal *journal, int dir_fd, uint32_t process, struct err *err)
{
    char name[32];
    file_name(process, name);
    *journal =
        (struct journal){ .fd = openat(dir_fd, name,
                                       O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666),
                          .process = process };
    if (journal->fd < 0)
        return err_sys(err, ERR_LOCAL, "create journal '%s'", name);
    buf_add(&journal->pending, HEAD, 8);
    buf_add_u32(&journal->pending, process);
    const size_t frame = frame_open(journal, JOURNAL_START);
    char host[64] = "";
    gethostname(host, sizeof host - 1);
    buf_add_varint(&journal->pending, process);
    buf_add_varint(&journal->pending, (uint64_t)getpid());
    journal->timed_ns = clock_now_ns();
    buf_add_signed(&journal->pending, journal->timed_ns);
    buf_add_text(&journal->pending, host);
    frame_close(journal, frame);
    if (journal_flush(journal, true, err) < 0) {
        journal_done(journal);
        return -1;
    }
    if (fsync(dir_fd) < 0) {
        err_sys(err, ERR_LOCAL, "sync the job directory");
        journal_done(journal);
        return -1;
    }
    return 0;
}

void journal_add_results(struct journal *journal, uint32_t segment, uint32_t count,
                         const void *encoded, size_t len)
{
    const size_t frame = frame_open(journal, JOURNAL_RESULTS);
    buf_add_varint(&journal->pending, segment);
    buf_add_varint(&journal->pending, count);
    buf_add(&journal->pending, encoded, len);
    frame_close(journal, frame);
}

void journal_add_begin(struct journal *journal, const struct journal_upload *upload)
{
    const size_t frame = frame_open(journal, JOURNAL_BEGIN);
    struct buf *out = &journal->pending;
    buf_add_varint(out, upload->segment);
    buf_add_varint(out, upload->ordinal);
    buf_add_varint(out, upload->part_bytes);
    buf_add_varint(out, upload->size_bytes);
    buf_add_signed(out, upload->mtime_ns);
    buf_add_signed(out, upload->ctime_ns);
    buf_add_varint(out, upload->ino);
    buf_add_text(out, upload->token);
    frame_close(journal, frame);
}

void journal_add_part(struct journal *journal, uint32_t segment, uint32_t ordinal,
                      const struct store_part *part)
{
    const size_t frame = frame_open(journal, JOURNAL_PART);
    struct buf *out = &journal->pending;
    buf_add_varint(out, segment);
    buf_add_varint(out, ordinal);
    buf_add_varint(out, part->number);
    buf_add_varint(out, part->size_bytes);
    buf_add_u64(out, part->crc64);
    buf_add_text(out, part->etag);
    frame_close(journal, frame);
}

void journal_add_pack(struct journal *journal, uint32_t segment, uint32_t ordinal,
                      const struct store_part *part, const void *note, size_t note_len)
{
    const size_t frame = frame_open(journal, JOURNAL_PACK);
    struct buf *out = &journal->pending;
    buf_add_varint(out, segment);
    buf_add_varint(out, ordinal);
    buf_add_varint(out, part->number);
    buf_add_varint(out, part->size_bytes);
    buf_add_u64(out, part->crc64);
    buf_add_varint(out, strlen(part->etag));
    buf_add_text(out, part->etag);
    buf_add(out, note, note_len);
    frame_close(journal, frame);
}

void journal_add_drop(struct journal *journal, uint32_t segment, uint32_t ordinal)
{
    const size_t frame = frame_open(journal, JOURNAL_DROP);
    buf_add_varint(&journal->pending, segment);
    buf_add_varint(&journal->pending, ordinal);
    frame_close(journal, frame);
}

void journal_add_intent(struct journal *journal, uint32_t segment, uint32_t first, uint32_t last)
{
    const size_t frame = frame_open(journal, JOURNAL_INTENT);
    buf_add_varint(&journal->pending, segment);
    buf_add_varint(&journal->pending, first);
    buf_add_varint(&journal->pending, last);
    frame_close(journal, frame);
}

void journal_add_time(struct journal *journal, int64_t now_ns)
{
    /* A clock that was set back is written at once too. */
    const int64_t since_ns = now_ns - journal->timed_ns;
    if (journal->pending.len == 0 || (since_ns >= 0 && since_ns < JOURNAL_TIME_NS))
        return;
    const size_t frame = frame_open(journal, JOURNAL_TIME);
    buf_add_signed(&journal->pending, now_ns);
    frame_close(journal, frame);
    journal->timed_ns = now_ns;
}

void journal_add_slow(struct journal *journal, uint32_t segment, uint32_t ordinal, int64_t span_ns)
{
    if (span_ns < JOURNAL_SLOW_NS)
        return;
    const size_t frame = frame_open(journal, JOURNAL_SLOW);
    buf_add_varint(&journal->pending, segment);
    buf_add_varint(&journal->pending, ordinal);
    buf_add_varint(&journal->pending, (uint64_t)(span_ns / NS_PER_MS));
    frame_close(journal, frame);
}

int journal_flush(struct journal *journal, bool sync, struct err *err)
{
    if (journal->pending.len != 0) {
        if (file_write_all(journal->fd, journal->pending.data, journal->pending.len, err) < 0)
            return err_at(err, "journal");
        journal->written_bytes += journal->pending.len;
        buf_clear(&journal->pending);
    }
    if (sync && fdatasync(journal->fd) < 0)
        return err_sys(err, ERR_LOCAL, "sync the journal");
    return 0;
}

void journal_done(struct journal *journal)
{
    if (journal->fd >= 0)
        close(journal->fd);
    journal->fd = -1;
    buf_done(&journal->pending);
}

/* ---- reading ---- */

/* The rest of a payload as text of at most cap - 1 bytes. */
static void parse_text(struct view *view, char *ret_text, size_t cap)
{
    const size_t len = view_left(view);
    const void *bytes = len < cap ? view_bytes(view, len) : NULL;
    if (bytes == NULL) {
        view->bad = true;
        return;
    }
    memcpy(ret_text, bytes, len);
    ret_text[len] = '\0';
}

static void parse_begin(struct view *view, struct journal_upload *upload)
{
    upload->part_bytes = view_varint(view);
    upload->size_bytes = view_varint(view);
    upload->mtime_ns = view_signed(view);
    upload->ctime_ns = view_signed(view);
    upload->ino = view_varint(view);
    parse_text(view, upload->token, sizeof upload->token);
}

static void parse_part_numbers(struct view *view, struct store_part *part)
{
    const uint64_t number = view_varint(view);
    if (number > UINT32_MAX)
        view->bad = true;
    part->number = (uint32_t)number;
    part->size_bytes = view_varint(view);
    part->crc64 = view_u64(view);
}

static void parse_part(struct view *view, struct store_part *part)
{
    parse_part_numbers(view, part);
    parse_text(view, part->etag, sizeof part->etag);
}

static void parse_pack(struct view *view, struct journal_record *record)
{
    parse_part_numbers(view, &record->part);
    const uint64_t len = view_varint(view);
    const void *etag = len < STORE_ETAG_MAX ? view_bytes(view, (size_t)len) : NULL;
    if (etag == NULL) {
        view->bad = true;
        return;
    }
    struct view text = view_of(etag, (size_t)len);
    parse_text(&text, record->part.etag, sizeof record->part.etag);
    record->note = *view;
}

/* Who wrote it and when is only told, so a short one is taken too. */
static void parse_start(struct view view, struct journal_record *record)
{
    (void)view_varint(&view); /* process, pid */
    (void)view_varint(&view);
    record->time_ns = view_signed(&view);
    if (view.bad)
        record->time_ns = 0;
    else
        parse_text(&view, record->host, sizeof record->host);
}

int journal_parse(const void *payload, size_t len, struct journal_record *ret_record)
{
    struct view view = view_of(payload, len);
    *ret_record = (struct journal_record){ .kind = (enum journal_kind)view_u8(&view) };
    if (ret_record->kind == JOURNAL_START) {
        parse_start(view, ret_record);
        return view.bad ? -1 : 0;
    }
    if (ret_record->kind == JOURNAL_TIME) {
        ret_record->time_ns = view_signed(&view);
        return view.bad ? -1 : 0;
    }
    const uint64_t segment = view_varint(&view);
    const uint64_t first = view_varint(&view);
    if (view.bad || segment == 0 || segment > UINT32_MAX || first > SEGMENT_ENTRIES_MAX)
        return -1;
    ret_record->segment = (uint32_t)segment;
    ret_record->first = (uint32_t)first;
    switch (ret_record->kind) {
    case JOURNAL_RESULTS:
        ret_record->results = view;
        break;
    case JOURNAL_BEGIN:
        parse_begin(&view, &ret_record->upload);
        ret_record->upload.segment = ret_record->segment;
        ret_record->upload.ordinal = ret_record->first;
        break;
    case JOURNAL_PART:
        parse_part(&view, &ret_record->part);
        break;
    case JOURNAL_PACK:
        parse_pack(&view, ret_record);
        break;
    case JOURNAL_DROP:
        break;
    case JOURNAL_INTENT: {
        const uint64_t last = view_varint(&view);
        if (last > SEGMENT_ENTRIES_MAX)
            return -1;
        ret_record->last = (uint32_t)last;
        break;
    }
    case JOURNAL_SLOW: {
        const uint64_t span_ms = view_varint(&view);
        if (span_ms > INT64_MAX / NS_PER_MS)
            return -1;
        ret_record->span_ns = (int64_t)span_ms * NS_PER_MS;
        break;
    }
    default:
        return -1;
    }
    return view.bad ? -1 : 0;
}

/* Have `need` bytes in the window behind `used`, if the file still has them. */
static int fill(struct journal_reader *reader, size_t need, struct err *err)
{
    if (reader->bytes.len - reader->used >= need)
        return 0;
    const size_t left = reader->bytes.len - reader->used;
    if (left != 0)
        memmove(reader->bytes.data, reader->bytes.data + reader->used, left);
    reader->bytes.len = left;
    reader->used = 0;
    buf_reserve(&reader->bytes, need > WINDOW_BYTES ? need : WINDOW_BYTES);
    while (reader->bytes.len < need) {
        const ssize_t got = read(reader->fd, reader->bytes.data + reader->bytes.len,
                                 reader->bytes.cap - 1 - reader->bytes.len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, ERR_LOCAL, "read the journal");
        if (got == 0)
            break;
        reader->bytes.len += (size_t)got;
    }
    return 0;
}

int journal_read_open(struct journal_reader *reader, int dir_fd, uint32_t process, struct err *err)
{
    char name[32];
    file_name(process, name);
    *reader = (struct journal_reader){ .fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC) };
    if (reader->fd < 0)
        return err_sys(err, ERR_LOCAL, "open journal '%s'", name);
    struct stat st;
    if (fstat(reader->fd, &st) < 0 || fill(reader, 12, err) < 0) {
        const int failed = err->kind != ERR_NONE ? -1 : err_sys(err, ERR_LOCAL, "stat '%s'", name);
        journal_read_done(reader);
        return failed;
    }
    reader->file_bytes = (uint64_t)st.st_size;
    struct view head = view_of(reader->bytes.data, reader->bytes.len);
    const void *magic = view_bytes(&head, 8);
    if (magic != NULL && memcmp(magic, HEAD, 8) == 0 && view_u32(&head) == process && !head.bad) {
        reader->used = 12;
        reader->valid_bytes = 12;
    } else {
        reader->damaged = true;
    }
    return 0;
}

int journal_read_next(struct journal_reader *reader, struct journal_record *ret_record,
                      struct err *err)
{
    if (reader->damaged)
        return 0;
    if (fill(reader, FRAME_BYTES, err) < 0)
        return -1;
    struct view frame =
        view_of(reader->bytes.data + reader->used, reader->bytes.len - reader->used);
    const uint32_t len = view_u32(&frame);
    const uint64_t crc = view_u64(&frame);
    if (frame.bad || len == 0 || len > JOURNAL_RECORD_MAX ||
        len > reader->file_bytes - reader->valid_bytes) {
        reader->damaged = reader->valid_bytes < reader->file_bytes;
        return 0;
    }
    if (fill(reader, FRAME_BYTES + (size_t)len, err) < 0)
        return -1;
    const char *start = reader->bytes.data + reader->used;
    if (reader->bytes.len - reader->used < FRAME_BYTES + (size_t)len ||
        crc64nvme(crc64nvme(0, start, 4), start + FRAME_BYTES, len) != crc ||
        journal_parse(start + FRAME_BYTES, len, ret_record) < 0) {
        reader->damaged = true;
        return 0;
    }
    reader->used += FRAME_BYTES + (size_t)len;
    reader->valid_bytes += FRAME_BYTES + (uint64_t)len;
    return 1;
}

void journal_read_done(struct journal_reader *reader)
{
    if (reader->fd >= 0)
        close(reader->fd);
    reader->fd = -1;
    buf_done(&reader->bytes);
}

static int64_t statx_ns(const struct statx_timestamp *time)
{
    return time->tv_sec * NS_PER_S + time->tv_nsec;
}

bool journal_times(int dir_fd, uint32_t process, int64_t *ret_first_ns, int64_t *ret_last_ns)
{
    char name[32];
    struct statx st;
    file_name(process, name);
    if (statx(dir_fd, name, AT_SYMLINK_NOFOLLOW, STATX_BTIME | STATX_MTIME, &st) < 0 ||
        (st.stx_mask & (STATX_BTIME | STATX_MTIME)) != (STATX_BTIME | STATX_MTIME))
        return false;
    *ret_first_ns = statx_ns(&st.stx_btime);
    *ret_last_ns = statx_ns(&st.stx_mtime);
    return true;
}
