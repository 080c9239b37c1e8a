package e2econsole_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	downloads "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
)

// TestRefusedImports imports a bundle that is damaged, one without a signature, and one whose predecessor is missing. The page
// has the reason that the command has, and nothing is changed.
func TestRefusedImports(t *testing.T) {
	from := startMirror(t, "--offline")
	from.push("team/app", "1", "amd64")
	dir := t.TempDir()
	key := filepath.Join(dir, "plant.key")
	if out, err := exec.Command(mirrorBin, "key", "generate", "--no-password", "--key", key).CombinedOutput(); err != nil {
		t.Fatalf("generate a key: %v\n%s", err, out)
	}
	export := func(name string, args ...string) string {
		file := filepath.Join(dir, name)
		from.command(append([]string{"export", "--bundle", file, "--all"}, args...)...)
		return file
	}
	unsigned := export("unsigned.tar")
	damaged := export("damaged.tar", "--to", "plant-7", "--sign", key)
	content, err := os.ReadFile(damaged)
	must(t, err)
	at := bytes.Index(content, []byte("team/app1amd64"))
	copy(content[at:], "damaged")
	must(t, os.WriteFile(damaged, content, 0o600))
	from.push("team/app", "2", "amd64")
	early := export("second.tar", "--to", "plant-7", "--since", "last", "--sign", key)

	config := filepath.Join(dir, "mirror.yaml")
	must(t, os.WriteFile(config, fmt.Appendf(nil, "bundles: {trustedKeys: [%s], requireSignature: true, destination: plant-7}\n", filepath.Join(dir, "plant.pub")), 0o600))
	to := startMirror(t, "--offline", "--config", config)
	to.push("team/other", "1", "amd64")
	before := to.command("ls")
	b := startBrowser(t)
	b.login(to)
	for name, file := range map[string]string{"damaged": damaged, "unsigned": unsigned, "out of order": early} {
		t.Run(name, func(t *testing.T) {
			b.open(to, "transfer")
			b.upload(file)
			b.waitFor(`.failure[role="alert"]`)
			reason := eval[string](b, `document.querySelector('.failure [lang="en"]').textContent`)
			out, err := exec.Command(mirrorBin, "sync", "--bundle", file, "--data", to.data).CombinedOutput()
			if err == nil {
				t.Errorf("the command imports it: %s", out)
			}
			if reason == "" || !strings.Contains(string(out), reason) {
				t.Errorf("the page says %q, and the command %s", reason, out)
			}
			b.shows("No tag was moved.")
			if after := to.command("ls"); after != before {
				t.Errorf("after the import the mirror has\n%s\nand before\n%s", after, before)
			}
		})
	}
}

// TestPreviewThenImport previews an archive, and then imports it without choosing the file again.
func TestPreviewThenImport(t *testing.T) {
	m := startMirror(t, "--offline")
	b := startBrowser(t)
	b.login(m)
	b.open(m, "transfer")
	b.run(chromedp.SetUploadFiles(chromedp.CSS("form[data-upload] input[type=file]"), []string{writeArchive(t, "docker.io/team/app:1", 1<<20)}))
	b.click("form[data-upload] button[formaction]")
	b.shows("This is a preview: nothing was changed.")
	b.shows("docker.io/team/app:1")
	if listed := m.command("ls", "-q"); listed != "" {
		t.Errorf("after the preview the mirror has %s", listed)
	}
	b.click("form[data-upload] button.primary")
	b.shows("The import has ended.")
	if listed := m.command("ls", "-q"); !strings.Contains(listed, "team/app:1") {
		t.Errorf("after the import the mirror has %q", listed)
	}
}

