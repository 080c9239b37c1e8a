// Package e2econsole_test drives the web console of the real binary with Chromium, in a network namespace without a route.
// Run it with `make e2e-console`.
package e2econsole_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

const patience = 2 * time.Minute // for a server to answer, a page to load, a condition to be met

// The programs and files that the Makefile names.
var (
	mirrorBin   = os.Getenv("MIRROR_BIN")
	axeScript   = os.Getenv("AXE_SCRIPT")
	screenshots = os.Getenv("SCREENSHOTS")
)

func TestMain(m *testing.M) {
	if mirrorBin == "" || axeScript == "" || screenshots == "" {
		fmt.Fprintln(os.Stderr, "run these tests with make e2e-console")
		os.Exit(1)
	}
	if addresses, err := net.InterfaceAddrs(); err == nil {
		for _, address := range addresses {
			if ip, ok := address.(*net.IPNet); ok && !ip.IP.IsLoopback() {
				fmt.Fprintf(os.Stderr, "the tests need a network namespace with nothing but loopback, and this one has %s\n", address)
				os.Exit(1)
			}
		}
	}
	os.Exit(m.Run())
}

// mirror is a running mirror. Its user ada may do everything.
type mirror struct {
	t              *testing.T
	address, data  string
	name, password string
	pid            int
	stop           func() // ends it, and waits for that
}

func startMirror(t *testing.T, args ...string) *mirror {
	t.Helper()
	m := &mirror{t: t, address: freeAddress(t), data: t.TempDir(), name: "ada", password: "correct horse"}
	m.addUser(m.name)
	m.start(args...)
	return m
}

// startMirrorWithoutUsers starts a mirror that nobody can log in to.
func startMirrorWithoutUsers(t *testing.T, args ...string) *mirror {
	t.Helper()
	m := &mirror{t: t, address: freeAddress(t), data: t.TempDir()}
	m.start(args...)
	return m
}

// addUser adds a user, with the password of ada.
func (m *mirror) addUser(name string) {
	m.t.Helper()
	add := exec.Command(mirrorBin, "user", "add", name, "--password-stdin", "--data", m.data)
	add.Stdin = strings.NewReader(m.password)
	if out, err := add.CombinedOutput(); err != nil {
		m.t.Fatalf("add a user: %v\n%s", err, out)
	}
}

// start starts the mirror, and waits until it answers.
func (m *mirror) start(args ...string) {
	t := m.t
	t.Helper()
	var output bytes.Buffer
	server := exec.Command(mirrorBin, append([]string{"serve", "--listen", m.address, "--data", m.data}, args...)...)
	server.Stdout, server.Stderr = &output, &output
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	must(t, server.Start())
	m.pid = server.Process.Pid
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.Wait() }()
	m.stop = func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		<-ended
	}
	t.Cleanup(func() {
		m.stop()
		if t.Failed() {
			t.Logf("log of the mirror:\n%s", output.String())
		}
	})
	eventually(t, "the mirror answers", func() error {
		select {
		case <-ended:
			t.Fatalf("the mirror ended:\n%s", output.String())
		default:
		}
		resp, err := http.Get("http://" + m.address + "/healthz")
		if err == nil {
			resp.Body.Close()
		}
		return err
	})
}

func (m *mirror) url(page string) string { return "http://" + m.address + "/console/" + page }

// request sends a request of the registry as ada, and returns the answer.
func (m *mirror) request(method, path, contentType string, body []byte) (int, http.Header, []byte) {
	m.t.Helper()
	req, err := http.NewRequest(method, "http://"+m.address+path, bytes.NewReader(body))
	must(m.t, err)
	req.SetBasicAuth(m.name, m.password)
	req.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(req)
	must(m.t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	must(m.t, err)
	return resp.StatusCode, resp.Header, answer
}

type descriptor struct {
	MediaType string            `json:"mediaType"`
	Digest    string            `json:"digest"`
	Size      int64             `json:"size"`
	Platform  map[string]string `json:"platform,omitempty"`
}

// blob pushes a blob and returns its descriptor.
func (m *mirror) blob(repo, mediaType string, content []byte) descriptor {
	m.t.Helper()
	d := descriptor{MediaType: mediaType, Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(content)), Size: int64(len(content))}
	if status, _, answer := m.request(http.MethodPost, "/v2/"+repo+"/blobs/uploads/?digest="+d.Digest, "application/octet-stream", content); status != http.StatusCreated {
		m.t.Fatalf("push a blob: %d %s", status, answer)
	}
	return d
}

