package main

import (
	"bytes"
	"context"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"go.etcd.io/bbolt"

	"airmirror/cache/backend"
	"airmirror/cache/bolt"
	"airmirror/cache/packed"
)

// damageEntry FILE TABLE KEY PART...: makes an entry of an index unreadable.
func damageEntry(ts *testscript.TestScript, _ bool, args []string) {
	file, err := bolt.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	index := packed.New(file, map[backend.Table]packed.Layout{"tags": {packed.Repo, packed.Text}})
	table, key := backend.Table(args[1]), strings.Join(args[2:], "\x00")
	ts.Check(index.Update(context.Background(), backend.Locks{}, func(tx backend.WriteTx) error {
		value := bytes.Clone(tx.Get(table, key))
		if value == nil {
			ts.Fatalf("there is no %q", args[1:])
		}
		value[0] = '?'
		return tx.Put(table, key, value)
	}))
	ts.Check(index.Close())
}

// damageTable FILE TABLE: empties the first page of a table of an index.
func damageTable(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	db, err := bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true})
	ts.Check(err)
	var page int64
	ts.Check(db.View(func(tx *bbolt.Tx) error {
		page = int64(tx.Bucket([]byte(args[1])).RootPage())
		return nil
	}))
	size := int64(db.Info().PageSize)
	ts.Check(db.Close())
	if page == 0 {
		ts.Fatalf("table %s has no page of its own", args[1])
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	ts.Check(err)
	_, err = file.WriteAt(make([]byte, size), page*size)
	ts.Check(err)
	ts.Check(file.Close())
}
