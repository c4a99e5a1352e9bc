/* Documents of discovery and registration: what is read may be relied on. */
#include "base/check.h"
#include "hooks/registry_doc.h"
#include "http/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const struct str offered[] = {STR_INIT("/stage"), STR_INIT("/action"), STR_INIT("/envelope"),
                                     STR_INIT("/rawMessage")};
static const struct str url = STR_INIT("https://scan.example.net/v1/reg");

static void check_near(struct str text, struct arena *a)
{
    struct buf why BUF_LOCAL = {0};
    struct fetch_target base, t;

    must(fetch_target_parse(url, a, &base, &why).code == OK);
    must(fetch_target_parse(text, a, &t, &why).code == OK);
    must(fetch_target_is_near(&base, &t));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0}, out BUF_LOCAL = {0};
    struct registry_offer offer = {
        .name = STR("mx"),
        .version = STR("1"),
        .stages = 1u << HOOK_DATA | 1u << HOOK_DELIVERY,
        .properties = {{offered, COUNT_OF(offered)}, {offered, COUNT_OF(offered)}}};
    struct registry_discovery found;
    struct registry_grant grant;
    enum registry_status status;
    struct date expires;
    struct str type, body;

    if (len == 0) {
        return 0;
    }
    type = bytes[0] & 1 ? STR("application/cbor") : STR("application/json");
    body = (struct str){(const char *)bytes + 1, len - 1};
    offer.needs_all_stages = bytes[0] & 2;
    if (registry_read_discovery(type, body, url, &a, &found, &why).code == OK) {
        check_near(found.registration, &a);
        if (registry_narrow(&found, &offer, &a, &why).code == OK) {
            must(offer.stages != 0);
            registry_write_offer(&offer, &a, &out);
        }
    }
    if (registry_read_grant(201, type, body, &offer, url, (struct date){1}, &a, &grant, &why)
            .code == OK) {
        must(registry_id_is_good(grant.id));
        must(grant.stages != 0);
        must((grant.stages & ~offer.stages) == 0);
        must(grant.expires.ms == 0 || grant.expires.ms > 1);
        check_near(grant.hook, &a);
    }
    (void)registry_read_status(type, body, STR("r"), &a, &status, &expires, &why);
    must(registry_error_code(type, body, &a).len <= 64);
    return 0;
}
