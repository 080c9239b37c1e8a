package cachetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"airmirror/cache/backend"
)

func testIndexFailure(t *testing.T, x indexTest) {
	x.put("t", "a", "b")
	wrong := errors.New("wrong")
	err := x.Update(context.Background(), backend.Locks{}, func(tx backend.WriteTx) error {
		return errors.Join(tx.Put("t", "c", []byte("new")), tx.Delete("t", "a"), tx.Put("u", "a", []byte("new")), wrong)
	})
	if !errors.Is(err, wrong) {
		t.Errorf("update returned %v, want the function's error", err)
	}
	if err := x.View(context.Background(), func(backend.ReadTx) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("view returned %v, want the function's error", err)
	}
	check := func() {
		t.Helper()
		if len(x.all("t")) != 2 || len(x.all("u")) != 0 {
			t.Errorf("the failed update wrote something: %q, %q", x.all("t"), x.all("u"))
		}
	}
	check()
	x.close()
	x.Index = x.open()
	check()
	x.close()
}

// testIndexIsolation runs many concurrent updates. A third of them fail after they wrote, and a third before.
func testIndexIsolation(t *testing.T, x indexTest) {
	defer x.close()
	const updates = 96
	wrong := errors.New("wrong")
	var all sync.WaitGroup
	for i := range updates {
		all.Go(func() {
			err := x.Update(context.Background(), backend.Locks{}, func(tx backend.WriteTx) error {
				if i%3 == 2 {
					return fmt.Errorf("%d: %w", i, wrong)
				}
				if err := tx.Put("t", strconv.Itoa(i), []byte("x")); err != nil {
					return err
				}
				if i%3 == 1 {
					return fmt.Errorf("%d: %w", i, wrong)
				}
				return nil
			})
			if i%3 == 0 && err != nil {
				t.Errorf("update %d: %v", i, err)
			}
			if i%3 != 0 && (!errors.Is(err, wrong) || !strings.HasPrefix(err.Error(), strconv.Itoa(i)+":")) {
				t.Errorf("update %d returned %v, want its own error", i, err)
			}
		})
	}
	all.Wait()
	entries := x.all("t")
	for i := range updates {
		if _, there := entries[strconv.Itoa(i)]; there != (i%3 == 0) {
			t.Errorf("update %d: written is %t", i, there)
		}
	}
}

// testIndexSerial increments a counter from many goroutines. No increment may be lost.
func testIndexSerial(t *testing.T, x indexTest) {
	const workers, each = 16, 8
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for range each {
				if err := x.Update(context.Background(), backend.Locks{}, increment); err != nil {
					t.Errorf("update: %v", err)
				}
			}
		})
	}
	all.Wait()
	if got := x.get("t", "count"); got != strconv.Itoa(workers*each) {
		t.Errorf("counted %s, want %d", got, workers*each)
	}
	x.close()
	x.Index = x.open()
	defer x.close()
	if got := x.get("t", "count"); got != strconv.Itoa(workers*each) {
		t.Errorf("counted %s after reopening, want %d", got, workers*each)
	}
}

// increment increments two counters, which are therefore always equal.
func increment(tx backend.WriteTx) error {
	count, _ := strconv.Atoi(string(tx.Get("t", "count")))
	next := []byte(strconv.Itoa(count + 1))
	return errors.Join(tx.Put("t", "count", next), tx.Put("u", "count", next))
}

// testIndexSnapshot reads two keys that always change together.
func testIndexSnapshot(t *testing.T, x indexTest) {
	defer x.close()
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				var a, b string
				err := x.View(context.Background(), func(tx backend.ReadTx) error {
					a, b = string(tx.Get("t", "count")), string(tx.Get("u", "count"))
					return nil
				})
				if err != nil {
					t.Errorf("view: %v", err)
				}
				if a != b {
					t.Errorf("a view reads %q and %q, which were written together", a, b)
				}
			}
		})
	}
	for range 64 {
		if err := x.Update(context.Background(), backend.Locks{}, increment); err != nil {
			t.Errorf("update: %v", err)
		}
	}
	close(stop)
	readers.Wait()
}

func testIndexCancelled(t *testing.T, x indexTest) {
	defer x.close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := x.Update(ctx, backend.Locks{}, func(tx backend.WriteTx) error { return tx.Put("t", "a", []byte("x")) })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("update returned %v, want %v", err, context.Canceled)
	}
	if err := x.View(ctx, func(backend.ReadTx) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("view returned %v, want %v", err, context.Canceled)
	}
	x.put("t", "b") // commits after everything that was queued
	if got := x.get("t", "a"); got != "" {
		t.Error("a canceled update was run")
	}
}
