/* job/journal.h: one append-only file for each process that works on a generation; records are
 * framed with length and CRC, and a reader takes the valid prefix. docs/formats.md has every byte.
 * Writer: the ledger's thread alone. */
#pragma once

#include "base/buf.h"
#include "job/result.h"

#include <stdint.h>

#define JOURNAL_RECORD_MAX ((size_t)1024 * 1024 * 1024) /* the results of a pack are one record */

/* Written in journals. */
enum journal_kind {
    JOURNAL_START = 1,   /* the process: number, pid, host, time */
    JOURNAL_RESULTS = 2, /* results of one segment */
    JOURNAL_BEGIN = 3,   /* a large object was begun: token and what the source was */
    JOURNAL_PART = 4,    /* one of its parts is stored */
    JOURNAL_DROP = 5,    /* it was given up and cleaned */
    JOURNAL_INTENT = 6,  /* entries that are about to be put; what a kill leaves has their tags */
    JOURNAL_TIME = 7,    /* when it was that all before was written */
    JOURNAL_SLOW = 8,    /* an entry whose result follows took JOURNAL_SLOW_NS or longer */
    JOURNAL_PACK = 9,    /* as PART, of a pack, with what the part holds */
};
/* Times are written at most this often: a report needs no more. */
#define JOURNAL_TIME_NS (INT64_C(1000) * 1000 * 1000)
#define JOURNAL_SLOW_NS (INT64_C(1000) * 1000 * 1000)

struct journal_upload { /* a large object under way */
    uint32_t segment, ordinal;
    uint64_t part_bytes;
    uint64_t size_bytes; /* of the source at begin */
    int64_t mtime_ns, ctime_ns;
    uint64_t ino;
    char token[STORE_TOKEN_MAX];
};

struct journal {
    int fd;
    uint32_t process;
    struct buf pending; /* framed records not yet written */
    uint64_t written_bytes;
    int64_t timed_ns; /* of the last JOURNAL_TIME */
};
/* Create journal-NNNNNN.log for this process in the generation. */
CHECKED int journal_create(struct journal *journal, int dir_fd, uint32_t process, struct err *err);
void journal_add_results(struct journal *journal, uint32_t segment, uint32_t count,
                         const void *encoded, size_t len);
void journal_add_begin(struct journal *journal, const struct journal_upload *upload);
void journal_add_part(struct journal *journal, uint32_t segment, uint32_t ordinal,
                      const struct store_part *part);
/* `note` is what the pack's part holds, see pack_note in docs/formats.md. */
void journal_add_pack(struct journal *journal, uint32_t segment, uint32_t ordinal,
                      const struct store_part *part, const void *note, size_t note_len);
void journal_add_drop(struct journal *journal, uint32_t segment, uint32_t ordinal);
void journal_add_intent(struct journal *journal, uint32_t segment, uint32_t first, uint32_t last);
/* Before a flush: note the time, when something is pending and the last note is old enough. */
void journal_add_time(struct journal *journal, int64_t now_ns);
/* Before its result: an entry that took span_ns, unless that was quick. */
void journal_add_slow(struct journal *journal, uint32_t segment, uint32_t ordinal, int64_t span_ns);
/* Write what is pending; sync: and make it durable. */
CHECKED int journal_flush(struct journal *journal, bool sync, struct err *err);
void journal_done(struct journal *journal);

struct journal_record {
    enum journal_kind kind;
    uint32_t segment; /* 0: START, TIME */
    uint32_t first,
        last; /* INTENT: ordinals; RESULTS: first is their count; else first is the ordinal */
    struct view results;          /* RESULTS */
    struct journal_upload upload; /* BEGIN */
    struct store_part part;       /* PART, PACK */
    struct view note;             /* PACK */
    int64_t time_ns;              /* START, TIME */
    int64_t span_ns;              /* SLOW */
    char host[64];                /* START */
};
struct journal_reader {
    int fd;
    struct buf bytes; /* a window of the file */
    size_t used;
    uint64_t valid_bytes; /* length of the valid prefix so far */
    uint64_t file_bytes;
    bool damaged; /* the file goes on behind the valid prefix */
};
/* When a process wrote its first and its last record, by the clock of the file system; false:
 * nobody knows. */
bool journal_times(int dir_fd, uint32_t process, int64_t *ret_first_ns, int64_t *ret_last_ns);
CHECKED int journal_read_open(struct journal_reader *reader, int dir_fd, uint32_t process,
                              struct err *err);
/* 1 and a record (valid until the next call), 0 at the end of the valid prefix, -1 ERR_LOCAL. */
CHECKED int journal_read_next(struct journal_reader *reader, struct journal_record *ret_record,
                              struct err *err);
void journal_read_done(struct journal_reader *reader);
/* Parse one payload (behind its frame); -1 when it is none of ours. For the reader and the fuzzer.
 */
CHECKED int journal_parse(const void *payload, size_t len, struct journal_record *ret_record);
