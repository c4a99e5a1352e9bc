/*
 * The tables told to people (Markdown) and to editors (JSON Schema, draft 2020-12).
 */
#include "base/event.h"
#include "config/config.h"
#include "config/value.h"

static bool is_real(const struct setting *row)
{
    return row->type != SETTING_IS_ALIAS && row->type != SETTING_IS_RESERVED;
}

/* A text inside a table of Markdown. */
static void put_cell(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        buf_put(out, s.ptr[i] == '|'    ? STR("\\|")
                     : s.ptr[i] == '\n' ? STR(" ")
                                        : str_make(s.ptr + i, 1));
    }
}

static void manual_type(const struct setting *row, struct buf *out)
{
    buf_put(out, row->is_list ? STR("list; each ") : STR(""));
    if (row->type == SETTING_CHOICE) {
        for (const struct setting_choice *c = row->choices; c->word != NULL; c++) {
            buf_printf(out, "%s`%s`", c == row->choices ? "" : ", ", c->word);
        }
    } else {
        put_cell(out, str_of(value_called(row->type)));
    }
    if (row->unit[0] != '\0') {
        buf_printf(out, " (%s)", row->unit);
    }
    if (value_has_bounds(row)) {
        buf_put(out, STR(", "));
        value_print_bounds(row, out);
    }
}

static void manual_row(const struct setting_table *table, const struct setting *row,
                       struct buf *out)
{
    buf_printf(out, "| `%s` | ", row->key);
    manual_type(row, out);
    buf_put(out, STR(" | "));
    if (row->standard == NULL) {
        buf_put(out, STR("required"));
    } else if (row->standard[0] == '\0') {
        buf_put(out, STR("not set"));
    } else {
        buf_byte(out, '`');
        put_cell(out, str_of(row->standard));
        buf_byte(out, '`');
    }
    buf_printf(out, " | %s | ", row->applies == APPLIES_RESTART ? "restart" : "reload");
    put_cell(out, str_of(row->prose));
    for (size_t i = 0; i < table->row_count; i++) {
        const struct setting *other = &table->rows[i];

        if (other->type == SETTING_IS_ALIAS && strcmp(other->prose, row->key) == 0) {
            buf_printf(out, " Also written `%s`.", other->key);
        }
    }
    buf_put(out, STR(" |\n"));
}

static void manual_table(const struct setting_table *table, struct buf *out)
{
    static const char *const suffix[] = {
        [TABLE_ONE] = "", [TABLE_NAMED] = ".NAME", [TABLE_LIST] = " (a list)"};

    buf_printf(out, "\n## %s%s\n\n%s\n\n", table->key[0] != '\0' ? table->key : "Top level",
               table->is_by_ip ? ".ADDRESS" : suffix[table->kind], table->prose);
    buf_put(out, STR("| key | value | default | takes effect at | meaning |\n"
                     "|---|---|---|---|---|\n"));
    for (size_t i = 0; i < table->row_count; i++) {
        if (is_real(&table->rows[i])) {
            manual_row(table, &table->rows[i], out);
        }
    }
    if (table->builtin != NULL) {
        buf_printf(out, "\nBuilt in, for names that are not declared:\n\n```yaml\n%s%s```\n",
                   table->builtin, str_ends(str_of(table->builtin), STR("\n")) ? "" : "\n");
    }
    for (size_t i = 0; i < table->row_count; i++) {
        if (table->rows[i].type == SETTING_IS_RESERVED) {
            buf_printf(out, "\n`%s` is refused by this version (%s).\n", table->rows[i].key,
                       table->rows[i].prose);
        }
    }
}

void config_manual_of(const struct setting_table *const *tables, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++) {
        manual_table(tables[i], out);
    }
}

void config_manual(const struct setting_table *const *tables, size_t count, struct buf *out)
{
    buf_put(
        out,
        STR("# Configuration reference\n\n"
            "This page is made from the tables that the program itself reads.\n\n"
            "One YAML file, with `include` for more. Dots are nesting: `queue.virtual.fast` is\n"
            "`queue: { virtual: { fast: ... } }`. A duration or a size has a unit. Every\n"
            "expression stands in single quotes. An unknown key is an error.\n"));
    config_manual_of(tables, count, out);
}

/* A node of the schema: a value, or keys that lead further. */
struct node {
    struct str key;
    const struct setting *row;         /* NULL: leads further */
    const struct setting_table *table; /* a table of objects that begins here */
    struct node *first, *next;
};

