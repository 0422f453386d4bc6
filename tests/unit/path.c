// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The way from a link inwards (loader/overhead.c): layers, devices and routes in turn, what is written of
 * them, and where it ends. Not the place for sizes: that is overhead.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "overhead.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define VLAN4 "vlan/vlan/vlan/vlan"
#define VLAN8 VLAN4 "/" VLAN4
#define VLAN24 VLAN8 "/" VLAN8 "/" VLAN8

/* Goes on through the layers of `text`. Returns what path_enter() does; what it says holds `says`, if not NULL. */
static int enter(struct path *path, const char *text, const char *says)
{
	struct stack stack;
	char why[WHY_SIZE];
	int error;

	if (stack_parse(text, &stack, why))
		fail_msg("'%s' is refused: %s", text, why);
	memset(why, 'x', sizeof(why));
	error = path_enter(path, &stack, why);
	if (error) {
		assert_in_range(strnlen(why, WHY_SIZE), 1, WHY_SIZE - 2);
		if (says && !strstr(why, says))
			fail_msg("'%s': '%s': expected: %s", text, why, says);
	}
	return error;
}

static void check_step(const struct path *path, size_t i, const struct step *step)
{
	assert_in_range(i, 0, path->count - 1);
	assert_string_equal(path->steps[i].name, step->name);
	assert_int_equal(path->steps[i].kind, step->kind);
	assert_int_equal(path->steps[i].bytes, step->bytes);
	assert_int_equal(path->steps[i].padding, step->padding);
	assert_int_equal(path->steps[i].left, step->left);
}

/* Layers, devices and routes in turn: only what is lower is a step, only layers are written. */
static void test_path(void **state)
{
	static const struct step steps[] = {
		{ "ipv6", STEP_LAYER, 40, 0, 1460 }, { "wireguard:padded", STEP_LAYER, 52, 12, 1408 },
		{ "wg0", STEP_DEVICE, 8, 0, 1400 },  { "192.0.2.0/24", STEP_ROUTE, 1, 0, 1399 },
		{ "mpls", STEP_LAYER, 4, 0, 1395 },
	};
	struct path path;
	char text[STACK_TEXT_SIZE];

	(void)state;
	memset(&path, 'x', sizeof(path));
	path_begin(&path, "eth0.100@if42", 1500);
	assert_string_equal(path.link, "eth0.100@if42");
	assert_int_equal(path_mtu(&path), 1500);
	assert_int_equal(path_lower(&path, STEP_DEVICE, "eth0", 1500), 0);
	assert_int_equal(path_lower(&path, STEP_DEVICE, "eth0", 1501), 0);
	assert_int_equal(path.count, 0);
	assert_int_equal(path_encap(&path, text), 0);
	assert_string_equal(text, "");
	assert_int_equal(enter(&path, "ipv6/wireguard:padded", NULL), 0);
	assert_int_equal(path_lower(&path, STEP_DEVICE, "wg0", 1409), 0);
	assert_int_equal(path_lower(&path, STEP_DEVICE, "wg0", 1408), 0);
	assert_int_equal(path_lower(&path, STEP_ROUTE, "default", MSSBPF_MTU_MAX), 0);
	assert_int_equal(path.count, 2);
	assert_int_equal(path_lower(&path, STEP_DEVICE, "wg0", 1400), 0);
	assert_int_equal(path_lower(&path, STEP_ROUTE, "192.0.2.0/24", 1399), 0);
	assert_int_equal(path_mtu(&path), 1399);
	assert_int_equal(enter(&path, "", NULL), 0);
	assert_int_equal(enter(&path, "mpls", NULL), 0);
	assert_int_equal(path_mtu(&path), 1395);
	assert_int_equal(path.count, ARRAY_SIZE(steps));
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		check_step(&path, i, &steps[i]);
	assert_int_equal(path_encap(&path, text), 0);
	assert_string_equal(text, "ipv6/wireguard:padded/mpls");
}

/* What is written is a stack's text, up to its longest. */
static void test_encap(void **state)
{
	struct path path;
	char text[STACK_TEXT_SIZE];

	(void)state;
	path_begin(&path, "eth0", 1500);
	for (int i = 0; i < 4; i++)
		assert_int_equal(enter(&path, VLAN8, NULL), 0);
	assert_int_equal(path_encap(&path, text), 0);
	assert_string_equal(text, VLAN24 "/" VLAN8);
	assert_int_equal(strlen(text), STACK_TEXT_SIZE - 1);
	path.count--;
	assert_int_equal(enter(&path, "pppoe", NULL), 0);
	assert_int_equal(path_encap(&path, text), -E2BIG);
	assert_int_equal(enter(&path, "mpls", NULL), 0);
	assert_int_equal(path_encap(&path, text), -E2BIG);
}

/* Where nothing is left, and where there is no room for a step. */
static void test_path_ends(void **state)
{
	struct path path;

	(void)state;
	path_begin(&path, "", 1500);
	assert_string_equal(path.link, "");
	assert_int_equal(enter(&path, "vlan/overhead:1428", NULL), 0);
	assert_int_equal(path_mtu(&path), MTU_MIN_IPV4);
	assert_int_equal(enter(&path, "", NULL), 0);
	assert_int_equal(enter(&path, "overhead:1", "'overhead:1' leaves less than 68 bytes of 68"), -ERANGE);
	assert_int_equal(enter(&path, "overhead:65535", "of 68"), -ERANGE);
	path_begin(&path, "eth0", 1500);
	assert_int_equal(enter(&path, "vlan/overhead:1429/vlan", "'overhead:1429' leaves less than 68 bytes of 1496"),
			 -ERANGE);

	path_begin(&path, "eth0", 1500);
	assert_int_equal(enter(&path, VLAN24, NULL), 0);
	assert_int_equal(enter(&path, VLAN24, NULL), 0);
	assert_int_equal(enter(&path, VLAN8 "/" VLAN8, NULL), 0);
	assert_int_equal(path.count, PATH_STEPS_MAX);
	assert_int_equal(path_mtu(&path), 1500 - 4 * PATH_STEPS_MAX);
	assert_int_equal(enter(&path, "", NULL), 0);
	assert_int_equal(enter(&path, "vlan", "64 steps"), -E2BIG);
	assert_int_equal(path_lower(&path, STEP_ROUTE, "default", path_mtu(&path)), 0);
	assert_int_equal(path_lower(&path, STEP_ROUTE, "default", path_mtu(&path) - 1), -E2BIG);
	assert_int_equal(path.count, PATH_STEPS_MAX);
	assert_int_equal(path_mtu(&path), 1500 - 4 * PATH_STEPS_MAX);
	path_begin(&path, "eth0", 1500);
	assert_int_equal(path.count, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_encap),
		cmocka_unit_test(test_path_ends),
	};

	return cmocka_run_group_tests_name("path", tests, NULL, NULL);
}
