#include "cli/opt.h"

#include "base/ban.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define FIELD(name) offsetof(struct settings, name)

static const char *const links[] = { "keep", "follow", "skip", NULL };
static const char *const digests[] = { "crc64nvme", "sha256", "md5", NULL };

static const struct opt first_table[] = {
    { .name = "dry-run",
      .letter = 'n',
      .type = OPT_FLAG,
      .offset = FIELD(dry_run),
      .aliases = { "dryrun" } },
    { .name = "json", .type = OPT_FLAG, .offset = FIELD(json), .not_with = "dry-run" },
    { .name = "progress", .letter = 'P', .type = OPT_SWITCH, .offset = FIELD(progress) },
    { .name = "verbose", .letter = 'v', .type = OPT_TALLY, .offset = FIELD(verbose), .max = 3 },
    { .name = "transfers",
      .letter = 't',
      .type = OPT_COUNT,
      .offset = FIELD(transfers),
      .fallback = "7",
      .max = 1024,
      .arg = "N" },
    { .name = "memory",
      .type = OPT_BYTES,
      .offset = FIELD(memory_bytes),
      .fallback = "512M",
      .min = 16 << 20,
      .max = UINT64_C(1) << 40,
      .arg = "SIZE" },
    { .name = "bwlimit", .type = OPT_RATE, .offset = FIELD(bwlimit_bytes_per_s), .arg = "RATE" },
    { 0 },
};
static const struct opt second_table[] = {
    { .name = "job", .type = OPT_PATH, .offset = FIELD(job), .arg = "DIR" },
    { .name = "completion",
      .type = OPT_STRING,
      .offset = FIELD(completion),
      .choices = links,
      .no_env = true,
      .arg = "SHELL" },
    { .name = "links",
      .type = OPT_CHOICE,
      .offset = FIELD(links),
      .choices = links,
      .fallback = "keep",
      .arg = "HOW" },
    { .name = "copy-links",
      .letter = 'L',
      .type = OPT_CHOICE,
      .offset = FIELD(links),
      .choices = links,
      .implied = "follow" },
    { .name = "digest",
      .type = OPT_SET,
      .offset = FIELD(digests),
      .choices = digests,
      .arg = "LIST" },
    { .name = "metadata", .type = OPT_PAIR, .offset = FIELD(metadata), .arg = "NAME=VALUE" },
    { .name = "include",
      .letter = 'i',
      .type = OPT_RULE,
      .offset = FIELD(rules),
      .rule = SETTING_RULE_INCLUDE,
      .arg = "PATTERN" },
    { .name = "exclude",
      .type = OPT_RULE,
      .offset = FIELD(rules),
      .rule = SETTING_RULE_EXCLUDE,
      .arg = "PATTERN" },
    { 0 },
};
static const struct opt *const tables[] = { first_table, second_table, NULL };

#define ARGS_MAX 16

/* One parse and what came of it. */
struct outcome {
    struct settings settings;
    struct err err;
    char *args[ARGS_MAX];
    size_t operand_count;
    int status;
};

/* Parse a NULL-ended list of arguments. */
static struct outcome parse_with(char *const *environment, const char *const *args)
{
    struct outcome outcome = { 0 };
    size_t count = 0;
    for (; args[count] != NULL; count++)
        outcome.args[count] = (char *)(uintptr_t)args[count];
    outcome.status = opt_parse(&outcome.settings, tables, outcome.args, count, environment,
                               &outcome.operand_count, &outcome.err);
    return outcome;
}
#define PARSE(...) parse_with(NULL, (const char *const[]){ __VA_ARGS__, NULL })

static void assert_refused(struct outcome *outcome, const char *text, const char *hint)
{
    assert_int_equal(outcome->status, -1);
    assert_int_equal(outcome->err.kind, ERR_USAGE);
    assert_non_null(strstr(outcome->err.text, text));
    assert_string_equal(outcome->err.hint, hint);
    settings_done(&outcome->settings);
}

