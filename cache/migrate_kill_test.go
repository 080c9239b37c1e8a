//go:build unix

package cache

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/cache/bolt"
	"airmirror/cache/files"
	"airmirror/mirror"
)

// killedVariable makes a process of this test migrate the folder that it names, and kill itself at the step whose number
// follows a colon.
const killedVariable = "CACHE_TEST_MIGRATE"

// TestMigrationIsKilled migrates a folder in processes that are killed at every step: after each transaction, before and
// after the new index takes the name of the old one. After each kill the old index has not changed or the new one is
// complete, and the next process completes the migration.
func TestMigrationIsKilled(t *testing.T) {
	if folder, step, found := strings.Cut(os.Getenv(killedVariable), ":"); found {
		migrateAndKill(t, folder, step)
		return
	}
	old, want := oldFolder(t)
	original, err := os.ReadFile(filepath.Join(old, IndexName))
	must(t, err)
	unchanged, replaced := 0, 0
	for step := 1; ; step++ {
		folder := t.TempDir()
		must(t, os.CopyFS(folder, os.DirFS(old)))
		child := exec.Command(os.Args[0], "-test.run=^TestMigrationIsKilled$")
		child.Env = append(os.Environ(), killedVariable+"="+folder+":"+strconv.Itoa(step))
		output, err := child.CombinedOutput()
		if err == nil {
			break // there is no such step
		}
		if status, ok := child.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
			t.Fatalf("step %d: %v\n%s", step, err, output)
		}
		left, err := os.ReadFile(filepath.Join(folder, IndexName))
		must(t, err)
		if bytes.Equal(left, original) {
			unchanged++
		} else {
			replaced++
		}
		s, err := Open(Config{Folder: folder})
		must(t, err)
		for defect, err := range s.Defects(t.Context(), mirror.CheckOptions{}) {
			t.Errorf("step %d: %+v, %v", step, defect, err)
		}
		must(t, s.Close())
		if got := textEntries(t, folder); got != want {
			t.Errorf("step %d: the index has\n%s\nwant\n%s", step, got, want)
		}
		if found, err := filepath.Glob(filepath.Join(folder, IndexName+"?*")); err != nil || len(found) > 0 {
			t.Errorf("step %d leaves %v, %v", step, found, err)
		}
	}
	if unchanged < 20 || replaced != 2 {
		t.Errorf("the old index was left by %d kills, a new one by %d", unchanged, replaced)
	}
}

// oldFolder makes a folder with an index of schema 3. It returns the entries that a migration gives it, as text.
func oldFolder(t *testing.T) (folder, entries string) {
	t.Helper()
	folder = t.TempDir()
	s, err := Open(Config{Folder: folder})
	must(t, err)
	for _, path := range []string{"z/first", "a/second", "m/third"} {
		repo := mirror.Repo{Host: "docker.io", Path: path}
		for _, text := range []string{"{}", path} {
			in, err := s.Receive(t.Context(), digest.FromString(text))
			must(t, err)
			_, err = in.Write([]byte(text))
			must(t, err)
			must(t, in.Commit(t.Context(), repo))
		}
		data := []byte(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` + digest.FromString("{}").String() +
			`","size":2},"layers":[{"mediaType":"a/b","digest":"` + digest.FromString(path).String() + `","size":` + strconv.Itoa(len(path)) + `}]}`)
		m := mirror.Manifest{MediaType: knownTexts[1], Digest: digest.FromBytes(data), Bytes: data, Origin: mirror.Pushed}
		must(t, s.PutManifest(t.Context(), repo, m, "v1", "v2"))
		_, err := s.Manifest(t.Context(), repo, m.Digest)
		must(t, err)
	}
	must(t, s.SetState(t.Context(), mirror.PinState, map[string][]byte{"docker.io/a/second:v1": []byte("{}")}))
	must(t, s.Close())
	entries = textEntries(t, folder)
	path := filepath.Join(folder, IndexName)
	index, err := bolt.Open(path)
	must(t, err)
	old, err := bolt.Open(path + ".old")
	must(t, err)
	must(t, errors.Join(WriteOld(t.Context(), index, old), index.Close(), old.Close(), os.Rename(path+".old", path)))
	return folder, entries
}

// textEntries returns the sorted entries of an index, except the clock.
func textEntries(t *testing.T, folder string) string {
	t.Helper()
	index, err := bolt.Open(filepath.Join(folder, IndexName))
	must(t, err)
	defer index.Close()
	var all []string
	must(t, Text(index).View(t.Context(), func(tx backend.ReadTx) error {
		for _, table := range append([]backend.Table{tableMeta}, contentTables...) {
			for k, value := range tx.Scan(table, "", "") {
				if k != clockKey {
					all = append(all, string(table)+" "+strings.ReplaceAll(k, "\x00", " ")+" "+string(value))
				}
			}
		}
		return nil
	}))
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// migrateAndKill is the process that is killed.
func migrateAndKill(t *testing.T, folder, step string) {
	left, err := strconv.Atoi(step)
	must(t, err)
	path := filepath.Join(folder, IndexName)
	index, err := bolt.Open(path)
	must(t, err)
	blobs, err := files.Open(folder)
	must(t, err)
	m := newFileMigration(path, blobs, Options{})
	m.batch = 2
	m.step = func(string) {
		if left--; left == 0 {
			must(t, syscall.Kill(os.Getpid(), syscall.SIGKILL))
			select {} // the signal arrives
		}
	}
	index, err = m.run(context.Background(), index)
	must(t, err)
	must(t, index.Close())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
