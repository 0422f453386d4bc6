// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What encapsulation takes (loader/overhead.c) against the checked rows of ../lib/overheads.csv and against
 * packets built from the inside outwards. Not the place for what stacks may be written: that is stack.c.
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

#include "overhead.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

enum {
	ROWS_MIN = 1200, /* of the vectors; fewer: the file is not whole */
	ROWS_MAX = 4096,
	SWEEP_END = 9216, /* link MTU, bytes */
	SHELLS_MAX = 24,
};

static struct row {
	char encap[STACK_TEXT_SIZE];
	unsigned int link_mtu, inner_mtu, mss4, mss6;
} rows[ROWS_MAX];
static size_t row_count;

/* Stacks besides those of the vectors; stacks_walk() adds one for every cipher and digest. */
static const char *const more_stacks[] = {
	"macsec",
	"macsec/vlan/pppoe/ipv4",
	"vlan/macsec/vlan/ipv6/gre:key",
	"mpls",
	"mpls:16",
	"vlan/mpls:3/eth/vlan/ipv4/gre/mpls:2",
	"ipv4/mpls:2",
	"ipv6/srh:127",
	"ipv6/srh:4/encaplimit/ipv4/gre:csum/mpls/eth",
	"ipv6/encaplimit/srh:2/esp:aes-gcm-8",
	"overhead:1",
	"overhead:60",
	"overhead:9000",
	"overhead:65535",
	"ipv4/wireguard/overhead:60",
	"overhead:60/ipv4/wireguard:padded",
	"ipv4/overhead:7/esp:aes-cbc-128+sha1-96",
	"ipv4/geneve:4/overhead:3/ipv6/geneve:252",
	"ipv4/geneve:252",
	"ipv4/gre:csum",
	"ipv4/gre:seq",
	"ipv4/gre:seq:csum",
	"ipv4/gretap:csum:key:seq/vlan",
	"ipv6/gretap:key",
	"ipv4/etherip/vlan/vlan/pppoe/ipv4/l2tp",
	"ipv4/l2tpv3",
	"ipv4/l2tpv3:4",
	"ipv6/l2tpv3:8/vlan",
	"ipv4/l2tpv3:udp",
	"ipv4/l2tpv3:sublayer",
	"ipv6/l2tpv3:udp:sublayer:8",
	"ipv4/udp/mpls:2/ipv6",
	"ipv4/gue/mpls",
	"ipv4/udp/ipv6/gue/gretap:seq",
	"ipv4/ah:sha256-128:align8",
	"ipv4/ah:sha1-96:align8",
	"ipv4/gre/ipv6/ah:sha512-256",
	"ipv6/gre/ipv4/ah:sha512-256",
	"ipv6/encaplimit/ah:sha384-192",
	"ipv6/srh:1/ah:sha256-128/ipv4/ah:sha256-128",
	"ipv6/overhead:5/ah:sha256-128",
	"ipv4/overhead:5/ah:sha256-128",
	"ipv4/esp:aes-gcm-16/ah:sha256-128",
	"ipv6/esp:aes-gcm-16/ah:sha256-128",
	"ipv6/ah:sha256-128/ah:sha256-128",
	"ipv6/ah:sha256-128/esp:3des+sha256-96",
	"ipv6/gre/ipv4/esp:aes-gcm-16/ah:sha256-128",
	"vlan/vlan/pppoe/ipv6/wireguard",
	"vlan/vlan/pppoe/ipv6/esp:aes-cbc-256+sha256-128/gre:key/ipv4/vxlan",
	"ipv4/esp:aes-gcm-16/ipv4/esp:aes-cbc-128+sha1-96/ipv4/esp:3des+md5-96",
	"pppoe/ipv4/natt/esp:aes-cbc-256+sha512-256/ipv4/wireguard:padded/ipv6/natt/esp:null+sha384-192",
	"ipv4/wireguard:padded/ipv6/wireguard:padded/ipv4/wireguard:padded",
	"ipv4/openvpn/ipv4/openvpn/eth/vlan/ipv6/gtpu/ipv6",
};

