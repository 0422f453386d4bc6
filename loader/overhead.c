// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The tables of layers, ciphers and digests, and the arithmetic of stacks. A new layer is a line here and
 * its rows in the tests. Not a printer.
 */
#include "overhead.h"

#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
	ESP_FIXED = 8, /* SPI, sequence number: RFC 4303 2 */
	ESP_TAIL = 2,  /* pad length, next header */
	ESP_ALIGN = 4,
	AH_FIXED = 12, /* RFC 4302 2 */
	AH_ALIGN_IPV4 = 4,
	AH_ALIGN_IPV6 = 8,
};

static const struct layer_flag gre_flags[] = { { "csum", 4, 0 }, { "key", 4, 0 }, { "seq", 4, 0 }, { 0 } };
static const struct layer_flag wireguard_flags[] = { { "padded", 0, 16 }, { 0 } };
static const struct layer_flag ah_flags[] = { { "align8", 0, AH_ALIGN_IPV6 }, { 0 } };
static const struct layer_flag l2tpv3_flags[] = { { "udp", 12, 0 }, { "sublayer", 4, 0 }, { 0 } };

#define PACKETS (IN_PACKET | IN_MPLS)
#define FRAMES (IN_FRAME | PACKETS)
#define PROTOCOLS (IN_IP | PACKETS)

/* A line for what it is, a line for where that is from. */
/* clang-format off */
const struct layer_kind layer_kinds[] = {
	{ "pppoe", 8, IN_FRAME, PACKETS,
	  .source = "RFC 2516 4, RFC 1661 2: PPPoE 6, PPP 2" },
	{ "vlan", 4, IN_FRAME, FRAMES,
	  .source = "IEEE 802.1Q" },
	{ "macsec", 32, IN_FRAME, FRAMES,
	  .source = "IEEE 802.1AE: SecTAG 16, ICV 16" },
	{ "mpls", 0, IN_MPLS | IN_FOU, IN_PACKET | IN_ETHERNET, ARGUMENT_NUMBER, { 1, 16, 1, 4, 1, "labels" },
	  .usage = "mpls[:LABELS]", .source = "RFC 3032 2.1: 4 a label" },
	{ "ipv4", 20, IN_PACKET, PROTOCOLS,
	  .source = "RFC 791 3.1, without options" },
	{ "ipv6", 40, IN_PACKET, PROTOCOLS | IN_EXTENSIONS | IN_ETHERNET,
	  .source = "RFC 8200 3" },
	{ "encaplimit", 8, IN_EXTENSIONS, PROTOCOLS | IN_EXTENSIONS,
	  .source = "RFC 2473 4.1.1; Linux's ip6tnl and ip6gre add it by default" },
	{ "srh", 8, IN_EXTENSIONS, PROTOCOLS | IN_EXTENSIONS | IN_ETHERNET,
	  ARGUMENT_NUMBER, { 1, 127, 1, 16, 0, "segments" },
	  .usage = "srh:SEGMENTS", .source = "RFC 8754 2: 8, and 16 a segment" },
	{ "gre", 4, IN_IP | IN_FOU, PACKETS | IN_ETHERNET, .flags = gre_flags,
	  .usage = "gre[:csum][:key][:seq]", .source = "RFC 2784 2, RFC 2890 2: 4, and 4 a flag" },
	{ "gretap", 18, IN_IP | IN_FOU, FRAMES, .flags = gre_flags,
	  .usage = "gretap[:csum][:key][:seq]", .source = "RFC 2784 2: GRE 4, and 4 a flag; Ethernet 14" },
	{ "etherip", 16, IN_IP, FRAMES,
	  .source = "RFC 3378 3: 2, Ethernet 14" },
	{ "eth", 14, IN_ETHERNET, FRAMES,
	  .source = "IEEE 802.3: an inner Ethernet header" },
	{ "udp", 8, IN_IP, IN_PACKET | IN_FOU,
	  .source = "RFC 768; Linux's fou: an IP protocol in UDP" },
	{ "gue", 12, IN_IP, IN_PACKET | IN_FOU,
	  .source = "draft-ietf-intarea-gue: UDP 8, GUE 4" },
	{ "vxlan", 30, IN_IP, FRAMES,
	  .source = "RFC 7348 5: UDP 8, VXLAN 8, Ethernet 14" },
	{ "geneve", 30, IN_IP, FRAMES, ARGUMENT_NUMBER, { 0, 252, 4, 1, 0, "bytes of options" },
	  .usage = "geneve[:OPTION-BYTES]", .source = "RFC 8926 3: UDP 8, Geneve 8 and options, Ethernet 14" },
	{ "gtpu", 16, IN_IP, IN_PACKET,
	  .source = "3GPP TS 29.281 5.1: UDP 8, GTP-U 8" },
	{ "l2tp", 18, IN_IP, PACKETS,
	  .source = "RFC 2661 3.1, RFC 1661 2: UDP 8, L2TPv2 6, PPP 4" },
	{ "l2tpv3", 18, IN_IP, FRAMES, ARGUMENT_NUMBER, { 0, 8, 4, 1, 0, "bytes of cookie" }, .flags = l2tpv3_flags,
	  .usage = "l2tpv3[:udp][:sublayer][:COOKIE]",
	  .source = "RFC 3931 4.1: session 4, Ethernet 14; udp 12, sublayer 4" },
	{ "openvpn", 32, IN_IP, IN_PACKET | IN_ETHERNET,
	  .source = "OpenVPN DATA_V2, AEAD: UDP 8, peer 4, packet 4, tag 16" },
	{ "wireguard", 40, IN_IP, IN_PACKET, .flags = wireguard_flags,
	  .usage = "wireguard[:padded]",
	  .source = "whitepaper 5.4.6: UDP 8, header 16, tag 16; padded to 16: where its device's MTU is too large" },
	{ "natt", 8, IN_IP, IN_NATT,
	  .source = "RFC 3948 2.1: UDP around ESP" },
	{ "esp", ESP_FIXED, IN_IP | IN_NATT, PROTOCOLS, ARGUMENT_CIPHER,
	  .usage = "esp:CIPHER[+DIGEST]", .source = "RFC 4303 2: 8, IV, padding, 2, ICV; Linux's xfrm_state_mtu()" },
	{ "ah", AH_FIXED, IN_IP, PROTOCOLS, ARGUMENT_DIGEST, .flags = ah_flags,
	  .usage = "ah:DIGEST[:align8]",
	  .source = "RFC 4302 2: 12 and ICV, padded to 4 in IPv4 (align8: to 8, as Linux does), to 8 in IPv6" },
	{ "overhead", 0, ANYWHERE, ANYWHERE, ARGUMENT_NUMBER, { 1, MSSBPF_MTU_MAX, 1, 1, 0, "bytes" },
	  .usage = "overhead:BYTES", .source = "any other layer, of the size you give" },
	{ 0 },
};
/* clang-format on */

