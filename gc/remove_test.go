package gc_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"airmirror/gc"
	"airmirror/mirror"
)

// cosignTag returns the tag of the signature of a name.
func cosignTag(name string) string {
	return strings.Replace(digestOf(name).String(), ":", "-", 1) + ".sig"
}

func TestRemoval(t *testing.T) {
	for name, test := range map[string]struct {
		make   func(w *surveyStore)
		remove []string // repository:tag, or repository@name
		pinned bool     // includes pinned content
		want   []string
		freed  int64
		err    string
	}{
		"tag with its image, except for what another image needs": {
			make: func(w *surveyStore) {
				w.image(team+":v1", mirror.Pushed, time.Minute, "base", "a")
				w.image(team+":v2", mirror.Pushed, time.Minute, "base", "b")
				w.blob("c", 7, day)
				w.orphans = []mirror.Orphan{{Digest: digestOf("e"), Size: 3, Written: ago(day)}}
			},
			remove: []string{team + ":v1"},
			want:   []string{"image " + team + ":v1"},
			freed:  11,
		},
		"tag of a root": {
			make: func(w *surveyStore) {
				w.image(team+":v1", mirror.Imported, day, "a")
				w.manifests[team][digestOf("v1")].Root = ago(day)
			},
			remove: []string{team + ":v1"},
			want:   []string{"tag " + team + ":v1"},
		},
		"root by digest": {
			make: func(w *surveyStore) {
				w.image(team+":v1", mirror.Imported, day, "a")
				w.manifests[team][digestOf("v1")].Root = ago(day)
			},
			remove: []string{team + "@v1"},
			want:   []string{"image " + team + ":v1"},
			freed:  11,
		},
		"index with a child that is a root": {
			make: func(w *surveyStore) {
				w.index(team+"@index", mirror.Imported, day, "child", "child2").Root = ago(day)
				w.manifest(team+"@child", mirror.Imported, day, "a").Root = ago(day)
				w.manifest(team+"@child2", mirror.Imported, day, "b")
			},
			remove: []string{team + "@index"},
			want:   []string{"manifest " + team + "@" + digestOf("index").String()},
			freed:  1 + 11,
		},
		"one of two tags": {
			make: func(w *surveyStore) {
				w.image(team+":v1", mirror.Pushed, day, "a")
				w.tag(team+":latest", "v1", mirror.Pushed)
			},
			remove: []string{team + ":v1"},
			want:   []string{"tag " + team + ":v1"},
		},
		"both of two tags": {
			make: func(w *surveyStore) {
				w.image(team+":v1", mirror.Pushed, day, "a")
				w.tag(team+":latest", "v1", mirror.Pushed)
			},
			remove: []string{team + ":v1", team + ":latest"},
			want:   []string{"image " + team + ":latest"},
			freed:  11,
		},
		"index with its children, except for one of another index": {
			make: func(w *surveyStore) {
				w.index(team+"@index", mirror.Pushed, day, "child", "child2")
				w.index(team+"@index2", mirror.Pushed, day, "child2")
				w.manifest(team+"@child", mirror.Pushed, day, "a")
				w.manifest(team+"@child2", mirror.Pushed, day, "b")
				w.tag(team+":v1", "index", mirror.Pushed)
				w.tag(team+":v2", "index2", mirror.Pushed)
			},
			remove: []string{team + ":v1"},
			want:   []string{"image " + team + ":v1"},
			freed:  1 + 11,
		},
		"two indexes that share a child": {
			make: func(w *surveyStore) {
				w.index(team+"@index", mirror.Pushed, day, "child")
				w.index(team+"@index2", mirror.Pushed, day, "child")
				w.manifest(team+"@child", mirror.Pushed, day, "a")
				w.tag(team+":v1", "index", mirror.Pushed)
				w.tag(team+":v2", "index2", mirror.Pushed)
			},
			remove: []string{team + ":v1", team + ":v2"},
			want:   []string{"image " + team + ":v1", "image " + team + ":v2"},
			freed:  1 + 1 + 11,
		},
		"referrers, by subject or by tag": {
			make: func(w *surveyStore) {
				w.image(team+":v1", mirror.Pushed, day, "a")
				w.referrer(team+"@note", mirror.Pushed, day, "v1", "b")
				w.referrer(team+"@sig", mirror.Pushed, day, "note", "c")
				w.manifest(team+"@root", mirror.Pushed, day, "d")
				w.tag(team+":"+cosignTag("v1"), "root", mirror.Pushed)
			},
			remove: []string{team + ":v1"},
			want:   []string{"image " + team + ":v1"},
			freed:  4 * 11,
		},
		"a signature alone": {
			make: func(w *surveyStore) {
				w.image(team+":v1", mirror.Pushed, day, "a")
				w.manifest(team+"@root", mirror.Pushed, day, "d")
				w.tag(team+":"+cosignTag("v1"), "root", mirror.Pushed)
			},
			remove: []string{team + ":" + cosignTag("v1")},
			want:   []string{"image " + team + ":" + cosignTag("v1")},
			freed:  11,
		},
		"by digest, with all its tags": {
			make: func(w *surveyStore) {
				w.image(team+":v1", mirror.Pushed, day, "a")
				w.tag(team+":latest", "v1", mirror.Pushed)
			},
			remove: []string{team + "@v1"},
			want:   []string{"image " + team + ":latest"},
			freed:  11,
		},
		"the tag of a child": {
			make: func(w *surveyStore) {
				w.index(team+"@index", mirror.Pushed, day, "child")
				w.manifest(team+"@child", mirror.Pushed, day, "a")
				w.tag(team+":v1", "index", mirror.Pushed)
				w.tag(team+":v2", "child", mirror.Pushed)
			},
			remove: []string{team + ":v2"},
			want:   []string{"tag " + team + ":v2"},
		},
		"a child by digest": {
			make: func(w *surveyStore) {
				w.index(team+"@index", mirror.Pushed, day, "child")
				w.manifest(team+"@child", mirror.Pushed, day, "a")
				w.tag(team+":v1", "index", mirror.Pushed)
			},
			remove: []string{team + "@child"},
			err:    digestOf("index").String() + " needs it",
		},
		"tag of an image that is pinned by digest": {
			make: func(w *surveyStore) {
				w.image(team+":v1", mirror.Pushed, day, "a")
				w.pin(team + "@" + digestOf("v1").String())
			},
			remove: []string{team + ":v1"},
			want:   []string{"tag " + team + ":v1"},
		},
		"pinned": {
			make: func(w *surveyStore) {
				w.image(team+":v1", mirror.Pushed, day, "a")
				w.pin(team + ":v1")
			},
			remove: []string{team + "@v1"},
			err:    team + ":v1 is pinned",
		},
		"pinned, by any of its names": {
			make: func(w *surveyStore) {
				w.image(team+":v1", mirror.Pushed, day, "a")
				w.pin(team + ":v1")
				w.pin(team + "@" + digestOf("v1").String())
			},
			remove: []string{team + "@v1"},
			pinned: true,
			want:   []string{"image " + team + ":v1"},
			freed:  11,
		},
		"pinned by a tag that is kept": {
			make: func(w *surveyStore) {
				w.image(team+":v1", mirror.Pushed, day, "a")
				w.tag(team+":v2", "v1", mirror.Pushed)
				w.pin(team + ":v1")
				w.pin(team + ":v2")
			},
			remove: []string{team + ":v1"},
			pinned: true,
			want:   []string{"tag " + team + ":v1"},
		},
		"in use by a transfer": {
			make: func(w *surveyStore) {
				w.image(team+":v1", mirror.Pushed, day, "a")
				w.protected[digestOf("v1")] = true
			},
			remove: []string{team + "@v1"},
			err:    "in use by a transfer",
		},
		"not stored": {
			make:   func(w *surveyStore) { w.image(team+":v1", mirror.Pushed, day, "a") },
			remove: []string{team + ":v1", team + ":v2"},
			err:    team + ":v2 is not stored",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newSurvey(t)
			test.make(w)
			var refs []mirror.Ref
			for _, name := range test.remove {
				repo, word, byDigest := strings.Cut(name, "@")
				if byDigest {
					name = repo + "@" + digestOf(word).String()
				}
				ref, err := mirror.ParseRef(name)
				if err != nil {
					t.Fatal(err)
				}
				refs = append(refs, ref)
			}
			p, err := gc.MakeRemoval(t.Context(), w, gc.Removal{Refs: refs, Now: true, IncludePinned: test.pinned}, now)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "plan a removal") {
					t.Fatalf("%v, want %q", err, test.err)
				}
				if pins := (*gc.PinnedError)(nil); errors.As(err, &pins) != strings.Contains(test.err, "pinned") {
					t.Errorf("%v: pinned is %v", err, pins)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			var freed int64
			for c := range p.Candidates() {
				got, freed = append(got, string(c.Kind)+" "+c.Name), freed+c.Freed
			}
			slices.Sort(got)
			if !slices.Equal(got, test.want) {
				t.Errorf("deleted: %q, want %q", got, test.want)
			}
			if freed != test.freed || p.Totals.Bytes != freed {
				t.Errorf("%d bytes freed, totals %+v, want %d", freed, p.Totals, test.freed)
			}
		})
	}
}

