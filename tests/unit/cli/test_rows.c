/* The rows as the program has them: each verb's table, and where each option ends up in the
 * settings. */
#include "cli/rows.h"

#include "base/ban.h"
#include "base/digest.h"
#include "cli/command.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ARGS_MAX 80

struct outcome {
    struct settings settings;
    char *args[ARGS_MAX];
    size_t operand_count;
};

static struct outcome parse_ok(const struct command *command, const char *const *args)
{
    struct outcome outcome = { 0 };
    struct err err = { 0 };
    size_t count = 0;
    for (; args[count] != NULL; count++)
        outcome.args[count] = (char *)(uintptr_t)args[count];
    const int status = opt_parse(&outcome.settings, command->tables, outcome.args, count, NULL,
                                 &outcome.operand_count, &err);
    if (status < 0)
        fail_msg("%s", err.text);
    return outcome;
}
#define PARSE(command, ...) parse_ok(&(command), (const char *const[]){ __VA_ARGS__, NULL })

static void test_rows_put(void **state)
{
    (void)state;
    struct outcome outcome =
        PARSE(cmd_put, "--keep-name", "--files-from", "list", "--null", "--one-file-system",
              "--links=follow", "--dry-run", "--overwrite", "--metadata", "a=b", "--checksum",
              "--digest", "sha256,md5", "--job", "j", "--max-batches=3", "--transfers=4",
              "--memory=1G", "--bwlimit=1M", "--retries=6", "--stall-timeout=7", "--crawlers=8",
              "--progress", "--json", "--quiet", "--verbose", "--no-immutable", "s", "d");
    const struct settings *settings = &outcome.settings;
    assert_true(settings->keep_name);
    assert_string_equal(settings->files_from, "list");
    assert_true(settings->null_separated);
    assert_true(settings->one_file_system);
    assert_int_equal(settings->links, SETTING_LINKS_FOLLOW);
    assert_true(settings->dry_run);
    assert_false(settings->immutable);
    assert_true(settings->overwrite);
    assert_int_equal(settings->metadata.count, 1);
    assert_true(settings->checksum);
    assert_int_equal(settings->digests, DIGEST_SHA256 | DIGEST_MD5);
    assert_string_equal(settings->job, "j");
    assert_int_equal(settings->max_batches, 3);
    assert_int_equal(settings->transfers, 4);
    assert_int_equal(settings->memory_bytes, 1 << 30);
    assert_int_equal(settings->bwlimit_bytes_per_s, 1 << 20);
    assert_int_equal(settings->retries, 6);
    assert_int_equal(settings->stall_s, 7);
    assert_int_equal(settings->crawlers, 8);
    assert_int_equal(settings->progress, SETTING_ON);
    assert_true(settings->json);
    assert_true(settings->quiet);
    assert_int_equal(settings->verbose, 1);
    assert_int_equal(outcome.operand_count, 2);
    settings_done(&outcome.settings);
}

static void test_rows_put_defaults(void **state)
{
    (void)state;
    struct outcome outcome = PARSE(cmd_put, "s", "d");
    assert_int_equal(outcome.settings.memory_bytes, 512 << 20);
    assert_int_equal(outcome.settings.retries, 5);
    assert_int_equal(outcome.settings.digests, DIGEST_CRC64NVME);
    assert_int_equal(outcome.settings.links, SETTING_LINKS_KEEP);
    assert_int_equal(outcome.settings.transfers, 0);
    assert_int_equal(outcome.settings.bwlimit_bytes_per_s, 0);
}

static void test_rows_filters(void **state)
{
    (void)state;
    struct outcome outcome = PARSE(cmd_put, "--include=a", "--exclude=b", "--filter=- c",
                                   "--include-from=d", "--exclude-from=e", "--filter-from=f");
    assert_int_equal(outcome.settings.rules.count, 6);
    for (int i = 0; i < 6; i++)
        assert_int_equal(outcome.settings.rules.items[i].kind, i);
    settings_done(&outcome.settings);
}

static void test_rows_letters(void **state)
{
    (void)state;
    struct outcome outcome = PARSE(cmd_put, "-0xLncPqv");
    assert_true(outcome.settings.null_separated);
    assert_true(outcome.settings.one_file_system);
    assert_int_equal(outcome.settings.links, SETTING_LINKS_FOLLOW);
    assert_true(outcome.settings.dry_run);
    assert_true(outcome.settings.checksum);
    assert_true(outcome.settings.quiet);
    assert_int_equal(PARSE(cmd_put, "--copy-links").settings.links, SETTING_LINKS_FOLLOW);
    assert_true(PARSE(cmd_put, "--immutable").settings.immutable);
    assert_true(PARSE(cmd_put, "--dryrun").settings.dry_run);
    assert_true(PARSE(cmd_put, "-h").settings.help);
    assert_true(PARSE(cmd_ls, "-R").settings.recursive);
    assert_true(PARSE(cmd_ls, "-l").settings.long_format);
    assert_true(PARSE(cmd_rm, "-r").settings.recursive);
}

