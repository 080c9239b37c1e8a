package proxy_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

var ours = mirror.Repo{Host: "origin.test", Path: "ours"}

// path is where the store keeps a file.
func (p *place) path(d digest.Digest) string {
	return filepath.Join(p.folder, "blobs", d.Algorithm().String(), d.Encoded()[:2], d.Encoded())
}

// damages are kinds of damage to a file.
var damages = map[string]func(*place, digest.Digest){
	"truncated": func(p *place, d digest.Digest) { p.must(os.Truncate(p.path(d), 1)) },
	"longer": func(p *place, d digest.Digest) {
		data, err := os.ReadFile(p.path(d))
		p.must(err)
		p.must(os.WriteFile(p.path(d), append(data, "more"...), 0o600))
	},
	"removed":      func(p *place, d digest.Digest) { p.must(os.Remove(p.path(d))) },
	"another byte": (*place).flip,
	"a folder": func(p *place, d digest.Digest) {
		p.must(os.Remove(p.path(d)))
		p.must(os.Mkdir(p.path(d), 0o700))
	},
}

// flip changes the last byte of a file. The clock of a file system may stand still for some milliseconds, so that the file
// is given another time as well.
func (p *place) flip(d digest.Digest) {
	p.t.Helper()
	data, err := os.ReadFile(p.path(d))
	p.must(err)
	data[len(data)-1] ^= 1
	p.must(os.WriteFile(p.path(d), data, 0o600))
	p.must(os.Chtimes(p.path(d), time.Time{}, time.Unix(1, 0)))
}

// pushed pushes an image with one blob to ours, which is local.
func (p *place) pushed(content string) (manifest, blob digest.Digest) {
	p.t.Helper()
	p.push(ours, content)
	blob = digest.FromString(content)
	man, _, err := p.PutManifest(p.t.Context(), mirror.Put{Repo: ours, MediaType: v1.MediaTypeImageManifest, Tags: []string{"v1"}, Bytes: []byte(
		`{"schemaVersion":2,"config":{"mediaType":"application/octet-stream","digest":"` + blob.String() + `","size":` + sizeOf(content) + `},"layers":[]}`)})
	p.must(err)
	return man.Digest, blob
}

func TestDamagedBlobIsFetchedAgain(t *testing.T) {
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				p := fetched(t, proxy.Options{})
				damage(p, digest.FromString("one"))
				p.pull("one")
				later(time.Second) // a download ends after its last byte was read
				p.complete("v1", true)
				p.pull("one")
				if n := p.origin.count("blob origin.test/org/app " + digest.FromString("one").String()); n != 2 {
					t.Errorf("fetched %d times, want 2", n)
				}
				if wants := p.wants(); len(wants) != 0 {
					t.Errorf("wanted: %v", wants)
				}
			})
		})
	}
}

// TestDamagedLocalBlobIsWanted checks that a damaged blob of a local repository becomes a want until it is pushed
// again.
func TestDamagedLocalBlobIsWanted(t *testing.T) {
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			p := start(t, proxy.Options{})
			p.origin.set(forbidden(t))
			_, blob := p.pushed("ours alone")
			damage(p, blob)
			for range 2 {
				if got, err := p.read(ours, blob); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
					t.Errorf("%q, %v", got, err)
				}
			}
			wants := p.Wants()
			if len(wants) != 1 || wants[0].Count != 2 || !wants[0].Blob || wants[0].Reason == "" || !strings.HasSuffix(wants[0].Ref, blob.String()) {
				t.Errorf("%+v", wants)
			}
			if _, err := p.StatBlob(t.Context(), ours, blob); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
				t.Errorf("a client would not push it again: %v", err)
			}
			p.push(ours, "ours alone")
			if got, err := p.read(ours, blob); err != nil || got != "ours alone" {
				t.Errorf("%q, %v", got, err)
			}
			if wants := p.wants(); len(wants) != 0 {
				t.Errorf("wanted: %v", wants)
			}
		})
	}
}

// TestDamagedBlobIsNotMounted checks that the client pushes the blob instead, which repairs it for all repositories.
func TestDamagedBlobIsNotMounted(t *testing.T) {
	other := mirror.Repo{Host: "origin.test", Path: "other"}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			p := start(t, proxy.Options{})
			p.origin.set(forbidden(t))
			_, blob := p.pushed("layer")
			damage(p, blob)
			if err := p.Mount(t.Context(), other, ours, blob); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
				t.Fatalf("it is mounted: %v", err)
			}
			p.push(other, "layer")
			p.must(p.Mount(t.Context(), other, ours, blob))
			if got, err := p.read(ours, blob); got != "layer" || err != nil {
				t.Errorf("it is %q, %v after a push of it", got, err)
			}
		})
	}
}

