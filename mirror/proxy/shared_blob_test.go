package proxy_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

var private = mirror.Repo{Host: "origin.test", Path: "private"}

// refuses has the registry say that a repository does not have a blob.
func refuses(repo mirror.Repo, d digest.Digest) func(context.Context, string) error {
	return func(_ context.Context, call string) error {
		if strings.HasSuffix(call, repo.String()+" "+d.String()) {
			return mirror.Errorf(mirror.CodeBlobUnknown, "the registry does not have %s in %s", d, repo)
		}
		return nil
	}
}

// TestAManifestIsNoRightToItsBlobs: who writes one for an upstream can name a blob that only another repository here may
// read.
func TestAManifestIsNoRightToItsBlobs(t *testing.T) {
	secret := digest.FromString("secret")
	for name, test := range map[string]struct {
		setup func(p *place) // brings the blob to the private repository
	}{
		"pushed":   {func(p *place) { p.push(private, "secret") }},
		"mirrored": {func(p *place) { p.must(p.FetchBlob(p.t.Context(), private, secret, nil)) }},
	} {
		for _, after := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				inTime(t, func(t *testing.T) {
					p := start(t, proxy.Options{})
					image := p.origin.image(app, []string{"secret"}, "v1")
					p.origin.set(refuses(app, secret))
					if !after {
						test.setup(p)
					}
					p.get(byTag("v1"), image.Digest)
					if after {
						test.setup(p)
					}
					if got, err := p.read(app, secret); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
						t.Errorf("reads %q, %v", got, err)
					}
					if size, err := p.StatBlob(t.Context(), app, secret); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
						t.Errorf("is told %d, %v", size, err)
					}
					other := mirror.Repo{Host: "origin.test", Path: "other"}
					if err := p.Mount(t.Context(), other, app, secret); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
						t.Errorf("mounts: %v", err)
					}
					p.complete("v1", false)
					if got, err := p.read(private, secret); got != "secret" || err != nil {
						t.Errorf("its own repository reads %q, %v", got, err)
					}
				})
			})
		}
	}
}

// TestABlobThatTheUpstreamHasAsWell is served once that has said so, and not transferred again if it was this upstream that
// sent it.
func TestABlobThatTheUpstreamHasAsWell(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{})
		p.origin.image(private, []string{"layer"}, "v1")
		image := p.origin.image(app, []string{"layer"}, "v1")
		p.must(p.FetchBlob(t.Context(), private, digest.FromString("layer"), nil))
		p.must(p.FetchBlob(t.Context(), private, digest.FromString("{}"), nil))
		p.get(byTag("v1"), image.Digest)
		p.pull("layer")
		p.pull("layer")
		p.pull("{}")
		p.origin.once()
		if n := p.origin.count("blob"); n != 2 {
			t.Errorf("%d transfers", n)
		}
		p.must(p.SetMode(t.Context(), mirror.Offline))
		p.pull("layer")
		p.complete("v1", true)
	})
}

// TestAWordIsNoProof: an upstream that says of any digest that it has it, and sends nothing, gives no right to read what was
// pushed, or what another host sent.
func TestAWordIsNoProof(t *testing.T) {
	secret := digest.FromString("secret")
	elsewhere := mirror.Repo{Host: "other.test", Path: "private"}
	for name, bring := range map[string]func(p *place){
		"pushed":       func(p *place) { p.push(private, "secret") },
		"another host": func(p *place) { p.must(p.FetchBlob(p.t.Context(), elsewhere, secret, nil)) },
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				p := start(t, proxy.Options{})
				p.origin.image(elsewhere, []string{"secret"}, "v1")
				image := p.origin.image(app, []string{"secret"}, "v1")
				bring(p)
				p.origin.set(func(_ context.Context, call string) error {
					if strings.HasPrefix(call, "blob ") && strings.HasSuffix(call, app.String()+" "+secret.String()) {
						return mirror.Errorf(mirror.CodeBlobUnknown, "the registry does not send %s", secret)
					}
					return nil
				})
				p.get(byTag("v1"), image.Digest)
				if got, err := p.read(app, secret); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
					t.Errorf("reads %q, %v", got, err)
				}
				p.origin.set(nil)
				p.must(p.FetchBlob(t.Context(), app, secret, nil))
				if got, err := p.read(app, secret); got != "secret" || err != nil {
					t.Errorf("after it was sent: reads %q, %v", got, err)
				}
			})
		})
	}
}

// TestAFetchOfWhatIsHeldElsewhere brings nothing new, and has the image complete.
func TestAFetchOfWhatIsHeldElsewhere(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{})
		p.origin.image(private, []string{"layer"}, "v1")
		p.origin.image(app, []string{"layer", "other"}, "v1")
		for _, content := range []string{"layer", "{}"} {
			p.must(p.FetchBlob(t.Context(), private, digest.FromString(content), nil))
		}
		got, err := p.Fetch(t.Context(), byTag("v1"), mirror.FetchOptions{})
		if got.Bytes != 12 || got.New != 5 || err != nil {
			t.Errorf("fetched %+v, %v", got, err)
		}
		if n := p.origin.count("blob"); n != 3 {
			t.Errorf("%d transfers", n)
		}
		p.must(p.SetMode(t.Context(), mirror.Offline))
		p.complete("v1", true)
	})
}

