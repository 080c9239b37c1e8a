package gc_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
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
		{"put an owner", m.putOwner}, {"make a root", m.makeRoot}, {"put a manifest", m.putManifest}, {"push a blob", m.pushBlob}, {"ask for a blob", m.stat}, {"mount", m.mount}, {"plan a removal", m.planRemoval},
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

func sorted[K ~string, V any](m map[K]V) []K {
	var keys []K
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