static void test_opt_defaults(void **state)
{
    (void)state;
    struct outcome outcome = PARSE("a");
    assert_int_equal(outcome.status, 0);
    assert_int_equal(outcome.settings.transfers, 7);
    assert_int_equal(outcome.settings.memory_bytes, 512 << 20);
    assert_int_equal(outcome.settings.links, SETTING_LINKS_KEEP);
    assert_int_equal(outcome.settings.progress, SETTING_AUTO);
    assert_null(outcome.settings.job);
    assert_int_equal(outcome.operand_count, 1);
    assert_string_equal(outcome.args[0], "a");
}

static void test_opt_values_in_both_forms(void **state)
{
    (void)state;
    struct outcome outcome =
        PARSE("--transfers=12", "--memory", "1G", "--job", "-odd-", "--bwlimit=10K", "-t3");
    assert_int_equal(outcome.status, 0);
    assert_int_equal(outcome.settings.transfers, 3);
    assert_int_equal(outcome.settings.memory_bytes, 1 << 30);
    assert_string_equal(outcome.settings.job, "-odd-");
    assert_int_equal(outcome.settings.bwlimit_bytes_per_s, 10240);
    assert_int_equal(outcome.operand_count, 0);
}

static void test_opt_letters_bundle(void **state)
{
    (void)state;
    struct outcome outcome = PARSE("-nvvPt", "9", "x");
    assert_int_equal(outcome.status, 0);
    assert_true(outcome.settings.dry_run);
    assert_int_equal(outcome.settings.verbose, 2);
    assert_int_equal(outcome.settings.progress, SETTING_ON);
    assert_int_equal(outcome.settings.transfers, 9);
    assert_string_equal(outcome.args[0], "x");

    outcome = PARSE("-vvvvvvv");
    assert_int_equal(outcome.settings.verbose, 3);
}

static void test_opt_operands_keep_order_around_options(void **state)
{
    (void)state;
    struct outcome outcome =
        PARSE("a", "--json", "b", "-", "--transfers", "1", "--", "--json", "-n", "--");
    assert_int_equal(outcome.status, 0);
    assert_true(outcome.settings.json);
    assert_false(outcome.settings.dry_run);
    const char *const expected[] = { "a", "b", "-", "--json", "-n", "--" };
    assert_int_equal(outcome.operand_count, 6);
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(outcome.args[i], expected[i]);
}

static void test_opt_alias_means_the_same(void **state)
{
    (void)state;
    assert_true(PARSE("--dryrun").settings.dry_run);
    assert_false(PARSE("--dry-run", "--no-dryrun").settings.dry_run);
}

static void test_opt_flags_can_be_taken_back(void **state)
{
    (void)state;
    assert_false(PARSE("--json", "--no-json").settings.json);
    assert_true(PARSE("--no-json", "--json").settings.json);
    assert_false(PARSE("--json=off").settings.json);
    assert_true(PARSE("--json=TRUE").settings.json);
    assert_int_equal(PARSE("--no-progress").settings.progress, SETTING_OFF);

    struct outcome outcome = PARSE("--no-transfers");
    assert_refused(&outcome, "unknown option '--no-transfers'", "");
    outcome = PARSE("--no-json=1");
    assert_refused(&outcome, "'--no-json': it takes no value, '1' is given", "");
    outcome = PARSE("--json=maybe");
    assert_refused(&outcome, "'--json': 'maybe' is neither true nor false", "");
}

static void test_opt_last_one_counts(void **state)
{
    (void)state;
    struct outcome outcome = PARSE("--job", "a", "--job", "b", "--links=skip", "-L");
    assert_string_equal(outcome.settings.job, "b");
    assert_int_equal(outcome.settings.links, SETTING_LINKS_FOLLOW);
    assert_int_equal(PARSE("-L", "--links=skip").settings.links, SETTING_LINKS_SKIP);
}

