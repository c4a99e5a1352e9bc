/* The configuration and the hosts that most tests of delivery/ share. */
#pragma once

/* Mail to hub.example, and all reports, go to 192.0.2.9; here.example by LMTP to 192.0.2.24; all
 * else by MX. */
#define CONFIG(connection, tls)                                                                    \
    "queue:\n"                                                                                     \
    "  schedule:\n"                                                                                \
    "    remote: { queue-name: remote, retry: [10s, 20s], notify: [15s], expire: 2m }\n"           \
    "    local: { queue-name: local, retry: [10s], expire: 2m }\n"                                 \
    "    dsn: { queue-name: dsn, retry: [10s], expire: 2m }\n"                                     \
    "  route:\n"                                                                                   \
    "    hub: { type: relay, address: 192.0.2.9 }\n"                                               \
    "    named: { type: relay, address: hub.test, port: 2525 }\n"                                  \
    "    local: { type: local, address: 192.0.2.24 }\n"                                            \
    "    mx: { type: mx }\n"                                                                       \
    "  connection:\n"                                                                              \
    "    default: { " connection " }\n"                                                            \
    "  tls:\n"                                                                                     \
    "    default: { " tls " }\n"                                                                   \
    "  strategy:\n"                                                                                \
    "    route:\n"                                                                                 \
    "      - { if: \"is_local_domain('*', rcpt_domain)\", use: local }\n"                          \
    "      - { if: \"rcpt_domain == 'hub.example' || sender == ''\", use: hub }\n"                 \
    "      - { if: \"rcpt_domain == 'named.example'\", use: named }\n"                             \
    "      - { use: mx }\n"

#define PLAIN CONFIG("idle: 5s", "starttls: optional")

#define HUB   "192.0.2.9"
#define ONE   "192.0.2.1"
#define TWO   "192.0.2.2"
#define THREE "192.0.2.3"