// deleteNamed removes a tag.
func (s *testStore) deleteNamed(name string, now bool) (p *gc.Plan, r gc.Result) {
	s.Helper()
	ref, err := mirror.ParseRef(name)
	s.must(err)
	p, err = gc.MakeRemoval(s.Context(), s, gc.Removal{Refs: []mirror.Ref{ref}, Now: now}, timeNow())
	s.must(err)
	r, err = p.Execute(s.Context(), s, nil)
	s.must(err)
	return p, r
}

func TestRemovedImageIsCollectedAfterGracePeriod(t *testing.T) {
	withStore(t, func(s *testStore) {
		s.pushImage(team, "v1", "config 1", "base", "app 1")
		s.pushImage(team, "v2", "config 2", "base", "app 2")
		later(time.Minute)
		before := s.disk()
		p, r := s.deleteNamed(team+":v1", false)
		if r.Kept != 0 || r.Tags != 1 || r.Manifests != 1 || r.Bytes != 0 || s.disk() != before {
			s.Errorf("%+v; %d bytes of %d are left", r, s.disk(), before)
		}
		later(2 * time.Hour)
		if r := s.collect(gc.Policy{}); r.Bytes != p.Totals.Bytes || r.Blobs != 3 {
			s.Errorf("a collection freed %+v, want %d bytes", r, p.Totals.Bytes)
		}
		s.pull(team, "v2", "config 2", "base", "app 2")
	})
}

