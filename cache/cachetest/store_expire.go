package cachetest

import (
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

var storeExpireTests = []storeCase{
	{"Uploads", func(s *storeTest) {
		began := time.Now().Add(-time.Second) // the clock of the file system may be a little behind
		open, err := s.StartUpload(s.ctx, repoA, digest.SHA256)
		s.must(err)
		_, err = open.Append(strings.NewReader("open"))
		s.must(err)
		idle, err := s.StartUpload(s.ctx, repoB, digest.SHA256)
		s.must(err)
		_, err = idle.Append(strings.NewReader("idle"))
		s.must(err)
		s.must(idle.Close())
		empty, err := s.StartUpload(s.ctx, repoB, digest.SHA256)
		s.must(err)
		s.must(empty.Close())
		s.push(repoA, "done")
		want := map[string]mirror.UploadInfo{
			open.ID():  {Repo: repoA.String(), Size: 4},
			idle.ID():  {Repo: repoB.String(), Size: 4},
			empty.ID(): {Repo: repoB.String()},
		}
		for id, upload := range s.listUploads() {
			if upload.Repo != want[id].Repo || upload.Size != want[id].Size || upload.Written.Before(began) {
				s.t.Errorf("upload is %+v, want %+v", upload, want[id])
			}
			delete(want, id)
		}
		if len(want) != 0 {
			s.t.Errorf("not listed: %v", want)
		}
		s.must(open.Cancel())
		s.wantExpired(idle.ID(), time.Now().Add(time.Second), true)
		s.wantExpired(empty.ID(), time.Now().Add(time.Second), true)
	}},
	{"Idle", func(s *storeTest) {
		u, err := s.StartUpload(s.ctx, repoA, digest.SHA256)
		s.must(err)
		_, err = u.Append(strings.NewReader("a "))
		s.must(err)
		s.wantExpired(u.ID(), time.Now().Add(time.Hour), false) // it is open
		s.must(u.Close())
		s.wantExpired(u.ID(), time.Now().Add(-time.Minute), false) // it was written since
		u, err = s.Upload(s.ctx, repoA, u.ID())
		s.must(err)
		_, err = u.Append(strings.NewReader("blob"))
		s.must(err)
		s.must(u.Commit(s.ctx, digest.FromString("a blob")))
		s.wantExpired(u.ID(), time.Now().Add(time.Hour), false) // it was committed
		s.wantBlob(repoA, "a blob", true)
	}},
	{"Expired", func(s *storeTest) {
		u, err := s.StartUpload(s.ctx, repoA, digest.SHA256)
		s.must(err)
		_, err = u.Append(strings.NewReader("a blob"))
		s.must(err)
		s.must(u.Close())
		s.wantExpired(u.ID(), time.Now().Add(time.Second), true)
		s.wantCode(errOf(s.Upload(s.ctx, repoA, u.ID())), mirror.CodeBlobUploadUnknown)
		if _, listed := s.listUploads()[u.ID()]; listed {
			s.t.Error("an expired upload is listed")
		}
		for _, id := range []string{u.ID(), "never-seen", "../blobs"} {
			s.wantExpired(id, time.Now().Add(time.Hour), false)
		}
	}},
	{"ConcurrentExpire", func(s *storeTest) {
		var stop sync.WaitGroup
		done := make(chan struct{})
		stop.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				for id := range s.listUploads() {
					if _, err := s.ExpireUpload(s.ctx, id, time.Now().Add(time.Hour)); err != nil {
						s.t.Error(err)
					}
				}
			}
		})
		for range 50 { // none of these uploads is closed before it ends
			s.push(repoA, "a blob")
		}
		close(done)
		stop.Wait()
	}},
	{"Orphans", func(s *storeTest) {
		m := s.pushImage(repoA, mirror.Pushed, image{config: "{}"}, "v1")
		gone := s.push(repoA, "gone")
		s.wantDeleted(s.sweepOne(mirror.DeleteRequest{Blobs: []digest.Digest{gone}, Before: time.Now()}), 0, 0, "gone")
		for orphan, err := range s.Orphans(s.ctx) {
			s.must(err)
			switch orphan.Digest {
			case m.Digest, digest.FromString("{}"), gone:
				s.t.Errorf("%+v is not an orphan", orphan)
			}
		}
		for _, d := range []digest.Digest{m.Digest, gone} { // one is in the index, the other is not stored
			if deleted, err := s.DeleteOrphan(s.ctx, d, time.Now().Add(time.Hour)); deleted || err != nil {
				s.t.Errorf("DeleteOrphan of %s = %v, %v", d, deleted, err)
			}
		}
		s.wantManifest(repoA, m)
	}},
	{"ConcurrentOrphans", func(s *storeTest) {
		var pushing sync.WaitGroup
		done := make(chan struct{})
		pushing.Go(func() {
			defer close(done)
			for range 50 {
				s.push(repoA, "a blob")
				s.sweepOne(mirror.DeleteRequest{Blobs: digests("a blob"), Before: time.Now()})
			}
		})
		for ended := false; !ended; {
			select {
			case <-done:
				ended = true
			default:
			}
			for orphan, err := range s.Orphans(s.ctx) {
				s.must(err)
				if orphan.Digest == digest.FromString("a blob") {
					s.t.Errorf("%+v is listed while it is pushed and deleted", orphan)
				}
			}
		}
		pushing.Wait()
	}},
}

func (s *storeTest) listUploads() map[string]mirror.UploadInfo {
	uploads := make(map[string]mirror.UploadInfo)
	for upload, err := range s.Uploads(s.ctx) {
		s.must(err)
		uploads[upload.ID] = upload
	}
	return uploads
}

func (s *storeTest) wantExpired(id string, idle time.Time, want bool) {
	s.t.Helper()
	if expired, err := s.ExpireUpload(s.ctx, id, idle); err != nil || expired != want {
		s.t.Errorf("upload %s expired: %v, %v; want %v", id, expired, err, want)
	}
}
