#include "dns/settings.h"

#include "base/check.h"

#define SETTINGS_OF struct resolver_settings
static const struct setting rows[] = {
#include "dns/settings.def"
};
#undef SETTINGS_OF

const struct setting_table resolver_table = {.key = "resolver",
                                             .kind = TABLE_ONE,
                                             .prose = "How names are looked up.",
                                             .rows = rows,
                                             .row_count = COUNT_OF(rows),
                                             .size = sizeof(struct resolver_settings)};
