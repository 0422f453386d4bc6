/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What encapsulation takes from an MTU: layers by name, stacks of them, and the largest packet that still
 * fits inside. Not about real devices: what they are made of is detect.h's.
 */
#ifndef MSSBPF_OVERHEAD_H
#define MSSBPF_OVERHEAD_H

#include <mssbpf/abi.h>
#include <stddef.h>

/* Bytes, unless it says otherwise. */
enum {
	MTU_MIN_IPV4 = 68,   /* every link carries that, RFC 791 3.2 */
	MTU_MIN_IPV6 = 1280, /* RFC 8200 5 */

	LAYER_NAME_SIZE = 48, /* with the NUL */
	STACK_LAYERS_MAX = 24,
	STACK_TEXT_SIZE = 160, /* of a whole stack as text, with the NUL */
	PATH_TEXT_SIZE = 240,  /* of a path as text, with the NUL */
	PATH_STEPS_MAX = 64,
	WHY_SIZE = 512,
};

/* What a layer may stand in, a bit each. */
enum place {
	IN_FRAME = 1 << 0,	/* behind an EtherType: on the link itself, or in an Ethernet frame */
	IN_PACKET = 1 << 1,	/* where an IP packet may begin */
	IN_IP = 1 << 2,		/* behind an IP protocol number */
	IN_EXTENSIONS = 1 << 3, /* among IPv6's extension headers */
	IN_FOU = 1 << 4,	/* behind an IP protocol number that UDP carries (FOU, GUE) */
	IN_MPLS = 1 << 5,	/* where a label stack may begin */
	IN_ETHERNET = 1 << 6,	/* where an Ethernet header may begin */
	IN_NATT = 1 << 7,	/* ESP in UDP */
	ANYWHERE = (1 << 8) - 1,
};

/* What a word behind ':' may be that is not one of the kind's flags. */
enum argument {
	ARGUMENT_NONE,
	ARGUMENT_NUMBER,
	ARGUMENT_CIPHER, /* CIPHER or CIPHER+DIGEST */
	ARGUMENT_DIGEST,
};

struct layer_flag {
	const char *name; /* NULL at the end */
	unsigned short bytes;
	unsigned short align; /* bytes that the inside is padded to a multiple of; 0: stays */
};

/* One kind of layer: all there is to know of it. */
struct layer_kind {
	const char *name;
	unsigned short bytes; /* without what its arguments add */
	unsigned short in;    /* enum place: where it may stand */
	unsigned short gives; /* enum place: what may stand in it */
	enum argument argument;
	struct {
		unsigned short min, max;
		unsigned short step;   /* it is a multiple of that */
		unsigned short each;   /* bytes apiece */
		unsigned short preset; /* when it is left out; below min: it may not be */
		const char *unit;
	} number;
	const struct layer_flag *flags; /* NULL: none */
	const char *usage;		/* how it is written with its arguments; NULL: it takes none */
	const char *source;		/* RFC or kernel source, and what the bytes are */
};

struct cipher {
	const char *name;
	const char *kernel;	       /* what XFRM calls it */
	unsigned short key;	       /* bits, as XFRM gives them; 0: any */
	unsigned short iv, block, icv; /* icv 0: a digest is needed */
	const char *source;
};

struct digest {
	const char *name;
	const char *kernel;
	unsigned short icv;
	const char *source;
};

extern const struct layer_kind layer_kinds[]; /* name == NULL at the end, as in the others */
extern const struct cipher ciphers[];
extern const struct digest digests[];

/*
 * A packet of n bytes in a layer takes head + round_up(n + tail, align) bytes; so of a link of L bytes it
 * leaves round_down(L - head, align) - tail.
 */
struct layer {
	char name[LAYER_NAME_SIZE]; /* as written, "gre:key" */
	unsigned short head, tail, align;
};

/* From the link inwards, in the order of the bytes on the wire. */
struct stack {
	struct layer layers[STACK_LAYERS_MAX];
	size_t count;
};

/*
 * Reads a stack of layers, "ipv4/natt/esp:aes-gcm-16"; "" is the empty one. Returns 0, or -EINVAL with
 * a text in `why` that names the layer, what is wrong with it, and what would be right.
 */
int stack_parse(const char *text, struct stack *stack, char why[WHY_SIZE]);

enum step_kind {
	STEP_LAYER,
	STEP_DEVICE, /* its MTU is smaller than what would fit */
	STEP_ROUTE,  /* a route's or a path's MTU is */
};

/* What takes bytes from an MTU, and what it leaves. */
struct step {
	char name[LAYER_NAME_SIZE];
	enum step_kind kind;
	unsigned int bytes;   /* that it takes, padding and all */
	unsigned int padding; /* of these: lost because the inside is padded */
	unsigned int left;    /* MTU inside of it */
};

/* The way from a link to the packets inside. */
struct path {
	char link[LAYER_NAME_SIZE]; /* the device's name; "" when it is none */
	unsigned int link_mtu;	    /* bytes */
	struct step steps[PATH_STEPS_MAX];
	size_t count;
};

/* Begins a path at a link. */
void path_begin(struct path *path, const char *link, unsigned int mtu);

/* The MTU inside of all, bytes. */
unsigned int path_mtu(const struct path *path);

/*
 * Goes on through the layers of a stack. Returns 0, or -ERANGE with a text in `why` when one of them leaves
 * less than MTU_MIN_IPV4, or -E2BIG when there are more steps than fit; the path is of no use then.
 */
int path_enter(struct path *path, const struct stack *stack, char why[WHY_SIZE]);

/* Lowers what is left to `mtu`, when it is more: a step of that kind and name. Returns 0 or -E2BIG. */
int path_lower(struct path *path, enum step_kind kind, const char *name, unsigned int mtu);

/*
 * Writes where a path's MTU comes from, on one line: "ipv4/wireguard on eth0 (1500), wg0 has 1420". What does
 * not fit is left out, and "..." says so.
 */
void path_describe(const struct path *path, char text[PATH_TEXT_SIZE]);

/* Writes the path's layers as a stack, "" for none. Returns 0 or -E2BIG when the text is too long. */
int path_encap(const struct path *path, char text[STACK_TEXT_SIZE]);

#endif
