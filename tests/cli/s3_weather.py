"""Every fault of tests/servers/flaky against each kind of request that lade makes to a gateway:
tests/servers/with python3 tests/cli/s3_weather.py LADE. Each rule must have hit; what is in the bucket afterwards is read
by lade and by rclone; no unfinished upload may be left. LADE_LONG=1 does each pair of fault and request by itself."""
import functools
import json
import os
import shutil
import subprocess
import time

from harness import LONG, Dir, Failure, Link, at_once, case, check, equal, main, make_tree, random_of, read, same_trees, set_age, write
from s3_gateway import MIB, admin, as_other, ask, at_time, bucket, by_rclone, contents, no_uploads, proxy, rclone, stored_whole, \
    upload_by_hand, uploads

SMALL = [f"f{number}" for number in range(8)]
LARGE = 16 * MIB + 100  # three parts, and `at=50` is in each of them
STALL = ("--stall-timeout", "1")

PUT = {  # the requests of a put, and where a rule finds them
    "list": "method=GET path=list-type",
    "object": "method=PUT path=/f[0-9]$",
    "create": "method=POST path=uploads=",
    "part": "method=PUT path=partNumber",
    "complete": "method=POST path=uploadId",
}
GET = {
    "list": "method=GET path=list-type",
    "head": "method=HEAD path=/(large|l.rclonelink)$",
    "object": "method=GET path=/f[0-7]$",
    "range": "method=GET path=/large$",
}


def source(it, seed=1):
    rng = random_of("s3 weather", seed)
    make_tree(it / "src", {"large": rng.randbytes(LARGE), "sub/l": Link("../f1"), "empty": Dir(),
                           **{name: rng.randbytes(100 + 3000 * number) for number, name in enumerate(SMALL)}})
    set_age(it / "src")


# ---- the table: fault, how a rule goes on, and the requests that it is made for ----

ALL = tuple(PUT)
BODIES = ("object", "part")
XML = ("list", "create", "complete")
PUTS = [  # name, rule, requests, options
    ("err503", "err503 tries=1", ALL, ()),
    ("slowdown", "slowdown tries=1", ALL, ()),
    ("slowdown_retry_after", "slowdown after=1 tries=1", ("object", "part", "complete"), ()),
    ("internal_error", "err status=500 tries=1", ALL, ()),
    ("early", "err early tries=1", ALL, ()),
    ("error200", "error200 tries=1", ALL, ()),
    ("refuse", "refuse tries=1", ALL, ()),
    ("reset", "reset tries=1", ALL, ()),
    ("reset_reply", "reset side=reply tries=1", ALL, ()),
    ("lost", "lost tries=1", ALL, ()),
    ("truncate", "truncate tries=1", ALL, ()),
    ("shorten", "shorten tries=1", XML, ()),
    ("corrupt", "corrupt tries=1", BODIES + ("complete",), ()),
    ("corrupt_end", "corrupt at=-1 tries=1", BODIES, ()),
    ("unreadable", "corrupt side=reply at=0 tries=1", ("create", "complete"), ()),
    ("etag", "etag tries=1", ("part",), ()),
    ("hang", "hang tries=1", ALL, STALL),
    ("hang_in_request", "hang side=request tries=1", BODIES + ("complete",), STALL),
    ("hang_delay", "hang delay=0.3 tries=1", ALL, STALL),
    ("late_first_byte", "slow delay=1 tries=1", ALL, ("--stall-timeout", "2")),
    ("slow", "slow rate=4M", ("part",), ("--stall-timeout", "5")),
    ("late", "late delay=0.5 tries=1", ("list", "object", "part", "complete"), ()),
]
GET_ALL = tuple(GET)
BYTES = ("object", "range")
GETS = [
    ("err503", "err503 tries=1", GET_ALL, ()),
    ("slowdown", "slowdown tries=1", GET_ALL, ()),
    ("slowdown_retry_after", "slowdown after=1 tries=1", BYTES, ()),
    ("internal_error", "err status=500 tries=1", GET_ALL, ()),
    ("error200", "error200 tries=1", ("list", "object", "range"), ()),
    ("refuse", "refuse tries=1", GET_ALL, ()),
    ("reset", "reset tries=1", GET_ALL, ()),
    ("reset_reply", "reset side=reply tries=1", ("list",) + BYTES, ()),
    ("lost", "lost tries=1", GET_ALL, ()),
    ("truncate", "truncate tries=1", GET_ALL, ()),
    ("shorten", "shorten tries=1", ("list",) + BYTES, ()),
    ("corrupt_reply", "corrupt side=reply tries=1", BYTES, ()),
    ("corrupt_reply_end", "corrupt side=reply at=-1 tries=1", BYTES, ()),
    ("etag", "etag tries=1", ("head", "object"), ()),
    ("etag_of_ranges", "etag tries=1", ("range",), ()),
    ("hang", "hang tries=1", GET_ALL, STALL),
    ("hang_in_reply", "hang at=50 tries=1", ("list",) + BYTES, STALL),
    ("hang_delay", "hang delay=0.3 tries=1", GET_ALL, STALL),
    ("late_first_byte", "slow delay=1 tries=1", GET_ALL, ("--stall-timeout", "2")),
    ("slow", "slow rate=4M", ("range",), ("--stall-timeout", "5")),
]


