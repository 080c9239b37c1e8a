package cachetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"airmirror/cache"
)

// Index is what every implementation of [cache.Index] must pass. open opens the index that belongs to a folder, empty
// when nothing was opened there before; the suite closes it.
func Index(t *testing.T, open func(t *testing.T, folder string) cache.Index) {
	tests := []struct {
		name string
		test func(t *testing.T, x indexTest)
	}{
		{"Get", testIndexGet},
		{"Scan", testIndexScan},
		{"ReadYourWrites", testIndexReadYourWrites},
		{"FailureWritesNothing", testIndexFailure},
		{"FailureSparesOthers", testIndexIsolation},
		{"Serial", testIndexSerial},
		{"Snapshot", testIndexSnapshot},
		{"Cancelled", testIndexCancelled},
		{"Model", testIndexModel},
		{"Closed", testIndexClosed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			folder := t.TempDir()
			x := indexTest{t: t, open: func() cache.Index { return open(t, folder) }}
			x.Index = x.open()
			test.test(t, x)
		})
	}
}

// indexTest is an index under test.
type indexTest struct {
	cache.Index
	t    *testing.T
	open func() cache.Index // again, after Close
}

func (x indexTest) close() {
	x.t.Helper()
	if err := x.Close(); err != nil {
		x.t.Fatalf("close: %v", err)
	}
}