/* What people call layers elsewhere, and how it is written here. */
static const struct {
	const char *name, *written;
} aliases[] = {
	{ "802.1ad", "vlan/vlan" },
	{ "802.1q", "vlan" },
	{ "dot1q", "vlan" },
	{ "fou", "udp" },
	{ "ip", "ipv4" },
	{ "ip6", "ipv6" },
	{ "ip6gre", "ipv6/encaplimit/gre" },
	{ "ip6tnl", "ipv6/encaplimit" },
	{ "ipip", "ipv4" },
	{ "ipsec", "esp:CIPHER" },
	{ "ppp", "pppoe" },
	{ "qinq", "vlan/vlan" },
	{ "sit", "ipv4" },
	{ "srv6", "ipv6/srh:SEGMENTS" },
	{ "vti", "esp:CIPHER" },
	{ "wg", "wireguard" },
};

const struct cipher ciphers[] = {
	{ "aes-gcm-16", "rfc4106(gcm(aes))", 0, 8, 4, 16, "RFC 4106" },
	{ "aes-gcm-12", "rfc4106(gcm(aes))", 0, 8, 4, 12, "RFC 4106" },
	{ "aes-gcm-8", "rfc4106(gcm(aes))", 0, 8, 4, 8, "RFC 4106" },
	{ "aes-ccm-16", "rfc4309(ccm(aes))", 0, 8, 4, 16, "RFC 4309" },
	{ "aes-ccm-12", "rfc4309(ccm(aes))", 0, 8, 4, 12, "RFC 4309" },
	{ "aes-ccm-8", "rfc4309(ccm(aes))", 0, 8, 4, 8, "RFC 4309" },
	{ "chacha20-poly1305", "rfc7539esp(chacha20,poly1305)", 0, 8, 4, 16, "RFC 7634" },
	{ "null-gmac", "rfc4543(gcm(aes))", 0, 8, 4, 16, "RFC 4543" },
	{ "aes-cbc-128", "cbc(aes)", 128, 16, 16, 0, "RFC 3602" },
	{ "aes-cbc-192", "cbc(aes)", 192, 16, 16, 0, "RFC 3602" },
	{ "aes-cbc-256", "cbc(aes)", 256, 16, 16, 0, "RFC 3602" },
	{ "camellia-cbc-128", "cbc(camellia)", 128, 16, 16, 0, "RFC 4312" },
	{ "camellia-cbc-192", "cbc(camellia)", 192, 16, 16, 0, "RFC 4312" },
	{ "camellia-cbc-256", "cbc(camellia)", 256, 16, 16, 0, "RFC 4312" },
	{ "3des", "cbc(des3_ede)", 0, 8, 8, 0, "RFC 2451" },
	{ "aes-ctr", "rfc3686(ctr(aes))", 0, 8, 4, 0, "RFC 3686" },
	{ "null", "ecb(cipher_null)", 0, 0, 4, 0, "RFC 2410" },
	{ 0 },
};

