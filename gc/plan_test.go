package gc_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"airmirror/gc"
	"airmirror/mirror"
)

const (
	hub   = "docker.io/library/alpine"
	other = "docker.io/library/busybox"
	team  = "registry.test/team/app"
	hour  = time.Hour
	day   = 24 * hour
)

func TestUnreferencedBlobsAreDeleted(t *testing.T) {
	w := newSurvey(t)
	w.image(hub+":v1", mirror.Mirrored, day, "base", "a")
	w.blob("b", 7, day)
	w.blob("c", 7, time.Minute)
	w.blob("d", 7, day)
	w.protected[digestOf("d")] = true
	w.uploads = []mirror.UploadInfo{{ID: "1", Repo: team, Size: 5, Written: ago(25 * hour)}, {ID: "2", Repo: team, Size: 5, Written: ago(hour)},
		{ID: "3", Size: 5, Written: ago(25 * hour), Open: true}}
	w.orphans = []mirror.Orphan{{Digest: digestOf("e"), Size: 3, Written: ago(day)}, {Digest: digestOf("f"), Size: 3, Written: ago(time.Minute)}}
	p := w.plan(gc.Policy{Grace: gc.Age(hour)})
	w.wantDeleted(p, "blob b", "upload registry.test/team/app 1", "orphan "+digestOf("e").String())
	want := gc.Totals{Blobs: 1, Uploads: 1, Orphans: 1, Bytes: 7 + 5 + 3}
	if p.Totals != want {
		t.Errorf("%+v, want %+v", p.Totals, want)
	}
	if want := int64(1 + 20 + 3*7 + 15 + 6); p.Budget.Stored != want {
		t.Errorf("%d bytes are stored, want %d", p.Budget.Stored, want)
	}
	if len(p.KeepReasons) != 1 || p.KeepReasons[0].Blobs != 2 || p.KeepReasons[0].Bytes != 14 {
		t.Errorf("%+v", p.KeepReasons)
	}
}

