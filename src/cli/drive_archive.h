/* cli/drive_archive.h: a get out of an archive: `lade get ARCHIVE!/dir/ DIR`. Main thread. */
#pragma once

#include "cli/settings.h"
#include "job/archived.h"

/* Is the one location of a get a place in an archive? 1 and *ret_place, which drive_archive()
 * takes; 0; -1, also when there are other locations beside it. */
CHECKED int drive_archive_find(struct archived_place *ret_place, const struct settings *settings,
                               char **operands, size_t count, struct err *err);
/* The exit status, or -1 with err. */
CHECKED int drive_archive(const struct settings *settings, struct archived_place *place,
                          char **operands, size_t count, struct err *err);
