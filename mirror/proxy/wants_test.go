package proxy_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

func TestWants(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{})
		layer := digest.FromString("layer")
		p.origin.set(down)
		for i := range 3 {
			ctx := mirror.WithClient(t.Context(), &net.TCPAddr{IP: net.IPv4(10, 0, 0, byte(i)), Port: 4000 + i})
			for range i {
				_, _ = p.Manifest(ctx, byTag("v1"))
				later(time.Second)
			}
		}
		p.must(p.SetMode(t.Context(), mirror.Offline))
		p.missing(byTag("v2"))
		p.missing(byDigest(layer))
		if _, err := p.read(app, digest.FromString("other")); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
			t.Error(err)
		}
		wants := p.Wants()
		if len(wants) != 4 || wants[0].Ref != byTag("v1").String() {
			t.Fatalf("%+v", wants)
		}
		most := wants[0]
		if most.Count != 3 || most.Last.Sub(most.First) != 2*time.Second || !slices.Equal(most.Clients, []string{"10.0.0.2", "10.0.0.1"}) ||
			!strings.Contains(most.Reason, "down") || most.Blob {
			t.Errorf("%+v", most)
		}
		for _, want := range wants[1:] {
			if blob := want.Ref == byDigest(digest.FromString("other")).String(); want.Blob != blob || want.Count != 1 {
				t.Errorf("%+v", want)
			}
		}
	})
}

func TestMissesThatAreNoWants(t *testing.T) {
	ours := mirror.Repo{Host: "origin.test", Path: "ours"}
	p := start(t, proxy.Options{})
	p.push(ours, "{}")
	_, _, err := p.PutManifest(t.Context(), mirror.Put{Repo: ours, MediaType: v1.MediaTypeImageManifest, Tags: []string{"v1"}, Bytes: emptyImage(p.origin)})
	p.must(err)
	ask := func() {
		p.missing(ofTag(ours, "v2"))
		_, _ = p.read(ours, digest.FromString("nothing"))
		_, _ = p.StatBlob(t.Context(), ours, digest.FromString("nothing"))
		_, _ = p.StatBlob(t.Context(), app, digest.FromString("about to be pushed"))
	}
	p.missing(byTag("no-such-tag"))
	ask()
	p.must(p.SetMode(t.Context(), mirror.Offline))
	ask()
	if wants := p.wants(); len(wants) != 0 {
		t.Errorf("%s", wants)
	}
	if n := p.origin.count(""); n != 1 {
		t.Errorf("%d questions, want one for the tag that does not exist", n)
	}
}

// emptyImage is an image that only needs the config {}.
func emptyImage(o *origin) []byte {
	man, err := o.manifest(byDigest(o.image(app, nil).Digest))
	if err != nil {
		o.t.Fatal(err)
	}
	return man.Bytes
}

func TestWantsSurviveARestart(t *testing.T) {
	p := start(t, proxy.Options{Mode: mirror.Offline})
	ctx := mirror.WithClient(t.Context(), &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 4000})
	_, _ = p.Manifest(ctx, byTag("v1"))
	p.missing(byTag("v2"))
	before := p.Wants()
	if n := p.ForgetWants(byTag("v2").String(), "unknown"); n != 1 {
		t.Errorf("%d forgotten", n)
	}
	p.restart()
	after := p.Wants()
	i := slices.IndexFunc(before, func(w mirror.Want) bool { return w.Ref == byTag("v1").String() })
	if len(after) != 1 || fmt.Sprint(after[0]) != fmt.Sprint(before[i]) {
		t.Errorf("%+v, want %+v", after, before[i])
	}
	if n := p.ForgetWants(); n != 1 || len(p.Wants()) != 0 {
		t.Errorf("%d forgotten, %d left", n, len(p.Wants()))
	}
	p.restart()
	if len(p.Wants()) != 0 {
		t.Errorf("%+v", p.Wants())
	}
}

func TestWantsAreSavedBeforeClose(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{Mode: mirror.Offline})
		p.missing(byTag("v1"))
		later(6 * time.Second)
		notes, err := p.store.State(t.Context(), "want")
		if p.must(err); len(notes) != 1 {
			t.Errorf("saved before a crash: %s", notes)
		}
		p.ForgetWants()
		later(6 * time.Second)
		notes, err = p.store.State(t.Context(), "want")
		if p.must(err); len(notes) != 0 {
			t.Errorf("forgotten wants would come back: %s", notes)
		}
	})
}

func TestWantsAreLimited(t *testing.T) {
	p := start(t, proxy.Options{Mode: mirror.Offline})
	for range 2 {
		p.missing(byTag("wanted"))
	}
	for i := range 10_200 {
		p.missing(byTag(fmt.Sprintf("scanned-%d", i)))
	}
	wants := p.wants()
	// They are forgotten many at a time: one at a time, each miss would cost a look at all of them.
	if len(wants) < 9_000 || len(wants) > 9_500 || wants[0] != byTag("wanted").String() {
		t.Errorf("%d wants, the first is %s", len(wants), wants[0])
	}
	p.restart()
	if again := p.wants(); !slices.Equal(again, wants) {
		t.Errorf("%d wants after a restart", len(again))
	}
}

