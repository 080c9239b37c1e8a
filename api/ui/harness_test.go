package ui_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/zap"

	"airmirror/api/admin"
	"airmirror/api/admin/service"
	"airmirror/api/auth"
	"airmirror/api/registry"
	"airmirror/api/ui"
	"airmirror/cache"
	"airmirror/gc"
	"airmirror/mirror"
	"airmirror/mirror/proxy"
	"airmirror/sync/transfer"
)

// console is the console of an offline mirror with a store in a temporary folder.
type console struct {
	t       *testing.T
	mirror  *proxy.Proxy
	store   *cache.Store
	handler http.Handler
	access  admin.Access // of all requests
	asked   []string     // the requests to the admin API
	// fakeExport returns the answer to an export instead of the API; nil does not.
	fakeExport func(*http.Request) io.Reader
	api        http.Handler // the admin API
	samples    []gc.Sample
	changes    []admin.LoggedChange
}

// Changes implements [admin.ChangeLog].
func (c *console) Changes() []admin.LoggedChange { return c.changes }

// client returns a client of the admin API that may do everything.
func (c *console) client() *admin.Client {
	return admin.NewClient(admin.InProcess(admin.Local(c.api)))
}

// clientFiles implements [ui.Clients].
type clientFiles struct{}

func (clientFiles) Kinds() []string { return []string{"docker", "podman"} }

func (clientFiles) Setup(kind, address string, tls bool) (ui.ClientSetup, error) {
	scheme := "http://"
	if tls {
		scheme = "https://"
	}
	return ui.ClientSetup{Files: []ui.ClientFile{{Path: "/etc/" + kind, Text: kind + " for " + scheme + address}}, Then: "restart", Notes: []string{"note"}}, nil
}

func open(t *testing.T) *console {
	t.Helper()
	c := &console{t: t, access: admin.Access{User: "ada", Rights: rights{registry.Pull, registry.Push, registry.Delete, registry.Admin}}}
	var err error
	c.store, err = cache.Open(cache.Config{Folder: t.TempDir()})
	c.must(err)
	c.mirror, err = proxy.New(c.store, nil, proxy.Options{})
	c.must(err)
	c.must(c.mirror.SetMode(t.Context(), mirror.Offline))
	collector, err := gc.NewCollector(t.Context(), c.store, c.mirror, gc.CollectorOptions{Schedule: gc.Schedule{Policy: gc.Policy{Grace: -1}}})
	c.must(err)
	jobs := service.New(c.mirror, c.store, service.Options{Transfer: transfer.New(c.mirror, c.store, transfer.Options{}), Collector: collector})
	tokens, err := auth.OpenTokens(t.Context(), c.store, zap.NewNop())
	c.must(err)
	guard, err := auth.New(auth.Options{Htpasswd: filepath.Join(t.TempDir(), "htpasswd"), Tokens: tokens})
	c.must(err)
	handler := admin.New(c.mirror, admin.Options{
		Version: "v1", Jobs: jobs.Jobs(), Calls: jobs.Calls(), Streams: jobs.Streams(), Storage: jobs.Storage, Tokens: tokens, Access: guard,
		Changes: c,
		Samples: func(context.Context) ([]gc.Sample, error) { return c.samples, nil },
		Detail:  func(_ string, request json.RawMessage) json.RawMessage { return request },
	})
	c.api = handler
	transport := admin.InProcess(c.api)
	pages := ui.New(recorder{transport, c}, ui.Options{Sessions: c, Clients: clientFiles{}, Settings: func() (string, error) { return "offline: true # --offline", nil }})
	guarded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pages.ServeHTTP(w, r.WithContext(admin.WithAccess(r.Context(), c.access)))
	})
	c.handler = ui.Route(guarded, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "registry") }))
	t.Cleanup(func() {
		c.must(handler.Close(context.Background()))
		transport.Wait()
		c.must(c.mirror.Close(context.Background()))
		c.must(c.store.Close())
	})
	return c
}

// recorder is a transport that records the requests.
type recorder struct {
	http.RoundTripper
	console *console
}

func (r recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.console.asked = append(r.console.asked, req.Method+" "+req.URL.RequestURI())
	if answer := r.console.fakeExport; answer != nil && strings.HasSuffix(req.URL.Path, "/export") {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(answer(req)), Request: req}, nil
	}
	return r.RoundTripper.RoundTrip(req)
}

