package service_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/api/admin"
	"airmirror/api/admin/service"
	"airmirror/cache"
	"airmirror/gc"
	"airmirror/mirror"
	"airmirror/mirror/proxy"
	"airmirror/sync/bundle"
	"airmirror/sync/prefetch"
	"airmirror/sync/transfer"
)

// testMirror is an offline mirror with the service for it.
type testMirror struct {
	*service.Service
	t      *testing.T
	folder string
	store  *cache.Store
	proxy  *proxy.Proxy
}

func newTestMirror(t *testing.T) *testMirror {
	t.Helper()
	m := &testMirror{t: t, folder: t.TempDir()}
	var err error
	m.store, err = cache.Open(cache.Config{Folder: m.folder})
	m.must(err)
	m.proxy, err = proxy.New(m.store, nil, proxy.Options{})
	m.must(err)
	collector, err := gc.NewCollector(t.Context(), m.store, m.proxy, gc.CollectorOptions{Schedule: gc.Schedule{Policy: gc.Policy{Grace: -1}}})
	m.must(err)
	m.Service = service.New(m.proxy, m.store, service.Options{Transfer: transfer.New(m.proxy, m.store, transfer.Options{}), Collector: collector})
	t.Cleanup(func() {
		m.must(m.proxy.Close(context.Background()))
		m.must(m.store.Close())
	})
	return m
}

func (m *testMirror) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// push stores an image with one layer.
func (m *testMirror) push(path, tag string) { m.pushLayer(path, tag, v1.MediaTypeImageLayer) }

// pushLayer stores an image with one layer of a media type.
func (m *testMirror) pushLayer(path, tag, mediaType string) {
	m.t.Helper()
	ctx, repo := m.t.Context(), mirror.Repo{Host: mirror.DockerHub, Path: path}
	var parts []v1.Descriptor
	for _, content := range []string{"{}", "layer of " + path + ":" + tag} {
		upload, err := m.store.StartUpload(ctx, repo, digest.SHA256)
		m.must(err)
		_, err = upload.Append(strings.NewReader(content))
		m.must(err)
		m.must(upload.Commit(ctx, digest.FromString(content)))
		parts = append(parts, v1.Descriptor{MediaType: mediaType, Digest: digest.FromString(content), Size: int64(len(content))})
	}
	parts[0].MediaType = v1.MediaTypeImageConfig
	body, err := json.Marshal(v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, Config: parts[0], Layers: parts[1:]})
	m.must(err)
	m.must(m.store.PutManifest(ctx, repo, mirror.Manifest{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromBytes(body), Bytes: body, Origin: mirror.Pushed}, tag))
}

// run runs a job or call and returns its events without those of the progress.
func (m *testMirror) run(name string, request any, body io.Reader) ([]admin.Event, error) {
	m.t.Helper()
	text, err := json.Marshal(request)
	m.must(err)
	if body == nil {
		body = strings.NewReader("")
	}
	var events []admin.Event
	ended := false
	run := m.Jobs()[name]
	if run == nil {
		run = m.Calls()[name]
	}
	err = run(admin.WithAccess(m.t.Context(), admin.Access{Local: true}), text, body, func(e admin.Event) {
		if ended {
			m.t.Errorf("%s sends a %s event after its summary", name, e.Kind)
		}
		if ended = e.Kind == admin.KindSummary; e.Kind != admin.KindProgress {
			events = append(events, e)
		}
	})
	return events, err
}

