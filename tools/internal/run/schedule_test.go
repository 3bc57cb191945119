package run

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestRoomFits(t *testing.T) {
	r := newRoom(2, 4096)
	tests := []struct {
		name                 string
		usedCPUs, usedMemory int64
		cpus, memory         int64
		spare                float64
		want                 bool
	}{
		{"empty", 0, 0, 2, 4096, 0, true},
		{"cores free", 1, 600, 1, 600, 0, true},
		{"cores taken", 2, 600, 1, 600, 0, false},
		{"cores taken, one of them idle", 2, 600, 2, 600, 1, true},
		{"cores taken, hardly idle", 2, 600, 2, 600, 0.5, false},
		{"threads for four times the cores", 7, 600, 2, 600, 2, false},
		{"memory taken, cores idle", 2, 4000, 1, 600, 2, false},
	}
	for _, tt := range tests {
		r.usedCPUs, r.usedMemory = tt.usedCPUs, tt.usedMemory
		if got := r.fits(tt.cpus, tt.memory, tt.spare); got != tt.want {
			t.Errorf("%s: fits = %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Who comes to a full room is let in when somebody leaves, or where cores are
// seen to be idle, and never where a number of threads was asked for.
func TestRoomEnter(t *testing.T) {
	small := &job{threads: 2, memory: 512}
	tests := []struct {
		name  string
		jobs  int
		idle  float64 // cores
		enter int     // of many that come
	}{
		{"cores are busy", 0, 0.2, 1},
		{"a core is idle", 0, 1, overcommit},
		{"threads were asked for", 2, 1, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				r := newRoom(tt.jobs, 16384)
				r.cpus = 2
				begin := time.Now()
				if r.idle != nil {
					r.idle = func() (time.Duration, error) {
						return time.Duration(tt.idle * float64(time.Since(begin))), nil
					}
				}
				var entered atomic.Int32
				leaves := make(chan func(), 8)
				for range cap(leaves) {
					go func() {
						if leave, err := r.enter(ctx, small); err == nil {
							entered.Add(1)
							leaves <- leave
						}
					}()
				}
				time.Sleep(time.Minute)
				if got := int(entered.Load()); got != tt.enter {
					t.Errorf("%d came in, want %d", got, tt.enter)
				}
				(<-leaves)()
				time.Sleep(time.Minute)
				if got := int(entered.Load()); got != tt.enter+1 {
					t.Errorf("%d came in after one left, want %d", got, tt.enter+1)
				}
				cancel()
			})
		})
	}
}

// A guest that is larger than the room has it to itself.
func TestRoomOfOne(t *testing.T) {
	r := newRoom(2, 4096)
	if _, err := r.enter(t.Context(), &job{threads: 8, memory: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	if r.usedCPUs != 2 || r.usedMemory != 4096 {
		t.Errorf("used %d cores and %d MiB, want all of 2 and 4096", r.usedCPUs, r.usedMemory)
	}
}

func TestParseIdle(t *testing.T) {
	got, err := parseIdle("cpu  264230 262 60792 8237284 9114 0 5195 0 0 0")
	if want := 82463980 * time.Millisecond; err != nil || got != want {
		t.Errorf("parseIdle = %v, %v, want %v", got, err, want)
	}
	for _, line := range []string{"", "cpu", "cpu0 1 2 3 4 5", "cpu 1 2 3 x 5"} {
		if _, err := parseIdle(line); err == nil {
			t.Errorf("parseIdle(%q) found no fault", line)
		}
	}
	if _, err := idleTime(); err != nil {
		t.Error(err)
	}
}
