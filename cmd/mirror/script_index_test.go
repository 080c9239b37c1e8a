package main

import (
	"bytes"
	"context"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"airmirror/cache/backend"
	"airmirror/cache/bolt"
)

// damageEntry FILE TABLE KEY PART...: makes an entry of an index unreadable.
func damageEntry(ts *testscript.TestScript, _ bool, args []string) {
	index, err := bolt.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	table, key := backend.Table(args[1]), strings.Join(args[2:], "\x00")
	ts.Check(index.Update(context.Background(), func(tx backend.WriteTx) error {
		value := bytes.Clone(tx.Get(table, key))
		if value == nil {
			ts.Fatalf("there is no %q", args[1:])
		}
		value[0] = '?'
		return tx.Put(table, key, value)
	}))
	ts.Check(index.Close())
}

// damagePages FILE TEXT: empties the pages of an index that contain a text.
func damagePages(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	file, err := os.ReadFile(path)
	ts.Check(err)
	size, found := os.Getpagesize(), false
	for at := 0; at+size <= len(file); at += size {
		if page := file[at : at+size]; bytes.Contains(page, []byte(args[1])) {
			clear(page)
			found = true
		}
	}
	if !found {
		ts.Fatalf("no page contains %q", args[1])
	}
	ts.Check(os.WriteFile(path, file, 0o600))
}
