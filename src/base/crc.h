/*
 * crc: CRC-32C (Castagnoli, RFC 3720 appendix B.4), by instruction where the processor has one.
 *
 * crc32c(crc32c(0, a), b) is the checksum of a followed by b.
 */
#pragma once

#include "base/str.h"

#include <stdint.h>

uint32_t crc32c(uint32_t before, struct str bytes);
