/*
 * interfaces: the addresses of this machine, as they are now; port 0. Empty when the system does
 * not tell. Never waits.
 */
#pragma once

#include "base/addr.h"
#include "base/arena.h"

size_t interfaces_list(struct arena *a, struct addr **ret);
