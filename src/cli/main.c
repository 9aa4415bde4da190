/* cli/main.c: finds the verb, parses its options, runs it, and tells what went wrong. */
#include "base/ban.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/scope.h"
#include "cli/command.h"
#include "cli/help.h"
#include "cli/jobfile.h"
#include "cli/say.h"
#include "ui/event.h"

#include <fcntl.h>
#include <unistd.h>

/* Started with a standard descriptor closed, the next file that is opened would take its number,
 * and messages would be written into data. */
static int open_standard_fds(struct err *err)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
        if (fd < 0)
            return err_sys(err, ERR_LOCAL, "open '/dev/null'");
    } while (fd <= STDERR_FILENO);
    close(fd);
    return 0;
}

static int show(FILE *to, const struct command *command, int status)
{
    SCOPED(buf) struct buf out = { 0 };
    if (command != NULL)
        help_command(&out, command);
    else
        help_overview(&out);
    fputs(buf_text(&out), to);
    return status;
}

/* A first pass finds --file; then all is parsed again, with what the file says behind it. */
static int parse(const struct command *command, struct settings *settings, char **args,
                 size_t count, size_t *ret_operand_count, struct err *err)
{
    char **again = mem_copy(args, count * sizeof *args); /* the parser moves them */
    int result = opt_parse(settings, command->tables, args, count, environ, ret_operand_count, err);
    if (result < 0)
        err_hint(err, "'lade help %s' lists its options", command->name);
    if (result == 0 && settings->file != NULL && !settings->help) {
        const char *file = settings->file;
        memcpy(args, again, count * sizeof *args);
        settings_done(settings);
        *settings = (struct settings){ 0 };
        result = jobfile_parse(settings, file, cmd_put.tables, command->tables, args, count,
                               environ, ret_operand_count, err);
    }
    mem_release(again);
    return result;
}

static int check_file(const struct command *command, const struct settings *settings, char **args,
                      size_t operand_count, struct err *err)
{
    if (settings->file == NULL && settings->only != NULL)
        return err_set(err, ERR_USAGE, "--only goes with --file");
    if (settings->file == NULL)
        return command_check_operands(command, args, operand_count, err);
    if (operand_count == 0)
        return 0;
    err_set(err, ERR_USAGE, "%s: '%s' is one too many, --file says what is moved", command->name,
            args[0]);
    return err_hint(err, "a part of it is chosen with --only");
}

static int parse_and_run(const struct command *command, struct settings *settings, char **args,
                         size_t count, struct err *err)
{
    size_t operand_count = 0;
    if (parse(command, settings, args, count, &operand_count, err) < 0)
        return -1;
    if (settings->help)
        return show(stdout, command, EXIT_DONE);
    if (check_file(command, settings, args, operand_count, err) < 0)
        return -1;
    return command->run(settings, args, operand_count, err);
}

static int run_verb(char **args, size_t count, struct err *err)
{
    const struct command *command = NULL;
    if (command_find(&command, args[0], err) < 0)
        return -1;
    SCOPED(settings) struct settings settings = { 0 };
    const int status = parse_and_run(command, &settings, args + 1, count - 1, err);
    if (status < 0 && settings.json) {
        SCOPED(buf) struct buf line = { 0 };
        event_error(&line, clock_now_ns(), err);
        fwrite(line.data, 1, line.len, stdout);
    }
    return status;
}

static int run_program(int argc, char **argv, struct err *err)
{
    if (open_standard_fds(err) < 0)
        return -1;
    if (argc < 2)
        return show(stderr, NULL, EXIT_USAGE);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return show(stdout, NULL, EXIT_DONE);
    if (strcmp(argv[1], "--version") == 0)
        argv[1] += 2;
    return run_verb(argv + 1, (size_t)argc - 1, err);
}

int main(int argc, char **argv)
{
    mem_setup();
    struct err err = { 0 };
    int status = run_program(argc, argv, &err);
    /* Results that could not be written are no results. */
    if (fflush(stdout) != 0 && status >= 0)
        status = err_sys(&err, ERR_LOCAL, "write to standard output");
    if (status < 0) {
        say_error(stderr, &err);
        status = err_trait(err.kind)->exit_status;
    }
    return status;
}