/* A header with what stands in front of it as part of the same layer. */
static const struct header {
	const char *name;
	size_t bytes;
	size_t each;   /* for each of the number behind ':' */
	size_t preset; /* that number, when it is left out */
} headers[] = {
	{ "pppoe", 6 + 2 },		    /* RFC 2516 4, and the PPP protocol, RFC 1661 2 */
	{ "vlan", 4 },			    /* IEEE 802.1Q 9.3 */
	{ "macsec", 8 + 8 + 16 },	    /* IEEE 802.1AE 9: SecTAG, SCI, and the ICV behind */
	{ "mpls", 0, 4, 1 },		    /* RFC 3032 2.1 */
	{ "ipv4", 20 },			    /* RFC 791 3.1 */
	{ "ipv6", 40 },			    /* RFC 8200 3 */
	{ "encaplimit", 2 + 3 + 3 },	    /* RFC 2473 4.1.1, with PadN */
	{ "srh", 8, 16 },		    /* RFC 8754 2 */
	{ "gre", 4 },			    /* RFC 2784 2.1 */
	{ "gretap", 4 + 14 },		    /* the same, and Ethernet */
	{ "etherip", 2 + 14 },		    /* RFC 3378 3 */
	{ "eth", 14 },			    /* IEEE 802.3 */
	{ "udp", 8 },			    /* RFC 768 */
	{ "gue", 8 + 4 },		    /* draft-ietf-intarea-gue 3.1, without extensions */
	{ "vxlan", 8 + 8 + 14 },	    /* RFC 7348 5 */
	{ "geneve", 8 + 8 + 14, 1, 0 },	    /* RFC 8926 3.4 */
	{ "gtpu", 8 + 8 },		    /* 3GPP TS 29.281 5.1 */
	{ "l2tp", 8 + 6 + 4 },		    /* RFC 2661 3.1 without options; PPP's address, control, protocol */
	{ "l2tpv3", 4 + 14, 1, 0 },	    /* RFC 3931 4.1.1, and Ethernet */
	{ "openvpn", 8 + 1 + 3 + 4 + 16 },  /* opcode, peer, packet id, tag */
	{ "wireguard", 8 + 1 + 3 + 4 + 8 }, /* type, reserved, receiver, counter */
	{ "natt", 8 },			    /* RFC 3948 2.1 */
	{ "esp", 4 + 4 },		    /* RFC 4303 2: SPI, sequence number */
	{ "ah", 1 + 1 + 2 + 4 + 4 },	    /* RFC 4302 2 */
	{ "overhead", 0, 1 },
};

/* Words behind ':' that add a field. */
static const struct header fields[] = {
	{ "csum", 2 + 2 }, { "key", 4 },      { "seq", 4 }, /* RFC 2784 2.1, RFC 2890 2 */
	{ "udp", 8 + 4 },  { "sublayer", 4 },		    /* RFC 3931 4.1.2.1, 4.6 */
};

