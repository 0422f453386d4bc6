#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Builds and removes a lab of four network namespaces with a real WireGuard tunnel in the middle, for the
# tests and the demo. Knows nothing of mssbpf: what is attached in the lab is detached by who attached it.
#
#   PREFIX-client          PREFIX-router                  PREFIX-far             PREFIX-server
#     eth0 ------------- lan       wg0 === tunnel === wg0       lan ------------- eth0
#          198.51.100.0/24   wan -------------------- wan         203.0.113.0/24
#          2001:db8:1::/64        192.0.2.0/30 underlay           2001:db8:2::/64
#
# Every link is a veth pair of MTU 1500, wg0 has MTU 1420. Hosts are .2 and ::2, gateways .1 and ::1.
#
# The veth devices have no offloads: what is captured on them are the segments and checksums that a wire
# would see. The state of the lab is the namespaces themselves; there is no other file or record.
set -euo pipefail

usage() {
	cat <<-END
	usage: lab.sh up PREFIX [kernel|go]   build the lab; WireGuard in the kernel or wireguard-go on TUN
	                                      (default: the kernel's where there is one)
	       lab.sh icmp PREFIX drop|pass   drop or let pass what reports that a packet is too big
	       lab.sh down PREFIX             remove the lab, if it is there, and end every process in it
	END
}

die() {
	echo "lab.sh: $*" >&2
	exit 1
}

# Runs a command in the lab's namespace $1.
in_ns() {
	local ns=$prefix-$1
	shift
	ip netns exec "$ns" "$@"
}

# link NS DEVICE NS DEVICE: a veth pair between two of the lab's namespaces.
link() {
	local offloads="tx off tso off gso off gro off"

	ip link add "$2" netns "$prefix-$1" type veth peer name "$4" netns "$prefix-$3"
	# shellcheck disable=SC2086 # a list of words
	in_ns "$1" ethtool -K "$2" $offloads >/dev/null
	# shellcheck disable=SC2086
	in_ns "$3" ethtool -K "$4" $offloads >/dev/null
	ip -n "$prefix-$1" link set "$2" up
	ip -n "$prefix-$3" link set "$4" up
}

# address NS DEVICE ADDRESS...
address() {
	local ns=$1 device=$2 one

	shift 2
	for one; do
		case $one in
		*:*) ip -n "$prefix-$ns" address add "$one" dev "$device" nodad ;;
		*) ip -n "$prefix-$ns" address add "$one" dev "$device" ;;
		esac
	done
}

# The process of wireguard-go in namespace $1: the only one while the lab is built.
wireguard_go_pid() {
	local pid

	for pid in $(ip netns pids "$prefix-$1"); do
		[ "$(cat "/proc/$pid/comm" 2>/dev/null)" != wireguard-go ] || echo "$pid"
	done
}

# Starts wireguard-go in namespace $1. Its control socket is named after the device in a directory that all
# namespaces share, so it gets a /run of its own, which vanishes with it: both ends can call theirs wg0.
wireguard_go_start() {
	local pid tries

	[ -c /dev/net/tun ] || die "no /dev/net/tun, which wireguard-go needs: modprobe tun"
	# shellcheck disable=SC2016 # $1 belongs to the inner shell
	LOG_LEVEL=silent setsid ip netns exec "$prefix-$1" \
		sh -c 'mount -t tmpfs lab /run && exec wireguard-go -f wg0' </dev/null >/dev/null 2>&1 &
	for ((tries = 0; tries < 100; tries++)); do
		pid=$(wireguard_go_pid "$1")
		# Not by asking it: wg(8) removes the socket of a program that has not come to listen(2) yet.
		if [ -n "$pid" ] && grep -q ' 00010000 .*/wg0\.sock$' "/proc/$pid/net/unix"; then
			return
		fi
		sleep 0.1
	done
	die "wireguard-go did not start in $prefix-$1"
}

# wg of namespace $1.
wg_in() {
	local ns=$1 pid

	shift
	if [ "$wireguard" = kernel ]; then
		in_ns "$ns" wg "$@"
	else
		pid=$(wireguard_go_pid "$ns")
		[ -n "$pid" ] || die "wireguard-go ended in $prefix-$ns"
		nsenter -t "$pid" -m -n wg "$@"
	fi
}

# tunnel_end NS KEY PEER-KEY PEER-ADDRESS: one end of the tunnel, over the underlay.
tunnel_end() {
	wg_in "$1" set wg0 listen-port 51820 private-key <(echo "$2") \
		peer "$(echo "$3" | wg pubkey)" allowed-ips 0.0.0.0/0,::/0 endpoint "$4:51820"
	ip -n "$prefix-$1" link set wg0 mtu 1420 up
}

tunnel() {
	local ns router_key far_key

	if [ "$wireguard" = auto ]; then
		wireguard=go
		! ip -n "$prefix-router" link add wg0 type wireguard 2>/dev/null || wireguard=kernel
	elif [ "$wireguard" = kernel ]; then
		ip -n "$prefix-router" link add wg0 type wireguard || die "the kernel has no WireGuard"
	fi
	if [ "$wireguard" = kernel ]; then
		ip -n "$prefix-far" link add wg0 type wireguard
	else
		command -v wireguard-go >/dev/null ||
			die "the kernel has no WireGuard and wireguard-go is not installed"
		for ns in router far; do
			wireguard_go_start "$ns"
		done
	fi
	router_key=$(wg genkey)
	far_key=$(wg genkey)
	tunnel_end router "$router_key" "$far_key" 192.0.2.2
	tunnel_end far "$far_key" "$router_key" 192.0.2.1
}