const struct digest digests[] = {
	{ "sha1-96", "hmac(sha1)", 12, "RFC 2404" },
	{ "sha256-128", "hmac(sha256)", 16, "RFC 4868" },
	{ "sha384-192", "hmac(sha384)", 24, "RFC 4868" },
	{ "sha512-256", "hmac(sha512)", 32, "RFC 4868" },
	{ "sha256-96", "hmac(sha256)", 12, "Linux's old default" },
	{ "md5-96", "hmac(md5)", 12, "RFC 2403" },
	{ "aes-xcbc-96", "xcbc(aes)", 12, "RFC 3566" },
	{ "aes-cmac-96", "cmac(aes)", 12, "RFC 4494" },
	{ "none", "digest_null", 0, "without authentication" },
	{ 0 },
};

/* Where the parser is: what the layers so far are, and what they carry. */
struct parser {
	struct stack *stack;
	unsigned int place; /* enum place */
	bool in_ipv6;	    /* the IP layer outside is IPv6 */
	char *why;
};

__attribute__((format(printf, 2, 3))) static int refuse(char *why, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why, WHY_SIZE, format, arguments);
	va_end(arguments);
	for (; *why; why++) /* a text of the operator's may hold anything */
		if ((unsigned char)*why < ' ' || *why == 0x7f)
			*why = '?';
	return -EINVAL;
}

/* How many single-character changes make one word of the other (Levenshtein), upper and lower case alike. */
static unsigned int distance(const char *one, const char *other)
{
	unsigned int row[LAYER_NAME_SIZE + 1];
	size_t length = strnlen(other, LAYER_NAME_SIZE);

	for (size_t i = 0; i <= length; i++)
		row[i] = i;
	for (unsigned int line = 1; *one; one++, line++) {
		unsigned int corner = line - 1;

		row[0] = line;
		for (size_t i = 1; i <= length; i++) {
			unsigned int change = corner + (tolower((unsigned char)*one) != other[i - 1]);

			corner = row[i];
			row[i] = row[i] + 1 < change ? row[i] + 1 : change;
			row[i] = row[i - 1] + 1 < row[i] ? row[i - 1] + 1 : row[i];
		}
	}
	return row[length];
}

