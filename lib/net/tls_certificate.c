/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Certificates, keys and whom to trust, from files; and the one made in memory for development.
 *
 * Whatever is wrong with a file becomes one line that names the file and says what to do about it: OpenSSL's own words are for
 * those who know its inside. A key with a passphrase is refused: by itself OpenSSL would ask for it on the terminal.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/base/memory.h"
#include "lib/net/tls_openssl.h"

enum { OCSP_SIZE_MAX = 64 * 1024, GOOD_FOR_DAYS = 30 };

static int say(weft_tls_words *words, int error, const char *format, ...) WEFT_PRINTF(3, 4);

static int say(weft_tls_words *words, int error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(words->text, sizeof words->text, format, args);
    va_end(args);
    weft_tls_clear_errors();
    return error;
}

/* Can it be read at all? OpenSSL would say "system lib". */
static int look_at(const char *path, weft_tls_words *words)
{
    struct stat file;
    FILE *in = fopen(path, "re");
    if (!in)
        return say(words, -errno, "%s: %s", path, weft_strerror(-errno));
    bool is_folder = fstat(fileno(in), &file) == 0 && S_ISDIR(file.st_mode);
    fclose(in);
    return is_folder ? say(words, -EISDIR, "%s: %s", path, weft_strerror(-EISDIR)) : 0;
}

static bool is_one(unsigned long error, int lib, int reason)
{
    return ERR_GET_LIB(error) == lib && ERR_GET_REASON(error) == reason;
}

/* Where it went wrong first, or what came of it last. */
static bool is_error(int lib, int reason)
{
    return is_one(ERR_peek_error(), lib, reason) || is_one(ERR_peek_last_error(), lib, reason);
}

static int explain(weft_tls_words *words, const char *path, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    if (is_error(ERR_LIB_SSL, ERR_R_MALLOC_FAILURE))
        return say(words, -ENOMEM, "%s: out of memory", path);
    if (is_error(ERR_LIB_SSL, SSL_R_EE_KEY_TOO_SMALL) || is_error(ERR_LIB_SSL, SSL_R_CA_KEY_TOO_SMALL))
        return say(words, -EINVAL, "%s: its key is too weak: RSA needs 2048 bits, an elliptic curve 224", path);
    if (is_error(ERR_LIB_SSL, SSL_R_CA_MD_TOO_WEAK))
        return say(words, -EINVAL, "%s: it is signed with a digest that is too weak: SHA-256 is the least", path);
    if (is_error(ERR_LIB_PEM, PEM_R_NO_START_LINE) || is_error(ERR_LIB_OSSL_DECODER, ERR_R_UNSUPPORTED) ||
        is_error(ERR_LIB_X509, X509_R_NO_CERTIFICATE_OR_CRL_FOUND))
        return say(words, -EINVAL, "%s: there is no %s in it (PEM is wanted)", path, what);
    return say(words, -EINVAL, "%s: this %s cannot be used: %s", path, what, reason ? reason : "unknown error");
}

static int refuse_passphrase(char *buf, int size, int is_writing, void *context)
{
    (void)buf;
    (void)size;
    (void)is_writing;
    *(bool *)context = true;
    return -1;
}

static int load_key(SSL_CTX *ctx, const weft_tls_certificate *files, weft_tls_words *words)
{
    bool has_passphrase = false;
    SSL_CTX_set_default_passwd_cb(ctx, refuse_passphrase);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, &has_passphrase);
    bool is_loaded = SSL_CTX_use_PrivateKey_file(ctx, files->key_file, SSL_FILETYPE_PEM) == 1;
    SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
    if (has_passphrase)
        return say(words, -EINVAL, "%s: the key has a passphrase: write it to a file without one (openssl pkey)",
                   files->key_file);
    if (is_error(ERR_LIB_X509, X509_R_KEY_VALUES_MISMATCH) || is_error(ERR_LIB_X509, X509_R_KEY_TYPE_MISMATCH))
        return say(words, -EINVAL, "%s: it is not the key of the certificate in %s", files->key_file, files->cert_file);
    if (!is_loaded)
        return explain(words, files->key_file, "private key");
    if (SSL_CTX_check_private_key(ctx) != 1)
        return say(words, -EINVAL, "%s: it is not the key of the certificate in %s", files->key_file, files->cert_file);
    return 0;
}

