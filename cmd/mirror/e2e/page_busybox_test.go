//go:build e2e

package e2e_test

import (
	"runtime"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// realBusybox is an image like Docker Hub's of that name: for several platforms, with a shell.
func realBusybox(t *testing.T, version string) v1.ImageIndex {
	t.Helper()
	index := mutate.IndexMediaType(empty.Index, ociFormat.index)
	for _, arch := range []string{"amd64", "arm64"} {
		layers := []v1.Layer{fileLayer(t, ociFormat, "version", 0o644, []byte(version+" for "+arch))}
		if arch == runtime.GOARCH {
			layers = append(layers, busyboxLayer(t, ociFormat, "sh", "echo"))
		}
		img := image(t, ociFormat, arch, "/bin/sh", layers...)
		config, err := img.ConfigFile()
		if err == nil {
			config = config.DeepCopy()
			config.Config.Entrypoint, config.Config.Cmd = nil, []string{"sh"}
			img, err = mutate.ConfigFile(img, config)
		}
		if err != nil {
			t.Fatal(err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: platform{img}, Descriptor: linux(arch)})
	}
	return index
}
