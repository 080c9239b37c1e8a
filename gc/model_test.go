package gc_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"

	"airmirror/gc"
	"airmirror/mirror"
)

// TestModel performs random operations on a store, collections among them, and compares it with a simple model after
// each. One run takes a second, so there are fewer runs than rapid's default; set their number with -rapid.checks.
func TestModel(t *testing.T) {
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == "rapid.checks" })
	if !set {
		if err := flag.Set("rapid.checks", "25"); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		folder := memoryFolder(t)
		defer os.RemoveAll(folder) // not only at the end of the test: rapid runs a failing case hundreds of times
		var failure any            // of the bubble, which runs in another goroutine than the test
		synctest.Test(t, func(t *testing.T) {
			defer func() { failure = recover() }()
			m := newModel(inBubble{r, t.Context()}, r, folder)
			defer func() { m.testStore.close() }()
			r.Repeat(m.actions())
			m.end()
		})
		// To shrink a failing case, rapid distinguishes failures by where they panic.
		switch fmt.Sprintf("%T", failure) {
		case "<nil>":
		case "rapid.invalidData":
			panic(failure)
		default:
			panic(failure)
		}
	})
}

// actions are the operations, named in order: rapid draws the first ones more often.
func (m *model) actions() map[string]func(*rapid.T) {
	actions := map[string]func(*rapid.T){"": m.check}
	for i, action := range []struct {
		name string
		do   func(*rapid.T)
	}{
		{"mirror", m.mirrorImage}, {"collect an old plan", m.executeLate}, {"push an image", m.pushImage}, {"put an index", m.putIndex},
		{"later", m.advanceClock}, {"put a referrer", m.putReferrer}, {"collect", m.execute}, {"move a tag", m.moveTag}, {"pull", m.pull},
		{"put an owner", m.putOwner}, {"make a root", m.makeRoot}, {"put a manifest", m.putManifest}, {"push a blob", m.pushBlob}, {"ask for a blob", m.stat}, {"mount", m.mount},
		{"delete a tag", m.deleteTag}, {"delete a manifest", m.deleteManifest}, {"unlink", m.unlink},
		{"crash in a sweep", m.killDuringSweep}, {"pin", m.pin}, {"protect", m.protect}, {"crash", m.kill}, {"set the clock", m.setClock},
	} {
		actions[fmt.Sprintf("%02d %s", i, action.name)] = action.do
	}
	return actions
}

// inBubble is a test with the context of its bubble.
type inBubble struct {
	*rapid.T
	ctx context.Context
}

func (b inBubble) Context() context.Context { return b.ctx }

// model is what a store should contain.
type model struct {
	*testStore
	t         *rapid.T
	manifests map[string]map[digest.Digest]*storedManifest // by repository
	tags      map[string]map[string]storedTag
	pins      map[string]bool
	protected map[digest.Digest]func()
	// asked is when a blob was pushed, mounted or requested; received are the blobs that came from an upstream.
	asked    map[digest.Digest]time.Time
	received map[digest.Digest]bool
	policy   gc.Policy
	pending  *gc.Plan
	planned  time.Time
	crashed  bool // there may be files that are not in the index
}

// storedManifest is a manifest.
type storedManifest struct {
	origin   mirror.Origin
	blobs    []string
	children []digest.Digest // including the other manifests that it owns
	owned    []digest.Digest // blobs and manifests that it does not require
	subject  digest.Digest
	used     time.Time // when it was stored or pulled
	root     time.Time // when it was made a root
}

// storedTag is a tag.
type storedTag struct {
	to     digest.Digest
	origin mirror.Origin
	moved  time.Time
}

var (
	modelRepos = []string{hub, team}
	modelBlobs = []string{"a", "bb", "ccc", "dddd"}
	modelTags  = []string{"v1", "latest"}
)

