package gc_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/gc"
)

// upload leaves an upload that was last written at a time.
func (s *testStore) upload(written time.Time) (id string) {
	s.Helper()
	up, err := s.StartUpload(s.Context(), repoOf(team), digest.SHA256)
	s.must(err)
	_, err = up.Append(strings.NewReader("half a layer"))
	s.must(err)
	id = up.ID()
	s.must(up.Close())
	files, err := filepath.Glob(filepath.Join(s.folder, "incoming", id+"*"))
	s.must(err)
	if len(files) == 0 {
		s.Fatal("an upload has no files")
	}
	for _, file := range files {
		s.must(os.Chtimes(file, written, written))
	}
	return id
}

// hasUpload reports whether an upload is stored.
func (s *testStore) hasUpload(id string) bool {
	s.Helper()
	for u, err := range s.Uploads(s.Context()) {
		s.must(err)
		if u.ID == id {
			return true
		}
	}
	return false
}

// TestServeDeletesStaleUploads has neither a schedule nor a request for a collection.
func TestServeDeletesStaleUploads(t *testing.T) {
	withStore(t, func(s *testStore) {
		c := s.collector(t, gc.CollectorOptions{})
		old, fresh := s.upload(s.began.Add(-30*hour)), s.upload(s.began)
		later(2 * time.Minute)
		if s.hasUpload(old) || !s.hasUpload(fresh) {
			t.Errorf("after a start, stored: old %v, new %v", s.hasUpload(old), s.hasUpload(fresh))
		}
		later(23 * hour)
		if !s.hasUpload(fresh) {
			t.Error("the upload was deleted within a day")
		}
		later(2 * hour)
		if s.hasUpload(fresh) {
			t.Error("the upload is stored after a day")
		}
		if last := c.Status().Last; last != nil {
			t.Errorf("there was a collection: %+v", last)
		}
	})
}

// TestUploadsSettingDecidesWhenUploadIsStale sets a shorter time, and none.
func TestUploadsSettingDecidesWhenUploadIsStale(t *testing.T) {
	withStore(t, func(s *testStore) {
		never := gc.Schedule{Policy: gc.Policy{UploadTTL: -1}}
		c := s.collector(t, gc.CollectorOptions{Schedule: never})
		id := s.upload(s.began)
		later(100 * hour)
		if !s.hasUpload(id) {
			t.Fatal("the upload was deleted")
		}
		s.must(c.Configure(gc.Schedule{Policy: gc.Policy{UploadTTL: gc.Age(10 * time.Minute)}}))
		later(2 * time.Minute)
		if s.hasUpload(id) {
			t.Error("the upload is stored after its time")
		}
		id = s.upload(time.Now())
		later(21 * time.Minute)
		if s.hasUpload(id) {
			t.Error("stale uploads are not looked for often enough")
		}
	})
}

// TestOpenUploadIsKept keeps an upload open, as a slow client does.
func TestOpenUploadIsKept(t *testing.T) {
	withStore(t, func(s *testStore) {
		s.collector(t, gc.CollectorOptions{})
		id := s.upload(s.began.Add(-30 * hour))
		up, err := s.Upload(s.Context(), repoOf(team), id)
		s.must(err)
		later(2 * hour)
		if !s.hasUpload(id) {
			t.Error("an open upload was deleted")
		}
		s.must(up.Close())
	})
}
