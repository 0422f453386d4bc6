// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * How stacks are written, what is said of those that are wrong, and whether the tables agree with themselves
 * (loader/overhead.c). Not the place for sizes and paths: those are overhead.c and path.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/packet.h"
#include "overhead.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define VLAN4 "vlan/vlan/vlan/vlan"
#define VLAN8 VLAN4 "/" VLAN4
#define VLAN24 VLAN8 "/" VLAN8 "/" VLAN8
#define ONE4 "overhead:1/overhead:1/overhead:1/overhead:1"
#define ZEROS36 "000000000000000000000000000000000000"
#define LETTERS50 "abcdefghijklmnopqrstuvwxyabcdefghijklmnopqrstuvwxy"

enum {
	KINDS_MAX = 64,
	SAYS_MAX = 5,
};

/* A kind with the least that it may be written with. */
static const char *sample(const char *kind)
{
	static const char *const samples[] = { "srh:1", "esp:aes-gcm-16", "ah:sha1-96", "overhead:1" };

	for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
		if (!strncmp(samples[i], kind, strlen(kind)) && samples[i][strlen(kind)] == ':')
			return samples[i];
	return kind;
}

/* Parses `text`. Returns what stack_parse() does, after checking that it explains itself when it refuses. */
static int parse(const char *text, struct stack *stack, char why[WHY_SIZE])
{
	int error;

	memset(why, 'x', WHY_SIZE);
	error = stack_parse(text, stack, why);
	if (!error)
		return 0;
	assert_int_equal(error, -EINVAL);
	assert_in_range(strnlen(why, WHY_SIZE), 1, WHY_SIZE - 2); /* more: it was cut */
	assert_true(strchr(text, '\n') || !strchr(why, '\n'));
	return error;
}

static bool accepted(const char *outside, const char *inside)
{
	char text[STACK_TEXT_SIZE], why[WHY_SIZE];
	struct stack stack;

	snprintf(text, sizeof(text), "%s%s%s", outside, *outside && *inside ? "/" : "", inside);
	return !parse(text, &stack, why);
}

