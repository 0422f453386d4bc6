// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Rule sets as nft and iptables-save print them (loader/firewall*.c): what they do to "packet too big" and to SYNs, and
 * what broken and hostile text does. Not the place for real rules: those are ../e2e's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "firewall.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* A base chain "c" of family inet, and its rules. */
#define CHAIN(policy, ...)                                                                                             \
	"{\"nftables\":[{\"chain\":{\"family\":\"inet\",\"table\":\"t\",\"name\":\"c\",\"type\":\"filter\","           \
	"\"hook\":\"forward\",\"prio\":0,\"policy\":\"" policy "\"}}" __VA_ARGS__ "]}"
#define RULE_IN(chain, statements)                                                                                     \
	",{\"rule\":{\"family\":\"inet\",\"table\":\"t\",\"chain\":\"" chain "\",\"handle\":7,\"expr\":[" statements   \
	"]}}"
#define RULE(statements) RULE_IN("c", statements)
/* A set, as it is listed with the rules; what is in it, set_get() tells. */
#define SET_IN(table, name, type)                                                                                      \
	",{\"set\":{\"family\":\"inet\",\"name\":\"" name "\",\"table\":\"" table "\",\"type\":\"" type                \
	"\",\"handle\":1}}"
#define SET(name, type) SET_IN("t", name, type)
#define TYPE_IN(set) MATCH("==", PAYLOAD("icmp", "type"), "\"@" set "\"")
#define TYPE_NOT_IN(set) MATCH("!=", PAYLOAD("icmp", "type"), "\"@" set "\"")
#define MATCH(op, left, right) "{\"match\":{\"op\":\"" op "\",\"left\":" left ",\"right\":" right "}},"
#define META(key) "{\"meta\":{\"key\":\"" key "\"}}"
#define PAYLOAD(header, field) "{\"payload\":{\"protocol\":\"" header "\",\"field\":\"" field "\"}}"
#define STATE(op, states) MATCH(op, "{\"ct\":{\"key\":\"state\"}}", states)
#define ICMP MATCH("==", META("l4proto"), "\"icmp\"")
#define FROM(address) MATCH("==", PAYLOAD("ip", "saddr"), "\"" address "\"")
#define DROP "{\"drop\":null}"
#define ACCEPT "{\"accept\":null}"
#define JUMP(chain) "{\"jump\":{\"target\":\"" chain "\"}}"
#define GOTO(chain) "{\"goto\":{\"target\":\"" chain "\"}}"
#define LIMIT "{\"limit\":{\"rate\":10,\"per\":\"second\"}},"
#define ABOVE "{\"limit\":{\"rate\":10,\"per\":\"second\",\"inv\":true}},"
#define ANY FROM("192.0.2.1")

enum fate { PASSES, DROPPED, LIMITED };

struct row {
	const char *text;
	enum fate ipv4, ipv6;
};

