package proxy_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

// progress adds up what it receives.
type progress struct{ total, done atomic.Int64 }

func (p *progress) AddTotal(n int64)  { p.total.Add(n) }
func (p *progress) AddDone(n int64)   { p.done.Add(n) }
func (p *progress) SetCurrent(string) {}

// world is an image for several platforms with all kinds of content.
func world(o *origin) (index v1.Descriptor) {
	amd := on("linux", "amd64", o.image(app, []string{"shared", "amd64"}))
	arm := on("linux", "arm64", o.image(app, []string{"shared", "arm64"}))
	arm.Platform.Variant = "v8"
	windows := o.index(app, []v1.Descriptor{on("windows", "amd64", o.image(app, []string{"windows"}))})
	attestation := on("unknown", "unknown", o.about(app, amd, "attestation", false))
	index = o.index(app, []v1.Descriptor{amd, arm, windows, attestation}, "v1")
	signature := o.about(app, index, "signature", true)
	o.about(app, signature, "signature of the signature", true)
	cosign := strings.Replace(amd.Digest.String(), ":", "-", 1)
	o.about(app, amd, "cosign", false, cosign+".sig")
	o.about(app, amd, "sbom", false, cosign+".sbom")
	return index
}

func TestFetch(t *testing.T) {
	for name, tt := range map[string]struct {
		opts mirror.FetchOptions
		want string // the blobs but for {}
	}{
		"everything":               {mirror.FetchOptions{}, "shared amd64 arm64 windows attestation"},
		"one platform":             {mirror.FetchOptions{Platforms: []string{"linux/amd64"}}, "shared amd64"},
		"a variant":                {mirror.FetchOptions{Platforms: []string{"linux/arm64/v8"}}, "shared arm64"},
		"any variant":              {mirror.FetchOptions{Platforms: []string{"linux/arm64"}}, "shared arm64"},
		"two platforms":            {mirror.FetchOptions{Platforms: []string{"linux/amd64", "linux/arm64"}}, "shared amd64 arm64"},
		"one of a nested index":    {mirror.FetchOptions{Platforms: []string{"windows/amd64"}}, "windows"},
		"with what refers to it":   {mirror.FetchOptions{Referrers: true}, "shared amd64 arm64 windows attestation signature,signature of the signature,cosign sbom"},
		"a platform and referrers": {mirror.FetchOptions{Platforms: []string{"linux/amd64"}, Referrers: true}, "shared amd64 attestation signature,signature of the signature,cosign sbom"},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, proxy.Options{})
			index := world(p.origin)
			var told progress
			tt.opts.Progress = &told
			got, err := p.Fetch(t.Context(), byTag("v1"), tt.opts)
			p.must(err)
			p.origin.once()
			p.origin.set(forbidden(t))
			p.must(p.SetMode(t.Context(), mirror.Offline))
			var contents []string
			for part := range strings.SplitSeq(tt.want, ",") {
				if strings.HasPrefix(part, "signature of") {
					contents = append(contents, part)
				} else {
					contents = append(contents, strings.Fields(part)...)
				}
			}
			size := int64(len("{}"))
			for _, content := range contents {
				p.pull(content)
				size += int64(len(content))
			}
			if got.Digest != index.Digest || got.Blobs != len(contents)+1 || got.Bytes != size || got.New != size {
				t.Errorf("%+v, want %d blobs of %d bytes", got, len(contents)+1, size)
			}
			if told.total.Load() != size || told.done.Load() != size {
				t.Errorf("progress: %d of %d, want %d", told.done.Load(), told.total.Load(), size)
			}
			again, err := p.Fetch(t.Context(), byTag("v1"), tt.opts) // a complete image is fetched offline
			if again.NotChecked == nil || !strings.Contains(again.NotChecked.Error(), "the mirror is offline") {
				t.Errorf("offline, the tag is checked: %v", again.NotChecked)
			}
			again.NotChecked = nil
			if got.New = 0; err != nil || again != got {
				t.Errorf("again: %+v, %v; want %+v", again, err, got)
			}
		})
	}
}

