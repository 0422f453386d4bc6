// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The signals that end a command which otherwise runs on. Not what it does then.
 */
#include "signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static int taken[2]; /* a pipe */

static void take(int number)
{
	const unsigned char byte = number;
	int before = errno;

	if (write(taken[1], &byte, 1) < 0) /* full: who reads it has enough to go by */
		errno = before;
}

/* One that is ignored stays so (nohup, or in a script's background). Returns 0 or -errno. */
static int signal_catch(int number, int flags)
{
	const struct sigaction action = { .sa_handler = take, .sa_flags = SA_RESTART | flags };
	struct sigaction before;

	if (sigaction(number, NULL, &before))
		return -errno;
	return before.sa_handler != SIG_IGN && sigaction(number, &action, NULL) ? -errno : 0;
}

int signals_open(bool resize)
{
	const int ends[] = { SIGINT, SIGTERM, SIGHUP };
	int err = pipe2(taken, O_CLOEXEC | O_NONBLOCK) ? -errno : 0;

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends) && !err; i++)
		err = signal_catch(ends[i], SA_RESETHAND);
	if (resize && !err)
		err = signal_catch(SIGWINCH, 0);
	return err ?: taken[0];
}

int signals_take(int signals)
{
	unsigned char byte;

	return read(signals, &byte, 1) == 1 ? byte : 0;
}
