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
		began := time.Now().Add(-time.Second) // the clock of the file system is a little behind
		open, err := s.StartUpload(s.ctx, repoA, digest.SHA256)
		s.ok(err)
		_, err = open.Append(strings.NewReader("begun"))
		s.ok(err)
		left, err := s.StartUpload(s.ctx, repoB, digest.SHA256)
		s.ok(err)
		_, err = left.Append(strings.NewReader("left"))
		s.ok(err)
		s.ok(left.Close())
		empty, err := s.StartUpload(s.ctx, repoB, digest.SHA256)
		s.ok(err)
		s.ok(empty.Close())
		s.push(repoA, "done")
		want := map[string]mirror.UploadInfo{
			open.ID():  {Repo: repoA.String(), Size: 5},
			left.ID():  {Repo: repoB.String(), Size: 4},
			empty.ID(): {Repo: repoB.String()},
		}
		for id, held := range s.uploads() {
			if held.Repo != want[id].Repo || held.Size != want[id].Size || held.Written.Before(began) {
				s.t.Errorf("upload is %+v, want %+v", held, want[id])
			}
			delete(want, id)
		}
		if len(want) != 0 {
			s.t.Errorf("not listed: %v", want)
		}
		s.ok(open.Cancel())
		s.expire(left.ID(), time.Now().Add(time.Second), true)
		s.expire(empty.ID(), time.Now().Add(time.Second), true)
	}},
	{"Idle", func(s *storeTest) {
		u, err := s.StartUpload(s.ctx, repoA, digest.SHA256)
		s.ok(err)
		_, err = u.Append(strings.NewReader("a "))
		s.ok(err)
		s.expire(u.ID(), time.Now().Add(time.Hour), false) // somebody has it open
		s.ok(u.Close())
		s.expire(u.ID(), time.Now().Add(-time.Minute), false) // it was written to since
		u, err = s.Upload(s.ctx, repoA, u.ID())
		s.ok(err)
		_, err = u.Append(strings.NewReader("blob"))
		s.ok(err)
		s.ok(u.Commit(s.ctx, digest.FromString("a blob")))
		s.expire(u.ID(), time.Now().Add(time.Hour), false) // it has ended
		s.readable(repoA, "a blob", true)
	}},
	{"Expired", func(s *storeTest) {
		u, err := s.StartUpload(s.ctx, repoA, digest.SHA256)
		s.ok(err)
		_, err = u.Append(strings.NewReader("a blob"))
		s.ok(err)
		s.ok(u.Close())
		s.expire(u.ID(), time.Now().Add(time.Second), true)
		s.code(second(s.Upload(s.ctx, repoA, u.ID())), mirror.CodeBlobUploadUnknown)
		if _, listed := s.uploads()[u.ID()]; listed {
			s.t.Error("it is listed")
		}
		for _, id := range []string{u.ID(), "never-seen", "../blobs"} {
			s.expire(id, time.Now().Add(time.Hour), false)
		}
	}},
	{"ExpireAtOnce", func(s *storeTest) {
		var stop sync.WaitGroup
		done := make(chan struct{})
		stop.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				for id := range s.uploads() {
					if _, err := s.ExpireUpload(s.ctx, id, time.Now().Add(time.Hour)); err != nil {
						s.t.Error(err)
					}
				}
			}
		})
		for range 50 { // none of them is let go of before it has ended
			s.push(repoA, "a blob")
		}
		close(done)
		stop.Wait()
	}},
	{"Orphans", func(s *storeTest) {
		m := s.pushImage(repoA, mirror.Pushed, image{config: "{}"}, "v1")
		gone := s.push(repoA, "gone")
		s.went(s.sweepOne(mirror.DeleteRequest{Blobs: []digest.Digest{gone}, Before: time.Now()}), 0, 0, "gone")
		for orphan, err := range s.Orphans(s.ctx) {
			s.ok(err)
			switch orphan.Digest {
			case m.Digest, digest.FromString("{}"), gone:
				s.t.Errorf("%+v is no orphan", orphan)
			}
		}
		for _, d := range []digest.Digest{m.Digest, gone} { // one is named, the other is not there
			if dropped, err := s.DeleteOrphan(s.ctx, d, time.Now().Add(time.Hour)); dropped || err != nil {
				s.t.Errorf("dropped %s: %v, %v", d, dropped, err)
			}
		}
		s.holds(repoA, m)
	}},
	{"OrphansAtOnce", func(s *storeTest) {
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
				s.ok(err)
				if orphan.Digest == digest.FromString("a blob") {
					s.t.Errorf("%+v is listed while it comes and goes", orphan)
				}
			}
		}
		pushing.Wait()
	}},
}

func (s *storeTest) uploads() map[string]mirror.UploadInfo {
	held := make(map[string]mirror.UploadInfo)
	for upload, err := range s.Uploads(s.ctx) {
		s.ok(err)
		held[upload.ID] = upload
	}
	return held
}

func (s *storeTest) expire(id string, idle time.Time, want bool) {
	s.t.Helper()
	if expired, err := s.ExpireUpload(s.ctx, id, idle); err != nil || expired != want {
		s.t.Errorf("upload %s expired: %v, %v; want %v", id, expired, err, want)
	}
}