func newModel(in tester, t *rapid.T, folder string) *model {
	m := &model{
		t: t, testStore: openStore(in, folder), manifests: make(map[string]map[digest.Digest]*storedManifest), tags: make(map[string]map[string]storedTag),
		pins: make(map[string]bool), protected: make(map[digest.Digest]func()), asked: make(map[digest.Digest]time.Time),
		received: make(map[digest.Digest]bool),
	}
	for _, repo := range modelRepos {
		m.manifests[repo], m.tags[repo] = make(map[digest.Digest]*storedManifest), make(map[string]storedTag)
	}
	// The first manifest makes a repository local or mirrored, which must not vary.
	for _, repo := range modelRepos {
		origin := mirror.Mirrored
		if repo == team {
			origin = mirror.Pushed
			m.testStore.push(repo, "a")
			m.asked[digestOf("a")] = time.Now()
		}
		m.put(repo, imageOf(origin, "", "a"), &storedManifest{origin: origin, blobs: []string{"a"}})
	}
	return m
}

func (m *model) repo() string { return rapid.SampledFrom(modelRepos).Draw(m.t, "repository") }
func (m *model) blob() string { return rapid.SampledFrom(modelBlobs).Draw(m.t, "blob") }

func (m *model) someBlobs() []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(modelBlobs), 1, 3, rapid.ID).Draw(m.t, "blobs")
}

// someTags draws no tag or one.
func (m *model) someTags() []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(modelTags), 0, 1, rapid.ID).Draw(m.t, "tags")
}

// some draws a manifest of a repository.
func (m *model) some(repo string) digest.Digest {
	if len(m.manifests[repo]) == 0 {
		m.t.Skip("no manifest")
	}
	return rapid.SampledFrom(sorted(m.manifests[repo])).Draw(m.t, "manifest")
}

// put stores a manifest and records it.
func (m *model) put(repo string, man mirror.Manifest, h *storedManifest, tags ...string) {
	m.t.Helper()
	m.must(m.PutManifest(m.Context(), repoOf(repo), man, tags...))
	m.record(repo, man, h, tags...)
}

// record records a manifest that was stored. Receiving it again from an upstream is not a use; moving its tag is.
func (m *model) record(repo string, man mirror.Manifest, h *storedManifest, tags ...string) {
	h.used = time.Now()
	if old := m.manifests[repo][man.Digest]; old != nil {
		h.root = old.root
		if old.origin == mirror.Pushed {
			h.origin = mirror.Pushed
		}
		if man.Origin == mirror.Mirrored {
			h.used = old.used
		}
	}
	m.manifests[repo][man.Digest] = h
	for _, tag := range tags {
		old, found := m.tags[repo][tag]
		if found && old.origin == mirror.Pushed && man.Origin == mirror.Mirrored {
			continue // an upstream moves no pushed tag
		}
		moved := storedTag{man.Digest, man.Origin, time.Now()}
		if old.to == man.Digest {
			moved.moved = old.moved
			if old.origin == mirror.Pushed {
				moved.origin = mirror.Pushed
			}
		}
		m.tags[repo][tag] = moved
	}
}

func (m *model) pushBlob(*rapid.T) {
	blob := m.blob()
	m.push(m.repo(), blob)
	m.asked[digestOf(blob)] = time.Now()
}

func (m *model) pushImage(*rapid.T) {
	repo, blobs := m.repo(), m.someBlobs()
	for _, blob := range blobs {
		m.push(repo, blob)
		m.asked[digestOf(blob)] = time.Now()
	}
	m.put(repo, imageOf(mirror.Pushed, "", blobs...), &storedManifest{origin: mirror.Pushed, blobs: blobs}, m.someTags()...)
}

// putManifest pushes a manifest whose blobs may be missing.
func (m *model) putManifest(*rapid.T) {
	repo, blobs, tags := m.repo(), m.someBlobs(), m.someTags()
	man := imageOf(mirror.Pushed, "", blobs...)
	err := m.PutManifest(m.Context(), repoOf(repo), man, tags...)
	switch mirror.CodeOf(err) {
	case "":
		m.record(repo, man, &storedManifest{origin: mirror.Pushed, blobs: blobs}, tags...)
	case mirror.CodeManifestBlobUnknown:
	default:
		m.t.Fatal(err)
	}
}