/* Says that there is no such layer, and which one was perhaps meant. */
static int refuse_name(const char *name, char *why)
{
	const char *best = layer_kinds->name;

	for (size_t i = 0; i < sizeof(aliases) / sizeof(*aliases); i++)
		if (!strcasecmp(name, aliases[i].name))
			return refuse(why,
				      "unknown layer '%s': that is written '%s' here; 'mssbpf mtu --list' shows all",
				      name, aliases[i].written);
	for (const struct layer_kind *kind = layer_kinds; kind->name; kind++)
		if (distance(name, kind->name) < distance(name, best))
			best = kind->name;
	return refuse(why, "unknown layer '%s'; the nearest is '%s', and 'mssbpf mtu --list' shows all", name, best);
}

/* Appends a word to a list in a buffer of WHY_SIZE; what does not fit any more is left out. */
static void append(char *list, const char *word)
{
	size_t used = strlen(list);

	snprintf(list + used, WHY_SIZE - used, "%s%s", used ? ", " : "", word);
}

static int refuse_place(const struct layer_kind *kind, const struct parser *parser)
{
	const struct stack *stack = parser->stack;
	char outside[WHY_SIZE] = "";

	if (parser->place == IN_NATT)
		return refuse(parser->why, "'%s' cannot stand in natt: only esp can", kind->name);
	for (const struct layer_kind *other = layer_kinds; other->name; other++)
		if (other->gives & kind->in && other->in != ANYWHERE)
			append(outside, other->name);
	return refuse(parser->why, "'%s' cannot stand %s%s: right outside of it there has to be %sone of %s",
		      kind->name, stack->count ? "in " : "on the link itself",
		      stack->count ? stack->layers[stack->count - 1].name : "",
		      kind->in & FRAMES ? "the link itself, or " : "", outside);
}

static const struct digest *digest_find(const char *name)
{
	for (const struct digest *digest = digests; digest->name; digest++)
		if (!strcmp(digest->name, name))
			return digest;
	return NULL;
}

/* ESP goes without one, AH does not. */
static int refuse_digest(const char *layer, const char *name, bool none, char *why)
{
	char known[WHY_SIZE] = "";

	for (const struct digest *digest = digests; digest->name; digest++)
		if (digest->icv || none)
			append(known, digest->name);
	return refuse(why, "'%s': unknown digest '%s'; known are %s", layer, name, known);
}

static int refuse_cipher(const char *layer, const char *name, char *why)
{
	char known[WHY_SIZE] = "";

	for (const struct cipher *cipher = ciphers; cipher->name; cipher++)
		append(known, cipher->name);
	return refuse(why, "'%s': unknown cipher '%s'; known are %s", layer, name, known);
}

/* CIPHER for those that authenticate, CIPHER+DIGEST for the others. */
static int argument_cipher(struct layer *layer, char *word, char *why)
{
	char *plus = strchr(word, '+');
	const struct digest *digest = NULL;
	const struct cipher *cipher = ciphers;

	if (plus)
		*plus++ = '\0';
	while (cipher->name && strcmp(cipher->name, word) != 0)
		cipher++;
	if (!cipher->name)
		return refuse_cipher(layer->name, word, why);
	if (plus)
		digest = digest_find(plus);
	if (plus && !digest)
		return refuse_digest(layer->name, plus, true, why);
	if (!plus && !cipher->icv)
		return refuse(
			why,
			"'%s': %s does not authenticate: a digest is missing, such as '%s+sha256-128' or '%s+none'",
			layer->name, word, layer->name, layer->name);
	if (plus && cipher->icv)
		return refuse(why, "'%s': %s authenticates by itself and takes no digest: 'esp:%s'", layer->name, word,
			      word);
	layer->head += cipher->iv + (digest ? digest->icv : cipher->icv);
	layer->tail = ESP_TAIL;
	layer->align = cipher->block > ESP_ALIGN ? cipher->block : ESP_ALIGN;
	return 0;
}

static int argument_number(const struct layer_kind *kind, struct layer *layer, const char *word, char *why)
{
	unsigned int number;

	if (number_parse(word, kind->number.min, kind->number.max, &number) || number % kind->number.step)
		return refuse(why, "'%s': '%s' is not a whole number from %u to %u%s (%s); it is written %s",
			      layer->name, word, kind->number.min, kind->number.max,
			      kind->number.step == 4 ? ", a multiple of 4" : "", kind->number.unit, kind->usage);
	layer->head += number * kind->number.each;
	return 0;
}

