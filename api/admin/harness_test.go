package admin_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/api/admin"
	"airmirror/cache"
	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

// house is a mirror on a folder that is cut off, and a client of its admin API.
type house struct {
	*admin.Client
	mirror *proxy.Proxy
	store  mirror.Store
}

// onEach runs a test over each way to reach the API: they must not differ.
func onEach(t *testing.T, opts admin.Options, test func(t *testing.T, h house)) {
	for name, transport := range map[string]func(testing.TB, http.Handler) http.RoundTripper{"socket": overSocket, "local": inProcess} {
		t.Run(name, func(t *testing.T) {
			m, store := open(t)
			test(t, house{admin.NewClient(transport(t, admin.New(m, opts))), m, store})
		})
	}
}

func open(t testing.TB) (*proxy.Proxy, mirror.Store) {
	t.Helper()
	dir := t.TempDir()
	store, err := cache.Open(cache.Config{Folder: dir})
	must(t, err)
	m, err := proxy.New(store, nil, proxy.Options{})
	must(t, err)
	must(t, m.SetMode(t.Context(), mirror.Offline))
	t.Cleanup(func() {
		must(t, m.Close(context.Background()))
		must(t, store.Close())
	})
	return m, store
}

func overSocket(t testing.TB, handler http.Handler) http.RoundTripper {
	t.Helper()
	dir := t.TempDir()
	listener, err := admin.Listen(dir)
	must(t, err)
	ctx, stop := context.WithCancelCause(context.Background())
	server := &http.Server{Handler: handler, BaseContext: func(net.Listener) context.Context { return ctx }}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(listener) }()
	transport, err := admin.Dial(t.Context(), dir)
	must(t, err)
	t.Cleanup(func() {
		stop(admin.ErrShutdown)
		transport.CloseIdleConnections()
		must(t, server.Shutdown(context.Background()))
		<-done
	})
	return transport
}

func inProcess(t testing.TB, handler http.Handler) http.RoundTripper {
	transport := admin.InProcess(handler)
	t.Cleanup(transport.Wait)
	return transport
}

// hold stores an image of one layer; a part of it is missing if it is not whole, as of one that is being mirrored.
func (h house) hold(t *testing.T, repo mirror.Repo, tag string, whole bool) {
	t.Helper()
	ctx, layer, config := t.Context(), repo.String()+tag, "{}"
	for _, content := range []string{config, layer} {
		if content == layer && !whole {
			continue
		}
		upload, err := h.store.StartUpload(ctx, repo, digest.SHA256)
		must(t, err)
		_, err = upload.Append(strings.NewReader(content))
		must(t, err)
		must(t, upload.Commit(ctx, digest.FromString(content)))
	}
	body, err := json.Marshal(v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: digest.FromString(config), Size: int64(len(config))},
		Layers: []v1.Descriptor{{MediaType: v1.MediaTypeImageLayer, Digest: digest.FromString(layer), Size: int64(len(layer))}},
	})
	must(t, err)
	must(t, h.store.PutManifest(ctx, repo, mirror.Manifest{
		MediaType: v1.MediaTypeImageManifest, Digest: digest.FromBytes(body), Bytes: body, Origin: mirror.Mirrored,
	}, tag))
}

// miss has a client ask for something that is not held.
func (h house) miss(t *testing.T, ref mirror.Ref) {
	t.Helper()
	if _, err := h.mirror.Manifest(t.Context(), ref); mirror.CodeOf(err) != mirror.CodeManifestUnknown {
		t.Fatalf("%s: %v", ref, err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
