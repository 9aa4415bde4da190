#include "cli/complete.h"

#include "base/ban.h"
#include "cli/command.h"

#include <assert.h>

static void add_verbs(struct buf *out)
{
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++)
        buf_printf(out, "%s%s", i != 0 ? " " : "", command->name);
}

static void add_choices(struct buf *out, const struct opt *row)
{
    for (size_t i = 0; row->choices[i] != NULL; i++)
        buf_printf(out, "%s%s", i != 0 ? " " : "", row->choices[i]);
}

/* What can be said for the value of this option. */
enum value_kind { VALUE_CHOICES, VALUE_VERBS, VALUE_FILE, VALUE_FREE };

static enum value_kind value_kind(const struct opt *row)
{
    if (row->choices != NULL)
        return VALUE_CHOICES;
    if (strcmp(row->arg, "VERB") == 0)
        return VALUE_VERBS;
    /* The rules that are read from a file. */
    if (row->type == OPT_PATH || strcmp(row->arg, "FILE") == 0)
        return VALUE_FILE;
    return VALUE_FREE;
}

/* Operands of most verbs are locations or files; of help they are verbs, of some there are none. */
static enum value_kind operand_kind(const struct command *command)
{
    if (command == &cmd_help)
        return VALUE_VERBS;
    return command->operand_max != 0 ? VALUE_FILE : VALUE_FREE;
}

/* -- bash: words per verb; file names are left to readline, which quotes them. */

static const char bash_head[] = "# bash completion for lade, made by: lade help --completion bash\n"
                                "_lade()\n"
                                "{\n"
                                "    local cur=${COMP_WORDS[COMP_CWORD]} "
                                "prev=${COMP_WORDS[COMP_CWORD-1]-} verb=${COMP_WORDS[1]-}\n"
                                "    local words='' values='' kind=operand operands=file at\n"
                                "    COMPREPLY=()\n"
                                "    if ((COMP_CWORD == 1)); then\n"
                                "        mapfile -t COMPREPLY < <(compgen -W '";
static const char bash_cases[] =
    " --help --version' -- \"$cur\")\n"
    "        return\n"
    "    fi\n"
    "    # readline makes --name=value three words\n"
    "    if [[ $cur == '=' ]]; then\n"
    "        cur=''\n"
    "    elif [[ $prev == '=' ]]; then\n"
    "        prev=${COMP_WORDS[COMP_CWORD-2]}\n"
    "    fi\n"
    "    for ((at = 2; at < COMP_CWORD; at++)); do\n"
    "        [[ ${COMP_WORDS[at]} == -- ]] && prev='' cur=${cur/#-/./-}\n"
    "    done\n"
    "    case $verb in\n";
static const char bash_tail[] =
    "    *) return ;;\n"
    "    esac\n"
    "    if [[ $kind == operand && $cur == -* ]]; then\n"
    "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
    "        return\n"
    "    fi\n"
    "    [[ $kind == operand ]] && kind=$operands\n"
    "    [[ $kind == file ]] && return\n"
    "    compopt +o default 2>/dev/null\n"
    "    # of a list with commas, the part behind the last one\n"
    "    at=${cur##*,}\n"
    "    mapfile -t COMPREPLY < <(compgen -P \"${cur%\"$at\"}\" -W \"$values\" -- \"$at\")\n"
    "}\n"
    "complete -o default -F _lade lade\n";

static const char *bash_kind(enum value_kind kind)
{
    return kind == VALUE_FILE ? "file" : "words";
}

static void bash_value(struct buf *out, const struct opt *row)
{
    const enum value_kind kind = value_kind(row);
    buf_printf(out, "        --%s", row->name);
    if (row->letter != '\0')
        buf_printf(out, "|-%c", row->letter);
    buf_printf(out, ") kind=%s values='", bash_kind(kind));
    if (kind == VALUE_CHOICES)
        add_choices(out, row);
    else if (kind == VALUE_VERBS)
        add_verbs(out);
    buf_add_text(out, "' ;;\n");
}

