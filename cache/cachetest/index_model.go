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
	"testing"

	"airmirror/cache/backend"
)

// testIndexModel runs random transactions, some of which fail, and compares the index with a map. It reopens the
// index in between.
func testIndexModel(t *testing.T, x indexTest) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	wrong := errors.New("wrong")
	model := make(map[string]string)
	for round := range 60 {
		next := maps.Clone(model)
		fails := random.IntN(4) == 0
		var steps []func(backend.WriteTx) error
		for range random.IntN(40) {
			key := fmt.Sprintf("%d\x00%d", random.IntN(8), random.IntN(40))
			if random.IntN(3) == 0 {
				delete(next, key)
				steps = append(steps, func(tx backend.WriteTx) error { return tx.Delete("t", key) })
				continue
			}
			value := strings.Repeat("v", 1+random.IntN(3000)) + strconv.Itoa(round)
			next[key] = value
			steps = append(steps, func(tx backend.WriteTx) error { return tx.Put("t", key, []byte(value)) })
		}
		err := x.Update(context.Background(), backend.Locks{}, func(tx backend.WriteTx) error {
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
			t.Fatalf("update returned %v; the function failed: %t", err, fails)
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
	err := x.View(context.Background(), func(tx backend.ReadTx) error {
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
	if err := x.Update(context.Background(), backend.Locks{}, func(backend.WriteTx) error { return nil }); err == nil {
		t.Error("Update of a closed index succeeded")
	}
	if err := x.View(context.Background(), func(backend.ReadTx) error { return nil }); err == nil {
		t.Error("View of a closed index succeeded")
	}
	x.close() // a second Close does nothing
}
