/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the BPF programs and the loader share: keys and values of the maps, and what is counted.
 * Not a place for code, nor for anything that only one side needs.
 *
 * A change to any of these structs or enums raises MSSBPF_ABI: the loader refuses pinned maps of
 * another number instead of misreading them.
 */
#ifndef MSSBPF_ABI_H
#define MSSBPF_ABI_H

#ifndef __bpf__
#include <linux/types.h>
#endif

#define MSSBPF_ABI 4

/* Bytes. */
enum {
	MSSBPF_MTU_MIN = 576, /* what every IPv4 host takes, RFC 1122 3.3.2 */
	MSSBPF_MTU_MAX = 65535,
	MSSBPF_IPV4_HEADERS = 40, /* IP and TCP without options, RFC 9293 3.7.1 */
	MSSBPF_IPV6_HEADERS = 60,
};

enum mssbpf_direction {
	MSSBPF_EGRESS,
	MSSBPF_INGRESS,
	MSSBPF_DIRECTIONS,
};

/* How a device's packets begin; chosen by its ARPHRD type. */
enum mssbpf_link {
	MSSBPF_LINK_ETHERNET,
	MSSBPF_LINK_NONE, /* with the IP header; its EtherType is in skb->protocol */
	MSSBPF_LINKS,
};

enum mssbpf_family {
	MSSBPF_IPV4,
	MSSBPF_IPV6,
	MSSBPF_FAMILIES,
};

/* What kind of TCP segment was counted. */
enum mssbpf_kind {
	MSSBPF_SYN,
	MSSBPF_SYN_ACK,
	MSSBPF_UNREADABLE, /* the headers end or break before the flags: perhaps a SYN */
	MSSBPF_KINDS,
};

/*
 * What became of it. All but CLAMPED and ADDED leave the packet as it was. From NO_MSS to TCP_AO, what a later
 * option says outweighs what the ones before it said: the order of the numbers is the order of weight.
 */
enum mssbpf_result {
	MSSBPF_AH,	    /* behind an Authentication Header, which covers the segment */
	MSSBPF_NO_MSS,	    /* no MSS option */
	MSSBPF_ALREADY_LOW, /* every MSS at or below the limit */
	MSSBPF_CLAMPED,	    /* an MSS above the limit was lowered (dry run: would have been) */
	MSSBPF_TCP_AO,	    /* carries TCP-AO, which covers the options (RFC 5925) */
	MSSBPF_MALFORMED,   /* headers or option list break their rules */
	MSSBPF_TRUNCATED,   /* the headers go on beyond the packet or the first fragment */
	MSSBPF_UNWRITABLE,  /* no memory to make the header writable; or on XDP, the checksum's kind is unknown */
	MSSBPF_ADDED,	    /* an MSS option was added (dry run: would have been) */
	MSSBPF_EXEMPT, /* no limit holds for it: a rule says so, or no rule is for it and there is no other limit */
	MSSBPF_RESULTS,
};

/* Key of the maps `limits`, `counters` and `baseline`. */
struct mssbpf_key {
	__u32 ifindex;
	__u32 direction; /* enum mssbpf_direction */
};

enum mssbpf_flags {
	MSSBPF_DRY_RUN = 1 << 0,   /* count, change nothing */
	MSSBPF_LIVE_IPV4 = 1 << 1, /* IPv4's limit follows the device's MTU; mss4 is for when that cannot be read */
	MSSBPF_LIVE_IPV6 = 1 << 2, /* likewise */
	MSSBPF_ROUTE = 1 << 3,	   /* what is live follows the route towards the destination, too */
	MSSBPF_BOTH_WAYS = 1 << 4, /* and the route back to the source */
	MSSBPF_ADD_MISSING =
		1 << 5, /* a SYN without MSS gets one: what the receiver has to assume, or the limit if lower */
	MSSBPF_ADD_LIMIT = 1 << 6, /* then the limit itself */
};

/* In the place of an MSS limit, beside its legal values 1..65495. */
enum {
	MSSBPF_MSS_OWN = 0,	  /* in a rule set, of addresses without a rule: the device's own limit */
	MSSBPF_MSS_NONE = 0xffff, /* no limit: the SYN is left alone */
};

/* Where the MTU came from. */
enum mssbpf_source {
	MSSBPF_SOURCE_GIVEN,
	MSSBPF_SOURCE_DEVICE,	/* the device's own */
	MSSBPF_SOURCE_COMPUTED, /* from the layers around packets: see origin */
	MSSBPF_SOURCE_ROUTE,	/* each packet's route, and the device's own */
	MSSBPF_SOURCE_NONE,	/* no limit but those of rules */
};