func (x indexTest) put(table cache.Table, entries ...string) {
	x.t.Helper()
	err := x.Update(context.Background(), func(tx cache.WriteTx) error {
		for _, key := range entries {
			if err := tx.Put(table, key, []byte("value of "+key)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		x.t.Fatalf("put: %v", err)
	}
}

// get returns a copy of a value, "" if there is none.
func (x indexTest) get(table cache.Table, key string) (value string) {
	x.t.Helper()
	err := x.View(context.Background(), func(tx cache.ReadTx) error {
		value = string(tx.Get(table, key))
		return nil
	})
	if err != nil {
		x.t.Errorf("view: %v", err)
	}
	return value
}

// all returns a copy of a table.
func (x indexTest) all(table cache.Table) map[string]string {
	x.t.Helper()
	entries := make(map[string]string)
	err := x.View(context.Background(), func(tx cache.ReadTx) error {
		for key, value := range tx.Scan(table, "", "") {
			entries[key] = string(value)
		}
		return nil
	})
	if err != nil {
		x.t.Errorf("view: %v", err)
	}
	return entries
}

func testIndexGet(t *testing.T, x indexTest) {
	defer x.close()
	if got := x.get("none", "a"); got != "" {
		t.Errorf("key of a table that was never written has value %q", got)
	}
	x.put("one", "a", "b\x00c")
	x.put("two", "a")
	if got := x.get("one", "b\x00c"); got != "value of b\x00c" {
		t.Errorf("value is %q", got)
	}
	if got := x.get("two", "b\x00c"); got != "" {
		t.Errorf("tables share a key: %q", got)
	}
	if got := x.get("one", "b"); got != "" {
		t.Errorf("the beginning of a key has value %q", got)
	}
	err := x.Update(context.Background(), func(tx cache.WriteTx) error {
		return errors.Join(tx.Delete("one", "a"), tx.Delete("one", "never there"), tx.Delete("no table", "a"))
	})
	if err != nil {
		t.Errorf("delete: %v", err)
	}
	if x.get("one", "a") != "" || x.get("two", "a") == "" {
		t.Error("delete did not remove one key from one table")
	}
	err = x.Update(context.Background(), func(tx cache.WriteTx) error { return tx.Put("one", "empty", nil) })
	if err == nil {
		t.Error("an empty value was taken")
	}
}

func testIndexScan(t *testing.T, x indexTest) {
	defer x.close()
	x.put("t", "a", "b", "b\x00", "b\x001", "b\x002", "b\x003", "ba", "c", "\xff", "\xff\xff")
	tests := []struct{ prefix, after, want string }{
		{"", "", "a b b. b.1 b.2 b.3 ba c # ##"},
		{"b", "", "b b. b.1 b.2 b.3 ba"},
		{"b\x00", "", "b. b.1 b.2 b.3"},
		{"b\x00", "b\x00", "b.1 b.2 b.3"},
		{"b\x00", "b\x001", "b.2 b.3"},
		{"b\x00", "b\x0011", "b.2 b.3"}, // need not exist
		{"b\x00", "b\x003", ""},
		{"b\x00", "a", "b. b.1 b.2 b.3"}, // before the prefix
		{"b\x00", "c", ""},               // behind it
		{"", "c", "# ##"},
		{"\xff", "", "# ##"},
		{"\xff", "\xff", "##"},
		{"d", "", ""},
	}
	show := strings.NewReplacer("\x00", ".", "\xff", "#")
	for _, test := range tests {
		var got []string
		err := x.View(context.Background(), func(tx cache.ReadTx) error {
			for key, value := range tx.Scan("t", test.prefix, test.after) {
				got = append(got, show.Replace(key))
				if string(value) != "value of "+key {
					t.Errorf("scan of %q yields %q as the value of %q", test.prefix, value, key)
				}
			}
			for range tx.Scan("t", test.prefix, test.after) {
				break // must not go on
			}
			for range tx.Scan("never written", test.prefix, test.after) {
				t.Error("a table that was never written has keys")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("scan of %q after %q: %q, want %q", test.prefix, test.after, strings.Join(got, " "), test.want)
		}
	}
}

func testIndexReadYourWrites(t *testing.T, x indexTest) {
	defer x.close()
	x.put("t", "a", "b")
	err := x.Update(context.Background(), func(tx cache.WriteTx) error {
		if err := errors.Join(tx.Put("t", "c", []byte("new")), tx.Put("t", "b", []byte("new")), tx.Delete("t", "a")); err != nil {
			return err
		}
		if tx.Get("t", "a") != nil || string(tx.Get("t", "b")) != "new" || string(tx.Get("t", "c")) != "new" {
			t.Error("Get does not see what the transaction wrote")
		}
		var keys []string
		for key := range tx.Scan("t", "", "") {
			keys = append(keys, key)
		}
		if !slices.Equal(keys, []string{"b", "c"}) {
			t.Errorf("Scan sees %q, want b and c", keys)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func testIndexFailure(t *testing.T, x indexTest) {
	x.put("t", "a", "b")
	wrong := errors.New("wrong")
	err := x.Update(context.Background(), func(tx cache.WriteTx) error {
		return errors.Join(tx.Put("t", "c", []byte("new")), tx.Delete("t", "a"), tx.Put("u", "a", []byte("new")), wrong)
	})
	if !errors.Is(err, wrong) {
		t.Errorf("update returned %v, want the function's error", err)
	}
	if err := x.View(context.Background(), func(cache.ReadTx) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("view returned %v, want the function's error", err)
	}
	check := func() {
		t.Helper()
		if len(x.all("t")) != 2 || len(x.all("u")) != 0 {
			t.Errorf("the update that failed wrote something: %q, %q", x.all("t"), x.all("u"))
		}
	}
	check()
	x.close()
	x.Index = x.open()
	check()
	x.close()
}

// testIndexIsolation runs many updates at once, a third of which fail after they wrote, and a third before.
func testIndexIsolation(t *testing.T, x indexTest) {
	defer x.close()
	const updates = 96
	wrong := errors.New("wrong")
	var all sync.WaitGroup
	for i := range updates {
		all.Go(func() {
			err := x.Update(context.Background(), func(tx cache.WriteTx) error {
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

// testIndexSerial counts with read, then write, from many goroutines: no count may be lost.
func testIndexSerial(t *testing.T, x indexTest) {
	const workers, each = 16, 8
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for range each {
				if err := x.Update(context.Background(), increment); err != nil {
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

// increment adds one to two counters, which so are always the same.
func increment(tx cache.WriteTx) error {
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
				err := x.View(context.Background(), func(tx cache.ReadTx) error {
					if a, b := string(tx.Get("t", "count")), string(tx.Get("u", "count")); a != b {
						t.Errorf("a view sees %q and %q, which were written together", a, b)
					}
					return nil
				})
				if err != nil {
					t.Errorf("view: %v", err)
				}
			}
		})
	}
	for range 64 {
		if err := x.Update(context.Background(), increment); err != nil {
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
	err := x.Update(ctx, func(tx cache.WriteTx) error { return tx.Put("t", "a", []byte("x")) })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("update returned %v, want %v", err, context.Canceled)
	}
	if err := x.View(ctx, func(cache.ReadTx) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("view returned %v, want %v", err, context.Canceled)
	}
	x.put("t", "b") // whatever was queued is through now
	if got := x.get("t", "a"); got != "" {
		t.Error("a cancelled update was run")
	}
}

// testIndexModel makes random transactions, some of which fail, and compares with a map, through reopening.
func testIndexModel(t *testing.T, x indexTest) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	wrong := errors.New("wrong")
	model := make(map[string]string)
	for round := range 60 {
		next := maps.Clone(model)
		fails := random.IntN(4) == 0
		var steps []func(cache.WriteTx) error
		for range random.IntN(40) {
			key := fmt.Sprintf("%d\x00%d", random.IntN(8), random.IntN(40))
			if random.IntN(3) == 0 {
				delete(next, key)
				steps = append(steps, func(tx cache.WriteTx) error { return tx.Delete("t", key) })
				continue
			}
			value := strings.Repeat("v", 1+random.IntN(3000)) + strconv.Itoa(round)
			next[key] = value
			steps = append(steps, func(tx cache.WriteTx) error { return tx.Put("t", key, []byte(value)) })
		}
		err := x.Update(context.Background(), func(tx cache.WriteTx) error {
			for _, step := range steps {
				if err := step(tx); err != nil {
					return err
				}
			}
			if fails {
				return wrong
			}
			return nil
		})
		if fails != (err != nil) || fails && !errors.Is(err, wrong) {
			t.Fatalf("update returned %v, the function failed is %t", err, fails)
		}
		if !fails {
			model = next
		}
		if round%20 == 19 {
			x.close()
			x.Index = x.open()
		}
		compareIndex(t, x, model, seed)
	}
	x.close()
}

func compareIndex(t *testing.T, x indexTest, model map[string]string, seed uint64) {
	t.Helper()
	err := x.View(context.Background(), func(tx cache.ReadTx) error {
		want := slices.Sorted(maps.Keys(model))
		var got []string
		for key, value := range tx.Scan("t", "", "") {
			got = append(got, key)
			if model[key] != string(value) || string(tx.Get("t", key)) != string(value) {
				t.Errorf("key %q has another value than was written", key)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("keys %q, want %q", got, want)
		}
		return nil
	})
	if err != nil || t.Failed() {
		t.Fatalf("seed %d: %v", seed, err)
	}
}

func testIndexClosed(t *testing.T, x indexTest) {
	x.put("t", "a")
	x.close()
	if err := x.Update(context.Background(), func(cache.WriteTx) error { return nil }); err == nil {
		t.Error("a closed index takes updates")
	}
	if err := x.View(context.Background(), func(cache.ReadTx) error { return nil }); err == nil {
		t.Error("a closed index answers views")
	}
	x.close() // again, which does nothing
}
