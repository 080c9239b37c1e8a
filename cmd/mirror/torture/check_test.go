//go:build torture

package torture_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"
)

// findings are what a check found to be wrong.
type findings struct {
	mu   sync.Mutex
	list []string
}

func (f *findings) add(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, fmt.Sprintf(format, args...))
}

// check starts a server on what is left of a workload that was stopped at a position, and compares everything with what is
// possible. With settle, what was found becomes the history. root is where the folder of the workload is now.
func (w *workload) check(t *testing.T, root string, at int, settle bool) *findings {
	t.Helper()
	f := &findings{}
	s := launch(t, filepath.Join(root, "data"), "--offline")
	if err := s.ready(); err != nil {
		f.add("%v", err)
		return f
	}
	ctx := t.Context()
	c := newClient(ctx, t, s.url)
	var group errgroup.Group
	group.SetLimit(4)
	for _, name := range w.names("") {
		group.Go(func() error {
			w.checkName(c, root, name, at, settle, f)
			return nil
		})
	}
	_ = group.Wait() // nothing fails, but is found
	w.checkList(ctx, c, s.data, f)
	if _, err := command(ctx, s.data, "", "verify"); err != nil {
		f.add("%v", err)
	}
	after := newImage(random(uint64(at)))
	if err := c.push("team/after:v1", after); err != nil {
		f.add("a push after the restart: %v", err)
	} else if got, err := c.pull("team/after:v1"); err != nil || got != digestOf(after) {
		f.add("a push after the restart is %q: %v", got, err)
	}
	if err := s.stop(); err != nil {
		f.add("%v", err)
	}
	if len(f.list) > 0 {
		f.add("log of the server: %s", tail(s.log.String()))
	}
	return f
}

func (w *workload) checkName(c *client, root, name string, at int, settle bool, f *findings) {
	value, err := w.read(c, root, name)
	if err != nil {
		f.add("%s: %v", name, err)
		return
	}
	possible := w.possible(name, at)
	if !slices.Contains(possible, value) && !slices.Contains(possible, unknown) {
		f.add("%s is %q, possible are %q", name, value, possible)
	}
	if settle {
		w.settle(name, value)
	}
}

// read returns the value that a name of the history has.
func (w *workload) read(c *client, root, name string) (string, error) {
	kind, what, _ := strings.Cut(name, ":")
	switch kind {
	case "tag":
		return c.pull(what)
	case "blob":
		return c.pullBlob(what)
	case "bundle":
		return readBundle(c)
	case "file":
		return sumOf(filepath.Join(root, what))
	case "user":
		file, err := os.ReadFile(filepath.Join(root, "other", "htpasswd"))
		if err != nil && !os.IsNotExist(err) {
			return "", err
		}
		if slices.ContainsFunc(strings.Split(string(file), "\n"), func(line string) bool { return strings.HasPrefix(line, what+":") }) {
			return what, nil
		}
		return absent, nil
	}
	return "", fmt.Errorf("a name of an unknown kind")
}

// checkList pulls every image that is listed: what is complete has all blobs, and a pushed image is complete.
func (w *workload) checkList(ctx context.Context, c *client, data string, f *findings) {
	out, err := command(ctx, data, "", "ls", "--json")
	if err != nil {
		f.add("%v", err)
		return
	}
	var images []struct {
		Name, Digest, Origin, Platform string
		Complete                       bool
	}
	if err := json.Unmarshal([]byte(out), &images); err != nil {
		f.add("mirror ls --json: %v", err)
		return
	}
	for _, image := range images {
		ref := image.Name + "@" + image.Digest
		if image.Origin != "mirrored" && !image.Complete && !w.collect {
			f.add("%s is %s and incomplete", ref, image.Origin)
		}
		switch value, err := c.pull(ref); {
		case image.Complete && (err != nil || value != image.Digest):
			f.add("%s is listed as complete, and is %q: %v", ref, value, err)
		case err == nil:
		case !notFound(err):
			f.add("%s: %v", ref, err)
		}
	}
}