static void test_opt_rules_keep_order_between_options(void **state)
{
    (void)state;
    struct outcome outcome =
        PARSE("--exclude", "a", "-ib", "--exclude=c", "src", "--include", "- d");
    assert_int_equal(outcome.status, 0);
    static const struct setting_rule expected[] = {
        { SETTING_RULE_EXCLUDE, "a" },
        { SETTING_RULE_INCLUDE, "b" },
        { SETTING_RULE_EXCLUDE, "c" },
        { SETTING_RULE_INCLUDE, "- d" },
    };
    assert_int_equal(outcome.settings.rules.count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(outcome.settings.rules.items[i].kind, expected[i].kind);
        assert_string_equal(outcome.settings.rules.items[i].text, expected[i].text);
    }
    settings_done(&outcome.settings);
    settings_done(&outcome.settings);
    assert_null(outcome.settings.rules.items);
}

static void test_opt_pairs_need_a_name(void **state)
{
    (void)state;
    struct outcome outcome = PARSE("--metadata", "a=1", "--metadata=b=x=y", "--metadata", "c=");
    assert_int_equal(outcome.status, 0);
    assert_int_equal(outcome.settings.metadata.count, 3);
    assert_string_equal(outcome.settings.metadata.items[1], "b=x=y");
    settings_done(&outcome.settings);

    outcome = PARSE("--metadata", "a=1", "--metadata", "novalue");
    assert_refused(&outcome, "option '--metadata': 'novalue' is not NAME=VALUE", "");
    outcome = PARSE("--metadata", "=1");
    assert_refused(&outcome, "'=1' is not NAME=VALUE", "");
}

static void test_opt_set_of_choices(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--digest", "sha256").settings.digests, 2);
    assert_int_equal(PARSE("--digest=md5,crc64nvme,md5").settings.digests, 5);
    struct outcome outcome = PARSE("--digest=md5,sha1");
    assert_refused(&outcome, "'--digest': 'sha1' is not one of crc64nvme, sha256 or md5", "");
    outcome = PARSE("--digest=md5,");
    assert_refused(&outcome, "'--digest': '' is not one of", "");
}

static void test_opt_refuses_bad_values(void **state)
{
    (void)state;
    struct outcome outcome = PARSE("--transfers=1025");
    assert_refused(&outcome, "option '--transfers': ", "");
    outcome = PARSE("-tx");
    assert_refused(&outcome, "option '-t': ", "");
    assert_non_null(strstr(outcome.err.text, "1024"));
    outcome = PARSE("--memory", "15M");
    assert_refused(&outcome, "option '--memory': '15M' is too small, the least is 16", "");
    outcome = PARSE("--memory", "2T");
    assert_refused(&outcome, "option '--memory': '2T' is too large, the most is 1", "");
    outcome = PARSE("--links", "kee");
    assert_refused(&outcome, "'--links': 'kee' is not one of keep, follow or skip", "");
    outcome = PARSE("--job=");
    assert_refused(&outcome, "option '--job': the value is empty, a DIR is needed", "");
    outcome = PARSE("--exclude=");
    assert_refused(&outcome, "option '--exclude': the value is empty", "");
    outcome = PARSE("--completion=csh");
    assert_refused(&outcome, "option '--completion': 'csh' is not one of", "");
}

static void test_opt_refuses_a_missing_value(void **state)
{
    (void)state;
    struct outcome outcome = PARSE("a", "--job");
    assert_refused(&outcome, "option '--job': a value is missing: DIR", "");
    outcome = PARSE("-vt");
    assert_refused(&outcome, "option '-t': a value is missing: N", "");
}

static void test_opt_unknown_option_suggests_the_nearest(void **state)
{
    (void)state;
    struct outcome outcome = PARSE("--trasnfers=3");
    assert_refused(&outcome, "unknown option '--trasnfers'", "did you mean --transfers?");
    outcome = PARSE("--no-jsn");
    assert_refused(&outcome, "unknown option '--no-jsn'", "did you mean --no-json?");
    outcome = PARSE("--something-else");
    assert_refused(&outcome, "unknown option '--something-else'", "");
    outcome = PARSE("-vz");
    assert_refused(&outcome, "unknown option '-z' in '-vz'", "");
    outcome = PARSE("-z");
    assert_refused(&outcome, "unknown option '-z'", "");
    outcome = PARSE("--=x");
    assert_refused(&outcome, "unknown option '--'", "");
}

static void test_opt_abbreviations_are_not_taken(void **state)
{
    (void)state;
    struct outcome outcome = PARSE("--transf=3");
    assert_refused(&outcome, "unknown option '--transf'", "did you mean --transfers?");
}

