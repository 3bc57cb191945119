package report

import (
	"strings"
	"time"

	"cloudkernel/tools/internal/outcome"
	"cloudkernel/tools/internal/result"
)

func lines(text string) []string { return strings.Split(strings.TrimSpace(text), "\n") }

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// sample is a run in which everything happens that can happen to a case.
func sample() *result.Run {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	many := make([]result.Subtest, 0, 20)
	for i := range 20 {
		many = append(many, result.Subtest{Name: "ranges > case " + string(rune('a'+i)), Outcome: outcome.Fail, Reason: "expected 1, was 2"})
	}
	splat := `[    2.114203] BUG: kernel NULL pointer dereference in protect_set+0x40/0x98
[    2.114900] CPU: 0 UID: 0 PID: 71 Comm: protect Not tainted 6.12.117-cloudkernel #1
[    2.115310] pc : protect_set+0x40/0x98
[    2.115904] Call trace:
[    2.116101]  protect_set+0x40/0x98
[    2.116322]  __arm64_sys_prctl+0x1c8/0x5a0`
	return &result.Run{
		Started: noon, Duration: 83*time.Second + ms(400),
		Machine: "tcg (no hardware virtualization here: guests run about 20 times slower)",
		Kernels: []result.KernelInfo{
			{Arch: "arm64", Profile: "default", Release: "6.12.117-cloudkernel", Key: "4f2a99b1c0de4f2a99b1c0de4f2a99b1c0de"},
			{Arch: "x86_64", Profile: "debug", Release: "6.12.117-cloudkernel", Key: "77aa"},
		},
		Cases: []result.Case{
			{Name: "smoke/boot", Summary: "the guest boots", Arch: "arm64", Profile: "default", Outcome: outcome.Pass,
				Started: noon, Duration: ms(1432), Guest: ms(812), Repro: "kernlab test smoke/boot"},
			{Name: "task-protect/hostinfo", Feature: "a task's host pid", Arch: "arm64", Profile: "default", Outcome: outcome.Pass,
				Started: noon, Duration: ms(2011), Subtests: []result.Subtest{
					{Name: "nested > depth 1", Outcome: outcome.Pass},
					{Name: "nested > depth 2", Outcome: outcome.Pass, Duration: ms(20)},
					{Name: "sysctl", Outcome: outcome.Skip, Reason: "not root"},
				}},
			{Name: "task-protect/ptrace", Feature: "protection against ptrace", Arch: "arm64", Profile: "default", Outcome: outcome.Panic,
				Reason: "BUG: kernel NULL pointer dereference in protect_set", Started: noon, Duration: ms(2950), Guest: ms(2114),
				Splats: []result.Splat{
					{Kind: "warning", Title: "WARNING in expected_place", Text: "[    1.0] WARNING", Allowed: "expected by the case"},
					{Kind: "oops", Title: "BUG: kernel NULL pointer dereference in protect_set", Text: splat,
						Decoded: strings.ReplaceAll(splat, "+0x40/0x98", " (kernel/task_protect.c:112)")},
				},
				Console: lines(splat + "\n\x1b[31m[    2.2] Kernel panic - not syncing\x1b[0m\tx\x07"),
				Log:     "out/logs/task-protect-ptrace", Repro: "kernlab test task-protect/ptrace --arch arm64"},
			{Name: "task-protect/ptrace", Feature: "protection against ptrace", Arch: "x86_64", Profile: "debug", Outcome: outcome.Pass,
				Started: noon, Duration: ms(61000)},
			{Name: "task-protect/selftests:ranges", Arch: "arm64", Profile: "default", Outcome: outcome.Fail,
				Reason: "20 of 20 subtests failed", Started: noon, Duration: ms(900), Subtests: many,
				Log: "out/logs/ranges", Repro: "kernlab test task-protect/selftests:ranges --arch arm64"},
			{Name: "vmf/fair", Arch: "arm64", Profile: "default", Outcome: outcome.Hang, Reason: "silent for 30 s",
				Started: noon, Duration: ms(40200), Console: []string{"[    0.9] vmf: last words <&> ]]>"}, Log: "out/logs/vmf-fair",
				Repro: "kernlab test vmf/fair --arch arm64"},
			{Name: "vmf/old", Arch: "arm64", Profile: "default", Outcome: outcome.Fail, Reason: "share 0.41, want 0.50",
				Started: noon, Duration: ms(5100), Known: &result.Known{Reason: "EEVDF lag", Link: "https://example.org/7", Expiry: "2026-12-31"},
				Repro: "kernlab test vmf/old --arch arm64"},
			{Name: "vmf/expired", Arch: "arm64", Profile: "default", Outcome: outcome.Fail, Reason: "share 0.40, want 0.50",
				Started: noon, Duration: ms(5000), Known: &result.Known{Reason: "EEVDF lag", Link: "https://example.org/6", Expiry: "2025-12-31", Expired: true},
				Repro: "kernlab test vmf/expired --arch arm64"},
			{Name: "vmf/fixed", Arch: "arm64", Profile: "default", Outcome: outcome.Pass, Started: noon, Duration: ms(100),
				Known: &result.Known{Reason: "was slow", Link: "https://example.org/5", Expiry: "2026-12-31", Passed: true}},
			{Name: "vmf/flaky", Arch: "arm64", Profile: "default", Outcome: outcome.Fail, Reason: "gap 9 ms, want 4 ms", Started: noon, Duration: ms(3000),
				Repeat: &result.Repeat{Runs: 3, Passed: 2, Outcomes: []outcome.Outcome{"pass", "fail", "pass"}}, Repro: "kernlab test vmf/flaky --repeat 3"},
			{Name: "vmf/nested", Feature: "VMF under KVM", Arch: "arm64", Profile: "default", Outcome: outcome.Skip, Reason: "needs qemu-system-arm in the guest # and 2 CPUs",
				Started: noon, Duration: 0, Repro: "kernlab test vmf/nested --arch arm64"},
			{Name: "vmf/disk", Arch: "arm64", Profile: "default", Outcome: outcome.Infra, Reason: "make the guest's disk: no space left on device",
				Started: noon, Duration: ms(12), Repro: "kernlab test vmf/disk --arch arm64"},
			{Name: "boot/none", Arch: "arm64", Profile: "default", Outcome: outcome.BootFail, Reason: "no hello in 60 s",
				Started: noon, Duration: ms(60000), Console: []string{"bad byte \xff, bell \x07"}, Repro: "kernlab test boot/none --arch arm64"},
		},
	}
}