def rules_of(rule, kinds, where):
    fault, _, rest = rule.partition(" ")
    return [f"{fault} {where[kind]} {rest}" for kind in kinds]


def put_survives(it, rules, options):
    source(it)
    there = bucket(it)
    with proxy(it, *rules) as air:
        it.lade("put", *options, "--job", "job", "src", f"{there}/p", env=air.env)
        air.all_hit()
        if rules[0].startswith("late"):  # until what was held back has come
            it.wait_for(lambda: sum("late" in entry for entry in air.log()) >= len(rules), what="the late requests")
    stored_whole(it, f"{there}/p")
    again = it.lade("put", "--job", "job", "--json", "src", f"{there}/p").summary()
    equal(again["done"]["count"], 0, "objects of a second put")


def get_survives(it, rules, options):
    source(it)
    there = bucket(it)
    it.lade("put", "src", f"{there}/p")
    with proxy(it, *rules) as air:
        it.lade("get", *options, f"{there}/p", "back", env=air.env)
        air.all_hit()
    same_trees(contents(it / "back"), contents(it / "src"))


def rows(table, where, function):
    """Each row by itself, or under LADE_LONG each pair of fault and request."""
    for name, rule, kinds, options in table:
        for group in [kinds] + ([(kind,) for kind in kinds] if LONG else []):
            yield (name if group is kinds else f"{name}-{group[0]}",
                   functools.partial(function, rules=rules_of(rule, group, where), options=options))


@case
def put_in_any_weather(it):
    at_once(it, list(rows(PUTS, PUT, put_survives)))


@case
def get_in_any_weather(it):
    at_once(it, list(rows(GETS, GET, get_survives)))


# ---- the requests of the other verbs ----

OTHER = ("err503 tries=1", "slowdown after=1 tries=1", "err early status=500 tries=1", "error200 tries=1", "refuse tries=1",
         "reset tries=1", "lost tries=1", "truncate tries=1", "hang tries=1")


def each_fault(air, where, command):
    """Do it once in each fault; each kind of request must have met it."""
    for rule in OTHER:
        fault, _, rest = rule.partition(" ")
        air.mode(*[f"{fault} {place} {rest}" for place in where if fault not in ("error200", "truncate") or "HEAD" not in place])
        command()
        air.all_hit()


def listing_and_removing(it):
    make_tree(it / "src", {"d/a": b"a", "d/b": b"b", "one": b"1"})
    there = bucket(it)

    def remove():
        rclone(it, "copy", "src", by_rclone(there))
        equal(it.lade("ls", *STALL, there, env=air.env).out, "d/\none\n")
        it.lade("rm", *STALL, f"{there}/one", env=air.env)
        it.lade("rm", *STALL, "-r", f"{there}/d", env=air.env)
        equal(it.lade("ls", "-R", there).out, "")
    with proxy(it) as air:
        each_fault(air, ["method=GET path=list-type", "method=HEAD path=/one$", "method=DELETE path=/one$",
                         "method=POST path=delete"], remove)


