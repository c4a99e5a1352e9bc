#include "admin/settings.h"

#include "base/check.h"
#include "base/event.h"
#include "config/config.h"
#include "runtime/log.h"

static const struct setting_choice socket_modes[] = {{"0600", 0}, {"0660", 1}, {NULL, 0}};

#define SETTINGS_OF struct admin_settings
static const struct setting admin_rows[] = {
#include "admin/settings_admin.def"
};
#undef SETTINGS_OF

static const struct setting_choice log_formats[] = {
    {"json", LOG_JSON}, {"text", LOG_TEXT}, {NULL, 0}};
static const struct setting_choice log_levels[] = {{"debug", LEVEL_DEBUG},
                                                   {"info", LEVEL_INFO},
                                                   {"warn", LEVEL_WARN},
                                                   {"error", LEVEL_ERROR},
                                                   {NULL, 0}};

#define SETTINGS_OF struct log_settings
static const struct setting log_rows[] = {
#include "admin/settings_log.def"
};
#undef SETTINGS_OF

static void check_admin(const struct config *cfg, struct faults *faults)
{
    const struct admin_settings *s = config_settings(cfg, &admin_table);
    struct position at;

    (void)config_where(cfg, s, "bind", &at);
    for (size_t i = 0; i < s->bind.count; i++) {
        if (!addr_is_loopback(&s->bind.items[i]) && !s->token.is_given) {
            char text[ADDR_BYTES];

            fault_error(faults, at, "admin.bind %.*s is not loopback, so admin.token is required",
                        STR_ARG(addr_print(&s->bind.items[i], text)));
            fault_hint(faults, "token: { file: /etc/postyard/admin.token }");
            return;
        }
    }
}

const struct setting_table admin_table = {
    .key = "admin",
    .kind = TABLE_ONE,
    .prose = "The interface for operators: HTTP on loopback, and the same on a local socket.",
    .rows = admin_rows,
    .row_count = COUNT_OF(admin_rows),
    .size = sizeof(struct admin_settings),
    .check = check_admin,
};

const struct setting_table log_table = {
    .key = "log",
    .kind = TABLE_ONE,
    .prose = "The log: everything that happens is an event, one a line, on standard error.",
    .rows = log_rows,
    .row_count = COUNT_OF(log_rows),
    .size = sizeof(struct log_settings),
};