/*
 * What the programs obey, read in one load of eight bytes: a change of limits is seen whole or not at
 * all.
 */
union mssbpf_order {
	struct {
		__u16 mss4;  /* largest MSS let through over IPv4, bytes */
		__u16 mss6;  /* ... over IPv6 */
		__u16 flags; /* enum mssbpf_flags */
		__u16 rules; /* the device's set is element rules - 1 of the map `rules`: it goes first; 0: no set */
	};
	__u64 word;
};

/* Whose a device's clsact qdisc is. */
enum mssbpf_clsact {
	MSSBPF_CLSACT_FOREIGN,
	MSSBPF_CLSACT_CREATING, /* ours, but perhaps without our filter yet */
	MSSBPF_CLSACT_OURS,
};

#define MSSBPF_ORIGIN_SIZE 240

/*
 * Value of the map `limits`, the loader's record of an entry: the order, which the programs read in the map `orders`,
 * where it came from, and since when.
 */
struct mssbpf_limit {
	union mssbpf_order order;
	__u32 slot;  /* of the order in `orders`; the same in `counters` */
	__u32 mtu;   /* the MTU the limits were derived from, bytes */
	__u8 source; /* enum mssbpf_source */
	__u8 clsact; /* enum mssbpf_clsact */
	__u16 padding;
	__u32 padding_too;
	__u64 passed[MSSBPF_DIRECTIONS]; /* packets that the device had counted, each way, when counting began here */
	char origin[MSSBPF_ORIGIN_SIZE]; /* text for COMPUTED, with its NUL */
};

/* What the program mssbpf_change takes, as a packet: the entry of `limits` to change, and its new value. */
struct mssbpf_change {
	__u8 ethernet[16]; /* zeros, which the kernel reads as a header */
	struct mssbpf_key key;
	struct mssbpf_limit limit;
};

/*
 * The histogram of the MSS that SYNs announce, before they are clamped: each bucket with the first and the last MSS in
 * it, bytes, but the bucket behind all these, which has no end. Of two options in one SYN the last counts, which is
 * what Linux obeys.
 */
#define MSSBPF_BUCKETS_EACH(bucket) \
	bucket(0, 0, 536) bucket(1, 537, 1220) bucket(2, 1221, 1360) bucket(3, 1361, 1380) bucket(4, 1381, 1400) \
	bucket(5, 1401, 1412) bucket(6, 1413, 1420) bucket(7, 1421, 1436) bucket(8, 1437, 1440) \
	bucket(9, 1441, 1448) bucket(10, 1449, 1452) bucket(11, 1453, 1460)
enum {
	MSSBPF_BUCKETS = 13,
	MSSBPF_BUCKETS_LAST = 1460, /* the last MSS that is not in the last bucket */
};

/*
 * Value of the per-CPU map `counters`, whose entries the programs look for: one lookup for all; of the map `baseline`,
 * sums that count as zero since the last reset.
 */
struct mssbpf_counters {
	__u64 slot; /* of the order in the array `orders`; in sums, nothing */
	__u64 packets[MSSBPF_FAMILIES][MSSBPF_KINDS][MSSBPF_RESULTS];
	__u64 announced[MSSBPF_FAMILIES][MSSBPF_BUCKETS];
	__u64 announced_bytes[MSSBPF_FAMILIES]; /* the sum of these MSS */
};

/* Of a set of rules. */
enum {
	MSSBPF_RULE_KEYS_IPV4 = 48, /* in a node */
	MSSBPF_RULE_KEYS_IPV6 = 16,
	MSSBPF_RULE_LEVELS = 5,		  /* of nodes at most */
	MSSBPF_RULE_LEVELS_IPV4 = 4,	  /* of IPv4's */
	MSSBPF_RULE_RANGES_MAX = 1 << 20, /* these take as many levels */
};

/* An address in host order, upper half first; IPv4's are the first bits, and zeros follow. */
struct mssbpf_address {
	__u64 half[2];
};

/*
 * Set of rules: an array of its own for each device, in the map of maps `rules`; it is replaced as a whole. Its
 * elements:
 *
 * The head, element 0.
 *
 * For each family a tree over ranges of addresses, by levels from the root down, each level's nodes side by side. A
 * range ends where the next begins, and has the limit of the longest prefix that it lies in. The nodes of the last
 * level have all ranges, as many in each as it has keys: by ascending first address, the first of all being zero. Those
 * of the others have the first addresses of as many nodes below: of n keys, key i of node j is for node j * n + i. What
 * is not used at the end of a level has the address of all ones, and the limit of the last range.
 *
 * The prefixes themselves, for the loader.
 */