static const struct transform {
	const char *name;
	size_t iv, block, icv;
} transforms[] = {
	{ "aes-gcm-16", 8, 1, 16 },
	{ "aes-gcm-12", 8, 1, 12 }, /* RFC 4106 3.1, 6 */
	{ "aes-gcm-8", 8, 1, 8 },
	{ "aes-ccm-16", 8, 1, 16 }, /* RFC 4309 3.1, 6 */
	{ "aes-ccm-12", 8, 1, 12 },
	{ "aes-ccm-8", 8, 1, 8 }, /* likewise */
	{ "chacha20-poly1305", 8, 1, 16 },
	{ "null-gmac", 8, 1, 16 }, /* RFC 7634 2, RFC 4543 3 */
	{ "aes-cbc-128", 16, 16, 0 },
	{ "aes-cbc-192", 16, 16, 0 }, /* RFC 3602 2, 3 */
	{ "aes-cbc-256", 16, 16, 0 },
	{ "3des", 8, 8, 0 }, /* RFC 2451 3 */
	{ "camellia-cbc-128", 16, 16, 0 },
	{ "camellia-cbc-192", 16, 16, 0 },
	{ "camellia-cbc-256", 16, 16, 0 },
	{ "aes-ctr", 8, 1, 0 }, /* RFC 4312 2.4, RFC 3686 3.1 */
	{ "null", 0, 1, 0 },	/* RFC 2410 */
	{ "none", 0, 1, 0 },	/* digests from here on */
	{ "sha1-96", 0, 1, 12 },
	{ "md5-96", 0, 1, 12 }, /* RFC 2404, RFC 2403 */
	{ "sha256-128", 0, 1, 16 },
	{ "sha384-192", 0, 1, 24 }, /* RFC 4868 2.3 */
	{ "sha512-256", 0, 1, 32 },
	{ "sha256-96", 0, 1, 12 }, /* draft-ietf-ipsec-ciph-sha-256-00 */
	{ "aes-xcbc-96", 0, 1, 12 },
	{ "aes-cmac-96", 0, 1, 12 }, /* RFC 3566, RFC 4494 */
};

/* A layer as bytes around what is inside. */
struct shell {
	size_t before;	/* in front */
	size_t trailer; /* right behind the padding that comes behind what is inside */
	size_t block;	/* inside, padding and trailer are a multiple of it */
	size_t icv;	/* behind all */
};

struct packet {
	struct shell shells[SHELLS_MAX]; /* from the link inwards */
	size_t count;
};

static const struct header *header_find(const struct header *list, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(list[i].name, name))
			return &list[i];
	return NULL;
}

static const struct transform *transform_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(transforms); i++)
		if (!strcmp(transforms[i].name, name))
			return &transforms[i];
	fail_msg("%s: the test does not know this cipher or digest", name);
	return NULL;
}

/* ESP's cipher and digest, "CIPHER+DIGEST". */
static void shell_encrypt(struct shell *shell, char *text)
{
	char *place, *word = strtok_r(text, "+", &place);

	shell->trailer = 2; /* pad length, next header */
	shell->block = 4;   /* RFC 4303 2.4: they end at a multiple of 4 */
	for (; word; word = strtok_r(NULL, "+", &place)) {
		const struct transform *transform = transform_find(word);

		shell->before += transform->iv;
		shell->icv += transform->icv;
		if (transform->block > shell->block)
			shell->block = transform->block;
	}
}

/* AH's digest, padded to what IPv4 or IPv6 demands (RFC 4302 3.3.3.2.1). */
static void shell_authenticate(struct shell *shell, const char *digest, size_t align)
{
	shell->before += transform_find(digest)->icv;
	while (shell->before % align)
		shell->before++;
}

/* A layer, "NAME:ARGUMENT:..."; `ipv6`: the nearest IP header in front is one. */
static void shell_read(struct shell *shell, char *text, bool ipv6)
{
	char *place, *name = strtok_r(text, ":", &place), *word;
	const struct header *header = header_find(headers, ARRAY_SIZE(headers), name), *field;
	bool align8 = strstr(place, "align8");
	size_t number;

	if (!header) {
		fail_msg("%s: the test does not know this layer", name);
		return;
	}
	*shell = (struct shell){ .before = header->bytes, .block = 1 };
	number = header->preset;
	if (!strcmp(name, "wireguard"))
		shell->icv = 16;
	while ((word = strtok_r(NULL, ":", &place))) {
		field = header_find(fields, ARRAY_SIZE(fields), word);
		if (field)
			shell->before += field->bytes;
		else if (!strcmp(name, "esp"))
			shell_encrypt(shell, word);
		else if (!strcmp(word, "padded"))
			shell->block = 16;
		else if (!strcmp(name, "ah") && strcmp(word, "align8") != 0)
			shell_authenticate(shell, word, ipv6 || align8 ? 8 : 4);
		else
			number = strtoul(word, NULL, 10);
	}
	shell->before += number * header->each;
}

