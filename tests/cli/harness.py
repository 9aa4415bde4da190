"""Whole-program tests: runs lade as a user does, and reports each case as a line of TAP.

A topic is a file with functions marked @case, and main() at its end:

    python3 tests/cli/put.py LADE [CASE...]

Each case gets a Case: a fresh directory, with HOME and XDG_STATE_HOME in it. Environment:
LADE_LONG=1 does the long series, LADE_SEED=N chooses other random trees, LADE_TEST_DIR=DIR is where
the fresh directories are made (LADE_TEST_MEMORY=1: in memory instead, if it suits), LADE_KEEP=1 leaves those of failed
cases, LADE_SAMPLE=N does each Nth case of a topic with many (the sanitizer build takes a while)."""
import collections
import concurrent.futures
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from memory import memory  # noqa: E402 pylint: disable=wrong-import-position

LONG = os.environ.get("LADE_LONG", "") not in ("", "0")
SAMPLE = 1 if LONG else int(os.environ.get("LADE_SAMPLE", "1"))
ROOT = os.geteuid() == 0
CHUNK = 1 << 16
ZEROS = bytes(CHUNK)
TIMEOUT_S = 300
cases = []


class Failure(Exception):
    pass


class Skip(Exception):
    pass


def case(function):
    cases.append(function)
    return function


def check(condition, text, *more):
    if not condition:
        raise Failure("\n".join([text] + [str(item) for item in more]))


def equal(found, expected, what="value"):
    check(found == expected, f"{what} is {found!r}, expected {expected!r}")


def seed_of(default):
    return int(os.environ.get("LADE_SEED", default))


# ---- trees ----

class Link(str):
    """The target of a symbolic link."""


class Dir:
    def __init__(self, mode=0o755):
        self.mode = mode


def make_tree(root, content):
    """Make what `content` says below root: a path (text or bytes) and bytes of a file, a Link or a Dir."""
    root = os.fsencode(root)
    os.makedirs(root, exist_ok=True)
    for rel, what in content.items():
        path = os.path.join(root, os.fsencode(rel))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if isinstance(what, Link):
            os.symlink(os.fsencode(what), path)
        elif isinstance(what, Dir):
            os.makedirs(path, exist_ok=True)
            os.chmod(path, what.mode)
        else:
            write(path, what)


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def set_age(root, seconds=100):
    """Make everything below root this old, so that nothing is modified as it is read."""
    when = time.time_ns() - seconds * 10**9
    for top, dirs, files in os.walk(os.fsencode(root), topdown=False):
        for name in dirs + files:
            os.utime(os.path.join(top, name), ns=(when, when), follow_symlinks=False)


Entry = collections.namedtuple("Entry", "kind mode uid gid mtime_ns size content")


def digest_of(fd, size):
    """Of the bytes that are not zero, with their places: holes cost nothing."""
    digest = hashlib.sha256(str(size).encode())
    at = 0
    while at < size:
        try:
            at = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            break
        end = os.lseek(fd, at, os.SEEK_HOLE)
        at -= at % CHUNK
        while at < end:
            chunk = os.pread(fd, CHUNK, at)
            if not chunk:
                break
            if chunk != ZEROS[:len(chunk)]:
                digest.update(b"%d:" % at + chunk)
            at += CHUNK
    return digest.hexdigest()


def entry_of(dir_fd, name, st):
    kind, content, size = "other", None, 0
    if stat.S_ISDIR(st.st_mode):
        kind = "dir"
    elif stat.S_ISLNK(st.st_mode):
        kind, content = "link", os.readlink(name, dir_fd=dir_fd)
    elif stat.S_ISREG(st.st_mode):
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=dir_fd)
        kind, size, content = "file", st.st_size, digest_of(fd, st.st_size)
        os.close(fd)
    mode = 0 if kind == "link" else stat.S_IMODE(st.st_mode)
    return Entry(kind, mode, st.st_uid if ROOT else 0, st.st_gid if ROOT else 0, st.st_mtime_ns, size, content)


def walk(root):
    """(directory fd, name, path below root, stat) of everything below root, at any depth."""
    def below(fd, rel):
        for name in sorted(os.fsencode(entry.name) for entry in os.scandir(fd)):
            try:
                st = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:  # a temporary name, while lade runs
                continue
            yield fd, name, rel + name, st
            if stat.S_ISDIR(st.st_mode):
                inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
                try:
                    yield from below(inner, rel + name + b"/")
                finally:
                    os.close(inner)
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield from below(fd, b"")
    finally:
        os.close(fd)


def scan(root):
    """All that must survive a round trip, by path below root."""
    return {rel: entry_of(fd, name, st) for fd, name, rel, st in walk(root)}


def without_others(entries):
    return {rel: entry for rel, entry in entries.items() if entry.kind != "other"}


