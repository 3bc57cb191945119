package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestGetMakesOnceForMany(t *testing.T) {
	st := Open(t.TempDir())
	var made atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			dir, release, err := st.Get(context.Background(), "kernel", "k", nil, func(dir string) error {
				made.Add(1)
				time.Sleep(20 * time.Millisecond)
				return os.WriteFile(filepath.Join(dir, "Image"), []byte("x"), 0o644)
			})
			if err != nil {
				t.Error(err)
				return
			}
			defer release()
			if _, err := os.Stat(filepath.Join(dir, "Image")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := made.Load(); n != 1 {
		t.Errorf("made %d times", n)
	}
}

func TestFailedFillLeavesNothing(t *testing.T) {
	st := Open(t.TempDir())
	boom := errors.New("boom")
	_, _, err := st.Get(context.Background(), "kernel", "k", nil, func(dir string) error {
		_ = os.WriteFile(filepath.Join(dir, "half"), nil, 0o644)
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatalf("got %v", err)
	}
	if list, err := st.List(); err != nil || len(list) != 0 {
		t.Errorf("left %v, %v", list, err)
	}
	if tmps, _ := filepath.Glob(filepath.Join(st.Dir(), "kernel", ".tmp-*")); len(tmps) != 0 {
		t.Errorf("left %v", tmps)
	}
}

func TestCancelledFillLeavesNothing(t *testing.T) {
	st := Open(t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	_, _, err := st.Get(ctx, "kernel", "k", nil, func(string) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if list, _ := st.List(); len(list) != 0 {
		t.Errorf("left %v", list)
	}
}

func TestGCKeepsWhatIsInUseAndRemovesLeftovers(t *testing.T) {
	st := Open(t.TempDir())
	fill := func(dir string) error { return os.WriteFile(filepath.Join(dir, "f"), []byte("data"), 0o444) }
	_, inUse, err := st.Get(context.Background(), "kernel", "used", nil, fill)
	if err != nil {
		t.Fatal(err)
	}
	_, release, err := st.Get(context.Background(), "kernel", "idle", nil, fill)
	if err != nil {
		t.Fatal(err)
	}
	release()
	left := filepath.Join(st.Dir(), "kernel", ".tmp-gone-123")
	if err := os.Mkdir(left, 0o755); err != nil {
		t.Fatal(err)
	}
	gone, err := st.GC(func(Entry) bool { return true })
	if err != nil || len(gone) != 1 || gone[0].Key != "idle" {
		t.Errorf("removed %v, %v", gone, err)
	}
	if exists(left) {
		t.Error("a killed maker's leftover stays")
	}
	inUse()
	if gone, err = st.GC(func(Entry) bool { return true }); err != nil || len(gone) != 1 || gone[0].Key != "used" {
		t.Errorf("removed %v, %v", gone, err)
	}
}

func TestWaiterIsToldAndCanGiveUp(t *testing.T) {
	st := Open(t.TempDir())
	release, err := st.Lock(context.Background(), "lane", "l", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	ctx, cancel := context.WithCancel(context.Background())
	_, err = st.Lock(ctx, "lane", "l", cancel)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestNamesStayInside(t *testing.T) {
	st := Open(t.TempDir())
	for _, key := range []string{"", "../x", "a/b", ".hidden"} {
		if _, _, err := st.Get(context.Background(), "kernel", key, nil, func(string) error { return nil }); err == nil {
			t.Errorf("key %q was taken", key)
		}
	}
}
