/* store/s3/s3_config.h: what the user set for S3, where AWS's own tools look for it: the command
 * line, then the environment, then ~/.aws/config and ~/.aws/credentials.
 * Owner:   the caller; s3_config_done() releases and wipes.
 * Errors:  ERR_AUTH (no credentials, a profile that is not there), ERR_CONFIG (a file or value that
 *          cannot be used). The environment is read at the call, on the thread that calls. */
#pragma once

#include "base/err.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

/* Keys to sign with, and how to have new ones: session tokens end, and files are written anew. */
struct s3_credentials {
    char *access_key, *secret_key;
    char *session_token; /* NULL = none */
    int64_t expires_ns;  /* since 1970, 0 = not known to */
    /* Fill *ret_fresh anew. arg is that of the source: here the profile's name or NULL. */
    int (*refresh)(struct s3_credentials *ret_fresh, const char *arg, struct err *err);
};
void s3_credentials_done(struct s3_credentials *credentials);

enum s3_addressing { S3_ADDRESS_AUTO, S3_ADDRESS_PATH, S3_ADDRESS_VIRTUAL };

struct s3_config {
    char *profile;      /* asked for on the command line; NULL: as the environment says */
    char *endpoint_url; /* NULL: Amazon's own of the region */
    char *region;       /* NULL: not set */
    char *ca_file;      /* NULL: the system's */
    enum s3_addressing addressing;
    struct s3_credentials credentials;
    /* Where they were found, in words for people. */
    char *credentials_from;
    const char *endpoint_from, *region_from;
};
CHECKED int s3_config_load(struct s3_config *ret_config, const struct store_access *access,
                           struct err *err);
void s3_config_done(struct s3_config *config);
