/* pack/ameta.h: the list of files that the a-commands put beside an archive, in `KEY_ameta`:
 * lines as `ls -l` writes them, or names alone. What a line means cannot always be told; what is
 * no name of a file is passed over. The text is from outside: nothing in it is trusted.
 * Owner: the caller; names point into the text. */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AMETA_SUFFIX "_ameta"
#define AMETA_BYTES_MAX ((uint64_t)256 << 20)
#define AMETA_PATH_MAX 65536u

struct ameta_file {
    const char *path; /* as it is in the archive: no '/' in front, nothing up to a leading ".." */
    size_t path_len;
    bool is_link;
    bool has_size;
    uint64_t size_bytes;
    int64_t time_ns; /* to the minute or the day, as local time; 0 = not to be told */
};
struct ameta {
    const char *at, *end;
    bool in_list; /* behind the lines of the header */
    int64_t now_ns;
};
/* now_ns: a time without a year is the latest before this. */
struct ameta ameta_of(const char *text, size_t len, int64_t now_ns);
/* False at the end. */
bool ameta_next(struct ameta *ameta, struct ameta_file *ret_file);