static struct node *child(struct arena *a, struct node *parent, struct str key)
{
    struct node **at = &parent->first;

    while (*at != NULL) {
        if (str_eq((*at)->key, key)) {
            return *at;
        }
        at = &(*at)->next;
    }
    *at = ARENA_NEW(a, struct node);
    (*at)->key = key;
    return *at;
}

static struct node *descend(struct arena *a, struct node *from, struct str path)
{
    struct str key;

    while (path.len > 0) {
        str_cut(&path, '.', &key);
        from = child(a, from, key);
    }
    return from;
}

/* An alias has the schema of the row it stands for. */
static const struct setting *real_row(const struct setting_table *table, const struct setting *row)
{
    for (size_t i = 0; row->type == SETTING_IS_ALIAS && i < table->row_count; i++) {
        if (strcmp(table->rows[i].key, row->prose) == 0) {
            return &table->rows[i];
        }
    }
    return row;
}

static void add_rows(struct arena *a, struct node *at, const struct setting_table *table)
{
    for (size_t i = 0; i < table->row_count; i++) {
        const struct setting *row = &table->rows[i];

        if (row->type != SETTING_IS_RESERVED) {
            descend(a, at, str_of(row->key))->row = real_row(table, row);
        }
    }
}

static void schema_item(const struct setting *row, struct buf *out)
{
    switch (row->type) {
    case SETTING_BOOL:
        buf_put(out, STR("\"type\":\"boolean\""));
        break;
    case SETTING_U32:
    case SETTING_U64:
    case SETTING_I64:
        buf_put(out, STR("\"type\":\"integer\""));
        if (value_has_bounds(row)) {
            buf_printf(out, ",\"minimum\":%lld", (long long)row->min);
        }
        if (value_has_bounds(row) && !value_is_open(row)) {
            buf_printf(out, ",\"maximum\":%lld", (long long)row->max);
        }
        break;
    case SETTING_DURATION:
        buf_put(out, STR("\"type\":\"string\",\"pattern\":"
                         "\"^([0-9]+ *([wdhmsWDHMS]|[mM][sS]) *)+$\""));
        break;
    case SETTING_SIZE:
        buf_put(out, STR("\"type\":\"string\",\"pattern\":\"^[0-9]+ *([kKmMgGtT][iI]?)?[bB]$\""));
        break;
    case SETTING_RATE:
        buf_put(
            out,
            STR("\"type\":\"string\",\"pattern\":"
                "\"^(none|unlimited|false|[0-9]+ */ *([0-9]+ *([wdhmsWDHMS]|[mM][sS]) *)+)$\""));
        break;
    case SETTING_CHOICE:
        buf_put(out, STR("\"enum\":["));
        for (const struct setting_choice *c = row->choices; c->word != NULL; c++) {
            buf_put(out, c == row->choices ? STR("") : STR(","));
            json_str(out, str_of(c->word));
        }
        buf_byte(out, ']');
        break;
    case SETTING_TARGET:
        buf_put(out, STR("\"$ref\":\"#/$defs/target\""));
        break;
    case SETTING_SECRET:
        buf_put(out, STR("\"$ref\":\"#/$defs/secret\""));
        break;
    case SETTING_RULES:
        buf_put(out, STR("\"$ref\":\"#/$defs/rules\""));
        break;
    case SETTING_EXPRESSION:
    case SETTING_STRING:
    case SETTING_NAME:
    case SETTING_HOSTNAME:
    case SETTING_DOMAIN:
    case SETTING_HOST:
    case SETTING_MAILBOX:
    case SETTING_ADDRESS:
    case SETTING_IP:
    case SETTING_CIDR:
    case SETTING_FILE:
    case SETTING_PATH:
    case SETTING_IS_ALIAS:
    case SETTING_IS_RESERVED:
        buf_put(out, STR("\"type\":\"string\""));
        break;
    }
}

static void schema_row(const struct setting *row, struct buf *out)
{
    buf_put(out, STR("{\"description\":"));
    json_str(out, str_of(row->prose));
    if (row->standard != NULL && row->standard[0] != '\0') {
        buf_put(out, STR(",\"$comment\":"));
        struct buf text BUF_LOCAL = {0};

        buf_printf(&text, "default: %s", row->standard);
        json_str(out, buf_str(&text));
    }
    buf_byte(out, ',');
    if (row->is_list) { /* one item may stand without its list */
        buf_put(out, STR("\"anyOf\":[{"));
        schema_item(row, out);
        buf_put(out, STR("},{\"type\":\"array\",\"items\":{"));
        schema_item(row, out);
        buf_put(out, STR("}}]"));
    } else {
        schema_item(row, out);
    }
    buf_byte(out, '}');
}

