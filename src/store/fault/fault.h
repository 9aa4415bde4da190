/* store/fault/fault.h: a store that misbehaves on purpose, for tests of whole programs. It is there
 * only when the environment has LADE_FAULTS=1, so no user ever meets it.
 *
 * `fault:RULES+LOCATION` forwards every call to LOCATION and does what the file RULES says. A line
 * is a rule; '#' begins a comment:
 *
 *   CALL [key=GLOB] [number=N] [nth=N] [times=N] ACTION...
 *
 *   CALL      head list get put begin part commit abort commit_batch clean set_attr copy remove
 *             probe, or * for each of them. commit_batch and remove are judged item by item.
 *   key=GLOB  only for such keys; * matches '/', too. For list: the prefix.
 *   number=N  only for this part
 *   nth=N     from the Nth call that fits on (the first is 1), and then once unless times says more
 *   times=N   so often; without nth and times: always
 *
 *   delay=50ms     wait first (ms or s)
 *   hang           do not answer until the run is stopped
 *   fail=KIND      answer this error (net busy server denied ...) and do nothing
 *   retry_after=T  with fail: what the store asks for
 *   lose           do the call, then report that the answer did not come (net)
 *   flip=OFFSET    get: flip a bit of this byte of the object
 *   etag, size     report another etag, a size larger by one
 *
 * All rules that fit are obeyed, in the order of this list. Counts are those of one opened store.
 */
#pragma once

#include "store/store.h"

extern const struct store_driver fault_driver;
