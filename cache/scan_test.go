package cache

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// TestScan compares the result with that of decodeRecord, for records that putRecord writes and for others.
func TestScan(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	one, two := digest.FromString("one"), digest.FromString("two")
	for _, record := range []any{
		blobRecord{Size: 12345, Added: at},
		blobRecord{},
		blobRecord{Size: -1, Added: at.In(time.FixedZone("", 3600))},
		blobRecord{Size: 1<<63 - 1, Added: at},
		linkRecord{Added: at},
		linkRecord{Added: at, Used: at.Add(time.Nanosecond)},
		linkRecord{Added: at, Announced: true},
		linkRecord{Added: at, Used: at.Add(time.Nanosecond), Sent: true},
		recencyRecord{Used: at},
		tagRecord{Digest: one, Origin: mirror.Pushed, Updated: at},
		tagRecord{Digest: one, Origin: mirror.Mirrored, Updated: at, Checked: at.Add(time.Hour)},
		manifestRecord{MediaType: "a/b", Size: 7, Origin: mirror.Pushed, Added: at},
		manifestRecord{MediaType: `a"<b\`, Size: 7, Origin: mirror.Pushed, Added: at, ArtifactType: "é\x00", Blobs: []digest.Digest{one}},
		manifestRecord{MediaType: "a/b", ArtifactType: "c/d", Subject: two, Blobs: []digest.Digest{one, two}, Children: []digest.Digest{two}},
		manifestRecord{MediaType: "a/b", Children: []digest.Digest{one}},
	} {
		value, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		compareScan(t, value)
	}
	for _, value := range []string{
		"", "{", "{}", "null", "[]", `{"size":1}`, `{"added":"2026-01-02T03:04:05Z","size":1}`, `{"size":1,"added":"yesterday"}`,
		`{ "size": 1, "added": "2026-01-02T03:04:05Z" }`, `{"size":1,"added":"2026-01-02T03:04:05Z","more":2}`,
		`{"size":1,"added":"2026-01-02T03:04:05Z"}x`, `{"size":99999999999999999999,"added":"2026-01-02T03:04:05Z"}`,
		`{"size":01,"added":"2026-01-02T03:04:05Z"}`, `{"size":,"added":"2026-01-02T03:04:05Z"}`,
		`{"mediaType":"a/b","size":1,"origin":"pushed","added":"2026-01-02T03:04:05Z","blobs":[]}`,
		`{"mediaType":"a/b","size":1,"origin":"pushed","added":"2026-01-02T03:04:05Z","blobs":["a" "b"]}`,
		`{"mediaType":"a/b","size":1,"origin":"pushed","added":"2026-01-02T03:04:05Z","blobs":["a"`,
	} {
		compareScan(t, []byte(value))
	}
}

// FuzzScan compares the two decoders.
func FuzzScan(f *testing.F) {
	f.Add([]byte(`{"size":1,"added":"2026-01-02T03:04:05Z"}`))
	f.Add([]byte(`{"mediaType":"a/b","size":1,"origin":"pushed","added":"2026-01-02T03:04:05Z","blobs":["a","b"]}`))
	f.Fuzz(func(t *testing.T, value []byte) { compareScan(t, value) })
}

func compareScan(t *testing.T, value []byte) {
	t.Helper()
	compareOne(t, tableBlobs, value, scanBlob)
	compareOne(t, tableLinks, value, scanLink)
	compareOne(t, tableRecency, value, scanRecency)
	compareOne(t, tableTags, value, scanTag)
	compareOne(t, tableManifests, value, func(k string, value []byte) (r manifestRecord, err error) {
		r = manifestRecord{Blobs: make([]digest.Digest, 3), Subject: "of the one before"}
		err = scanManifest(k, value, &r)
		if len(r.Blobs) == 0 {
			r.Blobs = nil
		}
		if len(r.Children) == 0 {
			r.Children = nil
		}
		return r, err
	})
}

func compareOne[T any](t *testing.T, table backend.Table, value []byte, scan func(string, []byte) (T, error)) {
	t.Helper()
	got, err := scan("key", value)
	want, wantErr := decodeRecord[T](table, "key", value)
	if m, ok := any(&want).(*manifestRecord); ok && len(m.Blobs) == 0 {
		m.Blobs = nil
	}
	if m, ok := any(&want).(*manifestRecord); ok && len(m.Children) == 0 {
		m.Children = nil
	}
	if (err == nil) != (wantErr == nil) || err == nil && !reflect.DeepEqual(normal(got), normal(want)) {
		t.Errorf("%s in %s is read as %+v, %v; want %+v, %v", value, table, got, err, want, wantErr)
	}
}

// normal encodes a record, so that times are compared and not pointers to time zones.
func normal(record any) string {
	value, err := json.Marshal(record)
	if err != nil {
		return err.Error()
	}
	return string(value)
}
