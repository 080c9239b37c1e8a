package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"airmirror/api/admin"
	"airmirror/cache"
	"airmirror/cache/backend"
	"airmirror/cache/bolt"
)

const (
	ballastTable = "ballast" // a table that no store reads
	ballastSize  = 30 << 20
)

// addBallast adds entries to the index of a data folder, so that a compaction takes a while, and deletes a third of them
// again, so that it frees space. The keys begin with prefix.
func addBallast(t *testing.T, data, prefix string) {
	t.Helper()
	x, err := bolt.Open(filepath.Join(data, cache.IndexName))
	must(t, err)
	value := make([]byte, 4000)
	for _, change := range []func(tx backend.WriteTx, key string) error{
		func(tx backend.WriteTx, key string) error { return tx.Put(ballastTable, key, value) },
		func(tx backend.WriteTx, key string) error { return tx.Put(ballastTable, key+"x", value) },
		func(tx backend.WriteTx, key string) error { return tx.Put(ballastTable, key+"y", value) },
		func(tx backend.WriteTx, key string) error { return tx.Delete(ballastTable, key) },
	} {
		must(t, x.Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error {
			for i := range ballastSize / len(value) {
				if err := change(tx, fmt.Sprintf("%s%06d", prefix, i)); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	must(t, x.Close())
}

// hasTags checks that a mirror serves the manifests of pushMany.
func hasTags(t *testing.T, p *process, n int) {
	t.Helper()
	for i := range n {
		resp, err := http.Get(fmt.Sprintf("%s/v2/team/app/manifests/t%d", p.url, i))
		must(t, err)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("manifest %d: %s", i, resp.Status)
		}
	}
}

// indexReplaced reports whether the file of the index is another one than before.
func indexReplaced(t *testing.T, data string, before os.FileInfo) bool {
	t.Helper()
	now, err := os.Stat(filepath.Join(data, cache.IndexName))
	must(t, err)
	return !os.SameFile(now, before)
}

// indexSize returns the size of the index of a data folder.
func indexSize(t *testing.T, data string) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(data, cache.IndexName))
	must(t, err)
	return info.Size()
}

// TestCompactionSurvivesKill kills the server at several points of a compaction. Everything is there after each, and the
// file that was being written is not.
func TestCompactionSurvivesKill(t *testing.T) {
	data := t.TempDir()
	p := spawn(t, data, "--offline")
	pushConfig(t, p, "team/app")
	const tags = 20
	pushMany(t, p, 0, tags)
	p.kill()
	addBallast(t, data, "a")
	written := filepath.Join(data, cache.IndexName+".compact")
	for _, at := range []int64{0, 10 << 20, 30 << 20, 2 * ballastSize} {
		p = spawn(t, data, "--offline")
		command := exec.Command("mirror", "compact", "--data", data)
		index, err := os.Stat(filepath.Join(data, cache.IndexName))
		must(t, err)
		must(t, command.Start())
		for {
			if info, err := os.Stat(written); err == nil && info.Size() >= at || indexReplaced(t, data, index) {
				break
			}
		}
		p.kill()
		_ = command.Wait() // it fails, unless it was faster
		p = spawn(t, data, "--offline")
		if _, err := os.Stat(written); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("killed at %d bytes, the server leaves its file: %v", at, err)
		}
		hasTags(t, p, tags)
		p.kill()
	}
	addBallast(t, data, "b") // the last kill may have come after the end
	p = spawn(t, data, "--offline")
	before := indexSize(t, data)
	var estimate, result admin.CompactSummary
	for _, step := range []struct {
		summary *admin.CompactSummary
		args    []string
	}{{&estimate, []string{"--dry-run"}}, {&result, nil}} {
		out, err := exec.Command("mirror", append([]string{"compact", "--json", "--data", data}, step.args...)...).Output()
		must(t, err)
		must(t, json.Unmarshal(out, step.summary))
	}
	if after := indexSize(t, data); estimate.Before != before || result.Before != before || result.After != after || after > estimate.After+8<<20 || after > before-ballastSize/2 {
		t.Errorf("%d bytes became %d; the command says %+v before, and %+v", before, after, estimate, result)
	}
	hasTags(t, p, tags)
	if out, err := exec.Command("mirror", "verify", "--data", data).CombinedOutput(); err != nil {
		t.Errorf("mirror verify: %v\n%s", err, out)
	}
}

// TestStartCompactsAHalfFreeIndex checks that a server compacts its index after its start, and serves meanwhile.
func TestStartCompactsAHalfFreeIndex(t *testing.T) {
	data := t.TempDir()
	p := spawn(t, data, "--offline")
	pushConfig(t, p, "team/app")
	pushMany(t, p, 0, 5)
	p.kill()
	addBallast(t, data, "a")
	x, err := bolt.Open(filepath.Join(data, cache.IndexName))
	must(t, err)
	must(t, x.Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error { // more than half is free now
		var keys []string
		for key := range tx.Scan(ballastTable, "", "") {
			keys = append(keys, key)
		}
		for _, key := range keys[len(keys)/4:] {
			if err := tx.Delete(ballastTable, key); err != nil {
				return err
			}
		}
		return nil
	}))
	must(t, x.Close())
	before := indexSize(t, data)
	log := &syncBuffer{}
	p = spawnTo(t, log, data, "--offline", "--log-level", "info")
	hasTags(t, p, 5)
	eventually(t, "the index is compacted", func() bool { return strings.Contains(log.String(), "the index is compacted") })
	if after := indexSize(t, data); after > before/4 {
		t.Errorf("the index had %d bytes and has %d", before, after)
	}
	pushMany(t, p, 5, 8)
	hasTags(t, p, 8)
	resp, err := http.Get(p.url + "/readyz")
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("after the compaction, /readyz answers %s", resp.Status)
	}
}

// syncBuffer is a buffer that several goroutines can use.
type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