def ending_uploads(it):
    there = bucket(it)

    def abort():
        ours = upload_by_hand(it, there, "left")
        it.lade("uploads", *STALL, "--abort", there, env=air.env)
        check(ours not in str(uploads(it, there)), "not aborted")
    with proxy(it) as air:
        each_fault(air, ["method=GET path=uploads=", "method=GET path=uploadId=", "method=DELETE path=uploadId="], abort)


def making_buckets(it):
    there = bucket(it)
    with proxy(it) as air:
        each_fault(air, [f"method=PUT path=^/{there[5:]}/?$"], lambda: it.lade("mb", *STALL, there, env=air.env))


@case
def other_verbs_in_any_weather(it):
    at_once(it, [("rm", listing_and_removing), ("uploads", ending_uploads), ("mb", making_buckets)])


# ---- what does not pass ----

def in_weather(it, *rules, verb="put", status=0, options=("--retries", "1")):
    """A source, a bucket, and a put or get of all that meets the rules."""
    source(it)
    there = bucket(it)
    if verb == "get":
        it.lade("put", "src", f"{there}/p")
    with proxy(it, *rules) as air:
        ends = ("src", f"{there}/p") if verb == "put" else (f"{there}/p", "back")
        done = it.lade(verb, *options, "--job", f"{verb}-job", *ends, env=air.env, status=status)
        air.all_hit()
    return f"{there}/p", done


def all_but(it, there, lost):
    """What the fault did not meet is there, and the next run brings the rest."""
    there_now = set(it.lade("ls", "-R", there).out.split())
    equal(there_now, {"large", "sub/l.rclonelink", "empty/", *SMALL} - set(lost))
    it.lade("put", "--job", "put-job", "src", there)
    stored_whole(it, there)


@case
def one_object_that_is_never_taken_is_named(it):
    there, done = in_weather(it, "err503 path=/f3$", status=1)
    done.has("failed: f3", "503")
    all_but(it, there, ["f3"])


@case
def one_object_that_may_not_be_written_is_named(it):
    there, done = in_weather(it, "err status=403 code=AccessDenied method=PUT path=/f3$", status=1)
    done.has("failed: f3", "AccessDenied")
    all_but(it, there, ["f3"])


@case
def one_object_that_hangs_is_named(it):
    there, done = in_weather(it, "hang side=request path=/f3$", status=1, options=("--retries", "1", *STALL))
    done.has("failed: f3", "stalled")  # whether it is there, nobody knows
    it.lade("put", "--job", "put-job", "--overwrite", "src", there)
    stored_whole(it, there)


@case
def a_part_that_is_never_taken_fails_its_object(it):
    there, done = in_weather(it, "err503 path=partNumber=2", status=1)
    done.has("failed: large", "part 2")
    no_uploads(it, there)
    all_but(it, there, ["large"])


@case
def a_completion_that_is_never_answered_is_settled_by_looking(it):
    there, _ = in_weather(it, "lost method=POST path=uploadId", status=0)
    stored_whole(it, there)


@case
def a_completion_that_comes_too_late_begins_again(it):
    there, _ = in_weather(it, "err status=404 code=NoSuchUpload method=POST path=uploadId nth=1")
    stored_whole(it, there)


@case
def a_begin_that_is_carried_out_late_leaves_no_upload(it):
    """The store hears of it when another one has been begun and its parts are on their way."""
    there, _ = in_weather(it, "late delay=0.5 method=POST path=uploads= tries=1", "slow rate=6M path=partNumber")
    stored_whole(it, there)


@case
def an_upload_that_is_gone_begins_again(it):
    there, _ = in_weather(it, "err status=404 code=NoSuchUpload path=partNumber=2 nth=1")
    stored_whole(it, there)


@case
def what_cannot_be_fetched_is_named(it):
    source(it)
    there = bucket(it)
    it.lade("put", "src", there)
    expected = contents(it / "src")
    for number, (rule, text) in enumerate((
            ("err503 method=GET path=/f3$", "503"), ("corrupt side=reply method=GET path=/f3$", "content"),
            ("truncate method=GET path=/f3$", "f3"), ("err status=403 code=AccessDenied path=/f3$", "AccessDenied"))):
        get = ("get", "--job", f"get{number}", there, f"back{number}")
        with proxy(it, rule) as air:
            it.lade(*get, "--retries", "1", env=air.env, status=(1, 4)).has("failed: f3", text)
            air.all_hit()
        same_trees(contents(it / f"back{number}"), {path: entry for path, entry in expected.items() if path != b"f3"})
        equal(it.lade(*get, "--json").summary()["done"]["count"], 1, "objects of the second get")
        same_trees(contents(it / f"back{number}"), expected)


