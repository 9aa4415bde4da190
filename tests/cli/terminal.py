"""What people see: a block on a terminal, lines in a pipe, nothing with --quiet."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import termios
import time

from harness import case, check, equal, main, make_tree, same_trees, set_age

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\r")


def source(it, count=40, size=50000):
    make_tree(it / "src", {f"d{number % 4}/f{number:03}": os.urandom(size) for number in range(count)})
    set_age(it / "src")


class Terminal:
    """lade with a terminal as standard error (and output)."""

    def __init__(self, it, *args, columns=80, term="xterm", env=None, **options):
        self.leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.shown = b""
        self.it = it
        self.process = it.start(*args, env={"TERM": term, **(env or {})}, stderr=follower,
                                preexec_fn=lambda: fcntl.ioctl(2, termios.TIOCSCTTY, 0),
                                **{"stdout": follower, **options})
        os.close(follower)

    def read(self, seconds=0.05):
        if select.select([self.leader], [], [], seconds)[0]:
            try:
                self.shown += os.read(self.leader, 65536)
            except OSError:
                return False
        return True

    def text(self):
        return ESCAPES.sub("\n", self.shown.decode(errors="replace"))

    def wait_for(self, pattern, seconds=20):
        limit = time.monotonic() + seconds
        while not re.search(pattern, self.text()):
            check(time.monotonic() < limit, f"nothing on the terminal fits {pattern}", self.text()[-2000:])
            self.read()

    def end(self, status=0):
        limit = time.monotonic() + 60
        while self.read() and time.monotonic() < limit:
            pass
        os.close(self.leader)
        equal(self.process.wait(timeout=10), status, f"exit status, with {self.text()[-1500:]}")
        return self.text()


@case
def a_terminal_shows_bytes_rate_and_time_left(it):
    source(it)
    terminal = Terminal(it, "put", "--bwlimit", "700K", "src", "file:store")
    terminal.wait_for(r"[0-9.]+ [KM]iB.*")
    terminal.wait_for(r"[0-9.]+ [KM]iB/s")
    text = terminal.end()
    check("\x1b[" in terminal.shown.decode(errors="replace"), "nothing was drawn")
    check(re.search(r"stored +40 objects", text) or re.search(r"stored +4[0-9] objects", text), "no summary", text[-800:])
    same_trees(it / "store", it / "src")


@case
def no_line_is_wider_than_the_terminal(it):
    source(it)
    for columns in (40, 80, 200):
        terminal = Terminal(it, "put", "--job", f"job{columns}", "--bwlimit", "1M", "src", f"file:store{columns}",
                            columns=columns)
        terminal.end()
        # Lines that the block drew; the summary may be wider than a very narrow terminal.
        drawn = terminal.shown.decode(errors="replace").split("stored ")[0]
        for line in re.split(r"[\r\n]|\x1b\[[0-9;?]*[A-Za-z]", drawn):
            check(len(line) <= max(columns, 40) or "planned" in line, f"{len(line)} cells in {columns}: {line!r}")


@case
def a_dumb_terminal_gets_no_escapes(it):
    source(it, 10)
    terminal = Terminal(it, "put", "src", "file:store", term="dumb")
    terminal.end()
    check(b"\x1b" not in terminal.shown, "an escape on a dumb terminal", repr(terminal.shown[:300]))


@case
def a_pipe_gets_lines_without_escapes(it):
    source(it, 10)
    done = it.lade("put", "src", "file:store")
    check("\x1b" not in done.err and "\r" not in done.err, "drawing into a pipe", repr(done.err))
    equal(done.out, "", "standard output")
    done.matches(r"stored +1\d objects").matches(r"moved .*/s")


@case
def quiet_is_silent(it):
    source(it, 10)
    done = it.lade("put", "-q", "src", "file:store")
    equal((done.out, done.err), ("", ""))
    terminal = Terminal(it, "get", "-q", "file:store", "out")
    equal(terminal.end(), "", "on a terminal")
    # But not about failures.
    os.mkdir(it / "d0")
    make_tree(it / "other", {"d0": b"in the way"})
    done = it.lade("put", "-q", "src", "file:other", status=1)
    done.has("d0")


@case
def failures_are_above_the_block_and_counted(it):
    source(it)
    make_tree(it / "store", {"d0": b"in the way"})
    terminal = Terminal(it, "put", "--bwlimit", "1M", "src", "file:store")
    text = terminal.end(1)
    check("failed" in text and "d0/f000" in text, "the failure is not told", text[-1500:])


@case
def sigint_on_a_terminal_leaves_a_clean_line(it):
    source(it)
    terminal = Terminal(it, "put", "--bwlimit", "200K", "src", "file:store")
    terminal.wait_for(r"[0-9.]+ [KM]iB/s")
    terminal.process.send_signal(signal.SIGINT)
    text = terminal.end(130)
    check("run the same command to go on" in text, "the next step is not told", text[-500:])
    check("\x1b[?25l" not in terminal.shown.decode(errors="replace") or
          "\x1b[?25h" in terminal.shown.decode(errors="replace"), "the cursor stays hidden")


@case
def json_gives_events_and_a_summary(it):
    source(it)
    os.mkfifo(it / "src/fifo")
    done = it.lade("put", "--json", "src", "file:store")
    equal(done.err, "", "standard error")
    for line in done.out.splitlines():
        json.loads(line)
    equal([event["name"] for event in done.events("item")], ["fifo"])
    summary = done.summary()
    equal(summary["done"]["count"] + summary["unchanged"]["count"] + summary["skipped"]["count"],
          summary["planned"]["count"], "all entries")
    equal(summary["exit_status"], 0)
    again = it.lade("put", "--json", "src", "file:store").summary()
    equal((again["done"]["count"], again["moved_bytes"]), (0, 0), "moved by the second run")


@case
def json_tells_what_ended_a_run(it):
    done = it.lade("put", "--json", "absent", "file:store", status=(1, 3))
    events = done.events("error")
    check(len(events) == 1 and "absent" in events[0]["error"], "no error event", done)


@case
def progress_in_a_pipe_is_a_line_now_and_then(it):
    """The first line comes after half a minute, so this one looks only that none comes at once."""
    source(it, 10)
    done = it.lade("put", "--progress", "src", "file:store")
    check("\x1b" not in done.err, "drawing into a pipe", repr(done.err))
    done = it.lade("get", "--no-progress", "file:store", "out")
    check("\x1b" not in done.err, "drawing into a pipe", repr(done.err))


@case
def verbose_tells_more(it):
    source(it, 4)
    plain = it.lade("put", "src", "file:store1")
    more = it.lade("put", "-vv", "src", "file:store2")
    check(len(more.err) >= len(plain.err), "less is told", more)


@case
def every_verb_works_on_a_terminal(it):
    source(it, 6)
    for args, status in ((("put", "src", "file:store"), 0), (("get", "file:store", "out"), 0), (("ls", "-l", "file:store"), 0),
                         (("check", "src", "file:store"), 0), (("status",), 0), (("jobs",), 0),
                         (("plan", "--job", "j", "src", "file:store2"), 0), (("run", "j"), 0),
                         (("rm", "--recursive", "--dry-run", "file:store2"), None), (("rm", "file:store/d0/f000"), 0),
                         (("version",), 0), (("help",), 0)):
        terminal = Terminal(it, *args)
        text = terminal.end(status if status is not None else terminal.process.wait(timeout=20))
        check("\x1b[?25l" not in terminal.shown.decode(errors="replace") or
              "\x1b[?25h" in terminal.shown.decode(errors="replace"), f"{args}: the cursor stays hidden", text)


@case
def attach_draws_what_another_process_does(it):
    source(it)
    it.lade("put", "--detach", "--job", "job", "--bwlimit", "500K", "src", "file:store")
    attached = Terminal(it, "attach", "job")
    attached.wait_for(r"\d+%  =* *|\d+%.*[KM]iB / ")
    attached.wait_for(r"objects .*s")
    watched = Terminal(it, "status", "--watch", "job")
    watched.wait_for(r"[KM]iB / ")
    os.kill(watched.process.pid, signal.SIGINT)
    text = watched.end()
    check("state      running" in text, "interrupted, it does not tell the status", text[-500:])
    text = attached.end()
    check(b"\x1b[" in attached.shown, "nothing was drawn")
    check(re.search(r"stored +4[0-9] objects", text) and "ended" in text, "no summary", text[-800:])
    same_trees(it / "store", it / "src")


if __name__ == "__main__":
    main()
