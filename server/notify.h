/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Words to the service manager, by the protocol of sd_notify(3). */
#ifndef WEFT_SERVER_NOTIFY_H
#define WEFT_SERVER_NOTIFY_H

/* Sends an assignment ("READY=1", "STOPPING=1") to the socket that NOTIFY_SOCKET names; nothing if it names none. May block for
 * a second at most; what fails is logged. */
void weft_notify(const char *assignment);

#endif
