#include "cli/command.h"

#include "base/ban.h"
#include "cli/nearest.h"

const struct command *command_at(size_t index)
{
    enum { COUNT = 21 };
    static const struct command *const commands[COUNT] = {
        &cmd_put,    &cmd_get,    &cmd_ls,      &cmd_find,  &cmd_cat,    &cmd_check,   &cmd_repack,
        &cmd_rm,     &cmd_mb,     &cmd_uploads, &cmd_crawl, &cmd_plan,   &cmd_run,     &cmd_status,
        &cmd_attach, &cmd_report, &cmd_stop,    &cmd_jobs,  &cmd_doctor, &cmd_version, &cmd_help,
    };
    return index < COUNT ? commands[index] : NULL;
}

static int refuse_verb(const char *name, struct err *err)
{
    struct nearest nearest = nearest_to(name, strlen(name));
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++)
        nearest_offer(&nearest, command->name);
    err_set(err, ERR_USAGE, "unknown verb '%s'", name);
    if (nearest.best != NULL)
        return err_hint(err, "did you mean 'lade %s'?", nearest.best);
    return err_hint(err, "'lade help' lists the verbs");
}

int command_find(const struct command **ret_command, const char *name, struct err *err)
{
    if (name[0] == '-') {
        err_set(err, ERR_USAGE, "the verb comes before all options, '%s' is given", name);
        return err_hint(err, "write 'lade VERB %.60s'; 'lade help' lists the verbs", name);
    }
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        if (strcmp(command->name, name) == 0) {
            *ret_command = command;
            return 0;
        }
    }
    return refuse_verb(name, err);
}

int command_check_operands(const struct command *command, char *const *operands,
                           size_t operand_count, struct err *err)
{
    if (operand_count < command->operand_min)
        err_set(err, ERR_USAGE, "%s needs %s, %s given", command->name, command->synopsis[0],
                operand_count == 0 ? "nothing is" : "too little is");
    else if (operand_count > command->operand_max)
        err_set(err, ERR_USAGE, "%s: '%s' is one too many", command->name,
                operands[command->operand_max]);
    else
        return 0;
    return err_hint(err, "'lade help %s' tells what it takes", command->name);
}
