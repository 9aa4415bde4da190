"""A run in the background: it goes on after the end of its session, can be watched, and stopped."""
import json
import os
import re
import signal
import subprocess
import time

from harness import case, check, equal, keys, main, make_tree, same_trees, set_age, write

STAMP = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d "


def source(it, count=300):
    make_tree(it / "src", {f"d{number % 3}/f{number:04}": b"%04d" % number * 750 for number in range(count)})
    set_age(it / "src")


def pid_of(done):
    return int(re.search(r"process +(\d+)", done.out).group(1))


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def begin(it, *options, rate="300K"):
    """Start in the background; it is killed at the end of the case, should it still be there."""
    done = it.lade("put", "--detach", "--job", "job", "--bwlimit", rate, *options, "src", "file:store", timeout=30)
    return pid_of(done)


def wait_gone(it, pid):
    it.wait_for(lambda: not lives(pid), what="the end of the process in the background")


def state(it):
    return json.loads(it.lade("status", "--json", "job").out)["state"]


@case
def it_returns_at_once_and_the_work_goes_on(it):
    source(it)
    began = time.monotonic()
    done = it.lade("put", "--detach", "--job", "job", "--bwlimit", "300K", "src", "file:store")
    check(time.monotonic() - began < 2.5, "waited for the work", done)
    done.has(str(it / "job"), "lade attach", "lade stop", "log")
    equal(done.err, "")
    pid = pid_of(done)
    check(lives(pid), "the process in the background is gone")
    wait_gone(it, pid)
    same_trees(it / "store", it / "src")
    log = (it / "job/log").read_text()
    for line in log.splitlines():
        check(re.match(STAMP, line), f"a line without its time: {line}")
    for text in (f"begun: process {pid}", "planned: 303 entries", "stored", "moved"):
        check(text in log, f"'{text}' is not in the log", log)
    check("status 0" in (it / "job/outcome").read_text(), "no outcome")


@case
def it_survives_the_end_of_its_session(it):
    source(it)
    # A shell as a login gives it: leader of a session and of a process group, which then get SIGHUP.
    with open(it / "out", "wb") as out:
        shell = it.start("-c", f"'{it.lade_path}' put --detach --job job --bwlimit 300K src file:store; sleep 60",
                         prefix=("sh", "-c", 'shift; exec sh "$@"', "sh"), stdout=out, stderr=out)
    it.wait_for(lambda: b"log" in (it / "out").read_bytes(), shell)
    pid = int(re.search(rb"process +(\d+)", (it / "out").read_bytes()).group(1))
    check(os.getsid(pid) not in (shell.pid, os.getsid(0)), "it is in the session of the shell")
    check(os.getsid(pid) != pid, "it leads a session, so that a terminal could become its own")
    equal(os.readlink(f"/proc/{pid}/fd/0"), "/dev/null", "standard input")
    for fd in (1, 2):
        equal(os.readlink(f"/proc/{pid}/fd/{fd}"), str(it / "job/log"))
    os.killpg(shell.pid, signal.SIGHUP)
    shell.wait(timeout=10)
    os.kill(pid, signal.SIGHUP)
    time.sleep(0.2)
    check(lives(pid), "it ended with its session")
    wait_gone(it, pid)
    same_trees(it / "store", it / "src")


@case
def errors_at_the_start_are_told_by_who_started_it(it):
    source(it)
    it.lade("put", "--detach", "--dry-run", "src", "file:store", status=2).has("--detach", "--dry-run")
    it.lade("put", "--detach", "--files-from", "-", "src", "file:store", status=2, input=b"").has("standard input")
    done = it.lade("put", "--detach", "--job", "absent", "nothing", "file:store", status=None)
    equal(done.status, it.lade("put", "--job", "absent2", "nothing", "file:store", status=None).status)
    check("nothing" in done.err and done.out == "", "the error is not told", done)
    it.lade("run", "--detach", "no-such-job", status=(1, 3)).has("no-such-job")
    pid = begin(it, rate="100K")
    it.lade("put", "--detach", "--job", "job", "src", "file:store", status=3).has("another lade works on this job", str(pid))
    check("another lade" not in (it / "job/log").read_text(), "the refusal of another is in the log")
    it.lade("stop", "job")


