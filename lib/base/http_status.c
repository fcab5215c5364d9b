/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "lib/base/http_status.h"

#include <stddef.h>

static const char *const informational[] = { "Continue", "Switching Protocols", "Processing", "Early Hints" };

static const char *const successful[] = { "OK",
                                          "Created",
                                          "Accepted",
                                          "Non-Authoritative Information",
                                          "No Content",
                                          "Reset Content",
                                          "Partial Content",
                                          "Multi-Status",
                                          "Already Reported" };

static const char *const redirection[] = { "Multiple Choices",  "Moved Permanently", "Found", "See Other",
                                           "Not Modified",      "Use Proxy",         NULL,    "Temporary Redirect",
                                           "Permanent Redirect" };

static const char *const client_error[] = {
    "Bad Request",
    "Unauthorized",
    "Payment Required",
    "Forbidden",
    "Not Found",
    "Method Not Allowed",
    "Not Acceptable",
    "Proxy Authentication Required",
    "Request Timeout",
    "Conflict",
    "Gone",
    "Length Required",
    "Precondition Failed",
    "Content Too Large",
    "URI Too Long",
    "Unsupported Media Type",
    "Range Not Satisfiable",
    "Expectation Failed",
    NULL,
    NULL,
    NULL,
    "Misdirected Request",
    "Unprocessable Content",
    "Locked",
    "Failed Dependency",
    "Too Early",
    "Upgrade Required",
    NULL,
    "Precondition Required",
    "Too Many Requests",
    NULL,
    "Request Header Fields Too Large",
};

static const char *const server_error[] = { "Internal Server Error",   "Not Implemented",      "Bad Gateway",
                                            "Service Unavailable",     "Gateway Timeout",      "HTTP Version Not Supported",
                                            "Variant Also Negotiates", "Insufficient Storage", "Loop Detected" };

#define ROW(table)                                                                                                             \
    {                                                                                                                          \
        (table), sizeof(table) / sizeof(table)[0]                                                                              \
    }

const char *weft_http_status_text(int status)
{
    static const struct {
        const char *const *texts;
        size_t count;
    } rows[] = { ROW(informational), ROW(successful), ROW(redirection), ROW(client_error), ROW(server_error) };
    if (status < 100 || status > 599)
        return "Unknown";
    size_t row = (size_t)status / 100 - 1, column = (size_t)status % 100;
    if (column >= rows[row].count || !rows[row].texts[column])
        return "Unknown";
    return rows[row].texts[column];
}
