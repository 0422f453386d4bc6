// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Command lines: option tables drive parsing, help and completion; messages go through here. Not the
 * list of verbs: that is verbs.c.
 */
#include "cli.h"

#include "printable.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	OPTIONS_MAX = 32,
	LONG_ONLY = 256, /* getopt's value for options without a letter: this and up */
};

const struct option_spec common_options[] = {
	{ "netns", 'n', "NAME", "act in the network namespace NAME (see ip-netns(8))", OPTION_TEXT,
	  .offset = offsetof(struct options, netns) },
	{ "verbose", 'v', NULL, "show what libbpf says", OPTION_FLAG, .offset = offsetof(struct options, verbose) },
	{ "help", 'h', NULL, "show this help", OPTION_FLAG, .offset = offsetof(struct options, help) },
	{ 0 },
};

/* Words of the command line and names of interfaces are in it. */
static void message(const char *kind, const char *format, va_list arguments)
{
	char *text = NULL, *printable = vasprintf(&text, format, arguments) < 0 ? NULL : text_printable(text);

	fprintf(stderr, "mssbpf: %s%s\n", kind, printable ?: strerror(ENOMEM));
	free(printable);
	free(text);
}

int error(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	message("", format, arguments);
	va_end(arguments);
	return EXIT_FAILED;
}

int usage_error(const struct verb *verb, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	message("", format, arguments);
	va_end(arguments);
	fprintf(stderr, "Try 'mssbpf %s%s--help'.\n", verb ? verb->name : "", verb ? " " : "");
	return EXIT_USAGE;
}

void warning(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	message("warning: ", format, arguments);
	va_end(arguments);
}

int number_parse(const char *text, unsigned int min, unsigned int max, unsigned int *number)
{
	uint64_t value = 0;

	if (!*text)
		return -EINVAL;
	for (const char *c = text; *c; c++) {
		if (*c < '0' || *c > '9')
			return -EINVAL;
		value = value * 10 + (*c - '0');
		if (value > UINT32_MAX)
			value = UINT32_MAX;
	}
	if (value < min || value > max)
		return -ERANGE;
	*number = value;
	return 0;
}

/* The word's index in a list, or -1; NULL is an empty list. */
static int word_find(const char *const *words, const char *word)
{
	for (int i = 0; words && words[i]; i++)
		if (!strcmp(word, words[i]))
			return i;
	return -1;
}

/* Stores one option's value in *options. Returns EXIT_DONE or EXIT_USAGE. */
static int option_store(const struct verb *verb, const struct option_spec *spec, const char *value,
			struct options *options)
{
	void *place = (char *)options + spec->offset;
	int word;

	switch (spec->type) {
	case OPTION_FLAG:
		*(bool *)place = true;
		return EXIT_DONE;
	case OPTION_TEXT:
		*(const char **)place = value;
		return EXIT_DONE;
	case OPTION_NUMBER:
		if (!value) {
			*(unsigned int *)place = spec->without;
			return EXIT_DONE;
		}
		if (!number_parse(value, spec->min, spec->max, place))
			return EXIT_DONE;
		word = word_find(spec->words, value);
		if (word >= 0) {
			*(unsigned int *)place = NUMBER_WORD(word);
			return EXIT_DONE;
		}
		return usage_error(verb, "%s: --%s '%s': not a whole number from %u to %u (%s)%s%s", verb->name,
				   spec->name, value, spec->min, spec->max, spec->unit,
				   spec->words ? "; it takes " : "", spec->words ? spec->value : "");
	case OPTION_WORD:
		word = value ? word_find(spec->words, value) : 0;
		if (word >= 0) {
			*(unsigned int *)place = word + 1;
			return EXIT_DONE;
		}
		return usage_error(verb, "%s: --%s '%s': not one of %s", verb->name, spec->name, value, spec->value);
	}
	return EXIT_USAGE;
}

/* Lists the verb's options, then the common ones. Returns how many there are. */
static size_t options_collect(const struct verb *verb, const struct option_spec *specs[OPTIONS_MAX])
{
	size_t count = 0;

	for (const struct option_spec *spec = verb->options; spec->name; spec++)
		specs[count++] = spec;
	for (const struct option_spec *spec = common_options; spec->name; spec++)
		specs[count++] = spec;
	return count;
}

/* Says what getopt_long() did not like about an option: optopt is its letter or its number, 0 for unknown. */
static int option_complain(const struct verb *verb, int problem, const char *word)
{
	if (optopt < 0) /* a byte that is no ASCII */
		return usage_error(verb, "%s: unknown option", verb->name);
	if (optopt > 0 && optopt < LONG_ONLY)
		return usage_error(verb, "%s: %s '-%c'", verb->name,
				   problem == ':' ? "a value is missing behind" : "unknown option", optopt);
	if (problem == ':')
		return usage_error(verb, "%s: a value is missing behind '%s'", verb->name, word);
	return usage_error(verb, "%s: %s '%s'", verb->name, optopt ? "takes no value:" : "unknown or ambiguous option",
			   word);
}

int options_parse(const struct verb *verb, int argc, char **argv, struct options *options)
{
	const struct option_spec *specs[OPTIONS_MAX];
	struct option longs[OPTIONS_MAX + 1] = {};
	char letters[3 * OPTIONS_MAX + 2] = ":";
	size_t count = options_collect(verb, specs);
	int option;

	for (size_t i = 0; i < count; i++) {
		longs[i] = (struct option){ specs[i]->name,
					    specs[i]->bare    ? optional_argument
					    : specs[i]->value ? required_argument
							      : no_argument,
					    NULL, LONG_ONLY + i };
		if (specs[i]->letter) {
			strncat(letters, &specs[i]->letter, 1);
			strcat(letters, specs[i]->bare ? "::" : specs[i]->value ? ":" : "");
		}
	}

	unsetenv("POSIXLY_CORRECT"); /* options may stand behind the interfaces */
	opterr = 0;
	optind = 0; /* not 1: getopt_long() forgets where in a word it was, too */
	while ((option = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		const struct option_spec *spec = NULL;
		int status;

		if (option == '?' || option == ':')
			return option_complain(verb, option, argv[optind - 1]);
		for (size_t i = 0; i < count; i++)
			if (option == specs[i]->letter || option == (int)(LONG_ONLY + i))
				spec = specs[i];
		status = option_store(verb, spec, optarg, options);
		if (status)
			return status;
	}
	options->interfaces = argv + optind;
	options->interface_count = argc - optind;
	if (options->interface_count && !*verb->arguments && !options->help)
		return usage_error(verb, "%s: takes no argument: '%s'", verb->name, argv[optind]);
	return EXIT_DONE;
}

void verb_help(const struct verb *verb)
{
	const struct option_spec *specs[OPTIONS_MAX];
	size_t count = options_collect(verb, specs);

	printf("Usage: mssbpf %s [OPTIONS]%s%s\n\n%s\n\n", verb->name, *verb->arguments ? " " : "", verb->arguments,
	       verb->summary);
	for (size_t i = 0; i < count; i++) {
		char name[64], letter[4] = "  ";

		if (specs[i]->letter)
			snprintf(letter, sizeof(letter), "-%c,", specs[i]->letter);
		snprintf(name, sizeof(name), specs[i]->bare ? "--%s[=%s]" : "--%s %s", specs[i]->name,
			 specs[i]->value ?: "");
		printf("  %-3s %-36s%s", letter, name, specs[i]->help);
		if (specs[i]->type == OPTION_NUMBER)
			printf(", %u to %u", specs[i]->min, specs[i]->max);
		printf("\n");
	}
}