# Hosts must learn the size of the path from the MSS or from ICMP, not by probing on their own.
sysctls() {
	local ns

	for ns in client router far server; do
		in_ns $ns sysctl -q -w net.ipv4.tcp_mtu_probing=0 net.ipv4.ip_no_pmtu_disc=0
		ip -n "$prefix-$ns" link set lo up
	done
	for ns in router far; do
		in_ns $ns sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	done
}

# Pings through the tunnel until it answers, so that the first test does not wait for the handshake.
await_tunnel() {
	local address

	for address in 203.0.113.2 2001:db8:2::2; do
		in_ns client ping -q -n -c 1 -i 0.2 -w 10 "$address" >/dev/null ||
			die "no answer from $address through the tunnel"
	done
}

up() {
	local ns tool

	for tool in ip wg ethtool nft ping sysctl setsid nsenter; do
		command -v $tool >/dev/null || die "$tool is not installed"
	done
	for ns in client router far server; do
		[ ! -e "/run/netns/$prefix-$ns" ] || die "$prefix-$ns is there already: lab.sh down $prefix"
	done
	trap down EXIT # half a lab is none
	for ns in client router far server; do
		ip netns add "$prefix-$ns"
	done
	sysctls

	link client eth0 router lan
	link router wan far wan
	link far lan server eth0
	address client eth0 198.51.100.2/24 2001:db8:1::2/64
	address router lan 198.51.100.1/24 2001:db8:1::1/64
	address router wan 192.0.2.1/30
	address far wan 192.0.2.2/30
	address far lan 203.0.113.1/24 2001:db8:2::1/64
	address server eth0 203.0.113.2/24 2001:db8:2::2/64

	tunnel
	address router wg0 10.0.0.1/24 2001:db8:ffff::1/64
	address far wg0 10.0.0.2/24 2001:db8:ffff::2/64

	ip -n "$prefix-client" route add default via 198.51.100.1
	ip -n "$prefix-client" route add default via 2001:db8:1::1
	ip -n "$prefix-server" route add default via 203.0.113.1
	ip -n "$prefix-server" route add default via 2001:db8:2::1
	ip -n "$prefix-router" route add 203.0.113.0/24 dev wg0
	ip -n "$prefix-router" route add 2001:db8:2::/64 dev wg0
	ip -n "$prefix-far" route add 198.51.100.0/24 dev wg0
	ip -n "$prefix-far" route add 2001:db8:1::/64 dev wg0
	await_tunnel
	trap - EXIT
	echo "WireGuard: $wireguard"
}

# What breaks the discovery of the path's MTU in real networks: the message is lost on its way.
icmp() {
	local ns

	for ns in router far; do
		[ -e "/run/netns/$prefix-$ns" ] || die "there is no lab $prefix: lab.sh up $prefix"
		in_ns $ns nft 'add table inet lab; delete table inet lab'
		case $1 in
		pass) ;;
		drop)
			in_ns $ns nft -f - <<-END
			table inet lab {
				chain output {
					type filter hook output priority 0
					icmp type destination-unreachable icmp code frag-needed drop
					icmpv6 type packet-too-big drop
				}
				chain forward {
					type filter hook forward priority 0
					icmp type destination-unreachable icmp code frag-needed drop
					icmpv6 type packet-too-big drop
				}
			}
			END
			;;
		*)
			usage >&2
			exit 2
			;;
		esac
	done
}

# Ends what runs in namespace $1: asked first, forced after two seconds.
end_processes() {
	local pid pids tries

	for ((tries = 0; tries < 40; tries++)); do
		pids=$(ip netns pids "$1")
		[ -n "$pids" ] || return 0
		for pid in $pids; do
			if [ "$tries" -lt 20 ]; then
				kill -TERM "$pid" 2>/dev/null || true
			else
				kill -KILL "$pid" 2>/dev/null || true
			fi
		done
		sleep 0.1
	done
	die "processes in $1 do not end: $pids"
}

down() {
	local ns

	for ns in client router far server; do
		[ -e "/run/netns/$prefix-$ns" ] || continue
		end_processes "$prefix-$ns"
		ip netns delete "$prefix-$ns"
	done
}

case ${1-} in
-h | --help)
	usage
	exit 0
	;;
esac
[ $# -ge 2 ] || { usage >&2; exit 2; }
verb=$1
prefix=$2
shift 2
case $prefix in
'' | *[!a-zA-Z0-9-]* | -*)
	die "PREFIX is made of letters, digits and dashes: '$prefix'"
	;;
esac
[ "$(id -u)" = 0 ] || die "network namespaces need root"
wireguard=${1-auto}

case $verb/$#/${1-} in
up/0/ | up/1/kernel | up/1/go) up ;;
icmp/1/drop | icmp/1/pass) icmp "$1" ;;
down/0/) down ;;
*)
	usage >&2
	exit 2
	;;
esac
