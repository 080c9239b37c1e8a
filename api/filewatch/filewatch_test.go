package filewatch_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"airmirror/api/filewatch"
)

// newWatched returns a value of the file at path: its text, or an error if that is "bad".
func newWatched(path string, change func(*filewatch.Options[string])) (*filewatch.Value[string], *observer.ObservedLogs, error) {
	core, logs := observer.New(zap.InfoLevel)
	opts := filewatch.Options[string]{Files: []string{path, ""}, Log: zap.New(core), Load: func() (string, error) {
		text, err := os.ReadFile(path)
		if err == nil && string(text) == "bad" {
			err = errors.New("the file is bad")
		}
		return string(text), err
	}}
	if change != nil {
		change(&opts)
	}
	value, err := filewatch.New(opts)
	return value, logs, err
}

func write(t *testing.T, path, text string) {
	t.Helper()
	temporary := path + ".new"
	if err := os.WriteFile(temporary, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temporary, path); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, value *filewatch.Value[string], want string) {
	t.Helper()
	if got := value.Get(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestValueFollowsItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "one")
	value, logs, err := newWatched(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	want(t, value, "one")
	write(t, path, "two")
	want(t, value, "two")
	if logs.Len() != 1 {
		t.Errorf("logged %d lines, want 1: %v", logs.Len(), logs.All())
	}
}

func TestUnusableFileKeepsThePreviousValue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "one")
	value, logs, err := newWatched(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, "bad")
	for range 3 {
		want(t, value, "one")
	}
	if logs.Len() != 1 || logs.All()[0].Level != zap.WarnLevel {
		t.Errorf("logged %v, want one warning", logs.All())
	}
	if err := value.Reload(); err == nil {
		t.Error("reloading a bad file succeeded")
	}
	want(t, value, "one")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	want(t, value, "one")
	write(t, path, "two")
	want(t, value, "two")
}

func TestUnusableReplacesThePreviousValue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "one")
	value, _, err := newWatched(path, func(o *filewatch.Options[string]) {
		o.Unusable = func(previous string) string { return fmt.Sprintf("unusable after %.3s", previous) }
	})
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, "bad")
	want(t, value, "unusable after one")
	write(t, path, "two")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	want(t, value, "unusable after one") // a missing file is not an unusable one
	write(t, path, "three")
	want(t, value, "three")
}

func TestMissingFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if _, _, err := newWatched(path, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file is %v, want an error", err)
	}
	value, logs, err := newWatched(path, func(o *filewatch.Options[string]) { o.Missing = func() string { return "none" } })
	if err != nil {
		t.Fatal(err)
	}
	want(t, value, "none")
	if logs.Len() != 0 {
		t.Errorf("logged %v", logs.All())
	}
	write(t, path, "one")
	want(t, value, "one")
}

func TestFilesAreNotReadWithinTheInterval(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "one")
	value, _, err := newWatched(path, func(o *filewatch.Options[string]) { o.Interval = time.Hour })
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, "two")
	want(t, value, "one")
	if err := value.Reload(); err != nil {
		t.Fatal(err)
	}
	want(t, value, "two")
}
