#include "store/s3/s3_config.h"

#include "base/ban.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/scope.h"
#include "store/s3/s3_ini.h"
#include "store/s3/s3_xml.h"

#include <errno.h>
#include <fcntl.h>

#define FILE_MAX_BYTES (1u << 20)

/* ---- secrets ---- */

static void forget(char **text)
{
    if (*text != NULL)
        explicit_bzero(*text, strlen(*text));
    mem_free(*text);
}

static void forget_buf(struct buf *buf)
{
    if (buf->data != NULL)
        explicit_bzero(buf->data, buf->len);
    buf_done(buf);
}

void s3_credentials_done(struct s3_credentials *credentials)
{
    forget(&credentials->access_key);
    forget(&credentials->secret_key);
    forget(&credentials->session_token);
    *credentials = (struct s3_credentials){ 0 };
}

/* ---- where things are ---- */

/* NULL when it is not set or empty. */
static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static char *copy_of(const char *text)
{
    return text != NULL ? mem_string(text) : NULL;
}

/* A file that is not there is empty. */
static int read_settings(const char *variable, const char *name, struct buf *ret_text,
                         struct err *err)
{
    SCOPED(buf) struct buf path = { 0 };
    const char *home = environment("HOME");
    const char *given = environment(variable);
    if (given != NULL)
        buf_add_text(&path, given);
    else if (home != NULL)
        buf_printf(&path, "%s/.aws/%s", home, name);
    else
        return 0;
    struct err why = { 0 };
    if (file_read(AT_FDCWD, path.data, FILE_MAX_BYTES, ret_text, &why) == 0)
        return 0;
    if (why.kind == ERR_ABSENT || why.sys == ENOTDIR)
        return 0;
    return err_set(err, ERR_CONFIG, "read '%s': %s", path.data, why.text);
}

/* Both files, and the profile's names in them. */
struct profile {
    struct buf config, credentials;
    struct buf section; /* in config */
    struct buf name;    /* in credentials */
    bool is_asked;      /* by name */
};

static void profile_done(struct profile *profile)
{
    forget_buf(&profile->config);
    forget_buf(&profile->credentials);
    buf_done(&profile->section);
    buf_done(&profile->name);
}

static int profile_read(struct profile *profile, const char *asked, struct err *err)
{
    *profile = (struct profile){ 0 };
    const char *name = asked != NULL ? asked : environment("AWS_PROFILE");
    profile->is_asked = name != NULL;
    buf_add_text(&profile->name, name != NULL ? name : "default");
    if (strcmp(profile->name.data, "default") == 0)
        buf_add_text(&profile->section, "default");
    else
        buf_printf(&profile->section, "profile %s", name);
    if (read_settings("AWS_CONFIG_FILE", "config", &profile->config, err) < 0 ||
        read_settings("AWS_SHARED_CREDENTIALS_FILE", "credentials", &profile->credentials, err) < 0)
        return -1;
    if (profile->is_asked && !s3_ini_has(buf_text(&profile->config), profile->section.data) &&
        !s3_ini_has(buf_text(&profile->credentials), profile->name.data)) {
        err_set(err, ERR_AUTH, "there is no profile '%s' in the AWS configuration", name);
        return err_hint(err, "look into ~/.aws/config and ~/.aws/credentials");
    }
    return 0;
}

/* A value of the profile, in either file; NULL when there is none. Caller frees. */
static char *profile_value(const struct profile *profile, const char *parent, const char *name)
{
    struct buf value = { 0 };
    if ((parent == NULL &&
         s3_ini_find(buf_text(&profile->credentials), profile->name.data, NULL, name, &value)) ||
        s3_ini_find(buf_text(&profile->config), profile->section.data, parent, name, &value))
        return buf_take(&value);
    buf_done(&value);
    return NULL;
}

/* ---- credentials ---- */

static int load_credentials(struct s3_credentials *ret_fresh, const char *asked, struct err *err);

static bool from_environment(struct s3_credentials *fresh)
{
    const char *access = environment("AWS_ACCESS_KEY_ID");
    const char *secret = environment("AWS_SECRET_ACCESS_KEY");
    if (access == NULL || secret == NULL)
        return false;
    const char *expires = environment("AWS_CREDENTIAL_EXPIRATION");
    *fresh = (struct s3_credentials){ .access_key = mem_string(access),
                                      .secret_key = mem_string(secret),
                                      .session_token = copy_of(environment("AWS_SESSION_TOKEN")),
                                      .expires_ns = expires != NULL ? s3_time_parse(expires) : 0,
                                      .refresh = load_credentials };
    return true;
}

static int no_credentials(const struct profile *profile, struct err *err)
{
    static const char *const unknown[] = { "role_arn", "credential_process", "sso_session",
                                           "sso_start_url", "web_identity_token_file" };
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        char *value = profile_value(profile, NULL, unknown[i]);
        if (value == NULL)
            continue;
        mem_release(value);
        err_set(err, ERR_AUTH, "profile '%s' uses %s, which lade does not know", profile->name.data,
                unknown[i]);
        return err_hint(err, "try: eval \"$(aws configure export-credentials --format env)\"");
    }
    err_set(err, ERR_AUTH, "no credentials for S3: no AWS_ACCESS_KEY_ID, and none in profile '%s'",
            profile->name.data);
    return err_hint(err, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or fill "
                         "~/.aws/credentials");
}