static void packet_read(struct packet *packet, const char *stack)
{
	char text[STACK_TEXT_SIZE], *place, *word;
	bool ipv6 = false;

	assert_in_range(snprintf(text, sizeof(text), "%s", stack), 0, sizeof(text) - 1);
	packet->count = 0;
	for (word = strtok_r(text, "/", &place); word; word = strtok_r(NULL, "/", &place)) {
		ipv6 = !strcmp(word, "ipv6") || (ipv6 && strcmp(word, "ipv4") != 0);
		assert_in_range(packet->count, 0, SHELLS_MAX - 1);
		shell_read(&packet->shells[packet->count++], word, ipv6);
	}
}

/* What `inside` bytes take on the link. */
static size_t packet_size(const struct packet *packet, size_t inside)
{
	for (size_t i = packet->count; i-- > 0;) {
		const struct shell *shell = &packet->shells[i];

		inside += shell->trailer;
		while (inside % shell->block)
			inside++;
		inside += shell->before + shell->icv;
	}
	return inside;
}

/* A row's number, all of the text. */
static unsigned int column_number(const char *text)
{
	char *end;
	unsigned long number;

	assert_non_null(text);
	number = strtoul(text, &end, 10);
	if (!*text || *end || number > UINT16_MAX + 1000)
		fail_msg("overheads.csv: '%s' is no number", text);
	return number;
}

/* Reads the vectors: every line, or the test fails. */
static int rows_read(void **state)
{
	FILE *file = fopen(MSSBPF_TESTS "/lib/overheads.csv", "r");
	size_t lines = 0;
	char line[256];

	(void)state;
	assert_non_null(file);
	for (int c; (c = fgetc(file)) != EOF;)
		lines += c == '\n';
	rewind(file);
	assert_non_null(fgets(line, sizeof(line), file));
	line[strcspn(line, "\r\n")] = '\0';
	assert_string_equal(line, "encap,link_mtu,inner_mtu,mss4,mss6,name");
	while (fgets(line, sizeof(line), file)) {
		struct row *row = &rows[row_count++];
		char *place = line, *encap = strsep(&place, ",");

		assert_in_range(row_count, 0, ROWS_MAX);
		assert_in_range(snprintf(row->encap, sizeof(row->encap), "%s", encap), 0, sizeof(row->encap) - 1);
		row->link_mtu = column_number(strsep(&place, ","));
		row->inner_mtu = column_number(strsep(&place, ","));
		row->mss4 = column_number(strsep(&place, ","));
		row->mss6 = column_number(strsep(&place, ","));
	}
	assert_int_equal(fclose(file), 0);
	assert_int_equal(row_count, lines - 1);
	assert_in_range(row_count, ROWS_MIN, ROWS_MAX);
	return 0;
}

static void encap_parse(struct stack *stack, const char *encap)
{
	char why[WHY_SIZE] = "";

	if (stack_parse(encap, stack, why))
		fail_msg("%s: refused: %s", encap, why);
}

/* Goes through a stack from a link. Returns what path_enter() does. */
static int path_make(struct path *path, const char *encap, unsigned int link_mtu)
{
	struct stack stack;
	char why[WHY_SIZE];

	encap_parse(&stack, encap);
	path_begin(path, "eth0", link_mtu);
	return path_enter(path, &stack, why);
}