@case
def get_and_run_go_to_the_background_too(it):
    source(it, 30)
    it.lade("plan", "--job", "job", "src", "file:store")
    wait_gone(it, pid_of(it.lade("run", "--detach", "job")))
    same_trees(it / "store", it / "src")
    done = it.lade("get", "--json", "--detach", "--job", "job2", "file:store", "out")
    event = json.loads(done.out)
    equal((event["event"], event["job"]), ("detached", str(it / "job2")))
    equal(it.lade("attach", "-q", "job2").err, "")
    same_trees(it / "out", it / "src")
    lines = [json.loads(line) for line in (it / "job2/log").read_text().splitlines()]
    equal(lines[-1]["event"], "summary")


@case
def what_ends_the_run_is_in_its_log(it):
    source(it, 30)
    write(it / "rules", b"put nth=10 fail=auth\n")
    done = it.lade("put", "--detach", "--job", "job", "src", f"fault:{it / 'rules'}+{it / 'store'}", env={"LADE_FAULTS": "1"})
    wait_gone(it, pid_of(done))
    log = (it / "job/log").read_text()
    check(re.search(STAMP + "lade: ", log, re.M), "the error is not in the log", log)
    done = it.lade("attach", "job", status=3)
    done.has(re.search("^text (.*)$", (it / "job/outcome").read_text(), re.M).group(1)[:40])


@case
def attach_follows_to_the_end_and_ends_as_the_job_does(it):
    source(it)
    make_tree(it / "store", {"d2": b"a file in the way"})
    begin(it)
    done = it.lade("attach", "job", status=1)
    done.has("d2/f0002", "failed").matches("^stored +20[0-9] objects")
    # And once more, when it is over.
    it.lade("attach", "job", status=1).has("ended", "some entries failed")
    os.unlink(it / "store/d2")
    it.lade("run", "--detach", "job")
    it.lade("attach", "job")
    same_trees(it / "store", it / "src")


@case
def attach_also_follows_a_run_that_is_not_in_the_background(it):
    source(it)
    process = it.start("put", "--job", "job", "--bwlimit", "300K", "src", "file:store")
    it.wait_for(lambda: (it / "job/claims").exists() and any((it / "job").glob("g*/*.seg")), process)
    it.lade("attach", "job").matches("^stored +303 objects")
    it.end(process)


@case
def interrupting_attach_leaves_the_job_alone(it):
    source(it)
    pid = begin(it)
    attach = it.start("attach", "job")
    time.sleep(0.5)
    check(attach.poll() is None, "it ended by itself")
    attach.send_signal(signal.SIGINT)
    it.end(attach, 130).has("goes on", "lade attach")
    check(lives(pid), "the job ended with it")
    equal(state(it), "running")
    it.lade("attach", "job")
    same_trees(it / "store", it / "src")


@case
def a_job_that_was_killed_is_told_as_such(it):
    source(it)
    pid = begin(it, rate="100K")
    attach = it.start("attach", "job")
    time.sleep(0.3)
    os.kill(pid, signal.SIGKILL)
    it.end(attach, 3).has("did not say how it ended", "lade run")
    it.lade("run", "job")
    same_trees(it / "store", it / "src")
    it.lade("attach", "job").has("all is there")