static void test_rows_of_other_verbs(void **state)
{
    (void)state;
    struct outcome outcome = PARSE(cmd_get, "--to", "f", "--glob", "--overwrite", "--keep-name");
    assert_string_equal(outcome.settings.to, "f");
    assert_true(outcome.settings.glob);
    assert_true(outcome.settings.overwrite);
    assert_true(outcome.settings.keep_name);

    outcome = PARSE(cmd_ls, "--recursive", "--long", "--json", "--help");
    assert_true(outcome.settings.recursive);
    assert_true(outcome.settings.long_format);
    assert_true(outcome.settings.help);

    outcome = PARSE(cmd_check, "--deep", "--download", "--missing=m");
    assert_true(outcome.settings.deep);
    assert_true(outcome.settings.download);
    assert_string_equal(outcome.settings.missing, "m");

    outcome = PARSE(cmd_help, "--man", "put", "--completion=fish");
    assert_string_equal(outcome.settings.man, "put");
    assert_string_equal(outcome.settings.completion, "fish");
}

/* Two rows of one verb that answer to the same name would hide one another. */
static void assert_unlike(const struct command *command, const struct opt *a, const struct opt *b)
{
    if (strcmp(a->name, b->name) == 0 || (a->letter != '\0' && a->letter == b->letter))
        fail_msg("%s: --%s and --%s have the same name", command->name, a->name, b->name);
    for (size_t i = 0; a->aliases[i] != NULL; i++)
        assert_string_not_equal(a->aliases[i], b->name);
}

static void check_row(const struct opt *row)
{
    assert_non_null(row->help);
    assert_non_null(row->doc);
    assert_true(strlen(row->name) + 5 < OPT_ENV_MAX);
    assert_true(strlen(row->help) <= 64);
    assert_int_equal(row->doc[strlen(row->doc) - 1], '.');
    assert_int_equal(opt_takes_value(row), row->arg != NULL);
    assert_memory_not_equal(row->name, "no-", 3);
    if (row->not_with != NULL)
        assert_int_equal(row->type, OPT_FLAG);
}

static void test_rows_are_complete_and_unlike_each_other(void **state)
{
    (void)state;
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        const struct opt *row;
        const struct opt *other;
        for (size_t j = 0; (row = opt_at(command->tables, j)) != NULL; j++) {
            check_row(row);
            for (size_t k = 0; k != j && (other = opt_at(command->tables, k)) != NULL; k++)
                assert_unlike(command, row, other);
        }
        assert_non_null(command->synopsis[0]);
        assert_non_null(command->prose);
        assert_null(command->tables[COMMAND_TABLES_MAX - 1]);
    }
}

static void test_command_find(void **state)
{
    (void)state;
    const struct command *command = NULL;
    struct err err = { 0 };
    assert_int_equal(command_find(&command, "check", &err), 0);
    assert_ptr_equal(command, &cmd_check);

    assert_int_equal(command_find(&command, "chekc", &err), -1);
    assert_string_equal(err.text, "unknown verb 'chekc'");
    assert_string_equal(err.hint, "did you mean 'lade check'?");
    err_clear(&err);
    assert_int_equal(command_find(&command, "", &err), -1);
    assert_string_equal(err.hint, "'lade help' lists the verbs");
    err_clear(&err);
    assert_int_equal(command_find(&command, "-q", &err), -1);
    assert_int_equal(err.kind, ERR_USAGE);
}

static void test_command_counts_operands(void **state)
{
    (void)state;
    char first[] = "a";
    char second[] = "b";
    char *operands[] = { first, second };
    struct err err = { 0 };
    assert_int_equal(command_check_operands(&cmd_run, operands, 1, &err), 0);
    assert_int_equal(command_check_operands(&cmd_run, operands, 2, &err), -1);
    assert_string_equal(err.text, "run: 'b' is one too many");
    err_clear(&err);
    assert_int_equal(command_check_operands(&cmd_put, operands, 1, &err), -1);
    assert_int_equal(err.kind, ERR_USAGE);
    assert_string_equal(err.text, "put needs SRC... DEST, too little is given");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_put),
        cmocka_unit_test(test_rows_put_defaults),
        cmocka_unit_test(test_rows_filters),
        cmocka_unit_test(test_rows_letters),
        cmocka_unit_test(test_rows_of_other_verbs),
        cmocka_unit_test(test_rows_are_complete_and_unlike_each_other),
        cmocka_unit_test(test_command_find),
        cmocka_unit_test(test_command_counts_operands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
