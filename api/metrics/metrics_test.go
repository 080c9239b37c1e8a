package metrics_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/api/metrics"
	"airmirror/api/middleware"
	"airmirror/api/registry"
	"airmirror/cache"
	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

// scrape returns all metrics.
func scrape(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// has checks that the metrics contain all lines.
func has(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("there is no %s", line)
		}
	}
}

func open(t testing.TB) (*proxy.Proxy, *cache.Store) {
	t.Helper()
	dir := t.TempDir()
	store, err := cache.Open(cache.Config{Folder: dir})
	must(t, err)
	m, err := proxy.New(store, nil, proxy.Options{Offline: true})
	must(t, err)
	t.Cleanup(func() {
		must(t, m.Close(context.Background()))
		must(t, store.Close())
	})
	return m, store
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRequestMetrics(t *testing.T) {
	m, _ := open(t)
	told := metrics.New("v1", zap.NewNop())
	f := middleware.New(registry.New(m, registry.Options{}), middleware.Options{Observers: []func(*middleware.Exchange){told.Request}}, middleware.Settings{})
	for request, body := range map[string]string{
		"GET /v2/secret/name/manifests/v1": "", "GET /v2/other/name/manifests/v2": "", "HEAD /v2/": "", "GET /v1/": "", "BREW /v2/": "",
		"PUT /v2/a/manifests/v1": "no manifest",
	} {
		method, path, _ := strings.Cut(request, " ")
		f.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, path, strings.NewReader(body)))
	}
	text := scrape(t, told)
	has(t, text,
		`mirror_http_requests_total{endpoint="manifest",method="GET",status="404"} 2`,
		`mirror_http_requests_total{endpoint="base",method="HEAD",status="200"} 1`,
		`mirror_http_requests_total{endpoint="other",method="GET",status="404"} 1`,
		`mirror_http_requests_total{endpoint="other",method="other",status="405"} 1`,
		`mirror_http_request_duration_seconds_count{endpoint="manifest",method="GET"} 2`,
		`mirror_http_received_bytes_total{endpoint="manifest",method="PUT"} 11`,
	)
	if !regexp.MustCompile(`mirror_http_sent_bytes_total{endpoint="manifest",method="GET"} [1-9]`).MatchString(text) || strings.Contains(text, "name") {
		t.Error(text)
	}
}

func TestStateMetrics(t *testing.T) {
	m, store := open(t)
	ctx := t.Context()
	app := mirror.Repo{Host: "docker.io", Path: "team/app"}
	up, err := m.StartUpload(ctx, app, digest.SHA256)
	must(t, err)
	_, err = up.Append(strings.NewReader("{}"))
	must(t, err)
	must(t, up.Commit(ctx, digest.FromString("{}")))
	man := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` +
		digest.FromString("{}").String() + `","size":2},"layers":[]}`
	_, _, err = m.PutManifest(ctx, mirror.Put{Repo: app, Bytes: []byte(man), Tags: []string{"1"}})
	must(t, err)
	_, err = m.Manifest(ctx, mirror.Ref{Repo: app, Tag: "1"})
	must(t, err)
	_, _ = m.Manifest(ctx, mirror.Ref{Repo: mirror.Repo{Host: "quay.io", Path: "a"}, Tag: "1"})

	told := metrics.New("v1.2", zap.NewNop())
	told.Watch(metrics.Sources{
		Mirror: m, Store: store, Space: func() (int64, int64, error) { return 100, 25, nil }, InFlight: func() int64 { return 7 },
		Collection: func(context.Context) (*metrics.Collection, error) {
			return &metrics.Collection{Started: time.Unix(1000, 0), Seconds: 2, Bytes: 30}, nil
		},
	})
	told.Upstream("docker.io", 200, time.Second)
	told.Upstream("docker.io", 0, time.Second)
	text := scrape(t, told)
	has(t, text,
		`mirror_lookups_total{kind="manifest",outcome="hit"} 1`, `mirror_lookups_total{kind="manifest",outcome="miss"} 1`,
		`mirror_incomplete_images 0`, `mirror_backfill_images 0`, `mirror_wants 1`, `mirror_wants_added_total 1`, `mirror_downloads_in_progress 0`, `mirror_mode{mode="offline"} 1`, `mirror_mode{mode="auto"} 0`,
		`mirror_read_only 0`, `mirror_disk_size_bytes 100`, `mirror_disk_free_bytes 25`, `mirror_http_requests_in_flight 7`,
		`mirror_gc_last_run_timestamp_seconds 1000`, `mirror_gc_last_run_freed_bytes 30`, `mirror_gc_last_run_success 1`, `mirror_verify_running 0`,
		`mirror_upstream_requests_total{host="docker.io",status="200"} 1`, `mirror_upstream_errors_total{host="docker.io"} 1`,
		`mirror_upstream_request_duration_seconds_count{host="docker.io"} 2`,
	)
	if !strings.Contains(text, `version="v1.2"} 1`) || !strings.Contains(text, "process_open_fds") {
		t.Error("the versions or the metrics of the process are missing")
	}
	deadline := time.After(2 * time.Minute)
	for !strings.Contains(text, "mirror_store_bytes") { // the survey runs in the background
		select {
		case <-deadline:
			t.Fatal("the store was not surveyed")
		default:
			text = scrape(t, told)
		}
	}
	has(t, text, `mirror_store_files{origin="pushed"} 2`, `mirror_store_files{origin="mirrored"} 0`, `mirror_store_tags{origin="pushed"} 1`, `mirror_store_repositories{origin="pushed"} 1`)
}

// TestStoreIsNotSurveyedWithEachScrape checks that scrapes reuse the result of a survey for some minutes.
func TestStoreIsNotSurveyedWithEachScrape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &surveyed{}
		told := metrics.New("", zap.NewNop())
		told.Watch(metrics.Sources{Store: store})
		for minute, want := range []int{1, 1, 1, 1, 1, 2, 2} {
			scrape(t, told)
			synctest.Wait()
			if store.times != want {
				t.Errorf("after %d minutes it was surveyed %d times, want %d", minute, store.times, want)
			}
			<-time.After(time.Minute)
		}
	})
}

// surveyed counts the surveys.
type surveyed struct {
	mirror.CollectStore
	times int
}

func (s *surveyed) Survey(context.Context, func(mirror.Survey) error) error { s.times++; return nil }
