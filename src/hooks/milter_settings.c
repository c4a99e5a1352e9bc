#include "hooks/milter_settings.h"

#include "base/check.h"
#include "config/config.h"
#include "config/fault.h"
#include "hooks/milter.h"

static const struct setting_choice on_failure_choices[] = {
    {"tempfail", MILTER_FAILURE_TEMPFAIL},
    {"accept", MILTER_FAILURE_ACCEPT},
    {"reject", MILTER_FAILURE_REJECT},
    {"quarantine", MILTER_FAILURE_QUARANTINE},
    {NULL, 0}};

#define SETTINGS_OF struct milter_settings
static const struct setting rows[] = {
#include "hooks/settings_milter.def"
};
#undef SETTINGS_OF

/* Those that the protocol knows: nothing of it happens at AUTH, or when mail goes out. */
static bool is_for_milters(enum hook_stage s)
{
    return s != HOOK_AUTH && !hook_stage_is_outbound(s);
}

static void check_one(const struct config *cfg, const struct milter_settings *s,
                      struct faults *faults)
{
    struct position at = {0};
    struct milter_address address;
    const char *why;

    if (config_where(cfg, s, "address", &at) && !milter_address_parse(s->address, &address, &why)) {
        fault_error(faults, at, "milters: %.*s is no address of a milter: %s", STR_ARG(s->address),
                    why);
    }
    for (size_t i = 0; i < s->stages.count; i++) {
        enum hook_stage stage;

        if (!hook_stage_find(s->stages.items[i], &stage) || !is_for_milters(stage)) {
            config_where(cfg, s, "stages", &at);
            fault_error(faults, at,
                        "milters: %.*s is no stage of a milter; those are connect, "
                        "ehlo, mail, rcpt and data",
                        STR_ARG(s->stages.items[i]));
        }
    }
    if (s->protocol != MILTER_VERSION && s->protocol != MILTER_VERSION_MIN) {
        config_where(cfg, s, "protocol", &at);
        fault_error(faults, at, "milters: protocol is %d or %d", MILTER_VERSION_MIN,
                    MILTER_VERSION);
    }
}

static void check(const struct config *cfg, struct faults *faults)
{
    size_t count;
    const struct config_object *objects = config_objects(cfg, &milters_table, &count);

    for (size_t i = 0; i < count; i++) {
        check_one(cfg, objects[i].settings, faults);
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
