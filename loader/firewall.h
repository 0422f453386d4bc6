/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What firewall rules do to the packets that matter here: SYNs, and the ICMP messages that say that a packet is too
 * big. Rule sets come as text, from nft(8) or iptables-save(8); whether a packet matches is told in three values,
 * because much of a rule is not looked at. Not a firewall, and not where the text comes from.
 */
#ifndef MSSBPF_FIREWALL_H
#define MSSBPF_FIREWALL_H

#include <linux/if.h>
#include <mssbpf/abi.h>
#include <stdbool.h>
#include <stddef.h>

/* The packets that rules are tried on. */
enum probe_packet {
	PACKET_TOO_BIG4, /* ICMP "fragmentation needed" */
	PACKET_TOO_BIG6, /* ICMPv6 "packet too big" */
	PACKET_SYN4,
	PACKET_SYN6,
	PACKETS,
};

enum answer {
	ANSWER_NO,
	ANSWER_MAYBE,
	ANSWER_YES,
};

enum verdict {
	VERDICT_NONE, /* the next rule */
	VERDICT_ACCEPT,
	VERDICT_DROP,
	VERDICT_JUMP,
	VERDICT_GOTO,
	VERDICT_RETURN,
	VERDICT_OTHER, /* leaves the rules for some place else: a queue */
};

enum stage {
	STAGE_NONE, /* no base chain */
	STAGE_INGRESS,
	STAGE_PREROUTING,
	STAGE_INPUT,
	STAGE_FORWARD,
	STAGE_OUTPUT,
	STAGE_POSTROUTING,
	STAGE_EGRESS,
	STAGES,
};

/* Which devices a rule is for; `some` of the names do not fit: it may be others, too. */
struct fw_devices {
	bool given, negated, some;
	size_t count;
	char names[4][IFNAMSIZ + 1]; /* "ppp*": all that begin so */
};

struct fw_rule {
	enum answer answers[PACKETS]; /* devices and rates left out */
	bool names_icmp;	      /* it asks for the ICMP message, or for ICMP: not for whatever comes */
	bool limited;		      /* it matches up to some rate, or above one */
	bool above;
	bool sets_mss;
	enum verdict verdict;
	struct fw_devices in, out;
	char *target; /* of a jump */
	char *remove; /* of one that sets the MSS: the command that removes it, for the shell; NULL: there is none */
	bool told;    /* the caller's */
};

struct fw_chain {
	const char *program;	     /* that changes it: "nft", "iptables" and so on */
	char *family, *table, *name; /* family: "ip", "ip6", "inet" or "netdev" */
	enum stage stage;
	bool nat;    /* sees the first packet of a connection only */
	bool drops;  /* what comes to its end */
	bool hidden; /* it is there a second time, as another tool shows it */
	bool clamps; /* it leads to a rule that sets the MSS; see firewall_clamps() */
	struct fw_rule *rules;
	size_t count;
};

struct firewall {
	struct fw_chain **chains; /* as they were read */
	size_t count;
	/* What `nft -j list set` prints of a set that rules name. Returns 0 or -errno. NULL: nothing is known of it. */
	int (*set_get)(const char *family, const char *table, const char *name, char **text, size_t *length);
	void *index; /* of tsearch(3), by what names a chain */
	bool marked; /* which chains clamp is known */
};

void firewall_free(struct firewall *firewall);

/*
 * Adds what `nft -j -t list ruleset` printed; tables of bridges and ARP are left out. Returns 0, -EINVAL when it is
 * something else, or -ENOMEM.
 */
int firewall_read_nft(struct firewall *firewall, const char *text, size_t length);

/*
 * Adds what iptables-save (family "ip") or ip6tables-save ("ip6") printed. Chains that are there already as nft shows
 * them are hidden, table by table. `program` is what commands begin with; it has to last. Returns 0, -EINVAL when the
 * text is something else, or -ENOMEM.
 */
int firewall_read_iptables(struct firewall *firewall, const char *program, const char *family, const char *text);

/*
 * Tells whether nft takes a text for the name of a table, chain or set, and for nothing else: the kernel takes any, and
 * nft reads all its words as one text, with the commands that are in it.
 */
bool nft_takes_name(const char *text);

/* What becomes of a packet in one base chain. */
struct fw_fate {
	bool dropped;
	bool limited;		    /* beyond some rate only */
	const struct fw_chain *by;  /* the chain that drops it */
	const struct fw_rule *rule; /* NULL: its policy */
};

/*
 * Follows a packet through a base chain. "Dropped" is told when it surely is, and when a rule drops some of these
 * packets and names ICMP.
 */
struct fw_fate firewall_fate(const struct firewall *firewall, const struct fw_chain *base, enum probe_packet packet);

/*
 * Finds the rules that set the MSS of SYNs that pass this device in this direction, and calls each() for them: those
 * that name the device, and those that are for all. What names only where the packet comes from before, or goes to
 * after, is for that device.
 */
typedef void (*firewall_each)(const struct fw_chain *chain, struct fw_rule *rule, void *context);
void firewall_clamps(struct firewall *firewall, const char *device, enum mssbpf_direction direction, firewall_each each,
		     void *context);

/* For the readers. */

/* A field of packets. */
enum packet_field {
	FIELD_FAMILY,
	FIELD_PROTOCOL, /* above IP */
	FIELD_ICMP_TYPE,
	FIELD_ICMP_CODE,
	FIELD_ICMP6_TYPE,
	FIELD_ICMP6_CODE,
	FIELD_STATE, /* of conntrack */
	FIELD_IPV4,  /* anything else of that header */
	FIELD_IPV6,
	FIELD_TCP,     /* anything of that header */
	FIELD_FOREIGN, /* anything of a header that none of the packets has */
	FIELD_OTHER,
	FIELDS,
};

/* Tells whether the packet has the field: maybe, for what may have any value. */
enum answer packet_has(enum probe_packet packet, enum packet_field field);

/* Tells whether a field of the packet has this value: a number, or a name as either tool writes it. */
enum answer packet_compare(enum probe_packet packet, enum packet_field field, const char *value);

/* The number of a field of the packet, or -1 where it has none. */
int packet_number(enum probe_packet packet, enum packet_field field);

enum answer answer_and(enum answer one, enum answer other);
enum answer answer_or(enum answer one, enum answer other);
enum answer answer_not(enum answer answer);

/*
 * Finds a chain, or adds it. Returns NULL when there is none, or memory is short.
 */
struct fw_chain *firewall_find_chain(const struct firewall *firewall, const struct fw_chain *key);
struct fw_chain *firewall_add_chain(struct firewall *firewall, const struct fw_chain *key);

/* Adds a rule that matches all. Returns NULL when memory is short. */
struct fw_rule *chain_add_rule(struct fw_chain *chain);

void devices_add_name(struct fw_devices *devices, const char *name);
enum stage stage_of(const char *hook);

#endif
