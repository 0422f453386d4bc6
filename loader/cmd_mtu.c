// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * mssbpf mtu: what layers of encapsulation leave of a link's MTU. Not the arithmetic: that is overhead.c;
 * nor what a device is made of: that is detect.c.
 */
#include "cli.h"
#include "detect.h"
#include "overhead.h"
#include "report.h"
#include "table.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { LINK_MTU_DEFAULT = 1500 }; /* Ethernet's, RFC 894 */

static const struct option_spec mtu_options[] = {
	{ "link-mtu", 'm', "N", "MTU of the link, in bytes (default: 1500)", OPTION_NUMBER,
	  .offset = offsetof(struct options, link_mtu), .min = MTU_MIN_IPV4, .max = MSSBPF_MTU_MAX, .unit = "bytes" },
	{ "encap", 'e', "STACK", "layers from the link inwards: pppoe/ipv6/wireguard", OPTION_TEXT,
	  .offset = offsetof(struct options, encap) },
	{ "list", 'l', NULL, "list every layer, cipher and digest", OPTION_FLAG,
	  .offset = offsetof(struct options, list) },
	{ "json", 'j', NULL, "as JSON", OPTION_FLAG, .offset = offsetof(struct options, json) },
	{ 0 },
};

static struct json_object *list_json_add(struct json_object *array, const char *name, unsigned int bytes,
					 const char *source)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "name", json_object_new_string(name));
	json_object_object_add(object, "bytes", json_object_new_uint64(bytes));
	json_object_object_add(object, "source", json_object_new_string(source));
	json_object_array_add(array, object);
	return object;
}

static void list_json(void)
{
	struct json_object *lists = json_object_new_object();
	struct json_object *array = json_object_new_array(), *object;

	for (const struct layer_kind *kind = layer_kinds; kind->name; kind++) {
		object = list_json_add(array, kind->name, kind->bytes, kind->source);
		json_object_object_add(object, "usage", json_object_new_string(kind->usage ?: kind->name));
	}
	json_object_object_add(lists, "layers", array);
	array = json_object_new_array();
	for (const struct cipher *cipher = ciphers; cipher->name; cipher++) {
		object = list_json_add(array, cipher->name, cipher->iv + cipher->icv, cipher->source);
		json_object_object_add(object, "block", json_object_new_uint64(cipher->block));
		json_object_object_add(object, "digest", json_object_new_boolean(!cipher->icv));
	}
	json_object_object_add(lists, "ciphers", array);
	array = json_object_new_array();
	for (const struct digest *digest = digests; digest->name; digest++)
		list_json_add(array, digest->name, digest->icv, digest->source);
	json_object_object_add(lists, "digests", array);
	report_print_json(lists);
}

static void list_text(void)
{
	struct table layers = { .columns = 3, .words = 1 << 0 | 1 << 2 };
	struct table algorithms = { .columns = 4, .words = 1 << 0 | 1 << 3 };

	table_add(&layers, "LAYER");
	table_add(&layers, "BYTES");
	table_add(&layers, "SOURCE");
	for (const struct layer_kind *kind = layer_kinds; kind->name; kind++) {
		table_add(&layers, "%s", kind->usage ?: kind->name);
		table_add(&layers, "%u", kind->bytes);
		table_add(&layers, "%s", kind->source);
	}
	table_print(&layers);

	putchar('\n');
	table_add(&algorithms, "CIPHER, DIGEST");
	table_add(&algorithms, "BYTES");
	table_add(&algorithms, "BLOCK");
	table_add(&algorithms, "SOURCE");
	for (const struct cipher *cipher = ciphers; cipher->name; cipher++) {
		table_add(&algorithms, "%s%s", cipher->name, cipher->icv ? "" : "+DIGEST");
		table_add(&algorithms, "%u", cipher->iv + cipher->icv);
		table_add(&algorithms, "%u", cipher->block);
		table_add(&algorithms, "%s", cipher->source);
	}
	for (const struct digest *digest = digests; digest->name; digest++) {
		table_add(&algorithms, "+%s", digest->name);
		table_add(&algorithms, "%u", digest->icv);
		table_add(&algorithms, "%s", "");
		table_add(&algorithms, "%s", digest->source);
	}
	table_print(&algorithms);
}

static const char *step_kind_name(enum step_kind kind)
{
	static const char *const names[] = { [STEP_LAYER] = "layer", [STEP_DEVICE] = "device", [STEP_ROUTE] = "route" };

	return names[kind];
}

/* A device's MTU may be smaller than the headers. */
static unsigned int mss(unsigned int mtu, unsigned int headers)
{
	return mtu > headers ? mtu - headers : 0;
}