/* A key is for its owner, and perhaps a group: who lets others read it is told, as they may not know. */
static void look_for_readers(const char *path)
{
    struct stat file;
    if (stat(path, &file) == 0 && file.st_mode & S_IROTH)
        weft_log(WEFT_LOG_WARNING, "TLS: %s: every user of this machine may read this key (chmod o-r)", path);
}

int weft_tls_load(SSL_CTX *ctx, const weft_tls_certificate *files, weft_tls_words *ret_words)
{
    weft_tls_clear_errors();
    int rc = look_at(files->cert_file, ret_words);
    if (rc == 0)
        rc = look_at(files->key_file, ret_words);
    if (rc < 0)
        return rc;
    if (SSL_CTX_use_certificate_chain_file(ctx, files->cert_file) != 1)
        return explain(ret_words, files->cert_file, "certificate");
    rc = load_key(ctx, files, ret_words);
    if (rc == 0)
        look_for_readers(files->key_file);
    return rc;
}

/* ---- OCSP ---- */

static int show_ocsp(SSL *ssl, void *context)
{
    const struct weft_tls_shown *shown = context;
    if (shown->ocsp_until && time(NULL) >= shown->ocsp_until)
        return SSL_TLSEXT_ERR_NOACK; /* some clients refuse an old one, and all go on without */
    unsigned char *copy = OPENSSL_memdup(shown->ocsp, shown->ocsp_size);
    if (!copy)
        return SSL_TLSEXT_ERR_NOACK;
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)shown->ocsp_size); /* takes it over */
    return SSL_TLSEXT_ERR_OK;
}

/* The file, at most OCSP_SIZE_MAX + 1 bytes of it. */
static size_t read_file(const char *path, unsigned char *buf)
{
    FILE *in = fopen(path, "re");
    size_t size = in ? fread(buf, 1, OCSP_SIZE_MAX + 1, in) : 0;
    if (in)
        fclose(in);
    return size;
}

/* NULL if it is none, or not a successful one. */
static OCSP_BASICRESP *parse_ocsp(const unsigned char *data, size_t size)
{
    const unsigned char *at = data;
    OCSP_RESPONSE *response = size <= OCSP_SIZE_MAX ? d2i_OCSP_RESPONSE(NULL, &at, (long)size) : NULL;
    bool is_good = response && at == data + size && OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL;
    OCSP_BASICRESP *basic = is_good ? OCSP_response_get1_basic(response) : NULL;
    OCSP_RESPONSE_free(response);
    return basic;
}

/* What it says of the certificate with this serial number; NULL: nothing. */
static OCSP_SINGLERESP *find_status(OCSP_BASICRESP *basic, const ASN1_INTEGER *serial)
{
    for (int i = 0; i < OCSP_resp_count(basic); i++) {
        OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
        ASN1_INTEGER *its;
        OCSP_id_get0_info(NULL, NULL, NULL, &its, (OCSP_CERTID *)(uintptr_t)OCSP_SINGLERESP_get0_id(single));
        if (ASN1_INTEGER_cmp(its, serial) == 0)
            return single;
    }
    return NULL;
}

static time_t good_until(OCSP_SINGLERESP *single)
{
    ASN1_GENERALIZEDTIME *next = NULL;
    struct tm utc;
    OCSP_single_get0_status(single, NULL, NULL, NULL, &next);
    return next && ASN1_TIME_to_tm(next, &utc) == 1 ? timegm(&utc) : 0;
}