func TestWantsRecordClientsAndReasons(t *testing.T) {
	p := start(t, proxy.Options{})
	arm := on("linux", "arm64", p.origin.image(app, []string{"layer"}))
	p.get(byTag("v1"), p.origin.index(app, []v1.Descriptor{arm}, "v1").Digest)
	p.must(p.SetMode(t.Context(), mirror.Offline))
	p.missing(byDigest(arm.Digest))
	p.missing(byDigest(digest.FromString("something else")))
	p.missing(byTag("v2"))
	for _, want := range p.Wants() {
		platform := ""
		if want.Ref == byDigest(arm.Digest).String() {
			platform = "linux/arm64"
		}
		if want.Platform != platform {
			t.Errorf("%+v", want)
		}
	}
}

func TestStoredContentRemovesWants(t *testing.T) {
	setup := func(t *testing.T) *place {
		p := start(t, proxy.Options{})
		p.origin.image(app, []string{"layer"}, "v1")
		p.must(p.SetMode(t.Context(), mirror.Offline))
		man := p.origin.tags[byTag("v1").String()]
		p.missing(byTag("v1"))
		p.missing(byDigest(man))
		_, _ = p.read(app, digest.FromString("layer"))
		if len(p.Wants()) != 3 {
			t.Fatal(p.wants())
		}
		return p
	}
	for name, fulfil := range map[string]func(p *place){
		"pull": func(p *place) {
			p.must(p.SetMode(p.t.Context(), mirror.Auto))
			p.get(byTag("v1"), p.origin.tags[byTag("v1").String()])
			p.pull("layer")
		},
		"fetch": func(p *place) {
			p.must(p.SetMode(p.t.Context(), mirror.Auto))
			_, err := p.Fetch(p.t.Context(), byTag("v1"), mirror.FetchOptions{})
			p.must(err)
		},
		"fetch of each": func(p *place) {
			p.must(p.SetMode(p.t.Context(), mirror.Auto))
			p.must(p.FetchBlob(p.t.Context(), app, digest.FromString("layer"), nil))
			_, err := p.Fetch(p.t.Context(), byTag("v1"), mirror.FetchOptions{})
			p.must(err)
		},
		"push": func(p *place) {
			p.push(app, "{}")
			p.push(app, "layer")
			pushAsIs(p)
		},
		"mount": func(p *place) {
			other := mirror.Repo{Host: "origin.test", Path: "other"}
			p.push(other, "{}")
			p.push(other, "layer")
			p.must(p.Mount(p.t.Context(), app, other, digest.FromString("{}")))
			p.must(p.Mount(p.t.Context(), app, other, digest.FromString("layer")))
			pushAsIs(p)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				p := setup(t)
				fulfil(p)
				later(time.Second) // a download ends after its client has read it
				if wants := p.wants(); len(wants) != 0 {
					t.Errorf("still wanted: %s", wants)
				}
				p.restart()
				if wants := p.wants(); len(wants) != 0 {
					t.Errorf("wanted after a restart: %s", wants)
				}
			})
		})
	}
}

// pushAsIs pushes v1 as the registry has it.
func pushAsIs(p *place) {
	p.t.Helper()
	man, err := p.origin.manifest(byTag("v1"))
	p.must(err)
	_, _, err = p.PutManifest(p.t.Context(), mirror.Put{Repo: app, MediaType: man.MediaType, Bytes: man.Bytes, Tags: []string{"v1"}})
	p.must(err)
}

func TestWantsNamePlatforms(t *testing.T) {
	p := start(t, proxy.Options{})
	index := world(p.origin)
	p.get(byTag("v1"), index.Digest)
	p.must(p.SetMode(t.Context(), mirror.Offline))
	arm := p.origin.image(app, []string{"shared", "arm64"}).Digest
	p.missing(byDigest(arm))
	p.missing(byDigest(digest.FromString("no index names it")))
	_, _ = p.read(app, digest.FromString("shared"))
	for range 2 {
		for _, want := range p.Wants() {
			platform := ""
			if want.Ref == byDigest(arm).String() {
				platform = "linux/arm64/v8"
			}
			if want.Platform != platform {
				t.Errorf("%+v, want platform %q", want, platform)
			}
		}
		p.restart()
	}
}