@case
def a_second_get_fetches_what_changed_and_no_more(it):
    source(it)
    there = bucket(it)
    it.lade("put", "--job", "put-job", "src", there)
    get = ("get", "--json", "--job", "job", there, "back")
    it.lade(*get)
    equal(it.lade(*get).summary()["done"]["count"], 0, "objects of a second get")
    write(it / "src/f3", b"other")
    write(it / "src/f4", bytes(len(read(it / "src/f4"))))
    it.lade("put", "--job", "put-job", "src", there)
    done = it.lade(*get, "--overwrite")
    equal(done.summary()["done"]["count"], 2, "objects of a third get")
    equal(read(it / "back/f3") + read(it / "back/f4"), read(it / "src/f3") + read(it / "src/f4"), "content")
    shutil.rmtree(it / "job")  # without a record, content tells
    equal(it.lade(*get).summary()["done"]["count"], 0, "objects of a get without a record")
    write(it / "back/f5", bytes(len(read(it / "back/f5"))))
    shutil.rmtree(it / "job")
    it.lade(*get, status=1).has("f5", "--overwrite")


def stops_once(it, text, *rules):
    there, done = in_weather(it, *rules, status=3, options=())
    equal(done.err.count(text), 1, f"times that {text} is told")
    no_uploads_of_others = it.lade("put", "--job", "put-job", "src", there)
    check(no_uploads_of_others.status == 0, "does not go on")
    stored_whole(it, there)


@case
def an_expired_token_stops_the_run(it):
    stops_once(it, "ExpiredToken", "err status=400 code=ExpiredToken method=PUT skip=3")


@case
def keys_that_are_refused_in_the_middle_stop_the_run(it):
    stops_once(it, "InvalidAccessKeyId", "err status=403 code=InvalidAccessKeyId method=PUT skip=3")


@case
def a_clock_that_cannot_be_learnt_stops_the_run(it):
    stops_once(it, "RequestTimeTooSkewed", "err status=403 code=RequestTimeTooSkewed method=PUT skip=3")


@case
def a_store_that_is_away_stops_the_run(it):
    source(it)
    there = bucket(it)
    with proxy(it, "refuse") as air:
        done = it.lade("put", "--job", "put-job", "src", there, env=air.env, status=3)
        equal(len(done.err.splitlines()), 1, "lines")
        air.all_hit()
    it.lade("put", "--job", "put-job", "src", there)
    stored_whole(it, there)


@case
def a_wrong_etag_is_a_conflict_later_and_never_a_loss(it):
    there, _ = in_weather(it, "etag method=PUT path=/f[0-9]$")
    stored_whole(it, there)
    done = it.lade("put", "--job", "put-job", "src", there, status=1)
    done.has("was changed at the destination")
    it.lade("put", "--job", "put-job", "--overwrite", "src", there)
    stored_whole(it, there)


@case
def an_old_put_that_arrives_late_is_noticed(it):
    make_tree(it / "src", {"f": b"old"})
    set_age(it / "src")
    there = bucket(it)
    with proxy(it, "late delay=1.5 method=PUT path=/f$ nth=1") as air:
        it.lade("put", "src", there, env=air.env)
        write(it / "src/f", b"new")
        set_age(it / "src", 50)
        it.lade("put", "src", there, env=air.env)
        it.lade("check", "src", there, env=air.env)
        it.wait_for(lambda: any("late" in entry for entry in air.log()), what="the late request")
        air.all_hit()
    it.wait_for(lambda: rclone(it, "cat", by_rclone(f"{there}/f")) == b"old", what="the old bytes")
    it.lade("check", "src", there, status=(1, 4)).has("f")
    it.lade("put", "--overwrite", "src", there)
    equal(rclone(it, "cat", by_rclone(f"{there}/f")), b"new")


# ---- every place where a transfer can break ----