struct mssbpf_rule_head {
	__u32 levels[MSSBPF_FAMILIES];
	__u32 begin[MSSBPF_FAMILIES][MSSBPF_RULE_LEVELS + 1]; /* of each level, and of what follows: elements */
	__u32 prefixes;					      /* how many */
};

/* The MSS, in the last level: the largest let through, MSSBPF_MSS_NONE or MSSBPF_MSS_OWN. */
struct mssbpf_rule_ipv4 {
	__u32 first[MSSBPF_RULE_KEYS_IPV4];
	__u16 mss[MSSBPF_RULE_KEYS_IPV4];
};

struct mssbpf_rule_ipv6 {
	__u64 upper[MSSBPF_RULE_KEYS_IPV6]; /* halves of first addresses, apart: the lower are seldom needed */
	__u16 mss[MSSBPF_RULE_KEYS_IPV6];
	__u64 lower[MSSBPF_RULE_KEYS_IPV6];
};

struct mssbpf_rule_prefix {
	struct mssbpf_address first;
	__u16 mss;   /* or MSSBPF_MSS_NONE */
	__u8 family; /* enum mssbpf_family */
	__u8 length; /* bits */
	__u32 padding;
};

enum { MSSBPF_RULE_PREFIXES = sizeof(struct mssbpf_rule_ipv6) / sizeof(struct mssbpf_rule_prefix) }; /* in an element */

union mssbpf_rule_element {
	struct mssbpf_rule_head head;
	struct mssbpf_rule_ipv4 ipv4;
	struct mssbpf_rule_ipv6 ipv6;
	struct mssbpf_rule_prefix prefixes[MSSBPF_RULE_PREFIXES];
};

/* The one value of the map `watch`, which loader and programs share. */
struct mssbpf_watch {
	__u64 until;  /* events are sent up to this time, CLOCK_MONOTONIC, ns; 0: nobody listens */
	__u64 verify; /* not 0: a packet marked with this is not counted: it comes from a test run of the loader */
	__u64 lost;   /* events for which the reader left no room */
};

/* What is sent for every SYN while somebody listens, by the ring buffer in the map of maps `events`. */
struct mssbpf_event {
	__u64 time; /* CLOCK_MONOTONIC, ns */
	__u32 ifindex;
	__u8 direction; /* enum mssbpf_direction */
	__u8 family;	/* enum mssbpf_family */
	__u8 kind;	/* enum mssbpf_kind */
	__u8 result;	/* enum mssbpf_result */
	__u16 before;	/* MSS announced, bytes; 0: none was read */
	__u16 after;	/* MSS as it goes on, bytes (dry run: as it would); 0: none was read */
	__be16 source_port;
	__be16 destination_port;
	__u8 source[16]; /* network order; IPv4: the first four. Zeros, with the ports, where headers are unreadable */
	__u8 destination[16];
};

/* What the programs can do on this kernel beyond what all can. */
enum mssbpf_abilities {
	MSSBPF_READS_ROUTE = 1 << 0, /* TC egress: read the route that the packet carries */
	MSSBPF_GIVES_MARK = 1 << 1,  /* look a route up with the packet's mark */
};

/* The one value of the map `meta`: who made the pins. */
struct mssbpf_meta {
	__u32 abi;	 /* MSSBPF_ABI of the loader that made the maps; stays first in every layout */
	__u32 abilities; /* enum mssbpf_abilities of the pinned programs */
	__u64 build;	 /* hash of the BPF object that the attached programs came from */
};

/*
 * Where the running kernel keeps what a packet's route says, for the programs: bytes from the beginning of the
 * struct that is named. All are zero when the loader could not find out.
 */
struct mssbpf_route_layout {
	__u16 skb_refdst;  /* sk_buff: _skb_refdst; never at 0 */
	__u16 dst_dev;	   /* dst_entry: dev */
	__u16 dst_ops;	   /* dst_entry: ops */
	__u16 dst_metrics; /* dst_entry: _metrics */
	__u16 dst_expires; /* dst_entry: expires */
	__u16 dst_flags;   /* dst_entry: flags */
	__u16 ops_family;  /* dst_ops: family */
	__u16 rtable_pmtu; /* rtable: the 32 bits with rt_pmtu */
	__u16 pmtu_shift;  /* in these, bits below rt_pmtu's 31 */
	__u16 device_mtu;  /* net_device: mtu */
	__u16 device_ipv6; /* net_device: ip6_ptr */
	__u16 ipv6_mtu;	   /* inet6_dev: cnf.mtu6; 0 when IPv6's is not known */
};

#endif
