package gc_test

import (
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"

	"airmirror/mirror"
)

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