/* One word behind ':' that is no flag. */
static int argument_read(const struct layer_kind *kind, struct layer *layer, char *word, char *why)
{
	const struct digest *digest;

	switch (kind->argument) {
	case ARGUMENT_NUMBER:
		return argument_number(kind, layer, word, why);
	case ARGUMENT_CIPHER:
		return argument_cipher(layer, word, why);
	case ARGUMENT_DIGEST:
		digest = digest_find(word);
		if (!digest || !digest->icv)
			return refuse_digest(layer->name, word, false, why);
		layer->head += digest->icv;
		return 0;
	case ARGUMENT_NONE:
		break;
	}
	if (kind->flags)
		return refuse(why, "'%s': unknown '%s'; it is written %s", layer->name, word, kind->usage);
	return refuse(why, "'%s': %s takes nothing behind ':'", layer->name, kind->name);
}

/* Reads what stands behind ':', each thing once at most. `text` is taken apart. */
static int arguments_read(const struct layer_kind *kind, struct layer *layer, char *text, char *why)
{
	const struct layer_flag *flag;
	unsigned int seen = 0;
	bool given = false;
	char *word;
	int err = 0;

	while (!err && (word = strsep(&text, ":"))) {
		for (flag = kind->flags; flag && flag->name && strcmp(flag->name, word) != 0;)
			flag++;
		if (flag && flag->name) {
			if (seen & 1U << (flag - kind->flags))
				return refuse(why, "'%s': '%s' stands there twice", layer->name, word);
			seen |= 1U << (flag - kind->flags);
			layer->head += flag->bytes;
			layer->align = flag->align ?: layer->align;
		} else {
			if (given)
				return refuse(why, "'%s': '%s' is one too many; it is written %s", layer->name, word,
					      kind->usage);
			err = argument_read(kind, layer, word, why);
			given = true;
		}
	}
	if (err || given || kind->argument == ARGUMENT_NONE)
		return err;
	if (kind->argument != ARGUMENT_NUMBER || kind->number.preset < kind->number.min)
		return refuse(why, "'%s': incomplete; it is written %s", layer->name, kind->usage);
	layer->head += kind->number.preset * kind->number.each;
	return 0;
}

static unsigned int round_up(unsigned int bytes, unsigned int align)
{
	return (bytes + align - 1) / align * align;
}

/* Reads one layer, `text` without a '/', and checks that it may stand where it does. */
static int layer_read(struct parser *parser, const char *text)
{
	struct layer *layer = &parser->stack->layers[parser->stack->count];
	const struct layer_kind *kind = layer_kinds;
	char words[LAYER_NAME_SIZE], *arguments = words;
	const char *name;
	int err;

	if (!*text)
		return refuse(parser->why, "a layer is missing: '/' stands at an end, or twice in a row");
	if (parser->stack->count == STACK_LAYERS_MAX)
		return refuse(parser->why, "'%s': more than %d layers", text, STACK_LAYERS_MAX);
	if (strlen(text) >= sizeof(words))
		return refuse(parser->why, "'%s': a layer of %zu characters; %zu are the most", text, strlen(text),
			      sizeof(words) - 1);
	*layer = (struct layer){ .align = 1 };
	strcpy(layer->name, text);
	strcpy(words, text);
	name = strsep(&arguments, ":");
	while (kind->name && strcmp(kind->name, name) != 0)
		kind++;
	if (!kind->name)
		return refuse_name(name, parser->why);
	if (!(kind->in & parser->place))
		return refuse_place(kind, parser);

	layer->head = kind->bytes;
	err = arguments_read(kind, layer, arguments, parser->why);
	if (err)
		return err;
	if (kind->argument == ARGUMENT_DIGEST) { /* AH pads itself, not what it carries */
		layer->head = round_up(layer->head, layer->align > 1  ? layer->align
						    : parser->in_ipv6 ? AH_ALIGN_IPV6
								      : AH_ALIGN_IPV4);
		layer->align = 1;
	}
	if (kind->gives & IN_IP && kind->in & IN_PACKET && kind->in != ANYWHERE)
		parser->in_ipv6 = kind->gives & IN_EXTENSIONS;
	parser->place = kind->gives;
	parser->stack->count++;
	return 0;
}