static void schema_node(struct arena *a, const struct node *n, struct buf *out);

static void schema_keys(struct arena *a, const struct node *n, struct buf *out)
{
    buf_put(out, STR("\"type\":[\"object\",\"null\"],\"additionalProperties\":false,"
                     "\"properties\":{"));
    for (const struct node *c = n->first; c != NULL; c = c->next) {
        buf_put(out, c == n->first ? STR("") : STR(","));
        json_str(out, c->key);
        buf_byte(out, ':');
        schema_node(a, c, out);
    }
    buf_byte(out, '}');
}

static void schema_objects(struct arena *a, const struct setting_table *table, struct buf *out)
{
    struct node object = {0};

    add_rows(a, &object, table);
    buf_put(out, STR("{\"description\":"));
    json_str(out, str_of(table->prose));
    buf_put(out, table->kind == TABLE_LIST ? STR(",\"type\":[\"array\",\"null\"],\"items\":{")
                 : table->is_by_ip
                     ? STR(",\"type\":[\"object\",\"null\"],\"propertyNames\":{\"pattern\":"
                           "\"^[0-9A-Fa-f:.]{2,45}$\"},\"additionalProperties\":{")
                     : STR(",\"type\":[\"object\",\"null\"],\"propertyNames\":{\"pattern\":"
                           "\"^[A-Za-z0-9._-]{1,32}$\"},\"additionalProperties\":{"));
    if (table->short_row != NULL) { /* its value may stand in place of the object */
        buf_put(out, STR("\"anyOf\":["));
        for (size_t i = 0; i < table->row_count; i++) {
            if (strcmp(table->rows[i].key, table->short_row) == 0) {
                schema_row(&table->rows[i], out);
            }
        }
        buf_put(out, STR(",{"));
    }
    schema_keys(a, &object, out);
    buf_put(out, table->short_row != NULL ? STR("}]}}") : STR("}}"));
}

static void schema_node(struct arena *a, const struct node *n, struct buf *out)
{
    if (n->table != NULL) {
        schema_objects(a, n->table, out);
    } else if (n->row != NULL) {
        schema_row(n->row, out);
    } else {
        buf_byte(out, '{');
        schema_keys(a, n, out);
        buf_byte(out, '}');
    }
}

void config_schema(const struct setting_table *const *tables, size_t count, struct buf *out)
{
    static const char *const head =
        "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
        "\"title\":\"Postyard configuration\",\"$defs\":{"
        "\"secret\":{\"anyOf\":[{\"type\":\"string\"},"
        "{\"type\":\"object\",\"additionalProperties\":false,\"minProperties\":1,"
        "\"maxProperties\":1,\"properties\":{\"file\":{\"type\":\"string\"},"
        "\"env\":{\"type\":\"string\"}}}]},"
        "\"target\":{\"anyOf\":[{\"type\":\"string\"},"
        "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"address\"],"
        "\"properties\":{\"address\":{\"type\":\"string\"},"
        "\"port\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":65535},"
        "\"priority\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":65535},"
        "\"weight\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":65535}}}]},"
        "\"rules\":{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"array\",\"minItems\":1,"
        "\"items\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
        "\"if\":{\"type\":\"string\"},\"use\":{\"type\":\"string\"},"
        "\"then\":{\"type\":\"string\"},\"else\":{\"type\":\"string\"}}}}]}},";
    struct arena a ARENA_LOCAL = {0};
    struct node root = {0};

    descend(&a, &root, STR("include"))->row = &(const struct setting){
        .type = SETTING_PATH,
        .is_list = true,
        .standard = "",
        .prose = "Files whose keys join this one's, relative to it."};
    for (size_t i = 0; i < count; i++) {
        struct node *at = descend(&a, &root, str_of(tables[i]->key));

        if (tables[i]->kind == TABLE_ONE) {
            add_rows(&a, at, tables[i]);
        } else {
            at->table = tables[i];
        }
    }
    buf_put(out, str_of(head));
    schema_keys(&a, &root, out);
    buf_put(out, STR("}\n"));
}
