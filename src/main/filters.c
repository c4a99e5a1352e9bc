#include "main/filters.h"

#include "delivery/delivery.h"
#include "hooks/engine.h"
#include "inbound/policy.h"

/* As if the sender had named it, with the sender's rights. */
static bool may_add(void *ctx, bool is_trusted, const struct path *to, struct arena *a,
                    struct str_list *ret, struct str *why)
{
    struct answer answer = {.text = STR_EMPTY};
    bool yes = policy_rcpt(ctx, is_trusted, to, a, ret, &answer);

    *why = yes ? STR_EMPTY : arena_dup(a, answer.text);
    return yes;
}

static void ended(void *policy)
{
    policy_drop(policy);
}

void filters_use(struct delivery *d, struct engine *e, struct policy *p)
{
    struct delivery_filters f = {.engine = e,
                                 .chain = p->chain,
                                 .bounds = {.fields_max = INTAKE_FIELDS_MAX,
                                            .recipients_max = p->settings->recipients_max,
                                            .header_bytes_max = p->settings->header_bytes_max,
                                            .message_bytes_max = p->settings->message_bytes_max},
                                 .may_add = may_add,
                                 .ended = ended,
                                 .ctx = policy_share(p)};

    engine_use(e, p->chain);
    delivery_use_filters(d, &f);
}
