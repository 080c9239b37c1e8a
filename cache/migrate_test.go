package cache_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/cache"
	"airmirror/cache/backend"
	"airmirror/mirror"
)

// downgrade turns an index into one of schema 1: without tags and parents by manifest, and with the recency of blobs
// next to that of manifests.
func downgrade(t *testing.T, index backend.Index, schema string) {
	t.Helper()
	err := index.Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error {
		for _, table := range []backend.Table{cache.TableTagged, cache.TableParents} {
			var keys []string
			for k := range tx.Scan(table, "", "") {
				keys = append(keys, k)
			}
			if len(keys) == 0 {
				t.Errorf("table %s is empty", table)
			}
			for _, k := range keys {
				if err := tx.Delete(table, k); err != nil {
					return err
				}
			}
		}
		links := make(map[string]string)
		for k, value := range tx.Scan(cache.TableLinks, "", "") {
			links[k] = string(value)
		}
		for k, value := range links {
			added, used, found := strings.Cut(value, `,"used"`)
			if !found {
				continue
			}
			d, repo, _ := strings.Cut(k, "\x00")
			if err := tx.Put(cache.TableLinks, k, []byte(added+"}")); err != nil {
				return err
			}
			if err := tx.Put(cache.TableRecency, repo+"\x00"+d, []byte(`{"used"`+used)); err != nil {
				return err
			}
		}
		return tx.Put(cache.TableMeta, "schema", []byte(schema))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// oldIndex returns an index of schema 3 with the content of another one, which it closes.
func oldIndex(t *testing.T, index backend.Index) backend.Index {
	t.Helper()
	old := openBolt(t, t.TempDir())
	if err := errors.Join(cache.WriteOld(t.Context(), index, old), index.Close()); err != nil {
		t.Fatal(err)
	}
	return old
}

// migrated migrates an index to a new one, and closes it.
func migrated(t *testing.T, blobs backend.Blobs, old backend.Index) backend.Index {
	t.Helper()
	index := openBolt(t, t.TempDir())
	if err := errors.Join(cache.Migrate(t.Context(), blobs, old, index), old.Close()); err != nil {
		t.Fatal(err)
	}
	return index
}

// TestMigration opens an index of schema 1, and one whose migration a crash interrupted.
func TestMigration(t *testing.T) {
	for _, schema := range []string{`{"version":1}`, `{"version":2,"migrating":true}`, `{"version":3,"migrating":true}`} {
		t.Run(schema, func(t *testing.T) {
			blobs, folder := openFiles(t, t.TempDir()), t.TempDir()
			s := newStore(t, blobs, openBolt(t, folder), cache.Options{})
			if err := receive(t.Context(), s, "{}"); err != nil {
				t.Fatal(err)
			}
			child := image("{}", mirror.Pushed)
			var tags []string
			for i := range 4500 { // needs more than two transactions
				tags = append(tags, fmt.Sprint("v", i))
			}
			putManifest(t, s, child, tags...)
			parent := indexOf(t, child)
			putManifest(t, s, parent, "multi")
			read(t, s, "{}")
			used := lastUsed(t, s)
			closeStore(t, s)

			old := oldIndex(t, openBolt(t, folder))
			downgrade(t, old, schema)
			index := migrated(t, blobs, old)
			s = newStore(t, blobs, index, cache.Options{})
			defer closeStore(t, s)
			if err := cache.Check(t.Context(), blobs, index); err != nil {
				t.Error(err)
			}
			if got := lastUsed(t, s); !got.Equal(used) {
				t.Errorf("used at %v, want %v", got, used)
			}
			var schema string
			err := index.View(t.Context(), func(tx backend.ReadTx) error {
				schema = string(tx.Get(cache.TableMeta, "schema"))
				return nil
			})
			if err != nil || schema != `{"version":5}` {
				t.Errorf("schema is %s, %v", schema, err)
			}
			c := mirror.DeleteRequest{Repo: repo, Manifests: []mirror.ObservedManifest{{Digest: child.Digest, Used: time.Now()}}}
			for i := range tags {
				c.Tags = append(c.Tags, mirror.ObservedTag{Name: tags[i], Digest: child.Digest})
			}
			err = s.Sweep(t.Context(), func(yield func(mirror.DeleteRequest) bool) { yield(c) }, func(result mirror.DeleteResult) {
				if !strings.Contains(result.Kept, "needs manifest") {
					t.Errorf("%+v, though an index needs it", result)
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// indexOf returns an index with one child.
func indexOf(t *testing.T, child mirror.Manifest) mirror.Manifest {
	t.Helper()
	data, err := json.Marshal(v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageIndex,
		Manifests: []v1.Descriptor{{MediaType: child.MediaType, Digest: child.Digest, Size: int64(len(child.Bytes))}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return mirror.Manifest{MediaType: v1.MediaTypeImageIndex, Digest: digest.FromBytes(data), Bytes: data, Origin: child.Origin}
}