// TestBlobRemovesWantsOfAllRepositories checks that one download removes the wants of all repositories whose manifests
// name the blob.
func TestBlobRemovesWantsOfAllRepositories(t *testing.T) {
	other := mirror.Repo{Host: "origin.test", Path: "other"}
	for name, fetch := range map[string]func(p *place){
		"a pull":  func(p *place) { p.pull("layer") },
		"a fetch": func(p *place) { p.must(p.FetchBlob(p.t.Context(), app, digest.FromString("layer"), nil)) },
		"a fetch of what came before it was wanted": func(p *place) {
			p.push(mirror.Repo{Host: "origin.test", Path: "third"}, "layer")
			for _, repo := range []mirror.Repo{app, other} {
				p.must(p.FetchBlob(p.t.Context(), repo, digest.FromString("layer"), nil))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				p := start(t, proxy.Options{})
				p.stat(byTag("v1"), p.origin.image(app, []string{"layer"}, "v1").Digest)
				p.stat(ofTag(other, "v1"), p.origin.image(other, []string{"layer"}, "v1").Digest)
				nobody := mirror.Repo{Host: "origin.test", Path: "nobody"}
				p.must(p.SetMode(t.Context(), mirror.Offline))
				for _, repo := range []mirror.Repo{app, other, nobody} {
					_, _ = p.read(repo, digest.FromString("layer"))
				}
				p.must(p.SetMode(t.Context(), mirror.Auto))
				fetch(p)
				later(time.Second) // a download ends after its client has read it
				want := mirror.Ref{Repo: nobody, Digest: digest.FromString("layer")}.String()
				if wants := p.wants(); !slices.Equal(wants, []string{want}) {
					t.Errorf("wanted: %s, want only %s", wants, want)
				}
			})
		})
	}
}

// TestWantsAreSharedBetweenClients checks that a client with endless misses has its own wants evicted and gets no more
// than half, and that among those of one address, the repository with the most wants is evicted first.
func TestWantsAreSharedBetweenClients(t *testing.T) {
	p := start(t, proxy.Options{Mode: mirror.Offline})
	from := func(last byte, ref mirror.Ref) {
		ctx := mirror.WithClient(t.Context(), &net.TCPAddr{IP: net.IPv4(192, 0, 2, last), Port: 4000})
		if _, err := p.Manifest(ctx, ref); mirror.CodeOf(err) != mirror.CodeManifestUnknown {
			t.Fatal(err)
		}
	}
	named := func(path string) mirror.Ref {
		return mirror.Ref{Repo: mirror.Repo{Host: "origin.test", Path: path}, Tag: "v1"}
	}
	flood := func(last byte) {
		for i := range 11_000 {
			from(last, named(fmt.Sprintf("flood%d/%d", last, i)))
		}
	}
	has := func(path string) bool {
		return slices.ContainsFunc(p.Wants(), func(w mirror.Want) bool { return w.Ref == named(path).String() })
	}
	from(1, named("needed/by-one"))
	from(66, named("needed/by-both")) // first by the hostile one
	from(1, named("needed/by-both"))
	for i := range 300 {
		from(2, named(fmt.Sprintf("needed/by-many/%d", i)))
	}
	flood(66)
	flood(67)
	from(3, named("needed/by-the-next"))
	for _, path := range []string{"needed/by-one", "needed/by-both", "needed/by-many/0", "needed/by-many/299", "needed/by-the-next"} {
		if !has(path) {
			t.Errorf("the want of %s is forgotten", path)
		}
	}
	if n := len(p.Wants()); n < 12_000 || n > 20_000 {
		t.Errorf("%d wants", n)
	}
	from(66, named("behind/the-same-address"))
	for i := range 11_000 {
		from(66, byTag(fmt.Sprintf("endless-%d", i)))
	}
	if !has("behind/the-same-address") {
		t.Error("endless tags of one repository have others of the same address forgotten")
	}
}

// TestMissedReferrersAreNoWants checks that missing signatures are no wants: policy controllers request one for each
// image, and most images have none.
func TestMissedReferrersAreNoWants(t *testing.T) {
	const hex = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for name, opts := range map[string]proxy.Options{"offline": {Mode: mirror.Offline}, "while the registry is down": {}} {
		t.Run(name, func(t *testing.T) {
			p := start(t, opts)
			p.origin.set(down)
			for _, tag := range []string{"sha256-" + hex, "sha256-" + hex + ".sig", "sha256-" + hex + ".att", "sha256-" + hex + ".sbom", "sha512-" + hex + hex + ".sig"} {
				p.missing(byTag(tag))
				_, err := p.StatManifest(t.Context(), byTag(tag))
				if mirror.CodeOf(err) != mirror.CodeManifestUnknown {
					t.Errorf("%s: %v", tag, err)
				}
			}
			if wants := p.wants(); len(wants) != 0 {
				t.Errorf("wants %q", wants)
			}
			for _, tag := range []string{"sha256-" + hex[1:] + ".sig", "sha256-" + hex + ".exe", "v1.sig"} { // names of images
				p.missing(byTag(tag))
			}
			if wants := p.wants(); len(wants) != 3 {
				t.Errorf("wants %q", wants)
			}
		})
	}
}
