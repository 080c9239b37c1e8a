//go:build e2e

package e2e_test

import (
	"path/filepath"
	"testing"
)

// TestTodayHelm: charts are pushed after a login, and pulled without one.
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
	})
}
