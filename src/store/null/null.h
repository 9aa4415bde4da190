/* store/null/null.h: `null:` takes everything and stores nothing: what reading, packing and
 * digesting cost by themselves. */
#pragma once

#include "store/store.h"

extern const struct store_driver null_driver;
