/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The signals that end a command which otherwise runs on. Not what it does then.
 */
#ifndef MSSBPF_SIGNALS_H
#define MSSBPF_SIGNALS_H

#include <stdbool.h>

/*
 * From now on SIGINT, SIGTERM and SIGHUP (those that are not ignored), and with `resize` SIGWINCH, can be read from the
 * descriptor that is returned. The first ends nothing by itself; the second of a kind ends the process at once, which
 * may be stuck in writing what nobody reads. SIGPIPE is ignored: writing fails with EPIPE instead. Returns -errno on
 * failure.
 */
int signals_open(bool resize);

/* Takes a signal that poll() says is there. Returns its number, or 0. */
int signals_take(int signals);

#endif
