"""A store that fails, hangs, lies or loses its answers: fault:RULES+LOCATION (src/store/fault/fault.h)."""
import os
import signal
import time

from harness import case, check, equal, keys, main, make_tree, random_of, same_trees, scan, set_age, temporaries, \
    write

FAULTS = {"LADE_FAULTS": "1"}
FILES = {f"d{number % 5}/f{number:02}": b"%d" % number * 50 for number in range(40)}
LARGE = 150 << 20


def faulty(it, rules, store="store"):
    write(it / "rules", rules.encode())
    return f"fault:{it / 'rules'}+{it / store}"


def source(it, large=False):
    make_tree(it / "src", FILES)
    if large:
        with open(it / "src/large", "wb") as file:
            for at in range(0, LARGE, 10 << 20):
                file.seek(at)
                file.write(os.urandom(1 << 18))
            file.truncate(LARGE)
    set_age(it / "src")


def put(it, rules, *options, **more):
    return it.lade("put", *options, "src", faulty(it, rules), env=FAULTS, **more)


def stored(it):
    source(it)
    it.lade("put", "src", "file:store")


@case
def the_fault_store_is_there_for_tests_only(it):
    source(it)
    it.lade("put", "src", faulty(it, ""), status=2).has("fault:")


@case
def without_rules_it_is_the_store_behind_it(it):
    source(it, large=True)
    put(it, "# nothing\n")
    same_trees(it / "store", it / "src")


@case
def what_fails_for_a_moment_is_tried_again(it):
    source(it)
    for kind in ("net", "busy", "server"):
        done = put(it, f"put key=d0/f00 times=2 fail={kind}\nput key=d1/f01 times=1 fail={kind}\n", "--json",
                   "--job", f"job-{kind}", "--checksum")
        equal(done.summary()["failed"]["count"], 0)
        same_trees(it / "store", it / "src")
        if kind == "net":
            equal(done.summary()["retries"], 3, "retries")


@case
def after_the_last_try_it_is_named_and_the_rest_goes_on(it):
    source(it)
    done = put(it, "put key=d2/f02 fail=net\n", "--retries", "2", status=1)
    done.has("failed: d2/f02", "a fault was asked for")
    equal(len(keys(it / "store")), len(FILES) - 1, "objects")
    equal(temporaries(it / "store"), [])
    # The same command, when the fault is gone, puts the one that is left.
    put(it, "")
    same_trees(it / "store", it / "src")


@case
def what_cannot_be_helped_is_not_tried_again(it):
    source(it)
    done = put(it, "put key=d2/f02 fail=denied\n", "--json", status=1)
    equal(done.summary()["retries"], 0, "retries")
    items = [event for event in done.events("item") if event["status"] == "failed"]
    equal([(item["name"], item["kind"]) for item in items], [("d2/f02", "denied")])


@case
def retry_after_is_obeyed(it):
    source(it)
    began = time.monotonic()
    put(it, "put key=d0/f00 times=1 fail=busy retry_after=2s\n")
    check(time.monotonic() - began >= 2, "did not wait as long as the store asked")
    same_trees(it / "store", it / "src")


@case
def a_commit_that_fails_for_a_moment_is_tried_again(it):
    source(it)
    put(it, "commit_batch key=d0/f00 times=1 fail=busy\ncommit_batch key=d3/f03 times=2 fail=net\n")
    same_trees(it / "store", it / "src")
    equal(temporaries(it / "store"), [])


@case
def a_lost_answer_is_no_loss(it):
    """The call is done and the answer does not come: put, and the commit of a batch."""
    source(it)
    put(it, "put key=d0/f00 times=1 lose\ncommit_batch key=d3/f03 times=1 lose\n")
    same_trees(it / "store", it / "src")
    equal(temporaries(it / "store"), [])


@case
def a_lost_answer_is_no_conflict_with_immutable(it):
    """What lade itself brought in the try before is not somebody else's."""
    source(it, large=True)
    put(it, "commit_batch key=d3/f03 times=1 lose\ncommit_batch key=large times=1 lose\n", "--immutable")
    same_trees(it / "store", it / "src")
    equal(temporaries(it / "store"), [])


@case
def parts_of_a_large_object_are_tried_again(it):
    source(it, large=True)
    put(it, "begin times=1 fail=busy\npart number=2 times=2 fail=net\npart number=3 times=1 lose\n"
        "part number=1 times=1 delay=100ms\n")
    same_trees(it / "store", it / "src")
    equal(temporaries(it / "store"), [])


