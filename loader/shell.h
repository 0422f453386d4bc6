/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Commands: as text that a shell reads back as the same words, and run for what they print. Not a shell.
 */
#ifndef MSSBPF_SHELL_H
#define MSSBPF_SHELL_H

#include <stddef.h>

/* Appends a word to a command (NULL: begins one), quoted where it has to be. Returns 0 or -ENOMEM. */
int command_add(char **command, const char *word);

/* A list of words with NULL at its end. */
#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* The words as a command that the caller frees, or NULL when memory is short. */
char *command_of(const char *const *words);

/*
 * Runs a program, found by PATH or in /usr/sbin and /sbin, and collects what it prints on standard output; the rest of
 * what it says is lost. *text ends with a NUL, which does not count; the caller frees it. Returns 0, -ENOENT when there
 * is no such program that may be run, -EIO when it fails, -EFBIG when it prints more than 32 MiB, -ETIMEDOUT when it takes more than
 * 30 seconds (it is killed then), or another -errno.
 */
int program_run(const char *const *words, char **text, size_t *length);

#endif