// TestJobsSendTheirItems runs jobs one after another and checks the items and summaries that the package comment of
// package admin lists.
func TestJobsSendTheirItems(t *testing.T) {
	m := newTestMirror(t)
	m.push("team/app", "1")
	m.push("team/app", "2")
	m.push("team/tool", "1")
	candidate, usage, pin := gc.Candidate{}, admin.Usage{}, mirror.Pin{}
	for _, tt := range []struct {
		name    string
		request any
		kinds   string
		types   map[admin.Kind]any
	}{
		{"pin", []string{"team/tool:1"}, "pin", map[admin.Kind]any{"pin": pin}},
		{"pins", nil, "pin", map[admin.Kind]any{"pin": pin}},
		{"usage", admin.UsageRequest{}, "repository repository summary", map[admin.Kind]any{"repository": usage, "summary": usage}},
		{"usage", admin.UsageRequest{Match: []string{"team/tool"}}, "repository", nil},
		{"verify", admin.VerifyRequest{}, "summary", map[admin.Kind]any{"summary": mirror.VerifySummary{}}},
		{"export-plan", transfer.ExportRequest{All: true}, "image image image summary", map[admin.Kind]any{"image": admin.BundleImage{}, "summary": transfer.Summary{}}},
		{"export-history", nil, "", nil},
		{"sync", prefetch.Request{Images: []string{"team/app:9"}}, "image summary", map[admin.Kind]any{"image": prefetch.Result{}, "summary": prefetch.Summary{}}},
		{"remove", admin.RemoveRequest{Names: []string{"team/app:1"}, DryRun: true}, "candidate summary", map[admin.Kind]any{"candidate": candidate, "summary": admin.RemoveSummary{}}},
		{"remove", admin.RemoveRequest{Names: []string{"team/app:1"}}, "deleted summary", map[admin.Kind]any{"deleted": candidate}},
		{"collect", admin.CollectRequest{DryRun: true, Protected: true, Blobs: true}, "plan candidate candidate protected protected", map[admin.Kind]any{"plan": gc.Plan{}, "protected": candidate}},
		{"collect", admin.CollectRequest{}, "plan deleted deleted summary", map[admin.Kind]any{"deleted": candidate, "summary": gc.Result{}}},
		{"unpin", []string{"team/tool:1"}, "pin", nil},
		{"pins", nil, "", nil},
	} {
		events, err := m.run(tt.name, tt.request, nil)
		m.must(err)
		var kinds []string
		for _, e := range events {
			kinds = append(kinds, string(e.Kind))
			if v := tt.types[e.Kind]; v != nil {
				m.decodes(tt.name, e, v)
			}
		}
		if got := strings.Join(kinds, " "); got != tt.kinds {
			t.Errorf("%s sends %q, want %q", tt.name, got, tt.kinds)
		}
	}
}

// decodes checks that an event has no keys but those of the type of v.
func (m *testMirror) decodes(job string, e admin.Event, v any) {
	m.t.Helper()
	text := e.Item
	if e.Kind == admin.KindSummary {
		text = e.Summary
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(reflect.New(reflect.TypeOf(v)).Interface()); err != nil {
		m.t.Errorf("a %s event of %s is no %T: %v\n%s", e.Kind, job, v, err, text)
	}
}

func TestExportAndImport(t *testing.T) {
	m, inside := newTestMirror(t), newTestMirror(t)
	m.push("team/app", "1")
	inside.push("team/app", "1")
	m.push("team/app", "2")
	inside.push("team/app", "3")
	var file bytes.Buffer
	request, err := json.Marshal(transfer.ExportRequest{All: true})
	m.must(err)
	m.must(m.Streams()["export"](t.Context(), request, strings.NewReader(""), &file))
	events, err := inside.run("import", transfer.ImportRequest{}, &file)
	m.must(err)
	var images []string
	for _, e := range events[:len(events)-1] {
		var image bundle.Image
		m.must(e.Decode(&image))
		images = append(images, string(e.Kind)+" "+image.Repository+":"+image.Tag)
	}
	var summary transfer.Summary
	m.must(events[len(events)-1].Decode(&summary))
	if got := strings.Join(images, ", "); got != "image docker.io/team/app:1, image docker.io/team/app:2" || summary.Images != 2 {
		t.Errorf("imported %s, %+v", got, summary)
	}
}

func TestVerifyReportsDefects(t *testing.T) {
	m := newTestMirror(t)
	m.push("team/app", "1")
	damaged := digest.FromString("layer of team/app:1")
	m.must(filepath.WalkDir(filepath.Join(m.folder, "blobs"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, damaged.Encoded()) {
			return err
		}
		if err := os.Chmod(path, 0o600); err != nil {
			return err
		}
		return os.WriteFile(path, []byte("something else"), 0o600)
	}))
	events, err := m.run("verify", admin.VerifyRequest{}, nil)
	m.must(err)
	if len(events) != 2 || events[0].Kind != admin.KindDefect || events[1].Kind != admin.KindSummary {
		t.Fatalf("sent %+v", events)
	}
	var defect mirror.VerifyEvent
	var summary mirror.VerifySummary
	m.must(events[0].Decode(&defect))
	m.must(events[1].Decode(&summary))
	if defect.Kind != mirror.Damaged || defect.Digest != damaged || summary.Defects[mirror.Damaged] != 1 {
		t.Errorf("found %+v, %+v", defect, summary)
	}
}

