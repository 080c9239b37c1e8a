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

// testMirror is an offline mirror and a client of its admin API.
type testMirror struct {
	*admin.Client
	mirror *proxy.Proxy
	store  mirror.Store
}

// eachTransport runs a test with each transport to the API.
func eachTransport(t *testing.T, opts admin.Options, test func(t *testing.T, m testMirror)) {
	for name, transport := range map[string]func(testing.TB, http.Handler) http.RoundTripper{"socket": bySocket, "in process": inProcess} {
		t.Run(name, func(t *testing.T) {
			m, store := open(t)
			handler := admin.New(m, opts)
			client := admin.NewClient(transport(t, admin.Local(handler)))
			t.Cleanup(func() { must(t, handler.Close(context.Background())) })
			test(t, testMirror{client, m, store})
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

func bySocket(t testing.TB, handler http.Handler) http.RoundTripper {
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

// addImage stores an image with one layer. The layer is missing unless complete is set.
func (m testMirror) addImage(t *testing.T, repo mirror.Repo, tag string, complete bool) {
	t.Helper()
	ctx, layer, config := t.Context(), repo.String()+tag, "{}"
	for _, content := range []string{config, layer} {
		if content == layer && !complete {
			continue
		}
		upload, err := m.store.StartUpload(ctx, repo, digest.SHA256)
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
	must(t, m.store.PutManifest(ctx, repo, mirror.Manifest{
		MediaType: v1.MediaTypeImageManifest, Digest: digest.FromBytes(body), Bytes: body, Origin: mirror.Mirrored,
	}, tag))
}

// miss requests an image that is not stored.
func (m testMirror) miss(t *testing.T, ref mirror.Ref) {
	t.Helper()
	if _, err := m.mirror.Manifest(t.Context(), ref); mirror.CodeOf(err) != mirror.CodeManifestUnknown {
		t.Fatalf("%s: %v", ref, err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
