// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Quotes commands for the shell, and runs programs without one. Not a place that knows any of them.
 */
#include "shell.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	OUTPUT_MAX = 32 << 20, /* bytes */
	SECONDS_MAX = 30,
};

int command_add(char **command, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:,=+@%-";
	size_t length = *command ? strlen(*command) : 0;
	/* A quote takes four bytes, '\''; around the word are a space, two quotes and the NUL. */
	char *grown = realloc(*command, length + 4 * strlen(word) + 4), *end;

	if (!grown)
		return -ENOMEM;
	*command = grown;
	end = grown + length;
	if (length)
		*end++ = ' ';
	if (*word && strspn(word, plain) == strlen(word)) {
		strcpy(end, word);
		return 0;
	}
	*end++ = '\'';
	for (; *word; word++) {
		if (*word == '\'')
			end = stpcpy(end, "'\\''");
		else
			*end++ = *word;
	}
	strcpy(end, "'");
	return 0;
}

char *command_of(const char *const *words)
{
	char *command = NULL;

	for (; *words; words++) {
		if (command_add(&command, *words)) {
			free(command);
			return NULL;
		}
	}
	return command;
}

/* Adds to PATH where programs for the administrator are: not all shells have it there. */
static void path_extend(void)
{
	static bool done;
	const char *path = getenv("PATH");
	char *longer;

	if (done || asprintf(&longer, "%s%s/usr/sbin:/sbin", path ?: "", path && *path ? ":" : "") < 0)
		return;
	setenv("PATH", longer, 1);
	free(longer);
	done = true;
}

/* Starts the program with its standard output in a pipe. Returns the pipe's end to read from, or -errno. */
static int program_start(const char *const *words, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	int ends[2], err;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	path_extend();
	err = -posix_spawn_file_actions_init(&actions);
	if (!err) {
		err = -posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)	    ?:
		      -posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)			    ?:
		      -posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0) ?:
		      -posix_spawnp(pid, words[0], &actions, NULL, (char *const *)words, environ);
		posix_spawn_file_actions_destroy(&actions);
	}
	close(ends[1]);
	if (err)
		close(ends[0]);
	return err ?: ends[0];
}

/* Milliseconds that are left, at least 0. */
static int time_left(const struct timespec *deadline)
{
	struct timespec now;
	long left;

	clock_gettime(CLOCK_MONOTONIC, &now);
	left = (deadline->tv_sec - now.tv_sec) * 1000 + (deadline->tv_nsec - now.tv_nsec) / 1000000;
	return left > 0 ? left : 0;
}

/* Reads to the end. Returns 0 or -errno. */
static int output_read(int fd, char **text, size_t *length)
{
	struct timespec deadline;
	size_t room = 0;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += SECONDS_MAX;
	for (;;) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		ssize_t got;

		if (room - *length < 2) {
			char *grown;

			if (room == OUTPUT_MAX)
				return -EFBIG;
			room = room ? room * 2 : 1 << 16;
			grown = realloc(*text, room);
			if (!grown)
				return -ENOMEM;
			*text = grown;
		}
		got = poll(&wait, 1, time_left(&deadline));
		if (!got)
			return -ETIMEDOUT;
		got = got < 0 ? got : read(fd, *text + *length, room - *length - 1);
		if (got < 0 && errno != EINTR)
			return -errno;
		if (!got) {
			(*text)[*length] = '\0';
			return 0;
		}
		*length += got > 0 ? got : 0;
	}
}

int program_run(const char *const *words, char **text, size_t *length)
{
	int fd, err, status = 0;
	pid_t pid;

	*text = NULL;
	*length = 0;
	fd = program_start(words, &pid);
	if (fd < 0)
		return fd == -EACCES ? -ENOENT : fd;
	err = output_read(fd, text, length);
	close(fd);
	if (err)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!err && status)
		err = -EIO;
	if (err) {
		free(*text);
		*text = NULL;
	}
	return err;
}
