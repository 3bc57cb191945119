#!/bin/sh
# run.sh NAME MEMORY QUOTA CPUS COMMAND...: run COMMAND in a container NAME that
# has MEMORY bytes, QUOTA microseconds in each 100000 ("-1": all), and the CPUs
# CPUS ("": all). An ordinary container of runc's: namespaces of its own, a
# fresh /proc and /sys, the machine's programs as its root.
set -e
name=$1 memory=$2 quota=$3 cpus=$4
shift 4

args=
for a; do
	args="$args${args:+, }\"$a\""
done

bundle=/run/bundles/$name
mkdir -p "$bundle/rootfs"
mount --bind / "$bundle/rootfs"
cat > "$bundle/config.json" <<EOF
{
  "ociVersion": "1.0.2",
  "process": {
    "terminal": false,
    "user": {"uid": 0, "gid": 0},
    "args": [$args],
    "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TERM=dumb"],
    "cwd": "/",
    "capabilities": {
      "bounding": ["CAP_KILL", "CAP_SYS_ADMIN"],
      "effective": ["CAP_KILL", "CAP_SYS_ADMIN"],
      "permitted": ["CAP_KILL", "CAP_SYS_ADMIN"]
    }
  },
  "root": {"path": "rootfs", "readonly": true},
  "hostname": "$name",
  "mounts": [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
    {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
    {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"},
    {"destination": "/case", "type": "bind", "source": "/case", "options": ["bind", "ro"]}${EXTRA_MOUNTS}
  ],
  "linux": {
    "cgroupsPath": "/$name",
    "resources": {
      "memory": {"limit": $memory},
      "cpu": {"quota": $quota, "period": 100000, "cpus": "$cpus"}
    },
    "namespaces": [
      {"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"},
      {"type": "cgroup"}
    ]
  }
}
EOF
exec runc run --bundle "$bundle" $RUNC_FLAGS "$name"