func TestFetchNamesWhatIsMissing(t *testing.T) {
	for name, tt := range map[string]struct {
		opts  mirror.FetchOptions
		harm  func(p *place)
		names func(p *place) []string
		held  bool // the rest
	}{
		"blobs": {
			harm: func(p *place) {
				delete(p.origin.blobs, digest.FromString("arm64"))
				delete(p.origin.blobs, digest.FromString("windows"))
			},
			names: func(*place) []string {
				return []string{digest.FromString("arm64").String(), digest.FromString("windows").String()}
			},
			held: true,
		},
		"a child": {
			harm:  func(p *place) { delete(p.origin.manifests, p.origin.image(app, []string{"windows"}).Digest) },
			names: func(p *place) []string { return []string{p.origin.image(app, []string{"windows"}).Digest.String()} },
			held:  true,
		},
		"a platform": {
			opts:  mirror.FetchOptions{Platforms: []string{"plan9/mips"}},
			names: func(*place) []string { return []string{byTag("v1").String(), "plan9/mips"} },
		},
		"the image": {
			harm:  func(p *place) { p.origin.set(down) },
			names: func(*place) []string { return []string{byTag("v1").String(), "the registry is down"} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, proxy.Options{})
			world(p.origin)
			names := tt.names(p)
			if tt.harm != nil {
				tt.harm(p)
			}
			got, err := p.Fetch(t.Context(), byTag("v1"), tt.opts)
			for _, name := range names {
				if err == nil || !strings.Contains(err.Error(), name) {
					t.Errorf("%v does not name %s", err, name)
				}
			}
			if tt.held {
				p.origin.set(down)
				p.pull("shared")
				p.pull("amd64")
				if got.Digest == "" {
					t.Errorf("%+v", got)
				}
			}
			if wants := p.wants(); len(wants) != 0 {
				t.Errorf("wants without a client: %s", wants)
			}
		})
	}
}

// refusal is an answer of an upstream that does not say whether the content exists.
type refusal struct{}

func (refusal) Error() string { return "403 Forbidden" }
func (refusal) Refused() bool { return true }

var errRefused = mirror.Errorf(mirror.CodeManifestUnknown, "upstream origin.test refused it: %w", refusal{})

// answers makes an origin answer calls with a prefix.
func answers(prefix string, err error) func(context.Context, string) error {
	return func(_ context.Context, call string) error {
		if strings.HasPrefix(call, prefix) {
			return err
		}
		return nil
	}
}

// TestFetchReportsWhatItDidNotCheck covers every reason why an upstream does not confirm a stored image.
func TestFetchReportsWhatItDidNotCheck(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(p *place)
		opts   mirror.FetchOptions
		ref    func(index digest.Digest) mirror.Ref
		want   string
	}{
		"nothing is wrong": {func(*place) {}, mirror.FetchOptions{Referrers: true}, nil, ""},
		"it is down":       {func(p *place) { p.origin.set(down) }, mirror.FetchOptions{}, nil, "the registry is down"},
		"it refuses":       {func(p *place) { p.origin.set(answers("resolve", errRefused)) }, mirror.FetchOptions{}, nil, "403 Forbidden"},
		"it has it no more": {func(p *place) {
			p.origin.set(answers("resolve", mirror.Errorf(mirror.CodeManifestUnknown, "the registry does not have v1")))
		}, mirror.FetchOptions{}, nil, "v1"},
		"no upstream":        {func(p *place) { p.origin.set(answers("", mirror.Errorf(mirror.CodeNameUnknown, "no upstream"))) }, mirror.FetchOptions{}, nil, "no upstream"},
		"the new one is bad": {func(p *place) { p.origin.image(app, []string{"new"}, "v1"); p.origin.set(answers("manifest", errDown)) }, mirror.FetchOptions{}, nil, "which cannot be fetched: the registry is down"},
		"offline":            {func(p *place) { p.must(p.SetMode(p.t.Context(), mirror.Offline)) }, mirror.FetchOptions{Referrers: true}, nil, "the mirror is offline"},
		"read-only":          {func(p *place) { p.must(p.SetReadOnly(p.t.Context(), true)) }, mirror.FetchOptions{}, nil, "the mirror is read-only"},
		"what refers to it":  {func(p *place) { p.origin.set(answers("referrers", errDown)) }, mirror.FetchOptions{Referrers: true}, nil, "cannot list the referrers of"},
		"its signatures": {func(p *place) { p.origin.set(answers("manifest origin.test/org/app:sha256-", errRefused)) }, mirror.FetchOptions{Referrers: true}, nil,
			"cannot check whether"},
		"a digest needs none": {func(p *place) { p.origin.set(forbidden(p.t)) }, mirror.FetchOptions{}, byDigest, ""},
		"what refers to a digest": {func(p *place) { p.must(p.SetMode(p.t.Context(), mirror.Offline)) }, mirror.FetchOptions{Referrers: true}, byDigest,
			"the mirror is offline"},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, proxy.Options{})
			index := world(p.origin)
			_, err := p.Fetch(t.Context(), byTag("v1"), mirror.FetchOptions{})
			p.must(err)
			tt.change(p)
			ref := byTag("v1")
			if tt.ref != nil {
				ref = tt.ref(index.Digest)
			}
			got, err := p.Fetch(t.Context(), ref, tt.opts)
			if p.must(err); got.Digest != index.Digest || got.Blobs < 6 {
				t.Errorf("%+v, want the complete stored image", got)
			}
			if why := fmt.Sprint(got.NotChecked); (got.NotChecked == nil) != (tt.want == "") || !strings.Contains(why, tt.want) && tt.want != "" {
				t.Errorf("not checked: %v, want %q", got.NotChecked, tt.want)
			}
		})
	}
}

