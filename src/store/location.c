#include "store/location.h"

#include "base/ban.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scope.h"

#define PATH_SCHEME "path"

/* Where the ':' behind a scheme is, NULL for a path. */
static const char *scheme_end(const char *text)
{
    const char *mark = strpbrk(text, ":/");
    return mark != NULL && *mark == ':' ? mark : NULL;
}

static int unknown_scheme(const char *text, size_t scheme_len, struct err *err)
{
    SCOPED(buf) struct buf known = { 0 };
    for (const struct store_driver *const *driver = store_drivers(); *driver != NULL; driver++)
        buf_printf(&known, "%s%s:", known.len != 0 ? ", " : "", (*driver)->scheme);
    err_set(err, ERR_USAGE, "'%s': '%.*s:' is no kind of location; there are %s", text,
            (int)(scheme_len < 64 ? scheme_len : 64), text, buf_text(&known));
    return err_hint(err, "write ./%s for a file of this name", text);
}

int location_parse(struct location *ret_location, const char *text, struct err *err)
{
    if (text[0] == '\0')
        return err_set(err, ERR_USAGE, "an empty location");
    const char *end = scheme_end(text);
    SCOPED(buf) struct buf scheme = { 0 };
    const char *path = text;
    if (end == NULL) {
        buf_add_text(&scheme, PATH_SCHEME);
    } else {
        buf_add(&scheme, text, (size_t)(end - text));
        path = end + 1;
        if (store_driver_by_scheme(buf_text(&scheme)) == NULL)
            return unknown_scheme(text, scheme.len, err);
    }
    const bool local = end == NULL || strcmp(buf_text(&scheme), "file") == 0;
    if (local && path[0] == '\0')
        return err_set(err, ERR_USAGE, "'%s' names no directory", text);
    *ret_location = (struct location){ .text = mem_string(text),
                                       .scheme = buf_take(&scheme),
                                       .path = local ? path_absolute(path) : mem_string(path),
                                       .ends_in_slash = text[strlen(text) - 1] == '/' };
    return 0;
}

void location_done(struct location *location)
{
    mem_release(location->text);
    mem_release(location->scheme);
    mem_release(location->path);
    *location = (struct location){ 0 };
}

bool location_is_local(const struct location *location)
{
    return strcmp(location->scheme, PATH_SCHEME) == 0 || strcmp(location->scheme, "file") == 0;
}