static void test_rows(void **state)
{
	size_t failed = 0;

	(void)state;
	for (const struct row *row = rows; row < rows + row_count; row++) {
		struct path path;
		int error = path_make(&path, row->encap, row->link_mtu);
		unsigned int mtu = error ? 0 : path_mtu(&path);

		if (mtu == row->inner_mtu && mtu - MSSBPF_IPV4_HEADERS == row->mss4 &&
		    mtu - MSSBPF_IPV6_HEADERS == row->mss6)
			continue;
		print_error("'%s', link %u: error %d, MTU %u, MSS %u and %u instead of %u, %u and %u\n", row->encap,
			    row->link_mtu, error, mtu, mtu - MSSBPF_IPV4_HEADERS, mtu - MSSBPF_IPV6_HEADERS,
			    row->inner_mtu, row->mss4, row->mss6);
		failed++;
	}
	if (failed)
		fail_msg("%zu of %zu rows", failed, row_count);
}

/* The steps of every row: each takes from what the one before left, padding is part of what it takes. */
static void test_steps(void **state)
{
	(void)state;
	for (const struct row *row = rows; row < rows + row_count; row++) {
		unsigned int left = row->link_mtu, sum = 0;
		char text[STACK_TEXT_SIZE];
		struct path path;

		assert_int_equal(path_make(&path, row->encap, row->link_mtu), 0);
		assert_string_equal(path.link, "eth0");
		assert_int_equal(path.link_mtu, row->link_mtu);
		for (size_t i = 0; i < path.count; i++) {
			const struct step *step = &path.steps[i];

			sum += step->bytes;
			if (step->kind != STEP_LAYER || step->bytes > left || step->left != left - step->bytes ||
			    step->padding > step->bytes)
				fail_msg("'%s', link %u, %s: takes %u (padding %u) of %u, leaves %u", row->encap,
					 row->link_mtu, step->name, step->bytes, step->padding, left, step->left);
			left = step->left;
		}
		assert_int_equal(left, row->inner_mtu);
		assert_int_equal(sum, row->link_mtu - row->inner_mtu);
		assert_int_equal(path_encap(&path, text), 0);
		assert_string_equal(text, row->encap);
	}
}

/* A step's padding is what its link could have lacked without that anything less would have fitted. */
static void check_padding(const char *encap, const struct packet *packet, const struct path *path)
{
	unsigned int link = path->link_mtu;

	for (size_t i = 0; i < path->count; i++) {
		struct packet one = { { packet->shells[i] }, 1 };
		size_t size = packet_size(&one, path->steps[i].left);

		if (path->steps[i].padding != link - size)
			fail_msg("%s, link %u, %s: padding %u instead of %zu", encap, path->link_mtu,
				 path->steps[i].name, path->steps[i].padding, link - size);
		link = path->steps[i].left;
	}
}

/* What comes out is the largest that fits; nothing does where even the least packet would not fit. */
static void check_largest(const char *encap, const struct stack *stack, const struct packet *packet, unsigned int link)
{
	static struct path path;
	char why[WHY_SIZE];
	unsigned int mtu;
	int error;

	path_begin(&path, "eth0", link);
	error = path_enter(&path, stack, why);
	if (packet->count && packet_size(packet, MTU_MIN_IPV4) > link) {
		if (error != -ERANGE)
			fail_msg("'%s', link %u: %d instead of -ERANGE", encap, link, error);
		return;
	}
	mtu = path_mtu(&path);
	if (error)
		fail_msg("'%s', link %u: error %d: %s", encap, link, error, why);
	if (packet_size(packet, mtu) > link)
		fail_msg("'%s', link %u: %u does not fit: takes %zu", encap, link, mtu, packet_size(packet, mtu));
	if (packet_size(packet, mtu + 1) <= link)
		fail_msg("'%s', link %u: %u is not all: %u takes %zu", encap, link, mtu, mtu + 1,
			 packet_size(packet, mtu + 1));
	check_padding(encap, packet, &path);
}