/* Texts that are refused, and what the refusal says; with '!': what it does not. */
static const struct refused {
	const char *text;
	const char *says[SAYS_MAX];
} refused[] = {
	/* Unknown, and what may have been meant */
	{ "wireguad", { "'wireguad'", "'wireguard'" } },
	{ "ipv4/wireguardd", { "'wireguardd'", "'wireguard'" } },
	{ "ipv4/vxlam", { "'vxlam'", "'vxlan'" } },
	{ "ppoe", { "'ppoe'", "'pppoe'" } },
	{ "ipv5", { "'ipv5'", "'ipv" } },
	{ "ipv4/geneev:8", { "'geneev'", "'geneve'" } },
	{ "ipv6/encap-limit", { "'encap-limit'", "'encaplimit'" } },
	{ "ipv4/open_vpn", { "'open_vpn'", "'openvpn'" } },
	{ "ipv4/overhed:60", { "'overhed'", "'overhead'" } },
	{ "IPV4", { "'IPV4'", "'ipv4'" } },
	{ " ipv4", { "' ipv4'", "'ipv4'" } },
	{ "ipv4 ", { "'ipv4 '", "'ipv4'" } },
	{ "ipv4/ gre", { "' gre'", "'gre'" } },
	{ "ipv4\n", { "'ipv4" } },
	{ " ", { "' '" } },
	{ "ipv4,gre", { "'ipv4,gre'" } },
	{ "x", { "'x'" } },
	{ "ipv\xc3\xa9", { "unknown" } },
	{ "\xff\xfe", { "unknown" } },
	{ LETTERS50, { LETTERS50, "50 characters", "47" } },
	{ "wg", { "'wg'", "'wireguard'" } },
	{ "ipv4/FOU", { "'FOU'", "'udp'" } },
	{ "WIREGUARD", { "'WIREGUARD'", "'wireguard'" } },
	{ ":", { "unknown" } },
	{ ":60", { "unknown" } },

	/* Where they cannot stand */
	{ "wireguard", { "'wireguard'", "link", "ipv4, ipv6", "!pppoe", "!overhead" } },
	{ "esp:aes-gcm-16", { "'esp'", "link", "ipv4", "ipv6", "natt" } },
	{ "gre", { "'gre'", "link", "ipv4", "ipv6", "udp" } },
	{ "ipv4/pppoe", { "'pppoe'", "in ipv4", "vlan" } },
	{ "pppoe/vlan", { "'vlan'", "in pppoe", "vlan", "vxlan" } },
	{ "ipv4/encaplimit", { "'encaplimit'", "in ipv4", "ipv6", "srh", "!ipv4," } },
	{ "ipv4/srh:1", { "'srh'", "in ipv4", "ipv6" } },
	{ "encaplimit", { "'encaplimit'", "link", "ipv6" } },
	{ "ipv4/natt/gre", { "'gre'", "in natt", "only esp" } },
	{ "ipv4/natt/ipv4", { "'ipv4'", "in natt" } },
	{ "wireguard/ipv4", { "'wireguard'", "link", "ipv4" } },
	{ "ipv4/wireguard/vlan", { "'vlan'", "in wireguard" } },
	{ "ipv4/wireguard/gre", { "'gre'", "in wireguard", "ipv4", "ipv6" } },
	{ "ipv4/wireguard:padded/gre", { "'gre'", "in wireguard" } },
	{ "ipv4/eth", { "'eth'", "in ipv4", "gre", "openvpn" } },
	{ "eth", { "'eth'", "link" } },
	{ "mpls/mpls", { "'mpls'", "in mpls" } },
	{ "ipv4/natt", { "natt", "esp" } },
	{ "pppoe/ipv6/natt", { "natt", "esp" } },

	/* Missing layers */
	{ "/", { "missing", "'/'" } },
	{ "ipv4/", { "missing", "'/'" } },
	{ "/ipv4", { "missing", "'/'" } },
	{ "ipv4//gre", { "missing", "'/'" } },
	{ "//", { "missing", "'/'" } },

	/* Ciphers and digests */
	{ "ipv4/esp", { "'esp'", "esp:CIPHER[+DIGEST]" } },
	{ "ipv4/esp:", { "''", "cipher", "aes-gcm-16", "chacha20-poly1305" } },
	{ "ipv4/esp:+", { "''", "cipher", "aes-gcm-16" } },
	{ "ipv4/esp:+sha1-96", { "''", "cipher", "aes-gcm-16" } },
	{ "ipv4/esp:rot13", { "'rot13'", "cipher", "aes-gcm-16", "chacha20-poly1305", "null" } },
	{ "ipv4/esp:aes-gcm", { "'aes-gcm'", "cipher", "aes-gcm-16" } },
	{ "ipv4/esp:AES-GCM-16", { "'AES-GCM-16'", "cipher", "aes-gcm-16" } },
	{ "ipv4/esp:aes-cbc-128", { "'esp:aes-cbc-128'", "digest", "+sha256-128", "+none" } },
	{ "ipv4/esp:null", { "'esp:null'", "digest" } },
	{ "ipv4/esp:aes-cbc-128+", { "''", "digest", "sha256-128" } },
	{ "ipv4/esp:aes-cbc-128+crc32", { "'crc32'", "digest", "sha1-96", "sha256-128", "none" } },
	{ "ipv4/esp:aes-cbc-128+sha1-96+none", { "'sha1-96+none'", "digest" } },
	{ "ipv4/esp:aes-gcm-16+sha1-96", { "aes-gcm-16", "no digest", "'esp:aes-gcm-16'" } },
	{ "ipv4/esp:aes-gcm-16+none", { "aes-gcm-16", "no digest" } },
	{ "ipv4/esp:aes-gcm-16:aes-gcm-16", { "'aes-gcm-16'", "too many", "esp:CIPHER" } },
	{ "ipv4/ah", { "'ah'", "ah:DIGEST[:align8]" } },
	{ "ipv4/ah:", { "''", "digest", "sha1-96" } },
	{ "ipv4/ah:align8", { "'ah:align8'", "ah:DIGEST" } },
	{ "ipv4/ah:sha1-96:sha1-96", { "'sha1-96'", "too many" } },
	{ "ipv4/ah:sha1-96:align8:align8", { "'align8'", "twice" } },
	{ "ipv4/ah:aes-gcm-16", { "'aes-gcm-16'", "digest", "sha256-128" } },

	/* Numbers */
	{ "ipv6/srh", { "'srh'", "srh:SEGMENTS" } },
	{ "ipv6/srh:", { "''", "1 to 127", "(segments)" } },
	{ "ipv6/srh:0", { "'0'", "1 to 127", "(segments)" } },
	{ "ipv6/srh:128", { "'128'", "1 to 127" } },
	{ "ipv6/srh:x", { "'x'", "1 to 127" } },
	{ "ipv6/srh:-1", { "'-1'", "1 to 127" } },
	{ "ipv6/srh:+1", { "'+1'", "1 to 127" } },
	{ "ipv6/srh:1:1", { "'1'", "too many", "srh:SEGMENTS" } },
	{ "mpls:", { "''", "1 to 16", "(labels)" } },
	{ "mpls:0", { "'0'", "1 to 16" } },
	{ "mpls:17", { "'17'", "1 to 16" } },
	{ "mpls:1x", { "'1x'", "1 to 16" } },
	{ "mpls: 1", { "' 1'", "1 to 16" } },
	{ "mpls:4294967297", { "'4294967297'", "1 to 16" } },
	{ "mpls:18446744073709551617", { "1 to 16" } },
	{ "ipv4/geneve:253", { "'253'", "0 to 252", "options" } },
	{ "ipv4/geneve:6", { "'6'", "0 to 252", "multiple of 4" } },
	{ "ipv4/l2tpv3:3", { "'3'", "0 to 8", "multiple of 4" } },
	{ "ipv4/ah:none", { "'none'", "sha1-96", "aes-cmac-96" } },
	{ "ipv4/geneve:", { "''", "0 to 252" } },
	{ "ipv4/l2tpv3:9", { "'9'", "0 to 8", "cookie" } },
	{ "ipv4/l2tpv3:tcp", { "'tcp'", "udp", "sublayer" } },
	{ "overhead", { "'overhead'", "overhead:BYTES" } },
	{ "overhead:", { "''", "1 to 65535", "(bytes)" } },
	{ "overhead:0", { "'0'", "1 to 65535" } },
	{ "overhead:65536", { "'65536'", "1 to 65535" } },
	{ "overhead:99999999999", { "'99999999999'", "1 to 65535" } },
	{ "overhead:1e3", { "'1e3'", "1 to 65535" } },

	/* Flags */
	{ "ipv4/gre:foo", { "'foo'", "gre[:csum][:key][:seq]" } },
	{ "ipv4/gre:", { "''", "gre[:csum][:key][:seq]" } },
	{ "ipv4/gre:key:", { "''", "gre[:csum][:key][:seq]" } },
	{ "ipv4/gre:key:key", { "'key'", "twice" } },
	{ "ipv4/gretap:seq:csum:seq", { "'seq'", "twice" } },
	{ "ipv4/wireguard:16", { "'16'", "wireguard[:padded]" } },
	{ "ipv4/l2tpv3:udp:udp", { "'udp'", "twice" } },
	{ "ipv4:1", { "ipv4", "nothing" } },
	{ "ipv4:", { "ipv4", "nothing" } },
	{ "ipv4:key", { "ipv4", "nothing" } },

	/* Too long */
	{ VLAN24 "/vlan", { "'vlan'", "24 layers" } },
	{ ONE4 "/" ONE4 "/" ONE4 "/overhead:1/overhead:1/mpls:1", { "160 ", "159 " } },
	{ "overhead:" ZEROS36 "060", { "48 characters", "47" } },
	{ LETTERS50 LETTERS50 LETTERS50 LETTERS50, { "200 ", "159 " } },
};

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct stack stack;
		char why[WHY_SIZE];

		if (!parse(refused[i].text, &stack, why))
			fail_msg("'%s' is accepted", refused[i].text);
		for (const char *const *says = refused[i].says; says < refused[i].says + SAYS_MAX && *says; says++)
			if (**says == '!' ? !!strstr(why, *says + 1) : !strstr(why, *says))
				fail_msg("'%s': '%s': expected: %s", refused[i].text, why, *says);
	}
}