static int check_ocsp(struct weft_tls_shown *shown, const char *path, weft_tls_words *words)
{
    OCSP_BASICRESP *basic = parse_ocsp(shown->ocsp, shown->ocsp_size);
    if (!basic)
        return say(words, -EINVAL, "%s: this is no successful OCSP response (DER is wanted)", path);
    OCSP_SINGLERESP *single = find_status(basic, X509_get0_serialNumber(SSL_CTX_get0_certificate(shown->ctx)));
    if (single)
        shown->ocsp_until = good_until(single);
    OCSP_BASICRESP_free(basic);
    if (!single)
        return say(words, -EINVAL, "%s: this OCSP response is for another certificate", path);
    if (shown->ocsp_until && time(NULL) >= shown->ocsp_until)
        weft_log(WEFT_LOG_WARNING, "TLS: %s: this OCSP response is out of date, and is not sent", path);
    return 0;
}

int weft_tls_load_ocsp(struct weft_tls_shown *shown, const char *path, weft_tls_words *ret_words)
{
    int rc = look_at(path, ret_words);
    if (rc < 0)
        return rc;
    shown->ocsp = weft_mem_alloc(OCSP_SIZE_MAX + 1); /* freed with the setup, also after an error */
    if (!shown->ocsp)
        return say(ret_words, -ENOMEM, "%s: out of memory", path);
    shown->ocsp_size = read_file(path, shown->ocsp);
    rc = check_ocsp(shown, path, ret_words);
    if (rc < 0)
        return rc;
    unsigned char *trimmed = weft_mem_realloc(shown->ocsp, shown->ocsp_size);
    shown->ocsp = trimmed ? trimmed : shown->ocsp;
    SSL_CTX_set_tlsext_status_cb(shown->ctx, show_ocsp);
    SSL_CTX_set_tlsext_status_arg(shown->ctx, shown);
    return 0;
}

/* ---- whom to trust ---- */

int weft_tls_load_trust(SSL_CTX *ctx, const char *path, weft_tls_words *ret_words)
{
    weft_tls_clear_errors();
    if (!path)
        return SSL_CTX_set_default_verify_paths(ctx) == 1 ? 0 : explain(ret_words, "the system's certificates", "certificate");
    int rc = look_at(path, ret_words);
    if (rc < 0)
        return rc;
    return SSL_CTX_load_verify_file(ctx, path) == 1 ? 0 : explain(ret_words, path, "certificate");
}

/* ---- made in memory ---- */

static bool add_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    bool is_added = extension && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return is_added;
}

static bool fill(X509 *cert, EVP_PKEY *key)
{
    uint64_t serial;
    X509_NAME *name = X509_get_subject_name(cert);
    return RAND_bytes((unsigned char *)&serial, sizeof serial) == 1 && X509_set_version(cert, X509_VERSION_3) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(cert), -60 * 60L) && /* clocks differ */
           X509_gmtime_adj(X509_getm_notAfter(cert), GOOD_FOR_DAYS * 24 * 60 * 60L) && X509_set_pubkey(cert, key) == 1 &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0) == 1 &&
           X509_set_issuer_name(cert, name) == 1 &&
           add_extension(cert, NID_subject_alt_name, "DNS:localhost, DNS:*.localhost, IP:127.0.0.1, IP:::1") &&
           add_extension(cert, NID_basic_constraints, "critical, CA:FALSE") &&
           add_extension(cert, NID_key_usage, "critical, digitalSignature") &&
           add_extension(cert, NID_ext_key_usage, "serverAuth") && X509_sign(cert, key, EVP_sha256()) > 0;
}

int weft_tls_make_certificate(X509 **ret_cert, EVP_PKEY **ret_key)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    if (!key || !cert || !fill(cert, key)) {
        X509_free(cert);
        EVP_PKEY_free(key);
        weft_tls_clear_errors();
        return -ENOMEM;
    }
    *ret_cert = cert;
    *ret_key = key;
    return 0;
}

void weft_tls_fingerprint_of(const X509 *cert, char ret_text[WEFT_TLS_FINGERPRINT + 1])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (!cert || X509_digest(cert, EVP_sha256(), digest, &size) != 1)
        size = 0;
    for (unsigned i = 0; i < size; i++) {
        ret_text[2 * i] = hex[digest[i] >> 4];
        ret_text[2 * i + 1] = hex[digest[i] & 15];
    }
    ret_text[2 * size] = '\0';
}
