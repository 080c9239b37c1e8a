package e2econsole_test

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestUploadOutlivesTab uploads an archive of 2 GiB. The page shows the progress, the mirror needs no more memory for it than
// for a small one, and the import ends after the tab was closed.
func TestUploadOutlivesTab(t *testing.T) {
	m := startMirror(t, "--offline")
	file := writeArchive(t, "docker.io/team/big:1", 2<<30)
	b := startBrowser(t)
	b.login(m)
	tab := newTab(t, b.ctx)
	tab.open(m, "transfer")
	eval[bool](tab, `(() => {
		const bar = document.querySelector("form[data-upload] progress");
		new MutationObserver(() => { localStorage.seen = (localStorage.seen || "") + " " + bar.value; }).observe(bar, {attributes: true});
		return true; })()`)
	tab.upload(file)
	id := m.receivesAll()
	must(t, chromedp.Cancel(tab.ctx))
	b.open(m, "transfer?job="+id)
	b.shows("The import has ended.")
	if listed := m.command("ls", "-q"); !strings.Contains(listed, "team/big:1") {
		t.Errorf("after the import the mirror has %q", listed)
	}
	seen := strings.Fields(eval[string](b, "localStorage.seen"))
	last, grown := 0.0, 0
	for _, text := range seen {
		value, err := strconv.ParseFloat(text, 64)
		must(t, err)
		if value < last {
			t.Errorf("the progress goes back from %f to %f", last, value)
		}
		if value > last {
			grown++
		}
		last = value
	}
	if grown < 100 {
		t.Errorf("the progress was shown in %d steps: %v", grown, seen)
	}
	peak := m.peakMemory()
	t.Logf("the mirror needed at most %d MiB", peak>>20)
	if peak > 400<<20 {
		t.Errorf("the mirror needed %d MiB for an upload", peak>>20)
	}
}

// TestCutUploadContinues cuts the connection of an upload, and in another one closes the page and chooses the file again. Both
// continue where they were: no part is sent twice.
func TestCutUploadContinues(t *testing.T) {
	const size, most = 64 << 20, 76 << 20 // what is on its way when the connection is cut is sent again
	m := startMirror(t, "--offline")
	b := startBrowser(t)
	b.login(m)
	for name, stalls := range map[string]bool{"connection": false, "page": true} {
		t.Run(name, func(t *testing.T) {
			file := writeArchive(t, "docker.io/team/"+name+":1", size)
			link := startLink(t, m.address, linkLimits{sent: size / 2, stalls: stalls})
			tab := newTab(t, b.ctx)
			through := *m
			through.address = link.address
			tab.open(&through, "transfer")
			tab.upload(file)
			<-link.reached
			if stalls {
				tab.run(chromedp.Navigate("about:blank"))
				close(link.release)
				tab.open(&through, "transfer")
				tab.upload(file)
			}
			tab.shows("The import has ended.")
			if sent := link.sent.Load(); sent < size || sent > most {
				t.Errorf("%d bytes were sent for a file of %d", sent, size)
			}
			if listed := m.command("ls", "-q"); !strings.Contains(listed, "team/"+name+":1") {
				t.Errorf("after the import the mirror has %q", listed)
			}
		})
	}
	if jobs := m.jobs(); len(jobs) != 2 {
		t.Errorf("the uploads were the imports %+v", jobs)
	}
}

// receivesAll waits until the mirror has received the input of its import, and returns the id of that. The time is limited only
// for each part: a busy machine needs longer for all of them.
func (m *mirror) receivesAll() (id string) {
	m.t.Helper()
	for before, complete := int64(-1), false; !complete; {
		eventually(m.t, "more of the file arrives", func() error {
			for _, job := range m.jobs() {
				if id = job.ID; job.Input.Complete || job.Input.Offset > before {
					before, complete = job.Input.Offset, job.Input.Complete
					return nil
				}
			}
			return fmt.Errorf("%d bytes were received", before)
		})
	}
	return id
}

// upload chooses a file on the page of transfers, and sends it.
func (b *browser) upload(file string) {
	b.t.Helper()
	b.run(chromedp.SetUploadFiles(chromedp.CSS("form[data-upload] input[type=file]"), []string{file}))
	b.click("form[data-upload] button.primary")
}

// writeArchive writes an OCI layout with an image whose layer has a size. The layer is a hole in the file, which needs no space.
func writeArchive(t *testing.T, name string, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "archive.tar")
	file, err := os.Create(path)
	must(t, err)
	defer file.Close()
	out := tar.NewWriter(file)
	add := func(name string, content []byte) {
		must(t, out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}))
		_, err := out.Write(content)
		must(t, err)
	}
	blob := func(mediaType string, content []byte) descriptor {
		d := descriptor{MediaType: mediaType, Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(content)), Size: int64(len(content))}
		add("blobs/sha256/"+d.Digest[7:], content)
		return d
	}
	sum := sha256.New()
	_, err = io.CopyN(sum, zeros{}, size)
	must(t, err)
	layer := descriptor{MediaType: "application/vnd.oci.image.layer.v1.tar", Digest: fmt.Sprintf("sha256:%x", sum.Sum(nil)), Size: size}
	config := blob("application/vnd.oci.image.config.v1+json", []byte(`{"os":"linux","architecture":"amd64"}`))
	body, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": ociManifest, "config": config, "layers": []descriptor{layer}})
	must(t, err)
	image := blob(ociManifest, body)
	add("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	add("index.json", fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":%d,"annotations":{"io.containerd.image.name":%q}}]}`,
		image.MediaType, image.Digest, image.Size, name))
	must(t, out.WriteHeader(&tar.Header{Name: "blobs/sha256/" + layer.Digest[7:], Mode: 0o644, Size: size}))
	at, err := file.Seek(0, io.SeekCurrent)
	must(t, err)
	must(t, file.Truncate(at+size+1024)) // the size is a multiple of 512: the end of the archive follows
	return path
}

// zeros is a reader of zeros.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// jobStatus is what the tests read of a job.
type jobStatus struct {
	ID, Name, State string
	Input           struct {
		Offset   int64
		Complete bool
	}
}

// jobs returns the jobs of the mirror.
func (m *mirror) jobs() (jobs []jobStatus) {
	m.t.Helper()
	status, _, body := m.request(http.MethodGet, "/api/v1/jobs", "", nil)
	if status != http.StatusOK {
		m.t.Fatalf("list the jobs: %d %s", status, body)
	}
	must(m.t, json.Unmarshal(body, &jobs))
	return jobs
}

var peakLine = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB`)

// peakMemory returns how much memory the mirror has needed at most, in bytes.
func (m *mirror) peakMemory() int64 {
	m.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.pid))
	must(m.t, err)
	found := peakLine.FindSubmatch(status)
	if found == nil {
		m.t.Fatalf("no VmHWM in %s", status)
	}
	kilobytes, err := strconv.ParseInt(string(found[1]), 10, 64)
	must(m.t, err)
	return kilobytes << 10
}
