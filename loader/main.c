// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The way from main() to one of the verbs. Not a place for what they do.
 */
#include "cli.h"
#include "netns.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static void help(void)
{
	printf("Usage: mssbpf [-n NETNS] VERB [OPTIONS] [IFACE...]\n\n"
	       "Clamps the MSS of TCP SYNs in eBPF, at the device they really pass.\n\n");
	for (const struct verb *const *verb = verbs; *verb; verb++)
		printf("  %-10s%s\n", (*verb)->name, (*verb)->summary);
	printf("\n'mssbpf VERB --help' shows a verb's options; mssbpf(8) is the manual.\n");
}

static int print_nothing(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level;
	(void)format;
	(void)arguments;
	return 0;
}

static int verb_run(const struct verb *verb, int argc, char **argv)
{
	struct options options = {};
	int status = options_parse(verb, argc, argv, &options);

	if (status)
		return status;
	if (options.help) {
		verb_help(verb);
		return EXIT_DONE;
	}
	if (!options.verbose)
		libbpf_set_print(print_nothing);
	if (options.netns && netns_enter(options.netns))
		return EXIT_FAILED;
	return verb->run(&options);
}

/* Moves a verb to the front that stands behind options every verb takes: as with ip -n NAME link. */
static void verb_to_front(int argc, char **argv)
{
	int i = 1;

	while (i < argc && (!strcmp(argv[i], "-v") || !strcmp(argv[i], "--verbose") ||
			    !strncmp(argv[i], "--netns=", 8) || !strcmp(argv[i], "-n") || !strcmp(argv[i], "--netns")))
		i += !strcmp(argv[i], "-n") || !strcmp(argv[i], "--netns") ? 2 : 1;
	if (i < argc) {
		char *verb = argv[i];

		memmove(argv + 2, argv + 1, (i - 1) * sizeof(*argv));
		argv[1] = verb;
	}
}

static int run(int argc, char **argv)
{
	verb_to_front(argc, argv);
	if (argc < 2)
		return usage_error(NULL, "a verb is missing");
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
		help();
		return EXIT_DONE;
	}
	if (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version")) {
		printf("mssbpf %s\n", MSSBPF_VERSION);
		return EXIT_DONE;
	}
	for (const struct verb *const *verb = verbs; *verb; verb++)
		if (!strcmp(argv[1], (*verb)->name))
			return verb_run(*verb, argc - 1, argv + 1);
	if (*argv[1] == '-')
		return usage_error(NULL, "a verb is missing, or unknown option '%s'", argv[1]);
	return usage_error(NULL, "unknown verb '%s'", argv[1]);
}

/*
 * Opens in the place of a closed standard stream what cannot be written or read: else the next file that is opened, a
 * map or a socket perhaps, would get what is printed.
 */
static void streams_fill(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", fd ? O_RDONLY : O_WRONLY);
}

int main(int argc, char **argv)
{
	int status;

	streams_fill();
	status = run(argc, argv);
	if (fflush(stdout) || ferror(stdout)) {
		error("standard output: %s", strerror(errno));
		return status ?: EXIT_FAILED;
	}
	return status;
}
