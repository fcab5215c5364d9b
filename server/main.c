/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* weft_app_main: flags, environment, serving, and the exit status. A bad flag is one clear line and status 2. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/net/address.h"
#include "server/app.h"
#include "server/door.h"
#include "server/routes.h"
#include "server/tls.h"
#include "server/workers.h"

enum { STATUS_CANNOT = 1, STATUS_BAD_USE = 2, NAME_SIZE = 32 };

enum { DAY = 24 * 60 * 60, HSTS_MAX = 10 * 366 * DAY }; /* seconds */

enum { FLAG_MAX = 32, TLS_MAX = 16 };

struct settings {
    weft_app_options options;
    weft_tls_options tls;
    weft_tls_certificate certificates[TLS_MAX]; /* the n-th flag of each kind belongs to the n-th */
    size_t key_count, ocsp_count;
    const char *listen[WEFT_LISTEN_MAX];
    char port_address[16];
    bool given[FLAG_MAX]; /* as a flag, so the environment does not count */
    bool prints_routes;
};

typedef bool apply_fn(struct settings *s, const char *value);

static bool parse_number(const char *text, long least, long most, long *ret_number)
{
    char *end;
    errno = 0;
    long n = *text >= '0' && *text <= '9' ? strtol(text, &end, 10) : -1;
    if (n < 0 || *end || errno || n < least || n > most)
        return false;
    *ret_number = n;
    return true;
}

static bool add_listen(struct settings *s, const char *address)
{
    weft_address parsed;
    enum weft_door_kind kind;
    if (s->options.listen_count == WEFT_LISTEN_MAX || weft_address_parse(&parsed, weft_door_address(address, false, &kind)) < 0)
        return false;
    s->listen[s->options.listen_count++] = address;
    return true;
}

static bool apply_listen(struct settings *s, const char *value)
{
    return add_listen(s, value);
}

static bool apply_port(struct settings *s, const char *value)
{
    long port;
    if (*s->port_address || !parse_number(value, 0, 65535, &port))
        return false;
    snprintf(s->port_address, sizeof s->port_address, ":%ld", port);
    return add_listen(s, s->port_address);
}

/* 0 in an option is the default: "at once" is a millisecond. */
static bool parse_seconds(const char *text, double most, weft_duration *ret_duration)
{
    char *end;
    errno = 0;
    double seconds = *text >= '0' && *text <= '9' ? strtod(text, &end) : -1;
    if (seconds < 0 || *end || errno || seconds > most)
        return false;
    weft_duration d = (weft_duration)(seconds * (double)WEFT_SECOND);
    *ret_duration = d > 0 ? d : WEFT_MILLISECOND;
    return true;
}

static bool apply_announce(struct settings *s, const char *value)
{
    return parse_seconds(value, DAY, &s->options.announce);
}

static bool apply_drain(struct settings *s, const char *value)
{
    return parse_seconds(value, DAY, &s->options.drain);
}

static bool apply_level(struct settings *s, const char *value)
{
    static const char *const names[] = { "error", "warning", "info", "debug" };
    for (int i = 0; i < 4; i++) {
        if (strcmp(names[i], value) != 0)
            continue;
        s->options.log_level = (enum weft_log_level)i;
        s->options.log_level_is_set = true;
        return true;
    }
    return false;
}

static bool apply_log_format(struct settings *s, const char *value)
{
    s->options.log_format = strcmp(value, "json") == 0 ? WEFT_LOG_JSON : WEFT_LOG_TEXT;
    return s->options.log_format == WEFT_LOG_JSON || strcmp(value, "text") == 0;
}

static bool apply_debug(struct settings *s, const char *value)
{
    if (strcmp(value, "1") != 0 && strcmp(value, "0") != 0)
        return false;
    s->options.debug = *value == '1';
    return true;
}

static bool apply_proxy_protocol(struct settings *s, const char *value)
{
    s->options.proxy_protocol = value;
    return *value != '\0';
}

