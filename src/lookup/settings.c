#include "lookup/settings.h"

#include "base/check.h"
#include "config/config.h"
#include "lookup/file.h"

static const struct setting_choice store_types[] = {{"file", STORE_FILE},
                                                    {"redis", STORE_REDIS},
                                                    {"sqlite", STORE_SQLITE},
                                                    {"postgresql", STORE_POSTGRESQL},
                                                    {NULL, 0}};

#define SETTINGS_OF struct lookup_settings
static const struct setting rows[] = {
#include "lookup/settings.def"
};
#undef SETTINGS_OF

enum {
    OF_FILE = 1u << STORE_FILE,
    OF_REDIS = 1u << STORE_REDIS,
    OF_SQLITE = 1u << STORE_SQLITE,
    OF_PG = 1u << STORE_POSTGRESQL,
    OF_SERVERS = OF_REDIS | OF_PG,
    OF_SQL = OF_SQLITE | OF_PG,
    OF_ASKED = OF_REDIS | OF_SQL
};

/* Which keys are for which types. */
static const struct {
    const char *key;
    unsigned types;
} keys[] = {
    {"path", OF_FILE | OF_SQLITE},
    {"address", OF_SERVERS},
    {"port", OF_SERVERS},
    {"socket", OF_SERVERS},
    {"username", OF_SERVERS},
    {"password", OF_SERVERS},
    {"database", OF_SERVERS},
    {"prefix", OF_REDIS},
    {"query", OF_SQL},
    {"timeout", OF_ASKED},
    {"pool", OF_SERVERS},
    {"cache.ttl", OF_ASKED},
    {"cache.negative-ttl", OF_ASKED},
    {"cache.entries", OF_ASKED},
    {"cache.size", OF_ASKED},
};

const char *store_type_name(enum store_type type)
{
    return store_types[type].word;
}

unsigned lookup_verbs(const struct lookup_settings *s)
{
    unsigned keyed = LOOKUP_VERB_BIT(LOOKUP_GET) | LOOKUP_VERB_BIT(LOOKUP_EXISTS);

    switch (s->type) {
    case STORE_FILE:
        return keyed;
    case STORE_REDIS:
        return keyed | LOOKUP_VERB_BIT(LOOKUP_SET) | LOOKUP_VERB_BIT(LOOKUP_COUNTER) |
               LOOKUP_VERB_BIT(LOOKUP_COUNTER_INCR);
    case STORE_SQLITE:
    case STORE_POSTGRESQL:
        return LOOKUP_VERB_BIT(LOOKUP_SQL) | (s->query.len > 0 ? keyed : 0);
    case STORE_TYPES:
        break;
    }
    never("all types were named");
}

static void check_server(const struct config_object *o, struct faults *faults)
{
    const struct lookup_settings *s = o->settings;
    uint64_t number;

    if ((s->address.family == 0) == (s->socket.len == 0)) {
        fault_error(faults, o->at, "lookup.%.*s: type %s needs an address or a socket",
                    STR_ARG(o->name), store_type_name(s->type));
    }
    if (s->type == STORE_REDIS && s->database.len > 0 &&
        (!str_to_u64(s->database, &number) || number > 65535)) {
        fault_error(faults, o->at, "lookup.%.*s: a database of Redis is a number",
                    STR_ARG(o->name));
    }
    if (s->type == STORE_REDIS && s->username.len > 0 && !s->password.is_given) {
        fault_error(faults, o->at, "lookup.%.*s: a username of Redis needs a password",
                    STR_ARG(o->name));
    }
}

static void check_one(const struct config *cfg, const struct config_object *o,
                      struct faults *faults)
{
    const struct lookup_settings *s = o->settings;

    if (!config_where(cfg, s, "type", NULL)) {
        return; /* told already */
    }
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        struct position at;

        if ((keys[i].types >> s->type & 1) == 0 && config_where(cfg, s, keys[i].key, &at)) {
            fault_error(faults, at, "lookup.%.*s: %s is not for type %s", STR_ARG(o->name),
                        keys[i].key, store_type_name(s->type));
        }
    }
    if ((OF_SERVERS >> s->type & 1) != 0) {
        check_server(o, faults);
    } else if (s->path.len == 0) {
        fault_error(faults, o->at, "lookup.%.*s: type %s needs a path", STR_ARG(o->name),
                    store_type_name(s->type));
    } else if (s->type == STORE_FILE) {
        file_check(s->path, faults);
    }
}

static void check(const struct config *cfg, struct faults *faults)
{
    size_t count;
    const struct config_object *objects = config_objects(cfg, &lookup_table, &count);

    for (size_t i = 0; i < count; i++) {
        check_one(cfg, &objects[i], faults);
    }
}

const struct setting_table lookup_table = {
    .key = "lookup",
    .kind = TABLE_NAMED,
    .prose = "A store that expressions may ask: `key_get('NAME', key)` and the like. The one named "
             "`default` is also `'*'`.",
    .rows = rows,
    .row_count = COUNT_OF(rows),
    .size = sizeof(struct lookup_settings),
    .check = check,
};
