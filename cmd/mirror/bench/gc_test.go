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
)

const (
	collectRepos  = 500
	collectImages = 10 // in each repository, half of them without a tag
	collectRounds = 3
)

// BenchmarkCollect collects half of 5,000 images, which no tag leads to, from the same content as distribution's
// garbage-collect: migrated from its own folder. Each round begins with a new copy of both.
func BenchmarkCollect(b *testing.B) {
	b.Run("folder", func(b *testing.B) {
		notQuick(b)
		benchmarkCollect(b, "collection of half of 5,000 images", false, atMost(0.1))
	})
	b.Run("serving", func(b *testing.B) {
		benchmarkCollect(b, "collection of half of 5,000 images, serving", true, aim{limit: 0.6, atMost: true, absolute: true})
	})
}

func benchmarkCollect(b *testing.B, name string, serving bool, goal aim) {
	measure(b, func() {
		root, data := collectStores(b)
		copied, config := filepath.Join(b.TempDir(), "copy"), filepath.Join(b.TempDir(), "config.yml")
		text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}}\nhttp: {addr: \"127.0.0.1:0\"}\n", copied)
		check(b, os.WriteFile(config, []byte(text), 0o600))
		var left [2]int // files of blobs, in the last round
		var commands commands
		collect := func(which int, blobs string, of *server, argv ...string) float64 {
			took := commands.run(b, of, argv...)
			left[which] = countFiles(b, filepath.Join(copied, blobs))
			return took.Seconds()
		}
		var cpu []float64
		ours := func(int) float64 {
			copyStore(b, data, copied)
			var mirror *server
			if serving {
				mirror = startMirrorOn(b, copied, "--offline")
				defer mirror.stop()
			}
			defer func() { cpu = append(cpu, commands.cpu[len(commands.cpu)-1].Seconds()) }()
			return collect(0, "blobs", mirror, mirrorBin, "gc", "--offline", "--data", copied, "--grace", "0", "--delete-untagged", "--quiet")
		}
		distribution := func(int) float64 {
			copyStore(b, root, copied)
			return collect(1, "docker/registry/v2/blobs", nil, registryBin, "garbage-collect", "--delete-untagged", "--quiet", config)
		}
		r := alternate(collectRounds, ours, distribution).row(name, "s", "distribution", goal)
		if left[0] != left[1] || left[0] == 0 {
			b.Fatalf("we leave %d blobs, distribution %d", left[0], left[1])
		}
		r.note = fmt.Sprintf("cpu %s s; both leave %d blobs; distribution does not serve meanwhile", number(median(cpu)), left[0])
		r.add(b)
	})
}

// copyStore makes a copy of a folder that shares the files of blobs.
func copyStore(b *testing.B, folder, copied string) {
	b.Helper()
	check(b, os.RemoveAll(copied))
	runQuietly(b, "cp", "-al", folder, copied)
	if index := filepath.Join(folder, "index.db"); exists(index) { // it is written in place
		check(b, os.Remove(filepath.Join(copied, "index.db")))
		runQuietly(b, "cp", index, copied)
	}
	syncDisk()
}

// collectStores returns a folder of distribution and a data folder with the same 5,000 images, made by the first call.
func collectStores(b *testing.B) (root, data string) {
	b.Helper()
	root, data = filepath.Join(scratch, "root"), filepath.Join(scratch, "data")
	if !exists(data) {
		storeImages(b, root)
		runQuietly(b, mirrorBin, "sync", "--offline", "--data", data, "--registry-root", root)
	}
	return root, data
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
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%.2000s", strings.Join(argv, " "), err, out)
	}
}