func TestPinnedImagesAreNotRemoved(t *testing.T) {
	m := newTestMirror(t)
	m.push("team/app", "1")
	_, err := m.run("pin", []string{"team/app:1"}, nil)
	m.must(err)
	if _, err := m.run("remove", admin.RemoveRequest{Names: []string{"team/app:1"}}, nil); mirror.CodeOf(err) != mirror.CodeDenied {
		t.Errorf("removed a pinned image: %v", err)
	}
	_, err = m.run("remove", admin.RemoveRequest{Names: []string{"team/*:1"}, Force: true}, nil)
	m.must(err)
	if pins, err := m.run("pins", nil, nil); err != nil || len(pins) != 0 {
		t.Errorf("pins afterwards: %+v, %v", pins, err)
	}
}

func TestRequestsThatCannotBeServed(t *testing.T) {
	m := newTestMirror(t)
	m.must(m.proxy.SetMode(t.Context(), mirror.Offline))
	for _, tt := range []struct {
		name    string
		request any
		want    mirror.Code
	}{
		{"collect", []string{"x"}, mirror.CodeUnsupported},
		{"remove", admin.RemoveRequest{Names: []string{"team/none:1"}}, mirror.CodeManifestUnknown},
		{"remove", admin.RemoveRequest{Names: []string{"team/*:x*"}}, mirror.CodeManifestUnknown},
		{"pin", []string{"team/none:1"}, mirror.CodeManifestUnknown},
		{"migrate", admin.MigrateRequest{URL: "https://registry.invalid"}, mirror.CodeUnavailable},
		{"export-plan", transfer.ExportRequest{}, mirror.CodeNameInvalid},
	} {
		if events, err := m.run(tt.name, tt.request, nil); mirror.CodeOf(err) != tt.want || len(events) > 0 {
			t.Errorf("%s of %+v: %v with events %+v, want %s", tt.name, tt.request, err, events, tt.want)
		}
	}
}

// TestChart reads a stored chart. An image is not a chart.
func TestChart(t *testing.T) {
	m := newTestMirror(t)
	m.push("team/app", "1")
	m.pushLayer("charts/app", "1.0.0", "application/vnd.cncf.helm.chart.content.v1.tar+gzip")
	for reference, want := range map[string]string{
		"oci://docker.io/charts/app:1.0.0": "layer of charts/app:1.0.0",
		"team/app:1":                       "is not a Helm chart",
		"charts/none:1":                    "charts/none",
	} {
		request, err := json.Marshal(admin.ChartRequest{Reference: reference})
		m.must(err)
		var out bytes.Buffer
		err = m.Streams()["chart"](t.Context(), request, strings.NewReader(""), &out)
		got := out.String()
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", reference, got, want)
		}
	}
}

func TestListTags(t *testing.T) {
	m := newTestMirror(t)
	m.push("team/app", "1")
	m.push("team/app", "2")
	events, err := m.run("list-tags", prefetch.TagsRequest{Repository: "team/app"}, nil)
	m.must(err)
	var tags prefetch.TagList
	m.must(events[len(events)-1].Decode(&tags))
	if strings.Join(tags.Tags, " ") != "1 2" {
		t.Errorf("tags %v", tags)
	}
	if _, err := m.run("list-tags", prefetch.TagsRequest{Repository: "team/app:1"}, nil); mirror.CodeOf(err) != mirror.CodeNameInvalid {
		t.Errorf("a name with a tag: %v", err)
	}
}