int stack_parse(const char *text, struct stack *stack, char why[WHY_SIZE])
{
	struct parser parser = { .stack = stack, .place = FRAMES, .why = why };
	char words[STACK_TEXT_SIZE], *rest = words;
	int err = 0;

	*stack = (struct stack){ 0 };
	if (strlen(text) >= sizeof(words))
		return refuse(why, "a stack of %zu characters; %zu are the most", strlen(text), sizeof(words) - 1);
	strcpy(words, text);
	while (*text && rest && !err)
		err = layer_read(&parser, strsep(&rest, "/"));
	if (!err && !(parser.place & IN_PACKET))
		err = refuse(why, "'%s' carries no IP packet by itself: esp has to stand in it",
			     stack->layers[stack->count - 1].name);
	return err;
}

void path_begin(struct path *path, const char *link, unsigned int mtu)
{
	*path = (struct path){ .link_mtu = mtu };
	snprintf(path->link, sizeof(path->link), "%s", link);
}

unsigned int path_mtu(const struct path *path)
{
	return path->count ? path->steps[path->count - 1].left : path->link_mtu;
}

/* Adds a step that takes so many bytes; `left` of them has to be there. */
static int path_add(struct path *path, enum step_kind kind, const char *name, unsigned int left, unsigned int padding)
{
	struct step *step = &path->steps[path->count];

	if (path->count == PATH_STEPS_MAX)
		return -E2BIG;
	*step = (struct step){ .kind = kind, .bytes = path_mtu(path) - left, .padding = padding, .left = left };
	snprintf(step->name, sizeof(step->name), "%s", name);
	path->count++;
	return 0;
}

int path_enter(struct path *path, const struct stack *stack, char why[WHY_SIZE])
{
	for (size_t i = 0; i < stack->count; i++) {
		const struct layer *layer = &stack->layers[i];
		unsigned int outside = path_mtu(path), room = outside > layer->head ? outside - layer->head : 0;
		unsigned int padded = room / layer->align * layer->align;

		if (padded < (unsigned int)MTU_MIN_IPV4 + layer->tail) {
			refuse(why, "'%s' leaves less than %d bytes of %u, too little for an IP packet (RFC 791)",
			       layer->name, MTU_MIN_IPV4, outside);
			return -ERANGE;
		}
		if (path_add(path, STEP_LAYER, layer->name, padded - layer->tail, room - padded)) {
			refuse(why, "'%s': more than %d steps", layer->name, PATH_STEPS_MAX);
			return -E2BIG;
		}
	}
	return 0;
}

int path_lower(struct path *path, enum step_kind kind, const char *name, unsigned int mtu)
{
	return mtu < path_mtu(path) ? path_add(path, kind, name, mtu, 0) : 0;
}

int path_encap(const struct path *path, char text[STACK_TEXT_SIZE])
{
	size_t used = 0;

	*text = '\0';
	for (size_t i = 0; i < path->count; i++) {
		if (path->steps[i].kind != STEP_LAYER)
			continue;
		used += snprintf(text + used, STACK_TEXT_SIZE - used, "%s%s", used ? "/" : "", path->steps[i].name);
		if (used >= STACK_TEXT_SIZE)
			return -E2BIG;
	}
	return 0;
}

void path_describe(const struct path *path, char text[PATH_TEXT_SIZE])
{
	char encap[STACK_TEXT_SIZE];
	int used;

	if (path_encap(path, encap))
		strcpy(encap, "...");
	used = snprintf(text, PATH_TEXT_SIZE, *path->link ? "%s%s%s (%u)" : "%s%s%s%u", encap, *encap ? " on " : "",
			path->link, path->link_mtu);
	for (size_t i = 0; i < path->count && used < PATH_TEXT_SIZE; i++)
		if (path->steps[i].kind != STEP_LAYER)
			used += snprintf(text + used, PATH_TEXT_SIZE - used, ", %s has %u", path->steps[i].name,
					 path->steps[i].left);
	if (used >= PATH_TEXT_SIZE)
		strcpy(text + PATH_TEXT_SIZE - sizeof("..."), "...");
}