static const struct row nft_rows[] = {
	{ CHAIN("accept"), PASSES, PASSES },
	{ CHAIN("drop"), DROPPED, DROPPED },
	/* What names ICMP, in all its spellings. */
	{ CHAIN("accept", RULE(ICMP DROP)), DROPPED, PASSES },
	{ CHAIN("accept", RULE(ICMP "{\"reject\":{\"type\":\"icmp\"}}")), DROPPED, PASSES },
	{ CHAIN("accept", RULE(MATCH("==", META("l4proto"), "1") DROP)), DROPPED, PASSES },
	{ CHAIN("accept", RULE(MATCH("==", META("l4proto"), "{\"set\":[\"icmp\",\"ipv6-icmp\"]}") DROP)), DROPPED,
	  DROPPED },
	{ CHAIN("accept", RULE(MATCH("==", PAYLOAD("ip", "protocol"), "\"icmp\"") DROP)), DROPPED, PASSES },
	{ CHAIN("accept", RULE(MATCH("==", PAYLOAD("ip6", "nexthdr"), "\"ipv6-icmp\"") DROP)), PASSES, DROPPED },
	{ CHAIN("accept", RULE(MATCH("==", PAYLOAD("icmp", "type"), "\"destination-unreachable\"") DROP)), DROPPED,
	  PASSES },
	{ CHAIN("accept", RULE(MATCH("==", PAYLOAD("icmp", "type"), "\"echo-request\"") DROP)), PASSES, PASSES },
	{ CHAIN("accept", RULE(MATCH("!=", PAYLOAD("icmp", "type"), "\"echo-request\"") DROP)), DROPPED, PASSES },
	{ CHAIN("accept", RULE(MATCH("!=", PAYLOAD("icmp", "type"), "3") DROP)), PASSES, PASSES },
	{ CHAIN("accept", RULE(MATCH("==", PAYLOAD("icmp", "code"), "\"frag-needed\"") DROP)), DROPPED, PASSES },
	{ CHAIN("accept", RULE(MATCH("==", PAYLOAD("icmp", "code"), "{\"range\":[3,5]}") DROP)), DROPPED, PASSES },
	{ CHAIN("accept", RULE(MATCH("==", PAYLOAD("icmp", "code"), "{\"range\":[5,6]}") DROP)), PASSES, PASSES },
	{ CHAIN("accept", RULE(MATCH("==", PAYLOAD("icmpv6", "type"),
				     "{\"set\":[{\"elem\":{\"val\":\"packet-too-big\","
				     "\"comment\":\"x\"}}]}") DROP)),
	  PASSES, DROPPED },
	{ CHAIN("accept", RULE(MATCH("==", META("l4proto"), "\"udp\"") DROP)), PASSES, PASSES },
	{ CHAIN("accept", RULE(MATCH("==", PAYLOAD("udp", "dport"), "53") DROP)), PASSES, PASSES },
	/* What does not name it: only what surely drops it counts. */
	{ CHAIN("accept", RULE(DROP)), DROPPED, DROPPED },
	{ CHAIN("accept", RULE(ANY DROP)), PASSES, PASSES },
	{ CHAIN("accept", RULE(ANY ICMP DROP)), DROPPED, PASSES },
	{ CHAIN("accept", RULE(MATCH("==", META("nfproto"), "\"ipv6\"") DROP)), PASSES, DROPPED },
	{ CHAIN("accept", RULE(STATE("in", "\"invalid\"") DROP)), PASSES, PASSES },
	{ CHAIN("accept", RULE(STATE("in", "[\"new\",\"related\"]") DROP)), DROPPED, DROPPED },
	{ CHAIN("accept", RULE(STATE("!=", "{\"set\":[\"established\",\"related\"]}") DROP)), PASSES, PASSES },
	{ CHAIN("accept", RULE(ICMP FROM("@bad") DROP)), DROPPED, PASSES },
	{ CHAIN("accept", RULE(MATCH("!=", META("l4proto"), "\"@some\"") DROP)), PASSES, PASSES },
	{ CHAIN("accept", RULE(MATCH("!=", PAYLOAD("ip", "protocol"), "\"tcp\"") DROP)), DROPPED, PASSES },
	{ CHAIN("accept", RULE(ANY MATCH("!=", META("l4proto"), "\"tcp\"") DROP)), PASSES, PASSES },
	{ CHAIN("accept", RULE("{\"xt\":{\"type\":\"match\",\"name\":\"x\"}}," DROP)), PASSES, PASSES },
	/* Sets by their name. */
	{ CHAIN("accept", SET("unreachable", "icmp_type") RULE(TYPE_IN("unreachable") DROP)), DROPPED, PASSES },
	{ CHAIN("accept", SET("unreachable", "icmp_type") RULE(TYPE_NOT_IN("unreachable") DROP)), PASSES, PASSES },
	{ CHAIN("accept", SET("echo", "icmp_type") RULE(TYPE_IN("echo") DROP)), PASSES, PASSES },
	{ CHAIN("accept", SET("echo", "icmp_type") RULE(TYPE_NOT_IN("echo") DROP)), DROPPED, PASSES },
	{ CHAIN("accept", SET("low", "icmp_type") RULE(TYPE_IN("low") DROP) RULE(TYPE_IN("low") DROP)), DROPPED,
	  PASSES },
	{ CHAIN("accept", SET("empty", "icmp_type") RULE(TYPE_IN("empty") DROP)), PASSES, PASSES },
	{ CHAIN("accept", SET("empty", "icmp_type") RULE(TYPE_NOT_IN("empty") DROP)), DROPPED, PASSES },
	/* What is not known of may be anything: there is none, its name is in another table, it is of another type. */
	{ CHAIN("accept", SET("gone", "icmp_type") RULE(TYPE_NOT_IN("gone") DROP)), PASSES, PASSES },
	{ CHAIN("accept", SET("broken", "icmp_type") RULE(TYPE_NOT_IN("broken") DROP)), PASSES, PASSES },
	{ CHAIN("accept", SET("odd", "icmp_type") RULE(TYPE_NOT_IN("odd") DROP)), PASSES, PASSES },
	{ CHAIN("accept", SET_IN("u", "echo", "icmp_type") RULE(TYPE_NOT_IN("echo") DROP)), PASSES, PASSES },
	{ CHAIN("accept", SET("echo", "ipv4_addr") RULE(ICMP FROM("@echo") DROP)), DROPPED, PASSES },
	/* What lets it pass. */
	{ CHAIN("drop", RULE(STATE("in", "[\"established\",\"related\"]") ACCEPT)), PASSES, PASSES },
	{ CHAIN("drop", RULE(STATE("in", "\"established\"") ACCEPT)), DROPPED, DROPPED },
	{ CHAIN("drop", RULE(ICMP ACCEPT)), PASSES, DROPPED },
	{ CHAIN("drop", RULE(ANY ACCEPT)), PASSES, DROPPED },
	{ CHAIN("accept", RULE(ANY ACCEPT) RULE(DROP)), PASSES, DROPPED },
	{ CHAIN("drop", RULE(MATCH("==", META("iifname"), "\"lo\"") ACCEPT)), DROPPED, DROPPED },
	{ CHAIN("drop", RULE(MATCH("==", META("iifname"), "\"lan0\"") ACCEPT)), PASSES, PASSES },
	{ CHAIN("accept", RULE(ICMP ACCEPT) RULE(DROP)), PASSES, DROPPED },
	{ CHAIN("drop", RULE("{\"queue\":{\"num\":3}}")), PASSES, PASSES },
	/* Maps of verdicts. */
	{ CHAIN("drop", RULE("{\"vmap\":{\"key\":{\"ct\":{\"key\":\"state\"}},\"data\":{\"set\":[[\"invalid\"," DROP
			     "],[\"related\"," ACCEPT "]]}}}")),
	  PASSES, PASSES },
	{ CHAIN("accept",
		RULE("{\"vmap\":{\"key\":" PAYLOAD("icmp", "type") ",\"data\":{\"set\":[[\"echo-request\"," ACCEPT
								   "],[\"*\"," DROP "]]}}}")),
	  DROPPED, PASSES },
	{ CHAIN("drop", RULE("{\"vmap\":{\"key\":" META("iifname") ",\"data\":\"@zones\"}}")), PASSES, PASSES },
	/* Other chains. */
	{ CHAIN("accept", RULE(JUMP("d")) RULE_IN("d", ICMP DROP)), DROPPED, PASSES },
	{ CHAIN("accept", RULE(ANY JUMP("d")) RULE_IN("d", ICMP DROP)), DROPPED, PASSES },
	{ CHAIN("accept", RULE(ANY JUMP("d")) RULE_IN("d", DROP)), PASSES, PASSES },
	{ CHAIN("accept", RULE(ICMP JUMP("d")) RULE_IN("d", DROP)), DROPPED, PASSES },
	{ CHAIN("accept", RULE(JUMP("d")) RULE(DROP) RULE_IN("d", "{\"return\":null}")), DROPPED, DROPPED },
	{ CHAIN("accept", RULE(GOTO("d")) RULE(DROP) RULE_IN("d", ICMP "{\"return\":null}")), PASSES, PASSES },
	{ CHAIN("drop", RULE(JUMP("d")) RULE_IN("d", ICMP ACCEPT)), PASSES, DROPPED },
	{ CHAIN("accept", RULE(JUMP("none")) RULE(ICMP DROP)), DROPPED, PASSES },
	{ CHAIN("drop", RULE(JUMP("c"))), PASSES, PASSES }, /* a loop: nothing can be told */
	/* Up to some rate. */
	{ CHAIN("drop", RULE(ICMP LIMIT ACCEPT)), LIMITED, DROPPED },
	{ CHAIN("accept", RULE(ICMP LIMIT ACCEPT)), PASSES, PASSES },
	{ CHAIN("accept", RULE(ICMP LIMIT ACCEPT) RULE(ICMP DROP)), LIMITED, PASSES },
	{ CHAIN("accept", RULE(ICMP ABOVE DROP)), LIMITED, PASSES },
	{ CHAIN("drop", RULE(ICMP ABOVE DROP)), DROPPED, DROPPED },
	{ CHAIN("accept", RULE(MATCH("==", PAYLOAD("icmp", "type"), "\"echo-request\"") ABOVE DROP)), PASSES, PASSES },
	{ CHAIN("accept",
		RULE(ICMP
		     "{\"set\":{\"op\":\"add\",\"set\":\"@s\",\"stmt\":[{\"limit\":{\"rate\":1,\"inv\":true}}]}}," DROP)),
	  LIMITED, PASSES },
};