// TestReadOfDamagedLargeBlobFails checks that a client of a damaged blob, which is verified while it is read, never
// gets the last byte.
func TestReadOfDamagedLargeBlobFails(t *testing.T) {
	p := start(t, proxy.Options{})
	p.origin.set(forbidden(t))
	content := strings.Repeat("large", 2<<20)
	_, blob := p.pushed(content)
	p.restart()
	if got, err := p.read(ours, blob); err != nil || got != content {
		t.Fatalf("undamaged: %d bytes, %v", len(got), err)
	}
	p.flip(blob)
	got, err := p.read(ours, blob)
	if mirror.CodeOf(err) != mirror.CodeBlobUnknown || len(got) != len(content)-1 {
		t.Errorf("damaged: %d bytes of %d, %v", len(got), len(content), err)
	}
	if _, err := p.StatBlob(t.Context(), ours, blob); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
		t.Errorf("a client would not push it again: %v", err)
	}
	if _, err := os.Stat(filepath.Join(p.folder, "quarantine")); err != nil {
		t.Error(err)
	}
	p.push(ours, content)
	if got, err := p.read(ours, blob); err != nil || got != content {
		t.Errorf("pushed again: %d bytes, %v", len(got), err)
	}
}

// TestManifestWithALostLayerIsRefused checks that no push is acknowledged whose layer has lost its file.
func TestManifestWithALostLayerIsRefused(t *testing.T) {
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			p := start(t, proxy.Options{})
			p.origin.set(forbidden(t))
			p.push(ours, "layer")
			blob := digest.FromString("layer")
			damage(p, blob)
			if name == "another byte" { // its size is right, so only reading it finds the damage
				_, err := p.StatBlob(t.Context(), ours, blob)
				if mirror.CodeOf(err) != mirror.CodeBlobUnknown {
					t.Errorf("HEAD: %v", err)
				}
			}
			_, _, err := p.PutManifest(t.Context(), mirror.Put{Repo: ours, MediaType: v1.MediaTypeImageManifest, Tags: []string{"v1"}, Bytes: []byte(
				`{"schemaVersion":2,"config":{"mediaType":"application/octet-stream","digest":"` + blob.String() + `","size":5},"layers":[]}`)})
			if mirror.CodeOf(err) != mirror.CodeManifestBlobUnknown {
				t.Errorf("manifest: %v", err)
			}
			p.push(ours, "layer")
			if got, err := p.read(ours, blob); err != nil || got != "layer" {
				t.Errorf("pushed again: %q, %v", got, err)
			}
		})
	}
}

func TestDamagedManifestIsFetchedAgain(t *testing.T) {
	for name, damage := range damages {
		for by, fresh := range map[string]time.Duration{"digest": 0, "tag": mirror.Forever, "revalidated tag": 0} {
			t.Run(name+", by "+by, func(t *testing.T) {
				p := start(t, proxy.Options{TagTTL: func(mirror.Ref) time.Duration { return fresh }})
				d := p.origin.image(app, []string{"layer"}, "v1").Digest
				p.get(byTag("v1"), d)
				p.restart() // it is not in memory
				damage(p, d)
				if images := p.images(); len(images) != 1 {
					t.Errorf("listed: %v", images)
				}
				if by == "digest" {
					p.get(byDigest(d), d)
				} else if answer := p.get(byTag("v1"), d); answer.Stale != nil {
					t.Errorf("stale: %v", answer.Stale)
				}
				p.restart()
				p.origin.set(forbidden(t))
				p.must(p.SetMode(t.Context(), mirror.Offline))
				p.get(byTag("v1"), d)
				p.get(byDigest(d), d)
			})
		}
	}
}

func TestDamagedLocalManifestIsWanted(t *testing.T) {
	p := start(t, proxy.Options{})
	p.origin.set(forbidden(t))
	d, _ := p.pushed("ours alone")
	p.restart()
	p.flip(d)
	p.missing(ofTag(ours, "v1"))
	p.missing(mirror.Ref{Repo: ours, Digest: d})
	want := mirror.Ref{Repo: ours, Digest: d}.String()
	if wants := p.wants(); !slices.Equal(wants, []string{want}) {
		t.Errorf("wanted: %v, want %s", wants, want)
	}
	p.pushed("ours alone")
	if answer, err := p.Manifest(t.Context(), ofTag(ours, "v1")); err != nil || answer.Digest != d {
		t.Errorf("%+v, %v", answer, err)
	}
	if wants := p.wants(); len(wants) != 0 {
		t.Errorf("wanted: %v", wants)
	}
}

// TestLostContentIsWantedAfterANegativeAnswer checks that lost content remains a want if the upstream does not have it
// any more.
func TestLostContentIsWantedAfterANegativeAnswer(t *testing.T) {
	p := start(t, proxy.Options{TagTTL: func(mirror.Ref) time.Duration { return mirror.Forever }})
	p.origin.image(app, []string{"layer"}, "v1")
	_, err := p.Fetch(t.Context(), byTag("v1"), mirror.FetchOptions{})
	p.must(err)
	delete(p.origin.blobs, digest.FromString("layer"))
	p.must(os.Remove(p.path(digest.FromString("layer"))))
	if _, err := p.read(app, digest.FromString("layer")); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
		t.Error(err)
	}
	if wants := p.wants(); !slices.Equal(wants, []string{byDigest(digest.FromString("layer")).String()}) {
		t.Errorf("wanted: %v", wants)
	}
	p.complete("v1", false)
}