/* How many single-character changes make one word of the other. */
static size_t word_distance(const char *one, const char *other)
{
	size_t table[LAYER_NAME_SIZE][LAYER_NAME_SIZE] = {};

	for (size_t i = 0; i <= strlen(one); i++) {
		for (size_t j = 0; j <= strlen(other); j++) {
			size_t drop = i ? table[i - 1][j] + 1 : SIZE_MAX;
			size_t add = j ? table[i][j - 1] + 1 : SIZE_MAX;
			size_t keep = i && j ? table[i - 1][j - 1] + (one[i - 1] != other[j - 1]) : SIZE_MAX;

			if (i || j)
				table[i][j] = drop < add ? drop : add;
			if (keep < table[i][j])
				table[i][j] = keep;
		}
	}
	return table[strlen(one)][strlen(other)];
}

/* An unknown word is answered with a kind that is no farther from it than any other. */
static void check_nearest(const char *word)
{
	size_t least = SIZE_MAX, named = SIZE_MAX;
	char quoted[LAYER_NAME_SIZE + 2], why[WHY_SIZE];
	struct stack stack;

	for (const struct layer_kind *kind = layer_kinds; kind->name; kind++)
		if (word_distance(word, kind->name) < least)
			least = word_distance(word, kind->name);
	if (!least)
		return;
	assert_int_equal(parse(word, &stack, why), -EINVAL);
	for (const struct layer_kind *kind = layer_kinds; kind->name; kind++) {
		snprintf(quoted, sizeof(quoted), "'%s'", kind->name);
		if (strstr(why, quoted))
			named = word_distance(word, kind->name);
	}
	if (named != least)
		fail_msg("'%s': '%s' (%zu changes, the least are %zu)", word, why, named, least);
}

