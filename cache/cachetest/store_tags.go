package cachetest

import (
	"time"

	"airmirror/mirror"
)

var storeTagTests = []storeCase{
	{"Move", func(s *storeTest) {
		one := s.pushImage(repoA, mirror.Pushed, image{config: "1"}, "v1", "latest")
		before := s.wantTag(repoA, "latest", one.Digest, mirror.Pushed)
		two := s.pushImage(repoA, mirror.Pushed, image{config: "2"}, "v2", "latest")
		after := s.wantTag(repoA, "latest", two.Digest, mirror.Pushed)
		s.wantTag(repoA, "v1", one.Digest, mirror.Pushed)
		s.wantTag(repoB, "latest", "", "")
		if !after.Updated.After(before.Updated) {
			s.t.Errorf("the tag moved; Updated changed from %v to %v", before.Updated, after.Updated)
		}
		s.must(s.PutManifest(s.ctx, repoA, two, "latest"))
		if again := s.wantTag(repoA, "latest", two.Digest, mirror.Pushed); !again.Updated.Equal(after.Updated) {
			s.t.Errorf("the tag did not move; Updated changed from %v to %v", after.Updated, again.Updated)
		}
	}},
	{"UpstreamMovesNoPushedTag", func(s *storeTest) {
		pushed := s.pushImage(repoA, mirror.Pushed, image{config: "1"}, "v1")
		mirrored := image{config: "2"}.manifest(mirror.Mirrored)
		s.must(s.PutManifest(s.ctx, repoA, mirrored, "v1", "v2"))
		s.wantTag(repoA, "v1", pushed.Digest, mirror.Pushed)
		s.wantTag(repoA, "v2", mirrored.Digest, mirror.Mirrored)
		s.wantManifest(repoA, mirrored)
		s.pushImage(repoA, mirror.Pushed, image{config: "1"}, "v2") // a push moves a mirrored tag
		s.wantTag(repoA, "v2", pushed.Digest, mirror.Pushed)
		s.pushImage(repoA, mirror.Imported, image{config: "3"}, "v2") // an import moves a pushed tag
		s.wantTag(repoA, "v2", image{config: "3"}.manifest("").Digest, mirror.Imported)
	}},
	{"SameDigestKeepsStrongerOrigin", func(s *storeTest) {
		m := image{config: "1"}
		d := m.manifest("").Digest
		s.must(s.PutManifest(s.ctx, repoA, m.manifest(mirror.Mirrored), "v1"))
		first := s.wantTag(repoA, "v1", d, mirror.Mirrored)
		s.must(s.PutManifest(s.ctx, repoA, m.manifest(mirror.Mirrored), "v1"))
		if again := s.wantTag(repoA, "v1", d, mirror.Mirrored); !again.Checked.After(first.Checked) || !again.Updated.Equal(first.Updated) {
			s.t.Errorf("after the same manifest from the upstream: %+v, before: %+v", again, first)
		}
		s.pushImage(repoA, mirror.Imported, m, "v1")
		s.wantTag(repoA, "v1", d, mirror.Imported)
		s.must(s.PutManifest(s.ctx, repoA, m.manifest(mirror.Mirrored), "v1"))
		s.wantTag(repoA, "v1", d, mirror.Imported)
		s.pushImage(repoA, mirror.Pushed, m, "v1")
		s.wantTag(repoA, "v1", d, mirror.Pushed)
	}},
	{"Revalidated", func(s *storeTest) {
		m := image{config: "1"}.manifest(mirror.Mirrored)
		other := image{config: "2"}.manifest(mirror.Mirrored)
		start := time.Now()
		s.must(s.PutManifest(s.ctx, repoA, m, "v1"))
		put := s.wantTag(repoA, "v1", m.Digest, mirror.Mirrored)
		if put.Checked.Before(start.Round(0)) || put.Updated.Before(start.Round(0)) {
			s.t.Errorf("tag that was created after %v: %+v", start, put)
		}
		later := time.Now().UTC().Round(0)
		s.must(s.Revalidated(s.ctx, repoA, "v1", m.Digest, later))
		s.must(s.Revalidated(s.ctx, repoA, "v1", m.Digest, later.Add(-time.Minute))) // is older
		s.must(s.Revalidated(s.ctx, repoA, "v1", other.Digest, later.Add(time.Hour)))
		s.must(s.Revalidated(s.ctx, repoA, "v2", m.Digest, later))
		got := s.wantTag(repoA, "v1", m.Digest, mirror.Mirrored)
		if !got.Checked.Equal(later) || !got.Updated.Equal(put.Updated) {
			s.t.Errorf("after revalidation at %v: %+v, before: %+v", later, got, put)
		}
		s.must(s.Revalidated(s.ctx, repoA, "v1", m.Digest, later.AddDate(14, 0, 0))) // the clock is set ahead
		s.must(s.Revalidated(s.ctx, repoA, "v1", m.Digest, later))                   // and back
		if got := s.wantTag(repoA, "v1", m.Digest, mirror.Mirrored); !got.Checked.Equal(later) {
			s.t.Errorf("after the clock was set back to %v: %+v", later, got)
		}
		s.wantTag(repoA, "v2", "", "")
		s.pushImage(repoA, mirror.Pushed, image{config: "1"}, "v1")
		s.must(s.Revalidated(s.ctx, repoA, "v1", m.Digest, later.Add(time.Hour)))
		if got := s.wantTag(repoA, "v1", m.Digest, mirror.Pushed); !got.Checked.Equal(later) {
			s.t.Errorf("a pushed tag was revalidated: %+v", got)
		}
	}},
	{"Delete", func(s *storeTest) {
		m := s.pushImage(repoA, mirror.Pushed, image{config: "1"}, "v1", "v2")
		s.pushImage(repoB, mirror.Pushed, image{config: "1"}, "v1")
		s.wantTag(repoA, "v1", m.Digest, mirror.Pushed)
		s.must(s.DeleteTag(s.ctx, repoA, "v1"))
		s.wantTag(repoA, "v1", "", "")
		s.wantTag(repoA, "v2", m.Digest, mirror.Pushed)
		s.wantTag(repoB, "v1", m.Digest, mirror.Pushed)
		s.wantManifest(repoA, m)
		s.wantCode(s.DeleteTag(s.ctx, repoA, "v1"), mirror.CodeManifestUnknown)
	}},
	{"Invalid", func(s *storeTest) {
		m := image{config: "1"}.manifest(mirror.Mirrored)
		s.wantCode(s.PutManifest(s.ctx, repoA, m, "v1", "not a tag"), mirror.CodeManifestInvalid)
		s.wantTag(repoA, "v1", "", "")
	}},
}
