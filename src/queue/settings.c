#include "queue/settings.h"

#include "base/check.h"

#define SETTINGS_OF struct quarantine_settings
static const struct setting rows[] = {
#include "queue/settings.def"
};
#undef SETTINGS_OF

const struct setting_table quarantine_table = {
    .key = "queue.quarantine",
    .kind = TABLE_ONE,
    .prose = "Held mail that somebody has to look at before it goes on.",
    .rows = rows,
    .row_count = COUNT_OF(rows),
    .size = sizeof(struct quarantine_settings),
};
