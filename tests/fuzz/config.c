/* Any bytes as a configuration: an answer, and everything given back. */
#include "../unit/config/tables.h"
#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__asan_default_options(void);
const char *__lsan_default_suppressions(void);

/* libfyaml 0.7 loses the pieces of a scalar that it puts together in more than a few, 512 bytes a
 * time; a configuration is read at the start and at a reload, so nothing grows from it. That one
 * function is left out by its name, which takes whole stacks: what we do not give back ourselves is
 * still found. */
const char *__asan_default_options(void)
{
    return "fast_unwind_on_malloc=0";
}

const char *__lsan_default_suppressions(void)
{
    return "leak:fy_atom_format_text";
}

static struct err no_files(void *arg, struct str path, struct arena *a, struct str *ret)
{
    (void)arg, (void)path, (void)a, (void)ret;
    return err_of(ERR_NOT_FOUND);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_options o = {
        .tables = yard_tables, .table_count = COUNT_OF(yard_tables), .read = no_files};
    struct faults faults = {0};
    struct buf out BUF_LOCAL = {0};
    struct config *cfg = config_parse(&o, STR("fuzz"), str_make((const char *)data, size), &faults);

    must((cfg == NULL) == (faults.errors > 0));
    faults_print(&faults, &out);
    config_give(cfg);
    faults_done(&faults);
    return 0;
}
