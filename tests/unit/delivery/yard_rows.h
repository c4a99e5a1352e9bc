/*
 * yard_rows: mail told as a table: a configuration, names and hosts, one message, and what the
 * hosts and the log hold afterwards.
 */
#pragma once

#include "runtime/sim_net.h"
#include "yard.h"

enum { HOSTS = 4, TEXTS = 6 };

struct row {
    const char *name, *config, *to;
    int64_t wait_ms; /* 0: 40 s */
    const char *names[18];
    const char *silent; /* an address that never answers */
    struct yard_host hosts[HOSTS];
    unsigned contents[HOSTS];
    const char *log[TEXTS], *not_log[TEXTS], *content0[TEXTS];
    const char *heard0;
};

static const struct row *playing;

static void expect_text(struct yard *y, struct str in, const char *text, bool wanted)
{
    if (text != NULL && (str_find_str(in, str_of(text)) != STR_NONE) != wanted) {
        fprintf(stderr, "%s\"%s\" in\n%.*s\n", wanted ? "no " : "", text, STR_ARG(in));
        y->failures++;
    }
}

static inline void row_test(struct yard *y)
{
    struct addr silent;

    if (playing->silent != NULL && addr_parse_ip(str_of(playing->silent), &silent)) {
        sim_net_rule(y->world,
                     &(struct sim_net_rule){.to = {.net = silent, .bits = 32}, .way = NET_SILENT});
    }
    yard_send(y, "a@b.example", playing->to ? playing->to : "u@far.example");
    yard_wait(y, playing->wait_ms ? playing->wait_ms : 40000);
    for (size_t i = 0; i < y->host_count; i++) {
        YARD_CHECK(y, y->hosts[i].contents == playing->contents[i]);
    }
    for (size_t i = 0; i < TEXTS; i++) {
        expect_text(y, sim_log(y->world), playing->log[i], true);
        expect_text(y, sim_log(y->world), playing->not_log[i], false);
        if (y->host_count > 0) {
            expect_text(y, buf_str(&y->hosts[0].content), playing->content0[i], true);
        }
    }
    if (playing->heard0 != NULL) {
        expect_text(y, buf_str(&y->hosts[0].heard), playing->heard0, true);
    }
}

static inline void play(struct row *row, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct yard y = {.config = row[i].config,
                         .names = row[i].names,
                         .hosts = row[i].hosts,
                         .test = row_test};

        print_message("  %s\n", row[i].name);
        while (y.host_count < HOSTS && row[i].hosts[y.host_count].ip != NULL) {
            y.host_count++;
        }
        playing = &row[i];
        yard_run(&y);
    }
}
