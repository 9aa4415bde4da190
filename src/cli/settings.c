#include "cli/settings.h"

#include "base/ban.h"
#include "base/mem.h"

void settings_done(struct settings *settings)
{
    mem_free(settings->rules.items);
    mem_free(settings->metadata.items);
    settings->rules.count = 0;
    settings->metadata.count = 0;
}
