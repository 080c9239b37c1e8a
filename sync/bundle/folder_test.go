package bundle_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/sync/bundle"
)

// folder writes c as an image layout in a folder.
func (c content) folder(t *testing.T, roots ...v1.Descriptor) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string][]byte{"oci-layout": []byte(bundle.LayoutJSON),
		"index.json": encode(t, v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: roots})}
	for d, h := range c {
		files["blobs/sha256/"+d.Encoded()] = h.data
	}
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestReadFolder(t *testing.T) {
	c := content{}
	index := c.index(t, c.image(t, "amd64", "layer"), c.image(t, "arm64", "layer", "arm"))
	signature := c.signature(t, index)
	dir := c.folder(t, named(index, v1.AnnotationRefName, "quay.io/a/b:1"), signature)
	if err := os.WriteFile(filepath.Join(dir, "blobs/sha256/.partial"), []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := bundle.OpenFolder(dir, bundle.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c.holds(t, readAll(t, r))
	roots, err := r.Roots()
	if err != nil || len(roots) != 2 || roots[0].Names[0] != "quay.io/a/b:1" || roots[0].Descriptor.Digest != index.Digest {
		t.Errorf("roots are %+v: %v", roots, err)
	}
	if r.Kind() != bundle.KindLayout {
		t.Errorf("kind %s", r.Kind())
	}
}

func TestFolderYieldsReferencedFiles(t *testing.T) {
	c := content{}
	one, two := c.image(t, "amd64", "layer"), c.image(t, "arm64", "layer", "arm")
	index := c.index(t, one, two)
	other := c.image(t, "amd64", "not reached")
	dir := c.folder(t, index)
	if err := os.Remove(filepath.Join(dir, "blobs/sha256", two.Digest.Encoded())); err != nil {
		t.Fatal(err)
	}
	r, err := bundle.OpenFolder(dir, bundle.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var manifests []bool
	for {
		e, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e.Digest == other.Digest || e.Digest == two.Digest {
			t.Errorf("%s was yielded", e.Digest)
		}
		manifests = append(manifests, e.Manifest)
	}
	if len(manifests) != 4 || !manifests[0] || !manifests[1] || manifests[2] || manifests[3] {
		t.Errorf("manifests yielded: %v", manifests)
	}
}

func TestHostileFolders(t *testing.T) {
	for name, change := range map[string]func(dir, blob string) error{
		"link out": func(_, blob string) error {
			outside := filepath.Join(t.TempDir(), "layer")
			return errors.Join(os.WriteFile(outside, []byte("layer"), 0o600), os.Symlink(outside, blob))
		},
		"link up":   func(_, blob string) error { return os.Symlink("../../../x", blob) },
		"folder":    func(_, blob string) error { return os.Mkdir(blob, 0o700) },
		"longer":    func(_, blob string) error { return os.WriteFile(blob, []byte("longer layer"), 0o600) },
		"no index":  func(dir, _ string) error { return os.Remove(filepath.Join(dir, "index.json")) },
		"no layout": func(dir, _ string) error { return os.Remove(filepath.Join(dir, "oci-layout")) },
	} {
		t.Run(name, func(t *testing.T) {
			c := content{}
			image := c.image(t, "amd64", "layer")
			dir := c.folder(t, image)
			blob := filepath.Join(dir, "blobs/sha256", c.blob([]byte("layer")).Digest.Encoded())
			if err := os.Remove(blob); err != nil {
				t.Fatal(err)
			}
			if err := change(dir, blob); err != nil {
				t.Fatal(err)
			}
			r, err := bundle.OpenFolder(dir, bundle.Limits{})
			for err == nil {
				_, err = r.Next()
			}
			if err == io.EOF {
				t.Error("it was read")
			}
		})
	}
	if _, err := bundle.OpenFolder(filepath.Join(t.TempDir(), "none"), bundle.Limits{}); !os.IsNotExist(err) && err != fs.ErrNotExist {
		t.Errorf("a folder that is not there: %v", err)
	}
}
