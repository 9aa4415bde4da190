#include "store/s3/s3_config.h"

#include "scratch.h"

#include "base/scope.h"
#include "store/s3/s3_ini.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct scratch scratch;

static void write_file(const char *name, const char *text)
{
    scratch_text(&scratch, name, text);
}

/* An environment of its own for each test: no AWS_…, the files in the scratch directory. */
static int start(void **state)
{
    static const char *const names[] = { "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
                                         "AWS_SESSION_TOKEN", "AWS_PROFILE",
                                         "AWS_REGION",        "AWS_DEFAULT_REGION",
                                         "AWS_ENDPOINT_URL",  "AWS_ENDPOINT_URL_S3",
                                         "AWS_CA_BUNDLE",     "AWS_CREDENTIAL_EXPIRATION",
                                         "AWS_CONFIG_FILE",   "AWS_SHARED_CREDENTIALS_FILE" };
    (void)state;
    scratch_open(&scratch);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    setenv("AWS_CONFIG_FILE", scratch_path(&scratch, "config"), 1);
    setenv("AWS_SHARED_CREDENTIALS_FILE", scratch_path(&scratch, "credentials"), 1);
    return 0;
}

static int end(void **state)
{
    (void)state;
    scratch_close(&scratch);
    return 0;
}

static enum err_kind load(struct s3_config *config, const struct store_access *access)
{
    static const struct store_access none = { 0 };
    struct err err = { 0 };
    const int done = s3_config_load(config, access != NULL ? access : &none, &err);
    assert_int_equal(done < 0, err.kind != ERR_NONE);
    assert_true(err.kind != ERR_AUTH || err.hint[0] != '\0');
    return err.kind;
}

static void test_environment_is_enough(void **state)
{
    (void)state;
    SCOPED(s3_config) struct s3_config config = { 0 };
    assert_int_equal(load(&config, NULL), ERR_AUTH);
    setenv("AWS_ACCESS_KEY_ID", "AK", 1);
    assert_int_equal(load(&config, NULL), ERR_AUTH);
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    setenv("AWS_SESSION_TOKEN", "token", 1);
    setenv("AWS_CREDENTIAL_EXPIRATION", "2030-01-01T00:00:00Z", 1);
    setenv("AWS_DEFAULT_REGION", "second", 1);
    setenv("AWS_REGION", "first", 1);
    setenv("AWS_ENDPOINT_URL", "https://all", 1);
    setenv("AWS_CA_BUNDLE", "/ca.pem", 1);
    assert_int_equal(load(&config, NULL), ERR_NONE);
    assert_string_equal(config.credentials.access_key, "AK");
    assert_string_equal(config.credentials.secret_key, "secret");
    assert_string_equal(config.credentials.session_token, "token");
    assert_true(config.credentials.expires_ns == INT64_C(1893456000000000000));
    assert_string_equal(config.region, "first");
    assert_string_equal(config.endpoint_url, "https://all");
    assert_string_equal(config.ca_file, "/ca.pem");
}