#define FILTER "# Generated by iptables-save v1.8.9\n*filter\n:INPUT ACCEPT [0:0]\n"
#define OPEN FILTER ":FORWARD ACCEPT [0:0]\n"
#define SHUT FILTER ":FORWARD DROP [12:345]\n"
#define END "COMMIT\n# Completed\n"

/* IPv4's are read as iptables' text, IPv6's as ip6tables'. */
static const struct row iptables_rows[] = {
	{ OPEN END, PASSES, PASSES },
	{ SHUT END, DROPPED, DROPPED },
	{ OPEN "-A FORWARD -p icmp -j DROP\n" END, DROPPED, PASSES },
	{ OPEN "[1:2] -A FORWARD -p icmp -j REJECT --reject-with icmp-host-prohibited\n" END, DROPPED, PASSES },
	{ OPEN "-A FORWARD -p icmp -m icmp --icmp-type 3/4 -j DROP\n" END, DROPPED, PASSES },
	{ OPEN "-A FORWARD -p icmp -m icmp --icmp-type 3 -j DROP\n" END, DROPPED, PASSES },
	{ OPEN "-A FORWARD -p icmp -m icmp --icmp-type 3/1 -j DROP\n" END, PASSES, PASSES },
	{ OPEN "-A FORWARD -p icmp -m icmp --icmp-type fragmentation-needed -j DROP\n" END, DROPPED, PASSES },
	{ OPEN "-A FORWARD -p icmp -m icmp --icmp-type any -j DROP\n" END, DROPPED, PASSES },
	{ OPEN "-A FORWARD -p icmp -m icmp ! --icmp-type 8 -j DROP\n" END, DROPPED, PASSES },
	{ OPEN "-A FORWARD -p ipv6-icmp -m icmp6 --icmpv6-type 2 -j DROP\n" END, PASSES, DROPPED },
	{ OPEN "-A FORWARD -p ipv6-icmp -m icmp6 --icmpv6-type 128 -j DROP\n" END, PASSES, PASSES },
	{ OPEN "-A FORWARD -p tcp -m tcp --dport 22 -j DROP\n" END, PASSES, PASSES },
	{ OPEN "-A FORWARD ! -p tcp -j DROP\n" END, DROPPED, DROPPED },
	{ OPEN "-A FORWARD -s 192.0.2.0/24 -j DROP\n" END, PASSES, PASSES },
	{ OPEN "-A FORWARD -s 192.0.2.0/24 -p icmp -j DROP\n" END, DROPPED, PASSES },
	{ OPEN "-A FORWARD -m socket -j DROP\n" END, PASSES, PASSES },
	{ OPEN "-A FORWARD -j DROP\n" END, DROPPED, DROPPED },
	{ SHUT "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n" END, PASSES, PASSES },
	{ SHUT "-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT\n" END, DROPPED, DROPPED },
	{ SHUT "-A FORWARD -m state --state RELATED -j ACCEPT\n" END, PASSES, PASSES },
	{ SHUT "-A FORWARD -i lo -j ACCEPT\n" END, DROPPED, DROPPED },
	{ SHUT "-A FORWARD -i eth+ -j ACCEPT\n" END, PASSES, PASSES },
	{ SHUT "-A FORWARD -m comment --comment \"a -j DROP \\\" b\" -j ACCEPT\n" END, PASSES, PASSES },
	{ SHUT "-A FORWARD -p icmp -m limit --limit 5/sec -j ACCEPT\n" END, LIMITED, DROPPED },
	{ OPEN "-A FORWARD -p icmp -m hashlimit --hashlimit-above 5/sec --hashlimit-name x -j DROP\n" END, LIMITED,
	  PASSES },
	{ OPEN ":sub - [0:0]\n-A FORWARD -j sub\n-A sub -p icmp -j DROP\n" END, DROPPED, PASSES },
	{ OPEN ":sub - [0:0]\n-A FORWARD -g sub\n-A FORWARD -j DROP\n" END, PASSES, PASSES },
	{ OPEN "-A FORWARD -j LOG --log-prefix \"-j DROP\"\n" END, PASSES, PASSES },
	{ OPEN "-A FORWARD -j REJECT --reject-with icmp-port-unreachable\n" END, DROPPED, DROPPED },
	{ OPEN ":forward - [0:0]\n-A forward -j DROP\n" END, PASSES, PASSES }, /* nothing leads there */
	{ OPEN "-A INPUT -p icmp -j DROP\n" END, PASSES, PASSES },
};

