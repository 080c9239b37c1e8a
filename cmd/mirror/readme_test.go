package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeConfig: the files that README shows are ones that the mirror takes.
func TestReadmeConfig(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	must(t, err)
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(readme, -1)
	if blocks == nil {
		t.Fatal("README shows no configuration")
	}
	for _, block := range blocks {
		load(t, string(block[1]))
	}
	c := load(t, string(blocks[0][1]))
	if got := strings.Join(c.hosts()[:2], " "); got != "docker.io ghcr.io" {
		t.Errorf("upstreams: %s", got)
	}
}

// TestReadmeFlags: README shows every flag of serve, in the words of its help.
func TestReadmeFlags(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	must(t, err)
	for line := range strings.Lines(newServeCommand().Flags().FlagUsages()) {
		if !strings.Contains(line, "--help") && !strings.Contains(string(readme), line) {
			t.Errorf("README lacks %q", line)
		}
	}
}
