package metrics_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/api/metrics"
	"airmirror/api/middleware"
	"airmirror/api/registry"
	"airmirror/mirror"
)

// BenchmarkHead measures the cost of observing a request, with the cheapest one: the HEAD of a blob over a connection.
func BenchmarkHead(b *testing.B) {
	m, _ := open(b)
	app := mirror.Repo{Host: "docker.io", Path: "team/app"}
	up, err := m.StartUpload(b.Context(), app, digest.SHA256)
	must(b, err)
	_, err = up.Append(strings.NewReader("{}"))
	must(b, err)
	must(b, up.Commit(b.Context(), digest.FromString("{}")))
	plain := registry.New(m, registry.Options{})
	told := metrics.New("", zap.NewNop())
	for name, handler := range map[string]http.Handler{
		"plain": plain,
		"watched": middleware.New(plain, middleware.Options{Observers: []func(*middleware.Exchange){told.Request}},
			middleware.Settings{Requests: 8192, StallTimeout: 5 * time.Minute}),
	} {
		b.Run(name, func(b *testing.B) {
			server := httptest.NewServer(handler)
			defer server.Close()
			url := server.URL + "/v2/team/app/blobs/" + digest.FromString("{}").String()
			b.ReportAllocs()
			for b.Loop() {
				resp, err := http.Head(url)
				if err != nil || resp.StatusCode != http.StatusOK {
					b.Fatal(resp, err)
				}
			}
		})
	}
}
