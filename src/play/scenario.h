/*
 * scenario: what `simulate` plays: destinations with their tempers, weather over them, and traffic;
 * read from a file by tables of settings like a configuration.
 *
 * Owns      A scenario owns its configuration and all that was made of it. Names of the plan that
 *           scenario_use_plan takes are the plan's.
 * Limits    SCENARIO_SPANS_MAX rates or bursts of one class.
 * Errors    scenario_load, scenario_use_plan: all faults with their places; the former then NULL.
 */
#pragma once

#include "config/config.h"
#include "mail/envelope.h"
#include "play/behaviour.h"
#include "play/mishap.h"
#include "runtime/sim_net.h"

struct plan;

enum { SCENARIO_SPANS_MAX = 64, SCENARIO_GROUPS_MAX = 200, SCENARIO_CLASSES_MAX = 200 };

struct scenario_settings {
    struct str configuration, description;
    int64_t duration_ms, sample_ms, sync_ms;
    uint64_t seed;
    uint32_t workers;
};

struct destination_settings {
    struct str_list domains, behaviour, dns, local;
    struct str route;
    uint32_t count, port, connections_max, messages_max;
    struct addr address;
    bool lmtp, starttls;
    int64_t network_ms;
    struct duration_list latency, at_connect, at_rcpt, at_dot;
    struct rate rate_max;
};

struct traffic_settings {
    struct str_list rate, burst, to;
    struct str from, listener, authenticated_as, client_ip, helo;
    uint32_t recipients;
    uint64_t size, size_max;
    int64_t priority;
    enum source source;
    bool trusted;
};

struct weather_settings {
    struct str name, destination;
    int64_t from_ms, until_ms;
    enum sim_net_way way;
    struct str_list behaviour, dns, local;
};

struct rate_span {
    int64_t from_ms, until_ms;
    struct rate rate; /* count 0: none come */
};

struct burst {
    int64_t at_ms;
    uint64_t messages;
};

/* A store of look-ups, as it answers here. */
struct store_answers {
    struct str_list answers; /* "KEY = VALUE" */
    int64_t latency_ms;
};

struct weather {
    const struct weather_settings *settings;
    int64_t until_ms;
    struct play_behaviour behaviour;
    struct mishaps names, local;
};

/* What it is, once the plan is known. */
enum destination_kind { DESTINATION_HOSTS, DESTINATION_MAILDIR, DESTINATION_PROGRAM };

/* A kind of destination, `count` hosts of it. */
struct destination {
    struct str name;
    const struct destination_settings *settings;
    unsigned number;
    enum destination_kind kind;
    bool is_assumed; /* not of the file: a local route that it does not describe */
    struct play_behaviour behaviour;
    struct mishaps names, local;
    const struct weather **weather;
    size_t weather_count;
};

struct pattern_of { /* an address with its weight, and whose # its domain has */
    struct str address;
    uint32_t weight;
    const struct destination *numbers; /* or NULL: none */
};

struct traffic_class {
    struct str name;
    const struct traffic_settings *settings;
    struct rate_span rates[SCENARIO_SPANS_MAX];
    size_t rate_count;
    struct burst bursts[SCENARIO_SPANS_MAX];
    size_t burst_count;
    struct pattern_of from, *to;
    size_t to_count;
    uint64_t weights; /* of all in `to` */
};

struct scenario {
    struct config *config;
    struct arena arena;
    struct str file;
    const struct scenario_settings *settings;
    /* Those of the file, until somebody wants others. */
    int64_t duration_ms, sample_ms;
    uint64_t seed;
    struct destination *destinations;
    size_t destination_count;
    struct weather *weather;
    size_t weather_count;
    struct traffic_class *classes;
    size_t class_count;
};

struct scenario *scenario_load(struct str path, struct faults *faults);
void scenario_free(struct scenario *s);
/* Finds the routes that destinations stand for (`route`), and adds for each local route that has
 * none one that takes all mail at once. Before anything else is made of the scenario. */
void scenario_use_plan(struct scenario *s, const struct plan *p, struct faults *faults);
/* It ends earlier, or later, than the file says. */
void scenario_last(struct scenario *s, int64_t duration_ms);

/* The host that a name of the domain name system means: its destination and number from 1; NULL:
 * there is no such name. */
const struct destination *scenario_host(const struct scenario *s, struct str name,
                                        uint32_t *number);
/* One time by a spread of one to three percentiles. `chance` is any number. */
int64_t spread_ms(const struct duration_list *spread, uint64_t chance);
/* How long a store of look-ups takes; and what a key of it has; false: there is no such key. */
int64_t scenario_answer_ms(const struct scenario *s, struct str store);
bool scenario_answer(const struct scenario *s, struct str store, struct str key, struct str *ret);
/* How fast the class comes at an instant of the run. */
struct rate class_rate(const struct traffic_class *c, int64_t at_ms);

/* The reference page (Markdown). */
void scenario_manual(struct buf *out);
/* The tables, for tests. */
const struct setting_table *const *scenario_tables(size_t *count);
