/* Reads paths, one a line, a directory with '/' behind it, and prints those that a filter includes.
 * Arguments: pairs of --include, --exclude, --filter or the same with -from, and the value.
 * Exits 2 with the error when a rule is refused, 3 when the filter contradicts itself. */
#include "base/mem.h"
#include "job/filter.h"

#include <stdio.h>
#include <string.h>

static int add(struct filter *filter, const char *name, const char *value, struct err *err)
{
    static const char *const options[] = { "--include", "--exclude", "--filter" };
    for (int i = 0; i < 3; i++) {
        const size_t len = strlen(options[i]);
        if (strncmp(name, options[i], len) != 0)
            continue;
        if (strcmp(name + len, "-from") == 0)
            return filter_add_file(filter, (enum filter_option)i, value, err);
        return filter_add(filter, (enum filter_option)i, value, name, err);
    }
    return err_set(err, ERR_USAGE, "'%s' is no option", name);
}

/* A directory above says "all below" and still the path is excluded. */
static bool contradicts(const struct filter *filter, const char *path, size_t len, bool included)
{
    for (size_t i = 0; i < len; i++) {
        if (i > 0 && path[i - 1] != '/')
            continue;
        const enum filter_reach reach = filter_dir(filter, path, i, NULL);
        if (reach == FILTER_DIR_NONE)
            return included;
        if (reach != FILTER_DIR_ALL)
            continue;
        const bool dir = path[len - 1] == '/';
        const bool says = dir ? filter_dir(filter, path, len, NULL) != FILTER_DIR_NONE
                              : filter_file(filter, path, len, NULL);
        if (!says || !included)
            return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    struct filter *filter = filter_new();
    struct err err = { 0 };
    for (int i = 1; i + 1 < argc; i += 2) {
        if (add(filter, argv[i], argv[i + 1], &err) < 0) {
            fprintf(stderr, "%s\n", err.text);
            filter_free(filter);
            return 2;
        }
    }
    filter_seal(filter);
    char *line = NULL;
    size_t cap = 0;
    ssize_t got;
    int status = 0;
    while ((got = getline(&line, &cap, stdin)) > 0) {
        size_t len = (size_t)got;
        if (line[len - 1] == '\n')
            line[--len] = '\0';
        const bool included = filter_path(filter, line, len, NULL);
        if (contradicts(filter, line, len, included)) {
            fprintf(stderr, "contradiction: '%s'\n", line);
            status = 3;
        }
        if (included)
            printf("%s\n", line);
    }
    mem_release(line);
    filter_free(filter);
    return status;
}
