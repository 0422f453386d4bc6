/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a command line means: verbs, their options as tables, and messages to the operator. Not a place
 * for what a verb does: that is cmd_*.c.
 */
#ifndef MSSBPF_CLI_H
#define MSSBPF_CLI_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* Exit status, as DESIGN and mssbpf(8) promise. */
enum {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
};

/* What --hook may say; 0: not given. */
enum hook_choice {
	CHOOSE_TC = 1, /* TCX where the kernel has it, else clsact */
	CHOOSE_TCX,
	CHOOSE_CLSACT,
	CHOOSE_XDP,
};

/* What --add-missing may say; 0: not given. */
enum add_choice {
	CHOOSE_ADD_DEFAULT = 1, /* what is assumed of a SYN without MSS, or the limit if lower */
	CHOOSE_ADD_LIMIT,
};

/* What --direction may say; 0: not given. */
enum direction_choice {
	CHOOSE_EGRESS = 1,
	CHOOSE_INGRESS,
	CHOOSE_BOTH,
};

/* What --xdp-mode may say; 0: not given. */
enum xdp_mode_choice {
	CHOOSE_NATIVE = 1,
	CHOOSE_GENERIC,
};

/* All options of all verbs; a verb's table says which of them it takes. */
struct options {
	const char *netns; /* NULL: the caller's */
	bool help;
	bool verbose;
	bool json;
	bool all;
	bool dry_run;
	bool both_ways;
	bool histogram;
	bool prometheus;
	bool reset;
	bool quiet;	    /* no option: say nothing of interfaces that are not there */
	unsigned int watch; /* seconds; 0: not given */
	bool off;
	bool plain;
	unsigned int mtu;	  /* bytes; 0: not given */
	unsigned int mss;	  /* bytes; 0: not given */
	unsigned int mss4;	  /* bytes; 0: not given */
	unsigned int mss6;	  /* bytes; 0: not given */
	unsigned int max_entries; /* of the maps; 0: not given */
	unsigned int direction;	  /* enum direction_choice */
	unsigned int hook;	  /* enum hook_choice */
	unsigned int xdp_mode;	  /* enum xdp_mode_choice */
	unsigned int add_missing; /* enum add_choice */
	unsigned int link_mtu;	  /* bytes; 0: not given; also --underlay-mtu */
	const char *encap;	  /* a stack of layers, overhead.h; NULL: not given */
	bool list;
	char **interfaces; /* the words behind the options, NULL at the end */
	int interface_count;
	const char *source;    /* probe: an address of this host; NULL: the kernel's choice */
	const char *interface; /* probe: to send by; NULL: by the routing table */
	unsigned int min;      /* probe: bytes; 0: not given */
	unsigned int max;      /* probe: bytes; 0: not given */
	unsigned int timeout;  /* probe: milliseconds; 0: not given */
	bool ipv4;	       /* probe: over IPv4 */
	bool ipv6;	       /* probe: over IPv6 */
	const char *prefix;    /* monitor: of addresses; NULL: all */
	const char *results;   /* monitor: keys of results, separated by commas; NULL: all */
	unsigned int port;     /* monitor: 0: all */
	unsigned int count;    /* monitor: lines; 0: no end */
	unsigned int buffer;   /* monitor: KiB; 0: not given */
	const char *listen;    /* exporter: ADDRESS:PORT */
};

enum option_type {
	OPTION_FLAG,   /* bool */
	OPTION_NUMBER, /* unsigned int, min..max, or NUMBER_WORD(the index in words) */
	OPTION_WORD,   /* unsigned int: the index in words, counted from 1; without a value, if that may be, 1 */
	OPTION_TEXT,   /* const char * */
};

struct option_spec {
	const char *name;
	char letter;	   /* short form, or 0 */
	const char *value; /* what the help calls its value; NULL for a flag */
	const char *help;  /* one line */
	enum option_type type;
	bool bare;		  /* the value may be left out: --name, or --name=value */
	size_t offset;		  /* in struct options */
	unsigned int min, max;	  /* OPTION_NUMBER */
	unsigned int without;	  /* OPTION_NUMBER: what it is when its value is left out */
	const char *unit;	  /* OPTION_NUMBER: what is counted */
	const char *const *words; /* OPTION_WORD, also OPTION_NUMBER: NULL at the end */
};

/* The value of an OPTION_NUMBER that is a word. */
#define NUMBER_WORD(index) (UINT_MAX - (index))

struct verb {
	const char *name;
	const char *arguments;			   /* what the help shows behind the options, "" for none */
	const char *summary;			   /* one line */
	const struct option_spec *options;	   /* name == NULL at the end */
	const char *const *actions;		   /* what its first argument may be, NULL at the end; NULL: anything */
	const char *completion;			   /* what its arguments are: "interfaces", "attached" or NULL */
	int (*run)(const struct options *options); /* returns the exit status */
};

extern const struct verb verb_attach, verb_detach, verb_show, verb_rule, verb_stats, verb_monitor, verb_verify,
	verb_mtu, verb_probe, verb_doctor, verb_exporter, verb_complete;
extern const struct verb *const verbs[]; /* NULL at the end */

/* Options that every verb takes; parse and help add them to the verb's own. */
extern const struct option_spec common_options[];

/*
 * Reads a verb's words (argv[0] is the verb) into *options. Returns EXIT_DONE, or EXIT_USAGE after
 * saying what is wrong.
 */
int options_parse(const struct verb *verb, int argc, char **argv, struct options *options);

/* Prints the verb's help on stdout. */
void verb_help(const struct verb *verb);

/*
 * Reads a whole decimal number, min..max. Returns 0, -EINVAL when the text is anything else than digits,
 * or -ERANGE; *number is set only on 0.
 */
int number_parse(const char *text, unsigned int min, unsigned int max, unsigned int *number);

/* Prints "mssbpf: ..." on stderr; returns EXIT_FAILED. */
__attribute__((format(printf, 1, 2))) int error(const char *format, ...);

/* Prints "mssbpf: ..." on stderr with a hint at the verb's help; returns EXIT_USAGE. */
__attribute__((format(printf, 2, 3))) int usage_error(const struct verb *verb, const char *format, ...);

/* Prints "mssbpf: warning: ..." on stderr. */
__attribute__((format(printf, 1, 2))) void warning(const char *format, ...);

#endif
