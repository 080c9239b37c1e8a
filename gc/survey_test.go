package gc_test

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/gc"
	"airmirror/mirror"
)

var now = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

// surveyStore is a store with an index only, for plans. The digest of a manifest or blob is that of its name.
type surveyStore struct {
	t           *testing.T
	manifests   map[string]map[digest.Digest]*mirror.SurveyedManifest // by repository
	tags        map[string]map[string]mirror.Tag
	blobs       map[digest.Digest]*mirror.SurveyedBlob
	pins        map[mirror.Ref]bool
	protected   map[digest.Digest]bool
	uploads     []mirror.UploadInfo
	orphans     []mirror.Orphan
	fetchErrors map[string]error // by repository; nil if it can be fetched again
	recordErr   error            // error of one more record of each kind
}

func newSurvey(t *testing.T) *surveyStore {
	return &surveyStore{
		t: t, manifests: make(map[string]map[digest.Digest]*mirror.SurveyedManifest), tags: make(map[string]map[string]mirror.Tag),
		blobs: make(map[digest.Digest]*mirror.SurveyedBlob), pins: make(map[mirror.Ref]bool), protected: make(map[digest.Digest]bool),
		fetchErrors: make(map[string]error),
	}
}

// Now returns the wall clock time, so that plans do not convert times.
func (w *surveyStore) Now() time.Time { return time.Now() }

func digestOf(name string) digest.Digest { return digest.FromString(name) }

// ago returns the time d before now.
func ago(d time.Duration) time.Time { return now.Add(-d) }

// blob adds a blob that was last used at an age, unless it is stored already.
func (w *surveyStore) blob(name string, size int64, used time.Duration) *mirror.SurveyedBlob {
	b, stored := w.blobs[digestOf(name)]
	if !stored {
		b = &mirror.SurveyedBlob{Digest: digestOf(name), Size: size, Added: ago(used), Used: ago(used)}
		w.blobs[b.Digest] = b
	}
	return b
}

// manifest adds a manifest of 1 byte, named repository@name, with blobs of 10 bytes each. used is how long ago it and
// its blobs were last used.
func (w *surveyStore) manifest(ref string, origin mirror.Origin, used time.Duration, blobs ...string) *mirror.SurveyedManifest {
	repo, name, _ := strings.Cut(ref, "@")
	m := &mirror.SurveyedManifest{Digest: digestOf(name), Size: 1, Origin: origin, Added: ago(used + time.Hour), Used: ago(used)}
	w.blob(name, 1, used).Users++
	for _, blob := range blobs {
		w.blob(blob, 10, used).Users++
		m.Blobs = append(m.Blobs, digestOf(blob))
	}
	if w.manifests[repo] == nil {
		w.manifests[repo] = make(map[digest.Digest]*mirror.SurveyedManifest)
	}
	w.manifests[repo][m.Digest] = m
	return m
}

// index adds an index of children.
func (w *surveyStore) index(ref string, origin mirror.Origin, used time.Duration, children ...string) *mirror.SurveyedManifest {
	m := w.manifest(ref, origin, used)
	for _, child := range children {
		m.Children = append(m.Children, digestOf(child))
	}
	return m
}

// referrer adds a manifest with a subject.
func (w *surveyStore) referrer(ref string, origin mirror.Origin, used time.Duration, subject string, blobs ...string) {
	w.manifest(ref, origin, used, blobs...).Subject = digestOf(subject)
}

// tag points a tag, named repository:tag, at a manifest. The tag is as old as the manifest.
func (w *surveyStore) tag(ref, name string, origin mirror.Origin) {
	repo, tag, _ := strings.Cut(ref, ":")
	if w.tags[repo] == nil {
		w.tags[repo] = make(map[string]mirror.Tag)
	}
	w.tags[repo][tag] = mirror.Tag{Digest: digestOf(name), Origin: origin, Updated: w.manifests[repo][digestOf(name)].Added}
}

// moveTag sets the age of the last move of a tag.
func (w *surveyStore) moveTag(ref string, at time.Duration) {
	repo, tag, _ := strings.Cut(ref, ":")
	moved := w.tags[repo][tag]
	moved.Updated = ago(at)
	w.tags[repo][tag] = moved
}

// image adds a tagged manifest: for repo:tag, its name is tag.
func (w *surveyStore) image(ref string, origin mirror.Origin, used time.Duration, blobs ...string) {
	repo, tag, _ := strings.Cut(ref, ":")
	w.manifest(repo+"@"+tag, origin, used, blobs...)
	w.tag(ref, tag, origin)
}

func (w *surveyStore) pin(ref string) {
	parsed, err := mirror.ParseRef(ref)
	if err != nil {
		w.t.Fatal(err)
	}
	w.pins[parsed] = true
}

// CanFetch implements [gc.Sources].
func (w *surveyStore) CanFetch(_ context.Context, repo mirror.Repo) error {
	return w.fetchErrors[repo.String()]
}