// manifest pushes a manifest under a tag or its digest.
func (m *mirror) manifest(repo, tag, mediaType string, manifest any) descriptor {
	m.t.Helper()
	body, err := json.Marshal(manifest)
	must(m.t, err)
	d := descriptor{MediaType: mediaType, Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(body)), Size: int64(len(body))}
	if tag == "" {
		tag = d.Digest
	}
	if status, _, answer := m.request(http.MethodPut, "/v2/"+repo+"/manifests/"+tag, mediaType, body); status != http.StatusCreated {
		m.t.Fatalf("push a manifest: %d %s", status, answer)
	}
	return d
}

const (
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociIndex    = "application/vnd.oci.image.index.v1+json"
)

// push pushes an image for platforms such as amd64.
func (m *mirror) push(repo, tag string, architectures ...string) {
	m.t.Helper()
	base := m.blob(repo, "application/vnd.oci.image.layer.v1.tar+gzip", bytes.Repeat([]byte("base layer "), 20_000))
	var entries []descriptor
	for _, architecture := range architectures {
		config := m.blob(repo, "application/vnd.oci.image.config.v1+json", []byte(`{"os":"linux","architecture":"`+architecture+`","created":"2026-03-01T10:00:00Z",
			"config":{"Env":["PATH=/usr/bin:/bin"],"Cmd":["serve"],"ExposedPorts":{"8080/tcp":{}},"Labels":{"org.opencontainers.image.title":"`+repo+`"}},
			"history":[{"created_by":"ADD rootfs.tar /"},{"created_by":"CMD [\"serve\"]","empty_layer":true}],"rootfs":{"type":"layers","diff_ids":[]}}`))
		layer := m.blob(repo, "application/vnd.oci.image.layer.v1.tar+gzip", bytes.Repeat([]byte(repo+tag+architecture), 500))
		entry := m.manifest(repo, "", ociManifest, map[string]any{"schemaVersion": 2, "mediaType": ociManifest, "config": config, "layers": []descriptor{base, layer}})
		entry.Platform = map[string]string{"os": "linux", "architecture": architecture}
		entries = append(entries, entry)
	}
	m.manifest(repo, tag, ociIndex, map[string]any{"schemaVersion": 2, "mediaType": ociIndex, "manifests": entries})
}

// pushTags pushes images with a layer in common under the tags v000, v001 and so on.
func (m *mirror) pushTags(repo string, n int) {
	m.t.Helper()
	layer := m.blob(repo, "application/vnd.oci.image.layer.v1.tar", []byte("layer"))
	config := m.blob(repo, "application/vnd.oci.image.config.v1+json", []byte(`{"os":"linux","architecture":"amd64"}`))
	for i := range n {
		m.manifest(repo, fmt.Sprintf("v%03d", i), ociManifest, map[string]any{
			"schemaVersion": 2, "mediaType": ociManifest, "config": config, "layers": []descriptor{layer}, "annotations": map[string]string{"number": fmt.Sprint(i)},
		})
	}
}

// fill stores images, a chart and a want, pins an image, and runs a job.
func (m *mirror) fill() {
	m.t.Helper()
	for _, repo := range []string{"library/alpine", "library/nginx", "team/app/backend", "team/app/a-service-with-a-name-that-is-longer-than-a-phone-is-wide"} {
		for _, tag := range []string{"1.0", "1.1"} {
			m.push(repo, tag, "amd64", "arm64")
		}
	}
	chart := m.blob("charts/web", "application/vnd.cncf.helm.chart.content.v1.tar+gzip", []byte("chart"))
	config := m.blob("charts/web", "application/vnd.cncf.helm.config.v1+json", []byte(`{"name":"web"}`))
	m.manifest("charts/web", "0.1.0", ociManifest, map[string]any{"schemaVersion": 2, "mediaType": ociManifest, "config": config, "layers": []descriptor{chart}})
	m.request(http.MethodGet, "/v2/library/missing/manifests/1", "", nil)
	m.command("pin", "library/alpine:1.0")
	m.command("verify", "--fast")
}

