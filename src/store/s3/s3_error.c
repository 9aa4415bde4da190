/* What S3's error codes mean to us. Sources: Amazon's "Error responses", and what Ceph's gateway
 * answers. */
#include "base/ban.h"
#include "store/s3/s3_internal.h"

struct meaning {
    const char *code;
    enum err_kind kind;
    const char *hint; /* NULL = none */
};

#define CHECK_KEYS "check the access key and its secret; --profile chooses others"
#define NEW_TOKEN "get new credentials: the session has ended"

static const struct meaning meanings[] = {
    { "AccessDenied", ERR_DENIED, NULL },
    { "AccountProblem", ERR_AUTH, NULL },
    { "AllAccessDisabled", ERR_DENIED, NULL },
    { "AuthorizationHeaderMalformed", ERR_CONFIG, "name the bucket's region with --region" },
    { "BadDigest", ERR_CORRUPT, NULL },
    { "BandwidthLimitExceeded", ERR_BUSY, NULL },
    { "BucketAlreadyExists", ERR_CONFLICT, "the name belongs to someone else; choose another" },
    { "ConditionalRequestConflict", ERR_SERVER, NULL },
    { "EntityTooLarge", ERR_LIMIT, NULL },
    { "EntityTooSmall", ERR_CORRUPT, NULL },
    { "ExpiredToken", ERR_AUTH, NEW_TOKEN },
    { "IllegalLocationConstraintException", ERR_CONFIG, "name the region with --region" },
    { "IncompleteBody", ERR_NET, NULL },
    { "InternalError", ERR_SERVER, NULL },
    { "InvalidAccessKeyId", ERR_AUTH, CHECK_KEYS },
    { "InvalidBucketName", ERR_CONFIG, NULL },
    { "InvalidDigest", ERR_CORRUPT, NULL },
    { "InvalidLocationConstraint", ERR_CONFIG, "name another region with --region" },
    { "InvalidObjectName", ERR_LIMIT, NULL },
    { "InvalidObjectState", ERR_DENIED, "the object is in an archive and must be restored first" },
    { "InvalidPart", ERR_CORRUPT, NULL },
    { "InvalidPartOrder", ERR_CORRUPT, NULL },
    { "InvalidStorageClass", ERR_CONFIG, "--storage-class names one that the store does not have" },
    { "InvalidToken", ERR_AUTH, NEW_TOKEN },
    { "KeyTooLongError", ERR_LIMIT, NULL },
    { "MetadataTooLarge", ERR_LIMIT, NULL },
    { "NoSuchBucket", ERR_CONFIG, NULL },
    { "NoSuchKey", ERR_ABSENT, NULL },
    { "NoSuchUpload", ERR_ABSENT, NULL },
    { "NoSuchVersion", ERR_ABSENT, NULL },
    { "OperationAborted", ERR_SERVER, NULL },
    { "PreconditionFailed", ERR_CHANGED, NULL },
    { "QuotaExceeded", ERR_LIMIT, "the quota is used up: remove something or ask for more" },
    { "RequestLimitExceeded", ERR_BUSY, NULL },
    { "RequestTimeTooSkewed", ERR_CONFIG, "set this machine's clock" },
    { "RequestTimeout", ERR_NET, NULL },
    { "ServiceUnavailable", ERR_BUSY, NULL },
    { "SignatureDoesNotMatch", ERR_AUTH, CHECK_KEYS },
    { "SlowDown", ERR_BUSY, NULL },
    { "Throttling", ERR_BUSY, NULL },
    { "TokenRefreshRequired", ERR_AUTH, NEW_TOKEN },
    { "TooManyBuckets", ERR_LIMIT, "remove a bucket or ask for more" },
    { "TooManyRequests", ERR_BUSY, NULL },
    { "UserSuspended", ERR_AUTH, "the account is suspended" },
    { "XAmzContentChecksumMismatch", ERR_CORRUPT, NULL },
    { "XAmzContentSHA256Mismatch", ERR_CORRUPT, NULL },
};

static const struct meaning *meaning_of(const char *code)
{
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (strcmp(meanings[i].code, code) == 0)
            return &meanings[i];
    return NULL;
}

static enum err_kind kind_of_status(int status)
{
    switch (status) {
    case 401:
    case 403:
        return ERR_DENIED;
    case 404:
        return ERR_ABSENT;
    case 408:
        return ERR_NET;
    case 409:
        return ERR_CONFLICT;
    case 412:
        return ERR_CHANGED;
    case 429:
    case 503:
        return ERR_BUSY;
    default:
        break;
    }
    if (status >= 500 || status == 200)
        return ERR_SERVER;
    return status >= 400 ? ERR_LIMIT : ERR_CONFIG;
}

/* The gateway sends no messages with most of its codes. */
static void say(struct err *err, enum err_kind kind, int status, const struct s3_error *error)
{
    const char *message = error->message;
    const char *code = error->code[0] != '\0' ? error->code : "no reason given";
    char number[16] = "";
    if (status != 0)
        snprintf(number, sizeof number, "%d ", status);
    err_set(err, kind, "the store refuses it: %s%s%s%s", number, code,
            message[0] != '\0' ? ": " : "", message);
    err->http = status;
}

int s3_error_set(struct err *err, const struct s3_answer *answer)
{
    const char *code = answer->error->code;
    const struct meaning *meaning = meaning_of(code);
    if (answer->is_upload && strcmp(code, "NoSuchKey") == 0) {
        err_set(err, ERR_NET, "the store got only a part of what was sent");
        err->http = answer->status;
        return -1;
    }
    if (strcmp(code, "NoSuchBucket") == 0) {
        err_set(err, ERR_CONFIG, "there is no bucket '%s'", answer->bucket);
        err->http = answer->status;
        return err_hint(err, "lade mb s3://%.60s makes it", answer->bucket);
    }
    say(err, meaning != NULL ? meaning->kind : kind_of_status(answer->status), answer->status,
        answer->error);
    err->retry_after_ms = answer->retry_after_ms;
    if (meaning != NULL && meaning->hint != NULL)
        err_hint(err, "%s", meaning->hint);
    return -1;
}

int s3_error_as(struct err *err, enum err_kind kind)
{
    const struct err why = *err;
    err_clear(err);
    return err_set(err, kind, "%s", why.text);
}

int s3_error_set_code(struct err *err, const char *code, const char *message)
{
    struct s3_error error = { 0 };
    snprintf(error.code, sizeof error.code, "%s", code != NULL ? code : "");
    snprintf(error.message, sizeof error.message, "%s", message != NULL ? message : "");
    const struct meaning *meaning = meaning_of(error.code);
    say(err, meaning != NULL ? meaning->kind : ERR_SERVER, 0, &error);
    return -1;
}
