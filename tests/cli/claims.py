"""Several processes on one job: they share its batches, and whatever dies, stops or comes back, all arrives."""
import json
import os
import signal
import time

from harness import case, check, equal, journalled, keys, main, make_tree, random_of, same_trees, set_age, temporaries, \
    write

FAULTS = {"LADE_FAULTS": "1"}
BATCH = 1000  # entries of the first batch; then four times as many each


def source(it, count=6000, size=600):
    """In directories of 500, so that there are several batches."""
    make_tree(it / "src", {f"d{number // 500:03}/f{number:05}": b"%d" % number * (size // 5) for number in range(count)})
    set_age(it / "src")


def plan(it, *options):
    it.lade("plan", "--job", "job", *options, "src", "file:store")


def status(it):
    return json.loads(it.lade("status", "--json", "job").out.splitlines()[0])


def batch_claims(it):
    return sorted(path.name for path in (it / "job").glob("g0*/[0-9]*.g[0-9]*"))


def all_is_there(it):
    same_trees(it / "store", it / "src")
    equal(temporaries(it / "store"), [], "temporary files")
    equal(batch_claims(it), [], "claims on batches")
    equal(status(it)["state"], "finished")


@case
def processes_share_the_batches_of_a_job(it):
    source(it)
    plan(it)
    processes = [it.start("run", "--bwlimit", "1M", "job") for _ in range(4)]
    for process in processes:
        it.end(process)
    all_is_there(it)
    working = [path for path in (it / "job").glob("g0*/journal-*.log") if journalled(it / "job", only=path.name)]
    check(len(working) > 1, "one process did all the work")


@case
def a_run_helps_a_put_that_is_still_planning(it):
    source(it)
    put = it.start("put", "--job", "job", "--crawlers", "1", "--bwlimit", "400K", "src", "file:store")
    it.wait_for(lambda: (it / "job").exists() and any((it / "job").glob("g0*/000001.seg")), put)
    helpers = [it.start("run", "job") for _ in range(2)]
    for process in (put, *helpers):
        it.end(process)
    all_is_there(it)


@case
def another_one_leads_when_the_lead_is_killed(it):
    source(it)
    put = it.start("put", "--job", "job", "--bwlimit", "100K", "src", "file:store")
    it.wait_for(lambda: (it / "store").exists() and len(keys(it / "store")) > 20, put)
    helper = it.start("run", "--bwlimit", "1M", "job")
    it.wait_for(lambda: len(list((it / "job/claims").iterdir())) == 2, helper, what="the second process")
    time.sleep(0.3)
    put.kill()
    it.end(put, -signal.SIGKILL)
    it.end(helper)
    all_is_there(it)


@case
def the_loop_of_the_guide_ends(it):
    source(it)
    plan(it)
    rounds = 0
    while it.lade("run", "--max-batches", "1", "job", status=(0, 5)).status == 5:
        rounds += 1
        check(rounds < 20, "the loop does not end")
    check(rounds >= 1, "there was only one batch")
    all_is_there(it)


@case
def repeat_is_that_loop(it):
    source(it)
    plan(it)
    it.lade("run", "--repeat", "job", status=2).has("--max-batches")
    it.lade("run", "--repeat", "--max-batches", "1", "job")
    all_is_there(it)


@case
def until_begins_nothing_after_its_time(it):
    source(it)
    moment = time.strftime("%H:%M", time.gmtime(time.time() + 3 * 3600))
    it.lade("put", "--job", "later", "--until", moment, "src", "file:later")
    it.lade("put", "--job", "job", "--until", "tomorrow", "src", "file:store", status=2).has("tomorrow", "07:30")
    done = it.lade("put", "--job", "job", "--until", "+1s", "--bwlimit", "300K", "src", "file:store", status=5)
    check(done.seconds < 8, "went on for long", done)
    stored = len(keys(it / "store"))
    check(0 < stored < 6000, f"{stored} objects after a second")
    it.lade("run", "job")
    all_is_there(it)


@case
def until_cuts_a_large_object_between_its_parts(it):
    make_tree(it / "src", {"large": os.urandom(1 << 20) * 200})
    set_age(it / "src")
    it.lade("put", "--job", "job", "--until", "1s", "--bwlimit", "60M", "src", "file:store", status=5)
    check(not (it / "store/large").exists(), "the object is there already")
    check(journalled(it / "job", parts=True) > 0, "no part was finished")
    it.lade("run", "job")
    all_is_there(it)


def faulty_put(it, times, *options, **more):
    write(it / "rules", b"put key=d001/f00700 times=%d fail=net\n" % times)
    return it.lade("put", "--job", "job", "--retries", "1", *options, "src", f"fault:{it / 'rules'}+{it / 'store'}",
                   env=FAULTS, **more)


@case
def what_failed_is_tried_again_at_the_end(it):
    source(it, 2000)
    done = faulty_put(it, 5, "--json")
    summary = done.summary()
    equal(summary["failed"]["count"], 0, "failures")
    equal(summary["new"], len(keys(it / "store")) + 4, "new objects and directories")
    same_trees(it / "store", it / "src")


@case
def a_large_object_that_the_network_broke_goes_on_at_its_first_missing_part(it):
    size = 200 << 20
    make_tree(it / "src", {"large": os.urandom(1 << 20) * (size >> 20)})
    set_age(it / "src")
    write(it / "rules", b"part key=large number=3 times=2 fail=net\n")
    done = it.lade("put", "--job", "job", "--json", "--retries", "1", "--transfers", "1", "src",
                   f"fault:{it / 'rules'}+{it / 'store'}", env=FAULTS)
    equal(done.summary()["failed"]["count"], 0, "failures")
    check(done.summary()["moved_bytes"] < size + (32 << 20), "it was sent anew", done)
    same_trees(it / "store", it / "src")
    equal(temporaries(it / "store"), [], "temporary files")


@case
def what_failed_three_times_is_set_aside_and_named(it):
    source(it, 2000)
    done = faulty_put(it, 7, status=1)
    equal(done.err.count("failed: d001/f00700"), 1, "times that it is named")
    equal(len(keys(it / "store")), 1999, "objects")
    # The same rules again would fail twice more; without them the next run mends it.
    write(it / "rules", b"# none\n")
    it.lade("run", "job", env=FAULTS)
    same_trees(it / "store", it / "src")


@case
def what_cannot_go_away_is_not_tried_again_by_itself(it):
    source(it, 1000)
    write(it / "rules", b"put key=d001/f00700 fail=denied\n")
    it.lade("put", "--job", "job", "--json", "src", f"fault:{it / 'rules'}+{it / 'store'}", env=FAULTS, status=1)
    res = next((it / "job").glob("g0*/000001.res")).read_bytes()
    equal(int.from_bytes(res[120:124], "little"), 1, "times that the batch was worked on")


@case
def sixteen_processes_that_are_stopped_and_killed(it):
    source(it, 24000, 300)
    plan(it)
    some = random_of("claims", 1)
    running = [it.start("run", "--transfers", "2", "--bwlimit", "400K", "job") for _ in range(16)]
    stopped, killed, ended = [], 0, []
    limit = time.monotonic() + 6
    while time.monotonic() < limit and len(running) > 2:
        time.sleep(0.05)
        for process in [one for one in running if one.poll() is not None]:
            running.remove(process)
            ended.append(process)
        victim = some.choice(running)
        act = some.random()
        if act < 0.3:
            victim.send_signal(signal.SIGSTOP)
            stopped.append((time.monotonic(), victim))
        elif act < 0.5:
            victim.kill()
            it.end(victim, -signal.SIGKILL)
            running.remove(victim)
            killed += 1
            running.append(it.start("run", "--transfers", "2", "--bwlimit", "400K", "job"))
        for when, process in stopped[:]:
            if time.monotonic() - when > 0.5:
                process.send_signal(signal.SIGCONT)
                stopped.remove((when, process))
    check(killed > 3, "too few were killed")
    for _, process in stopped[1:]:
        process.send_signal(signal.SIGCONT)
    # The last one that is stopped does not come back; the others take over what it had.
    for _, process in stopped[:1]:
        process.kill()
    for process in running + ended:
        it.end(process, (0, -signal.SIGKILL))
    it.lade("run", "job")
    all_is_there(it)


@case
def one_that_stands_still_loses_its_batches_and_notices(it):
    source(it, 3000, 100)
    plan(it)
    still = it.start("run", "--bwlimit", "20K", "job")
    it.wait_for(lambda: (it / "store").exists() and len(keys(it / "store")) > 20, still)
    still.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    it.lade("run", "job")
    check(25 < time.monotonic() - began < 60, "took over at another time than after 30 s")
    all_is_there(it)
    still.send_signal(signal.SIGCONT)
    done = it.end(still, (0, 3))
    if done.status == 3:
        done.has("took").has_not("failed")
    # What it had begun it put once more, the same bytes under the same names.
    same_trees(it / "store", it / "src", ignore=("mtime_ns",))


main()
