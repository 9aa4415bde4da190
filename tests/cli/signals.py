"""SIGINT and SIGTERM end a run in under two seconds, and the same command goes on."""
import os
import signal
import time

from harness import case, check, equal, journalled, keys, main, make_tree, same_trees, set_age, stamps, temporaries, write

FAULTS = {"LADE_FAULTS": "1"}
AGAIN = "run the same command to go on"
MOST_S = 2.0


def source(it, size=3000, count=600):
    make_tree(it / "src", {f"d{number % 6}/f{number:04}": os.urandom(size) for number in range(count)})
    set_age(it / "src")


def there(it, name):
    """How many objects are at their places."""
    return sum(1 for key in keys(it / name) if ".lade-" not in key) if (it / name).exists() else 0


def interrupt(it, process, number=signal.SIGINT, status=130):
    began = time.monotonic()
    process.send_signal(number)
    done = it.end(process, status)
    seconds = time.monotonic() - began
    check(seconds < MOST_S, f"took {seconds:.2f} s to end", done)
    return done.has(AGAIN)


@case
def sigint_ends_a_put_and_it_goes_on(it):
    source(it)
    process = it.start("put", "--bwlimit", "300K", "src", "file:store")
    it.wait_for(lambda: there(it, "store") > 20, process)
    interrupt(it, process)
    recorded = journalled(it.job())
    check(recorded > 0, "nothing was journalled")
    before = stamps(it / "store")
    it.lade("put", "src", "file:store")
    same_trees(it / "store", it / "src")
    after = stamps(it / "store")
    kept = sum(1 for rel, stamp in before.items() if after.get(rel) == stamp)
    check(kept >= recorded, f"{recorded} were journalled, and only {kept} left alone")
    equal(temporaries(it / "store"), [])


@case
def sigint_ends_a_get_and_it_goes_on(it):
    source(it)
    it.lade("put", "src", "file:store")
    process = it.start("get", "--bwlimit", "300K", "file:store", "out")
    it.wait_for(lambda: there(it, "out") > 20, process)
    interrupt(it, process)
    it.lade("get", "file:store", "out")
    same_trees(it / "out", it / "src")
    equal(temporaries(it / "out"), [])


@case
def sigterm_ends_with_143_and_sighup_too(it):
    source(it)
    for number in (signal.SIGTERM, signal.SIGHUP):
        process = it.start("put", "--bwlimit", "100K", "src", f"file:store{number}")
        it.wait_for(lambda name=f"store{number}": (it / name).exists() and keys(it / name), process)
        interrupt(it, process, number, 143 if number == signal.SIGTERM else (129, 143))
        it.lade("put", "src", f"file:store{number}")
        same_trees(it / f"store{number}", it / "src")


@case
def sigint_while_the_store_hangs(it):
    source(it)
    write(it / "rules", b"put nth=30 times=1000000 hang\n")
    process = it.start("put", "src", f"fault:{it / 'rules'}+{it / 'store'}", env=FAULTS)
    time.sleep(0.7)
    interrupt(it, process)
    write(it / "rules", b"")
    it.lade("put", "src", f"fault:{it / 'rules'}+{it / 'store'}", env=FAULTS)
    same_trees(it / "store", it / "src")
    equal(temporaries(it / "store"), [])


@case
def sigint_while_the_plan_hangs(it):
    source(it)
    write(it / "rules", b"list hang\n")
    process = it.start("put", "src", f"fault:{it / 'rules'}+{it / 'store'}", env=FAULTS)
    time.sleep(0.4)
    interrupt(it, process)


@case
def sigint_while_it_waits_to_try_again(it):
    source(it, count=10)
    write(it / "rules", b"put fail=busy retry_after=60s\n")
    process = it.start("put", "src", f"fault:{it / 'rules'}+{it / 'store'}", env=FAULTS)
    time.sleep(0.5)
    interrupt(it, process)


@case
def sigint_while_a_large_object_is_on_its_way(it):
    os.mkdir(it / "src")
    with open(it / "src/large", "wb") as file:
        for _ in range(40):
            file.write(os.urandom(4 << 20))
    set_age(it / "src")
    process = it.start("put", "--job", "job", "--transfers", "1", "--bwlimit", "60M", "src", "file:store")
    it.wait_for(lambda: (it / "job").exists() and journalled(it / "job", parts=True) > 0, process)
    interrupt(it, process)
    done = it.lade("put", "--json", "--job", "job", "src", "file:store")
    same_trees(it / "store", it / "src")
    equal(temporaries(it / "store"), [])
    check(done.summary()["moved_bytes"] <= 96 << 20, "finished parts were sent again", done)


@case
def a_second_sigint_ends_at_once(it):
    source(it)
    write(it / "rules", b"put hang\n")
    process = it.start("put", "src", f"fault:{it / 'rules'}+{it / 'store'}", env=FAULTS)
    time.sleep(0.4)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    it.end(process, 130, timeout=MOST_S)


@case
def a_closed_pipe_does_not_stop_a_put(it):
    source(it, count=50)
    readable, writable = os.pipe()
    os.close(readable)
    process = it.start("put", "--json", "src", "file:store", stdout=writable)
    os.close(writable)
    it.end(process, status=(0, 1, 3))
    it.lade("put", "src", "file:store")
    same_trees(it / "store", it / "src")


if __name__ == "__main__":
    main()
