package cachetest

import (
	"fmt"
	"slices"

	"airmirror/mirror"
)

var storePointTagsTests = []storeCase{
	{"NewTags", func(s *storeTest) {
		one := s.pushImage(repoA, mirror.Imported, image{config: "1"})
		two := s.pushImage(repoB, mirror.Imported, image{config: "2"})
		s.wantTag(repoA, "v1", "", "")
		s.pointTags(false, nil, tagOf(repoB, "v1", two, mirror.Pushed), tagOf(repoA, "v1", one, mirror.Imported), tagOf(repoA, "latest", one, mirror.Imported))
		before := s.wantTag(repoA, "v1", one.Digest, mirror.Imported)
		s.wantTag(repoA, "latest", one.Digest, mirror.Imported)
		s.wantTag(repoB, "v1", two.Digest, mirror.Pushed)
		if before.Updated.IsZero() || !before.Checked.IsZero() {
			s.t.Errorf("tag is %+v", before)
		}
		s.pointTags(false, nil, tagOf(repoA, "v1", one, mirror.Imported))
		if again := s.wantTag(repoA, "v1", one.Digest, mirror.Imported); again != before {
			s.t.Errorf("tag is %+v, want it unchanged from %+v", again, before)
		}
		s.pointTags(false, nil)
	}},
	{"MovedTags", func(s *storeTest) {
		mirrored := s.pushImage(repoA, mirror.Mirrored, image{config: "1"}, "mirrored")
		imported := s.pushImage(repoA, mirror.Imported, image{config: "2"}, "imported")
		newer := s.pushImage(repoA, mirror.Imported, image{config: "3"})
		s.wantTag(repoA, "mirrored", mirrored.Digest, mirror.Mirrored)
		s.wantTag(repoA, "imported", imported.Digest, mirror.Imported)
		s.pointTags(false, nil, tagOf(repoA, "mirrored", newer, mirror.Imported), tagOf(repoA, "imported", newer, mirror.Imported))
		s.wantTag(repoA, "mirrored", newer.Digest, mirror.Imported)
		s.wantTag(repoA, "imported", newer.Digest, mirror.Imported)
	}},
	{"PushedTagsAreKept", func(s *storeTest) {
		pushed := s.pushImage(repoA, mirror.Pushed, image{config: "1"}, "v1", "v2", "v4")
		imported := s.pushImage(repoA, mirror.Imported, image{config: "2"})
		tags := []mirror.ImportedTag{
			tagOf(repoA, "v4", imported, mirror.Pushed), tagOf(repoA, "v3", imported, mirror.Imported),
			tagOf(repoA, "v2", pushed, mirror.Imported), tagOf(repoA, "v1", imported, mirror.Imported),
		}
		one, four := tags[3], tags[0]
		one.Current, four.Current = pushed.Digest, pushed.Digest
		for range 2 {
			s.pointTags(false, []mirror.ImportedTag{one, four}, tags...)
			s.wantTag(repoA, "v1", pushed.Digest, mirror.Pushed)
			s.wantTag(repoA, "v2", pushed.Digest, mirror.Pushed)
			s.wantTag(repoA, "v3", imported.Digest, mirror.Imported)
			s.wantTag(repoA, "v4", pushed.Digest, mirror.Pushed)
		}
		s.pointTags(true, nil, tags...)
		s.wantTag(repoA, "v1", imported.Digest, mirror.Imported)
		s.wantTag(repoA, "v2", pushed.Digest, mirror.Pushed)
		s.wantTag(repoA, "v4", imported.Digest, mirror.Pushed)
	}},
	{"SameDigest", func(s *storeTest) {
		m := s.pushImage(repoA, mirror.Mirrored, image{config: "1"}, "v1")
		before := s.wantTag(repoA, "v1", m.Digest, mirror.Mirrored)
		s.pointTags(false, nil, tagOf(repoA, "v1", m, mirror.Imported))
		after := s.wantTag(repoA, "v1", m.Digest, mirror.Imported)
		if !after.Updated.Equal(before.Updated) || !after.Checked.Equal(before.Checked) {
			s.t.Errorf("tag is %+v, want it unchanged from %+v", after, before)
		}
		s.pointTags(false, nil, tagOf(repoA, "v1", m, mirror.Pushed))
		s.wantTag(repoA, "v1", m.Digest, mirror.Pushed)
	}},
	{"UnknownManifests", func(s *storeTest) {
		m := s.pushImage(repoA, mirror.Imported, image{config: "1"})
		s.receiveImage(image{config: "2"}, mirror.Imported) // stored, but not in a repository
		for _, elsewhere := range []mirror.ImportedTag{
			tagOf(repoB, "v1", m, mirror.Imported),
			tagOf(repoA, "v2", image{config: "2"}.manifest(""), mirror.Imported),
			{Repo: repoA, Tag: "v3", Digest: "", Origin: mirror.Imported},
		} {
			_, err := s.PointTags(s.ctx, []mirror.ImportedTag{tagOf(repoA, "v1", m, mirror.Imported), elsewhere}, true)
			s.wantCode(err, mirror.CodeManifestUnknown)
			s.wantTag(repoA, "v1", "", "")
		}
		for want, wrong := range map[mirror.Code]mirror.ImportedTag{
			mirror.CodeManifestInvalid: tagOf(repoA, "not a tag", m, mirror.Imported),
			mirror.CodeUnsupported:     tagOf(repoA, "v2", m, mirror.Mirrored),
		} {
			_, err := s.PointTags(s.ctx, []mirror.ImportedTag{tagOf(repoA, "v1", m, mirror.Imported), wrong}, true)
			s.wantCode(err, want)
			s.wantTag(repoA, "v1", "", "")
		}
	}},
	{"ManyTags", func(s *storeTest) {
		m := s.pushImage(repoA, mirror.Imported, image{config: "1"})
		var tags []mirror.ImportedTag
		var names []string
		for i := range 5000 {
			tags = append(tags, tagOf(repoA, fmt.Sprintf("v%04d", i), m, mirror.Imported))
			names = append(names, tags[i].Tag)
		}
		slices.Reverse(tags)
		s.pointTags(false, nil, tags...)
		got, err := s.Tags(s.ctx, repoA, "", 10000)
		if err != nil || !slices.Equal(got, names) {
			s.t.Errorf("%d tags, %v; want %d", len(got), err, len(names))
		}
	}},
}

// tagOf returns a tag that points at m.
func tagOf(repo mirror.Repo, tag string, m mirror.Manifest, origin mirror.Origin) mirror.ImportedTag {
	return mirror.ImportedTag{Repo: repo, Tag: tag, Digest: m.Digest, Origin: origin}
}

// pointTags points tags, and checks which tags were kept.
func (s *storeTest) pointTags(overwrite bool, want []mirror.ImportedTag, tags ...mirror.ImportedTag) {
	s.t.Helper()
	kept, err := s.PointTags(s.ctx, tags, overwrite)
	s.must(err)
	if !slices.Equal(kept, want) {
		s.t.Errorf("kept tags are %+v, want %+v", kept, want)
	}
}