/* Every kind with a character left out, put in, changed, or two of them swapped. */
static void test_nearest(void **state)
{
	(void)state;
	for (const struct layer_kind *kind = layer_kinds; kind->name; kind++) {
		size_t length = strlen(kind->name);
		char word[LAYER_NAME_SIZE];

		for (size_t i = 0; i <= length; i++) {
			for (const char *c = "aegp46x-"; *c; c++) {
				snprintf(word, sizeof(word), "%.*s%c%s", (int)i, kind->name, *c, kind->name + i);
				check_nearest(word);
				if (i < length)
					memmove(word + i + 1, word + i + 2, length - i);
				check_nearest(word);
			}
			strcpy(word, kind->name);
			if (i + 1 < length) {
				word[i] = kind->name[i + 1];
				word[i + 1] = kind->name[i];
				check_nearest(word);
			}
			if (i < length) {
				memmove(word + i, kind->name + i + 1, length - i);
				check_nearest(word);
			}
		}
	}
}

/* Each kind behind a stack in which it is the last, and what may stand in it; "": on the link itself. */
static const struct inside {
	const char *stack;
	const char *kinds; /* "overhead" may everywhere */
} insides[] = {
	{ "", "pppoe vlan macsec mpls ipv4 ipv6" },
	{ "pppoe", "mpls ipv4 ipv6" },
	{ "vlan", "pppoe vlan macsec mpls ipv4 ipv6" },
	{ "macsec", "pppoe vlan macsec mpls ipv4 ipv6" },
	{ "mpls", "ipv4 ipv6 eth" },
	{ "ipv4", "mpls ipv4 ipv6 gre gretap etherip udp gue vxlan geneve gtpu l2tp l2tpv3 openvpn wireguard natt "
		  "esp ah" },
	{ "ipv6", "mpls ipv4 ipv6 gre gretap etherip udp gue vxlan geneve gtpu l2tp l2tpv3 openvpn wireguard natt "
		  "esp ah encaplimit srh eth" },
	{ "ipv6/encaplimit", "mpls ipv4 ipv6 gre gretap etherip udp gue vxlan geneve gtpu l2tp l2tpv3 openvpn "
			     "wireguard natt esp ah encaplimit srh" },
	{ "ipv6/srh:1", "mpls ipv4 ipv6 gre gretap etherip udp gue vxlan geneve gtpu l2tp l2tpv3 openvpn wireguard "
			"natt esp ah encaplimit srh eth" },
	{ "ipv4/gre", "mpls ipv4 ipv6 eth" },
	{ "ipv4/gretap", "pppoe vlan macsec mpls ipv4 ipv6" },
	{ "ipv4/etherip", "pppoe vlan macsec mpls ipv4 ipv6" },
	{ "ipv4/gre/eth", "pppoe vlan macsec mpls ipv4 ipv6" },
	{ "ipv4/udp", "mpls ipv4 ipv6 gre gretap" },
	{ "ipv4/gue", "mpls ipv4 ipv6 gre gretap" },
	{ "ipv4/vxlan", "pppoe vlan macsec mpls ipv4 ipv6" },
	{ "ipv4/geneve", "pppoe vlan macsec mpls ipv4 ipv6" },
	{ "ipv4/gtpu", "ipv4 ipv6" },
	{ "ipv4/l2tp", "mpls ipv4 ipv6" },
	{ "ipv4/l2tpv3", "pppoe vlan macsec mpls ipv4 ipv6" },
	{ "ipv4/openvpn", "ipv4 ipv6 eth" },
	{ "ipv4/wireguard", "ipv4 ipv6" },
	{ "ipv4/natt", "esp" },
	{ "ipv4/esp:aes-gcm-16", "mpls ipv4 ipv6 gre gretap etherip udp gue vxlan geneve gtpu l2tp l2tpv3 openvpn "
				 "wireguard natt esp ah" },
	{ "ipv4/ah:sha1-96", "mpls ipv4 ipv6 gre gretap etherip udp gue vxlan geneve gtpu l2tp l2tpv3 openvpn "
			     "wireguard natt esp ah" },
};

