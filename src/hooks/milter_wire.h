/*
 * milter_wire: the packets of the milter protocol as pure functions: commands are encoded, replies
 * decoded.
 *
 * Source    Sendmail's milter protocol, version 6 (and 2), as mfdef.h and mfapi.h of libmilter name
 *           it: four bytes of length, a letter, data. Numbers are in network order, texts end in
 *           NUL.
 * Owns      Nothing. What is decoded are views into the packet; symbol lists are copied to the
 *           arena.
 * Limits    MILTER_PACKET_BYTES_MAX a packet that is decoded: the largest any version knows. Who
 *           encodes keeps to milter_terms.data_bytes_max.
 * Errors    ERR_PROTOCOL, *why a literal for the log. *ret is written only on success.
 *
 * A NUL inside of a text would end it early for the filter, so it becomes '?'.
 */
#pragma once

#include "hooks/model.h"

enum {
    MILTER_VERSION = 6,
    MILTER_VERSION_MIN = 2,
    MILTER_HEAD_BYTES = 4,
    MILTER_DATA_BYTES = 65535, /* of a packet, unless more was agreed on */
    MILTER_PACKET_BYTES_MAX = 1024 * 1024
};

enum milter_command {
    MILTER_ABORT = 'A',
    MILTER_BODY = 'B',
    MILTER_CONNECT = 'C',
    MILTER_MACRO = 'D',
    MILTER_END = 'E', /* of the message */
    MILTER_HELO = 'H',
    MILTER_QUIT_NEXT = 'K', /* the connection stays for another session */
    MILTER_HEADER = 'L',
    MILTER_MAIL = 'M',
    MILTER_HEADER_END = 'N',
    MILTER_NEGOTIATE = 'O',
    MILTER_QUIT = 'Q',
    MILTER_RCPT = 'R',
    MILTER_DATA = 'T',
    MILTER_UNKNOWN = 'U'
};

enum milter_word {
    MILTER_ADD_RCPT = '+',
    MILTER_DELETE_RCPT = '-',
    MILTER_ADD_RCPT_PARAMS = '2',
    MILTER_SHUTDOWN = '4',
    MILTER_TERMS = 'O',
    MILTER_ACCEPT = 'a',
    MILTER_REPLACE_BODY = 'b',
    MILTER_CONTINUE = 'c',
    MILTER_DISCARD = 'd',
    MILTER_CHANGE_SENDER = 'e',
    MILTER_FAIL_CONNECTION = 'f',
    MILTER_ADD_HEADER = 'h',
    MILTER_INSERT_HEADER = 'i',
    MILTER_CHANGE_HEADER = 'm',
    MILTER_PROGRESS = 'p',
    MILTER_QUARANTINE = 'q',
    MILTER_REJECT = 'r',
    MILTER_SKIP = 's',
    MILTER_TEMPFAIL = 't',
    MILTER_REPLY = 'y'
};

/* What a filter may change (SMFIF_…). */
enum milter_right {
    MILTER_MAY_ADD_HEADERS = 0x1,
    MILTER_MAY_CHANGE_BODY = 0x2,
    MILTER_MAY_ADD_RCPT = 0x4,
    MILTER_MAY_DELETE_RCPT = 0x8,
    MILTER_MAY_CHANGE_HEADERS = 0x10,
    MILTER_MAY_QUARANTINE = 0x20,
    MILTER_MAY_CHANGE_SENDER = 0x40,
    MILTER_MAY_ADD_RCPT_PARAMS = 0x80,
    MILTER_MAY_SET_SYMBOLS = 0x100,
    MILTER_RIGHTS = 0x1ff,
    MILTER_RIGHTS_2 = 0x3f /* of version 2 */
};

