"""What the topics that run against a gateway have in common: buckets, the proxy that makes faults, rclone as a second
reader, the gateway's administration."""
import concurrent.futures
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time
import traceback

from harness import Case, check, equal, same_trees, scan

SERVERS = pathlib.Path(__file__).resolve().parent.parent / "servers"
MIB = 1 << 20


def bucket(it, name=None):
    """A fresh bucket, named after the case."""
    name = name or f"{it.name.replace('_', '-').strip('-')[:50]}-{os.getpid()}"
    it.lade("mb", f"s3://{name}")
    return f"s3://{name}"


def rclone(it, *args):
    env = {**it.env, "RCLONE_CONFIG_G_TYPE": "s3", "RCLONE_CONFIG_G_PROVIDER": "Ceph", "RCLONE_CONFIG_G_ENV_AUTH": "true",
           "RCLONE_CONFIG_G_ENDPOINT": it.env["AWS_ENDPOINT_URL"]}
    done = subprocess.run(["rclone", "--config", "/dev/null", *args], env=env, cwd=it.path, capture_output=True, check=False)
    check(done.returncode == 0, f"rclone {args}", done.stderr.decode(errors="replace"))
    return done.stdout


def by_rclone(place):
    return "g:" + place.removeprefix("s3://")


def admin(it, *args):
    done = subprocess.run(["radosgw-admin", "-c", it.env["RGW_CEPH_CONF"], *args], env=it.env, capture_output=True, check=False)
    check(done.returncode == 0, f"radosgw-admin {args}", done.stderr.decode(errors="replace"))
    return done.stdout


def as_other(it):
    """The environment of the gateway's second user."""
    return {"AWS_ACCESS_KEY_ID": it.env["RGW_ACCESS_KEY2"], "AWS_SECRET_ACCESS_KEY": it.env["RGW_SECRET_KEY2"]}


def ask(it, method, path, query="", body=b""):
    """One signed request, by other code than lade's: the body of the answer."""
    host = it.env["AWS_ENDPOINT_URL"].removeprefix("http://")
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = f"{stamp[:8]}/default/s3/aws4_request"
    payload = hashlib.sha256(body).hexdigest()
    named = "host;x-amz-content-sha256;x-amz-date"
    request = f"{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{payload}\nx-amz-date:{stamp}\n\n{named}\n{payload}"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = ("AWS4" + it.env["AWS_SECRET_ACCESS_KEY"]).encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    connection = http.client.HTTPConnection(host)
    connection.request(method, path + (f"?{query}" if query else ""), body, {
        "x-amz-content-sha256": payload, "x-amz-date": stamp, "Authorization":
        f"AWS4-HMAC-SHA256 Credential={it.env['AWS_ACCESS_KEY_ID']}/{scope},SignedHeaders={named},Signature={signature}"})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    check(answer.status // 100 == 2, f"{method} {path}?{query}: {answer.status}", text)
    return text


def upload_by_hand(it, there, key):
    """An unfinished upload of nobody's job: its id."""
    path = f"/{there.removeprefix('s3://')}/{key}"
    return re.search(rb"<UploadId>([^<]*)", ask(it, "POST", path, "uploads="))[1].decode()


def contents(root):
    """What S3 can keep: no times of directories, which are no objects."""
    return {path: entry._replace(mtime_ns=0) if entry.kind == "dir" else entry for path, entry in scan(root).items()}


def uploads(it, there):
    return [json.loads(line) for line in it.lade("uploads", "--json", there).out.splitlines() if line.startswith("{")]


def no_uploads(it, there):
    equal(it.lade("uploads", there).out, "", "unfinished uploads")


def stored_whole(it, there, source="src", ignore=("mode", "uid", "gid")):
    """The bucket holds what the source does, says lade, and says rclone, and nothing unfinished is left."""
    it.lade("check", "--deep", "--download", source, there)
    target = it / "by-rclone"
    subprocess.run(["rm", "-rf", target], check=True)
    rclone(it, "copy", "--links", by_rclone(there), target)
    files = {path: entry for path, entry in scan(it / source).items() if entry.kind != "dir"}
    found = {path: entry for path, entry in scan(target).items() if entry.kind != "dir"}
    same_trees(found, files, "tree as rclone reads it", ignore + (("mtime_ns",) if any(
        entry.kind == "link" for entry in files.values()) else ()))
    no_uploads(it, there)


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


def at_time(it, offset):
    """How lade is run with another clock: what to put in front, and the environment."""
    return {"prefix": ("faketime", "-f", offset),
            "env": {"FAKETIME_DONT_FAKE_MONOTONIC": "1",
                    "ASAN_OPTIONS": it.env["ASAN_OPTIONS"] + ":verify_asan_link_order=0"}}


class Proxy:
    """The gateway seen through a proxy that makes faults, as long as it is open."""

    def __init__(self, it):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        # A socket's path has at most 107 bytes, whatever the case is called.
        self.dir = tempfile.mkdtemp(prefix="lade-flaky-")
        self.own = {**it.env, "FLAKY_DIR": self.dir}
        self.env = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}"}
        self.flaky("start", f"127.0.0.1:{self.port}", it.env["AWS_ENDPOINT_URL"].removeprefix("http://"))

    def flaky(self, *args):
        return subprocess.run([SERVERS / "flaky", *args], env=self.own, check=True, capture_output=True, text=True).stdout

    def close(self):
        self.flaky("stop")
        shutil.rmtree(self.dir, ignore_errors=True)

    def mode(self, *rules):
        self.flaky("mode", *rules)

    def status(self):
        return json.loads(self.flaky("status"))

    def all_hit(self):
        for rule in self.status()["rules"]:
            check(rule["hits"] > 0 or rule["rule"] == "ok", f"the fault '{rule['rule']}' did not happen", *self.log()[-40:])

    def log(self):
        """Requests that are over, in the order of their ends."""
        return [json.loads(line) for line in self.flaky("log").splitlines()]

    def requests(self, method=None, path=""):
        return [entry for entry in self.log() if "method" in entry and (method is None or entry["method"] == method)
                and path in entry["path"]]


@contextlib.contextmanager
def proxy(it, *rules):
    air = Proxy(it)
    try:
        air.mode(*rules)
        yield air
    finally:
        air.close()
