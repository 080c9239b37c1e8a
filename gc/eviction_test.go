package gc_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/gc"
	"airmirror/mirror"
)

func TestEvictionDeletesWholeImages(t *testing.T) {
	w := newSurvey(t)
	w.index(hub+"@index", mirror.Mirrored, 9*day, "child", "child2", "missing")
	w.manifest(hub+"@child", mirror.Mirrored, 9*day, "a")
	w.manifest(hub+"@child2", mirror.Mirrored, 9*day, "b", "base")
	w.tag(hub+":v1", "index", mirror.Mirrored)
	w.tag(hub+":latest", "index", mirror.Mirrored)
	w.referrer(hub+"@note", mirror.Mirrored, 9*day, "child", "c")
	w.manifest(hub+"@sig", mirror.Mirrored, 9*day, "d")
	sig := strings.Replace(digestOf("index").String(), ":", "-", 1) + ".sig"
	w.tag(hub+":"+sig, "sig", mirror.Mirrored)
	w.image(hub+":v2", mirror.Mirrored, day, "base")
	p := w.plan(gc.Policy{MaxSize: 55})
	w.wantDeleted(p, "image "+hub+":latest")
	for item := range p.Candidates() {
		if item.Kind == gc.Blob {
			continue
		}
		slices.Sort(item.Tags)
		if !slices.Equal(item.Tags, []string{"latest", sig, "v1"}) || item.Manifests != 5 || item.Freed != 45 || item.Size != 55 || !item.LastUsed.Equal(ago(9*day)) {
			t.Errorf("%+v", item)
		}
	}
	if want := (gc.Totals{Images: 1, Manifests: 5, Tags: 3, Blobs: 9, Bytes: 45}); p.Totals != want {
		t.Errorf("%+v, want %+v", p.Totals, want)
	}
}

func TestUseOfChildCountsForIndex(t *testing.T) {
	w := newSurvey(t)
	w.index(hub+"@index", mirror.Mirrored, 9*day, "child")
	w.manifest(hub+"@child", mirror.Mirrored, day, "a")
	w.tag(hub+":v1", "index", mirror.Mirrored)
	w.tag(hub+":v1-amd64", "child", mirror.Mirrored)
	w.image(hub+":v2", mirror.Mirrored, 2*day, "b")
	w.wantDeleted(w.plan(gc.Policy{MaxSize: 22, ShrinkTo: 21}), "image "+hub+":v2")
}

func TestSharedChildIsDeletedWithLastIndex(t *testing.T) {
	w := newSurvey(t)
	w.index(hub+"@index", mirror.Mirrored, 9*day, "child")
	w.index(hub+"@index2", mirror.Mirrored, 8*day, "child")
	w.manifest(hub+"@child", mirror.Mirrored, 10*day, "a")
	w.tag(hub+":v1", "index", mirror.Mirrored)
	w.tag(hub+":v2", "index2", mirror.Mirrored)
	w.tag(hub+":amd64", "child", mirror.Mirrored) // deleted first, if no index needed it
	p := w.plan(gc.Policy{MaxSize: 12, ShrinkTo: 12})
	w.wantDeleted(p, "image "+hub+":v1")
	w.wantDeleted(w.plan(gc.Policy{MaxSize: 1}), "image "+hub+":v1", "image "+hub+":v2")
}

// TestEvictionWithoutGainKeepsImage has an image whose files another repository needs.
func TestEvictionWithoutGainKeepsImage(t *testing.T) {
	w := newSurvey(t)
	w.image(hub+":v1", mirror.Mirrored, 9*day, "a")
	w.image(team+":v1", mirror.Pushed, day, "a")
	w.image(hub+":v2", mirror.Mirrored, 8*day, "a")
	w.wantDeleted(w.plan(gc.Policy{MaxSize: 1}), "image "+hub+":v2")
}