static bool has_word(const char *words, const char *word)
{
	size_t length = strlen(word);

	for (const char *c = words; (c = strstr(c, word)); c += length)
		if ((c == words || c[-1] == ' ') && (c[length] == ' ' || !c[length]))
			return true;
	return false;
}

/* natt alone is refused. */
static bool stands(const char *outside, const char *inside)
{
	char text[STACK_TEXT_SIZE];

	snprintf(text, sizeof(text), "%s/esp:aes-gcm-16", inside);
	return accepted(outside, inside) || (!strcmp(inside, "natt") && accepted(outside, text));
}

static void test_places(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(insides); i++) {
		const struct inside *row = &insides[i];

		assert_int_equal(accepted(row->stack, ""), strcmp(row->stack, "ipv4/natt") != 0);
		for (const struct layer_kind *kind = layer_kinds; kind->name; kind++) {
			bool expected = has_word(row->kinds, kind->name) || !strcmp(kind->name, "overhead");

			if (stands(row->stack, sample(kind->name)) != expected)
				fail_msg("'%s': %s is %s", row->stack, kind->name, expected ? "refused" : "accepted");
			if (!stands("overhead:1", sample(kind->name)))
				fail_msg("overhead: %s is refused", kind->name);
		}
	}
}

/* Every kind is reached from the link through others, `gives` by `in`; never through overhead. */
static void test_every_kind_reached(void **state)
{
	static char reached[KINDS_MAX][STACK_TEXT_SIZE];
	size_t missing = 0;

	(void)state;
	memset(reached, 0, sizeof(reached));
	for (size_t i = 0; layer_kinds[i].name; i++) {
		assert_in_range(i, 0, KINDS_MAX - 1);
		if (stands("", sample(layer_kinds[i].name)))
			strcpy(reached[i], sample(layer_kinds[i].name));
	}
	for (int round = 0; round < KINDS_MAX; round++) {
		missing = 0;
		for (size_t i = 0; layer_kinds[i].name; i++) {
			for (size_t j = 0; layer_kinds[j].name && !*reached[i]; j++) {
				if (!*reached[j] || !strcmp(layer_kinds[j].name, "overhead") ||
				    !(layer_kinds[j].gives & layer_kinds[i].in))
					continue;
				assert_true(stands(reached[j], sample(layer_kinds[i].name)));
				snprintf(reached[i], sizeof(reached[i]), "%.80s/%s", reached[j],
					 sample(layer_kinds[i].name));
			}
			missing += !*reached[i];
		}
	}
	for (size_t i = 0; missing && layer_kinds[i].name; i++)
		if (!*reached[i])
			fail_msg("%s stands nowhere", layer_kinds[i].name);
}