// mirrorImage stores a mirrored manifest and some of its blobs.
func (m *model) mirrorImage(*rapid.T) {
	repo, blobs := m.repo(), m.someBlobs()
	m.put(repo, imageOf(mirror.Mirrored, "", blobs...), &storedManifest{origin: mirror.Mirrored, blobs: blobs}, m.someTags()...)
	for _, blob := range blobs[:rapid.IntRange(0, len(blobs)).Draw(m.t, "received")] {
		m.receive(repo, blob)
		m.asked[digestOf(blob)] = time.Now()
		m.received[digestOf(blob)] = true
	}
}

func (m *model) putIndex(*rapid.T) {
	repo := m.repo()
	child := m.some(repo)
	origin := rapid.SampledFrom([]mirror.Origin{mirror.Pushed, mirror.Mirrored}).Draw(m.t, "origin")
	children := []digest.Digest{child, m.some(repo)}
	m.put(repo, indexOf(origin, children...), &storedManifest{origin: origin, children: children}, m.someTags()...)
}

// putOwner stores a manifest that requires nothing: it names a blob that was just pushed, one that may be missing,
// and a manifest.
func (m *model) putOwner(*rapid.T) {
	repo, blob := m.repo(), m.blob()
	m.push(repo, blob)
	m.asked[digestOf(blob)] = time.Now()
	child := m.some(repo)
	origin := rapid.SampledFrom([]mirror.Origin{mirror.Pushed, mirror.Mirrored}).Draw(m.t, "origin")
	man := ownerManifest(origin, rapid.Bool().Draw(m.t, "known"), digestOf(blob), digestOf(m.blob()), child)
	_, refs, err := mirror.ParseManifest(man.MediaType, man.Bytes)
	m.must(err)
	h := &storedManifest{origin: origin, children: []digest.Digest{child}}
	for _, desc := range refs.Owned() {
		if !slices.Contains(h.owned, desc.Digest) {
			h.owned = append(h.owned, desc.Digest)
		}
	}
	m.put(repo, man, h, m.someTags()...)
}

func (m *model) putReferrer(*rapid.T) {
	repo, blob := m.repo(), m.blob()
	subject := m.some(repo)
	m.push(repo, blob)
	m.asked[digestOf(blob)] = time.Now()
	origin := rapid.SampledFrom([]mirror.Origin{mirror.Pushed, mirror.Mirrored}).Draw(m.t, "origin")
	man := imageOf(origin, subject, blob)
	var tags []string
	if rapid.Bool().Draw(m.t, "by tag") {
		tags = []string{strings.Replace(subject.String(), ":", "-", 1) + ".sig"}
	}
	m.put(repo, man, &storedManifest{origin: origin, blobs: []string{blob}, subject: subject}, tags...)
}

// moveTag points a tag at a stored manifest.
func (m *model) moveTag(*rapid.T) {
	repo := m.repo()
	d := m.some(repo)
	old := m.manifests[repo][d]
	data, err := m.file(d)
	m.must(err)
	stored, err := m.Manifest(m.Context(), repoOf(repo), d)
	m.must(err)
	man := mirror.Manifest{MediaType: stored.MediaType, Digest: d, Bytes: data, Origin: old.origin}
	again := *old
	m.put(repo, man, &again, rapid.SampledFrom(modelTags).Draw(m.t, "tag"))
}

// pull pulls a manifest and its stored blobs.
func (m *model) pull(*rapid.T) {
	repo := m.repo()
	d := m.some(repo)
	man, err := m.Manifest(m.Context(), repoOf(repo), d)
	m.must(err)
	if digest.FromBytes(man.Bytes) != d {
		m.t.Fatalf("manifest %s is %q", d, man.Bytes)
	}
	h := m.manifests[repo][d]
	h.used = time.Now()
	for _, blob := range h.blobs {
		if err := m.read(repo, blob); err == nil {
			m.asked[digestOf(blob)] = time.Now()
		} else if h.origin != mirror.Mirrored || mirror.CodeOf(err) != mirror.CodeBlobUnknown {
			m.t.Fatalf("blob %q of %s@%s: %v", blob, repo, d, err)
		}
	}
}

