/*
 * reference: the page docs/configuration.md, the schema docs/configuration.schema.json and the page
 * docs/scenario.md, made from the real tables.
 *
 *     reference write DOCS   writes the files into the folder
 *     reference check DOCS   fails when a file differs from what would be written, or when a
 *                            default or a built-in object is itself wrong
 */
#include "base/check.h"
#include "cli/command.h"
#include "config/config.h"
#include "play/scenario.h"

#include <stdio.h>

static void write_scenario(const struct setting_table *const *unused, size_t count, struct buf *out)
{
    (void)unused, (void)count;
    scenario_manual(out);
}

typedef void writer(const struct setting_table *const *tables, size_t count, struct buf *out);

static const struct {
    const char *name;
    writer *write;
} pages[] = {
    {"configuration.md", config_manual},
    {"configuration.schema.json", config_schema},
    {"scenario.md", write_scenario},
};

static bool write_page(const char *path, struct str text)
{
    FILE *file = fopen(path, "wb");
    bool ok = file != NULL && fwrite(text.ptr, 1, text.len, file) == text.len;

    if (file != NULL) {
        ok = fclose(file) == 0 && ok;
    }
    if (!ok) {
        perror(path);
    }
    return ok;
}

static bool check_page(const char *path, struct str text)
{
    struct buf old BUF_LOCAL = {0};
    FILE *file = fopen(path, "rb");
    char bytes[1024];
    size_t n;

    while (file != NULL && (n = fread(bytes, 1, sizeof bytes, file)) > 0) {
        buf_put(&old, str_make(bytes, n));
    }
    if (file != NULL) {
        fclose(file);
    }
    if (!str_eq(buf_str(&old), text)) {
        printf("%s is not what the tables say: run `reference write docs`\n", path);
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct faults faults = {0};
    struct buf said BUF_LOCAL = {0};
    bool is_write = argc == 3 && strcmp(argv[1], "write") == 0;
    size_t count;
    const struct setting_table *const *tables = cli_tables(&count);
    bool ok = config_tables_are_sound(tables, count, &faults);

    if (argc != 3 || (!is_write && strcmp(argv[1], "check") != 0)) {
        fprintf(stderr, "usage: reference write|check DOCS\n");
        return 64;
    }
    faults_print(&faults, &said);
    printf("%.*s", STR_ARG(buf_str(&said)));
    faults_done(&faults);
    for (size_t i = 0; i < COUNT_OF(pages); i++) {
        struct buf page BUF_LOCAL = {0};
        char path[1024];

        snprintf(path, sizeof path, "%s/%s", argv[2], pages[i].name);
        pages[i].write(tables, count, &page);
        ok = (is_write ? write_page(path, buf_str(&page)) : check_page(path, buf_str(&page))) && ok;
    }
    return ok ? 0 : 1;
}