static bool apply_access_log(struct settings *s, const char *value)
{
    s->options.access_log = value;
    return *value != '\0';
}

static bool apply_access_log_format(struct settings *s, const char *value)
{
    static const char *const names[] = { "common", "combined", "json" };
    for (int i = 0; i < 3; i++) {
        if (strcmp(names[i], value) != 0)
            continue;
        s->options.access_log_format = (enum weft_access_log_format)i;
        return true;
    }
    return false;
}

static bool apply_workers(struct settings *s, const char *value)
{
    long count = WEFT_WORKERS_AUTO;
    if (strcmp(value, "auto") != 0 && !parse_number(value, 1, WEFT_WORKERS_MAX, &count))
        return false;
    s->options.workers = (int)count;
    return true;
}

static bool apply_tls_cert(struct settings *s, const char *value)
{
    if (s->tls.certificate_count == TLS_MAX)
        return false;
    s->certificates[s->tls.certificate_count++].cert_file = value;
    return *value != '\0';
}

static bool apply_tls_key(struct settings *s, const char *value)
{
    if (s->key_count == TLS_MAX)
        return false;
    s->certificates[s->key_count++].key_file = value;
    return *value != '\0';
}

static bool apply_tls_ocsp(struct settings *s, const char *value)
{
    if (s->ocsp_count == TLS_MAX)
        return false;
    s->certificates[s->ocsp_count++].ocsp_file = value;
    return *value != '\0';
}

static bool apply_tls_self_signed(struct settings *s, const char *value)
{
    s->tls.self_signed = *value == '1';
    return strcmp(value, "1") == 0 || strcmp(value, "0") == 0;
}

static bool apply_tls_client_ca(struct settings *s, const char *value)
{
    s->tls.client_ca_file = value;
    if (s->tls.client_auth == WEFT_TLS_NO_CLIENT_CERTIFICATE)
        s->tls.client_auth = WEFT_TLS_CLIENT_CERTIFICATE_REQUIRED;
    return *value != '\0';
}

static bool apply_tls_client_optional(struct settings *s, const char *value)
{
    if (*value == '1')
        s->tls.client_auth = WEFT_TLS_CLIENT_CERTIFICATE_OPTIONAL;
    return strcmp(value, "1") == 0 || strcmp(value, "0") == 0;
}

static bool apply_hsts(struct settings *s, const char *value)
{
    return parse_seconds(value, HSTS_MAX, &s->tls.hsts);
}

static const struct flag {
    const char *name, *variable, *value, *help;
    apply_fn *apply;
} flags[] = {
    { "--listen", "WEFT_LISTEN", "ADDR:PORT",
      "listen there; may be repeated: 127.0.0.1:8080, [::1]:8080, :8080 (everywhere), unix:PATH;\n"
      "                         by TLS if there is a certificate; http://ADDR:PORT: without; redirect://ADDR:PORT: lead to it",
      apply_listen },
    { "--port", "WEFT_PORT", "N", "listen on this port everywhere (8080; 0: any free one)", apply_port },
    { "--workers", "WEFT_WORKERS", "N", "serve with so many threads; auto: as many as there are processors (1)",
      apply_workers },
    { "--announce", "WEFT_ANNOUNCE", "SECONDS", "when stopping, say so on /readyz for so long before the door is closed (0)",
      apply_announce },
    { "--drain", "WEFT_DRAIN", "SECONDS", "when stopping, let requests in flight take so long (15)", apply_drain },
    { "--log-level", "WEFT_LOG_LEVEL", "LEVEL", "error, warning, info or debug (info)", apply_level },
    { "--log-format", "WEFT_LOG_FORMAT", "NAME", "text or json (text)", apply_log_format },
    { "--access-log", "WEFT_ACCESS_LOG", "FILE", "append a record of each request to it (-: standard output)",
      apply_access_log },
    { "--access-log-format", "WEFT_ACCESS_LOG_FORMAT", "NAME", "common, combined or json (common)", apply_access_log_format },
    { "--tls-cert", "WEFT_TLS_CERT", "FILE",
      "speak TLS, with this certificate and its issuers (PEM); may be repeated, each with its key", apply_tls_cert },
    { "--tls-key", "WEFT_TLS_KEY", "FILE", "the certificate's key (PEM, no passphrase)", apply_tls_key },
    { "--tls-ocsp", "WEFT_TLS_OCSP", "FILE", "an OCSP response (DER) to staple to the certificate", apply_tls_ocsp },
    { "--tls-client-ca", "WEFT_TLS_CLIENT_CA", "FILE", "clients need a certificate that one of these (PEM) has signed",
      apply_tls_client_ca },
    { "--tls-client-optional", "WEFT_TLS_CLIENT_OPTIONAL", NULL, "clients may show one; handlers decide",
      apply_tls_client_optional },
    { "--tls-self-signed", "WEFT_TLS_SELF_SIGNED", NULL, "for development: speak TLS, with a certificate made in memory",
      apply_tls_self_signed },
    { "--hsts", "WEFT_HSTS", "SECONDS", "tell browsers to use TLS alone for so long", apply_hsts },
    { "--proxy-protocol", "WEFT_PROXY_PROTOCOL", "NETWORKS",
      "connections come from balancers there (10.0.0.0/8,::1,unix) and begin with a PROXY header", apply_proxy_protocol },
    { "--debug", "WEFT_DEBUG", NULL, "debug mode: report mistakes, log more", apply_debug },
};

