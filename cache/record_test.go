package cache

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

var (
	recordTime = time.Date(2026, 1, 2, 3, 4, 5, 678_000_001, time.UTC)
	one, two   = digest.FromString("one"), digest.SHA512.FromString("two")
)

// recordSamples are records of all types, by table.
func recordSamples() map[backend.Table][]any {
	at := recordTime
	return map[backend.Table][]any{
		tableRepos: {repoRecord{Origin: mirror.Pushed, Created: at}, repoRecord{}},
		tableBlobs: {blobRecord{Size: 12345, Added: at}, blobRecord{}, blobRecord{Size: 1<<63 - 1, Added: time.Unix(-1, 1).UTC()},
			blobRecord{Size: 1, Platform: "linux/amd64"}, blobRecord{Added: at, Platform: "plan9/mips"}},
		tableLinks:   {linkRecord{Added: at}, linkRecord{Added: at, Used: at.Add(1)}, linkRecord{Added: at, Announced: true}, linkRecord{Used: at, Sent: true}},
		tableRecency: {recencyRecord{Used: at}},
		tableRoots:   {rootRecord{Added: at}},
		tableUses:    {useRecord{Size: 7}, useRecord{Size: -1, Owned: true}, useRecord{Owned: true}},
		tableTags: {
			tagRecord{Digest: one, Origin: mirror.Pushed, Updated: at},
			tagRecord{Digest: two, Origin: mirror.Mirrored, Updated: at, Checked: at},
			tagRecord{Digest: "sha256:ABC", Origin: mirror.Imported, Checked: at.Add(time.Hour)},
		},
		tableManifests: {
			manifestRecord{MediaType: "a/b", Size: 7, Origin: mirror.Pushed, Added: at},
			manifestRecord{MediaType: `a"<b\`, ArtifactType: "é\x00", Blobs: []digest.Digest{one}},
			manifestRecord{MediaType: knownTexts[1], Origin: mirror.Mirrored, Subject: two, Blobs: []digest.Digest{one, two}, Children: []digest.Digest{two}, Owned: []digest.Digest{"not a digest"}},
		},
	}
}

// decode decodes the record of a table.
func decode(table backend.Table, value []byte) (any, error) {
	switch table {
	case tableRepos:
		return decodeRecord[repoRecord](table, "key", value)
	case tableBlobs:
		return scanBlob("key", value)
	case tableLinks:
		return scanLink("key", value)
	case tableManifests:
		r := manifestRecord{Blobs: make([]digest.Digest, 3), Subject: "of the one before"}
		err := scanManifest("key", value, &r)
		for _, list := range []*[]digest.Digest{&r.Blobs, &r.Children, &r.Owned} {
			if len(*list) == 0 {
				*list = nil
			}
		}
		return r, err
	case tableUses:
		return decodeRecord[useRecord](table, "key", value)
	case tableTags:
		return scanTag("key", value)
	case tableRoots:
		return decodeRecord[rootRecord](table, "key", value)
	}
	return scanRecency("key", value)
}

// TestRecords checks that every record is the same after it was written, in binary and in JSON, and that each shorter or
// longer value is refused with its key.
func TestRecords(t *testing.T) {
	for table, records := range recordSamples() {
		for _, record := range records {
			text, err := json.Marshal(record)
			if err != nil {
				t.Fatal(err)
			}
			value, err := reencode(table, "key", text)
			if err != nil {
				t.Fatalf("%s: %s: %v", table, text, err)
			}
			for _, form := range [][]byte{text, value} {
				if got, err := decode(table, form); err != nil || !reflect.DeepEqual(got, record) {
					t.Errorf("%s: %q is read as %+v, %v; want %+v", table, form, got, err, record)
				}
			}
			for n := range value {
				if got, err := decode(table, value[:n]); err == nil || !strings.Contains(err.Error(), `"key" in table `+string(table)) {
					t.Errorf("%s: %d bytes of %q are read as %+v, %v", table, n, value, got, err)
				}
			}
			if got, err := decode(table, append(bytes.Clone(value), 0)); err == nil {
				t.Errorf("%s: %q with one byte more is read as %+v", table, value, got)
			}
		}
	}
}

// TestRecordsThatCannotBeWritten checks that a value without a form is an error and not another value.
func TestRecordsThatCannotBeWritten(t *testing.T) {
	for _, write := range []func() ([]byte, error){
		func() ([]byte, error) { return encodeRecord(blobRecord{Size: -1}) },
		func() ([]byte, error) { return encodeRecord(repoRecord{Origin: "found"}) },
		func() ([]byte, error) {
			return encodeRecord(rootRecord{Added: time.Date(2500, 1, 1, 0, 0, 0, 0, time.UTC)})
		},
	} {
		if value, err := write(); err == nil {
			t.Errorf("written as %q", value)
		}
	}
}

// TestMarks checks what is read from values without decoding them.
func TestMarks(t *testing.T) {
	for _, text := range []bool{false, true} {
		form := func(record any, value []byte, err error) []byte {
			if text {
				value, err = json.Marshal(record)
			}
			if err != nil {
				t.Fatal(err)
			}
			return value
		}
		for _, use := range []useRecord{{Size: 1}, {Size: -1}, {Size: 1, Owned: true}, {Size: -1, Owned: true}} {
			value, err := encodeRecord(use)
			if got := isOwnedUse(form(use, value, err)); got != use.Owned {
				t.Errorf("%+v is owned: %t", use, got)
			}
		}
		m := manifestRecord{Blobs: []digest.Digest{one}, Children: []digest.Digest{two}}
		value, err := encodeRecord(m)
		value = form(m, value, err)
		for d, want := range map[digest.Digest]bool{one: true, two: true, digest.FromString("three"): false} {
			if namesDigest(value, d) != want {
				t.Errorf("%q names %s: %t", value, d, !want)
			}
		}
	}
}

// TestRecordSizes checks how many bytes the records of an image take.
func TestRecordSizes(t *testing.T) {
	for _, tt := range []struct {
		record string
		write  func() ([]byte, error)
		size   int
	}{
		{"blob", func() ([]byte, error) { return encodeRecord(blobRecord{Size: 100, Added: recordTime}) }, 1 + 1 + 8},
		{"config", func() ([]byte, error) {
			return encodeRecord(blobRecord{Size: 1000, Added: recordTime, Platform: "linux/amd64"})
		}, 1 + 2 + 8 + 1},
		{"link", func() ([]byte, error) { return encodeRecord(linkRecord{Added: recordTime}) }, 1 + 8},
		{"use", func() ([]byte, error) { return encodeRecord(useRecord{Size: 1000}) }, 1 + 2},
		{"tag", func() ([]byte, error) {
			return encodeRecord(tagRecord{Digest: one, Origin: mirror.Mirrored, Updated: recordTime, Checked: recordTime})
		}, 1 + 33 + 1 + 8},
		{"manifest", func() ([]byte, error) {
			return encodeRecord(manifestRecord{MediaType: knownTexts[1], Size: 1000, Origin: mirror.Pushed, Added: recordTime, ArtifactType: knownTexts[7], Blobs: []digest.Digest{one, one}})
		}, 1 + 1 + 2 + 1 + 8 + 1 + 2*33 + 1},
	} {
		if value, err := tt.write(); err != nil || len(value) != tt.size {
			t.Errorf("%s: %d bytes, %v, want %d", tt.record, len(value), err, tt.size)
		}
	}
}

// FuzzRecords decodes any value as any record. What can be decoded is the same after it was encoded again.
func FuzzRecords(f *testing.F) {
	for table, records := range recordSamples() {
		for _, record := range records {
			text, err := json.Marshal(record)
			if err != nil {
				f.Fatal(err)
			}
			value, err := reencode(table, "key", text)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(value)
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		for table := range recordSamples() {
			record, err := decode(table, value)
			if err != nil {
				if !strings.Contains(err.Error(), `"key" in table `+string(table)) {
					t.Errorf("the error does not name the record: %v", err)
				}
				continue
			}
			again, err := reencode(table, "key", value)
			if err != nil {
				if isText(value) { // JSON has more values, such as negative sizes
					continue
				}
				t.Fatalf("%s: %+v cannot be written: %v", table, record, err)
			}
			same, err := decode(table, again)
			if first, _ := json.Marshal(record); err != nil || !isText(value) && !reflect.DeepEqual(same, record) {
				t.Errorf("%s: %s becomes %+v, %v", table, first, same, err)
			}
		}
	})
}