static void bash_verb(struct buf *out, const struct command *command)
{
    buf_printf(out, "    %s)\n        operands=%s\n", command->name,
               bash_kind(operand_kind(command)));
    if (operand_kind(command) == VALUE_VERBS) {
        buf_add_text(out, "        values='");
        add_verbs(out);
        buf_add_text(out, "'\n");
    }
    buf_add_text(out, "        words='");
    const struct opt *row;
    for (size_t i = 0; (row = opt_at(command->tables, i)) != NULL; i++)
        buf_printf(out, "%s--%s", i != 0 ? " " : "", row->name);
    buf_add_text(out, "'\n        [[ $cur == --no* ]] && words+='");
    for (size_t i = 0; (row = opt_at(command->tables, i)) != NULL; i++) {
        if (opt_negatable(row))
            buf_printf(out, " --no-%s", row->name);
    }
    buf_add_text(out, "'\n        case $prev in\n");
    for (size_t i = 0; (row = opt_at(command->tables, i)) != NULL; i++) {
        if (opt_takes_value(row) && row->bare == NULL)
            bash_value(out, row);
    }
    buf_add_text(out, "        esac\n        ;;\n");
}

static void add_bash(struct buf *out)
{
    buf_add_text(out, bash_head);
    add_verbs(out);
    buf_add_text(out, bash_cases);
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++)
        bash_verb(out, command);
    buf_add_text(out, bash_tail);
}

/* -- zsh: one call of _arguments per verb. */

/* Text within single quotes, and within the brackets of an _arguments specification. */
static void zsh_text(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            buf_add_text(out, "'\\'");
        else if (strchr("[]:\\", *text) != NULL)
            buf_add_char(out, '\\');
        buf_add_char(out, *text);
    }
}

static void zsh_value(struct buf *out, const struct opt *row)
{
    buf_printf(out, ":%s:", row->arg);
    switch (value_kind(row)) {
    case VALUE_CHOICES:
        if (row->type == OPT_SET) {
            buf_add_text(out, "_values -s , item ");
            add_choices(out, row);
            break;
        }
        buf_add_char(out, '(');
        add_choices(out, row);
        buf_add_char(out, ')');
        break;
    case VALUE_VERBS:
        buf_add_char(out, '(');
        add_verbs(out);
        buf_add_char(out, ')');
        break;
    case VALUE_FILE:
        buf_add_text(out, "_files");
        break;
    case VALUE_FREE:
        buf_add_char(out, ' '); /* a message, and nothing to complete */
        break;
    }
}

/* One specification, for the long name or the letter. */
static void zsh_option(struct buf *out, const struct opt *row, bool letter)
{
    buf_add_text(out, " \\\n            '");
    if (opt_repeatable(row))
        buf_add_char(out, '*');
    else if (row->letter != '\0')
        buf_printf(out, "(-%c --%s)", row->letter, row->name);
    if (letter)
        buf_printf(out, "-%c%s[", row->letter, opt_takes_value(row) ? "+" : "");
    else
        buf_printf(out, "--%s%s[", row->name,
                   row->bare != NULL      ? "=-"
                   : opt_takes_value(row) ? "="
                                          : "");
    zsh_text(out, row->help);
    buf_add_char(out, ']');
    if (row->bare != NULL)
        buf_add_char(out, ':'); /* the value may be left out */
    if (opt_takes_value(row))
        zsh_value(out, row);
    buf_add_char(out, '\'');
}

static void zsh_verb(struct buf *out, const struct command *command)
{
    buf_printf(out, "    %s)\n        _arguments -s -S", command->name);
    const struct opt *row;
    for (size_t i = 0; (row = opt_at(command->tables, i)) != NULL; i++) {
        zsh_option(out, row, false);
        if (row->letter != '\0')
            zsh_option(out, row, true);
    }
    if (operand_kind(command) == VALUE_FILE) {
        buf_add_text(out, " \\\n            '*:location:_files'");
    } else if (operand_kind(command) == VALUE_VERBS) {
        buf_add_text(out, " \\\n            ':verb:(");
        add_verbs(out);
        buf_add_text(out, ")'");
    }
    buf_add_text(out, "\n        ;;\n");
}

