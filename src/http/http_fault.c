#include "base/ban.h"
#include "http/http_internal.h"

#include <curl/curl.h>

struct host host_of_url(const char *url)
{
    const char *scheme_end = strstr(url, "://");
    const char *at = scheme_end != NULL ? scheme_end + 3 : url;
    const size_t len = strcspn(at, "/?#");
    for (size_t i = len; i > 0; i--)
        if (at[i - 1] == '@')
            return (struct host){ at + i, (int)(len - i) };
    return (struct host){ at, (int)len };
}

/* libcurl's message, or what it calls the code. */
static const char *message_of(const struct fault *fault)
{
    return fault->message[0] != '\0' ? fault->message : curl_easy_strerror((CURLcode)fault->code);
}

static int tell_tls(const struct fault *fault, struct host host, struct err *err)
{
    switch ((CURLcode)fault->code) {
    case CURLE_PEER_FAILED_VERIFICATION:
        err_set(err, ERR_CONFIG, "the certificate of '%.*s' does not verify: %s", host.len,
                host.text, message_of(fault));
        return err_hint(err, "if it is signed by an authority of your own, name its PEM file in "
                             "AWS_CA_BUNDLE");
    case CURLE_SSL_CACERT_BADFILE:
        err_set(err, ERR_CONFIG, "the CA file '%s' cannot be used: %s",
                fault->ca_file != NULL ? fault->ca_file : "of the system", message_of(fault));
        return err_hint(err, "AWS_CA_BUNDLE must name a PEM file of certificates");
    default:
        err_set(err, ERR_NET, "no TLS with '%.*s': %s", host.len, host.text, message_of(fault));
        return err_hint(err, "does the endpoint speak https on this port?");
    }
}

static int tell_no_connection(const struct fault *fault, struct host host, struct err *err)
{
    switch ((CURLcode)fault->code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        err_set(err, ERR_NET, "unknown host '%.*s'", host.len, host.text);
        return err_hint(err,
                        "check the name of the endpoint, and that this machine can look names up");
    case CURLE_COULDNT_RESOLVE_PROXY:
        err_set(err, ERR_NET, "unknown proxy: %s", message_of(fault));
        return err_hint(err, "check https_proxy and http_proxy in the environment");
    case CURLE_OPERATION_TIMEDOUT:
        return err_set(err, ERR_NET, "no connection to '%.*s' within %u s", host.len, host.text,
                       (fault->connect_ms + 999) / 1000);
    default: {
        err_set(err, ERR_NET, "no connection to '%.*s': %s", host.len, host.text,
                fault->sys != 0 ? strerrordesc_np(fault->sys) : message_of(fault));
        err->sys = fault->sys;
        return err_hint(err, "is the endpoint right, and is there a way to it from this machine?");
    }
    }
}

int fault_tell(const struct fault *fault, struct err *err)
{
    const struct host host = host_of_url(fault->url);
    switch ((CURLcode)fault->code) {
    case CURLE_URL_MALFORMAT:
    case CURLE_LOGIN_DENIED: /* a user in the URL */
        return err_set(err, ERR_CONFIG, "'%.*s' cannot be used in a URL: %s", host.len, host.text,
                       message_of(fault));
    case CURLE_UNSUPPORTED_PROTOCOL:
        if (fault->is_sent)
            break;
        return err_set(err, ERR_CONFIG, "neither http nor https: '%.*s'",
                       (int)(host.text - fault->url), fault->url);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CONNECT_ERROR:
        return tell_tls(fault, host, err);
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
        return tell_no_connection(fault, host, err);
    case CURLE_GOT_NOTHING:
        return err_set(err, ERR_NET, "'%.*s' closed the connection without an answer", host.len,
                       host.text);
    case CURLE_PARTIAL_FILE:
        return err_set(err, ERR_NET, "the answer of '%.*s' was cut off: %s", host.len, host.text,
                       message_of(fault));
    case CURLE_OUT_OF_MEMORY:
        return err_set(err, ERR_LOCAL, "out of memory for a connection");
    default:
        break;
    }
    err_set(err, ERR_NET, "connection to '%.*s': %s", host.len, host.text, message_of(fault));
    err->sys = fault->sys;
    return -1;
}
