//go:build torture

package torture_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	bundleCount = 3
	bundleTags  = 4
	bundleName  = "bundle:plant/app" // in histories
	password    = "correct horse battery\n"
)

// operator runs one command.
func (w *workload) operator(ctx context.Context, rnd *rand.Rand) error {
	mirror := func(args ...string) error {
		_, err := command(ctx, w.data(), "", args...)
		return err
	}
	switch rnd.IntN(7) {
	case 0:
		if w.collect {
			return mirror("gc", "--grace", "0s", "--delete-untagged")
		}
		return mirror("gc")
	case 1, 2:
		file, value := w.bundles.choose(rnd)
		return w.attempt(bundleName, value, func() error { return mirror("sync", "--allow-older", "--bundle", file) })
	case 3:
		return w.writeFile("backup.db", func(path string) error { return mirror("backup", "--overwrite", path) })
	case 4:
		return mirror("compact")
	case 5:
		return w.writeFile("plant.tar", func(path string) error {
			return mirror("export", "--bundle", path, "--overwrite", "--skip-missing", "plant/app:t0")
		})
	default:
		user := fmt.Sprintf("user%d", rnd.IntN(1000))
		return w.attempt("user:"+user, user, func() error {
			_, err := command(ctx, filepath.Join(w.root, "other"), password, "user", "add", user, "--password-stdin")
			return err
		})
	}
}

// writeFile has a command write a file beside the data folder.
func (w *workload) writeFile(name string, f func(path string) error) error {
	path := filepath.Join(w.root, name)
	return w.produce("file:"+name, func() (string, error) {
		if err := f(path); err != nil {
			return "", err
		}
		return sumOf(path)
	})
}

// sumOf returns the digest of a file; absent if there is none.
func sumOf(path string) (string, error) {
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return absent, nil
	}
	return fmt.Sprintf("%x", sha256.Sum256(data)), err
}

// bundles are exports of one repository at different times. All have the same tags.
type bundles struct {
	files  []string
	values []string // what readBundle returns after the import
}

func (b *bundles) choose(rnd *rand.Rand) (file, value string) {
	n := rnd.IntN(len(b.files))
	return b.files[n], b.values[n]
}

// exportBundles exports bundles from a staging mirror.
func exportBundles(t *testing.T) *bundles {
	t.Helper()
	dir := t.TempDir()
	staging := launch(t, filepath.Join(dir, "data"), "--offline")
	must(t, staging.ready())
	c, rnd, b := newClient(t.Context(), t, staging.url), random(), &bundles{}
	for n := range bundleCount {
		file := filepath.Join(dir, fmt.Sprintf("plant%d.tar", n))
		for tag := range bundleTags {
			must(t, c.push(bundleRef(tag), newContent(rnd)))
		}
		_, err := command(t.Context(), staging.data, "", "export", "--bundle", file, "--all")
		must(t, err)
		value, err := readBundle(c)
		must(t, err)
		b.files, b.values = append(b.files, file), append(b.values, value)
	}
	must(t, staging.stop())
	return b
}

func bundleRef(tag int) string { return fmt.Sprintf("plant/app:t%d", tag) }

// readBundle pulls the tags of the bundles, which move together, and returns their digests; absent if none is stored.
func readBundle(c *client) (string, error) {
	var digests [bundleTags]string
	for tag := range bundleTags {
		var err error
		if digests[tag], err = c.pull(bundleRef(tag)); err != nil {
			return "", err
		}
	}
	if digests == [bundleTags]string{} {
		return absent, nil
	}
	return strings.Join(digests[:], " "), nil
}
