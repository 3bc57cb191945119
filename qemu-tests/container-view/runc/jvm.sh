#!/bin/bash
# jvm.sh: how large a JVM makes its heap, in MiB: by what the machine seems to
# have, and by what the JVM itself finds in cgroup files.
java=$(ls /usr/lib/jvm/*/bin/java | head -n 1)
for how in - +; do
	"$java" -XX:${how}UseContainerSupport -XX:TieredStopAtLevel=1 \
		-XX:+PrintFlagsFinal -version 2>&1 |
		awk -v how=$how '$2 == "MaxHeapSize" { print "heap" how " " $4 / 1048576 }'
done