/* What `nft -j list set` prints of the sets there are. */
static const struct {
	const char *name, *text;
} sets[] = {
	{ "unreachable", "{\"nftables\":[{\"metainfo\":{}},{\"set\":{\"elem\":[\"echo-request\","
			 "\"destination-unreachable\"]}}]}" },
	{ "echo", "{\"nftables\":[{\"set\":{\"elem\":[{\"elem\":{\"val\":\"echo-request\",\"timeout\":60}}]}}]}" },
	{ "low", "{\"nftables\":[{\"set\":{\"elem\":[{\"range\":[0,7]}]}}]}" },
	{ "empty", "{\"nftables\":[{\"set\":{}}]}" },
	{ "broken", "{\"nftables\":[{\"set\":{\"elem\":" },
	{ "odd", "{\"nftables\":[{\"set\":{\"elem\":7}}]}" },
	{ "tunnels", "{\"nftables\":[{\"set\":{\"elem\":[\"wg0\"]}}]}" },
	{ "others", "{\"nftables\":[{\"set\":{\"elem\":[\"wg1\",\"wg2\"]}}]}" },
};

static int set_get(const char *family, const char *table, const char *name, char **text, size_t *length)
{
	assert_string_equal(family, "inet");
	assert_string_equal(table, "t");
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		if (strcmp(name, sets[i].name) != 0)
			continue;
		*text = strdup(sets[i].text);
		*length = strlen(*text);
		return 0;
	}
	return -5;
}

