package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/spf13/cobra"

	"airmirror/sync/volume"
)

// TestJSON compares the keys and types of the JSON of each command with testdata/json. Scripts rely on them: keys may be added,
// and do not change. Every command that prints has --json, unless its output is a file.
func TestJSON(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	must(t, os.WriteFile(filepath.Join(dir, "password"), []byte("sesame\n"), 0o600))
	p := spawn(t, data, "--offline")
	ref, err := name.ParseReference(strings.TrimPrefix(p.url, "http://")+"/team/app:1", name.Insecure)
	must(t, err)
	image, err := random.Image(1000, 1)
	must(t, err)
	must(t, remote.Write(ref, image))
	resp, err := http.Get(p.url + "/v2/library/never/manifests/1")
	must(t, err)
	resp.Body.Close()
	job, err := exec.Command("mirror", "verify", "--detach", "--data", data).Output()
	must(t, err)
	id := strings.TrimSpace(string(job))
	must(t, exec.Command("mirror", "jobs", "watch", id, "--data", data).Run()) // to its end
	w, err := volume.Create(filepath.Join(dir, "v.tar"), 10, volume.Options{Parity: 1})
	must(t, err)
	_, err = io.WriteString(w, "more than one volume")
	must(t, errors.Join(err, w.Close()))
	done := map[string]bool{}
	for _, args := range [][]string{
		{"version"}, {"status"}, {"jobs"}, {"transfers"}, {"changes"}, {"mode"}, {"ls"}, {"inspect", "team/app:1"}, {"tag", "team/app:1", "team/app:2"}, {"pin", "team/app:1"}, {"unpin", "team/app:1"}, {"wants"}, {"wants", "clear"},
		{"du"}, {"verify"}, {"backup", "index.db"}, {"export", "--bundle", "b.tar", "--all", "--to", "plant"}, {"export", "--history"},
		{"import", "b.tar"}, {"bundle", "repair", "v.tar.001"}, {"bundle", "verify", "v.tar.001"}, {"sync", "team/app:1", "team/none:1"}, {"rm", "team/app:2"}, {"gc", "--grace", "0s"}, {"reload"}, {"health"}, {"compact"},
		{"client", "docker", "--host", "reg.example"}, {"cert", "--host", "reg.example"}, {"key", "generate", "--no-password"},
		{"config", "check"}, {"config", "show"}, {"user", "add", "alice", "--password-stdin"}, {"user", "ls"}, {"user", "rm", "alice"},
		{"token", "create", "ci", "--right", "pull", "--repository", "**", "--expires", "90d"}, {"token", "ls"}, {"token", "rm", "ci"}, {"console"},
		{"jobs", "show", id}, {"jobs", "watch", id}, {"jobs", "cancel", id},
	} {
		command, _, err := newRootCommand().Find(args)
		must(t, err)
		done[command.CommandPath()] = true
		argv := append(slices.Clone(args), "--json")
		if command.Flags().Lookup("data") != nil {
			argv = append(argv, "--data", data)
		}
		cmd := exec.Command("mirror", argv...)
		cmd.Dir, cmd.Stdin = dir, strings.NewReader("sesame\n")
		out, err := cmd.Output()
		if err != nil && args[0] != "sync" { // one of its images is missing
			t.Errorf("%q: %v\n%s", argv, err, out)
		}
		golden := strings.ReplaceAll(strings.TrimPrefix(command.CommandPath(), "mirror "), " ", "-")
		if slices.Contains(args, "--history") {
			golden += "-history"
		}
		compareGolden(t, filepath.Join("testdata", "json", golden+".json"), shapeOf(t, out))
	}
	eachCommand(newRootCommand(), func(cmd *cobra.Command) {
		switch cmd.CommandPath() {
		case "mirror serve", "mirror completion", "mirror config example", "mirror config schema": // they print no result, or a file
			return
		}
		if cmd.Runnable() && cmd.Annotations[isParent] == "" && !done[cmd.CommandPath()] {
			t.Errorf("the JSON of %s is not tested", cmd.CommandPath())
		}
	})
}

// shapeOf returns the keys and the types of JSON. A stream of lines has the shapes of its lines by kind.
func shapeOf(t *testing.T, text []byte) []byte {
	t.Helper()
	var shape any
	for decoder := json.NewDecoder(bytes.NewReader(text)); ; {
		var v any
		err := decoder.Decode(&v)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		line, _ := v.(map[string]any)
		if kind, ok := line["kind"].(string); ok && line["time"] != nil {
			if kind == "progress" { // how many there are depends on the time that the work takes
				continue
			}
			v = map[string]any{kind: v}
		}
		shape = joined(shape, shapeOfValue(v))
	}
	indented, err := json.MarshalIndent(shape, "", "  ")
	must(t, err)
	return append(indented, '\n')
}

// shapeOfValue replaces texts, numbers and truth values by their types, and the elements of a list by one with all keys.
func shapeOfValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		shape := map[string]any{}
		for key, value := range v {
			shape[key] = shapeOfValue(value)
			if key == "origins" { // its keys depend on the environment
				shape[key] = "texts by key"
			}
		}
		return shape
	case []any:
		var element any
		for _, value := range v {
			element = joined(element, shapeOfValue(value))
		}
		return []any{element}
	case string:
		if _, err := time.Parse(time.RFC3339, v); err == nil {
			return "time"
		}
		if strings.HasPrefix(v, "sha256:") {
			return "digest"
		}
		return "text"
	case float64:
		return "number"
	case bool:
		return "boolean"
	}
	return nil
}

// joined returns a shape with the keys of both.
func joined(a, b any) any {
	object, isObject := a.(map[string]any)
	other, both := b.(map[string]any)
	if !isObject || !both {
		if b == nil {
			return a
		}
		return b
	}
	for key, value := range other {
		object[key] = joined(object[key], value)
	}
	return object
}