/* What is not sent, and what is not answered (SMFIP_…). */
enum milter_step {
    MILTER_NO_CONNECT = 0x1,
    MILTER_NO_HELO = 0x2,
    MILTER_NO_MAIL = 0x4,
    MILTER_NO_RCPT = 0x8,
    MILTER_NO_BODY = 0x10,
    MILTER_NO_HEADERS = 0x20,
    MILTER_NO_HEADER_END = 0x40,
    MILTER_SILENT_HEADER = 0x80,
    MILTER_NO_UNKNOWN = 0x100,
    MILTER_NO_DATA = 0x200,
    MILTER_CAN_SKIP = 0x400,
    MILTER_REJECTED_RCPT = 0x800, /* it wants to see those we refuse */
    MILTER_SILENT_CONNECT = 0x1000,
    MILTER_SILENT_HELO = 0x2000,
    MILTER_SILENT_MAIL = 0x4000,
    MILTER_SILENT_RCPT = 0x8000,
    MILTER_SILENT_DATA = 0x10000,
    MILTER_SILENT_UNKNOWN = 0x20000,
    MILTER_SILENT_HEADER_END = 0x40000,
    MILTER_SILENT_BODY = 0x80000,
    MILTER_LEADING_SPACE = 0x100000, /* values with the blank behind the colon, both ways */
    MILTER_DATA_256K = 0x10000000,
    MILTER_DATA_1M = 0x20000000,
    MILTER_STEPS = 0x301fffff,
    MILTER_STEPS_2 = 0x7f
};

/* Where macros are sent, as symbol lists count (SMFIM_…). */
enum milter_place {
    MILTER_AT_CONNECT,
    MILTER_AT_HELO,
    MILTER_AT_MAIL,
    MILTER_AT_RCPT,
    MILTER_AT_DATA,
    MILTER_AT_END,
    MILTER_AT_HEADER_END,
    MILTER_PLACES
};

struct milter_terms {
    uint32_t version, rights, steps;
    uint32_t data_bytes_max;
    struct str symbols[MILTER_PLACES]; /* names apart by blanks or commas */
    unsigned has_symbols;              /* bits 1 << milter_place */
};

/* What we offer in this version. */
struct milter_terms milter_offer(uint32_t version);

struct milter_macro {
    struct str name, value; /* "i", "{client_addr}" */
};

/* Appends one packet each. */
void milter_put_offer(struct buf *out, const struct milter_terms *offer);
/* Nothing when there are none. */
void milter_put_macros(struct buf *out, enum milter_command before,
                       const struct milter_macro *macros, size_t count);
void milter_put_connect(struct buf *out, struct str host, const struct addr *from);
/* HELO, MAIL, RCPT, HEADER, UNKNOWN: one text or several. */
void milter_put_texts(struct buf *out, enum milter_command command, const struct str *texts,
                      size_t count);
/* DATA, HEADER_END, END, ABORT, QUIT, QUIT_NEXT. */
void milter_put_bare(struct buf *out, enum milter_command command);
/* The head of a BODY packet whose `bytes` follow. */
void milter_put_body_head(struct buf *out, uint32_t bytes);

/* How many bytes follow the head, the letter among them; false: no packet may have that size. */
bool milter_packet_bytes(const char head[MILTER_HEAD_BYTES], uint32_t *ret);

/* What a reply brings; which of these depends on the word. */
struct milter_reply {
    enum milter_word word;
    uint32_t index;   /* of a field */
    struct str name;  /* of a field; an address with or without brackets */
    struct str value; /* of a field; parameters; text of a reply, reason, piece of a body */
};

/* `packet`: the letter and what follows. */
struct err milter_decode(struct str packet, struct milter_reply *ret, const char **why);
/* The answer to milter_put_offer. */
struct err milter_decode_terms(struct str packet, const struct milter_terms *offer, struct arena *a,
                               struct milter_terms *ret, const char **why);
/* The text of MILTER_REPLY: a code of 4xx or 5xx, the same on all lines; ret->text is one line. */
struct err milter_decode_reply(struct str text, struct arena *a, struct hook_reply *ret,
                               const char **why);

/* "skip"; for the log. "?" for none of ours. */
const char *milter_word_name(enum milter_word word);
/* May only come at the end of the message; *right is what it takes. */
bool milter_word_is_edit(enum milter_word word, enum milter_right *right);