@case
def a_large_object_whose_commit_is_lost_is_there_at_the_end(it):
    source(it, large=True)
    put(it, "commit times=1 lose\n")
    same_trees(it / "store", it / "src")
    put(it, "commit_batch key=large times=1 lose\n", "--checksum", "--job", "other")
    same_trees(it / "store", it / "src")
    equal(temporaries(it / "store"), [])


@case
def the_answer_of_the_last_commit_of_a_large_object_is_lost(it):
    source(it, large=True)
    put(it, "commit_batch key=large times=1 lose\n")
    same_trees(it / "store", it / "src")
    equal(temporaries(it / "store"), [])


@case
def a_part_that_never_works_is_named_and_leaves_nothing(it):
    source(it, large=True)
    done = put(it, "part number=2 fail=net\n", "--retries", "1", status=1)
    done.has("failed: large", "part 2")
    equal(len(keys(it / "store")), len(FILES), "objects")
    put(it, "")
    same_trees(it / "store", it / "src")
    equal(temporaries(it / "store"), [])


@case
def a_listing_that_fails_ends_the_run_and_nothing_is_lost(it):
    source(it)
    done = put(it, "list fail=denied\n", status=(1, 3))
    done.has("a fault was asked for")
    put(it, "")
    same_trees(it / "store", it / "src")


@case
def a_flipped_bit_on_the_way_is_fetched_again(it):
    stored(it)
    it.lade("get", faulty(it, "get key=d0/f00 times=1 flip=7\n"), "out", env=FAULTS)
    same_trees(it / "out", it / "src")


@case
def a_bit_that_is_always_flipped_is_never_given_out(it):
    stored(it)
    done = it.lade("get", "--retries", "1", faulty(it, "get key=d0/f00 flip=7\n"), "out", env=FAULTS, status=(1, 4))
    done.has("failed: d0/f00", "not what was stored")
    equal(len(keys(it / "out")), len(FILES) - 1, "files")
    equal(temporaries(it / "out"), [])


@case
def a_flipped_bit_in_a_large_object_is_found(it):
    source(it, large=True)
    it.lade("put", "src", "file:store")
    done = it.lade("get", "--retries", "0", faulty(it, f"get key=large flip={100 << 20}\n"), "out", env=FAULTS,
                   status=(1, 4))
    done.has("failed: large")
    check(not (it / "out/large").exists(), "damaged content was given out")
    it.lade("get", faulty(it, ""), "out", env=FAULTS)
    same_trees(it / "out", it / "src")


@case
def a_store_that_tells_a_wrong_size_gives_no_file(it):
    stored(it)
    done = it.lade("get", "--retries", "1", faulty(it, "get key=d0/f00 size\n"), "out", env=FAULTS, status=(1, 4))
    done.has("failed: d0/f00")
    check(not (it / "out/d0/f00").exists(), "a file was made")


@case
def one_that_hangs_does_not_stop_the_others(it):
    source(it)
    process = it.start("put", "--transfers", "4", "src", faulty(it, "put key=d0/f00 hang\n"), env=FAULTS)
    # What shares its batch of the commit is not there yet, what others work on is.
    it.wait_for(lambda: (it / "store/d4").exists(), process)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    it.end(process, status=130, timeout=20)
    put(it, "")
    same_trees(it / "store", it / "src")
    equal(temporaries(it / "store"), [])


@case
def random_faults_never_spoil_anything(it):
    """Each call fails now and then; rerun until all is there: at most a few times, and never wrong content."""
    dice = random_of("random faults", 1)
    source(it, large=True)
    calls = ("put", "commit_batch", "begin", "part", "commit", "clean", "abort", "set_attr")
    actions = ("fail=net", "fail=busy", "fail=server", "lose", "delay=20ms", "fail=denied")
    for number in range(6):
        rules = "".join(f"{dice.choice(calls)} nth={dice.randrange(1, 30)} times={dice.randrange(1, 4)} "
                        f"{dice.choice(actions)}\n" for _ in range(12))
        store = f"store{number}"
        target = faulty(it, rules, store)
        for _ in range(5):
            done = it.lade("put", "--retries", "2", "src", target, env=FAULTS, status=(0, 1, 3))
            for key, content in scan(it / store).items():
                if content.kind == "file" and key in (expected := scan(it / "src")):
                    equal(content.content, expected[key].content, f"content of {key} after\n{rules}")
            if done.status == 0:
                break
        else:
            target = faulty(it, "", store)
            it.lade("put", "src", target, env=FAULTS)
        same_trees(it / store, it / "src", f"store after\n{rules}")
        equal(temporaries(it / store), [], f"temporary names after\n{rules}")


if __name__ == "__main__":
    main()