func TestDeleteUntagged(t *testing.T) {
	for name, test := range map[string]struct {
		make   func(w *surveyStore)
		policy gc.Policy
		want   []string
	}{
		"kept by default": {
			make: func(w *surveyStore) { w.manifest(team+"@a", mirror.Pushed, day, "base") },
		},
		"deleted with its blobs": {
			make: func(w *surveyStore) {
				w.image(team+":v1", mirror.Pushed, day, "base")
				w.manifest(team+"@a", mirror.Pushed, day, "base", "layer")
			},
			policy: gc.Policy{DeleteUntagged: true},
			want:   []string{"manifest " + team + "@a"},
		},
		"kept if stored by digest": {
			make: func(w *surveyStore) {
				w.manifest(team+"@a", mirror.Imported, day, "layer").Root = ago(2 * day)
				w.manifest(team+"@b", mirror.Imported, day, "layer", "other")
			},
			policy: gc.Policy{DeleteUntagged: true},
			want:   []string{"manifest " + team + "@b"},
		},
		"child that is a root of a deleted index": {
			make: func(w *surveyStore) {
				w.index(team+"@index", mirror.Pushed, day, "child", "other")
				w.manifest(team+"@child", mirror.Pushed, day, "layer").Root = ago(2 * day)
				w.manifest(team+"@other", mirror.Pushed, day, "more")
			},
			policy: gc.Policy{DeleteUntagged: true},
			want:   []string{"manifest " + team + "@index"},
		},
		"child of an index that is a root": {
			make: func(w *surveyStore) {
				w.index(team+"@index", mirror.Pushed, day, "child").Root = ago(2 * day)
				w.manifest(team+"@child", mirror.Pushed, day, "layer")
			},
			policy: gc.Policy{DeleteUntagged: true},
		},
		"child of an index that is kept": {
			make: func(w *surveyStore) {
				w.index(team+"@index", mirror.Pushed, day, "child")
				w.manifest(team+"@child", mirror.Pushed, day, "layer")
				w.tag(team+":v1", "index", mirror.Pushed)
			},
			policy: gc.Policy{DeleteUntagged: true},
		},
		"missing child of a kept index": {
			make: func(w *surveyStore) {
				w.index(team+"@index", mirror.Pushed, day, "missing")
				w.tag(team+":v1", "index", mirror.Pushed)
				for i, name := range []string{"a", "b", "c", "child"} {
					w.manifest(team+"@"+name, mirror.Pushed, time.Duration(9-i)*day)
				}
			},
			policy: gc.Policy{DeleteUntagged: true},
			want:   []string{"manifest " + team + "@a", "manifest " + team + "@b", "manifest " + team + "@c", "manifest " + team + "@child"},
		},
		"child of a deleted index": {
			make: func(w *surveyStore) {
				w.index(team+"@index", mirror.Pushed, day, "child", "missing")
				w.manifest(team+"@child", mirror.Pushed, day, "layer")
			},
			policy: gc.Policy{DeleteUntagged: true},
			want:   []string{"manifest " + team + "@index"},
		},
		"child of a deleted index and of a kept one": {
			make: func(w *surveyStore) {
				w.index(team+"@index", mirror.Pushed, day, "child")
				w.index(team+"@index2", mirror.Pushed, day, "child")
				w.manifest(team+"@child", mirror.Pushed, day, "layer")
				w.tag(team+":v1", "index2", mirror.Pushed)
			},
			policy: gc.Policy{DeleteUntagged: true},
			want:   []string{"manifest " + team + "@index"},
		},
		"tagged child of a deleted index": {
			make: func(w *surveyStore) {
				w.index(team+"@index", mirror.Pushed, day, "child")
				w.manifest(team+"@child", mirror.Pushed, day, "layer")
				w.tag(team+":amd64", "child", mirror.Pushed)
			},
			policy: gc.Policy{DeleteUntagged: true},
			want:   []string{"manifest " + team + "@index"},
		},
		"referrer of a kept subject": {
			make: func(w *surveyStore) {
				w.image(team+":v1", mirror.Pushed, day, "base")
				w.referrer(team+"@note", mirror.Pushed, day, "v1", "layer")
				w.referrer(team+"@sig", mirror.Pushed, day, "note", "layer")
			},
			policy: gc.Policy{DeleteUntagged: true},
		},
		"referrer of a deleted or missing subject": {
			make: func(w *surveyStore) {
				w.manifest(team+"@a", mirror.Pushed, day)
				w.referrer(team+"@note", mirror.Pushed, 2*day, "a")
				w.referrer(team+"@sig", mirror.Pushed, 3*day, "missing")
				w.manifest(team+"@b", mirror.Pushed, day/2)
				w.tag(team+":"+strings.Replace(digestOf("a").String(), ":", "-", 1)+".sig", "b", mirror.Pushed)
			},
			policy: gc.Policy{DeleteUntagged: true},
			want:   []string{"manifest " + team + "@sig", "image " + team + "@a"},
		},
		"used recently, or with a dependent used recently": {
			make: func(w *surveyStore) {
				w.manifest(team+"@a", mirror.Pushed, time.Minute)
				w.manifest(team+"@b", mirror.Pushed, day)
				w.referrer(team+"@sig", mirror.Pushed, time.Minute, "b")
				w.manifest(team+"@c", mirror.Pushed, 2*hour)
			},
			policy: gc.Policy{DeleteUntagged: true, Grace: gc.Age(hour)},
			want:   []string{"manifest " + team + "@c"},
		},
		"pinned, or in use by a transfer": {
			make: func(w *surveyStore) {
				w.manifest(team+"@a", mirror.Pushed, day)
				w.pin(team + "@" + digestOf("a").String())
				w.index(team+"@index", mirror.Pushed, day, "child")
				w.manifest(team+"@child", mirror.Pushed, day)
				w.protected[digestOf("child")] = true
			},
			policy: gc.Policy{DeleteUntagged: true},
		},
		"pinned child of a deleted index": {
			make: func(w *surveyStore) {
				w.index(team+"@index", mirror.Pushed, day, "child", "child2")
				w.manifest(team+"@child", mirror.Pushed, day)
				w.manifest(team+"@child2", mirror.Pushed, day)
				w.pin(team + "@" + digestOf("child").String())
			},
			policy: gc.Policy{DeleteUntagged: true},
			want:   []string{"manifest " + team + "@index"},
		},
		"cannot be fetched again": {
			make: func(w *surveyStore) {
				w.manifest(hub+"@a", mirror.Mirrored, day)
				w.manifest(other+"@b", mirror.Mirrored, day)
				w.fetchErrors[hub] = errors.New("offline")
			},
			policy: gc.Policy{DeleteUntagged: true},
			want:   []string{"manifest " + other + "@b"},
		},
		"cannot be fetched again, with evenOffline": {
			make: func(w *surveyStore) {
				w.manifest(hub+"@a", mirror.Mirrored, day)
				w.fetchErrors[hub] = errors.New("offline")
			},
			policy: gc.Policy{DeleteUntagged: true, EvictOffline: true},
			want:   []string{"manifest " + hub + "@a"},
		},
		"two manifests that refer to each other by tag": {
			make: func(w *surveyStore) {
				w.manifest(team+"@a", mirror.Pushed, day)
				w.manifest(team+"@b", mirror.Pushed, day)
				w.tag(team+":"+strings.Replace(digestOf("a").String(), ":", "-", 1)+".sig", "b", mirror.Pushed)
				w.tag(team+":"+strings.Replace(digestOf("b").String(), ":", "-", 1), "a", mirror.Pushed)
			},
			policy: gc.Policy{DeleteUntagged: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newSurvey(t)
			test.make(w)
			w.wantDeleted(w.plan(test.policy), test.want...)
		})
	}
}