@case
def stop_stops_and_run_goes_on(it):
    source(it)
    pid = begin(it, rate="100K")
    it.wait_for(lambda: (it / "store").exists() and len(keys(it / "store")) > 5)
    attach = it.start("attach", "job")
    time.sleep(0.3)
    began = time.monotonic()
    it.lade("stop", "job").has("stopped", str(pid))
    check(time.monotonic() - began < 4, "took long")
    check(not lives(pid), "it still runs")
    it.end(attach, 130).has("interrupted")
    check(state(it) == "stopped", "not stopped")
    check("interrupted" in (it / "job/log").read_text(), "the log does not say so")
    it.lade("stop", "job").has("nobody works on")
    before = len(keys(it / "store"))
    done = it.lade("run", "--json", "job")
    same_trees(it / "store", it / "src")
    check(done.summary()["moved_bytes"] < (300 - before + 300) * 3000, "all was moved again", done)


@case
def stop_gets_through_to_a_run_whose_shell_ignores_interrupts(it):
    source(it)
    process = it.start("put", "--job", "job", "--bwlimit", "100K", "src", "file:store",
                       prefix=("sh", "-c", 'trap "" INT; exec "$@"', "sh"))
    it.wait_for(lambda: (it / "store").exists() and keys(it / "store"), process)
    it.lade("stop", "job")
    it.end(process, 143)


@case
def stop_names_who_does_not_go(it):
    source(it)
    pid = begin(it, rate="100K")
    os.kill(pid, signal.SIGSTOP)
    it.lade("stop", "--wait", "1", "job", status=3).has(str(pid), "still there")
    os.kill(pid, signal.SIGCONT)
    wait_gone(it, pid)


@case
def stop_does_not_reach_other_hosts(it):
    source(it, 10)
    it.lade("put", "--job", "job", "src", "file:store")
    number = max(int(path.name[5:]) for path in (it / "job/claims").glob("run.g*")) + 1
    write(it / f"job/claims/run.g{number}",
          b"lade-claim 1\npid 77\nstart 1\nboot x\nhost elsewhere\nreleased 0\nbeats 00000000000000000001\n")
    it.lade("stop", "job", status=3).has("elsewhere", "77")


@case
def status_watches_until_the_end(it):
    source(it)
    begin(it)
    done = it.lade("status", "--watch", "job")
    check("state      finished" in done.out, "the status at the end is not told", done)
    equal(it.lade("status", "-w", "job").out, done.out)
    it.lade("status", "--watch", "--json", "job", status=2)


@case
def run_again_and_again_is_one_process_in_the_background(it):
    names = {f"d{number // 300}/f{number:04}": b"" for number in range(3000)}
    make_tree(it / "src", names)
    set_age(it / "src")
    it.lade("plan", "--job", "job", "src", "file:store")
    pid = pid_of(it.lade("run", "--detach", "--max-batches", "1", "--repeat", "job"))
    it.lade("attach", "job")
    check(not lives(pid), "it still runs")
    same_trees(it / "store", it / "src")
    check((it / "job/log").read_text().count(f"begun: process {pid}") > 1, "it ran only once")


@case
def stop_stops_all_that_share_the_job(it):
    source(it)
    it.lade("plan", "--job", "job", "src", "file:store")
    processes = [it.start("run", "--bwlimit", "50K", "job") for _ in range(2)]
    it.wait_for(lambda: (it / "store").exists() and len(keys(it / "store")) > 5, processes[0])
    time.sleep(0.5)
    it.lade("stop", "job").has(*(str(process.pid) for process in processes))
    for process in processes:
        it.end(process, (130, 143))
    it.lade("run", "job")
    same_trees(it / "store", it / "src")


@case
def the_background_does_not_hold_what_a_pipe_waits_for(it):
    """`lade put --detach | cat` must end: nothing of the terminal's may stay open."""
    source(it)
    began = time.monotonic()
    subprocess.run(["sh", "-c", f"'{it.lade_path}' put --detach --job job --bwlimit 100K src file:store 2>&1 | cat"],
                   cwd=it.path, env=it.env, check=True, timeout=30, stdout=subprocess.PIPE)
    check(time.monotonic() - began < 4, "the pipe was held")
    it.lade("stop", "job")


if __name__ == "__main__":
    main()
