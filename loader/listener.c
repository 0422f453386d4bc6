// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The listener's lock, its ring buffer and its lease. Not a place that prints.
 */
#include "listener.h"

#include "watch.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000ULL /* ns */

/* For the signal handler, as long as it renews. */
static struct mssbpf_watch *leased;
static volatile sig_atomic_t slept;

static __u64 now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * SECOND + time.tv_nsec;
}

/* In a signal handler, so that a reader that keeps this process from writing does not keep it from renewing. */
static void lease_renew(int signal)
{
	__u64 time = now();

	(void)signal;
	slept |= time > watch_get(&leased->until);
	watch_set(&leased->until, time + LISTENER_LEASE * SECOND);
}

static int lease_begin(struct mssbpf_watch *watch)
{
	const struct sigaction renew = { .sa_handler = lease_renew, .sa_flags = SA_RESTART };
	const struct itimerval often = { { .tv_usec = 500000 }, { .tv_usec = 500000 } };
	sigset_t alarm;

	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	sigprocmask(SIG_UNBLOCK, &alarm, NULL); /* who started us may have blocked it */
	leased = watch;
	watch_set(&watch->until, now() + LISTENER_LEASE * SECOND);
	return sigaction(SIGALRM, &renew, NULL) || setitimer(ITIMER_REAL, &often, NULL) ? -errno : 0;
}

static void lease_end(struct mssbpf_watch *watch)
{
	const struct itimerval never = {};

	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_IGN);
	watch_set(&watch->until, 0);
}

/* Takes the place of the listener. Returns 0, -EWOULDBLOCK or another -errno. */
static int folder_lock(const struct maps *maps)
{
	int err, fd = open(maps->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || !flock(fd, LOCK_EX | LOCK_NB))
		return fd < 0 ? -errno : fd;
	err = -errno;
	close(fd);
	return err;
}

/* Opens what it takes, without a trace in the maps. */
static int listener_open(struct listener *listener, const struct maps *maps, size_t size, ring_buffer_sample_fn each,
			 void *context)
{
	listener->folder = folder_lock(maps);
	if (listener->folder < 0)
		return listener->folder;
	listener->events = fcntl(maps->events, F_DUPFD_CLOEXEC, 0);
	listener->watch = watch_map(maps);
	if (listener->events < 0 || !listener->watch)
		return -errno;
	listener->ring = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "mssbpf_ring", 0, 0, size, NULL);
	if (listener->ring < 0)
		return listener->ring;
	listener->reader = ring_buffer__new(listener->ring, each, context, NULL);
	return listener->reader ? 0 : -errno;
}

int listener_begin(struct listener *listener, const struct maps *maps, size_t size, ring_buffer_sample_fn each,
		   void *context)
{
	const __u32 place = 0;
	int err;

	*listener = (struct listener){ .folder = -1, .events = -1, .ring = -1 };
	err = listener_open(listener, maps, size, each, context);
	if (err)
		return err;
	/*
	 * A listener that was killed may have left its date and its ring. Both are out of use after the update, which
	 * waits for programs that run (kernel/bpf/syscall.c, maybe_wait_bpf_programs()): so all that is lost later was
	 * meant for this one.
	 */
	watch_set(&listener->watch->until, 0);
	err = bpf_map_update_elem(listener->events, &place, &listener->ring, BPF_ANY);
	if (err)
		return err;
	listener->lost_before = watch_get(&listener->watch->lost);
	err = lease_begin(listener->watch);
	if (err)
		listener_end(listener);
	return err;
}

int listener_read(struct listener *listener)
{
	int err = ring_buffer__consume(listener->reader);

	return err < 0 ? err : 0;
}

__u64 listener_lost(const struct listener *listener)
{
	return watch_get(&listener->watch->lost) - listener->lost_before;
}

bool listener_is_orphan(const struct listener *listener)
{
	struct stat status;

	return !fstat(listener->folder, &status) && !status.st_nlink;
}

bool listener_slept(void)
{
	bool told = slept;

	slept = 0;
	return told;
}

void listener_end(struct listener *listener)
{
	lease_end(listener->watch);
	/* This waits for programs that run, too. */
	bpf_map_delete_elem(listener->events, &(__u32){ 0 });
}

int listener_reap(const struct maps *maps)
{
	const __u32 place = 0;
	int folder, err;
	__u32 ring;

	if (maps->events < 0 || bpf_map_lookup_elem(maps->events, &place, &ring))
		return 0;
	folder = folder_lock(maps);
	if (folder < 0)
		return folder == -EWOULDBLOCK ? 0 : folder;
	err = bpf_map_delete_elem(maps->events, &place);
	close(folder);
	return err;
}

void listener_release(struct listener *listener)
{
	ring_buffer__free(listener->reader);
	watch_unmap(listener->watch);
	if (listener->ring >= 0)
		close(listener->ring);
	if (listener->events >= 0)
		close(listener->events);
	if (listener->folder >= 0)
		close(listener->folder);
}
