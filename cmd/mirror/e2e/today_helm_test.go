//go:build e2e

package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTodayHelm: charts are pushed after a login, and pulled without one. A sync reads their images.
func TestTodayHelm(t *testing.T) {
	byScheme(t, func(t *testing.T, tls bool) {
		bin := today(t, true, "helm")
		mirror := startSite(t, tls, "--offline")
		how := []string{"--plain-http"}
		if tls {
			how = []string{"--ca-file", mirror.ca}
		}
		dir := tempDir(t)
		helm := func(args ...string) []string { return append([]string{bin + "helm"}, append(args, how...)...) }
		run(t, environment(t), bin+"helm", "create", filepath.Join(dir, "app"))
		run(t, environment(t), bin+"helm", "package", filepath.Join(dir, "app"), "--destination", dir)
		chart, charts := filepath.Join(dir, "app-0.1.0.tgz"), "oci://"+mirror.addr+"/charts"

		refuses(t, environment(t), "", helm("push", chart, charts)...)
		env := environment(t)
		run(t, env, helm("registry", "login", mirror.addr, "--username", robot, "--password", secret)...)
		run(t, env, helm("push", chart, charts)...)
		pulled := tempDir(t)
		run(t, environment(t), helm("pull", charts+"/app", "--version", "0.1.0", "--destination", pulled)...)
		if readFile(t, filepath.Join(pulled, "app-0.1.0.tgz")) != readFile(t, chart) {
			t.Error("the chart that was pulled is another one")
		}
		for _, file := range []string{filepath.Join(dir, "app"), chart, charts + "/app:0.1.0"} {
			r := try(t, append(environment(t), "PATH="+bin+":"+os.Getenv("PATH")), mirrorBin, "sync", "--data", mirror.data, "--file", file, "--kube-version", "1.33")
			if want := file + ": read as a Helm chart: 2 images"; r.code != 6 || !strings.Contains(r.stderr, want) || !strings.Contains(r.stdout, "library/nginx:") {
				t.Errorf("sync --file %s: exit code %d\n%s%s\nwant 6, as the images are not stored, and %q", file, r.code, r.stdout, r.stderr, want)
			}
		}
	})
}