static enum fate fate_of(const struct firewall *firewall, enum probe_packet packet)
{
	enum fate worst = PASSES;

	for (size_t i = 0; i < firewall->count; i++) {
		struct fw_fate fate;

		if (firewall->chains[i]->stage != STAGE_FORWARD)
			continue;
		fate = firewall_fate(firewall, firewall->chains[i], packet);
		assert_false(fate.dropped && fate.limited);
		assert_int_equal(fate.by != NULL, fate.dropped || fate.limited);
		worst = fate.dropped ? DROPPED : fate.limited ? LIMITED : worst;
	}
	return worst;
}

static void test_nft(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(nft_rows); i++) {
		const struct row *row = &nft_rows[i];
		struct firewall firewall = { .set_get = set_get };

		assert_int_equal(firewall_read_nft(&firewall, row->text, strlen(row->text)), 0);
		if (fate_of(&firewall, PACKET_TOO_BIG4) != row->ipv4 ||
		    fate_of(&firewall, PACKET_TOO_BIG6) != row->ipv6)
			fail_msg("row %zu: IPv4 %d, IPv6 %d: %s", i, fate_of(&firewall, PACKET_TOO_BIG4),
				 fate_of(&firewall, PACKET_TOO_BIG6), row->text);
		firewall_free(&firewall);
	}
}

static void test_iptables(void **state)
{
	static const char *const families[] = { "ip", "ip6" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(iptables_rows); i++) {
		const struct row *row = &iptables_rows[i];

		for (size_t family = 0; family < 2; family++) {
			struct firewall firewall = {};
			enum fate own, other;

			assert_int_equal(firewall_read_iptables(&firewall, "iptables", families[family], row->text), 0);
			own = fate_of(&firewall, family ? PACKET_TOO_BIG6 : PACKET_TOO_BIG4);
			other = fate_of(&firewall, family ? PACKET_TOO_BIG4 : PACKET_TOO_BIG6);
			if (own != (family ? row->ipv6 : row->ipv4) || other != PASSES)
				fail_msg("row %zu, %s: %d: %s", i, families[family], own, row->text);
			firewall_free(&firewall);
		}
	}
}

#define MANGLE                                                                                                         \
	"{\"mangle\":{\"key\":{\"tcp option\":{\"name\":\"maxseg\",\"field\":\"size\"}},\"value\":{\"rt\":{\"key\":"   \
	"\"mtu\"}}}}"
#define OUT(names) MATCH("==", META("oifname"), names)
#define IN(names) MATCH("==", META("iifname"), names)
#define NFT_REMOVES "nft delete rule inet t c handle 7"
#define MANGLE_TABLE "*mangle\n:FORWARD ACCEPT [0:0]\n"
#define TCPMSS "-j TCPMSS --clamp-mss-to-pmtu\n"