// TestRepositoriesShareATransfer, but only those whose upstreams have the blob.
func TestRepositoriesShareATransfer(t *testing.T) {
	layer := digest.FromString("a layer")
	other := mirror.Repo{Host: "origin.test", Path: "other"}
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{})
		for _, repo := range []mirror.Repo{private, app, other} {
			p.get(ofTag(repo, "v1"), p.origin.image(repo, []string{"a layer"}, "v1").Digest)
		}
		p.origin.set(refuses(app, layer))
		release, _ := trickle(p)
		first, err := p.Blob(t.Context(), private, layer)
		p.must(err)
		defer first.Close()
		if blob, err := p.Blob(t.Context(), app, layer); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
			blob.Close()
			t.Fatalf("reads from a transfer that is for somebody else, %v", err)
		}
		joined, err := p.Blob(t.Context(), other, layer)
		p.must(err)
		defer joined.Close()
		close(release)
		synctest.Wait()
		for _, blob := range []mirror.Blob{first, joined} {
			if got, err := io.ReadAll(blob); string(got) != "a layer" || err != nil {
				t.Errorf("reads %q, %v", got, err)
			}
		}
		if n := p.origin.count("blob"); n != 1 {
			t.Errorf("%d transfers", n)
		}
		p.must(p.SetMode(t.Context(), mirror.Offline))
		for repo, want := range map[mirror.Repo]string{private: "a layer", other: "a layer", app: ""} {
			if got, _ := p.read(repo, layer); got != want {
				t.Errorf("%s reads %q, want %q", repo, got, want)
			}
		}
	})
}

// TestATransferThatFailsGivesNoRight to the repositories that read from it, should the blob be pushed later.
func TestATransferThatFailsGivesNoRight(t *testing.T) {
	layer := digest.FromString("a layer")
	other := mirror.Repo{Host: "origin.test", Path: "other"}
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{})
		for _, repo := range []mirror.Repo{app, other} {
			p.get(ofTag(repo, "v1"), p.origin.image(repo, []string{"a layer"}, "v1").Digest)
		}
		trickle(p)
		for _, repo := range []mirror.Repo{app, other} {
			blob, err := p.Blob(t.Context(), repo, layer)
			p.must(err)
			defer blob.Close()
		}
		p.must(p.SetMode(t.Context(), mirror.Offline)) // ends it
		synctest.Wait()
		p.push(private, "a layer")
		for _, repo := range []mirror.Repo{app, other} {
			if got, err := p.read(repo, layer); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
				t.Errorf("%s reads %q, %v", repo, got, err)
			}
		}
	})
}

// TestAPushOfAnnouncedBlobs leaves out what the mirror said is there: it sees to it then.
func TestAPushOfAnnouncedBlobs(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{})
		p.get(byTag("v1"), p.origin.image(app, []string{"layer"}, "v1").Digest)
		p.push(private, "layer")
		for _, blob := range []string{"{}", "layer"} {
			if _, err := p.StatBlob(t.Context(), app, digest.FromString(blob)); err != nil {
				t.Errorf("blob %q: %v", blob, err)
			}
		}
		pushAsIs(p)
		p.must(p.SetMode(t.Context(), mirror.Offline))
		p.pull("layer")
	})
}

// TestWantsOfABlobThatCame: that of the repository it came for ends at once, those of others when their upstreams say so.
func TestWantsOfABlobThatCame(t *testing.T) {
	layer := digest.FromString("a layer")
	other := mirror.Repo{Host: "origin.test", Path: "other"}
	want := func(repo mirror.Repo) string { return mirror.Ref{Repo: repo, Digest: layer}.String() }
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{})
		for _, repo := range []mirror.Repo{private, app, other} {
			p.get(ofTag(repo, "v1"), p.origin.image(repo, []string{"a layer"}, "v1").Digest)
		}
		p.must(p.SetMode(t.Context(), mirror.Offline))
		for _, repo := range []mirror.Repo{private, app, other} {
			_, _ = p.read(repo, layer)
		}
		p.must(p.SetMode(t.Context(), mirror.Online))
		answer := make(chan struct{})
		p.origin.set(func(ctx context.Context, call string) error {
			if strings.HasSuffix(call, other.String()+" "+layer.String()) {
				<-answer
			}
			return refuses(app, layer)(ctx, call)
		})
		if got, err := p.read(private, layer); got != "a layer" || err != nil {
			t.Fatalf("reads %q, %v", got, err)
		}
		synctest.Wait()
		if wants := p.wants(); slices.Contains(wants, want(private)) || !slices.Contains(wants, want(other)) {
			t.Errorf("while an upstream has not answered: wants %s", wants)
		}
		close(answer)
		synctest.Wait()
		if wants := p.wants(); !slices.Equal(wants, []string{want(app)}) {
			t.Errorf("wants %s", wants)
		}
	})
}

// landing is a store in which another repository's flight lands right after a blob was looked up that is not held.
type landing struct {
	mirror.Store
	land func()
}

func (s *landing) StatBlob(ctx context.Context, repo mirror.Repo, d digest.Digest) (mirror.BlobStat, error) {
	stat, err := s.Store.StatBlob(ctx, repo, d)
	if land := s.land; land != nil && repo == app && !stat.Stored {
		s.land = nil
		land()
	}
	return stat, err
}

// TestAFlightThatLandsBetweenTheMissAndTheNext is not flown again for the other repository.
func TestAFlightThatLandsBetweenTheMissAndTheNext(t *testing.T) {
	inTime(t, func(t *testing.T) {
		var store *landing
		p := startOver(t, proxy.Options{}, func(real mirror.Store) mirror.Store {
			store = &landing{Store: real}
			return store
		})
		for _, repo := range []mirror.Repo{private, app} {
			p.get(ofTag(repo, "v1"), p.origin.image(repo, []string{"a layer"}, "v1").Digest)
		}
		store.land = func() { p.must(p.FetchBlob(t.Context(), private, digest.FromString("a layer"), nil)) }
		p.pull("a layer")
		if n := p.origin.count("blob"); n != 1 {
			t.Errorf("%d transfers", n)
		}
	})
}
