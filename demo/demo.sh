#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Shows on one machine what mssbpf is for: a download through a tunnel hangs, one command, it completes.
# Everything happens in network namespaces that are removed at the end. Not a test of the details: those
# are in tests/. Exit status 1 if anything did not behave as the demo says.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
prefix="mssbpf-demo"
router=$prefix-router
mssbpf=$root/mssbpf
python=/usr/bin/python3 # Debian's
size=3000000 # bytes to download
server4=203.0.113.2
server6=2001:db8:2::2
work=
pins=        # the folder of the router's
processes=() # that run in the lab
failures=0

if [ -t 1 ]; then
	bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
else
	bold='' dim='' green='' red='' plain=''
fi

step() {
	printf '\n%s%s%s\n\n' "$bold" "$*" "$plain"
}

say() {
	printf '%s\n' "$@"
}

indent() {
	sed 's/^/    /'
}

good() {
	printf '    %s✓%s %s\n' "$green" "$plain" "$*"
}

bad() {
	printf '    %s✗ %s%s\n' "$red" "$*" "$plain"
	failures=$((failures + 1))
}

# check CONDITION-COMMAND... -- TEXT: says whether what was promised came true.
check() {
	local command=()

	while [ "$1" != -- ]; do
		command+=("$1")
		shift
	done
	shift
	if "${command[@]}"; then good "$*"; else bad "this failed: $*"; fi
}

in_ns() {
	local ns=$prefix-$1
	shift
	ip netns exec "$ns" "$@"
}

# Runs a command of mssbpf as the reader would.
run() {
	printf '    %s$ %s%s\n' "$dim" "mssbpf $*" "$plain"
	"$mssbpf" "$@" 2>&1 | indent
}

remove() {
	[ ! -e "/run/netns/$router" ] || "$mssbpf" detach --netns "$router" --all || true
	"$root/tests/lib/lab.sh" down $prefix || true
	[ -z "$work" ] || rm -rf "$work"
}

# What is left of the demo after remove(), one per line.
leftovers() {
	local each

	[ ! -e "$pins" ] || echo "$pins"
	for each in "${processes[@]}"; do
		# What ended but was not waited for has no program any more.
		[ ! -e "/proc/$each/exe" ] || echo "process $each"
	done
	find /run/netns -name "$prefix-*"
	[ ! -e "$work" ] || echo "$work"
}

# An HTTP server with one file of $size bytes.
serve() {
	local tries

	mkdir "$work/www"
	head -c $size /dev/urandom >"$work/www/file"
	in_ns server "$python" -m http.server --bind :: --directory "$work/www" 80 >/dev/null 2>&1 </dev/null &
	disown
	for ((tries = 0; tries < 100; tries++)); do
		! in_ns server bash -c ': </dev/tcp/::1/80' 2>/dev/null || return 0
		sleep 0.1
	done
	say "demo.sh: the HTTP server did not start" >&2
	return 1
}

# fetch ADDRESS hangs|completes: downloads the file, and checks that it goes as the word says.
fetch() {
	local url=http://$1/file seconds=4 bytes took status=0

	case $1 in *:*) url="http://[$1]/file" ;; esac
	[ "$2" = hangs ] || seconds=30
	printf '    %s$ curl -m %s %s%s\n' "$dim" $seconds "$url" "$plain"
	in_ns client curl -q -g -s --noproxy '*' -m $seconds -o /dev/null -w '%{size_download} %{time_total}\n' "$url" \
		>"$work/curl" || status=$?
	read -r bytes took <"$work/curl"
	say "    $bytes of $size bytes in $(LC_ALL=C printf %.2f "$took") s"
	if [ "$2" = hangs ]; then
		check [ "$status $bytes" = "28 0" ] -- "hangs: not one full segment comes through"
	else
		check [ "$status $bytes" = "0 $size" ] -- "complete"
	fi
}

# capture NS FAMILY in|out FILE: records one SYN that the host's eth0 gets or sends, in the background.
capture() {
	local filter='tcp[13] & 2 != 0' tries

	[ "$2" = 4 ] || filter='ip6[6] = 6 and ip6[53] & 2 != 0'
	: >"$4.log"
	in_ns "$1" tcpdump -i eth0 -n -v -c 1 --immediate-mode -Q "$3" "$filter" >"$4" 2>"$4.log" &
	for ((tries = 0; tries < 100; tries++)); do
		! grep -q "listening on" "$4.log" || return 0
		sleep 0.05
	done
	say "demo.sh: tcpdump did not start in $1" >&2
	return 1
}

