package cachetest

import (
	"context"
	"testing"

	"airmirror/cache/backend"
)

// Index tests an implementation of [backend.Index]. open opens the index in a folder, which is empty if nothing was
// opened there before. The suite closes it.
func Index(t *testing.T, open func(t *testing.T, folder string) backend.Index) {
	tests := []struct {
		name string
		test func(t *testing.T, x indexTest)
	}{
		{"Get", testIndexGet},
		{"Scan", testIndexScan},
		{"ReadYourWrites", testIndexReadYourWrites},
		{"FailureWritesNothing", testIndexFailure},
		{"FailureLeavesOtherUpdates", testIndexIsolation},
		{"SerialUpdates", testIndexSerial},
		{"Insert", testIndexInsert},
		{"Prefetch", testIndexPrefetch},
		{"Locks", testIndexLocks},
		{"Snapshot", testIndexSnapshot},
		{"Canceled", testIndexCancelled},
		{"Model", testIndexModel},
		{"Closed", testIndexClosed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			folder := t.TempDir()
			x := indexTest{t: t, open: func() backend.Index { return open(t, folder) }}
			x.Index = x.open()
			test.test(t, x)
		})
	}
}

// indexTest is a test of one index.
type indexTest struct {
	backend.Index
	t    *testing.T
	open func() backend.Index // opens the index again after Close
}

func (x indexTest) close() {
	x.t.Helper()
	if err := x.Close(); err != nil {
		x.t.Fatalf("close: %v", err)
	}
}

func (x indexTest) put(table backend.Table, entries ...string) {
	x.t.Helper()
	err := x.Update(context.Background(), backend.Locks{}, func(tx backend.WriteTx) error {
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

// get returns a value, or "" if there is none.
func (x indexTest) get(table backend.Table, key string) (value string) {
	x.t.Helper()
	err := x.View(context.Background(), func(tx backend.ReadTx) error {
		value = string(tx.Get(table, key))
		return nil
	})
	if err != nil {
		x.t.Errorf("view: %v", err)
	}
	return value
}

// all returns a copy of a table.
func (x indexTest) all(table backend.Table) map[string]string {
	x.t.Helper()
	entries := make(map[string]string)
	err := x.View(context.Background(), func(tx backend.ReadTx) error {
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