// rights are what a client may do in every repository. It implements [admin.Rights].
type rights []registry.Action

func (r rights) Allows(action registry.Action, _ mirror.Repo) bool { return slices.Contains(r, action) }
func (r rights) AllowsAny(action registry.Action) bool             { return slices.Contains(r, action) }

// Login, LoginByLink and Logout implement [ui.Sessions].
func (c *console) Login(_ http.ResponseWriter, _ *http.Request, name, password string) error {
	if password != "correct" {
		return mirror.Errorf(mirror.CodeUnauthorized, "wrong name or password")
	}
	c.access.User = name
	return nil
}

func (c *console) LoginByLink(w http.ResponseWriter, r *http.Request, secret string) error {
	return c.Login(w, r, "link", secret)
}

func (c *console) Logout(http.ResponseWriter, *http.Request) { c.access = admin.Access{CanLogIn: true} }

func (c *console) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// push stores an image with one layer, which is missing unless complete is set.
func (c *console) push(path, tag string, complete bool) digest.Digest {
	c.t.Helper()
	config, layer := `{"os":"linux","architecture":"amd64"}`, "layer of "+path+":"+tag
	stored := []string{config}
	if complete {
		stored = append(stored, layer)
	}
	return c.storeManifest(path, tag, v1.MediaTypeImageConfig, config, v1.MediaTypeImageLayer, layer, stored)
}

// pushTyped stores an artifact with a config and a layer of these types.
func (c *console) pushTyped(path, tag, configType, layerType string) {
	c.t.Helper()
	c.storeManifest(path, tag, configType, "{}", layerType, "layer", []string{"{}", "layer"})
}

func (c *console) storeManifest(path, tag, configType, config, layerType, layer string, blobs []string) digest.Digest {
	c.t.Helper()
	ctx, repo := c.t.Context(), mirror.Repo{Host: mirror.DockerHub, Path: path}
	for _, content := range blobs {
		upload, err := c.store.StartUpload(ctx, repo, digest.SHA256)
		c.must(err)
		_, err = upload.Append(strings.NewReader(content))
		c.must(err)
		c.must(upload.Commit(ctx, digest.FromString(content)))
	}
	body, err := json.Marshal(v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: v1.Descriptor{MediaType: configType, Digest: digest.FromString(config), Size: int64(len(config))},
		Layers: []v1.Descriptor{{MediaType: layerType, Digest: digest.FromString(layer), Size: int64(len(layer))}},
	})
	c.must(err)
	c.must(c.store.PutManifest(ctx, repo, mirror.Manifest{
		MediaType: v1.MediaTypeImageManifest, Digest: digest.FromBytes(body), Bytes: body, Origin: mirror.Mirrored,
	}, tag))
	return digest.FromBytes(body)
}

// answer is the answer to a request.
type answer struct {
	*http.Response
	body string
}

func (c *console) do(r *http.Request) answer {
	c.t.Helper()
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, r)
	return answer{w.Result(), w.Body.String()}
}

// get loads a page of the console. Headers are pairs of names and values.
func (c *console) get(page string, headers ...string) answer {
	c.t.Helper()
	r := httptest.NewRequest(http.MethodGet, ui.Path+page, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return c.do(r)
}

// eventuallyShows loads a page until it contains texts: numbers of images come from a survey, which is valid for some time.
func (c *console) eventuallyShows(page string, texts ...string) {
	c.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		a := c.get(page)
		missing := slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(a.body, text) })
		if a.StatusCode == http.StatusOK && !missing {
			return
		}
		if time.Now().After(deadline) {
			a.shows(c.t, http.StatusOK, texts...)
			return
		}
	}
}

// post sends a form of a page of the console, as a browser does.
func (c *console) post(page string, form url.Values) answer {
	c.t.Helper()
	r := httptest.NewRequest(http.MethodPost, ui.Path+page, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "http://"+r.Host)
	return c.do(r)
}

// shows checks the status of a page and that it contains texts.
func (a answer) shows(t *testing.T, status int, texts ...string) {
	t.Helper()
	if a.StatusCode != status {
		t.Errorf("status %d instead of %d", a.StatusCode, status)
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Errorf("the page lacks %q:\n%s", text, a.body)
		}
	}
}
