#!/bin/sh
# life.sh TABLE: every hotpatch of a table lives its whole life. Its line has the
# module's name, a pattern, and a command whose output matches the pattern when
# the hotpatch is applied, and at no other time.

shows() { sh -c "$command" >shown 2>&1; grep -Eq "$pattern" shown; }

life() {
	if shows; then echo "before it is applied:"; cat shown; return 1; fi
	./hotpatch apply "$name.ko" || return 1
	shows || { echo "when it is applied:"; cat shown; return 1; }
	./hotpatch revert "$name" || return 1
	if shows; then echo "when it is reverted:"; cat shown; return 1; fi
	./hotpatch unload "$name" || return 1
	! grep "^$name " /proc/modules
}

echo "KTAP version 1"
echo "1..$(grep -c '^[a-z]' "$1")"
n=0
while read -r name pattern command; do
	case $name in [a-z]*) ;; *) continue ;; esac
	n=$((n + 1))
	if life </dev/null >log 2>&1; then
		echo "ok $n $name"
	else
		sed 's/^/# /' log
		echo "not ok $n $name"
	fi
done <"$1"