/* A name that can stand in a stack: no separator, short enough. */
static void check_name(const char *name)
{
	assert_in_range(strlen(name), 1, LAYER_NAME_SIZE - 1);
	assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-"), strlen(name));
}

static void check_flags(const struct layer_kind *kind)
{
	char text[STACK_TEXT_SIZE];

	for (const struct layer_flag *flag = kind->flags; flag && flag->name; flag++) {
		check_name(flag->name);
		assert_true(flag->bytes || flag->align);
		snprintf(text, sizeof(text), "[:%s]", flag->name);
		assert_non_null(strstr(kind->usage, text));
		for (const struct layer_flag *other = kind->flags; other < flag; other++)
			assert_string_not_equal(other->name, flag->name);
		snprintf(text, sizeof(text), "%s:%s", sample(kind->name), flag->name);
		assert_true(accepted("overhead:1", text));
	}
}

static void test_kinds(void **state)
{
	(void)state;
	for (const struct layer_kind *kind = layer_kinds; kind->name; kind++) {
		size_t length = strlen(kind->name);
		bool number = kind->argument == ARGUMENT_NUMBER;

		check_name(kind->name);
		for (const struct layer_kind *other = layer_kinds; other < kind; other++)
			assert_string_not_equal(other->name, kind->name);
		assert_in_range(kind->in, 1, ANYWHERE);
		assert_in_range(kind->gives, 1, ANYWHERE);
		assert_non_null(kind->source);
		assert_true(*kind->source);
		assert_true(kind->bytes || number);
		assert_int_equal(!!kind->usage, kind->argument != ARGUMENT_NONE || kind->flags);
		if (kind->usage) {
			assert_memory_equal(kind->usage, kind->name, length);
			assert_true(kind->usage[length] == ':' || kind->usage[length] == '[');
		}
		if (number) {
			assert_in_range(kind->number.min, 0, kind->number.max);
			assert_in_range(kind->number.preset, 0, kind->number.max);
			assert_in_range(kind->number.each, 1, MSSBPF_MTU_MAX);
			assert_non_null(kind->number.unit);
			assert_int_equal(accepted("overhead:1", kind->name), kind->usage[length] == '[');
		}
		check_flags(kind);
	}
}

/* What XFRM calls ciphers and digests: net/xfrm/xfrm_algo.c. */
static const struct {
	const char *name, *kernel;
} kernel_names[] = {
	{ "aes-gcm-", "rfc4106(gcm(aes))" },
	{ "aes-ccm-", "rfc4309(ccm(aes))" },
	{ "chacha20-poly1305", "rfc7539esp(chacha20,poly1305)" },
	{ "null-gmac", "rfc4543(gcm(aes))" },
	{ "aes-cbc-", "cbc(aes)" },
	{ "camellia-cbc-", "cbc(camellia)" },
	{ "3des", "cbc(des3_ede)" },
	{ "aes-ctr", "rfc3686(ctr(aes))" },
	{ "null", "ecb(cipher_null)" },
	{ "sha1-", "hmac(sha1)" },
	{ "sha256-", "hmac(sha256)" },
	{ "sha384-", "hmac(sha384)" },
	{ "sha512-", "hmac(sha512)" },
	{ "md5-", "hmac(md5)" },
	{ "aes-xcbc-", "xcbc(aes)" },
	{ "aes-cmac-", "cmac(aes)" },
	{ "none", "digest_null" },
};

static void check_kernel_name(const char *name, const char *kernel)
{
	for (size_t i = 0; i < ARRAY_SIZE(kernel_names); i++) {
		if (strncmp(kernel_names[i].name, name, strlen(kernel_names[i].name)) != 0)
			continue;
		assert_string_equal(kernel, kernel_names[i].kernel);
		return;
	}
	fail_msg("%s: the test does not know XFRM's name for it", name);
}

