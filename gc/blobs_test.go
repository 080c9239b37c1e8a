package gc_test

import (
	"context"
	"iter"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/gc"
	"airmirror/mirror"
)

// repeatedBlobs is a store that lists each blob twice.
type repeatedBlobs struct{ *surveyStore }

func (r repeatedBlobs) Blobs() iter.Seq2[*mirror.SurveyedBlob, error] {
	return func(yield func(*mirror.SurveyedBlob, error) bool) {
		for b, err := range r.surveyStore.Blobs() {
			if !yield(b, err) || !yield(b, err) {
				return
			}
		}
	}
}

func (r repeatedBlobs) Survey(_ context.Context, f func(mirror.Survey) error) error { return f(r) }

func (r repeatedBlobs) SurveyRefs(_ context.Context, _ []mirror.Ref, f func(mirror.Survey) error) error {
	return f(r)
}

func TestBlobsOutOfOrderAreAnError(t *testing.T) {
	w := newSurvey(t)
	w.blob("a", 7, day)
	if _, err := gc.MakePlan(t.Context(), repeatedBlobs{w}, w, gc.Options{}, now); err == nil {
		t.Error("a plan was made of a store that lists a blob twice")
	}
	_, err := gc.MakeRemoval(t.Context(), repeatedBlobs{w}, gc.Removal{Refs: []mirror.Ref{{Repo: repoOf(team), Tag: "v1"}}}, now)
	if err == nil || !strings.HasPrefix(err.Error(), "plan a removal: ") {
		t.Errorf("plan of a removal: %v", err)
	}
}

// TestPlanOfSHA512Blobs has no blob with a SHA-256 digest.
func TestPlanOfSHA512Blobs(t *testing.T) {
	w := newSurvey(t)
	add := func(name string, size int64, users int) digest.Digest {
		d := digest.SHA512.FromString(name)
		w.blobs[d] = &mirror.SurveyedBlob{Digest: d, Size: size, Used: ago(day), Users: users}
		return d
	}
	m := mirror.SurveyedManifest{Digest: add("manifest", 1, 1), Origin: mirror.Mirrored, Added: ago(day), Blobs: []digest.Digest{add("layer", 10, 1)}}
	w.manifests[hub] = map[digest.Digest]*mirror.SurveyedManifest{m.Digest: &m}
	unused := add("unused", 100, 0)
	w.wantDeleted(w.plan(gc.Policy{}), "blob "+unused.String())
	p := w.plan(gc.Policy{MaxSize: 1})
	w.wantDeleted(p, "blob "+unused.String(), "manifest "+hub+"@"+m.Digest.String())
	if p.Totals.Bytes != 111 {
		t.Errorf("%+v", p.Totals)
	}
}

// TestMissingBlobsKeepNoOthers has manifests that name blobs that are not stored, one of them with the prefix of two that are.
func TestMissingBlobsKeepNoOthers(t *testing.T) {
	for name, missing := range map[string]digest.Digest{
		"SHA-256":       digestOf("missing"),
		"SHA-512":       digest.SHA512.FromString("missing"),
		"common prefix": digestOf("twin")[:7+16] + digestOf("missing")[7+16:],
	} {
		t.Run(name, func(t *testing.T) {
			w := newSurvey(t)
			w.image(hub+":v1", mirror.Mirrored, day)
			m := w.manifests[hub][digestOf("v1")]
			m.Blobs = append(m.Blobs, missing)
			for i := range 8 {
				w.blob("unused "+strconv.Itoa(i), 1, day)
			}
			for _, twin := range []string{"twin a", "twin b"} {
				d := digestOf("twin")[:7+16] + digestOf(twin)[7+16:]
				w.blobs[d] = &mirror.SurveyedBlob{Digest: d, Size: 1, Used: ago(day)}
			}
			if p := w.plan(gc.Policy{}); p.Totals.Blobs != 10 {
				t.Errorf("%d blobs are deleted, want 10", p.Totals.Blobs)
			}
		})
	}
}

// TestPlanOfManyBlobs has more records than a chunk of memory.
func TestPlanOfManyBlobs(t *testing.T) {
	const images = 1000
	s := largeStore{newSurvey(t), images}
	p, err := gc.MakePlan(t.Context(), s, s, gc.Options{Policy: gc.Policy{MaxSize: 1, Grace: -1}, ListBlobs: true}, now)
	if err != nil {
		t.Fatal(err)
	}
	want := gc.Totals{Images: images, Manifests: images, Tags: images, Blobs: 11 * images, Bytes: 11 * 1000 * images}
	if p.Totals != want {
		t.Errorf("%+v, want %+v", p.Totals, want)
	}
	listed := make(map[string]bool)
	for c := range p.Candidates() {
		listed[c.Name] = true
	}
	if len(listed) != images+want.Blobs {
		t.Errorf("%d candidates, want %d images and %d blobs", len(listed), images, want.Blobs)
	}
}

// TestChildrenOfBothAlgorithms has an index whose children have SHA-256 and SHA-512 digests.
func TestChildrenOfBothAlgorithms(t *testing.T) {
	w := newSurvey(t)
	m := w.index(team+"@index", mirror.Pushed, day)
	w.tag(team+":v1", "index", mirror.Pushed)
	for i := range 4 {
		for _, a := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
			d := a.FromString("child " + strconv.Itoa(i))
			w.manifests[team][d] = &mirror.SurveyedManifest{Digest: d, Origin: mirror.Pushed, Added: ago(day)}
			w.blobs[d] = &mirror.SurveyedBlob{Digest: d, Size: 1, Used: ago(day), Users: 1}
			m.Children = append(m.Children, d)
		}
	}
	w.wantDeleted(w.plan(gc.Policy{DeleteUntagged: true}))
}
