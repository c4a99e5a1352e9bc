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
    uint64_t load, heap;
    struct str label, master, domain, host, name, plan, gate, owner;
    enum colour colour;
    struct addr door, ip;
    struct cidr net;
    struct secret key;
    struct expression when;
    struct rules choose;
    struct str_list domains;
    struct addr_list doors;
    struct target_list hosts;
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
#define SECTION_YARD
#include "yard.def"
#undef SECTION_YARD
};
#undef SETTINGS_OF

#define SETTINGS_OF struct track_settings
static const struct setting track_rows[] = {
#define SECTION_TRACK
#include "yard.def"
#undef SECTION_TRACK
};
#undef SETTINGS_OF

#define SETTINGS_OF struct signal_settings
static const struct setting signal_rows[] = {
#define SECTION_SIGNAL
#include "yard.def"
#undef SECTION_SIGNAL
};
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