static void test_service_endpoint_and_options_count_more(void **state)
{
    (void)state;
    setenv("AWS_ACCESS_KEY_ID", "AK", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    setenv("AWS_ENDPOINT_URL", "https://all", 1);
    setenv("AWS_ENDPOINT_URL_S3", "https://s3", 1);
    {
        SCOPED(s3_config) struct s3_config config = { 0 };
        assert_int_equal(load(&config, NULL), ERR_NONE);
        assert_string_equal(config.endpoint_url, "https://s3");
        assert_null(config.region);
    }
    const struct store_access access = { .endpoint_url = "https://option", .region = "r" };
    SCOPED(s3_config) struct s3_config config = { 0 };
    assert_int_equal(load(&config, &access), ERR_NONE);
    assert_string_equal(config.endpoint_url, "https://option");
    assert_string_equal(config.region, "r");
}

static void test_profiles_are_read_from_both_files(void **state)
{
    (void)state;
    struct buf long_line = { 0 };
    buf_add_text(&long_line, "[default]\naws_access_key_id=D\naws_secret_access_key=DS\n"
                             "[my one]\naws_access_key_id = M\r\naws_secret_access_key = a=b/c+#d\n"
                             "aws_session_token = ");
    for (int i = 0; i < 1500; i++)
        buf_add_char(&long_line, 't');
    buf_add_char(&long_line, '\n');
    write_file("credentials", long_line.data);
    buf_done(&long_line);
    write_file("config", "# comment\n[default]\nregion = d\n[profile  \"my one\"]\n; more\n"
                         "region=eu\ns3 =\n  addressing_style = path\n  region = nested\n"
                         "endpoint_url = https://mine\n");
    {
        SCOPED(s3_config) struct s3_config config = { 0 };
        assert_int_equal(load(&config, NULL), ERR_NONE);
        assert_string_equal(config.credentials.access_key, "D");
        assert_string_equal(config.region, "d");
        assert_null(config.endpoint_url);
        assert_int_equal(config.addressing, S3_ADDRESS_AUTO);
    }
    SCOPED(s3_config) struct s3_config config = { 0 };
    setenv("AWS_PROFILE", "my one", 1);
    assert_int_equal(load(&config, NULL), ERR_NONE);
    assert_string_equal(config.credentials.access_key, "M");
    assert_string_equal(config.credentials.secret_key, "a=b/c+#d");
    assert_int_equal(strlen(config.credentials.session_token), 1500);
    assert_string_equal(config.region, "eu");
    assert_string_equal(config.endpoint_url, "https://mine");
    assert_int_equal(config.addressing, S3_ADDRESS_PATH);
}

static void test_named_profile_counts_more_than_keys_in_the_environment(void **state)
{
    (void)state;
    write_file("credentials", "[p]\naws_access_key_id=P\naws_secret_access_key=PS\n");
    setenv("AWS_ACCESS_KEY_ID", "AK", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    const struct store_access access = { .profile = "p" };
    {
        SCOPED(s3_config) struct s3_config config = { 0 };
        assert_int_equal(load(&config, &access), ERR_NONE);
        assert_string_equal(config.credentials.access_key, "P");
    }
    SCOPED(s3_config) struct s3_config config = { 0 };
    setenv("AWS_PROFILE", "p", 1);
    assert_int_equal(load(&config, NULL), ERR_NONE);
    assert_string_equal(config.credentials.access_key, "AK");
}

static void test_refresh_reads_the_file_again(void **state)
{
    (void)state;
    struct err err = { 0 };
    write_file("credentials", "[default]\naws_access_key_id=one\naws_secret_access_key=s\n");
    SCOPED(s3_config) struct s3_config config = { 0 };
    assert_int_equal(load(&config, NULL), ERR_NONE);
    write_file("credentials", "[default]\naws_access_key_id=two\naws_secret_access_key=s\n");
    SCOPED(s3_credentials) struct s3_credentials fresh = { 0 };
    assert_int_equal(config.credentials.refresh(&fresh, config.profile, &err), 0);
    assert_string_equal(fresh.access_key, "two");
}

static void test_what_cannot_be_used_is_said(void **state)
{
    (void)state;
    SCOPED(s3_config) struct s3_config config = { 0 };
    const struct store_access missing = { .profile = "none" };
    assert_int_equal(load(&config, &missing), ERR_AUTH);
    write_file("config", "[profile r]\nrole_arn = arn:x\n[profile s]\ns3 =\n"
                         " addressing_style = round\n");
    const struct store_access role = { .profile = "r" };
    assert_int_equal(load(&config, &role), ERR_AUTH);
    const struct store_access style = { .profile = "s" };
    assert_int_equal(load(&config, &style), ERR_CONFIG);
    setenv("AWS_CONFIG_FILE", scratch_path(&scratch, "."), 1);
    assert_int_equal(load(&config, NULL), ERR_CONFIG);
}

static void test_last_value_of_a_section_counts(void **state)
{
    (void)state;
    const char *text =
        "a = outside\n[x]\na = 1\nb\n[y]\na = 2\n[x]\n a = 3\n\ta=4\nc =\n d = 5\n[x";
    SCOPED(buf) struct buf value = { 0 };
    assert_true(s3_ini_find(text, "x", NULL, "a", &value));
    assert_string_equal(value.data,
                        "3"); /* the first line of a section is indented below nothing */
    assert_true(s3_ini_find(text, "x", "c", "d", &value));
    assert_string_equal(value.data, "5");
    assert_true(s3_ini_find(text, "x", NULL, "c", &value));
    assert_string_equal(value.data, "");
    assert_false(s3_ini_find(text, "x", NULL, "b", &value));
    assert_false(s3_ini_find(text, "z", NULL, "a", &value));
    assert_true(s3_ini_has(text, "y"));
    assert_false(s3_ini_has(text, ""));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_environment_is_enough),
        CASE(test_service_endpoint_and_options_count_more),
        CASE(test_profiles_are_read_from_both_files),
        CASE(test_named_profile_counts_more_than_keys_in_the_environment),
        CASE(test_refresh_reads_the_file_again),
        CASE(test_what_cannot_be_used_is_said),
        CASE(test_last_value_of_a_section_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