static void check_stack(const char *encap)
{
	struct packet packet;
	struct stack stack;

	packet_read(&packet, encap);
	encap_parse(&stack, encap);
	assert_int_equal(stack.count, packet.count);
	for (unsigned int link = 0; link <= SWEEP_END; link++)
		check_largest(encap, &stack, &packet, link);
	for (unsigned int link = MSSBPF_MTU_MAX - 64; link <= MSSBPF_MTU_MAX; link++)
		check_largest(encap, &stack, &packet, link);
}

static void test_largest_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < row_count; i++) {
		bool seen = false;

		for (size_t j = 0; j < i && !seen; j++)
			seen = !strcmp(rows[j].encap, rows[i].encap);
		if (!seen)
			check_stack(rows[i].encap);
	}
}

static void test_largest_more(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(more_stacks); i++)
		check_stack(more_stacks[i]);
}

/* Every cipher with every digest, and every digest of AH. */
static void test_largest_transforms(void **state)
{
	char text[STACK_TEXT_SIZE];

	(void)state;
	for (const struct cipher *cipher = ciphers; cipher->name; cipher++) {
		snprintf(text, sizeof(text), "ipv4/esp:%s", cipher->name);
		if (transform_find(cipher->name)->icv)
			check_stack(text);
		for (const struct digest *digest = digests; digest->name && !transform_find(cipher->name)->icv;
		     digest++) {
			snprintf(text, sizeof(text), "ipv6/natt/esp:%s+%s", cipher->name, digest->name);
			check_stack(text);
		}
	}
	for (const struct digest *digest = digests; digest->name; digest++) {
		if (!digest->icv)
			continue;
		snprintf(text, sizeof(text), "ipv4/ah:%s/ipv6/ah:%s", digest->name, digest->name);
		check_stack(text);
		snprintf(text, sizeof(text), "ipv4/ah:%s:align8", digest->name);
		check_stack(text);
	}
}

/* Figures that others publish, and the networks that started this program. */
static void test_published(void **state)
{
	static const struct row published[] = {
		{ "ipv4/wireguard", 1500, 1440 },
		{ "ipv6/wireguard", 1500, 1420, 1380, 1360 },
		{ "pppoe/ipv6/wireguard", 1500, 1412 },
		{ "pppoe/ipv4/wireguard", 1500, 1432 },
		{ "ipv4/natt/esp:aes-cbc-128+none/ipv4", 1500, 1418, 1378 },
		{ "ipv4/wireguard/overhead:60", 1500, 1380, 1340 },
		{ "overhead:60/ipv4/wireguard", 1500, 1380, 1340 },
		{ "ipv4/vxlan", 1500, 1450 },
		{ "ipv6/vxlan", 1500, 1430 },
		{ "ipv4/gre", 1500, 1476 },
		{ "ipv4/gretap", 1500, 1462 },
		{ "ipv4", 1500, 1480 },
		{ "ipv6", 1500, 1460 },
		{ "ipv6/encaplimit", 1500, 1452 },
		{ "ipv6/encaplimit/gre", 1500, 1448 },
		{ "pppoe", 1500, 1492, 1452, 1432 },
		{ "macsec", 1500, 1468 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(published); i++) {
		const struct row *row = &published[i];
		struct path path;

		assert_int_equal(path_make(&path, row->encap, row->link_mtu), 0);
		if (path_mtu(&path) != row->inner_mtu)
			fail_msg("%s: %u instead of %u", row->encap, path_mtu(&path), row->inner_mtu);
		if (row->mss4)
			assert_int_equal(path_mtu(&path) - MSSBPF_IPV4_HEADERS, row->mss4);
		if (row->mss6)
			assert_int_equal(path_mtu(&path) - MSSBPF_IPV6_HEADERS, row->mss6);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_published),
		cmocka_unit_test(test_largest_vectors),
		cmocka_unit_test(test_largest_transforms),
		cmocka_unit_test(test_largest_more),
	};

	return cmocka_run_group_tests_name("overhead", tests, rows_read, NULL);
}
