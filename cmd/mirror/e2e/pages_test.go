//go:build e2e

package e2e_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// project is the folder of the project.
const project = "../../.."

// pages are the documentation: README and what is below deploy/docs.
func pages(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob(project + "/README*.md")
	if err != nil {
		t.Fatal(err)
	}
	below, err := filepath.Glob(project + "/deploy/docs/*.md")
	if err != nil || len(below) < 10 {
		t.Fatal(err, below)
	}
	translated, err := filepath.Glob(project + "/deploy/docs/*/*.md")
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(all, below, translated)
}

// TestREADMEAndPages does what the pages say and checks that this prints what they show. Each page is a session of its
// own, in an empty folder. A registry of the test stands in for Docker Hub.
func TestREADMEAndPages(t *testing.T) {
	need(t, "root", "bash", "curl", "unshare")
	needPort(t, ":5000") // the port of the pages
	hub := startUpstream(t)
	for _, tag := range []string{"1.35", "1.36"} {
		push(t, realBusybox(t, tag), hub.addr+"/library/busybox:"+tag)
	}
	for _, path := range pages(t) {
		name, err := filepath.Rel(project, path)
		if err != nil {
			t.Fatal(err)
		}
		if all := steps(t, path); slices.ContainsFunc(all, func(e step) bool { return e.command != "" }) {
			t.Run(strings.ReplaceAll(strings.TrimPrefix(name, "deploy/docs/"), "/", "-"), func(t *testing.T) { perform(t, hub.addr, name, all) })
		}
	}
}

// perform does the steps of a page.
func perform(t *testing.T, hub, page string, all []step) {
	t.Helper()
	s := newSession(t, hub)
	if slices.ContainsFunc(all, func(e step) bool { return strings.Contains(e.command, "docker ") }) {
		docker := startDocker(t, "localhost:5000", s.prefix...)
		s.shell.do(t, "export DOCKER_HOST="+docker.host)
	}
	for _, e := range all {
		got := s.do(t, page, e)
		for len(e.output) > 0 && e.output[len(e.output)-1] == "" {
			e.output = e.output[:len(e.output)-1]
		}
		if !e.hidden && !shows(e.output, got) {
			t.Errorf("%s:%d: $ %s\nprints\n\t%s\nand not\n\t%s", page, e.line, e.command,
				strings.Join(got, "\n\t"), strings.Join(e.output, "\n\t"))
		}
	}
}