enum { FLAG_COUNT = sizeof flags / sizeof flags[0] };
_Static_assert((int)FLAG_COUNT <= (int)FLAG_MAX, "given has room");

static int complain(const char *program, const char *format, ...) WEFT_PRINTF(2, 3);

static int complain(const char *program, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s: ", program);
    vfprintf(stderr, format, args);
    fprintf(stderr, " (see --help)\n");
    va_end(args);
    return STATUS_BAD_USE;
}

static void print_help(const char *program)
{
    printf("usage: %s [flags]\n\n", program);
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        char left[64];
        snprintf(left, sizeof left, "%s%s%s", flags[i].name, flags[i].value ? " " : "", flags[i].value ? flags[i].value : "");
        printf("  %-22s %s\n  %-22s or the variable %s%s\n", left, flags[i].help, "", flags[i].variable,
               flags[i].value ? "" : "=1");
    }
    printf("  %-22s print the routes, in the order in which they are tried, and exit\n", "--routes");
    printf("  %-22s this text\n  %-22s the version of Weft\n\nSIGTERM and SIGINT stop it: requests in flight finish; a second "
           "one cancels them, a third exits\nat once. SIGQUIT lists the tasks. SIGHUP opens the access log anew, and "
           "reads\ncertificates again.\n",
           "--help", "--version");
}

/* Reads the flag at argv[*at]; 0, or the exit status. */
static int read_flag(struct settings *s, int argc, char **argv, int *at)
{
    const char *word = argv[*at];
    size_t size = strcspn(word, "=");
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        const struct flag *flag = &flags[i];
        if (strlen(flag->name) != size || strncmp(word, flag->name, size) != 0)
            continue;
        const char *value = word[size] == '=' ? word + size + 1 : NULL;
        if (!flag->value) {
            if (value)
                return complain(argv[0], "%s takes no value", flag->name);
            value = "1";
        } else if (!value) {
            if (*at + 1 >= argc)
                return complain(argv[0], "%s wants a value: %s", flag->name, flag->value);
            value = argv[++*at];
        }
        s->given[i] = true;
        return flag->apply(s, value) ? 0 : complain(argv[0], "%s %s: not a value it takes", flag->name, value);
    }
    return complain(argv[0], "%s: no such flag", word);
}

static bool is_address(const struct flag *flag)
{
    return flag->apply == apply_listen || flag->apply == apply_port;
}

