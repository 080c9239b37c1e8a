//go:build e2e

package e2e_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
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
	need(t, "root", "bash", "curl", "jq", "skopeo", "unshare")
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
		if translations[name] != "" {
			continue // TestTranslationsShowTheSame compares it with what is run
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

// guides are the pages that a newcomer follows from an empty folder, with nothing done before.
var guides = []string{"quickstart.md", "tls.md", "users.md", "free-space.md", "airgap.md"}

// TestGuidesTakeTheCommandsThatTheySay counts the commands of the first section of each guide. TestREADMEAndPages runs them.
func TestGuidesTakeTheCommandsThatTheySay(t *testing.T) {
	for _, folder := range []string{"", "zh/"} {
		for _, guide := range guides {
			path := project + "/deploy/docs/" + folder + guide
			text, err := os.ReadFile(path)
			if os.IsNotExist(err) && folder != "" {
				continue // not translated
			}
			if err != nil {
				t.Fatal(err)
			}
			before, _, _ := strings.Cut(string(text), "\n## ")
			says := regexp.MustCompile(`in ([0-9]+) commands|([0-9]+) 条命令`).FindStringSubmatch(before)
			if says == nil {
				t.Errorf("%s%s does not say how many commands it takes", folder, guide)
				continue
			}
			commands := 0
			for _, e := range steps(t, path) {
				if e.line > strings.Count(before, "\n")+1 {
					break
				}
				if e.hidden {
					t.Errorf("%s%s:%d: a guide runs nothing that it does not show", folder, guide, e.line)
				}
				if e.command != "" {
					commands++
				}
			}
			if said := says[1] + says[2]; said != strconv.Itoa(commands) {
				t.Errorf("%s%s says %s commands and shows %d", folder, guide, said, commands)
			}
		}
	}
}

// translations are pages in another language, with what they translate.
var translations = map[string]string{
	"deploy/docs/zh/README.md":     "README.md",
	"deploy/docs/zh/quickstart.md": "deploy/docs/quickstart.md",
	"deploy/docs/zh/airgap.md":     "deploy/docs/airgap.md",
}

// TestTranslationsShowTheSame checks that a translation has the commands, the output and the files of the original, and
// that it is listed.
func TestTranslationsShowTheSame(t *testing.T) {
	for translation, original := range translations {
		got, want := steps(t, filepath.Join(project, translation)), steps(t, filepath.Join(project, original))
		for i := range want {
			want[i].line = 0
			if i < len(got) {
				got[i].line = 0
			}
			if i >= len(got) || !reflect.DeepEqual(got[i], want[i]) {
				t.Errorf("%s differs from %s at step %d, %q", translation, original, i+1, want[i].command)
				break
			}
		}
		if len(got) > len(want) {
			t.Errorf("%s has %d steps, %s has %d", translation, len(got), original, len(want))
		}
	}
	for _, path := range pages(t) {
		name, err := filepath.Rel(project, path)
		if err != nil {
			t.Fatal(err)
		}
		if translated := strings.Contains(name, "zh"); translated && translations[name] == "" {
			t.Errorf("%s translates no page that the test knows", name)
		}
	}
}
