/* The list of files beside an archive of the a-commands. */
#include "base/ban.h"
#include "base/mem.h"
#include "fuzz.h"
#include "pack/ameta.h"

static void require(bool promise)
{
    if (!promise)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = mem_copy(data, size); /* of exactly this size: a byte too many is seen */
    struct ameta ameta = ameta_of(text, size, INT64_C(1700000000000000000));
    struct ameta_file file;
    const char *last = text;
    while (ameta_next(&ameta, &file)) {
        require(file.path >= last && file.path + file.path_len <= text + size);
        require(file.path_len != 0 && file.path_len <= AMETA_PATH_MAX);
        require(file.path[0] != '/' && file.path[file.path_len - 1] != '/');
        require(memchr(file.path, '\n', file.path_len) == NULL &&
                memchr(file.path, '\0', file.path_len) == NULL);
        require(file.path_len < 3 || memcmp(file.path, "../", 3) != 0);
        last = file.path + file.path_len;
    }
    mem_release(text);
    return 0;
}
