#include "dns/dns.h"
#include "hooks/milter.h"

/* HOST:PORT, the host perhaps in brackets. */
static bool host_parse(struct str text, struct milter_address *ret, const char **why)
{
    size_t colon = str_rfind(text, ':');
    struct addr ip;
    uint64_t port;

    if (colon == STR_NONE || !str_to_u64(str_skip(text, colon + 1), &port) || port < 1 ||
        port > 65535) {
        *why = str_find(text, '@') != STR_NONE ? "write HOST:PORT, not PORT@HOST"
                                               : "a port from 1 to 65535 is missing at its end";
        return false;
    }
    ret->host = str_head(text, colon);
    ret->port = (uint16_t)port;
    if (ret->host.len > 2 && ret->host.ptr[0] == '[' && str_ends(ret->host, STR("]"))) {
        ret->host = str_head(str_skip(ret->host, 1), ret->host.len - 2);
        if (!addr_parse_ip(ret->host, &ip)) {
            *why = "brackets are for IP addresses";
            return false;
        }
    }
    if (!addr_parse_ip(ret->host, &ip) && !dns_name_is_valid(ret->host)) {
        *why = "its host is neither a name nor an address";
        return false;
    }
    return true;
}

bool milter_address_parse(struct str text, struct milter_address *ret, const char **why)
{
    struct milter_address a = {.path = STR_EMPTY, .host = STR_EMPTY};
    struct str kind;

    *why = "it begins with inet:, inet6: or unix:";
    if (!str_cut(&text, ':', &kind)) {
        return false;
    }
    if (str_eq(kind, STR("unix")) || str_eq(kind, STR("local"))) {
        if (text.len == 0 || text.ptr[0] != '/') {
            *why = "the path of its socket begins with /";
            return false;
        }
        a.path = text;
    } else if (str_eq(kind, STR("inet")) || str_eq(kind, STR("inet6"))) {
        a.is_ipv6 = str_eq(kind, STR("inet6"));
        if (!host_parse(text, &a, why)) {
            return false;
        }
    } else {
        return false;
    }
    *ret = a;
    return true;
}

void milter_make(const struct milter_settings *settings, struct milter *ret)
{
    const char *why;

    *ret = (struct milter){.settings = settings};
    (void)milter_address_parse(settings->address, &ret->address, &why);
}
