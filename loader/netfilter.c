// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Asks netfilter over netlink, and the programs that show its rules. Not a reader of what they print.
 */
#include "netfilter.h"

#include "netlink.h"
#include "shell.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HTTPS = 443 };

static struct nlmsghdr *request_begin(char *buffer, unsigned int subsystem, unsigned int message)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *family = mnl_nlmsg_put_extra_header(request, sizeof(*family));

	request->nlmsg_type = subsystem << 8 | message;
	request->nlmsg_flags = NLM_F_DUMP;
	family->nfgen_family = AF_UNSPEC;
	family->version = NFNETLINK_V0;
	return request;
}

static int table_note(const struct nlmsghdr *message, void *context)
{
	(void)message;
	*(bool *)context = true;
	return MNL_CB_OK;
}

static bool nft_in_use(void)
{
	char buffer[MNL_NLMSG_HDRLEN + 64];
	struct nlmsghdr *request = request_begin(buffer, NFNL_SUBSYS_NFTABLES, NFT_MSG_GETTABLE);
	bool found = false;

	netlink_ask(NETLINK_NETFILTER, request, table_note, &found);
	return found;
}

/* Tells whether there are tables of the iptables before nftables. */
static bool legacy_in_use(const char *file)
{
	FILE *names = fopen(file, "re");
	bool found = names && fgetc(names) != EOF;

	if (names)
		fclose(names);
	return found;
}

/* Tells whether nft showed a table that iptables may have made. */
static bool compat_in_use(const struct firewall *firewall, const char *family)
{
	static const char *const tables[] = { "filter", "mangle", "raw", "security" };

	for (size_t i = 0; i < firewall->count; i++)
		for (size_t table = 0; table < sizeof(tables) / sizeof(*tables); table++)
			if (!strcmp(firewall->chains[i]->family, family) &&
			    !strcmp(firewall->chains[i]->table, tables[table]))
				return true;
	return false;
}

/* A rule set, and the programs that show it, the better ones first: NULL at the end. */
static const struct {
	const char *what;
	const char *family; /* NULL: nftables' own, of all families */
	const char *legacy; /* the file that tells whether it is in use; NULL: as nftables has it */
	struct {
		const char *save, *change; /* the program that shows it, and the one that commands begin with */
	} programs[2];
} rule_sets[] = {
	{ "nftables", NULL, NULL, { { "nft", "nft" } } },
	{ "iptables",
	  "ip",
	  "/proc/net/ip_tables_names",
	  { { "iptables-legacy-save", "iptables-legacy" }, { "iptables-save", "iptables" } } },
	{ "ip6tables",
	  "ip6",
	  "/proc/net/ip6_tables_names",
	  { { "ip6tables-legacy-save", "ip6tables-legacy" }, { "ip6tables-save", "ip6tables" } } },
	{ "iptables in nftables", "ip", NULL, { { "iptables-nft-save", "iptables-nft" } } },
	{ "ip6tables in nftables", "ip6", NULL, { { "ip6tables-nft-save", "ip6tables-nft" } } },
};

static bool rule_set_in_use(const struct firewall *firewall, size_t number)
{
	if (rule_sets[number].legacy)
		return legacy_in_use(rule_sets[number].legacy);
	return rule_sets[number].family ? compat_in_use(firewall, rule_sets[number].family) : nft_in_use();
}

/* Reads one rule set by one program. Returns 0 or -errno. */
static int rule_set_read(struct firewall *firewall, size_t number, const char *save, const char *change)
{
	static const char *const nft_words[] = { "nft", "--json", "--terse", "list", "ruleset", NULL };
	const char *const save_words[] = { save, NULL };
	char *text;
	size_t length;
	int err = program_run(rule_sets[number].family ? save_words : nft_words, &text, &length);

	if (err)
		return err;
	err = rule_sets[number].family ? firewall_read_iptables(firewall, change, rule_sets[number].family, text)
				       : firewall_read_nft(firewall, text, length);
	free(text);
	return err;
}

void netfilter_read(struct firewall *firewall, struct unread unread[UNREAD_MAX], size_t *unread_count)
{
	*firewall = (struct firewall){};
	*unread_count = 0;
	for (size_t number = 0; number < sizeof(rule_sets) / sizeof(*rule_sets); number++) {
		int err = -ENOENT;

		if (!rule_set_in_use(firewall, number))
			continue;
		for (size_t i = 0; i < 2 && err == -ENOENT && rule_sets[number].programs[i].save; i++)
			err = rule_set_read(firewall, number, rule_sets[number].programs[i].save,
					    rule_sets[number].programs[i].change);
		/* What iptables has in nftables, nft shows as well, if less of it. */
		if (err && (err != -ENOENT || rule_sets[number].legacy || !rule_sets[number].family))
			unread[(*unread_count)++] =
				(struct unread){ rule_sets[number].what, rule_sets[number].programs[0].save, err };
	}
}

/* Conntrack */

static int flow_note(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *parts[CTA_MAX + 1] = {}, *tuple[CTA_TUPLE_MAX + 1] = {}, *proto[CTA_PROTO_MAX + 1] = {};

	attributes_of_message(message, sizeof(struct nfgenmsg), parts, CTA_MAX + 1);
	if (parts[CTA_TUPLE_ORIG])
		attributes_of_nest(parts[CTA_TUPLE_ORIG], tuple, CTA_TUPLE_MAX + 1);
	if (tuple[CTA_TUPLE_PROTO])
		attributes_of_nest(tuple[CTA_TUPLE_PROTO], proto, CTA_PROTO_MAX + 1);
	if (attribute_number(proto[CTA_PROTO_NUM]) == IPPROTO_UDP &&
	    attribute_number(proto[CTA_PROTO_DST_PORT]) == htons(HTTPS))
		*(bool *)context = true;
	return MNL_CB_OK;
}

/* Whether there is anything to ask for: to ask would load what is not there. */
static bool conntrack_in_use(void)
{
	FILE *count = fopen("/proc/sys/net/netfilter/nf_conntrack_count", "re");
	int first = count ? fgetc(count) : EOF;

	if (count)
		fclose(count);
	return first != EOF && first != '0';
}

bool netfilter_sees_quic(void)
{
	char buffer[MNL_NLMSG_HDRLEN + 64];
	struct nlmsghdr *request = request_begin(buffer, NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET);
	bool found = false;

	if (conntrack_in_use())
		netlink_ask(NETLINK_NETFILTER, request, flow_note, &found);
	return found;
}