/* The path of a stack, or with a detection that of a device. */
static void path_json(const struct path *path, const struct detection *detection)
{
	struct json_object *object = json_object_new_object(), *layers = json_object_new_array();
	char encap[STACK_TEXT_SIZE], name[PRINTABLE_NAME_SIZE];
	unsigned int mtu = path_mtu(path);

	for (size_t i = 0; i < path->count; i++) {
		const struct step *step = &path->steps[i];
		struct json_object *layer = json_object_new_object();

		json_object_object_add(layer, "name", json_object_new_string(name_printable(step->name, name)));
		json_object_object_add(layer, "kind", json_object_new_string(step_kind_name(step->kind)));
		json_object_object_add(layer, "bytes", json_object_new_uint64(step->bytes));
		json_object_object_add(layer, "padding", json_object_new_uint64(step->padding));
		json_object_object_add(layer, "left", json_object_new_uint64(step->left));
		json_object_array_add(layers, layer);
	}
	if (detection) {
		json_object_object_add(object, "interface",
				       json_object_new_string(name_printable(detection->device, name)));
		json_object_object_add(object, "link", json_object_new_string(name_printable(path->link, name)));
		json_object_object_add(object, "remote",
				       *detection->remote ? json_object_new_string(detection->remote) : NULL);
		json_object_object_add(object, "ways", json_object_new_uint64(detection->ways));
		json_object_object_add(object, "fits", json_object_new_uint64(detection->fits));
	}
	json_object_object_add(object, "link_mtu", json_object_new_uint64(path->link_mtu));
	json_object_object_add(object, "encap", json_object_new_string(path_encap(path, encap) ? "" : encap));
	json_object_object_add(object, "inner_mtu", json_object_new_uint64(mtu));
	json_object_object_add(object, "mss4", json_object_new_uint64(mss(mtu, MSSBPF_IPV4_HEADERS)));
	json_object_object_add(object, "mss6", json_object_new_uint64(mss(mtu, MSSBPF_IPV6_HEADERS)));
	json_object_object_add(object, "layers", layers);
	report_print_json(object);
}

static void path_text(const struct path *path)
{
	struct table table = { .columns = 4, .words = 1 << 0 };
	unsigned int mtu = path_mtu(path);
	char name[PRINTABLE_NAME_SIZE];

	table_add(&table, "LAYER");
	table_add(&table, "BYTES");
	table_add(&table, "PADDING");
	table_add(&table, "LEFT");
	table_add(&table, "%s", *path->link ? name_printable(path->link, name) : "link");
	table_add(&table, "%s", "");
	table_add(&table, "%s", "");
	table_add(&table, "%u", path->link_mtu);
	for (size_t i = 0; i < path->count; i++) {
		const struct step *step = &path->steps[i];

		table_add(&table, "%s%s", name_printable(step->name, name), step->kind == STEP_LAYER ? "" : "'s MTU");
		table_add(&table, "%u", step->bytes - step->padding);
		table_add(&table, "%u", step->padding);
		table_add(&table, "%u", step->left);
	}
	table_print(&table);
	printf("MTU %u inside: MSS %u over IPv4, %u over IPv6\n", mtu, mss(mtu, MSSBPF_IPV4_HEADERS),
	       mss(mtu, MSSBPF_IPV6_HEADERS));
	if (mtu < MTU_MIN_IPV6)
		printf("IPv6 needs an MTU of %d (RFC 8200 5): its packets do not fit inside\n", MTU_MIN_IPV6);
}

/* Explains a device's MTU. */
static int mtu_of_device(const char *name, bool json)
{
	char printable[PRINTABLE_NAME_SIZE];
	struct detection detection;
	struct search *search;
	struct device device;
	int err = device_get(name, &device);

	if (err)
		return error("%s: %s", name, err == -ENODEV ? "no such interface" : strerror(-err));
	search = search_begin();
	err = search ? device_detect(search, device.ifindex, &detection) : -ENOMEM;
	search_end(search);
	if (err)
		return EXIT_FAILED;
	detection_warn(&detection, &device);
	if (json) {
		path_json(&detection.path, &detection);
		return EXIT_DONE;
	}
	printf("%s", name_printable(device.name, printable));
	if (*detection.remote)
		printf(" to %s", detection.remote);
	if (detection.ways > 1)
		printf(", the way that leaves least of %zu", detection.ways);
	putchar('\n');
	path_text(&detection.path);
	return EXIT_DONE;
}

/* Computes what a stack leaves. */
static int mtu_of_stack(const struct options *options)
{
	char why[WHY_SIZE];
	struct stack stack;
	struct path path;

	path_begin(&path, "", options->link_mtu ?: LINK_MTU_DEFAULT);
	if (stack_parse(options->encap ?: "", &stack, why) || path_enter(&path, &stack, why))
		return usage_error(&verb_mtu, "mtu: --encap: %s", why);
	if (options->json)
		path_json(&path, NULL);
	else
		path_text(&path);
	return EXIT_DONE;
}

static int mtu_run(const struct options *options)
{
	bool stack = options->encap || options->link_mtu;

	if (options->interface_count > 1)
		return usage_error(&verb_mtu, "mtu: one interface at a time: '%s'", options->interfaces[1]);
	if ((options->interface_count != 0) + stack + options->list > 1)
		return usage_error(&verb_mtu, "mtu: an interface, --link-mtu with --encap, or --list: one of these");
	if (options->list)
		options->json ? list_json() : list_text();
	else if (options->interface_count)
		return mtu_of_device(options->interfaces[0], options->json);
	else
		return mtu_of_stack(options);
	return EXIT_DONE;
}

const struct verb verb_mtu = {
	.name = "mtu",
	.arguments = "[IFACE]",
	.summary = "what encapsulation leaves of a link's MTU, layer by layer",
	.options = mtu_options,
	.completion = "interfaces",
	.run = mtu_run,
};
