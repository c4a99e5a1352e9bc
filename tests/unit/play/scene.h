/* scene: scenarios from texts, and plans for them. */
#pragma once

#include "../unit.h"
#include "play/scenario.h"
#include "strategy/settings.h"
#include "strategy/strategy.h"

#include <stdlib.h>
#include <unistd.h>

static inline struct scenario *scene_load(const char *text, struct faults *faults)
{
    char path[] = "/tmp/scenario-XXXXXX";
    int fd = mkstemp(path);
    struct scenario *s;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
    s = scenario_load(str_of(path), faults);
    (void)unlink(path);
    return s;
}

static inline struct scenario *scene_good(const char *text)
{
    struct faults faults = {0};
    struct buf out BUF_LOCAL = {0};
    struct scenario *s = scene_load(text, &faults);

    faults_print(&faults, &out);
    EXPECT_STR(buf_str(&out), "");
    assert_non_null(s);
    faults_done(&faults);
    return s;
}

static inline enum expr_local scene_is_local(void *ctx, struct str group, struct str domain)
{
    (void)ctx, (void)group, (void)domain;
    return EXPR_LOCAL_NO;
}

static inline struct plan *scene_plan(const char *text)
{
    static const struct setting_table *const tables[] = {
        &virtual_table,         &schedule_table, &route_table,    &connection_table,
        &source_ip_table,       &tls_table,      &strategy_table, &limiter_table,
        &visitor_limiter_table, &quota_table,    &meta_table};
    static struct strategy_services services = {.expr = {.is_local_domain = scene_is_local},
                                                .hostname = STR_INIT("mx.here.example")};
    struct config_options o = {.tables = tables, .table_count = sizeof tables / sizeof *tables};
    struct faults faults = {0};
    struct buf out BUF_LOCAL = {0};
    struct config *cfg = config_parse(&o, STR("f"), str_of(text), &faults);
    struct plan *p = cfg == NULL ? NULL : strategy_compile(cfg, &services, &faults);

    if (faults.errors > 0) {
        faults_print(&faults, &out);
    }
    EXPECT_STR(buf_str(&out), "");
    assert_non_null(p);
    config_give(cfg);
    faults_done(&faults);
    return p;
}
