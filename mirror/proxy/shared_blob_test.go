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

// TestManifestGivesNoRightToItsBlobs checks that a mirrored manifest does not make blobs of another repository
// readable. Its author may name any blob.
func TestManifestGivesNoRightToItsBlobs(t *testing.T) {
	secret := digest.FromString("secret")
	for name, test := range map[string]struct {
		setup func(p *place) // stores the blob for the private repository
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
						t.Errorf("stat: %d, %v", size, err)
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

// TestConfirmedBlobIsReadable checks that a blob becomes readable once the upstream has confirmed it, without a second
// transfer if the same upstream sent it.
func TestConfirmedBlobIsReadable(t *testing.T) {
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

// TestConfirmationIsNoProofForOtherOrigins checks that an upstream which confirms any digest, and sends nothing, gives
// no right to read pushed blobs or those of another host.
func TestConfirmationIsNoProofForOtherOrigins(t *testing.T) {
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

// TestFetchOfBlobsOfAnotherRepository checks that a fetch completes an image without a transfer if another repository
// has its blobs.
func TestFetchOfBlobsOfAnotherRepository(t *testing.T) {
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

// TestRepositoriesShareADownload checks that repositories share a download if their upstreams confirm the blob.
func TestRepositoriesShareADownload(t *testing.T) {
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
			t.Fatalf("reads from the download of another repository: %v", err)
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

// TestFailedDownloadGivesNoRight checks that repositories that shared a failed download cannot read the blob when it is
// pushed later.
func TestFailedDownloadGivesNoRight(t *testing.T) {
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

// TestPushFetchesReferencedBlobs checks that a push may leave out blobs that a mirrored manifest names: the mirror
// fetches them.
func TestPushFetchesReferencedBlobs(t *testing.T) {
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

// TestStoredBlobRemovesWants checks that the want of the repository is removed at once, and those of others when their
// upstreams confirm the blob.
func TestStoredBlobRemovesWants(t *testing.T) {
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

// landing is a store in which the download of another repository ends right after a lookup has missed the blob.
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

// TestDownloadThatEndsBeforeTheNextIsNotRepeated checks that a blob that was stored between a miss and its download is
// not transferred again.
func TestDownloadThatEndsBeforeTheNextIsNotRepeated(t *testing.T) {
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
