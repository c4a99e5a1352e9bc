#include "queue/select.h"

#include "mail/envelope.h"
#include "queue/where.h"

struct err select_compile(struct selection *s, struct buf *why)
{
    return s->text.len > 0 ? where_compile(s->text, &s->where, why) : ERR_OK;
}

bool select_site(struct str wanted, struct str site)
{
    size_t blank = str_find(site, ' ');

    return str_eq_nocase(wanted, site) ||
           (blank != STR_NONE && str_eq_nocase(wanted, str_skip(site, blank + 1)));
}

bool select_address(struct str wanted, struct str address)
{
    if (str_eq(wanted, STR("<>"))) {
        return address.len == 0;
    }
    if (str_starts(wanted, STR("@"))) {
        return str_eq_nocase(str_skip(wanted, 1), address_domain(address));
    }
    return str_eq_nocase(wanted, address);
}

bool select_match(const struct selection *s, const struct message *m, const struct recipient *r,
                  struct date now, struct arena *a, const char **failed)
{
    const struct rcpt_state *state = &r->state;

    return (s->queue.len == 0 || str_eq(s->queue, state->queue)) &&
           (s->site.len == 0 || select_site(s->site, state->site)) &&
           (s->sender.len == 0 || select_address(s->sender, m->sender)) &&
           (s->rcpt.len == 0 || select_address(s->rcpt, r->address)) &&
           (!s->held || state->held_since.ms > 0) &&
           (s->where == NULL || where_match(s->where, m, r, now, a, failed));
}

void select_done(struct selection *s)
{
    where_free(s->where);
    s->where = NULL;
}
