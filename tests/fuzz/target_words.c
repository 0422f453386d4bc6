// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * libFuzzer: words of a command line, a line each, through the option table of a verb. The first byte picks the verb,
 * which is not run.
 */
#include <cli.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 64 };

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* A number is 0 where it is not given. */
static void check_number(const struct option_spec *spec, unsigned int value)
{
	unsigned int words = 0;

	while (spec->words && spec->words[words])
		words++;
	if (spec->type == OPTION_NUMBER)
		check(value == 0 || (value >= spec->min && value <= spec->max) || value > NUMBER_WORD(words));
	if (spec->type == OPTION_WORD)
		check(value <= words);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text, *rest, *words[WORDS_MAX + 1] = {};
	struct options options = {};
	size_t verb_count = 0;
	const struct verb *verb;
	int count = 1;

	if (size < 1)
		return -1;
	while (verbs[verb_count])
		verb_count++;
	verb = verbs[data[0] % verb_count];
	words[0] = (char *)verb->name;
	text = rest = strndup((const char *)data + 1, size - 1);
	check(text);
	while (rest && count < WORDS_MAX)
		words[count++] = strsep(&rest, "\n");
	if (options_parse(verb, count, words, &options) == EXIT_DONE) {
		for (const struct option_spec *spec = verb->options; spec->name; spec++)
			if (spec->type == OPTION_NUMBER || spec->type == OPTION_WORD)
				check_number(spec, *(unsigned int *)((char *)&options + spec->offset));
		check(options.interface_count >= 0 && options.interface_count < count);
		check(options.interfaces[options.interface_count] == NULL);
	}
	free(text);
	return 0;
}
