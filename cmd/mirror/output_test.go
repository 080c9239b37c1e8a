package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"unicode"

	"github.com/opencontainers/go-digest"
)

// hostile are texts of clients that move the cursor, forge rows and change the direction of text.
const hostile = `linux\u001b]0;pwned\u0007\u001b[2J\nteam/safe:1  linux/amd64  yes\r\u202e\u009b31m`

// TestOutputEscapesControlCharacters checks that the output of commands and logs has no control characters, no characters that change the
// direction of text, and no forged rows.
func TestOutputEscapesControlCharacters(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	t.Setenv("MIRROR_ACCESS_LOG", "true")
	p := spawnTo(t, &log, dir, "--offline", "--log-level", "debug", "--log-format", "json")
	base := p.url + "/v2/team/a/"
	send := func(method, path, contentType, body string) {
		t.Helper()
		req, err := http.NewRequest(method, base+path, strings.NewReader(body))
		must(t, err)
		req.Header.Set("Content-Type", contentType)
		req.Header.Set("User-Agent", "agent\u202e\u0085")
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		defer resp.Body.Close()
		if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusCreated {
			t.Fatalf("%s %s: %s %s", method, path, resp.Status, text)
		}
	}
	const manifest = "application/vnd.oci.image.manifest.v1+json"
	send("POST", "blobs/uploads/?digest="+digest.FromString("{}").String(), "application/octet-stream", "{}")
	config := fmt.Sprintf(`{"mediaType":"application/vnd.oci.empty.v1+json","digest":"%s","size":2}`, digest.FromString("{}"))
	image := `{"schemaVersion":2,"mediaType":"` + manifest + `","config":` + config + `,"layers":[]}`
	send("PUT", "manifests/x", manifest, image)
	child := fmt.Sprintf(`{"mediaType":"%s","digest":"%s","size":%d`, manifest, digest.FromString(image), len(image))
	send("PUT", "manifests/i", "application/vnd.oci.image.index.v1+json", `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[`+
		child+`,"platform":{"os":"`+hostile+`","architecture":"amd64\tx"}}]}`)
	send("PUT", "manifests/r", manifest, `{"schemaVersion":2,"mediaType":"`+manifest+`","artifactType":"a/`+hostile+`","config":`+config+`,"layers":[],"subject":`+
		child+`},"annotations":{"`+hostile+`":"`+hostile+`"}}`)

	bundle := dir + "/b.tar"
	for _, args := range []string{"ls", "ls --json", "ls --incomplete", "du", "du --json", "status", "status --json", "wants", "verify", "gc --dry-run --delete-untagged --grace 0s",
		"export --bundle " + bundle + " --all --dry-run", "export --bundle " + bundle + " --all --dry-run --json", "export --bundle " + bundle + " --all", "rm --dry-run team/a:i", "rm team/a:i"} {
		checkPrinted(t, dir, args)
	}
	for _, args := range []string{"sync --offline --bundle " + bundle, "ls --offline", "ls --offline --json"} {
		checkPrinted(t, dir+"/in", args)
	}
	p.kill()
	checkText(t, "the log", log.String())
	if !strings.Contains(log.String(), `agent\u202e\u0085`) {
		t.Errorf("the log does not say who asked: %s", &log)
	}
}

// checkPrinted runs a command and checks its output.
func checkPrinted(t *testing.T, data, args string) {
	t.Helper()
	out, err := exec.Command("mirror", append(strings.Fields(args), "--data", data)...).CombinedOutput()
	if err != nil {
		t.Errorf("mirror %s: %v\n%q", args, err, out)
	}
	checkText(t, "mirror "+args, string(out))
}

func checkText(t *testing.T, what, text string) {
	t.Helper()
	for _, r := range text {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("%s prints %U: %q", what, r, text)
			break
		}
	}
	if strings.Contains("\n"+text, "\nteam/safe:1") {
		t.Errorf("%s prints a row that was forged: %s", what, text)
	}
}
