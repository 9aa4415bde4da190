#include "cli/settings.h"

#include "base/ban.h"
#include "base/mem.h"

void settings_done(struct settings *settings)
{
    mem_free(settings->rules.items);
    mem_free(settings->metadata.items);
    settings->rules.count = 0;
    settings->metadata.count = 0;
    mem_free(settings->place.sources.items);
    for (size_t i = 0; i < settings->texts.count; i++)
        mem_release(settings->texts.items[i]);
    mem_free(settings->texts.items);
    settings->place.sources.count = settings->texts.count = 0;
}