// TestImageIsDeletedWithDependentThatFreesSpace has an image whose own files another repository needs, while its dependent
// frees space. Both are deleted, because the image would lose its dependent otherwise.
func TestImageIsDeletedWithDependentThatFreesSpace(t *testing.T) {
	for kind, addDependent := range map[string]func(w *surveyStore){
		"referrer": func(w *surveyStore) { w.referrer(hub+"@sig", mirror.Mirrored, 8*day, "v1", "b") },
		"child": func(w *surveyStore) {
			w.manifest(hub+"@sig", mirror.Mirrored, 8*day, "b")
			w.manifests[hub][digestOf("v1")].Children = append(w.manifests[hub][digestOf("v1")].Children, digestOf("sig"))
		},
	} {
		t.Run(kind, func(t *testing.T) {
			w := newSurvey(t)
			w.image(hub+":v1", mirror.Mirrored, 9*day, "a")
			w.image(team+":v1", mirror.Pushed, day, "a")
			addDependent(w)
			w.index(hub+"@index", mirror.Mirrored, 7*day, "sig")
			w.wantDeleted(w.plan(gc.Policy{MaxSize: 1}), "image "+hub+":v1", "manifest "+hub+"@index")
			delete(w.manifests[hub], digestOf("index"))
			w.wantDeleted(w.plan(gc.Policy{MaxSize: 1}), "image "+hub+":v1")
		})
	}
}

// TestDigestsWithCommonPrefix has digests that begin with the same eight bytes.
func TestDigestsWithCommonPrefix(t *testing.T) {
	w := newSurvey(t)
	long := digest.SHA512.FromString("long")
	hold := func(m *mirror.SurveyedManifest, d digest.Digest, size int64) {
		w.blobs[d] = &mirror.SurveyedBlob{Digest: d, Size: size, Used: ago(day), Users: 1}
		m.Blobs = append(m.Blobs, d)
	}
	for i, name := range []string{"a", "b", "c"} {
		m := w.manifest(hub+"@"+name, mirror.Mirrored, time.Duration(i+2)*day)
		w.tag(hub+":"+name, name, mirror.Mirrored)
		hold(m, digestOf("twin")[:7+16]+digestOf("twin " + name)[7+16:], int64(100*(i+1)))
		m.Blobs = append(m.Blobs, digestOf("twin"), digest.SHA512.FromString("missing")) // not stored
	}
	w.image(hub+":v1", mirror.Mirrored, day)
	hold(w.manifests[hub][digestOf("v1")], long, 1000)
	p := w.plan(gc.Policy{MaxSize: 1603, ShrinkTo: 1604 - 301})
	w.wantDeleted(p, "image "+hub+":c")
	p = w.plan(gc.Policy{MaxSize: 1})
	if want := (gc.Totals{Images: 4, Manifests: 4, Tags: 4, Blobs: 8, Bytes: 1604}); p.Totals != want {
		t.Errorf("%+v, want %+v", p.Totals, want)
	}
	listed := make(map[digest.Digest]bool)
	for item := range p.Candidates() {
		listed[item.Digest] = true
	}
	for d := range w.blobs {
		if !listed[d] {
			t.Errorf("%s is not listed", d)
		}
	}
}

// TestUnreadableRecordsAreCounted checks that the rest is planned.
func TestUnreadableRecordsAreCounted(t *testing.T) {
	w := mirroredImages(t, "v1", "v2")
	w.blob("a", 3, day)
	w.recordErr = errBroken
	p := w.plan(gc.Policy{MaxSize: 30})
	w.wantDeleted(p, "blob a", "image "+hub+":v2")
	if p.Unreadable != 3 {
		t.Errorf("%d records cannot be read", p.Unreadable)
	}
}

func TestPlanIsDeterministic(t *testing.T) {
	w := newSurvey(t)
	for i := range 40 {
		w.image(hub+":v"+strconv.Itoa(i), mirror.Mirrored, day, strconv.Itoa(i%7), "base")
		w.manifest(team+"@"+strconv.Itoa(i), mirror.Pushed, day, strconv.Itoa(i%5))
	}
	policy := gc.Policy{MaxSize: 60, DeleteUntagged: true}
	first := w.deleted(w.plan(policy))
	for range 5 {
		if again := w.deleted(w.plan(policy)); !slices.Equal(again, first) {
			t.Fatalf("%v\nwas\n%v", again, first)
		}
	}
}