func TestFetchOfAPushedTagChecksNothing(t *testing.T) {
	p := start(t, proxy.Options{})
	p.push(app, "{}")
	ours := p.tag("ours")
	p.origin.set(forbidden(t))
	got, err := p.Fetch(t.Context(), byTag("ours"), mirror.FetchOptions{})
	if p.must(err); got.Digest != ours || got.NotChecked != nil {
		t.Errorf("%+v", got)
	}
}

// TestUnknownReferrersFailNoImage covers upstreams that serve an image and fail to list its referrers.
func TestUnknownReferrersFailNoImage(t *testing.T) {
	for name, tt := range map[string]struct {
		calls string
		err   error
		want  string
	}{
		"their list fails":       {"referrers", errDown, "cannot list the referrers of origin.test/org/app@sha256:"},
		"signatures are refused": {"manifest origin.test/org/app:sha256-", errRefused, "cannot check whether origin.test/org/app:sha256-"},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, proxy.Options{})
			index := world(p.origin)
			p.origin.set(answers(tt.calls, tt.err))
			got, err := p.Fetch(t.Context(), byTag("v1"), mirror.FetchOptions{Referrers: true})
			if p.must(err); got.Digest != index.Digest || got.New == 0 {
				t.Errorf("%+v, want the complete image", got)
			}
			if got.NotChecked == nil || !strings.Contains(got.NotChecked.Error(), tt.want) {
				t.Errorf("not checked: %v, want %q", got.NotChecked, tt.want)
			}
			p.origin.set(down)
			p.pull("amd64")
		})
	}
}

func TestFetchFollowsTheTag(t *testing.T) {
	p := start(t, proxy.Options{TagTTL: func(mirror.Ref) time.Duration { return mirror.Forever }})
	for _, layer := range []string{"old", "new"} {
		want := p.origin.image(app, []string{layer}, "v1").Digest
		got, err := p.Fetch(t.Context(), byTag("v1"), mirror.FetchOptions{})
		if p.must(err); got.Digest != want {
			t.Errorf("%s: %+v", layer, got)
		}
	}
	p.complete("v1", true)
}

func TestCancelledFetchFails(t *testing.T) {
	for _, call := range []string{"manifest origin.test/org/app:v1", "manifest origin.test/org/app@", "blob"} {
		inTime(t, func(t *testing.T) {
			p := start(t, proxy.Options{})
			world(p.origin)
			p.origin.set(hangs(call))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begin := time.Now()
			_, err := p.Fetch(ctx, byTag("v1"), mirror.FetchOptions{})
			if err == nil || time.Since(begin) != time.Second || len(p.Wants()) != 0 {
				t.Errorf("%s: %v after %s, wants %s", call, err, time.Since(begin), p.wants())
			}
		})
	}
}

// gauge counts, and records the maximum.
type gauge struct {
	mu        sync.Mutex
	now, most int
}

