package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"testing"

	"airmirror/cache"
	"airmirror/cache/backend"
	"airmirror/cache/bolt"
)

// TestCommandSaysThatTheIndexIsMigrated opens a folder of an earlier version. The command says why it takes long, the next one
// has nothing to say.
func TestCommandSaysThatTheIndexIsMigrated(t *testing.T) {
	folder := t.TempDir()
	index, err := bolt.Open(filepath.Join(folder, cache.IndexName))
	must(t, err)
	must(t, index.Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error {
		return tx.Put("meta", "schema", []byte(`{"version":3}`))
	}))
	must(t, index.Close())
	for _, want := range []string{
		"mirror: the index of " + folder + " has the form of an earlier version and is migrated first, which takes seconds to minutes: 200,000 images take about 15 seconds\n",
		"",
	} {
		var stderr bytes.Buffer
		ls := exec.Command("mirror", "ls", "--data", folder)
		ls.Stderr = &stderr
		out, err := ls.Output()
		if err != nil || string(out) != "nothing to list\n" || stderr.String() != want {
			t.Errorf("mirror ls: %v\n%s%s\nwant %s", err, out, stderr.String(), want)
		}
	}
}