// meetingStore lets the list of files and the survey wait for each other.
type meetingStore struct {
	*surveyStore
	listing, surveying chan struct{}
}

func (s meetingStore) Orphans(ctx context.Context) iter.Seq2[mirror.Orphan, error] {
	close(s.listing)
	<-s.surveying
	return s.surveyStore.Orphans(ctx)
}

func (s meetingStore) Survey(ctx context.Context, f func(mirror.Survey) error) error {
	return s.surveyStore.Survey(ctx, func(mirror.Survey) error { return f(s) })
}

func (s meetingStore) Manifests() iter.Seq2[*mirror.SurveyedManifest, error] {
	close(s.surveying)
	<-s.listing
	return s.surveyStore.Manifests()
}

// TestPlanListsFilesDuringTheSurvey checks that a plan takes the time of the longer one of the two. In a bubble, a plan
// that reads one after the other fails the test, because nobody could wake it up.
func TestPlanListsFilesDuringTheSurvey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSurvey(t)
		w.image("hub.test/app:v1", mirror.Mirrored, 40*24*time.Hour, "layer")
		store := meetingStore{w, make(chan struct{}), make(chan struct{})}
		if _, err := gc.MakePlan(t.Context(), store, w, gc.Options{}, time.Now()); err != nil {
			t.Error(err)
		}
	})
}

// failingList fails to list files.
type failingList struct{ *surveyStore }

func (failingList) Orphans(context.Context) iter.Seq2[mirror.Orphan, error] {
	return all([]mirror.Orphan(nil), errors.New("the folder cannot be read"))
}

func TestPlanNeedsTheListOfFiles(t *testing.T) {
	w := newSurvey(t)
	if _, err := gc.MakePlan(t.Context(), failingList{w}, w, gc.Options{}, time.Now()); err == nil || !strings.Contains(err.Error(), "list orphans: the folder cannot be read") {
		t.Errorf("plan without the list of files: %v", err)
	}
}