static int read_environment(struct settings *s, const char *program)
{
    bool has_address = s->options.listen_count > 0;
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        const struct flag *flag = &flags[i];
        const char *value = getenv(flag->variable);
        if (!value || !*value || s->given[i] || (is_address(flag) && has_address))
            continue;
        if (!flag->apply(s, value))
            return complain(program, "%s=%s: not a value it takes", flag->variable, value);
    }
    return 0;
}

/* 0 to go on, -1 when all is done (help), or the exit status. Flags go before the environment. */
static int read_settings(struct settings *s, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            print_help(argv[0]);
            return -1;
        }
        if (strcmp(argv[i], "--version") == 0) {
            printf("weft %s\n", weft_version());
            return -1;
        }
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--routes") == 0) {
            s->prints_routes = true;
            continue;
        }
        int rc = read_flag(s, argc, argv, &i);
        if (rc != 0)
            return rc;
    }
    return read_environment(s, argv[0]);
}

static int status_of_problems(const weft_app *app, const char *program)
{
    for (int i = 0; i < app->problem_count && i < WEFT_APP_PROBLEMS_MAX; i++)
        fprintf(stderr, "%s: %s\n", program, app->problems[i]);
    if (app->problem_count > WEFT_APP_PROBLEMS_MAX)
        fprintf(stderr, "%s: and %d more\n", program, app->problem_count - WEFT_APP_PROBLEMS_MAX);
    return app->problem_count ? STATUS_BAD_USE : 0;
}

static int print_routes(const weft_app *app, const char *program)
{
    int rc = weft_routes_print(app, stdout);
    if (rc < 0)
        fprintf(stderr, "%s: --routes: %s\n", program, weft_strerror(rc));
    int status = status_of_problems(app, program);
    return status == 0 && rc < 0 ? STATUS_CANNOT : status;
}

/* Until the process exits: one that comes between the end of serving and the exit asks for what is happening, and must not
 * change the exit status. */
static void block_requests_to_stop(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

/* What the flags say of TLS goes in the place of what the program has said. */
static int set_tls(weft_app *app, struct settings *s, const char *program)
{
    weft_tls_options *o = &s->tls;
    if (s->key_count != o->certificate_count || s->ocsp_count > o->certificate_count)
        return complain(program, "each --tls-cert needs its --tls-key, and each --tls-ocsp its certificate");
    bool is_wanted = o->certificate_count > 0 || o->self_signed;
    if (!is_wanted && (o->client_auth != WEFT_TLS_NO_CLIENT_CERTIFICATE || o->hsts > 0))
        return complain(program, "--tls-client-ca, --tls-client-optional and --hsts are for TLS: there is no certificate");
    if (o->client_auth != WEFT_TLS_NO_CLIENT_CERTIFICATE && !o->client_ca_file)
        return complain(program, "--tls-client-optional needs --tls-client-ca");
    o->struct_size = sizeof *o;
    o->certificates = s->certificates;
    return is_wanted && weft_app_tls_with(app, o) < 0 ? STATUS_CANNOT : 0;
}

static int run(weft_app *app, int argc, char **argv)
{
    struct settings s = { .options = { .struct_size = sizeof(weft_app_options) } };
    s.options.listen = s.listen;
    int rc = read_settings(&s, argc, argv);
    if (rc != 0)
        return rc < 0 ? 0 : rc;
    if (s.prints_routes)
        return print_routes(app, argv[0]);
    rc = status_of_problems(app, argv[0]);
    if (rc != 0)
        return rc;
    if (weft_app_configure(app, &s.options) < 0)
        return STATUS_CANNOT;
    rc = set_tls(app, &s, argv[0]);
    if (rc != 0)
        return rc;
    block_requests_to_stop();
    rc = weft_app_serve(app);
    return rc < 0 ? STATUS_CANNOT : rc;
}

int weft_app_main(weft_app *app, int argc, char **argv)
{
    if (!app) {
        fprintf(stderr, "%s: out of memory\n", argc > 0 ? argv[0] : "weft");
        return STATUS_CANNOT;
    }
    int status = run(app, argc, argv);
    weft_app_free(app);
    return status;
}