def same_trees(found, expected, what="tree", ignore=()):
    """Both scans, or roots; `ignore` names fields of Entry."""
    found = found if isinstance(found, dict) else scan(found)
    expected = without_others(expected if isinstance(expected, dict) else scan(expected))
    blank = {name: None for name in ignore}
    lines = []
    for rel in sorted(set(found) | set(expected)):
        there, want = found.get(rel), expected.get(rel)
        if there is None or want is None:
            lines.append(f"  {rel!r}: {'missing' if there is None else 'not expected'}")
        elif there._replace(**blank) != want._replace(**blank):
            lines.append(f"  {rel!r}: {there} instead of {want}")
    check(not lines, f"the {what} differs in {len(lines)} entries:", *lines[:20])


def stamps(root):
    """What moves when an object is stored again, by key; directories have only their inode."""
    return {rel: (st.st_ino, 0 if stat.S_ISDIR(st.st_mode) else st.st_ctime_ns) for _, _, rel, st in walk(root)}


def temporaries(root):
    return [rel for _, _, rel, _ in walk(root) if rel.rsplit(b"/", 1)[-1].startswith(b".lade-")]


def keys(root):
    return sorted(rel.decode("utf-8", "backslashreplace") for _, _, rel, st in walk(root) if not stat.S_ISDIR(st.st_mode))


# ---- jobs ----

def read_varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def journalled(job, parts=False, only="journal-*.log"):
    """How many results (or parts of large objects) the journals of the job's newest generation hold, by
    docs/formats.md: these must never be moved again."""
    generations = sorted(pathlib.Path(job).glob("g*"))
    total = 0
    for journal in generations[-1].glob(only) if generations else []:
        data = journal.read_bytes()
        at = 12
        while at + 12 <= len(data):
            size, = struct.unpack_from("<I", data, at)
            if at + 12 + size > len(data) or size == 0:
                break
            if parts:
                total += data[at + 12] in (4, 9)
            elif data[at + 12] == 2:
                _, after = read_varint(data, at + 13)
                count, _ = read_varint(data, after)
                total += count
            at += 12 + size
    return total


# ---- running ----

def clip(text, most=3000):
    return text if len(text) <= most else f"{text[:most // 2]} [...] {text[-most // 2:]}"


class Done(collections.namedtuple("Done", "args status out err seconds")):
    def __str__(self):
        words = " ".join(clip(os.fspath(word), 200) for word in self.args)
        return (f"lade {words}\nstatus {self.status}, {self.seconds:.2f} s\nstdout: {clip(self.out)}\n"
                f"stderr: {clip(self.err)}")

    def events(self, name=None):
        found = [json.loads(line) for line in self.out.splitlines() if line.startswith("{")]
        return [event for event in found if name is None or event.get("event") == name]

    def summary(self):
        """The numbers at the end of a run with --json."""
        found = self.events("summary")
        check(len(found) == 1, "not exactly one summary", self)
        return found[0]

    def has(self, *texts):
        for text in texts:
            check(text in self.err or text in self.out, f"'{text}' is not told", self)
        return self

    def has_not(self, *texts):
        for text in texts:
            check(text not in self.err and text not in self.out, f"'{text}' is told", self)
        return self

    def matches(self, pattern):
        check(re.search(pattern, self.err + self.out, re.M), f"nothing fits {pattern}", self)
        return self