// command runs a command on the data of the mirror.
func (m *mirror) command(args ...string) string {
	m.t.Helper()
	out, err := exec.Command(mirrorBin, append(args, "--data", m.data)...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("mirror %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// browser is a tab of a browser. What the page logs as an error fails the test.
type browser struct {
	t   *testing.T
	ctx context.Context
}

// step is an action on a page.
type step = chromedp.Action[chromedp.Void]

func startBrowser(t *testing.T, flags ...chromedp.ExecAllocatorOption) *browser {
	t.Helper()
	options := append([]chromedp.ExecAllocatorOption{
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Headless, chromedp.NoFirstRun, chromedp.UserDataDir(filepath.Join(t.TempDir(), "profile")),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.WSURLReadTimeout(patience),
	}, flags...)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	return newTab(t, allocator)
}

// newTab opens a tab: of a new browser, or of that of a context.
func newTab(t *testing.T, parent context.Context) *browser {
	t.Helper()
	b := &browser{t: t}
	var closeTab context.CancelFunc
	b.ctx, closeTab = chromedp.NewContext(parent, chromedp.WithListener(b.listen))
	t.Cleanup(closeTab)
	must(t, chromedp.Do(b.ctx)) // with the context of the tab: the browser ends with that of the first call
	b.run(command(log.Enable, cdp.Empty{}))
	return b
}

// listen fails the test for an error of a page.
func (b *browser) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.t.Errorf("a script failed: %s", e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" && !strings.Contains(e.Entry.Text, "Failed to load resource") {
			b.t.Errorf("the browser reports: %s (%s)", e.Entry.Text, e.Entry.URL)
		}
	}
}

// command is a step that sends a command of the protocol of Chromium.
func command[P, R any](c cdp.Command[P, R], params P) step {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, c, params)
		return err
	})
}

func (b *browser) run(steps ...step) {
	b.t.Helper()
	for _, s := range steps {
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		err := chromedp.Do(ctx, s)
		cancel()
		if err != nil {
			b.t.Fatalf("%v\n%s", err, eval[string](b, "location.href + '\\n' + document.body.innerText"))
		}
	}
}

// eval returns the value of an expression in the page.
func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	must(b.t, err)
	return value
}

// holds waits until an expression in the page is true.
func (b *browser) holds(expression string) {
	b.t.Helper()
	eventually(b.t, expression, func() error {
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		defer cancel()
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		if err == nil && !ok {
			return errors.New("it is false")
		}
		return err
	})
}

// shows waits until the page contains a text.
func (b *browser) shows(text string) {
	b.t.Helper()
	quoted, err := json.Marshal(text)
	must(b.t, err)
	b.holds(fmt.Sprintf("document.body?.innerText.includes(%s)", quoted))
}

// open loads a page.
func (b *browser) open(m *mirror, page string) {
	b.t.Helper()
	b.run(chromedp.Navigate(m.url(page)), chromedp.WaitReady(chromedp.CSS("main")))
}

func (b *browser) click(selector string) {
	b.t.Helper()
	b.run(chromedp.Click(chromedp.CSS(selector)))
}

func (b *browser) waitFor(selector string) {
	b.t.Helper()
	b.run(chromedp.WaitVisible(chromedp.CSS(selector)))
}

// login logs ada in by the form, and waits for the page behind it: a page that is opened before would race with the form. It is
// once for all tabs and ports of an address, as cookies are.
func (b *browser) login(m *mirror) {
	b.t.Helper()
	b.open(m, "login")
	b.run(chromedp.SendKeys(chromedp.CSS("#name"), m.name), chromedp.SendKeys(chromedp.CSS("#password"), m.password))
	b.click("main form button")
	b.holds(`document.querySelector(".who") && !document.querySelector("#password")`)
}

// freeAddress returns an address of loopback that nobody listens on. Its port lies below those that the kernel gives to
// outgoing connections, which could take it before the server starts.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(20000)))
		if err == nil {
			must(t, listener.Close())
			return listener.Addr().String()
		}
	}
	t.Fatal("found no free port")
	return ""
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until a condition returns no error.
func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	deadline := time.After(patience)
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