/* Rules that set the MSS: whether they do for what leaves wg0, and for what arrives by it; and what removes them. */
static const struct {
	const char *nft, *iptables;
	bool egress, ingress;
	const char *remove;
} clamp_rows[] = {
	{ CHAIN("accept", RULE(MANGLE)), NULL, true, true, NFT_REMOVES },
	{ CHAIN("accept", RULE(OUT("\"wg0\"") MANGLE)), NULL, true, false, NFT_REMOVES },
	{ CHAIN("accept", RULE(OUT("\"wg1\"") MANGLE)), NULL, false, false, NULL },
	{ CHAIN("accept", RULE(IN("\"wg0\"") MANGLE)), NULL, false, true, NFT_REMOVES },
	{ CHAIN("accept", RULE(IN("\"wg0\"") OUT("\"wg0\"") MANGLE)), NULL, true, true, NFT_REMOVES },
	{ CHAIN("accept", RULE(IN("\"wg1\"") JUMP("d")) RULE_IN("d", OUT("\"wg0\"") MANGLE) RULE_IN("d", MANGLE)), NULL,
	  true, false, "nft delete rule inet t d handle 7" },
	{ CHAIN("accept", RULE(IN("\"wg1\"") OUT("\"wg1\"") MANGLE)), NULL, false, false, NULL },
	{ CHAIN("accept", RULE(IN("\"wg1\"") OUT("\"wg0\"") MANGLE)), NULL, true, false, NFT_REMOVES },
	{ CHAIN("accept", RULE(IN("\"wg1\"") OUT("{\"set\":[\"ppp*\",\"wg*\"]}") MANGLE)), NULL, true, false,
	  NFT_REMOVES },
	{ CHAIN("accept", RULE(MATCH("!=", META("oifname"), "\"lo\"") OUT("\"ppp0\"") MANGLE)), NULL, false, false,
	  NULL },
	{ CHAIN("accept", RULE(OUT("\"ppp0\"") MATCH("!=", META("oifname"), "\"lo\"") MANGLE)), NULL, false, false,
	  NULL },
	{ CHAIN("accept", RULE(IN("\"wg1\"") OUT("\"@unknown\"") MANGLE)), NULL, true, false, NFT_REMOVES },
	{ CHAIN("accept", SET("tunnels", "ifname") RULE(IN("\"wg1\"") OUT("\"@tunnels\"") MANGLE)), NULL, true, false,
	  NFT_REMOVES },
	{ CHAIN("accept", SET("others", "ifname") RULE(IN("\"wg1\"") OUT("\"@others\"") MANGLE)), NULL, false, false,
	  NULL },
	{ CHAIN("accept", RULE(IN("\"wg1\"") MATCH("!=", META("oifname"), "\"wg0\"") MANGLE)), NULL, false, false,
	  NULL },
	{ CHAIN("accept", RULE(IN("\"wg1\"") OUT("{\"set\":[\"a\",\"b\",\"c\",\"d\",\"e\"]}") MANGLE)), NULL, true,
	  false, NFT_REMOVES },
	{ CHAIN("accept", RULE(IN("\"wg1\"") OUT("\"wg0\"") JUMP("d")) RULE_IN("d", MANGLE)), NULL, true, false,
	  "nft delete rule inet t d handle 7" },
	{ CHAIN("accept", RULE(MATCH("==", META("l4proto"), "\"udp\"") JUMP("d")) RULE_IN("d", MANGLE)), NULL, false,
	  false, NULL },
	{ CHAIN("accept", RULE_IN("d", MANGLE)), NULL, false, false, NULL }, /* nothing leads there */
	{ CHAIN("accept", RULE(MATCH(">", "{\"tcp option\":{\"name\":\"maxseg\"}}", "1400") ACCEPT)), NULL, false,
	  false, NULL },
	{ CHAIN("accept", RULE("{\"xt\":{\"type\":\"target\",\"name\":\"TCPMSS\"}}")), NULL, true, true, NFT_REMOVES },
	{ NULL, MANGLE_TABLE "-A FORWARD -o wg0 -i lan -p tcp -m tcp --tcp-flags SYN,RST SYN " TCPMSS, true, false,
	  "iptables -t mangle -D FORWARD -o wg0 -i lan -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS "
	  "--clamp-mss-to-pmtu" },
	{ NULL, MANGLE_TABLE "-A FORWARD -i wg+ -o lan -p tcp -j TCPMSS --set-mss 1300\n", false, true,
	  "iptables -t mangle -D FORWARD -i wg+ -o lan -p tcp -j TCPMSS --set-mss 1300" },
	{ NULL, MANGLE_TABLE "-A FORWARD -i lan ! -o wg0 -p tcp " TCPMSS, false, false, NULL },
	{ NULL, MANGLE_TABLE "-A FORWARD -i lan -o wg0 -m comment --comment \"a \\\"b\\\" $(reboot) \\' ;\" " TCPMSS,
	  true, false,
	  "iptables -t mangle -D FORWARD -i lan -o wg0 -m comment --comment 'a \"b\" $(reboot) '\\'' ;' -j TCPMSS "
	  "--clamp-mss-to-pmtu" },
};

