/* Two tables of settings with a row of every kind, for tests and for the fuzz target. */
#pragma once

#include "base/check.h"
#include "config/config.h"

enum colour { RED = 3, GREEN };

struct yard_settings {
    bool open;
    uint32_t tracks;
    uint64_t wagons;
    int64_t level, wait_ms;
    uint64_t load;
    struct str label, master, domain, host, name, plan, gate, owner;
    enum colour colour;
    struct addr door, ip;
    struct cidr net;
    struct secret key;
    struct expression when;
    struct rules choose;
    struct str_list domains;
    struct addr_list doors;
    struct cidr_list nets;
    struct duration_list retry;
};

struct track_settings {
    uint32_t slots;
    int64_t expire_ms;
    struct str queue;
};

struct signal_settings {
    struct str name;
    struct str lamp;
};

static const struct setting_choice colours[] = {{"red", RED}, {"green", GREEN}, {NULL, 0}};

#define SETTINGS_OF struct yard_settings
static const struct setting yard_rows[] = {
    SETTING("open", BOOL, open, "true", 0, 0, "", RELOAD, "whether it is open") SETTING(
        "tracks", U32, tracks, "10", 1, 100, "tracks", RESTART,
        "how many | tracks") SETTING("wagons", U64, wagons, "1000", 0, 0, "", RELOAD,
                                     "wagons") SETTING("level", I64, level, "0", -9, 9, "", RELOAD,
                                                       "level")
        SETTING("wait", DURATION, wait_ms, "5m", 1000, 86400000, "", RELOAD, "wait") SETTING(
            "load",
            SIZE,
            load, "64KiB", 1, 1048576, "", RELOAD,
            "load") SETTING("label", STRING, label, "", 0, 10, "", RELOAD, "label")
            SETTING("master", HOSTNAME, master, "", 0, 0, "", RELOAD, "master") SETTING(
                "domain", DOMAIN,
                domain,
                "",
                0, 0, "", RELOAD,
                "domain") SETTING("host", HOST, host, "", 0, 0, "", RELOAD,
                                  "host") SETTING("name", NAME, name, "", 0, 0, "", RELOAD, "name")
                SETTING("plan", FILE, plan, "", 0, 0, "", RELOAD, "plan") SETTING(
                    "gate",
                    PATH,
                    gate, "/var/yard", 0,
                    0, "", RESTART,
                    "gate") SETTING("owner", MAILBOX, owner, "", 0, 0, "", RELOAD, "owner")
                    SETTING_CHOICE("colour", colours, colour, "green", RELOAD, "colour") SETTING(
                        "door",
                        ADDRESS, door, "127.0.0.1:25",
                        0, 0, "", RELOAD, "door") SETTING("ip", IP, ip, "", 0, 0, "", RELOAD, "ip")
                        SETTING("net", CIDR, net, "", 0, 0, "", RELOAD,
                                "net") SETTING("tls.key", SECRET, key, "", 0, 0, "", RELOAD, "key")
                            SETTING("when", EXPRESSION, when, "",
                                    0, 0, "", RELOAD, "when") SETTING("choose", RULES, choose,
                                                                      "[ { use: main } ]", 0,
                                                                      0, "", RELOAD, "choose")
                                SETTING_LIST("domains", DOMAIN, domains, "[]", 0, 0, "", RELOAD,
                                             "domains")
                                    SETTING_LIST("doors", ADDRESS, doors,
                                                 "['127.0.0.1:25', '[::1]:25']", 0, 0, "", RELOAD,
                                                 "d")
                                        SETTING_LIST("nets", CIDR, nets,
                                                     "[127.0.0.0/8, '::1/128']", 0, 0, "", RELOAD,
                                                     "nets")
                                            SETTING_LIST("retry", DURATION, retry, "[2m, 5m]", 1000,
                                                         86400000, "", RELOAD, "retry")
                                                ALIAS("sidings", "tracks") RESERVED(
                                                    "crane", "cranes come with a later release")};
#undef SETTINGS_OF

#define SETTINGS_OF struct track_settings
static const struct setting track_rows[] = {
    SETTING("slots", U32, slots, NULL, 1, 100000, "", RELOAD, "slots")
        SETTING("expire", DURATION, expire_ms, "", 1000, 86400000, "", RELOAD, "expire")
            SETTING("queue-name", NAME, queue, "main", 0, 0, "", RELOAD, "queue")
                ALIAS("threads-per-node", "slots")};
#undef SETTINGS_OF

#define SETTINGS_OF struct signal_settings
static const struct setting signal_rows[] = {
    SETTING("name", NAME, name, NULL, 0, 0, "", RELOAD, "name")
        SETTING("lamp", STRING, lamp, "oil", 0, 0, "", RELOAD, "lamp")};
#undef SETTINGS_OF

static const struct setting_table yard_table = {.key = "yard",
                                                .kind = TABLE_ONE,
                                                .prose = "The yard.",
                                                .rows = yard_rows,
                                                .row_count = COUNT_OF(yard_rows),
                                                .size = sizeof(struct yard_settings)};
static const struct setting_table track_table = {
    .key = "yard.track",
    .kind = TABLE_NAMED,
    .prose = "Tracks.",
    .builtin = "main: { slots: 25 }\nspare: { slots: 5, expire: 1h }\n",
    .rows = track_rows,
    .row_count = COUNT_OF(track_rows),
    .size = sizeof(struct track_settings)};
static const struct setting_table signal_table = {.key = "signals",
                                                  .kind = TABLE_LIST,
                                                  .prose = "Signals.",
                                                  .rows = signal_rows,
                                                  .row_count = COUNT_OF(signal_rows),
                                                  .size = sizeof(struct signal_settings)};
static const struct setting_table *const yard_tables[] = {&yard_table, &track_table, &signal_table};
