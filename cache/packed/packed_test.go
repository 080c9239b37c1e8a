package packed_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/cache/bolt"
	"airmirror/cache/cachetest"
	"airmirror/cache/packed"
)

var layouts = map[backend.Table]packed.Layout{
	"blobs":     {packed.Digest},
	"links":     {packed.Digest, packed.Repo},
	"manifests": {packed.Repo, packed.Digest},
	"uses":      {packed.Digest, packed.Repo, packed.Digest},
	"tags":      {packed.Repo, packed.Text},
	"tagged":    {packed.Repo, packed.Digest, packed.Text},
}

func open(t *testing.T, folder string) (x *packed.Index, below backend.Index) {
	t.Helper()
	index, err := bolt.Open(filepath.Join(folder, "index.db"))
	must(t, err)
	t.Cleanup(func() { index.Close() })
	return packed.New(index, layouts), index
}

func TestIndex(t *testing.T) {
	cachetest.Index(t, func(t *testing.T, folder string) backend.Index {
		x, _ := open(t, folder)
		return x
	})
}

// randomKey returns a key of a table from few digests and repositories; about one in 20 does not have the layout.
func randomKey(random *rand.Rand, table backend.Table) string {
	var parts []string
	for _, kind := range layouts[table] {
		switch n := random.IntN(12); kind {
		case packed.Repo:
			parts = append(parts, fmt.Sprintf("docker.io/team%d/app", n))
		case packed.Digest:
			algorithm := digest.SHA256
			if n == 0 {
				algorithm = digest.SHA512
			}
			parts = append(parts, algorithm.FromString(fmt.Sprint(n)).String())
		case packed.Text:
			parts = append(parts, fmt.Sprintf("v%d", n))
		}
	}
	if random.IntN(20) == 0 {
		parts[random.IntN(len(parts))] = "sha256:not"
	}
	if random.IntN(20) == 0 {
		parts = parts[:len(parts)-1]
	}
	return strings.Join(parts, "\x00") + strings.Repeat("x", 1-min(1, len(parts)))
}

// TestModel compares random tables with maps: every entry, whole scans, pages of one to three entries, and scans with
// prefixes that end anywhere.
func TestModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	x, _ := open(t, t.TempDir())
	model := make(map[backend.Table]map[string]string)
	for table := range layouts {
		model[table] = make(map[string]string)
	}
	for round := range 20 {
		must(t, x.Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error {
			for range 30 {
				for table := range layouts {
					k, value := randomKey(random, table), fmt.Sprint(round, random.IntN(100))
					if random.IntN(3) == 0 {
						delete(model[table], k)
						if err := tx.Delete(table, k); err != nil {
							return err
						}
						continue
					}
					model[table][k] = value
					if err := tx.Put(table, k, []byte(value)); err != nil {
						return err
					}
				}
			}
			return compare(tx, model, random)
		}))
		must(t, x.View(t.Context(), func(tx backend.ReadTx) error {
			return compare(tx, model, random)
		}))
	}
}

// compare returns an error instead of ending the test, because it also runs in the goroutine of the committer.
func compare(tx backend.ReadTx, model map[backend.Table]map[string]string, random *rand.Rand) error {
	for table, want := range model {
		all := slices.Sorted(maps.Keys(want))
		for _, k := range all {
			if got := string(tx.Get(table, k)); got != want[k] {
				return fmt.Errorf("%s has %q under %q, want %q", table, got, k, want[k])
			}
		}
		got, err := pages(tx, table, "", 1+random.IntN(3))
		if err != nil {
			return err
		}
		if slices.Sort(got); !slices.Equal(got, all) {
			return fmt.Errorf("pages of %s have %q, want %q", table, got, all)
		}
		k := randomKey(random, table)
		if err := compareScan(tx, table, k[:random.IntN(len(k)+1)], want); err != nil {
			return err
		}
	}
	return nil
}

func compareScan(tx backend.ReadTx, table backend.Table, prefix string, want map[string]string) error {
	got := make(map[string]string)
	for k, value := range tx.Scan(table, prefix, "") {
		if _, twice := got[k]; twice {
			return fmt.Errorf("a scan of %s yields %q twice", table, k)
		}
		got[k] = string(value)
	}
	within := maps.Clone(want)
	maps.DeleteFunc(within, func(k, _ string) bool { return !strings.HasPrefix(k, prefix) })
	if !maps.Equal(got, within) {
		return fmt.Errorf("a scan of %s with prefix %q has %q, want %q", table, prefix, got, within)
	}
	return nil
}

// pages scans a table page by page.
func pages(tx backend.ReadTx, table backend.Table, prefix string, n int) (keys []string, err error) {
	seen := make(map[string]bool)
	for after := ""; ; {
		read := 0
		for k := range tx.Scan(table, prefix, after) {
			if seen[k] {
				return nil, fmt.Errorf("%q comes twice in pages of %s", k, table)
			}
			seen[k], after = true, k
			keys = append(keys, k)
			if read++; read == n {
				break
			}
		}
		if read < n {
			return keys, nil
		}
	}
}