static void test_opt_contradiction(void **state)
{
    (void)state;
    struct outcome outcome = PARSE("--dry-run", "--json");
    assert_refused(&outcome, "'--json' and '--dry-run' contradict each other", "");
    assert_int_equal(PARSE("--dry-run", "--json", "--no-json").status, 0);
}

static void test_opt_environment_gives_defaults(void **state)
{
    (void)state;
    char transfers[] = "LADE_TRANSFERS=64";
    char dry_run[] = "LADE_DRY_RUN=yes";
    char job[] = "LADE_JOB=";
    char copy_links[] = "LADE_COPY_LINKS=1";
    char exclude[] = "LADE_EXCLUDE=a";
    char verbose[] = "LADE_VERBOSE=2";
    char near[] = "LADE_JSONX=1";
    char completion[] = "LADE_COMPLETION=none of the choices";
    char *const environment[] = { transfers, dry_run, job,        copy_links, exclude,
                                  verbose,   near,    completion, NULL };
    struct outcome outcome =
        parse_with(environment, (const char *const[]){ "--exclude", "b", "-v", NULL });
    assert_int_equal(outcome.status, 0);
    assert_int_equal(outcome.settings.transfers, 64);
    assert_true(outcome.settings.dry_run);
    assert_null(outcome.settings.job);
    assert_int_equal(outcome.settings.links, SETTING_LINKS_FOLLOW);
    assert_int_equal(outcome.settings.verbose, 3);
    assert_false(outcome.settings.json);
    assert_int_equal(outcome.settings.rules.count, 2);
    assert_string_equal(outcome.settings.rules.items[0].text, "a");
    settings_done(&outcome.settings);

    outcome = parse_with(environment, (const char *const[]){ "--transfers=2", "--no-dry-run",
                                                             "--links=keep", NULL });
    assert_int_equal(outcome.settings.transfers, 2);
    assert_false(outcome.settings.dry_run);
    assert_int_equal(outcome.settings.links, SETTING_LINKS_KEEP);
    settings_done(&outcome.settings);
}

static void test_opt_environment_names_a_bad_variable(void **state)
{
    (void)state;
    char transfers[] = "LADE_TRANSFERS=many";
    char *const environment[] = { transfers, NULL };
    struct outcome outcome = parse_with(environment, (const char *const[]){ NULL });
    assert_refused(&outcome, "environment variable 'LADE_TRANSFERS': ", "");
    assert_non_null(strstr(outcome.err.text, "'many'"));
}

static void test_opt_long_arguments_fit_the_error(void **state)
{
    (void)state;
    char longer[5000];
    memset(longer, 'x', sizeof longer);
    memcpy(longer, "--", 2);
    longer[sizeof longer - 1] = '\0';
    struct outcome outcome = PARSE(longer);
    assert_refused(&outcome, "unknown option '--xxx", "");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opt_defaults),
        cmocka_unit_test(test_opt_values_in_both_forms),
        cmocka_unit_test(test_opt_letters_bundle),
        cmocka_unit_test(test_opt_operands_keep_order_around_options),
        cmocka_unit_test(test_opt_alias_means_the_same),
        cmocka_unit_test(test_opt_flags_can_be_taken_back),
        cmocka_unit_test(test_opt_last_one_counts),
        cmocka_unit_test(test_opt_rules_keep_order_between_options),
        cmocka_unit_test(test_opt_pairs_need_a_name),
        cmocka_unit_test(test_opt_set_of_choices),
        cmocka_unit_test(test_opt_refuses_bad_values),
        cmocka_unit_test(test_opt_refuses_a_missing_value),
        cmocka_unit_test(test_opt_unknown_option_suggests_the_nearest),
        cmocka_unit_test(test_opt_abbreviations_are_not_taken),
        cmocka_unit_test(test_opt_contradiction),
        cmocka_unit_test(test_opt_environment_gives_defaults),
        cmocka_unit_test(test_opt_environment_names_a_bad_variable),
        cmocka_unit_test(test_opt_long_arguments_fit_the_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
