#include "hooks/milter_settings.h"

#include "base/check.h"
#include "config/config.h"
#include "config/fault.h"
#include "hooks/milter.h"

#define SETTINGS_OF struct milter_settings
static const struct setting rows[] = {
#include "hooks/settings_milter.def"
};
#undef SETTINGS_OF

static void check_one(const struct config *cfg, const struct config_object *o,
                      struct faults *faults)
{
    const struct milter_settings *s = o->settings;
    struct position at = {0};
    struct milter_address address;
    const char *why;

    if (config_where(cfg, s, "address", &at) && !milter_address_parse(s->address, &address, &why)) {
        fault_error(faults, at, "milters.%.*s: %.*s is no address of a milter: %s",
                    STR_ARG(o->name), STR_ARG(str_head(s->address, 80)), why);
    }
    (void)config_where(cfg, s, "stages", &at);
    (void)filter_stages_check(&s->stages, STAGES_INBOUND, "milters", o->name, at, faults);
    if (s->protocol != MILTER_VERSION && s->protocol != MILTER_VERSION_MIN) {
        (void)config_where(cfg, s, "protocol", &at);
        fault_error(faults, at, "milters.%.*s: protocol is %d or %d", STR_ARG(o->name),
                    MILTER_VERSION, MILTER_VERSION_MIN);
    }
}

static void check(const struct config *cfg, struct faults *faults)
{
    size_t count;
    const struct config_object *objects = config_objects(cfg, &milters_table, &count);

    for (size_t i = 0; i < count; i++) {
        check_one(cfg, &objects[i], faults);
    }
}

const struct setting_table milters_table = {
    .key = "milters",
    .kind = TABLE_LIST,
    .prose = "Filters that speak Sendmail's milter protocol, asked in this order while mail comes "
             "in.",
    .rows = rows,
    .row_count = COUNT_OF(rows),
    .size = sizeof(struct milter_settings),
    .check = check,
};
