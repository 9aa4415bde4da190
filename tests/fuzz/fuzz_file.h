/* tests/fuzz/fuzz_file.h: for targets that read a file by its name: a directory that is made once
 * and removed at the end of the process. */
#pragma once

#include <stddef.h>

/* The directory; valid to the end of the process. */
int fuzz_dir(void);
/* Replace the file `name` in it. */
void fuzz_write(const char *name, const void *bytes, size_t len);
