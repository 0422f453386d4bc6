// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The signals that end a command which otherwise runs on. Not handlers.
 */
#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

int signals_open(bool resize)
{
	const int ends[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction before;
	sigset_t set;
	int fd;

	sigemptyset(&set);
	/* One that is ignored (nohup, or in a script's background) would be read from the descriptor all the same. */
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		if (!sigaction(ends[i], NULL, &before) && before.sa_handler != SIG_IGN)
			sigaddset(&set, ends[i]);
	if (resize)
		sigaddset(&set, SIGWINCH);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

int signals_take(int signals)
{
	struct signalfd_siginfo info;

	return read(signals, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo : 0;
}
