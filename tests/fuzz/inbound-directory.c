/*
 * Files of aliases and of recipients: whatever is in them, there is a directory or there are
 * errors; and a directory answers every question, with addresses that are addresses.
 */
#include "base/check.h"
#include "inbound/directory.h"
#include "mail/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct directory *d, struct str address)
{
    struct arena a ARENA_LOCAL = {0};
    struct str_list list = {0};
    struct path p;

    if (directory_ask(d, address, &a, &list) != DIRECTORY_STANDS) {
        return;
    }
    must(list.count > 0 && list.count <= DIRECTORY_EXPANSION_MAX);
    for (size_t i = 0; i < list.count; i++) {
        must(path_parse_address(list.items[i], true, &a, &p) == REFUSAL_NONE ||
             list.items[i].len > 64);
    }
}

/* The aliases, a NUL, the recipients. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct str domains[] = {STR_INIT("a.example"), STR_INIT("b.example")};
    static const struct server_settings settings = {.local_domains = {domains, 2},
                                                    .postmaster = STR_INIT("p@a.example")};
    struct str recipients = str_make((const char *)data, size), aliases;
    struct directory_text text = {.recipients_given = str_cut(&recipients, '\0', &aliases)};
    struct faults faults = {0};
    struct directory *d;

    text.aliases = aliases;
    text.recipients = recipients;
    d = directory_build(&settings, &text, &faults);
    must((d == NULL) == (faults.errors > 0));
    if (d != NULL) {
        ask(d, STR("postmaster"));
        ask(d, STR("root@b.example"));
        ask(d, STR("a@a.example"));
        ask(d, STR("\"a\"@b.example"));
        ask(d, STR("b@a.example"));
        ask(d, STR("c@far.example"));
    }
    directory_drop(d);
    faults_done(&faults);
    return 0;
}
