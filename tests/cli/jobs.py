"""Jobs: two processes on one, other options than last time, status and jobs while one runs."""
import json
import os
import shutil
import signal
import time

from harness import case, check, equal, keys, main, make_tree, same_trees, set_age, stamps, write

TREE = {f"d{number % 6}/f{number:04}": b"%d" % number * 400 for number in range(600)}


def source(it):
    make_tree(it / "src", TREE)
    set_age(it / "src")


def slow_put(it, *options):
    process = it.start("put", "--bwlimit", "100K", *options, "src", "file:store")
    it.wait_for(lambda: (it / "store").exists() and len(keys(it / "store")) > 10, process)
    return process


@case
def a_second_process_is_refused_while_the_first_lives(it):
    source(it)
    first = slow_put(it)
    began = time.monotonic()
    second = it.lade("put", "src", "file:store", status=3)
    check(time.monotonic() - began < 3, "took long to refuse")
    second.has("another lade works on this job", str(first.pid), "lade status")
    check(first.poll() is None, "the first one ended")
    first.send_signal(signal.SIGINT)
    it.end(first, 130)
    it.lade("put", "src", "file:store")
    same_trees(it / "store", it / "src")


@case
def after_kill_9_the_next_process_starts_at_once(it):
    source(it)
    first = slow_put(it)
    first.kill()
    it.end(first, -signal.SIGKILL)
    began = time.monotonic()
    it.lade("put", "src", "file:store")
    check(time.monotonic() - began < 10, "waited for a process that is gone")
    same_trees(it / "store", it / "src")


@case
def two_that_start_together_do_not_disturb_each_other(it):
    source(it)
    for _ in range(5):
        processes = [it.start("put", "src", "file:store") for _ in range(4)]
        done = [it.end(process, (0, 3)) for process in processes]
        check(any(one.status == 0 for one in done), "none of them did it", *done)
        for one in done:
            check(one.status == 0 or "another lade" in one.err, "refused for another reason", one)
        same_trees(it / "store", it / "src")
        shutil.rmtree(it / "store")
        shutil.rmtree(it / "state")


@case
def different_jobs_run_side_by_side(it):
    source(it)
    processes = [it.start("put", "--job", f"job{number}", "src", f"file:store{number}") for number in range(4)]
    for number, process in enumerate(processes):
        it.end(process)
        same_trees(it / f"store{number}", it / "src")


@case
def other_options_than_those_of_the_unfinished_job_are_refused(it):
    source(it)
    first = slow_put(it)
    first.send_signal(signal.SIGINT)
    it.end(first, 130)
    count = len(keys(it / "store"))
    for options, what in ((("--exclude", "x"), "filter"), (("--checksum",), "--checksum"), (("--links", "skip"), "--links"),
                          (("--metadata", "a=b"), "--metadata"), (("--immutable",), "--immutable")):
        done = it.lade("put", *options, "src", "file:store", status=2)
        done.has("begun with other options", what, "--job")
    equal(len(keys(it / "store")), count, "objects after refusals")
    # Limits are not part of the plan.
    it.lade("put", "--transfers", "2", "--memory", "32M", "src", "file:store")
    same_trees(it / "store", it / "src")
    # A finished job takes others.
    it.lade("put", "--exclude", "x", "src", "file:store")


@case
def a_job_directory_of_something_else_is_refused(it):
    source(it)
    make_tree(it / "mine", {"thesis.tex": b"important"})
    it.lade("put", "--job", "mine", "src", "file:store", status=3).has("mine", "something else than a job")
    equal(keys(it / "mine"), ["thesis.tex"])
    it.lade("put", "--job", "job", "src", "file:store")
    it.lade("put", "--job", "job", "src", "file:other", status=2).has("moves something else")
    it.lade("run", "absent-job", status=(1, 3)).has("absent-job")