# show_syn FAMILY ADDRESS MSS-SENT MSS-RECEIVED: one SYN as the client sends it and as the server gets it.
show_syn() {
	local end line at_client at_server

	capture client "$1" out "$work/client"
	at_client=$!
	capture server "$1" in "$work/server"
	at_server=$!
	in_ns client timeout 5 bash -c ": </dev/tcp/$2/80" || bad "no connection to $2"
	timeout 5 tail -f /dev/null --pid=$at_client || kill $at_client
	timeout 5 tail -f /dev/null --pid=$at_server || kill $at_server
	for end in client server; do
		line=$(tr '\n' ' ' <"$work/$end" |
			sed -E 's/.*(Flags.*), seq [0-9]+, win [0-9]+(.*), length.*/\1\2/')
		printf '    %-20s%s\n' "IPv$1 at the $end" "${line/mss/${bold}mss$plain}"
	done
	check grep -q "mss $3," "$work/client" -- "the client says $3"
	check grep -q "mss $4,.*" "$work/server" -- "the server hears $4"
	check grep -qF "(correct)" "$work/server" -- "the checksum is correct"
}

# counted DIRECTION: all SYNs on wg0 were clamped, and these are the four at least (more if one was lost).
counted() {
	"$mssbpf" stats --netns $router --json wg0 | "$python" -c '
import json, sys
entry, = [entry for entry in json.load(sys.stdin) if entry["direction"] == sys.argv[1]]
sys.exit(not entry["clamped"] == entry["syn"] >= 4)' "$1"
}

[ "$(id -u)" = 0 ] || { say "demo.sh: needs root: it makes network namespaces" >&2; exit 1; }
[ -x "$mssbpf" ] || { say "demo.sh: $mssbpf is not built: make" >&2; exit 1; }

"$root/tests/lib/lab.sh" down $prefix # of a demo that was killed
work=$(mktemp -d)
trap remove EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step "1. A lab: two hosts, two routers, a WireGuard tunnel between them"
say "    client ---1500--- router ===1420=== far ---1500--- server" \
	"                         wg0         wg0" ""
wireguard=$("$root/tests/lib/lab.sh" up $prefix)
"$root/tests/lib/lab.sh" icmp $prefix drop
pins=/sys/fs/bpf/mssbpf/$(stat -L -c %i "/run/netns/$router")
case $wireguard in
*kernel) say "The tunnel is the kernel's WireGuard." ;;
*) say "This kernel has no WireGuard of its own: the tunnel is wireguard-go, on TUN devices." ;;
esac
say "wg0 has room for packets of 1420 bytes, the links on both sides for 1500. A router that gets" \
	"a packet too big for wg0 says so by ICMP; here, as in many networks, a firewall drops that."
serve

step "2. Without mssbpf: a download through the tunnel"
fetch $server4 hangs
fetch $server6 hangs
say "" "Why? The client's SYN announces that it takes segments of 1460 bytes (IPv6: 1440):" ""
show_syn 4 $server4 1460 1460
show_syn 6 $server6 1440 1440
say "" "So the server sends packets of 1500 bytes, and these never fit into the tunnel."

step "3. On the router: attach mssbpf to the tunnel's device"
say "    (--netns enters the lab's router; on a real one you leave it out)" ""
run attach --netns $router wg0 --mtu 1420 --direction both
say ""
run show --netns $router

step "4. The same SYNs again"
show_syn 4 $server4 1460 1380
show_syn 6 $server6 1440 1360
say "" "1420 - 40 bytes of IPv4 and TCP headers = 1380; with IPv6's 60 it is 1360."

step "5. The same download again"
fetch $server4 completes
fetch $server6 completes

step "6. What the router counted"
run stats --netns $router
say ""
check counted egress -- "egress: the client's 4 SYNs were clamped"
check counted ingress -- "ingress: the server's 4 SYN-ACKs as well, so uploads work, too"

step "7. Away with everything"
run detach --netns $router --all
for name in client router far server; do
	mapfile -t -O ${#processes[@]} processes < <(ip netns pids "$prefix-$name")
done
trap - EXIT
remove
left=$(leftovers)
if [ -z "$left" ]; then
	good "no namespace, process, pin or file of the demo is left"
else
	bad "left behind:"
	say "$left" | indent
fi

say ""
if [ "$failures" != 0 ]; then
	say "${red}The demo did not go as it should: $failures times.$plain"
	exit 1
fi
say "${bold}That is all.${plain} On your router: mssbpf attach wg0 --mtu 1420 --direction both"