def broken_at(it, fault, command, look):
    """The command again and again, each time with another request that breaks, until it makes no more."""
    nth = 0
    with proxy(it) as air:
        while True:
            nth += 1
            air.mode(f"{fault} nth={nth}")
            it.lade(*command(nth), "--job", f"job{nth}", "--transfers", "2", env=air.env)
            look(nth)
            if air.status()["rules"][0]["hits"] == 0:
                break
    check(nth > 8, f"only {nth} requests")


def small_job(it):
    make_tree(it / "src", {"a": b"a" * 50, "b": b"", "l": Link("a"), "large": random_of("s3 nth", 1).randbytes(LARGE)})
    set_age(it / "src")
    return bucket(it)


def break_puts(it, fault):
    there = small_job(it)
    broken_at(it, fault, lambda nth: ("put", "src", f"{there}/{nth}"),
              lambda nth: it.lade("check", "--deep", "--download", "src", f"{there}/{nth}"))
    no_uploads(it, there)


def break_gets(it, fault):
    there = small_job(it)
    it.lade("put", "src", there)
    broken_at(it, fault, lambda nth: ("get", there, f"back{nth}"),
              lambda nth: same_trees(contents(it / f"back{nth}"), contents(it / "src")))


@case
def each_request_of_a_job_breaks_once(it):
    at_once(it, [(f"put-{fault}", functools.partial(break_puts, fault=fault)) for fault in ("refuse", "reset", "lost")] +
            [(f"get-{fault}", functools.partial(break_gets, fault=fault)) for fault in ("refuse", "lost", "truncate")])


# ---- how many are in flight ----

def in_flight(air, begin, end):
    """Of puts, on average between two moments of the proxy's clock."""
    busy = [max(0, min(entry["t"] + entry["s"], end) - max(entry["t"], begin)) for entry in air.requests("PUT")
            if entry["status"] != 503]
    return sum(busy) / (end - begin)


def now_of(air):
    return max((entry["t"] + entry["s"] for entry in air.requests()), default=0.0)


def wait_for_flight(air, condition, seconds, what):
    """Until it holds over a second; gives that number."""
    limit = time.monotonic() + seconds
    while True:
        time.sleep(0.3)
        now = now_of(air) - 0.3  # what began since then may not be in the log yet
        number = in_flight(air, now - 1, now)
        if condition(number):
            return number
        check(time.monotonic() < limit, f"{what}: {number:.1f} in flight after {seconds} s")


@case
def fewer_are_sent_to_a_store_that_asks_for_less(it):
    make_tree(it / "src", {f"d{number // 500}/f{number}": b"x" for number in range(12000)})
    set_age(it / "src")
    there = bucket(it)
    slow = "slow delay=0.2 method=PUT"
    with proxy(it, slow) as air:
        process = it.start("put", "--retries", "100", "src", there, env=air.env)
        before = wait_for_flight(air, lambda number: number > 24, 20, "at first")
        air.mode("slowdown p=50 method=PUT", slow)
        during = wait_for_flight(air, lambda number: number <= before / 2, 5, "asked for less")
        check(air.status()["rules"][0]["hits"] > 0, "nobody was asked for less")
        air.mode(slow)
        after = wait_for_flight(air, lambda number: number >= 0.9 * before, 30, "after the fault")
        print(f"# in flight: {before:.1f}, {during:.1f}, {after:.1f}")
        check(process.poll() is None, "the put was over before the end of the test")
        process.kill()
        it.end(process, None)


# ---- the clock ----

@case
def a_clock_that_is_wrong_is_told_and_worked_around(it):
    source(it)
    there = bucket(it)
    for number, by in enumerate(("+20m", "-20m")):
        clock = at_time(it, by)
        done = it.lade("put", "--job", f"job{number}", "src", f"{there}/{number}", **clock)
        equal(done.err.count("this machine's clock"), 1, "times that the clock is told")
        stored_whole(it, f"{there}/{number}")
        done = it.lade("get", "--job", f"get{number}", f"{there}/{number}", f"back{number}", **clock)
        equal(done.err.count("this machine's clock"), 1, "times that the clock is told")
        same_trees(contents(it / f"back{number}"), contents(it / "src"))


# ---- rights and limits ----

