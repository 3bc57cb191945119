#!/bin/bash
# inside.sh: what people and programs see, one "name value" a line.
say() { echo "$1 $2"; }

say cpuinfo "$(grep -c '^processor' /proc/cpuinfo)"
say stat "$(grep -c '^cpu[0-9]' /proc/stat)"
say online "$(cat /sys/devices/system/cpu/online)"
say directories "$(ls -d /sys/devices/system/cpu/cpu[0-9]* | wc -l)"
say getconf "$(getconf _NPROCESSORS_ONLN)"
say nproc "$(nproc)"
/case/readers > /tmp/readers || say readers "failed"
say go-proc "$(sed -n 's/.*stat=\([0-9]*\).*/\1/p' /tmp/readers)"
# The affinity mask; and since Go 1.25 the leaf's quota, where that is smaller.
say go-numcpu "$(sed -n 's/.*NumCPU=\([0-9]*\).*/\1/p' /tmp/readers)"
say go-maxprocs "$(sed -n 's/.*GOMAXPROCS=\([0-9]*\).*/\1/p' /tmp/readers)"

# The same memory in the file, through procps, and through sysinfo(2).
say meminfo "$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
say free "$(free -k | awk '/^Mem/ {print $2}')"
say busybox-free "$(busybox free -k 2>/dev/null | awk '/^Mem/ {print $2}')"
say vmstat-free "$(vmstat -s | awk '/K total memory/ {print $1}')"
say top "$(top -b -n1 | awk '/^(K|M)iB Mem/ {print $4}')"

# pid 1 is this script. It has just started, and so has the machine.
say up "$(cut -d. -f1 /proc/uptime)"
say uptime "$(uptime -p)"
say ps "$(ps -o etimes= -p 1 | tr -d ' ')"
say started "$(($(date +%s) - $(date -d "$(ps -o lstart= -p 1)" +%s)))"
say tasks "$(ps -e --no-headers | wc -l)"
say vmstat-lines "$(vmstat 1 2 | wc -l)"
say uptime-load "$(uptime | sed 's/.*load average: \([0-9.]*\),.*/\1/')"
say disks "$(wc -l < /proc/diskstats)"
for f in /proc/pressure/*; do
	cat "$f" > /dev/null || say pressure "cannot read $f"
done
