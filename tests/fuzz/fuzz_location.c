/* A location as a user types it. */
#include "base/ban.h"
#include "base/buf.h"
#include "base/scope.h"
#include "fuzz.h"
#include "store/location.h"

static void require(bool promise)
{
    if (!promise)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 4096)
        return 0;
    SCOPED(buf) struct buf text = { 0 };
    buf_add(&text, data, size);
    struct location location = { 0 };
    struct err err = { 0 };
    if (location_parse(&location, buf_text(&text), &err) < 0) {
        require(err.kind == ERR_USAGE && location.text == NULL);
        return 0;
    }
    require(strcmp(location.text, buf_text(&text)) == 0);
    if (location_is_local(&location)) {
        require(location.path[0] == '/');
        require(strstr(location.path, "//") == NULL && strstr(location.path, "/../") == NULL);
    } else {
        require(store_driver_by_scheme(location.scheme) != NULL);
    }
    location_done(&location);
    location_done(&location);
    return 0;
}
