/* tests/fuzz/fuzz.h: what a fuzz target defines: take any bytes, never crash, abort on a broken
 * promise. Each fuzz_X.c is built twice: with replay.c as a unit test, and with -Dfuzz=true for
 * libFuzzer. */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
