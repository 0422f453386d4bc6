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

/* Tables of nftables: those that iptables may have made, of either family, and others. */
struct tables {
	bool ip, ip6, others;
};

static int table_note(const struct nlmsghdr *message, void *context)
{
	static const char *const names[] = { "filter", "mangle", "nat", "raw", "security" };
	const struct nfgenmsg *header = message_header(message, sizeof(*header));
	const struct nlattr *parts[NFTA_TABLE_MAX + 1] = {};
	struct tables *tables = context;
	bool *kind = &tables->others;

	if (!header)
		return MNL_CB_OK;
	attributes_of_message(message, sizeof(*header), parts, NFTA_TABLE_MAX + 1);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(attribute_text(parts[NFTA_TABLE_NAME]), names[i]))
			continue;
		kind = header->nfgen_family == AF_INET	  ? &tables->ip
		       : header->nfgen_family == AF_INET6 ? &tables->ip6
							  : &tables->others;
	}
	*kind = true;
	return MNL_CB_OK;
}

static void tables_get(struct tables *tables)
{
	char buffer[MNL_NLMSG_HDRLEN + 64];
	struct nlmsghdr *request = request_begin(buffer, NFNL_SUBSYS_NFTABLES, NFT_MSG_GETTABLE);

	*tables = (struct tables){};
	netlink_ask(NETLINK_NETFILTER, request, table_note, tables);
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

enum rule_set { NFTABLES, IPTABLES, IP6TABLES, IPTABLES_NFT, IP6TABLES_NFT, RULE_SETS };

/* How each rule set is read: by the first of the programs that is there. */
static const struct {
	const char *what;
	const char *family; /* that iptables' text does not tell */
	const char *legacy; /* the file that tells whether it is in use, of those before nftables */
	struct {
		const char *save, *change; /* the program that shows it, and the one that commands begin with */
	} programs[2];
} rule_sets[RULE_SETS] = {
	[NFTABLES] = { "nftables", NULL, NULL, { { "nft", "nft" } } },
	[IPTABLES] = { "iptables",
		       "ip",
		       "/proc/net/ip_tables_names",
		       { { "iptables-legacy-save", "iptables-legacy" }, { "iptables-save", "iptables" } } },
	[IP6TABLES] = { "ip6tables",
			"ip6",
			"/proc/net/ip6_tables_names",
			{ { "ip6tables-legacy-save", "ip6tables-legacy" }, { "ip6tables-save", "ip6tables" } } },
	[IPTABLES_NFT] = { "iptables", "ip", NULL, { { "iptables-nft-save", "iptables-nft" } } },
	[IP6TABLES_NFT] = { "ip6tables", "ip6", NULL, { { "ip6tables-nft-save", "ip6tables-nft" } } },
};

static bool rule_set_in_use(enum rule_set set, const struct tables *tables)
{
	switch (set) {
	case NFTABLES:
		return tables->ip || tables->ip6 || tables->others;
	case IPTABLES_NFT:
		return tables->ip;
	case IP6TABLES_NFT:
		return tables->ip6;
	default:
		return legacy_in_use(rule_sets[set].legacy);
	}
}

/* One set of nftables': the whole of the rules is read without the elements of sets, which may be millions. */
static int nft_set_get(const char *family, const char *table, const char *name, char **text, size_t *length)
{
	if (!nft_takes_name(family) || !nft_takes_name(table) || !nft_takes_name(name))
		return -EINVAL;
	return program_run(WORDS("nft", "--json", "list", "set", family, table, name), text, length);
}

/* Reads one rule set by one program. Returns 0 or -errno. */
static int rule_set_read_by(struct firewall *firewall, enum rule_set set, const char *save, const char *change)
{
	static const char *const nft[] = { "nft", "--json", "--terse", "list", "ruleset", NULL };
	char *text;
	size_t length;
	int err = program_run(set == NFTABLES ? nft : WORDS(save), &text, &length);

	if (err)
		return err;
	if (set == NFTABLES)
		err = firewall_read_nft(firewall, text, length);
	else if (rule_sets[set].legacy && strstr(text, "(nf_tables)")) /* it shows the others */
		err = -ENOENT;
	else
		err = firewall_read_iptables(firewall, change, rule_sets[set].family, text);
	free(text);
	return err;
}

static int rule_set_read(struct firewall *firewall, enum rule_set set)
{
	int err = -ENOENT;

	for (size_t i = 0; i < 2 && err == -ENOENT && rule_sets[set].programs[i].save; i++)
		err = rule_set_read_by(firewall, set, rule_sets[set].programs[i].save,
				       rule_sets[set].programs[i].change);
	return err;
}

void netfilter_read(struct firewall *firewall, struct unread unread[UNREAD_MAX], size_t *unread_count)
{
	bool no_nft = false;
	struct tables tables;

	*firewall = (struct firewall){ .set_get = nft_set_get };
	*unread_count = 0;
	tables_get(&tables);
	for (enum rule_set set = 0; set < RULE_SETS; set++) {
		int err = rule_set_in_use(set, &tables) ? rule_set_read(firewall, set) : 0;

		/* What iptables has in nftables, either can show; nft less of it. */
		if (set == NFTABLES)
			no_nft = err;
		if (err == -ENOENT && ((set == NFTABLES && !tables.others) || (set >= IPTABLES_NFT && !no_nft)))
			continue;
		if (err)
			unread[(*unread_count)++] =
				(struct unread){ rule_sets[set].what, rule_sets[set].programs[0].save, err };
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
	    attribute_number(proto[CTA_PROTO_DST_PORT]) == htons(HTTPS)) {
		*(bool *)context = true;
		errno = ECANCELED; /* one is enough of what may be a million */
		return MNL_CB_ERROR;
	}
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