@case
def wrong_keys_are_told_once(it):
    source(it)
    there = bucket(it)
    for env, text in (({"AWS_SECRET_ACCESS_KEY": "wrong"}, "SignatureDoesNotMatch"),
                      ({"AWS_ACCESS_KEY_ID": "nobody"}, "InvalidAccessKeyId")):
        done = it.lade("put", "--job", text, "src", there, env=env, status=3)
        equal(done.err.count(text), 1, f"times that {text} is told")
        check("wrong" not in done.err, "the secret is told", done)


@case
def a_bucket_of_someone_else_is_told_once(it):
    source(it)
    there = bucket(it)
    done = it.lade("put", "src", there, env=as_other(it), status=3)
    equal(done.err.count("AccessDenied"), 1, "times that it is told")


@case
def who_may_only_list_stores_nothing(it):
    source(it)
    there = bucket(it)
    policy = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/other"]}, "Action": ["s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::{there[5:]}"]}]}
    ask(it, "PUT", f"/{there[5:]}", "policy=", json.dumps(policy).encode())
    done = it.lade("put", "src", there, env=as_other(it), status=1)
    for name in SMALL + ["large"]:
        done.has(f"failed: {name}")
    equal(it.lade("ls", "-R", there).out, "")
    no_uploads(it, there)


@case
def a_quota_names_what_did_not_fit(it):
    source(it)
    there = bucket(it)
    quota = ("--quota-scope=bucket", f"--bucket={there[5:]}")
    admin(it, "quota", "set", *quota, "--max-objects=5")
    admin(it, "quota", "enable", *quota)
    done = it.lade("put", "--transfers", "1", "--job", "job", "src", there, status=1).has("QuotaExceeded")
    names = it.lade("ls", "-R", there).out.split()
    equal(len(names), 5, "objects")
    for name in set(SMALL) - set(names):
        done.has(f"failed: {name}")
    no_uploads(it, there)
    admin(it, "quota", "disable", *quota)
    it.lade("put", "--job", "job", "src", there)
    stored_whole(it, there)


def lose_bucket(it, rule):
    source(it)
    there = bucket(it)
    gone = f"radosgw-admin -c {it.env['RGW_CEPH_CONF']} bucket rm --bucket={there[5:]} --purge-objects"
    with proxy(it, f'ok {rule} cmd="{gone}"') as air:
        done = it.lade("put", "--transfers", "2", "--job", "job", "src", there, env=air.env, status=3)
        air.all_hit()
    equal(done.err.count("there is no bucket"), 1, "times that it is told")
    done.has("lade mb")
    bucket(it)
    it.lade("put", "--job", "job", "src", there)  # what went with the bucket was journalled as done
    it.lade("put", "--job", "job", "src", there)
    stored_whole(it, there)


@case
def a_bucket_that_goes_away_in_the_middle_stops_the_run_once(it):
    at_once(it, [("object", functools.partial(lose_bucket, rule="method=PUT path=/f[0-9]$ nth=4")),
                 ("part", functools.partial(lose_bucket, rule="path=partNumber nth=2"))])


# ---- what moves ----

@case
def an_object_that_changes_in_the_middle_of_a_get_is_fetched_again(it):
    source(it)
    there = bucket(it)
    it.lade("put", "src", f"{there}/p")
    write(it / "new", random_of("s3 other", 2).randbytes(LARGE))
    env = "RCLONE_CONFIG_G_TYPE=s3 RCLONE_CONFIG_G_PROVIDER=Ceph RCLONE_CONFIG_G_ENV_AUTH=true " \
          f"RCLONE_CONFIG_G_ENDPOINT={it.env['AWS_ENDPOINT_URL']} HOME={it.path}"
    change = f"{env} rclone copyto {it / 'new'} {by_rclone(f'{there}/p/large')}"
    with proxy(it, f"ok method=GET path=/large$ nth=2 cmd='{change}'") as air:
        it.lade("get", "--transfers", "1", f"{there}/p", "back", env=air.env)
        air.all_hit()
        check(any(entry["status"] == 412 for entry in air.requests("GET", "/large")), "it did not change in the middle")
    equal(read(it / "back/large"), read(it / "new"), "content")


if __name__ == "__main__":
    if "LADE_TEST_S3" not in os.environ:
        raise Failure("run it by tests/servers/with")
    main()
