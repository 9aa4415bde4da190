"""What the topics that run against a gateway have in common: buckets, the proxy that makes faults, rclone as a second
reader, the gateway's administration."""
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
import sys
import tempfile
import time

from harness import check, equal, same_trees, scan

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
        self.env = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}"}
        # As `flaky start`, `flaky mode` ... do, but each of those takes a fifth of a second of Python.
        self.process = subprocess.Popen(
            [sys.executable, SERVERS / "flaky", "serve", f"127.0.0.1:{self.port}",
             it.env["AWS_ENDPOINT_URL"].removeprefix("http://")],
            env={**it.env, "FLAKY_DIR": self.dir}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        it.wait_for(self.answers, what="the proxy")

    def answers(self):
        try:
            return bool(self.status())
        except OSError:
            check(self.process.poll() is None, "the proxy does not start")
            return False

    def ask(self, *words):
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(30)
            control.connect(f"{self.dir}/control")
            control.sendall(json.dumps(words).encode() + b"\n")
            answer = json.loads(control.makefile().readline())
        check("error" not in answer, "the proxy refuses it", words, answer)
        return answer

    def close(self):
        try:
            self.ask("stop")
            self.process.wait(10)
        except (OSError, ValueError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def mode(self, *rules):
        self.ask("mode", *rules)

    def status(self):
        return self.ask("status")

    def all_hit(self):
        for rule in self.status()["rules"]:
            check(rule["hits"] > 0 or rule["rule"] == "ok", f"the fault '{rule['rule']}' did not happen", *self.log()[-40:])

    def log(self):
        """Requests that are over, in the order of their ends."""
        with open(f"{self.dir}/log", encoding="utf-8") as file:
            return [json.loads(line) for line in file.read().splitlines()]

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