static void clamp_note(const struct fw_chain *chain, struct fw_rule *rule, void *context)
{
	const struct fw_rule **found = context;

	assert_non_null(chain->name);
	assert_true(!*found || *found == rule);
	*found = rule;
}

static void test_clamps(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(clamp_rows); i++) {
		const char *nft = clamp_rows[i].nft;
		const struct fw_rule *found[MSSBPF_DIRECTIONS] = {};
		struct firewall firewall = { .set_get = set_get };

		assert_int_equal(nft ? firewall_read_nft(&firewall, nft, strlen(nft))
				     : firewall_read_iptables(&firewall, "iptables", "ip", clamp_rows[i].iptables),
				 0);
		for (enum mssbpf_direction direction = 0; direction < MSSBPF_DIRECTIONS; direction++)
			firewall_clamps(&firewall, "wg0", direction, clamp_note, &found[direction]);
		if (!found[MSSBPF_EGRESS] != !clamp_rows[i].egress || !found[MSSBPF_INGRESS] != !clamp_rows[i].ingress)
			fail_msg("row %zu: egress %d, ingress %d", i, !!found[MSSBPF_EGRESS], !!found[MSSBPF_INGRESS]);
		for (size_t direction = 0; direction < MSSBPF_DIRECTIONS; direction++)
			if (found[direction])
				assert_string_equal(found[direction]->remove, clamp_rows[i].remove);
		firewall_free(&firewall);
	}
}

/* A table that both tools show counts as iptables shows it. */
static void test_shown_twice(void **state)
{
	static const char nft[] =
		"{\"nftables\":[{\"chain\":{\"family\":\"ip\",\"table\":\"filter\",\"name\":\"FORWARD\","
		"\"hook\":\"forward\",\"policy\":\"drop\"}},{\"chain\":{\"family\":\"ip\",\"table\":"
		"\"other\",\"name\":\"c\",\"hook\":\"forward\",\"policy\":\"drop\"}}]}";
	struct firewall firewall = {};

	(void)state;
	assert_int_equal(firewall_read_nft(&firewall, nft, strlen(nft)), 0);
	assert_int_equal(firewall_read_iptables(&firewall, "iptables-nft", "ip6", SHUT END), 0);
	assert_false(firewall.chains[0]->hidden);
	assert_int_equal(firewall_read_iptables(&firewall, "iptables-nft", "ip", SHUT END), 0);
	assert_true(firewall.chains[0]->hidden);
	assert_false(firewall.chains[1]->hidden);
	firewall_free(&firewall);
}

