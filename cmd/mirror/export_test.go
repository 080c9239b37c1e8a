package main

import (
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// TestExportReportsUncheckedImages uses an upstream that serves an image and refuses to list its referrers. The bundle is
// written, and the image is reported as not checked.
func TestExportReportsUncheckedImages(t *testing.T) {
	up := newOrigin(t)
	up.image("library/app:v1")
	up.misbehave(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/manifests/sha256-") || strings.Contains(r.URL.Path, "/referrers/") {
			const refusal = `{"errors":[{"code":"DENIED","message":"not for you"}]}`
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", strconv.Itoa(len(refusal))) // nothing comes after it
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(refusal))
		}
	})
	dir := t.TempDir()
	up.image("library/other:v1")
	if out, err := exec.Command("mirror", "sync", "--data", dir+"/d", "--upstream", "docker.io="+up.URL, "other:v1").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command("mirror", "export", "--data", dir+"/d", "--upstream", "docker.io="+up.URL, "--bundle", dir+"/b.tar", "app:v1").CombinedOutput()
	exit, _ := err.(*exec.ExitError)
	if exit == nil || exit.ExitCode() != exitMissing {
		t.Fatalf("%v, want exit code %d\n%s", err, exitMissing, out)
	}
	for _, part := range []string{"contains  1 image", "not checked: docker.io/library/app:v1: cannot check whether ", "not for you",
		"1 image could not be checked upstream, and may be outdated or lack referrers"} {
		if !strings.Contains(string(out), part) {
			t.Errorf("it does not say %q:\n%s", part, out)
		}
	}
}