// Survey and the methods below implement the part of [mirror.CollectStore] that a plan uses.
func (w *surveyStore) Survey(_ context.Context, f func(mirror.Survey) error) error { return f(w) }

// SurveyRefs yields everything, so that the tests of removals check that a plan leaves out what is not concerned.
func (w *surveyStore) SurveyRefs(_ context.Context, _ []mirror.Ref, f func(mirror.Survey) error) error {
	return f(w)
}

func (w *surveyStore) Uploads(context.Context) iter.Seq2[mirror.UploadInfo, error] {
	return all(w.uploads, nil)
}
func (w *surveyStore) Orphans(context.Context) iter.Seq2[mirror.Orphan, error] {
	return all(w.orphans, nil)
}

func (w *surveyStore) Protect(...digest.Digest) func() { panic("a plan must not call this") }
func (w *surveyStore) Sweep(context.Context, iter.Seq[mirror.DeleteRequest], func(mirror.DeleteResult)) error {
	panic("a plan must not call this")
}
func (w *surveyStore) ExpireUpload(context.Context, string, time.Time) (bool, error) {
	panic("a plan must not call this")
}
func (w *surveyStore) DeleteOrphan(context.Context, digest.Digest, time.Time) (bool, error) {
	panic("a plan must not call this")
}

func (w *surveyStore) names() []string { return slices.Sorted(maps.Keys(w.manifests)) }

func (w *surveyStore) Repos() (repos []mirror.SurveyedRepo) {
	for _, name := range w.names() {
		repo, err := mirror.ParseRepo(name)
		if err != nil {
			w.t.Fatal(err)
		}
		repos = append(repos, mirror.SurveyedRepo{Repo: repo})
	}
	return repos
}

func (w *surveyStore) Manifests() iter.Seq2[*mirror.SurveyedManifest, error] {
	var list []*mirror.SurveyedManifest
	for i, name := range w.names() {
		for _, d := range slices.Sorted(maps.Keys(w.manifests[name])) {
			m := *w.manifests[name][d]
			m.Repo = i
			list = append(list, &m)
		}
	}
	return all(list, w.recordErr)
}

func (w *surveyStore) Tags() iter.Seq2[mirror.SurveyedTag, error] {
	var list []mirror.SurveyedTag
	for i, name := range w.names() {
		for _, tag := range slices.Sorted(maps.Keys(w.tags[name])) {
			list = append(list, mirror.SurveyedTag{Repo: i, Name: tag, Tag: w.tags[name][tag]})
		}
	}
	return all(list, w.recordErr)
}

func (w *surveyStore) Blobs() iter.Seq2[*mirror.SurveyedBlob, error] {
	var list []*mirror.SurveyedBlob
	for _, d := range slices.Sorted(maps.Keys(w.blobs)) {
		list = append(list, w.blobs[d])
	}
	return all(list, w.recordErr)
}

func (w *surveyStore) Pinned(ref mirror.Ref) bool     { return w.pins[ref] }
func (w *surveyStore) Protected(d digest.Digest) bool { return w.protected[d] }

// all yields a list, after an error if there is one.
func all[T any](list []T, err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		if err != nil && !yield(none, err) {
			return
		}
		for _, v := range list {
			if !yield(v, nil) {
				return
			}
		}
	}
}

var errBroken = errors.New("unreadable record")

// plan makes a plan. A zero [gc.Policy.Grace] means no grace period.
func (w *surveyStore) plan(policy gc.Policy) *gc.Plan {
	w.t.Helper()
	if policy.Grace == 0 {
		policy.Grace = -1
	}
	p, err := gc.MakePlan(w.t.Context(), w, w, gc.Options{Policy: policy, ListBlobs: true}, now)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// deleted lists the candidates of a plan, except for blobs that are deleted with an image, and checks that sizes add
// up.
func (w *surveyStore) deleted(p *gc.Plan) (names []string) {
	w.t.Helper()
	var freed int64
	blobs := 0
	for c := range p.Candidates() {
		freed += c.Freed
		if c.Kind == gc.Blob {
			blobs++
		}
		if c.Kind == gc.Blob && c.Freed == 0 {
			continue
		}
		name := c.Name
		for d, word := range words { // names instead of digests
			name = strings.ReplaceAll(name, d.String(), word)
		}
		names = append(names, string(c.Kind)+" "+name)
	}
	if freed != p.Totals.Bytes || blobs != p.Totals.Blobs {
		w.t.Errorf("candidates have %d bytes and %d blobs, totals are %+v", freed, blobs, p.Totals)
	}
	return names
}

// words are the names of manifests and blobs in tests, by digest.
var words = func() map[digest.Digest]string {
	words := make(map[digest.Digest]string)
	for _, word := range strings.Fields("v1 v2 index child old sig note a b c") {
		words[digestOf(word)] = word
	}
	return words
}()

// wantDeleted checks what a plan deletes, in order.
func (w *surveyStore) wantDeleted(p *gc.Plan, want ...string) {
	w.t.Helper()
	if got := w.deleted(p); !slices.Equal(got, want) {
		w.t.Errorf("deleted:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}
