#include "cli/caught.h"

#include "base/ban.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t caught;
static volatile sig_atomic_t looking;

static void on_signal(int number)
{
    if (caught != 0 || looking == 0)
        _exit(128 + number);
    caught = number;
}

void caught_start(bool looked_at)
{
    const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction action = { .sa_handler = on_signal };
    looking = looked_at;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction old;
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
    }
}

void caught_look(bool looked_at)
{
    looking = looked_at;
}

int caught_signal(void)
{
    return caught;
}