func (m *model) stat(*rapid.T) {
	repo, blob := m.repo(), m.blob()
	stat, err := m.StatBlob(m.Context(), repoOf(repo), digestOf(blob))
	m.must(err)
	if stat.Stored && stat.Linked {
		m.asked[digestOf(blob)] = time.Now()
	}
}

func (m *model) mount(*rapid.T) {
	blob := m.blob()
	_, err := m.Mount(m.Context(), repoOf(m.repo()), repoOf(m.repo()), digestOf(blob))
	if err == nil {
		m.asked[digestOf(blob)] = time.Now()
	} else if mirror.CodeOf(err) != mirror.CodeBlobUnknown {
		m.t.Fatal(err)
	}
}

func (m *model) unlink(*rapid.T) {
	blob := m.blob()
	err := m.Unlink(m.Context(), repoOf(m.repo()), digestOf(blob))
	switch mirror.CodeOf(err) {
	case "":
		delete(m.asked, digestOf(blob)) // the unlinked repository may be the one that requested it
	case mirror.CodeBlobUnknown, mirror.CodeUnsupported:
	default:
		m.t.Fatal(err)
	}
}

func (m *model) deleteManifest(*rapid.T) {
	repo := m.repo()
	d := m.some(repo)
	m.must(m.DeleteManifest(m.Context(), repoOf(repo), d))
	for _, blob := range m.manifests[repo][d].blobs {
		delete(m.asked, digestOf(blob)) // links to blobs that never arrived are deleted with the manifest
	}
	m.removeRecord(repo, d)
}

func (m *model) removeRecord(repo string, d digest.Digest) {
	delete(m.manifests[repo], d)
	for tag, p := range m.tags[repo] {
		if p.to == d {
			delete(m.tags[repo], tag)
		}
	}
}

func (m *model) deleteTag(*rapid.T) {
	repo := m.repo()
	if len(m.tags[repo]) == 0 {
		m.t.Skip("no tag")
	}
	tag := rapid.SampledFrom(sorted(m.tags[repo])).Draw(m.t, "tag")
	m.must(m.DeleteTag(m.Context(), repoOf(repo), tag))
	delete(m.tags[repo], tag)
}

func (m *model) pin(*rapid.T) {
	repo := m.repo()
	ref := repo + "@" + m.some(repo).String()
	if rapid.Bool().Draw(m.t, "by tag") {
		ref = repo + ":" + rapid.SampledFrom(modelTags).Draw(m.t, "tag")
	}
	note := []byte("{}")
	if m.pins[ref] {
		note = nil
	}
	m.must(m.SetState(m.Context(), mirror.PinState, map[string][]byte{ref: note}))
	m.pins[ref] = note != nil
}

func (m *model) makeRoot(*rapid.T) {
	repo := m.repo()
	d := m.some(repo)
	_, err := m.PointTags(m.Context(), []mirror.ImportedTag{{Repo: repoOf(repo), Digest: d}}, false)
	m.must(err)
	if h := m.manifests[repo][d]; h.root.IsZero() {
		h.root = time.Now()
	}
}

func (m *model) protect(*rapid.T) {
	d := m.some(m.repo())
	if release := m.protected[d]; release != nil {
		release()
		delete(m.protected, d)
		return
	}
	m.protected[d] = m.Protect(d)
}

func (m *model) advanceClock(*rapid.T) {
	later(rapid.SampledFrom([]time.Duration{time.Second, 20 * time.Minute, 50 * time.Minute, 3 * time.Hour}).Draw(m.t, "time"))
	synctest.Wait() // for background work of the store
}

func sorted[K ~string, V any](m map[K]V) []K {
	var keys []K
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