static void add_zsh(struct buf *out)
{
    buf_add_text(out, "#compdef lade\n"
                      "# zsh completion for lade, made by: lade help --completion zsh\n"
                      "_lade()\n{\n    local -a verbs=(");
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        buf_printf(out, "\n        '%s:", command->name);
        zsh_text(out, command->summary);
        buf_add_char(out, '\'');
    }
    buf_add_text(out, "\n    )\n    if (( CURRENT == 2 )); then\n"
                      "        _describe verb verbs\n        return\n    fi\n"
                      "    local verb=$words[2]\n    shift words\n    (( CURRENT-- ))\n"
                      "    case $verb in\n");
    for (size_t i = 0; (command = command_at(i)) != NULL; i++)
        zsh_verb(out, command);
    buf_add_text(out, "    esac\n}\n"
                      "if [[ $funcstack[1] == _lade ]]; then\n    _lade \"$@\"\n"
                      "else\n    compdef _lade lade\nfi\n");
}

/* -- fish: one line per verb and option. */

static void fish_text(struct buf *out, const char *text)
{
    buf_add_char(out, '\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, *text);
    }
    buf_add_char(out, '\'');
}

static void fish_value(struct buf *out, const struct opt *row)
{
    switch (value_kind(row)) {
    case VALUE_CHOICES:
        buf_add_text(out, row->type == OPT_SET ? " -x -a '(__fish_append , " : " -x -a '");
        add_choices(out, row);
        buf_add_text(out, row->type == OPT_SET ? ")'" : "'");
        break;
    case VALUE_VERBS:
        buf_add_text(out, " -x -a '");
        add_verbs(out);
        buf_add_char(out, '\'');
        break;
    case VALUE_FILE:
        buf_add_text(out, " -r -F");
        break;
    case VALUE_FREE:
        buf_add_text(out, " -x");
        break;
    }
}

static void fish_option(struct buf *out, const struct command *command, const struct opt *row)
{
    buf_printf(out, "complete -c lade -n '__lade_verb_is %s' -l %s", command->name, row->name);
    if (row->letter != '\0')
        buf_printf(out, " -s %c", row->letter);
    if (opt_takes_value(row) && row->bare == NULL)
        fish_value(out, row);
    buf_add_text(out, " -d ");
    fish_text(out, row->help);
    buf_add_char(out, '\n');
}

static void fish_operands(struct buf *out, const struct command *command)
{
    const enum value_kind kind = operand_kind(command);
    if (kind == VALUE_FILE)
        return;
    buf_printf(out, "complete -c lade -n '__lade_verb_is %s' -f", command->name);
    if (kind == VALUE_VERBS) {
        buf_add_text(out, " -a '");
        add_verbs(out);
        buf_add_char(out, '\'');
    }
    buf_add_char(out, '\n');
}

static void add_fish(struct buf *out)
{
    buf_add_text(out, "# fish completion for lade, made by: lade help --completion fish\n"
                      "function __lade_verb_is\n"
                      "    set -l words (commandline -opc)\n"
                      "    test (count $words) -ge 2; and test \"$words[2]\" = \"$argv[1]\"\n"
                      "end\n"
                      "function __lade_no_verb\n"
                      "    test (count (commandline -opc)) -lt 2\n"
                      "end\n");
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        buf_printf(out, "complete -c lade -n __lade_no_verb -f -a %s -d ", command->name);
        fish_text(out, command->summary);
        buf_add_char(out, '\n');
    }
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        const struct opt *row;
        for (size_t j = 0; (row = opt_at(command->tables, j)) != NULL; j++)
            fish_option(out, command, row);
        fish_operands(out, command);
    }
}

void complete_script(struct buf *out, const char *shell)
{
    if (strcmp(shell, "bash") == 0)
        add_bash(out);
    else if (strcmp(shell, "zsh") == 0)
        add_zsh(out);
    else if (strcmp(shell, "fish") == 0)
        add_fish(out);
    else
        assert(!"a shell that rows_help does not offer");
}
