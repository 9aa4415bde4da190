/* pack/foreign.h: archives of others, through libarchive: tar in all its dialects, plain or packed
 * with gzip, bzip2, xz, lzma, zstd, lz4, lzip or compress, and zip. Formats that libarchive would
 * hand to another program are not taken.
 *
 * Names: libarchive 3.6 converts names that an archive calls UTF-8 (pax headers, a flag in zip) to
 * the locale, and where that is UTF-8 too it composes them (NFC), so that two names can become one.
 * For tar it is left in the locale "C", where the conversion fails and the bytes stay what they
 * are. For zip a failed conversion loses the name, so those are read from its directory
 * (zip_names.h). Names in zip without the flag (cp437 by the book, anything in practice) are bytes
 * as they are.
 *
 * Proof: bzip2, xz, lz4, lzip, zstd and zip verify what they give. libarchive does not look at the
 * CRC of gzip, so that is done here (gunzip.h), and it stops at the end mark of a tar, so what is
 * behind that is read here: a checksum at the very end counts as well. A plain tar has no checksum
 * of the content; a missing end mark is an error, since a tar that was cut between two members
 * shows it in no other way. */
#pragma once

#include "pack/archive_in.h"

/* most_bytes: no more is decompressed. */
CHECKED int foreign_open(struct archive_in **ret_in, const struct archive_source *source,
                         const char *inside, uint64_t most_bytes, struct err *err);
/* archive_in.c: the error for too much. */
int archive_limit_error(uint64_t most_bytes, struct err *err);