// TestExportIsDownloaded downloads a bundle, which has the content of one that the command writes. A download whose connection
// is cut fails, and content that is damaged is an error page.
func TestExportIsDownloaded(t *testing.T) {
	m := startMirror(t, "--offline")
	m.push("team/app", "1", "amd64", "arm64")
	layer := bytes.Repeat([]byte("a layer that is stored and will be damaged "), 200_000)
	blob := m.blob("team/big", "application/vnd.oci.image.layer.v1.tar", layer)
	config := m.blob("team/big", "application/vnd.oci.image.config.v1+json", []byte(`{"os":"linux","architecture":"amd64"}`))
	m.manifest("team/big", "1", ociManifest, map[string]any{"schemaVersion": 2, "mediaType": ociManifest, "config": config, "layers": []descriptor{blob}})
	b := startBrowser(t)
	b.login(m)
	cutter := new(mirror)
	*cutter = *m
	cutter.address = startLink(t, m.address, linkLimits{received: 2 << 20}).address
	plan := func(m *mirror, image string) {
		b.open(m, "transfer")
		b.run(chromedp.SendKeys(chromedp.CSS(`textarea[name="images"]`), image))
		b.click(`form[action="transfer?action=plan"] button`)
		b.shows("docker.io/" + image)
	}

	plan(m, "team/app:1")
	downloaded, state := b.download(`form[action="transfer?action=download"] button`)
	if state != downloads.DownloadProgressStateCompleted {
		t.Fatalf("the download has %s", state)
	}
	written := filepath.Join(t.TempDir(), "written.tar")
	m.command("export", "--bundle", written, "team/app:1")
	if got, want := blobsOf(t, downloaded), blobsOf(t, written); got != want {
		t.Errorf("the download has\n%s\nand the bundle of the command\n%s", got, want)
	}
	inside := t.TempDir()
	if out, err := exec.Command(mirrorBin, "sync", "--bundle", downloaded, "--data", inside, "--offline").CombinedOutput(); err != nil {
		t.Errorf("import the download: %v\n%s", err, out)
	}

	plan(cutter, "team/big:1")
	if partly, state := b.download(`form[action="transfer?action=download"] button`); state != downloads.DownloadProgressStateCanceled {
		t.Errorf("the download over a connection that was cut has %s: %s", state, partly)
	}

	file := filepath.Join(m.data, "blobs", "sha256", blob.Digest[7:9], blob.Digest[7:])
	copy(layer[len(layer)/2:], "damaged")
	must(t, os.Chmod(file, 0o600))
	must(t, os.WriteFile(file, layer, 0o600))
	plan(m, "team/big:1")
	b.click(`form[action="transfer?action=download"] button`)
	b.shows("the content of its file has another digest")
}

// download clicks on what starts a download, and returns the file and how the download ended.
func (b *browser) download(selector string) (file string, state downloads.DownloadProgressState) {
	b.t.Helper()
	dir := b.t.TempDir()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	progress := chromedp.BrowserEvents(ctx, downloads.DownloadProgress)
	yes := true
	_, err := chromedp.CallBrowser(ctx, downloads.SetDownloadBehavior, downloads.SetDownloadBehaviorParams{
		Behavior: downloads.SetDownloadBehaviorBehaviorAllowAndName, DownloadPath: dir, EventsEnabled: &yes,
	})
	must(b.t, err)
	b.click(selector)
	for event, err := range progress {
		must(b.t, err)
		if event.State != downloads.DownloadProgressStateInProgress {
			return filepath.Join(dir, event.GUID), event.State
		}
	}
	b.t.Fatal("the download does not end")
	return "", ""
}

// blobsOf returns the names and sizes of the blobs in a bundle, and its index.
func blobsOf(t *testing.T, path string) string {
	t.Helper()
	file, err := os.Open(path)
	must(t, err)
	defer file.Close()
	var list strings.Builder
	for in := tar.NewReader(file); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return list.String()
		}
		must(t, err)
		if strings.HasPrefix(header.Name, "blobs/") {
			fmt.Fprintf(&list, "%s %d\n", header.Name, header.Size)
		}
	}
}
