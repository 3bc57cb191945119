#!/bin/sh
# lxcfs.sh: the cgroup controllers, and LXCFS on /var/lib/lxcfs.
for c in cpu cpuset memory io pids; do
	echo +$c > /sys/fs/cgroup/cgroup.subtree_control
done
mkdir -p /var/lib/lxcfs
setsid lxcfs -f /var/lib/lxcfs > /run/lxcfs.log 2>&1 &
for i in $(seq 100); do
	[ -e /var/lib/lxcfs/proc/stat ] && exit 0
	sleep 0.2
done
cat /run/lxcfs.log >&2
exit 1