func (g *gauge) add(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now += n
	g.most = max(g.most, g.now)
}

func TestFetchesShareTheBudget(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{})
		var together gauge
		var tags []string
		for i := range 6 {
			tags = append(tags, fmt.Sprint("v", i))
			p.origin.image(app, []string{"shared", fmt.Sprint("layer", i), fmt.Sprint("other", i)}, tags[i])
		}
		p.origin.set(func(_ context.Context, call string) error {
			if strings.HasPrefix(call, "blob") {
				together.add(1)
				later(time.Second)
				together.add(-1)
			}
			return nil
		})
		budget := make(chan struct{}, 3)
		var fetches sync.WaitGroup
		for _, tag := range tags {
			fetches.Go(func() {
				if _, err := p.Fetch(t.Context(), byTag(tag), mirror.FetchOptions{Budget: budget}); err != nil {
					t.Error(err)
				}
			})
		}
		fetches.Wait()
		if together.most != 3 {
			t.Errorf("%d transfers at a time, want 3", together.most)
		}
		p.origin.once()
		for _, tag := range tags {
			p.complete(tag, true)
		}
	})
}

func TestFetchBlob(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{})
		d := p.origin.put("layer").Digest
		var told progress
		p.must(p.FetchBlob(t.Context(), app, d, &told))
		if told.total.Load() != 5 || told.done.Load() != 5 {
			t.Errorf("%d of %d bytes", told.done.Load(), told.total.Load())
		}
		p.origin.set(hangs(""))
		p.must(p.FetchBlob(t.Context(), app, d, nil))
		ctx, cancel := context.WithCancel(t.Context())
		var err error
		go func() { err = p.FetchBlob(ctx, app, digest.FromString("other"), nil) }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		if err != context.Canceled {
			t.Error(err)
		}
		p.origin.set(down)
		other := digest.FromString("third")
		if err := p.FetchBlob(t.Context(), app, other, nil); mirror.CodeOf(err) != mirror.CodeBlobUnknown || !strings.Contains(err.Error(), other.String()) {
			t.Error(err)
		}
		p.must(p.SetMode(t.Context(), mirror.Offline))
		if err := p.FetchBlob(t.Context(), app, other, nil); mirror.CodeOf(err) != mirror.CodeBlobUnknown || len(p.wants()) != 0 {
			t.Errorf("%v; wants without a client: %s", err, p.wants())
		}
	})
}

// TestDryRunStoresNothing compares the result of a dry run with that of a fetch, and with what is stored.
func TestDryRunStoresNothing(t *testing.T) {
	p := start(t, proxy.Options{})
	world(p.origin)
	dry := mirror.FetchOptions{Referrers: true, DryRun: true}
	found, err := p.Fetch(t.Context(), byTag("v1"), dry)
	p.must(err)
	if n := p.origin.count("blob"); n != 0 || len(p.images()) != 0 {
		t.Errorf("%d blob requests, %d stored images", n, len(p.images()))
	}
	if _, err := p.store.Manifest(mirror.WithoutUsage(t.Context()), app, found.Digest); mirror.CodeOf(err) != mirror.CodeManifestUnknown {
		t.Errorf("the manifest is stored: %v", err)
	}
	got, err := p.Fetch(t.Context(), byTag("v1"), mirror.FetchOptions{Referrers: true})
	if p.must(err); got != found || got.New == 0 {
		t.Errorf("the fetch: %+v, the dry run: %+v", got, found)
	}
	moved := p.origin.image(app, []string{"shared", "new"}, "v1").Digest
	found, err = p.Fetch(t.Context(), byTag("v1"), dry)
	if p.must(err); found.Digest != moved || found.New != int64(len("new")) {
		t.Errorf("after the tag moved: %+v", found)
	}
	if tag, err := p.store.Tag(t.Context(), app, "v1"); err != nil || tag.Digest == moved {
		t.Errorf("the tag moved: %+v, %v", tag, err)
	}
	size, missing, err := p.PeekBlob(t.Context(), app, digest.FromString("new"))
	if p.must(err); size != 3 || missing != 3 {
		t.Errorf("a blob of %d bytes, %d to fetch", size, missing)
	}
}