class Case:
    def __init__(self, lade, name, path):
        self.lade_path, self.name, self.path = lade, name, pathlib.Path(path)
        self.mounts, self.processes = [], []
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(("LADE_", "XDG_"))}
        self.env.update(HOME=str(self.path / "home"), XDG_STATE_HOME=str(self.path / "state"), LC_ALL="C.UTF-8",
                        TZ="UTC", TERM="dumb", TMPDIR=str(self.path),
                        ASAN_OPTIONS="exitcode=99:abort_on_error=0", LSAN_OPTIONS="exitcode=98",
                        UBSAN_OPTIONS="halt_on_error=1:exitcode=97:print_stacktrace=1")
        os.mkdir(self.path / "home")

    def __truediv__(self, name):
        return self.path / name

    def store(self, name="store"):
        return f"file:{self.path / name}"

    def start(self, *args, env=None, cwd=None, prefix=(), **options):
        argv = [*prefix, self.lade_path, *map(os.fspath, args)]
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        process = subprocess.Popen(argv, env={**self.env, **(env or {})}, cwd=cwd or self.path,
                                   start_new_session=True, **options)
        process.began, process.told = time.monotonic(), args
        self.processes.append(process)
        return process

    def end(self, process, status=0, input=None, timeout=TIMEOUT_S):
        """Wait for a started lade; `status` None takes any, a tuple one of several."""
        try:
            out, err = process.communicate(input, timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            done = Done(process.told, "timeout", out.decode(errors="replace"), err.decode(errors="replace"), timeout)
            raise Failure(f"did not end\n{done}") from None
        done = Done(process.told, process.returncode, (out or b"").decode(errors="surrogateescape"),
                    (err or b"").decode(errors="surrogateescape"), time.monotonic() - process.began)
        check("Sanitizer" not in done.err and "runtime error:" not in done.err, "a sanitizer complains", done)
        allowed = status if isinstance(status, tuple) else (status,)
        check(status is None or done.status in allowed, f"exit status {done.status}, expected {status}", done)
        return done

    def kill_at(self, seconds, *command):
        """kill -9 after so long. True when the process was still there."""
        process = self.start(*command)
        time.sleep(seconds)
        alive = process.poll() is None
        if alive:
            os.kill(process.pid, signal.SIGKILL)
        self.end(process, status=(0, -signal.SIGKILL))
        return alive

    def lade(self, *args, status=0, input=None, env=None, cwd=None, prefix=(), timeout=TIMEOUT_S):
        stdin = subprocess.PIPE if input is not None else subprocess.DEVNULL
        process = self.start(*args, env=env, cwd=cwd, prefix=prefix, stdin=stdin)
        return self.end(process, status, input, timeout)

    def wait_for(self, condition, process=None, seconds=60, what="the event"):
        limit = time.monotonic() + seconds
        while not condition():
            check(time.monotonic() < limit, f"waited too long for {what}")
            if process is not None and process.poll() is not None:
                raise Failure(f"lade ended before {what}\n{self.end(process, None)}")
            time.sleep(0.005)

    def job(self):
        """The only job in the usual place."""
        found = list((self.path / "state/lade/jobs").iterdir())
        check(len(found) == 1, f"{len(found)} jobs instead of one: {found}")
        return found[0]

    def mount(self, *args):
        """mount ARGS DIR; unmounted at the end. Skips where nobody may mount."""
        target = pathlib.Path(args[-1])
        target.mkdir(exist_ok=True)
        done = subprocess.run(["mount", *map(str, args)], capture_output=True)
        if done.returncode != 0:
            raise Skip(f"cannot mount: {done.stderr.decode().strip()}")
        self.mounts.append(target)
        return target

    def unmount(self, target):
        subprocess.run(["umount", "-l", str(target)], check=True)
        self.mounts.remove(target)

    def clean(self, keep):
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        for target in reversed(self.mounts):
            subprocess.run(["umount", "-l", str(target)], check=False)
        if not keep:
            subprocess.run(["chmod", "-R", "u+rwx", str(self.path)], stderr=subprocess.DEVNULL, check=False)
            subprocess.run(["rm", "-rf", str(self.path)], check=False)


def as_nobody():
    """A prefix that runs a command without any privilege; only root needs one."""
    if not ROOT:
        return ()
    if shutil.which("setpriv") is None:
        raise Skip("setpriv is missing")
    return ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def run_case(number, function, lade, top):
    path = tempfile.mkdtemp(prefix=f"{function.__name__}-", dir=top)
    os.chmod(path, 0o755)
    it = Case(lade, function.__name__, path)
    began = time.monotonic()
    failed = True
    line = ""
    try:
        function(it)
        failed = False
    except Skip as why:
        failed = False
        line = f" # SKIP {why}"
    except Failure as why:
        print("".join(f"# {text}\n" for text in str(why).splitlines()), end="")
    except Exception:  # pylint: disable=broad-except
        print("".join(f"# {text}\n" for text in traceback.format_exc().splitlines()), end="")
    it.clean(failed and os.environ.get("LADE_KEEP"))
    word = "not ok" if failed else "ok"
    print(f"{word} {number} - {function.__name__}{line}", flush=True)
    print(f"# {time.monotonic() - began:.2f} s", flush=True)
    return not failed


def at_once(it, jobs, most=4):
    """Run (name, function) side by side, each with a Case of its own below this one; what fails is told by its name."""
    def one(job):
        name, function = job
        path = it / name
        path.mkdir()
        inner = Case(it.lade_path, f"{it.name}_{name}"[-40:], path)
        failed = None
        try:
            function(inner)
        except Exception:  # pylint: disable=broad-except
            failed = f"{name}: {traceback.format_exc()}"
        inner.clean(failed)
        return failed

    with concurrent.futures.ThreadPoolExecutor(most) as pool:
        failures = [text for text in pool.map(one, jobs) if text]
    check(not failures, f"{len(failures)} of {len(jobs)} failed:", *failures)


def place_for_cases():
    """In memory, or where LADE_TEST_DIR says, unless nobody (as_nobody()) could get there, as below the home of root."""
    if memory():
        return pathlib.Path(memory())
    top = pathlib.Path(os.environ.get("LADE_TEST_DIR", tempfile.gettempdir())).resolve()
    top.mkdir(parents=True, exist_ok=True)
    if all(above.stat().st_mode & 0o001 for above in (top, *top.parents)):
        return top
    return pathlib.Path(tempfile.gettempdir())


def main():
    sys.stdout.reconfigure(errors="backslashreplace")
    # Ignored when this was started in the background of a shell; lade would inherit that, and keep to it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup
    lade = os.path.abspath(sys.argv[1])
    sample = SAMPLE if len(cases) > 3 else 1
    wanted = [one for one in cases if one.__name__ in sys.argv[2:]] if sys.argv[2:] else cases[::sample]
    top = place_for_cases()
    print(f"1..{len(wanted)}")
    good = [run_case(number, function, lade, top) for number, function in enumerate(wanted, 1)]
    sys.exit(0 if all(good) else 1)


def random_of(name, default):
    seed = seed_of(default)
    print(f"# {name}: LADE_SEED={seed}")
    return random.Random(f"{name} {seed}")