/* Names and what XFRM says must each find one cipher; a key's length is in the name where it matters. */
static void test_ciphers(void **state)
{
	char text[STACK_TEXT_SIZE];

	(void)state;
	for (const struct cipher *cipher = ciphers; cipher->name; cipher++) {
		const char *cbc = strstr(cipher->name, "-cbc-");

		check_name(cipher->name);
		check_kernel_name(cipher->name, cipher->kernel);
		assert_int_equal(cipher->key, cbc ? strtoul(cbc + strlen("-cbc-"), NULL, 10) : 0);
		assert_true(cipher->block == 4 || cipher->block == 8 || cipher->block == 16);
		assert_true(*cipher->source);
		for (const struct cipher *other = ciphers; other < cipher; other++) {
			assert_string_not_equal(other->name, cipher->name);
			assert_false(!strcmp(other->kernel, cipher->kernel) && other->key == cipher->key &&
				     other->icv == cipher->icv);
		}
		snprintf(text, sizeof(text), "esp:%s", cipher->name);
		assert_int_equal(accepted("ipv4", text), !!cipher->icv);
		for (const struct digest *digest = digests; digest->name; digest++) {
			snprintf(text, sizeof(text), "esp:%s+%s", cipher->name, digest->name);
			assert_int_equal(accepted("ipv4/natt", text), !cipher->icv);
		}
	}
}

static void test_digests(void **state)
{
	char text[STACK_TEXT_SIZE];

	(void)state;
	for (const struct digest *digest = digests; digest->name; digest++) {
		check_name(digest->name);
		check_kernel_name(digest->name, digest->kernel);
		assert_true(*digest->source);
		for (const struct digest *other = digests; other < digest; other++) {
			assert_string_not_equal(other->name, digest->name);
			assert_false(!strcmp(other->kernel, digest->kernel) && other->icv == digest->icv);
		}
		snprintf(text, sizeof(text), "ah:%s", digest->name);
		assert_true(accepted("ipv6", text) || !digest->icv);
	}
}

/* The longest that is allowed; what is a byte or a layer more is refused above. */
static void test_lengths(void **state)
{
	static const char *const longest[] = {
		"",
		VLAN24,
		"overhead:" ZEROS36 "60",
		ONE4 "/" ONE4 "/" ONE4 "/overhead:1/overhead:1/pppoe",
	};
	(void)state;
	assert_int_equal(strlen(longest[2]), LAYER_NAME_SIZE - 1);
	assert_int_equal(strlen(longest[3]), STACK_TEXT_SIZE - 1);
	for (size_t i = 0; i < ARRAY_SIZE(longest); i++) {
		char text[STACK_TEXT_SIZE], why[WHY_SIZE];
		struct stack stack;
		struct path path;

		assert_int_equal(parse(longest[i], &stack, why), 0);
		path_begin(&path, "eth0", 1500);
		assert_int_equal(path_enter(&path, &stack, why), 0);
		assert_int_equal(path_encap(&path, text), 0);
		assert_string_equal(text, longest[i]);
	}
}

/* Texts of right words and wrong bytes at random: what is accepted is written again as it was. */
static void test_random(void **state)
{
	static const char *const words[] = { "ipv4",	   "ipv6",     "/",    ":",   "+",	     "esp",
					     "aes-gcm-16", "vlan",     "gre",  "key", "srh",	     "1",
					     "mpls",	   "overhead", "60",   "//",  "natt",	     "geneve",
					     "ah",	   "none",     "\xff", " ",   "aes-cbc-128", "sha1-96" };
	uint32_t seed = 0x2545f491;
	size_t accepted_count = 0;

	(void)state;
	for (int i = 0; i < 20 * 1000; i++) {
		char text[2 * STACK_TEXT_SIZE] = "", why[WHY_SIZE], again[STACK_TEXT_SIZE];
		struct stack stack;
		struct path path;

		for (uint32_t left = packet_random(&seed) % 24; left; left--)
			strcat(text, words[packet_random(&seed) % ARRAY_SIZE(words)]);
		if (parse(text, &stack, why))
			continue;
		accepted_count++;
		path_begin(&path, "", MSSBPF_MTU_MAX);
		assert_int_equal(path_enter(&path, &stack, why), 0);
		assert_int_equal(path_encap(&path, again), 0);
		assert_string_equal(again, text);
	}
	assert_in_range(accepted_count, 500, 20 * 1000);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_every_kind_reached),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_ciphers),
		cmocka_unit_test(test_digests),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests_name("stack", tests, NULL, NULL);
}
