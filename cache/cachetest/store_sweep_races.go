package cachetest

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// sweepRounds is the number of runs of each race.
const sweepRounds = 60

var storeSweepRaces = []storeCase{
	{"Put", func(s *storeTest) {
		for i := range sweepRounds {
			m := image{config: "{}", layers: []string{"layer"}, annotations: map[string]string{"round": fmt.Sprint(i)}}.manifest(mirror.Pushed)
			s.push(repoA, "{}")
			s.push(repoA, "layer")
			var put error
			s.race(mirror.DeleteRequest{Blobs: digests("{}", "layer")}, func() { put = s.PutManifest(s.ctx, repoA, m, "v1") })
			if put == nil {
				s.wantManifest(repoA, m)
				s.wantBlob(repoA, "{}", true)
				s.wantBlob(repoA, "layer", true)
				s.must(s.DeleteManifest(s.ctx, repoA, m.Digest))
				continue
			}
			s.wantCode(put, mirror.CodeManifestBlobUnknown)
			s.wantCode(errOf(s.Manifest(s.ctx, repoA, m.Digest)), mirror.CodeManifestUnknown)
			s.wantTag(repoA, "v1", "", "")
		}
	}},
	{"PutSame", func(s *storeTest) {
		for range sweepRounds {
			m := s.pushImage(repoA, mirror.Pushed, image{config: "{}"})
			var put error
			s.race(deleteRequest(repoA, nil, m), func() { put = s.PutManifest(s.ctx, repoA, m) })
			if put == nil {
				s.wantManifest(repoA, m)
				s.wantBlob(repoA, "{}", true)
			} else {
				s.wantCode(put, mirror.CodeManifestBlobUnknown)
			}
		}
	}},
	{"Push", func(s *storeTest) {
		for range sweepRounds {
			s.push(repoA, "a blob")
			s.race(mirror.DeleteRequest{Blobs: digests("a blob")}, func() { s.push(repoA, "a blob") })
			s.wantBlob(repoA, "a blob", true)
		}
	}},
	{"PushElsewhere", func(s *storeTest) {
		for range sweepRounds {
			s.push(repoA, "a blob")
			s.race(mirror.DeleteRequest{Blobs: digests("a blob")}, func() { s.push(repoB, "a blob") })
			s.wantBlob(repoB, "a blob", true)
		}
	}},
	{"Mount", func(s *storeTest) {
		for range sweepRounds {
			d := s.push(repoA, "a blob")
			var mount error
			s.race(mirror.DeleteRequest{Blobs: []digest.Digest{d}}, func() { _, mount = s.Mount(s.ctx, repoB, repoA, d) })
			s.wantBlob(repoB, "a blob", mount == nil)
			if mount != nil {
				s.wantCode(mount, mirror.CodeBlobUnknown)
			}
		}
	}},
	{"Stat", func(s *storeTest) {
		for range sweepRounds {
			d := s.push(repoA, "a blob")
			var stat mirror.BlobStat
			var err error
			s.race(mirror.DeleteRequest{Blobs: []digest.Digest{d}}, func() { stat, err = s.StatBlob(s.ctx, repoA, d) })
			s.must(err)
			s.wantBlob(repoA, "a blob", stat.Stored && stat.Linked)
		}
	}},
	{"Protect", func(s *storeTest) {
		for range sweepRounds {
			d := s.push(repoA, "a blob")
			var there mirror.SurveyedBlob
			release := func() {}
			s.race(mirror.DeleteRequest{Blobs: []digest.Digest{d}}, func() {
				release = s.Protect(d)
				there = s.surveyBlob(d)
			})
			s.wantBlob(repoA, "a blob", there.Digest == d)
			release()
		}
	}},
	{"Pull", func(s *storeTest) {
		layer := strings.Repeat("layer", 100_000)
		for range sweepRounds {
			m := s.pushImage(repoA, mirror.Pushed, image{config: "{}", layers: []string{layer}})
			s.race(deleteRequest(repoA, nil, m), func() {
				if _, err := s.Manifest(s.ctx, repoA, m.Digest); err != nil {
					s.wantCode(err, mirror.CodeManifestUnknown)
					return
				}
				blob, err := s.Blob(s.ctx, repoA, digest.FromString(layer)) // a blob of a manifest that was read is kept
				if err != nil {
					s.t.Error(err)
					return
				}
				defer blob.Close()
				if data, err := io.ReadAll(blob); err != nil || string(data) != layer {
					s.t.Errorf("read %d bytes, %v", len(data), err)
				}
			})
		}
	}},
	{"OpenBlob", func(s *storeTest) {
		for range sweepRounds {
			d := s.push(repoA, "a blob")
			s.race(mirror.DeleteRequest{Blobs: []digest.Digest{d}}, func() {
				blob, err := s.Blob(s.ctx, repoA, d)
				if err != nil {
					if s.wantCode(err, mirror.CodeBlobUnknown); strings.Contains(err.Error(), "missing") {
						s.t.Errorf("%v: the blob was deleted, it is not missing", err)
					}
					return
				}
				defer blob.Close()
				if data, err := io.ReadAll(blob); err != nil || string(data) != "a blob" {
					s.t.Errorf("read %q, %v", data, err)
				}
			})
		}
	}},
	{"Sweep", func(s *storeTest) {
		for i := range sweepRounds / 4 {
			var plan []mirror.DeleteRequest
			for j := range 8 {
				m := s.pushImage(repoA, mirror.Pushed, image{config: fmt.Sprint(j), layers: []string{"base"}})
				plan = append(plan, deleteRequest(repoA, nil, m))
			}
			var bytes [3]int64
			var all sync.WaitGroup
			for k := range bytes {
				all.Go(func() {
					err := s.Sweep(s.ctx, slices.Values(plan), func(result mirror.DeleteResult) { bytes[k] += result.Bytes })
					if err != nil {
						s.t.Error(err)
					}
				})
			}
			all.Wait()
			want := int64(len("base"))
			for j := range 8 {
				m := image{config: fmt.Sprint(j), layers: []string{"base"}}
				want += int64(len(m.config) + len(m.manifest(mirror.Pushed).Bytes))
			}
			if got := bytes[0] + bytes[1] + bytes[2]; got != want {
				s.t.Errorf("round %d: %d bytes were deleted, want %d: each file counts once", i, got, want)
			}
		}
	}},
}

// race executes a delete request while happens runs. What was used before is not recent; what happens uses is.
func (s *storeTest) race(c mirror.DeleteRequest, happens func()) {
	s.t.Helper()
	c.Before = time.Now()
	var both sync.WaitGroup
	both.Go(happens)
	both.Go(func() {
		if err := s.Sweep(s.ctx, slices.Values([]mirror.DeleteRequest{c}), nil); err != nil {
			s.t.Error(err)
		}
	})
	both.Wait()
}
