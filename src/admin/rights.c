#include "admin/events.h"
#include "admin/part.h"
#include "runtime/log.h"

/* As long for a wrong token as for the right one. */
static bool is_token(struct str given, struct str token)
{
    unsigned char differs = given.len != token.len;

    for (size_t i = 0; i < given.len && i < token.len; i++) {
        differs = (unsigned char)(differs | (given.ptr[i] ^ token.ptr[i]));
    }
    return !differs;
}

static bool has_token(const struct admin_settings *s, struct str authorization)
{
    static const struct str scheme = STR_INIT("Bearer ");

    return s->token.is_given && str_starts_nocase(authorization, scheme) &&
           is_token(str_trim(str_skip(authorization, scheme.len)), s->token.text);
}

/* A page in a browser here may ask under any name it likes (DNS rebinding): without a token only
 * names that are certainly ours are served. */
static bool is_local_name(struct str host)
{
    struct addr ip;
    struct str name = host;

    if (addr_parse(host, &ip) || addr_parse_ip(host, &ip)) {
        return true;
    }
    if (str_starts(host, STR("[")) && str_ends(host, STR("]"))) {
        return addr_parse_ip(str_head(str_skip(host, 1), host.len - 2), &ip);
    }
    (void)str_cut(&host, ':', &name);
    return str_eq_nocase(name, STR("localhost"));
}

bool admin_may(const struct admin_settings *s, enum admin_right right, const struct addr *remote,
               struct str authorization, struct str host, const char **why)
{
    if (remote->family == 0 || has_token(s, authorization)) {
        return true;
    }
    if (authorization.len > 0) {
        *why = "this is not the token (admin.token)";
        return false;
    }
    if (right == ADMIN_CHANGES) {
        *why = s->token.is_given ? "changes over TCP need the token (admin.token)"
                                 : "changes are made through the local socket (admin.socket), or "
                                   "over TCP once there is an admin.token";
        return false;
    }
    if (!addr_is_loopback(remote) || !is_local_name(host)) {
        *why = "without the token (admin.token) only loopback may read, by its address or as "
               "localhost";
        return false;
    }
    return true;
}

struct admin *admin_enter(const struct http_request *r, struct http_answer *answer,
                          enum admin_right right)
{
    struct admin *ad = r->ctx;
    struct str authorization = STR_EMPTY, host = STR_EMPTY;
    const char *why;
    char at[ADDR_BYTES];

    (void)http_header(r, "Authorization", &authorization);
    (void)http_header(r, "Host", &host);
    if (admin_may(&ad->settings, right, &r->remote, authorization, host, &why)) {
        return ad;
    }
    event_raise(&ev_admin_refused, f_remote(addr_print(&r->remote, at)), f_path(r->path));
    http_answer_header(answer, "WWW-Authenticate", "Bearer");
    http_answer_error(answer, 401, str_of(why));
    return NULL;
}
