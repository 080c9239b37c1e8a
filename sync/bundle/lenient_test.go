package bundle_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/sync/bundle"
)

// entriesOf returns the entries of an image layout in a folder with one image, team/app:1.
func entriesOf(t testing.TB, folder string, more ...string) (content, []entry) {
	t.Helper()
	c := content{}
	image := c.image(t, "amd64", "layer")
	data := c.layoutOf(t, []v1.Descriptor{named(image, append([]string{"io.containerd.image.name", "docker.io/team/app:1"}, more...)...)})
	return c, below(t, folder, data)
}

// below moves the entries of a tar to a folder.
func below(t testing.TB, folder string, data []byte) (list []entry) {
	t.Helper()
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return list
		}
		content, failed := io.ReadAll(r)
		if err != nil || failed != nil {
			t.Fatal(err, failed)
		}
		list = append(list, entry{name: folder + h.Name, kind: h.Typeflag, link: h.Linkname, data: string(content)})
	}
}

// opened reads an archive and returns its content and the names in it.
func opened(t testing.TB, data []byte) (content, []string) {
	t.Helper()
	r, err := bundle.Open(bytes.NewReader(data), bundle.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	got := readAll(t, r)
	roots, err := r.Roots()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, root := range roots {
		names = append(names, root.Names...)
	}
	return got, names
}

func TestRealWorldArchives(t *testing.T) {
	c, plain := entriesOf(t, "")
	droppings := []entry{
		{name: "._index.json", data: "x"}, {name: ".DS_Store", data: "x"}, {name: "__MACOSX/._blobs", data: "x"}, {name: "Thumbs.db", data: "x"},
		{name: "blobs/._sha256", data: "x"}, {name: "blobs/.DS_Store", data: "x"}, {name: "blobs/sha256/._abc", data: "x"}, {name: "blobs/sha256/desktop.ini", data: "x"},
		{name: "blobs/sha256/oci-put-blob123", data: "x"}, {name: "ingest/1/data", data: "x"}, {name: "System Volume Information/x", data: "x"},
		{name: "blobs/md5/" + strings.Repeat("0", 32), data: "x"}, {name: "._link", kind: tar.TypeSymlink, link: "/etc/passwd"},
	}
	first := plain[slices.IndexFunc(plain, func(e entry) bool { return strings.HasPrefix(e.name, "blobs/sha256/") && e.data != "" })]
	_, folder := entriesOf(t, "my/layout/")
	_, dotted := entriesOf(t, "./")
	_, absolute := entriesOf(t, "/home/me/layout/")
	_, other := entriesOf(t, "other/")
	link := entry{name: "other/" + first.name, kind: tar.TypeLink, link: "my/layout/" + first.name}
	for name, list := range map[string][]entry{
		"droppings first":       append(slices.Clone(droppings), plain...),
		"droppings last":        append(slices.Clone(plain), droppings...),
		"each entry twice":      append(slices.Clone(plain), plain...),
		"in a folder":           folder,
		"in a folder, twice":    append(slices.Clone(folder), folder...),
		"in a folder, last":     append([]entry{{name: "index.json.txt", data: "x"}, {name: "my/index.json", data: "no JSON"}, {name: "web/manifest.json", data: `{"name":"app"}`}}, folder...)[1:],
		"named from here":       dotted,
		"named from the root":   absolute,
		"two layouts":           append(slices.Clone(folder), other...),
		"a blob that is a link": append(append(slices.Clone(folder), link), other...),
	} {
		t.Run(name, func(t *testing.T) {
			got, names := opened(t, tarOf(t, list...))
			for d, h := range c {
				if !bytes.Equal(got[d].data, h.data) {
					t.Errorf("%s did not come", d)
				}
			}
			if len(names) == 0 || names[0] != "docker.io/team/app:1" || len(slices.Compact(names)) != 1 {
				t.Errorf("names %q", names)
			}
		})
	}
}

func TestDockerArchiveInFolder(t *testing.T) {
	data := dockerOld(t, saved{config(t, "one", "two"), []string{"one", "two"}, []string{"a:1"}}, saved{config(t, "one"), []string{"one"}, []string{"b:1"}})
	_, want := opened(t, data)
	_, names := opened(t, tarOf(t, below(t, "saved/", data)...))
	if !slices.Equal(names, want) || len(names) != 2 {
		t.Errorf("names %q, want %q", names, want)
	}
}

func TestDuplicateFiles(t *testing.T) {
	list := below(t, "", dockerOld(t, saved{config(t, "one"), []string{"one"}, []string{"a:1"}}))
	i := slices.IndexFunc(list, func(e entry) bool { return strings.HasSuffix(e.name, "layer.tar") })
	again := list[i]
	if err := consumeKnown(bytes.NewReader(tarOf(t, append(slices.Clone(list), again)...))); err != nil {
		t.Errorf("the same twice: %v", err)
	}
	for _, other := range []string{"eno", "longer"} {
		again.data = other
		says(t, consumeKnown(bytes.NewReader(tarOf(t, append(slices.Clone(list), again)...))), "occurs twice with different content")
	}
	link := entry{name: "x/layer.tar", kind: tar.TypeSymlink, link: "../" + again.name}
	if err := consumeKnown(bytes.NewReader(tarOf(t, append(slices.Clone(list), link, link)...))); err != nil {
		t.Errorf("the same link twice: %v", err)
	}
	other := link
	other.link = "../other.tar"
	says(t, consumeKnown(bytes.NewReader(tarOf(t, append(slices.Clone(list), link, other)...))), "occurs twice with different content")
}

// consumeKnown is like consume, and sets the digests of entries without one.
func consumeKnown(in io.Reader) error {
	r, err := bundle.Open(in, bundle.Limits{})
	for err == nil {
		var e *bundle.Entry
		if e, err = r.Next(); err == nil && e.Digest == "" {
			data, _ := io.ReadAll(e)
			e.SetDigest(digest.FromBytes(data))
		}
	}
	if err == io.EOF {
		_, err = r.Roots()
	}
	return err
}

func TestZarfNames(t *testing.T) {
	c := content{}
	image := c.image(t, "amd64", "layer")
	layout := below(t, "images/", c.layoutOf(t, []v1.Descriptor{named(image, v1.AnnotationBaseImageName, "docker.io/team/app:1")}))
	if _, names := opened(t, tarOf(t, append(layout, entry{name: "zarf.yaml", data: "kind: ZarfPackageConfig"})...)); !slices.Equal(names, []string{"docker.io/team/app:1"}) {
		t.Errorf("in a package: %q", names)
	}
	if _, names := opened(t, tarOf(t, layout...)); names != nil { // the name of the base image
		t.Errorf("elsewhere: %q", names)
	}
}

func TestSparseEntries(t *testing.T) {
	if _, err := exec.LookPath("tar"); err != nil {
		t.Fatal("there is no tar: ", err)
	}
	c := content{}
	dir := c.folder(t, named(c.image(t, "amd64", strings.Repeat("\x00", 1<<20)+"layer"+strings.Repeat("\x00", 1<<20)), v1.AnnotationRefName, "a.example/b:1"))
	names := []string{"oci-layout", "index.json"}
	var last string
	for d, h := range c {
		name := "blobs/sha256/" + d.Encoded()
		names = append(names, name)
		path := filepath.Join(dir, "blobs/sha256", d.Encoded())
		if i := bytes.Index(h.data, []byte("layer")); i == 1<<20 { // with holes before and after
			last, names = name, names[:len(names)-1]
			file, err := os.Create(path)
			if err == nil {
				_, err = file.WriteAt([]byte("layer"), int64(i))
			}
			if err = errors.Join(err, os.Truncate(path, int64(len(h.data))), file.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, args := range [][]string{{"--sparse", "--format=gnu"}, {"--sparse", "--format=pax"}, {"--sparse", "--format=pax", "--sparse-version=0.1"}} {
		out, err := exec.Command("tar", slices.Concat(args, []string{"-C", dir, "-c"}, names, []string{last})...).Output()
		if err != nil || len(out) > 1<<20 {
			t.Fatalf("%q: %d bytes, %v", args, len(out), err)
		}
		got, called := opened(t, out)
		for d, h := range c {
			if !bytes.Equal(got[d].data, h.data) {
				t.Errorf("%q: %s did not come", args, d)
			}
		}
		if !slices.Equal(called, []string{"a.example/b:1"}) {
			t.Errorf("%q: names %q", args, called)
		}
		isInvalid(t, consume(bytes.NewReader(bytes.TrimRight(out, "\x00")), bundle.Limits{}))
	}
}

func TestCompressions(t *testing.T) {
	c, list := entriesOf(t, "")
	plain := tarOf(t, list...)
	run := func(data []byte, name string, args ...string) []byte {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Stdin = bytes.NewReader(data)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return out
	}
	half := len(plain) / 2
	xz, bzip2 := run(plain, "xz", "-c"), run(plain, "bzip2", "-c")
	for name, data := range map[string][]byte{
		"gzip": gzipped(t, plain), "zstd": zstded(t, plain), "xz": xz, "bzip2": bzip2,
		"xz in two streams":    append(run(plain[:half], "xz", "-c"), run(plain[half:], "xz", "-c", "--check=sha256")...),
		"xz in blocks":         run(plain, "xz", "-c", "-T2", "--block-size=2048"),
		"bzip2 in two streams": append(run(plain[:half], "bzip2", "-c"), run(plain[half:], "bzip2", "-c")...),
		"zstd in xz":           run(zstded(t, plain), "xz", "-c"),
		"xz in gzip":           gzipped(t, xz),
	} {
		t.Run(name, func(t *testing.T) {
			got, names := opened(t, data)
			if !slices.Equal(names, []string{"docker.io/team/app:1"}) || len(got) != len(c) {
				t.Errorf("%d files, called %q", len(got), names)
			}
			for _, at := range []int{len(data) / 3, len(data) / 2, len(data) - 9} {
				err := consume(bytes.NewReader(data[:at]), bundle.Limits{})
				isInvalid(t, err)
				if !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("cut off after %d of %d bytes: %v", at, len(data), err)
				}
			}
		})
	}
}

func TestDecompressionWindow(t *testing.T) {
	_, list := entriesOf(t, "")
	list = append(list, entry{name: "x", data: strings.Repeat("0123456789abcdef", 1<<16)})
	plain := tarOf(t, list...)
	var packed bytes.Buffer
	w, err := zstd.NewWriter(&packed, zstd.WithWindowSize(256<<20), zstd.WithSingleSegment(false))
	if err != nil {
		t.Fatal(err)
	}
	for _, half := range [][]byte{plain[:1000], plain[1000:]} { // the header does not contain the length
		if _, err := w.Write(half); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	isInvalid(t, consume(bytes.NewReader(packed.Bytes()), bundle.Limits{}))
	if err := consume(bytes.NewReader(packed.Bytes()), bundle.Limits{Window: 2 << 30}); err != nil {
		t.Errorf("with 2 GiB: %v", err)
	}
	cmd := exec.Command("xz", "-c", "--lzma2=dict=256MiB")
	cmd.Stdin = bytes.NewReader(plain)
	xz, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	err = consume(bytes.NewReader(xz), bundle.Limits{})
	if isInvalid(t, err); !strings.Contains(err.Error(), "128 MiB") {
		t.Errorf("error: %v", err)
	}
	if err := consume(bytes.NewReader(xz), bundle.Limits{Window: 2 << 30}); err != nil {
		t.Errorf("with 2 GiB: %v", err)
	}
}

func TestFormatOf(t *testing.T) {
	_, list := entriesOf(t, "")
	for _, tt := range []struct {
		start         string
		name          string
		archive, read bool
	}{
		{string(tarOf(t, list...)), "tar", true, true},
		{"\xfd7zXZ\x00", "xz", true, true},
		{"BZh91AY", "bzip2", true, true},
		{"PK\x03\x04", "a zip archive", true, false},
		{"<!DOCTYPE html>", "a web page", false, false},
		{"hello", "", false, false},
		{"", "", false, false},
		{strings.Repeat("x", 512), "", false, false},
	} {
		if got := bundle.FormatOf([]byte(tt.start)); got != (bundle.Format{Name: tt.name, Archive: tt.archive, Read: tt.read}) {
			t.Errorf("%.10q is %+v", tt.start, got)
		}
	}
}