/* Text that is none, or too much of it: refused or read, never more. */
static void test_hostile(void **state)
{
	static const char *const broken[] = {
		"", "{", "nothing", "[]", "{\"nftables\":7}", "{\"nftables\":[", "\xff\xfe",
	};
	static const char *const odd[] = {
		"{\"nftables\":[7,null,[],{},{\"rule\":7},{\"rule\":{}},{\"chain\":[]},{\"chain\":{\"name\":7}}]}",
		"{\"nftables\":[{\"rule\":{\"expr\":[7,null,[],{},{\"match\":7},{\"match\":{\"left\":{\"&\":7}}},"
		"{\"vmap\":{\"data\":{\"set\":[7,[],[1],[[],[]]]}}},{\"limit\":7},{\"mangle\":{\"key\":7}},"
		"{\"jump\":7},{\"jump\":{\"target\":null}},{\"xt\":null}]}}]}",
		CHAIN("drop", RULE(MATCH("==", PAYLOAD("icmp", "code"), "{\"range\":[]}")
					   MATCH("==", PAYLOAD("icmp", "code"), "{\"range\":7}")
						   MATCH("==", META("l4proto"), "null")
							   MATCH("in", META("oifname"), "[[[{}]]]") DROP)),
		CHAIN("drop", RULE(JUMP("d") ","
					     "{\"vmap\":{\"key\":" META(
						     "l4proto") ",\"data\":{\"set\":[[\"icmp\"," JUMP("e") "]]}}}")),
	};
	static const char *const lines[] = {
		"-A FORWARD -j DROP\n", "*filter\nnonsense\n", "*filter\n-A\n", "*filter\n-D FORWARD\n", "<html>\n",
	};
	static const char *const odd_lines[] = {
		"",
		"\n\n",
		"*\n:\n",
		"*filter\n:FORWARD\n",
		"*filter\n-A FORWARD\n",
		"*filter\n-A FORWARD -j\n",
		"*filter\n-A FORWARD -p\n",
		"*filter\n-A FORWARD ! ! -i\n",
		"*filter\n-A FORWARD -m comment --comment \"",
		"*filter\n-A FORWARD --comment \"\\",
		"*filter\n-A FORWARD -p icmp --icmp-type /////4294967296\n",
		"*filter\n-A \"\" \"\" \"\"\n",
		"*filter\n-A FORWARD --ctstate ,,,\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
		struct firewall firewall = {};

		assert_int_equal(firewall_read_nft(&firewall, broken[i], strlen(broken[i])), -22);
		firewall_free(&firewall);
	}
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		struct firewall firewall = {};

		assert_int_equal(firewall_read_nft(&firewall, odd[i], strlen(odd[i])), 0);
		fate_of(&firewall, PACKET_TOO_BIG4);
		firewall_free(&firewall);
	}
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct firewall firewall = {};

		assert_int_equal(firewall_read_iptables(&firewall, "iptables", "ip", lines[i]), -22);
		firewall_free(&firewall);
	}
	for (size_t i = 0; i < ARRAY_SIZE(odd_lines); i++) {
		struct firewall firewall = {};

		assert_int_equal(firewall_read_iptables(&firewall, "iptables", "ip", odd_lines[i]), 0);
		fate_of(&firewall, PACKET_TOO_BIG4);
		firewall_free(&firewall);
	}
}

/* Every text that is cut off anywhere is read or refused. */
static void test_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(nft_rows); i += 5) {
		for (size_t length = 0; length < strlen(nft_rows[i].text); length++) {
			struct firewall firewall = {};

			assert_int_equal(firewall_read_nft(&firewall, nft_rows[i].text, length), -22);
			firewall_free(&firewall);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(iptables_rows); i++) {
		for (size_t length = 0; length < strlen(iptables_rows[i].text); length++) {
			char *text = strndup(iptables_rows[i].text, length);
			struct firewall firewall = {};
			int err = firewall_read_iptables(&firewall, "iptables", "ip", text);

			assert_true(err == 0 || err == -22);
			fate_of(&firewall, PACKET_TOO_BIG4);
			firewall_free(&firewall);
			free(text);
		}
	}
}

/* Chains that double the way at each of many steps: the search gives up, and says nothing that is not sure. */
static void test_many_ways(void **state)
{
	struct firewall firewall = {};
	const struct fw_rule *found = NULL;
	char text[8192];
	size_t length = snprintf(text, sizeof(text), "*mangle\n:FORWARD DROP [0:0]\n-A FORWARD -j c0\n");

	(void)state;
	for (int i = 0; i < 14; i++)
		for (int twice = 0; twice < 4; twice++)
			length += snprintf(text + length, sizeof(text) - length, "-A c%d -j c%d\n", i, i + 1);
	assert_true(length < sizeof(text));
	assert_int_equal(firewall_read_iptables(&firewall, "iptables", "ip", text), 0);
	assert_int_equal(fate_of(&firewall, PACKET_TOO_BIG4), PASSES);
	firewall_clamps(&firewall, "wg0", MSSBPF_EGRESS, clamp_note, &found);
	assert_null(found);
	firewall_free(&firewall);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nft),	    cmocka_unit_test(test_iptables), cmocka_unit_test(test_clamps),
		cmocka_unit_test(test_shown_twice), cmocka_unit_test(test_hostile),  cmocka_unit_test(test_cut),
		cmocka_unit_test(test_many_ways),
	};

	return cmocka_run_group_tests_name("firewall", tests, NULL, NULL);
}