@case
def status_tells_while_another_process_works(it):
    source(it)
    process = slow_put(it)
    job = it.job()
    status = json.loads(it.lade("status", "--json", job).out)
    equal(status["state"], "running")
    equal(status["planned"], 606 if status["plan_closed"] else status["planned"], "entries")
    check(0 < status["left"]["entries"] <= 606, "nothing is left", status)
    it.lade("status").has("running", str(process.pid))
    it.lade("jobs").matches(r"put-src-to-store.*running")
    process.send_signal(signal.SIGINT)
    it.end(process, 130)
    status = json.loads(it.lade("status", "--json", job).out)
    equal(status["left"]["entries"] + status["done"]["entries"], 606)
    check(status["state"] != "running", "still running", status)
    it.lade("put", "src", "file:store")
    status = json.loads(it.lade("status", "--json", job).out)
    equal((status["left"]["entries"], status["done"]["entries"] + status["unchanged"]["entries"]), (0, 606))


@case
def status_tells_what_failed_and_why(it):
    source(it)
    make_tree(it / "store", {"d0": b"a file in the way"})
    os.mkfifo(it / "src/fifo")
    it.lade("put", "src", "file:store", status=1)
    done = it.lade("status")
    done.has("d0", "failed", "fifo", "is a FIFO")
    failures = json.loads(it.lade("status", "--json").out)["failures"]
    check(any(item["name"] == "fifo" and item["status"] == "skipped" for item in failures), "the FIFO is not told")
    os.unlink(it / "store/d0")
    it.lade("run", it.job())
    same_trees(it / "store", it / "src")
    it.lade("status").has_not("failed:")


@case
def status_without_jobs_says_so(it):
    it.lade("status", status=(1, 3)).matches("no job|job")
    it.lade("jobs")


@case
def jobs_lists_all_of_them(it):
    source(it)
    it.lade("put", "src", "file:store")
    it.lade("get", "file:store", "out")
    done = it.lade("jobs")
    done.has("put-src-to-store", "get-store-to-out")
    rows = [json.loads(line) for line in it.lade("jobs", "--json").out.splitlines()]
    equal(sorted(row["direction"] for row in rows), ["get", "put"])
    equal({row["settled"] for row in rows}, {606})


@case
def a_job_that_lost_its_claim_stops(it):
    """Somebody took the job over (as another node would): the owner must not go on."""
    source(it)
    process = slow_put(it)
    claims = it.job() / "claims"
    number = max(int(path.name[5:]) for path in claims.glob("run.g*"))
    write(claims / f"run.g{number + 1}", b"lade-claim 1\npid 1\nstart 1\nboot x\nhost elsewhere\nreleased 0\nbeats 00000000000000000001\n")
    done = it.end(process, status=(3, 130), timeout=15)
    done.has("took this job over")


@case
def a_finished_job_run_again_moves_nothing(it):
    source(it)
    it.lade("put", "--job", "job", "src", "file:store")
    before = stamps(it / "store")
    it.lade("run", "job")
    equal(stamps(it / "store"), before)


@case
def a_list_that_changed_is_not_mixed_with_the_one_planned(it):
    names = [f"d{number // 300}/f{number:04}" for number in range(3000)]
    make_tree(it / "src", {name: b"" for name in names})
    write(it / "list", "\n".join(names[:2400]).encode())
    it.lade("put", "--max-batches", "1", "--files-from", "list", "src", "file:d", status=5)
    write(it / "list", "\n".join(names[300:]).encode())
    it.lade("put", "--files-from", "list", "src", "file:d", status=2).has("the list of --files-from")
    write(it / "list", "\n".join(names[:2400]).encode())
    it.lade("put", "--files-from", "list", "src", "file:d")
    equal(keys(it / "d"), names[:2400])
    write(it / "list", "\n".join(names[300:]).encode())
    it.lade("put", "--files-from", "list", "src", "file:d")
    equal(keys(it / "d"), names)


@case
def a_list_that_changed_in_the_middle_of_planning_is_refused(it):
    names = [f"f{number:04}" for number in range(8000)]
    make_tree(it / "src", {name: b"" for name in names})
    write(it / "list", "\n".join(names).encode())
    job = it / "j"
    process = it.start("put", "--job", "j", "--bwlimit", "1", "--files-from", "list", "src", "file:d")
    it.wait_for(lambda: list(job.glob("g*/*.seg")), process)
    process.kill()
    process.wait()
    for end in job.glob("g*/end"):
        end.unlink()
    write(it / "list", "\n".join(names[1:]).encode())
    it.lade("run", "j", status=2).has("has changed since")
    write(it / "list", "\n".join(names).encode())
    it.lade("run", "j")
    equal(keys(it / "d"), names)


if __name__ == "__main__":
    main()
