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

// world is a store of which only the index is there, to be planned against. Digests are those of names.
type surveyStore struct {
	t           *testing.T
	manifests   map[string]map[digest.Digest]*mirror.SurveyedManifest // by repository
	tags        map[string]map[string]mirror.Tag
	blobs       map[digest.Digest]*mirror.SurveyedBlob
	pins        map[mirror.Ref]bool
	protected   map[digest.Digest]bool
	uploads     []mirror.UploadInfo
	orphans     []mirror.Orphan
	fetchErrors map[string]error // repositories that cannot be fetched again
	recordErr   error            // of one record of each kind
}

func newSurvey(t *testing.T) *surveyStore {
	return &surveyStore{
		t: t, manifests: make(map[string]map[digest.Digest]*mirror.SurveyedManifest), tags: make(map[string]map[string]mirror.Tag),
		blobs: make(map[digest.Digest]*mirror.SurveyedBlob), pins: make(map[mirror.Ref]bool), protected: make(map[digest.Digest]bool),
		fetchErrors: make(map[string]error),
	}
}

// Now is the time of day: plans show times as they are.
func (w *surveyStore) Now() time.Time { return time.Now() }

func digestOf(name string) digest.Digest { return digest.FromString(name) }

// ago is a time before now.
func ago(d time.Duration) time.Time { return now.Add(-d) }

// blob has a blob held.
func (w *surveyStore) blob(name string, size int64, fresh time.Duration) *mirror.SurveyedBlob {
	b, held := w.blobs[digestOf(name)]
	if !held {
		b = &mirror.SurveyedBlob{Digest: digestOf(name), Size: size, Added: ago(fresh), Fresh: ago(fresh)}
		w.blobs[b.Digest] = b
	}
	return b
}

// manifest has a manifest held, as repository@name, of 1 byte and with blobs of 10 bytes each. It and they were added,
// and it was used, so long ago.
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

// index has an index held, with the children that are named.
func (w *surveyStore) index(ref string, origin mirror.Origin, used time.Duration, children ...string) *mirror.SurveyedManifest {
	m := w.manifest(ref, origin, used)
	for _, child := range children {
		m.Children = append(m.Children, digestOf(child))
	}
	return m
}

// about has a manifest held that refers to another one.
func (w *surveyStore) referrer(ref string, origin mirror.Origin, used time.Duration, subject string, blobs ...string) {
	w.manifest(ref, origin, used, blobs...).Subject = digestOf(subject)
}

// tag points a tag, as repository:tag, at the manifest of a name. It was made as the manifest was added.
func (w *surveyStore) tag(ref, name string, origin mirror.Origin) {
	repo, tag, _ := strings.Cut(ref, ":")
	if w.tags[repo] == nil {
		w.tags[repo] = make(map[string]mirror.Tag)
	}
	w.tags[repo][tag] = mirror.Tag{Digest: digestOf(name), Origin: origin, Updated: w.manifests[repo][digestOf(name)].Added}
}

// move has a tag look as if it had been moved so long ago.
func (w *surveyStore) moveTag(ref string, at time.Duration) {
	repo, tag, _ := strings.Cut(ref, ":")
	moved := w.tags[repo][tag]
	moved.Updated = ago(at)
	w.tags[repo][tag] = moved
}

// image is a manifest under a tag: of ref repo:tag, it is named tag.
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

// Survey, and what else of [mirror.CollectStore] a plan needs.
func (w *surveyStore) Survey(_ context.Context, f func(mirror.Survey) error) error { return f(w) }

func (w *surveyStore) Uploads(context.Context) iter.Seq2[mirror.UploadInfo, error] {
	return all(w.uploads, nil)
}
func (w *surveyStore) Orphans(context.Context) iter.Seq2[mirror.Orphan, error] {
	return all(w.orphans, nil)
}

func (w *surveyStore) Protect(...digest.Digest) func() { panic("not part of planning") }
func (w *surveyStore) Sweep(context.Context, iter.Seq[mirror.DeleteRequest], func(mirror.DeleteResult)) error {
	panic("not part of planning")
}
func (w *surveyStore) ExpireUpload(context.Context, string, time.Time) (bool, error) {
	panic("not part of planning")
}
func (w *surveyStore) DeleteOrphan(context.Context, digest.Digest, time.Time) (bool, error) {
	panic("not part of planning")
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

var errBroken = errors.New("record is broken")

// plan plans with a policy, of which a zero grace time is none.
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

// going lists what goes, other than blobs that go with an image, and checks that sizes add up.
func (w *surveyStore) deleted(p *gc.Plan) (names []string) {
	w.t.Helper()
	var freed int64
	blobs := 0
	for item := range p.Candidates() {
		freed += item.Freed
		if item.Kind == gc.Blob {
			blobs++
		}
		if item.Kind == gc.Blob && item.Freed == 0 {
			continue
		}
		name := item.Name
		for d, word := range words { // digests are no good to read
			name = strings.ReplaceAll(name, d.String(), word)
		}
		names = append(names, string(item.Kind)+" "+name)
	}
	if freed != p.Totals.Bytes || blobs != p.Totals.Blobs {
		w.t.Errorf("items come to %d bytes and %d blobs, totals are %+v", freed, blobs, p.Totals)
	}
	return names
}

// words are names that tests give to manifests and blobs, by their digests.
var words = func() map[digest.Digest]string {
	words := make(map[digest.Digest]string)
	for _, word := range strings.Fields("v1 v2 index child old sig note a b c") {
		words[digestOf(word)] = word
	}
	return words
}()

// goes fails the test unless exactly that goes, in that order.
func (w *surveyStore) wantDeleted(p *gc.Plan, want ...string) {
	w.t.Helper()
	if got := w.deleted(p); !slices.Equal(got, want) {
		w.t.Errorf("goes:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}
