/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "server/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <weft/error.h>
#include <weft/log.h>

/* A file's path, or after '@' a name in the abstract namespace. 0 or -errno. */
static int read_address(struct sockaddr_un *ret_address, socklen_t *ret_size, const char *text)
{
    size_t size = strlen(text);
    if (*text != '/' && *text != '@')
        return -EAFNOSUPPORT; /* vsock, say */
    if (size >= sizeof ret_address->sun_path)
        return -ENAMETOOLONG;
    *ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    memcpy(ret_address->sun_path, text, size);
    if (*text == '@')
        ret_address->sun_path[0] = '\0'; /* of such a name the length counts: no NUL at its end */
    *ret_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (*text == '/'));
    return 0;
}

static int send_to(const char *text, const char *assignment)
{
    struct sockaddr_un address;
    socklen_t size;
    int rc = read_address(&address, &size, text);
    if (rc < 0)
        return rc;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    struct timeval second = { .tv_sec = 1 }; /* the manager's queue may be full for a moment */
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof second) < 0 ||
        sendto(fd, assignment, strlen(assignment), MSG_NOSIGNAL, (struct sockaddr *)&address, size) < 0)
        rc = -errno;
    close(fd);
    return rc;
}

void weft_notify(const char *assignment)
{
    const char *text = getenv("NOTIFY_SOCKET");
    if (!text || !*text)
        return;
    int rc = send_to(text, assignment);
    if (rc < 0)
        weft_log(WEFT_LOG_WARNING, "cannot send %s to NOTIFY_SOCKET=%s: %s", assignment, text, weft_strerror(rc));
}
