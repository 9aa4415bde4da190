/* tests/unit/store/contract.h: what every driver must do, run against one of them. */
#pragma once

#include "store/store.h"

/* Makes a fresh, empty store; ends with close_and_remove(). */
struct contract {
    struct store *(*open)(void);
    void (*close)(struct store *store);
    /* Another store on the same place, as after a kill. */
    struct store *(*open_again)(void);
};
/* cmocka tests, as many as apply to the driver's limits. The number of failures. */
int contract_run(const struct contract *of);

/* ---- also of use to tests of one driver ---- */

/* Put, commit_batch; fails the test when that fails. */
void contract_put(struct store *store, const char *key, const char *text);
/* put() and commit_batch() as they go; the kind of the error. */
enum err_kind contract_try_put(struct store *store, const struct store_put *put, const void *bytes,
                               size_t len);
/* The whole object as text, up to 255 bytes, or the kind of the error. */
enum err_kind contract_get(struct store *store, const char *key, char text[256]);
void contract_expect(struct store *store, const char *key, const char *text);
void contract_expect_absent(struct store *store, const char *key);
/* All keys, each ended by '\n'. */
void contract_list(struct store *store, const char *prefix, const char *start_after, bool delimited,
                   struct buf *ret_keys);

/* A fresh directory below /tmp, and its end. */
void contract_make_dir(char path[64]);
void contract_remove_dir(const char *path);
