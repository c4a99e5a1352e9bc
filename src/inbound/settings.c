#include "inbound/settings.h"

#include "base/check.h"
#include "config/config.h"
#include "inbound/directory.h"

#define SETTINGS_OF struct server_settings
static const struct setting server_rows[] = {
#include "inbound/settings.def"
};
#undef SETTINGS_OF

static const struct setting_choice submissions[] = {
    {"auto", SUBMISSION_AUTO}, {"true", SUBMISSION_TRUE}, {"false", SUBMISSION_FALSE}, {NULL, 0}};

static const struct setting_choice wishers[] = {
    {"trusted", WISHERS_TRUSTED}, {"all", WISHERS_ALL}, {"never", WISHERS_NONE}, {NULL, 0}};

#define SETTINGS_OF struct listener_settings
static const struct setting listener_rows[] = {
#include "inbound/settings_listener.def"
};
#undef SETTINGS_OF

static void check_relay(const struct config *cfg, const struct server_settings *s,
                        struct faults *faults)
{
    struct position at;

    (void)config_where(cfg, s, "trusted-networks", &at);
    for (size_t i = 0; i < s->trusted_networks.count && !s->open_relay; i++) {
        if (s->trusted_networks.items[i].bits == 0) {
            fault_error(faults, at, "this network is everyone: that makes an open relay");
            fault_hint(faults, "name the networks of your own clients, or say open-relay: true");
        }
    }
    if (s->open_relay) {
        (void)config_where(cfg, s, "open-relay", &at);
        fault_warn(faults, at, "anyone who can connect may send mail to anywhere");
    }
}

/* A letter as a delimiter would make ann of anna. */
static void check_delimiter(const struct config *cfg, const struct server_settings *s,
                            struct faults *faults)
{
    struct position at;

    for (size_t i = 0; i < s->recipient_delimiter.len; i++) {
        char c = s->recipient_delimiter.ptr[i];

        if (c == '\0' || memchr("+-=#_", c, 5) == NULL) {
            (void)config_where(cfg, s, "recipient-delimiter", &at);
            fault_error(faults, at, "a delimiter is one of + - = # _");
            return;
        }
    }
}

static void check_server(const struct config *cfg, struct faults *faults)
{
    const struct server_settings *s = config_settings(cfg, &server_table);
    struct position at;
    bool has_certificate = !str_is_empty(s->tls_certificate);

    check_relay(cfg, s, faults);
    check_delimiter(cfg, s, faults);
    if (s->local_domains.count > 0) {
        (void)config_where(cfg, s, "local-domains", &at);
        if (str_is_empty(s->postmaster)) {
            fault_error(faults, at, "server.postmaster is required once there are local domains");
            fault_hint(faults, "postmaster: an address that somebody reads");
        }
        if (str_is_empty(s->local_recipients)) {
            fault_warn(faults, at,
                       "without server.local-recipients mail to unknown local parts is accepted, "
                       "and bounces to senders that may be forged (backscatter)");
        }
    }
    if (has_certificate != !str_is_empty(s->tls_key)) {
        (void)config_where(cfg, s, has_certificate ? "tls.certificate" : "tls.key", &at);
        fault_error(faults, at, "server.tls needs both certificate and key");
    }
    directory_drop(directory_load(s, true, faults));
}

static void check_listeners(const struct config *cfg, struct faults *faults)
{
    size_t count;
    const struct config_object *o = config_objects(cfg, &listeners_table, &count);

    for (size_t i = 0; i < count; i++) {
        const struct listener_settings *l = o[i].settings;

        if (l->bind.count == 0 && !o[i].is_builtin) {
            fault_error(faults, o[i].at, "listener %.*s has no address to bind",
                        STR_ARG(o[i].name));
        }
        for (size_t j = 0; j < i && !o[i].is_builtin; j++) {
            const struct listener_settings *other = o[j].settings;

            for (size_t n = 0; n < l->bind.count * other->bind.count; n++) {
                if (addr_eq(&l->bind.items[n % l->bind.count],
                            &other->bind.items[n / l->bind.count])) {
                    fault_error(faults, o[i].at, "listeners %.*s and %.*s bind the same address",
                                STR_ARG(o[j].name), STR_ARG(o[i].name));
                }
            }
        }
    }
}

const struct setting_table server_table = {
    .key = "server",
    .kind = TABLE_ONE,
    .prose = "Who we are, for whom we take mail, and how much of it at once.",
    .rows = server_rows,
    .row_count = COUNT_OF(server_rows),
    .size = sizeof(struct server_settings),
    .check = check_server,
};

const struct setting_table listeners_table = {
    .key = "listeners",
    .kind = TABLE_NAMED,
    .prose = "Where we listen for SMTP. Without any listener of your own there is one named smtp "
             "on port 2525 of the loopback addresses.",
    .builtin = "smtp: { bind: [\"127.0.0.1:2525\", \"[::1]:2525\"] }",
    .rows = listener_rows,
    .row_count = COUNT_OF(listener_rows),
    .size = sizeof(struct listener_settings),
    .check = check_listeners,
};
