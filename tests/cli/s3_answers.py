"""What lade makes of answers that no gateway here gives: a server of a few lines says them."""
import contextlib
import email.utils
import http.server
import threading
import time
import urllib.parse

from harness import case, check, equal, main

KEYS = {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_REGION": "us-east-1"}
EMPTY = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"


@contextlib.contextmanager
def server(answer, ahead_s=0):
    """answer(request, query) gives (status, headers, body); yields the headers of what was asked, and the environment to ask it."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def date_time_string(self, timestamp=None):
            return email.utils.formatdate((timestamp or time.time()) + ahead_s, usegmt=True)

        def do_GET(self):
            query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query, keep_blank_values=True))
            asked.append(self.headers)
            status, headers, body = answer(self, query)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else body)

        do_HEAD = do_GET

        def log_message(self, *_args):
            pass

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield asked, {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{listening.server_address[1]}"}
    finally:
        listening.shutdown()
        listening.server_close()


def error(code, more=""):
    return f"<Error><Code>{code}</Code><Message/>{more}</Error>".encode()


def region_of(headers):
    return headers["Authorization"].split("Credential=")[1].split("/")[2]


@case
def region_in_an_error_is_learnt(it):
    def answer(request, _query):
        if region_of(request.headers) != "eu-9":
            return 400, {}, error("AuthorizationHeaderMalformed", "<Region>eu-9</Region>")
        return 200, {}, EMPTY
    with server(answer) as (asked, env):
        it.lade("ls", "-R", "s3://bucket/", env=env)
        equal([region_of(headers) for headers in asked], ["us-east-1", "eu-9"], "regions")


@case
def region_in_a_redirect_is_learnt(it):
    def answer(request, _query):
        if region_of(request.headers) != "eu-9":
            return 301, {"x-amz-bucket-region": "eu-9"}, error("PermanentRedirect")
        return 404 if request.command == "HEAD" else 200, {}, EMPTY
    with server(answer) as (asked, env):
        it.lade("ls", "s3://bucket/dir", env=env, status=(0, 1))
        equal([region_of(headers) for headers in asked], ["us-east-1", "eu-9"] * 2, "regions")


@case
def region_that_is_none_is_not_believed(it):
    def answer(_request, _query):
        return 400, {"x-amz-bucket-region": "evil.example/"}, error("AuthorizationHeaderMalformed")
    with server(answer) as (asked, env):
        it.lade("ls", "s3://bucket/", env=env, status=3).has("--region")
        equal(len(asked), 1)


@case
def wrong_clock_is_told_once_and_worked_around(it):
    def answer(request, query):
        at = time.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ")
        if abs(time.mktime(at) - time.timezone - (time.time() + 1200)) > 900:
            return 403, {}, error("RequestTimeTooSkewed")
        if "continuation-token" in query:
            return 200, {}, EMPTY
        return 200, {}, EMPTY.replace(b"false", b"true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
                                      b"<IsTruncated>true")
    with server(answer, ahead_s=1200) as (asked, env):
        done = it.lade("ls", "-R", "s3://bucket/", env=env).has("clock")
        equal(done.err.count("clock"), 1)
        equal(len(asked), 3)


@case
def token_that_xml_cannot_say_is_replaced_by_the_last_key(it):
    def answer(_request, query):
        if "start-after" not in query:
            check("continuation-token" not in query, "a broken token was sent", query)
            return 200, {}, (b"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>a\x01b</NextContinuationToken>"
                             b"<Contents><Key>a%01b</Key><Size>1</Size></Contents></ListBucketResult>")
        equal(query["start-after"], "a\x01b")
        return 200, {}, b"<ListBucketResult><IsTruncated>false</IsTruncated>" \
            b"<Contents><Key>c</Key><Size>1</Size></Contents></ListBucketResult>"
    with server(answer) as (_, env):
        equal(it.lade("ls", "-R", "s3://bucket/", env=env).out, "a\x01b\nc\n")


@case
def pages_are_asked_for_again(it):
    def answer(_request, _query):
        return (503, {"Retry-After": "0"}, error("SlowDown")) if len(asked) < 3 else (200, {}, EMPTY)
    with server(answer) as (asked, env):
        it.lade("ls", "-R", "s3://bucket/", env=env)
        equal(len(asked), 3)


@case
def credentials_are_read_again_when_they_have_ended(it):
    def write(key):
        (it / "credentials").write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = s\n")

    def answer(request, _query):
        if "Credential=new/" in request.headers["Authorization"]:
            return 200, {}, EMPTY
        write("new")
        return 400, {}, error("ExpiredToken")
    write("old")
    with server(answer) as (asked, env):
        it.lade("ls", "-R", "s3://bucket/", status=0,
                env={**env, "AWS_ACCESS_KEY_ID": "", "AWS_SHARED_CREDENTIALS_FILE": str(it / "credentials")})
        equal(len(asked), 2)


@case
def answers_that_are_no_xml_end_the_listing(it):
    for body in (b"", b"<html>login</html", b"<ListBucketResult><Contents>", b"<!DOCTYPE L [<!ENTITY a 'b'>]><ListBucketResult>&a;</ListBucketResult>"):
        with server(lambda _request, _query, body=body: (200, {}, body)) as (_, env):
            it.lade("ls", "-R", "s3://bucket/", env=env, status=(1, 3)).has("XML")


if __name__ == "__main__":
    main()