static int profile_credentials(const struct profile *profile, struct s3_credentials *fresh,
                               struct err *err)
{
    *fresh = (struct s3_credentials){
        .access_key = profile_value(profile, NULL, "aws_access_key_id"),
        .secret_key = profile_value(profile, NULL, "aws_secret_access_key"),
        .session_token = profile_value(profile, NULL, "aws_session_token"),
        .refresh = load_credentials,
    };
    if (fresh->access_key != NULL && fresh->secret_key != NULL)
        return 0;
    s3_credentials_done(fresh);
    return no_credentials(profile, err);
}

/* A profile named on the command line counts more than the environment, as for AWS's own CLI. */
static int load_credentials(struct s3_credentials *ret_fresh, const char *asked, struct err *err)
{
    if (asked == NULL && from_environment(ret_fresh))
        return 0;
    SCOPED(profile) struct profile profile;
    if (profile_read(&profile, asked, err) < 0)
        return -1;
    return profile_credentials(&profile, ret_fresh, err);
}

/* ---- the rest ---- */

static int take_addressing(struct s3_config *config, const struct profile *profile, struct err *err)
{
    char *style = profile_value(profile, "s3", "addressing_style");
    int result = 0;
    if (style == NULL || strcmp(style, "auto") == 0)
        config->addressing = S3_ADDRESS_AUTO;
    else if (strcmp(style, "path") == 0)
        config->addressing = S3_ADDRESS_PATH;
    else if (strcmp(style, "virtual") == 0)
        config->addressing = S3_ADDRESS_VIRTUAL;
    else
        result =
            err_set(err, ERR_CONFIG, "addressing_style = %s is not auto, path or virtual", style);
    mem_release(style);
    return result;
}

/* The first that is set of what the command line and the environment say, else the profile's. */
static char *first_set(const char *option, const char *variable, const char *other_variable,
                       const struct profile *profile, const char *name, const char **ret_from)
{
    *ret_from = "the command line";
    if (option != NULL)
        return mem_string(option);
    *ret_from = variable;
    const char *value = environment(variable);
    if (value == NULL && other_variable != NULL) {
        *ret_from = other_variable;
        value = environment(other_variable);
    }
    if (value != NULL)
        return mem_string(value);
    *ret_from = "the profile";
    return profile_value(profile, NULL, name);
}

/* Which file has the profile's key, for people. */
static char *describe_profile(const struct profile *profile)
{
    struct buf text = { 0 };
    struct buf value = { 0 };
    const bool in_credentials = s3_ini_find(buf_text(&profile->credentials), profile->name.data,
                                            NULL, "aws_access_key_id", &value);
    const char *variable = in_credentials ? "AWS_SHARED_CREDENTIALS_FILE" : "AWS_CONFIG_FILE";
    const char *own = in_credentials ? "~/.aws/credentials" : "~/.aws/config";
    const char *path = environment(variable);
    forget_buf(&value);
    buf_printf(&text, "profile '%s' in %s", profile->name.data, path != NULL ? path : own);
    return buf_take(&text);
}

static int fill(struct s3_config *config, const struct store_access *access,
                const struct profile *profile, struct err *err)
{
    config->profile = copy_of(access->profile);
    config->endpoint_url =
        first_set(access->endpoint_url, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", profile,
                  "endpoint_url", &config->endpoint_from);
    config->region = first_set(access->region, "AWS_REGION", "AWS_DEFAULT_REGION", profile,
                               "region", &config->region_from);
    const char *ignored;
    config->ca_file = first_set(NULL, "AWS_CA_BUNDLE", NULL, profile, "ca_bundle", &ignored);
    if (take_addressing(config, profile, err) < 0)
        return -1;
    if (config->profile == NULL && from_environment(&config->credentials)) {
        config->credentials_from = mem_string("the environment, AWS_ACCESS_KEY_ID");
        return 0;
    }
    if (profile_credentials(profile, &config->credentials, err) < 0)
        return -1;
    config->credentials_from = describe_profile(profile);
    return 0;
}

int s3_config_load(struct s3_config *ret_config, const struct store_access *access, struct err *err)
{
    SCOPED(profile) struct profile profile;
    struct s3_config config = { 0 };
    if (profile_read(&profile, access->profile, err) == 0 &&
        fill(&config, access, &profile, err) == 0) {
        *ret_config = config;
        return 0;
    }
    s3_config_done(&config);
    return -1;
}

void s3_config_done(struct s3_config *config)
{
    mem_release(config->profile);
    mem_release(config->endpoint_url);
    mem_release(config->region);
    mem_release(config->ca_file);
    mem_release(config->credentials_from);
    s3_credentials_done(&config->credentials);
    *config = (struct s3_config){ 0 };
}
