#include "admin/settings.h"
#include "base/check.h"
#include "cli/command.h"
#include "dns/settings.h"
#include "hooks/milter_settings.h"
#include "hooks/settings.h"
#include "inbound/settings.h"
#include "lookup/settings.h"
#include "queue/settings.h"
#include "store/settings.h"
#include "strategy/settings.h"

static const struct setting_table *const tables[] = {
    &server_table,     &listeners_table,       &admin_table,   &log_table,        &resolver_table,
    &virtual_table,    &schedule_table,        &route_table,   &connection_table, &source_ip_table,
    &tls_table,        &strategy_table,        &limiter_table, &store_table,      &lookup_table,
    &quarantine_table, &visitor_limiter_table, &milters_table, &hooks_table,      &quota_table,
    &meta_table,
};

const struct setting_table *const *cli_tables(size_t *count)
{
    *count = COUNT_OF(tables);
    return tables;
}
