/*
 * version: which Postyard this is; the build tells (src/base/meson.build).
 */
#pragma once

#ifndef POSTYARD_VERSION
#error "the build must define POSTYARD_VERSION"
#endif
