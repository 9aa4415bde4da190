/* job/xattrs.h: extended attributes (base/xattr.h) of what is moved, with --xattrs. What cannot be
 * kept is told, and is no failure of its entry: the bytes are there. Threads: any; no state.
 * Errors:  *ret_why says what is left out, and is clear where nothing is. */
#pragma once

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "job/job.h"
#include "job/notes.h"
#include "job/source.h"

#include <stdbool.h>

/* Those of an open file of the source; none unless the spec asks for them. */
void xattrs_read(const struct job_spec *spec, int fd, struct buf *ret_set, struct err *ret_why);
/* Of a directory of the source, by its name. */
void xattrs_read_dir(const struct job_spec *spec, const struct source_set *sources,
                     const char *name, struct buf *ret_set, struct err *ret_why);
/* It is an object of its own, or none: it keeps none of them. */
void xattrs_left_out(const struct buf *set, struct err *ret_why);
/* stage_set_attr(), and these if the spec asks for them; NULL: they are not known. `fresh`: as
 * xattr_write() has it. */
CHECKED int xattrs_set(const struct job_spec *spec, int fd, const struct attr *attr,
                       const struct buf *xattrs, bool fresh, struct err *ret_why, struct err *err);
/* A warning, if there is a cause; once the entry is done. */
void xattrs_tell(struct notes *notes, const char *name, const struct err *why);
