/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Weft, an asynchronous HTTP server framework, and the runtime it stands on: everything but weft/test.h. */
#ifndef WEFT_H
#define WEFT_H

#include <weft/app.h>
#include <weft/barrier.h>
#include <weft/base.h>
#include <weft/concurrent.h>
#include <weft/debug.h>
#include <weft/error.h>
#include <weft/event.h>
#include <weft/fd.h>
#include <weft/file.h>
#include <weft/folder.h>
#include <weft/generator.h>
#include <weft/held.h>
#include <weft/lock.h>
#include <weft/log.h>
#include <weft/loop.h>
#include <weft/message.h>
#include <weft/offload.h>
#include <weft/once.h>
#include <weft/pool.h>
#include <weft/process.h>
#include <weft/queue.h>
#include <weft/rate.h>
#include <weft/request.h>
#include <weft/retry.h>
#include <weft/room.h>
#include <weft/scope.h>
#include <weft/select.h>
#include <weft/semaphore.h>
#include <weft/signal.h>
#include <weft/sse.h>
#include <weft/stream.h>
#include <weft/task.h>
#include <weft/time.h>
#include <weft/tls.h>
#include <weft/watch.h>
#include <weft/worker.h>
#include <weft/ws.h>

#endif
