/* job/listing_read.h: a listing that was written before (job/listing.h), as items: the nested
 * arrays of the format desi, or JSON lines; which of them it is, its beginning tells. Names that
 * would lead out of the tree are refused. Memory is flat in the number of entries.
 * Owner: the caller. Threads: one at a time. Errors: ERR_CORRUPT with the place. */
#pragma once

#include "base/err.h"
#include "job/crawl.h"

struct listing_reader;
/* "-" is standard input. */
CHECKED int listing_reader_open(struct listing_reader **ret_reader, const char *path,
                                struct err *err);
/* 1 and the next item, in the order of the file; 0 at the end; -1. no_attr tells where mode, owner
 * and time are not known, ENTRY_UNKNOWN what is neither directory nor file. */
CHECKED int listing_reader_next(struct listing_reader *reader, struct crawl_item *ret_item,
                                struct err *err);
/* What the listing calls the top directory, "." when it does not tell; once an item was had. */
const char *listing_reader_top(const struct listing_reader *reader);
void listing_reader_close(struct listing_reader *reader);
