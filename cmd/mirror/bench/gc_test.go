//go:build bench

package bench_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	collectRepos  = 500
	collectImages = 10 // in each repository, half of them without a tag
	collectRounds = 3
)

// BenchmarkCollect collects half of 5,000 images, which no tag leads to, from the same content as distribution's
// garbage-collect: moved in from its own folder. Each round begins with a new copy of both.
func BenchmarkCollect(b *testing.B) {
	measure(b, func() {
		dir := b.TempDir()
		root, data := filepath.Join(dir, "root"), filepath.Join(dir, "data")
		storeImages(b, root)
		runQuietly(b, mirrorBin, "sync", "--offline", "--data", data, "--registry-root", root)
		var left [2]int // files of blobs, in the last round
		collect := func(i int, folder, blobs string, argv func(copied string) []string) float64 {
			copied := filepath.Join(dir, "copy")
			check(b, os.RemoveAll(copied))
			runQuietly(b, "cp", "-al", folder, copied)
			if index := filepath.Join(folder, "index.db"); exists(index) { // it is written in place
				check(b, os.Remove(filepath.Join(copied, "index.db")))
				runQuietly(b, "cp", index, copied)
			}
			began := time.Now()
			runQuietly(b, argv(copied)...)
			took := time.Since(began)
			left[i] = countFiles(b, filepath.Join(copied, blobs))
			return collectRepos * collectImages / took.Seconds()
		}
		ours := func(int) float64 {
			return collect(0, data, "blobs", func(copied string) []string {
				return []string{mirrorBin, "gc", "--offline", "--data", copied, "--grace", "0", "--delete-untagged", "--quiet"}
			})
		}
		distribution := func(int) float64 {
			return collect(1, root, "docker/registry/v2/blobs", func(copied string) []string {
				config := filepath.Join(dir, "config.yml")
				text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}}\nhttp: {addr: \"127.0.0.1:0\"}\n", copied)
				check(b, os.WriteFile(config, []byte(text), 0o600))
				return []string{registryBin, "garbage-collect", "--delete-untagged", "--quiet", config}
			})
		}
		r := alternate(collectRounds, ours, distribution).row("collection of half of 5,000 images", "images/s", "distribution", atLeast(10))
		if left[0] != left[1] || left[0] == 0 {
			b.Fatalf("we leave %d blobs, distribution %d", left[0], left[1])
		}
		r.note = fmt.Sprintf("both leave %d blobs", left[0])
		r.add(b)
	})
}

// storeImages writes a folder as distribution does: a layer that all images of a repository share, two of each image's own,
// and a tag for every other image.
func storeImages(b *testing.B, root string) {
	b.Helper()
	base := filepath.Join(root, "docker", "registry", "v2")
	for r := range collectRepos {
		repo := filepath.Join(base, "repositories", "team", fmt.Sprintf("app-%d", r))
		link := func(d string, parts ...string) {
			write(b, []byte(d), append([]string{repo}, append(parts, "link")...)...)
		}
		blob := func(data []byte) string {
			hex := fmt.Sprintf("%x", sha256.Sum256(data))
			write(b, data, base, "blobs", "sha256", hex[:2], hex, "data")
			return hex
		}
		layer := func(text string) map[string]any {
			data := []byte(strings.Repeat(text, 20))
			hex := blob(data)
			link("sha256:"+hex, "_layers", "sha256", hex)
			return map[string]any{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": "sha256:" + hex, "size": len(data)}
		}
		shared := layer(fmt.Sprintf("base of repository %d ", r))
		for i := range collectImages {
			config := layer(fmt.Sprintf("{} %d of %d ", i, r))
			config["mediaType"] = "application/vnd.oci.image.config.v1+json"
			manifest, err := json.Marshal(map[string]any{
				"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config,
				"layers": []any{shared, layer(fmt.Sprintf("layer of %d of %d ", i, r)), layer(fmt.Sprintf("other layer of %d of %d ", i, r))},
			})
			check(b, err)
			hex := blob(manifest)
			link("sha256:"+hex, "_manifests", "revisions", "sha256", hex)
			if i%2 == 0 {
				tag := fmt.Sprintf("v%d", i)
				link("sha256:"+hex, "_manifests", "tags", tag, "current")
				link("sha256:"+hex, "_manifests", "tags", tag, "index", "sha256", hex)
			}
		}
	}
}

func write(b *testing.B, data []byte, parts ...string) {
	b.Helper()
	path := filepath.Join(parts...)
	check(b, os.MkdirAll(filepath.Dir(path), 0o755))
	check(b, os.WriteFile(path, data, 0o644))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func countFiles(b *testing.B, folder string) (n int) {
	b.Helper()
	check(b, filepath.WalkDir(folder, func(_ string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			n++
		}
		return err
	}))
	return n
}

func runQuietly(b *testing.B, argv ...string) {
	b.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%.2000s", strings.Join(argv, " "), err, out)
	}
}