// TestOrder checks that keys come in the order of their text where a table begins with repositories or has one digest,
// whatever the order in which the repositories were added.
func TestOrder(t *testing.T) {
	x, _ := open(t, t.TempDir())
	random := rand.New(rand.NewPCG(1, 1))
	for _, table := range []backend.Table{"manifests", "tags", "tagged", "blobs"} {
		var want []string
		must(t, x.Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error {
			for range 100 {
				k := randomKey(random, table)
				if strings.Count(k, "\x00") != len(layouts[table])-1 || strings.Contains(k, "not") || k == "x" {
					continue
				}
				want = append(want, k)
				must(t, tx.Put(table, k, []byte("value")))
			}
			return nil
		}))
		slices.Sort(want)
		want = slices.Compact(want)
		must(t, x.View(t.Context(), func(tx backend.ReadTx) error {
			if got, err := pages(tx, table, "", 1000); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q, %v", table, got, want, err)
			}
			for i, after := range want { // also after a text between two keys
				for _, after := range []string{after, after + "\x00", after[:len(after)-1]} {
					next := ""
					for k := range tx.Scan(table, "", after) {
						next = k
						break
					}
					at := slices.IndexFunc(want, func(k string) bool { return k > after })
					if at >= 0 && next != want[at] || at < 0 && next != "" {
						t.Errorf("%s, %d: after %q comes %q", table, i, after, next)
					}
				}
			}
			return nil
		}))
	}
}

// TestAfterARepository checks the position that skips the keys of a digest in one repository.
func TestAfterARepository(t *testing.T) {
	x, _ := open(t, t.TempDir())
	d := digest.FromString("blob").String()
	must(t, x.Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error {
		for _, repo := range []string{"docker.io/b", "docker.io/a", "docker.io/a-b"} {
			for i := range 3 {
				must(t, tx.Put("uses", d+"\x00"+repo+"\x00"+digest.FromString(fmt.Sprint(i)).String(), []byte("value")))
			}
			must(t, tx.Put("uses", d+"\x00"+repo+"\x00"+d, []byte("value")))
		}
		return nil
	}))
	var repos []string
	must(t, x.View(t.Context(), func(tx backend.ReadTx) error {
		for after, more := "", true; more; {
			more = false
			for k := range tx.Scan("uses", d+"\x00", after) {
				repo := strings.Split(k, "\x00")[1]
				repos, after, more = append(repos, repo), d+"\x00"+repo+"\x00\xff", true
				break
			}
		}
		return nil
	}))
	if slices.Sort(repos); !slices.Equal(repos, []string{"docker.io/a", "docker.io/a-b", "docker.io/b"}) {
		t.Errorf("%q", repos)
	}
}

// TestSize checks how many bytes a key takes.
func TestSize(t *testing.T) {
	x, below := open(t, t.TempDir())
	d, other, repo := digest.FromString("blob").String(), digest.FromString("other").String(), "docker.io/library/alpine"
	want := map[backend.Table]map[string]int{
		"uses":   {d + "\x00" + repo + "\x00" + other: 33 + 1 + 33, d + "\x00" + repo + "\x00" + d: 33 + 1 + 1},
		"tagged": {repo + "\x00" + d + "\x00v1": 1 + 33 + 2},
		"blobs":  {digest.SHA512.FromString("").String(): 65},
	}
	for table, keys := range want {
		for k, size := range keys {
			must(t, x.Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error { return tx.Put(table, k, []byte("value")) }))
			must(t, below.View(t.Context(), func(tx backend.ReadTx) error {
				for k := range tx.Scan(table, "", "") {
					if len(k) != size {
						t.Errorf("%s: %d bytes, want %d", table, len(k), size)
					}
				}
				return nil
			}))
			must(t, x.Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error { return tx.Delete(table, k) }))
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestWaiting checks that a running update learns from the index below whether another one waits.
func TestWaiting(t *testing.T) {
	below, err := bolt.Open(filepath.Join(t.TempDir(), "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	x := packed.New(below, nil)
	defer x.Close()
	var alone bool
	second := make(chan error, 1)
	err = x.Update(t.Context(), backend.Locks{}, func(backend.WriteTx) error {
		alone = !x.Waiting()
		go func() { second <- x.Update(t.Context(), backend.Locks{}, func(backend.WriteTx) error { return nil }) }()
		for !x.Waiting() {
			runtime.Gosched()
		}
		return nil
	})
	if err != nil || !alone {
		t.Errorf("alone: %v, %v; want true", alone, err)
	}
	if err := <-second; err != nil {
		t.Error(err)
	}
}

// TestScanWithinRepeatedDigest scans with a prefix that ends within a digest which is equal to the first one of the key.
func TestScanWithinRepeatedDigest(t *testing.T) {
	x, _ := open(t, t.TempDir())
	d := "sha256:" + strings.Repeat("ab", 32)
	k := strings.Join([]string{d, "docker.io/library/a", d}, "\x00")
	must(t, x.Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error { return tx.Put("uses", k, []byte("x")) }))
	for end := range len(k) + 1 {
		must(t, x.View(t.Context(), func(tx backend.ReadTx) error {
			return compareScan(tx, "uses", k[:end], map[string]string{k: "x"})
		}))
	}
}
