# qemu.sh GATE: what the vCPU of a real QEMU guest gets beside a hog of the host on
# its CPU, with the gate of its cgroup shut (0) or open (1). The guest's one vCPU
# computes. Prints the policies of QEMU's threads, whether the vCPU has more CPU
# time than the hog, and whether what is stolen from it is within the bound. A
# kernel that checks itself takes longer over all that it does beside the vCPU,
# and that much longer the vCPU waits: half of that bound is the checks' there.
gate=$1

# This script must not wait for those it watches
chrt -f -p 10 $$ >/dev/null
echo 1 >/proc/sys/kernel/sched_vmf_enabled
cd /sys/fs/cgroup
echo +cpu >cgroup.subtree_control
mkdir -p machine
echo $gate >machine/cpu.vmf.auto

# 1: add x12, x12, #1; b 1b
printf '\214\005\000\221\377\377\377\027' >/tmp/guest.bin
sh -c 'echo 0 >machine/cgroup.procs; chrt -o -p 0 $$ >/dev/null; exec qemu-system-aarch64 \
	-name guest,debug-threads=on -nodefaults -no-user-config -display none \
	-M virt,gic-version=3,its=off -accel kvm -cpu host -m 64M -kernel /tmp/guest.bin' &
qemu=$!

vcpu=
until [ "$vcpu" ]; do
	kill -0 $qemu
	sleep 0.2
	for t in /proc/$qemu/task/*; do
		if grep -q KVM $t/comm; then vcpu=$t; fi
	done
done
# Let the guest begin
sleep 1
sh -c 'chrt -o -p 0 $$ >/dev/null; while :; do :; done' &
hog=$!
sleep 0.5

ran() { cut -d ' ' -f 1 "$1"/schedstat; }
waited() { cut -d ' ' -f 2 "$1"/schedstat; }
r=$(ran $vcpu) w=$(waited $vcpu) h=$(ran /proc/$hog)
sleep 4
r=$(($(ran $vcpu) - r)) w=$(($(waited $vcpu) - w)) h=$(($(ran /proc/$hog) - h))

for t in /proc/$qemu/task/*; do
	kind=other
	if [ $t = $vcpu ]; then kind=vcpu; fi
	# Field 41 of stat, of which the name may have blanks
	echo $kind $(sed 's/.*) //' $t/stat | cut -d ' ' -f 39)
done | sort -u
kill $hog $qemu
wait $hog $qemu || :

steal=$((w * 10000 / (r + w)))
echo "steal $((steal / 100)).$(printf %02d $((steal % 100))) %" >&2
echo "of the hog: $((h * 100 / (r + h))) %" >&2
most=250
! zcat /proc/config.gz | grep -q ^CONFIG_KASAN=y || most=500
if [ $steal -le $most ]; then echo steal within the bound; fi
if [ $((h * 1000)) -le $(((r + h) * 25)) ]; then echo the hog has 2.5 % at most; fi
if [ $steal -ge 4000 ]; then echo steal of 40 % or more; fi
if [ $gate = 1 ]; then
	grep -E '^(vcpu|vmsvc|wait|behind_host)_usec|^guard' machine/cpu.vmf.stat >&2
fi