func TestRemovalNowFreesSpaceAtOnce(t *testing.T) {
	withStore(t, func(s *testStore) {
		s.pushImage(team, "v1", "config 1", "base", "app 1")
		s.pushImage(team, "v2", "config 2", "base", "app 2")
		later(time.Minute)
		s.pull(team, "v1", "config 1", "base", "app 1")
		later(time.Second)
		before := s.disk()
		p, r := s.deleteNamed(team+":v1", true)
		if r.Kept != 0 || r.Blobs != 3 || p.Totals.Blobs != 3 || r.Bytes != p.Totals.Bytes || before-s.disk() != r.Bytes {
			s.Errorf("result is %+v; %d bytes of %d are left; planned: %+v", r, s.disk(), before, p.Totals)
		}
		s.pull(team, "v2", "config 2", "base", "app 2")
	})
}

// TestRemovalOfImageUsedSincePlan changes an image between plan and removal: a new tag keeps it, a pull does not.
func TestRemovalOfImageUsedSincePlan(t *testing.T) {
	withStore(t, func(s *testStore) {
		d := s.pushImage(team, "v1", "config 1", "base", "app 1")
		later(time.Minute)
		plan := func() *gc.Plan {
			p, err := gc.MakeRemoval(s.Context(), s, gc.Removal{Refs: []mirror.Ref{{Repo: repoOf(team), Tag: "v1"}}, Now: true}, timeNow())
			s.must(err)
			return p
		}
		p := plan()
		s.put(team, imageOf(mirror.Pushed, "", "config 1", "base", "app 1"), "v2")
		r, err := p.Execute(s.Context(), s, nil)
		if s.must(err); r.Kept != 1 || !strings.Contains(r.KeptFirst[0].Kept, "tag v2 points at manifest "+d.String()) {
			s.Errorf("%+v", r)
		}
		s.must(s.DeleteTag(s.Context(), repoOf(team), "v2"))
		p = plan()
		later(time.Second)
		s.must(s.read(team, "base"))
		s.pull(team, "v1", "config 1")
		r, err = p.Execute(s.Context(), s, nil)
		if s.must(err); r.Kept != 0 || r.Manifests != 1 {
			s.Errorf("%+v", r)
		}
		s.must(s.read(team, "base")) // a blob that was requested since is kept
	})
}
