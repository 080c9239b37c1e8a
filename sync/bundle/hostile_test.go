package bundle_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/sync/bundle"
)

// consume reads data to its end and returns the error, or nil for io.EOF.
func consume(in io.Reader, limits bundle.Limits) error {
	r, err := bundle.Open(in, limits)
	for err == nil {
		var e *bundle.Entry
		if e, err = r.Next(); err == nil {
			d := e.Digest
			if d == "" {
				d = digest.SHA256.FromString(e.Digest.String())
			}
			if _, err = io.Copy(io.Discard, e); err == nil {
				e.SetDigest(d)
			}
		}
	}
	if err == io.EOF {
		_, err = r.Roots()
	}
	return err
}

func TestFlippedBits(t *testing.T) {
	t.Parallel()
	c := content{}
	image := c.image(t, "amd64", "layer")
	unsigned := c.write(t, c.compose(t, c.document([]bundle.Image{{Repository: "a.example/b", Tag: "1", Digest: image.Digest}})))
	data := copied(t, unsigned, "signature")
	digests := map[digest.Digest]bool{}
	for d := range c {
		digests[d] = true
	}
	document, signature := raw(t, data)
	original, err := bundle.Open(bytes.NewReader(data), bundle.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := plain(original.Document())
	in := func(i int, part []byte) bool { at := bytes.Index(data, part); return i >= at && i < at+len(part) }
	for i := range data {
		if in(i, signature) { // verifying signatures finds this one
			continue
		}
		if i%4 > 0 && within(data, i) {
			continue
		}
		changed := bytes.Clone(data)
		changed[i] ^= 1
		r, err := bundle.Open(bytes.NewReader(changed), bundle.Limits{})
		for err == nil {
			var e *bundle.Entry
			if e, err = r.Next(); err != nil {
				break
			}
			content, _ := io.ReadAll(e)
			if !digests[e.Digest] || digest.FromBytes(content) != e.Digest {
				err = errors.New("the content is another one")
			}
		}
		if err == io.EOF && (!in(i, document) || !reflect.DeepEqual(plain(r.Document()), want)) {
			t.Fatalf("a bit that was flipped at byte %d was not found: %q", i, data[max(0, i-20):i+1])
		}
	}
}

// plain returns a document without the fields that its ID does not cover.
func plain(doc *bundle.Document) bundle.Document {
	covered := *doc
	covered.Host, covered.Tool, covered.Created = "", "", time.Time{}
	return covered
}

func TestUnlistedEntries(t *testing.T) {
	_, contents, data := someBundle(t)
	size := func(d digest.Digest, n int64) int { return 512 + int(n) + int(-n&511) }
	m := contents.Document.Manifests[0]
	start := bytes.Index(data, []byte("blobs/sha256/"+m.Digest.Encoded()))
	for start%512 != 0 { // manifest.json contains the digest as well
		start += 1 + bytes.Index(data[start+1:], []byte("blobs/sha256/"+m.Digest.Encoded()))
	}
	end := start + size(m.Digest, m.Size)
	evil := tarOf(t, entry{name: "blobs/sha256/" + digest.FromString("evil").Encoded(), data: "evil"})
	link := tarOf(t, entry{name: "blobs/sha256/" + m.Digest.Encoded(), kind: tar.TypeSymlink, link: "/etc/shadow"})
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for name, test := range map[string]struct {
		changed []byte
		want    string
	}{
		"missing":      {join(data[:start], data[end:]), "entry 5 is"},
		"twice":        {join(data[:end], data[start:]), "entry 6 is"},
		"unlisted":     {join(data[:end], evil[:1024], data[end:]), "entry 6 is"},
		"in its place": {join(data[:start], evil[:1024], data[end:]), "entry 5 is"},
		"link":         {join(data[:start], link[:512], data[end:]), "with 0 bytes where the list has"},
		"garbage":      {join(data, []byte("x")), "the bundle has data after its end"},
		"zeros":        {join(data, make([]byte, 512)), "the bundle has data after its end"},
		"no end":       {data[:len(data)-1024], "the archive was cut off after"},
	} {
		for _, seeks := range []bool{true, false} {
			t.Run(fmt.Sprint(name, seeks), func(t *testing.T) { says(t, consume(reader(test.changed, seeks), bundle.Limits{}), test.want) })
		}
	}
}

func TestHostileArchives(t *testing.T) {
	layout := func(more ...entry) []byte {
		return tarOf(t, append([]entry{{name: "oci-layout", data: `{"imageLayoutVersion":"1.0.0"}`}}, more...)...)
	}
	index := entry{name: "index.json", data: `{"schemaVersion":2,"manifests":[]}`}
	blob := entry{name: "blobs/sha256/" + digest.FromString("x").Encoded(), data: "x"}
	pax := func(records map[string]string) []byte {
		var buf bytes.Buffer
		w := tar.NewWriter(&buf)
		if err := w.WriteHeader(&tar.Header{Name: "x", Typeflag: tar.TypeReg, PAXRecords: records, Format: tar.FormatPAX}); err != nil {
			t.Fatal(err)
		}
		w.Close()
		return buf.Bytes()
	}
	// Package tar does not write this form.
	rename := func(data []byte, from, to string) []byte {
		return bytes.Replace(data, []byte(from), []byte(to), 1)
	}
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":              {nil, "cut off after 0 bytes"},
		"no tar":               {[]byte(strings.Repeat("hello, world\n", 100)), "no tar header at byte 512"},
		"short":                {[]byte("hello"), "cut off after 5 bytes"},
		"empty tar":            {tarOf(t), "neither an image layout"},
		"no index":             {layout(blob), "neither an image layout with an index.json"},
		"version 2":            {tarOf(t, entry{name: "oci-layout", data: `{"imageLayoutVersion":"2.0.0"}`}, index), `the image layout has version "2.0.0"`},
		"bundle packed anew":   {layout(index, blob, entry{name: "bundle.json", data: "{}"}), "this is a bundle that was changed"},
		"path out":             {layout(index, entry{name: "blobs/../../x", data: "x"}), `"blobs/../../x" points out of the archive`},
		"absolute path":        {layout(index, entry{name: "/etc/passwd", data: "x"}), `"/etc/passwd" has a name that an archive of images cannot have`},
		"backslash":            {layout(index, entry{name: `blobs\sha256\x`, data: "x"}), "has a name that an archive of images cannot have"},
		"long name":            {layout(index, entry{name: strings.Repeat("/x", 10000)[1:], data: "x"}), "is longer than 512 bytes"},
		"another index":        {layout(index, entry{name: "index.json", data: `{"schemaVersion":2,"manifests":[] }`}), "index.json occurs twice with different content"},
		"another in a folder":  {tarOf(t, entry{name: "a/oci-layout", data: `{"imageLayoutVersion":"1.0.0"}`}, entry{name: "a/index.json", data: index.data}, entry{name: "a/index.json", data: "{}"}), "a/index.json occurs twice"},
		"layout in a folder":   {tarOf(t, entry{name: "a/oci-layout", data: `{"imageLayoutVersion":"2.0.0"}`}, entry{name: "a/index.json", data: index.data}), `the image layout has version "2.0.0"`},
		"archive of archives":  {tarOf(t, entry{name: "a.tar", data: string(layout(index))}), "it contains archives, e.g. a.tar"},
		"three times packed":   {gzipped(t, gzipped(t, gzipped(t, layout(index)))), "compressed more than 2 times"},
		"zip":                  {[]byte("PK\x03\x04" + strings.Repeat("x", 1000)), "it is a zip archive"},
		"symlink":              {layout(index, entry{name: blob.name, kind: tar.TypeSymlink, link: "../../oci-layout"}), `is a link, to "../../oci-layout"`},
		"hard link":            {layout(index, entry{name: blob.name, kind: tar.TypeLink, link: "oci-layout"}), `is a link, to "oci-layout"`},
		"index is a link":      {layout(entry{name: "index.json", kind: tar.TypeSymlink, link: "x"}), `index.json is a link, to "x"`},
		"link out":             {layout(index, entry{name: "x/layer.tar", kind: tar.TypeSymlink, link: "../../layer.tar"}), "x/layer.tar is a link out of the archive"},
		"absolute link":        {layout(index, entry{name: "x/layer.tar", kind: tar.TypeSymlink, link: "/etc/shadow"}), "x/layer.tar is a link out of the archive"},
		"device":               {layout(index, entry{name: "sda", kind: tar.TypeBlock}), `"sda" has type '4'`},
		"pipe":                 {layout(index, entry{name: "pipe", kind: tar.TypeFifo}), `"pipe" has type '6'`},
		"sparse":               {rename(pax(map[string]string{"MNU.sparse.major": "1", "MNU.sparse.minor": "0"}), "MNU.sparse.major", "GNU.sparse.major"), "neither an image layout"},
		"pax negative size":    {rename(pax(map[string]string{"sise": "-1"}), "sise", "size"), "no tar header at byte 1536"},
		"pax huge size":        {rename(pax(map[string]string{"sise": "9223372036854775807"}), "sise", "size"), `"x" has 9223372036854775807 bytes`},
		"pax path out":         {rename(pax(map[string]string{"pxth": "../x"}), "pxth", "path"), `"../x" points out of the archive`},
		"lying manifest":       {layout(index, entry{name: "blobs/sha256/" + digest.FromString("x").Encoded(), data: "{}"}), "does not match its digest"},
		"huge descriptor":      {layout(entry{name: "index.json", data: `{"manifests":[{"digest":"` + digest.FromString("x").String() + `","size":1099511627776}]}`}), "and 1099511627776 bytes"},
		"lying descriptor":     {layout(entry{name: "index.json", data: `{"manifests":[{"digest":"sha256:../../x","size":1}]}`}), `a manifest with digest "sha256:../../x"`},
		"deep JSON":            {layout(entry{name: "index.json", data: strings.Repeat(`{"a":`, 100000)}), "index.json is invalid: "},
		"JSON bomb":            {layout(entry{name: "index.json", data: `{"manifests":[` + strings.Repeat(`{},`, 3000000) + `{}]}`}), "index.json has too many elements"},
		"no JSON":              {layout(entry{name: "index.json", data: "\x00"}), "index.json is invalid: "},
		"garbage at the end":   {append(layout(index), "x"...), "data after its end, before byte 3073"},
		"cut in the end":       {layout(index)[:3*512], "cut off after 1536 bytes"},
		"docker without files": {tarOf(t, entry{name: "manifest.json", data: `[{"Config":"x.json","Layers":["y"]}]`}), `manifest.json names "x.json", which is not in the archive`},
		"docker with a loop": {tarOf(t, entry{name: "x", kind: tar.TypeSymlink, link: "y"}, entry{name: "y", kind: tar.TypeSymlink, link: "x"},
			entry{name: "manifest.json", data: `[{"Config":"x","Layers":[]}]`}), "x is a chain of too many links"},
	} {
		t.Run(name, func(t *testing.T) {
			says(t, consume(bytes.NewReader(test.data), bundle.Limits{}), test.want)
			isInvalid(t, consume(bytes.NewReader(gzipped(t, test.data)), bundle.Limits{}))
		})
	}
}

// TestWorkIsLimited reads an archive with many items that refer to the same large files.
func TestWorkIsLimited(t *testing.T) {
	limits := bundle.Limits{Kept: 4 << 20}
	c := content{}
	fat := strings.Repeat("x", 1<<20)
	config := c.blob(encode(t, v1.Image{Author: fat}))
	config.MediaType = v1.MediaTypeImageConfig
	image := c.put(v1.MediaTypeImageManifest, encode(t, v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2},
		Config: config, Layers: []v1.Descriptor{}, Annotations: map[string]string{"x": fat}}))
	docker := entry{name: "manifest.json", data: string(encode(t, slices.Repeat([]item{{Config: "blobs/sha256/" + config.Digest.Encoded()}}, 20)))}
	isInvalid(t, consume(bytes.NewReader(c.layoutOf(t, slices.Repeat([]v1.Descriptor{image}, 20), docker)), limits))
	delete(c, image.Digest)
	isInvalid(t, consume(bytes.NewReader(c.layoutOf(t, nil, docker)), limits))
}

func TestLimits(t *testing.T) {
	_, _, data := someBundle(t)
	c := content{}
	image := c.image(t, "amd64", "layer")
	layout := c.layoutOf(t, nil)
	old := dockerOld(t, saved{config(t, "one"), []string{"one"}, nil})
	for name, test := range map[string]struct {
		data   []byte
		limits bundle.Limits
		want   string
	}{
		"document":          {data, bundle.Limits{Document: 100}, "bundle.json is larger than 100 bytes"},
		"index":             {data, bundle.Limits{Index: 100}, "index.json is larger than 100 bytes"},
		"entries":           {data, bundle.Limits{Entries: 3}, "bundle.json lists 13 manifests and blobs, more than 3"},
		"bytes":             {data, bundle.Limits{MaxBytes: 1000}, "the bundle has 6167 bytes, and 1000 are allowed"},
		"index of a layout": {layout, bundle.Limits{Index: 20}, "index.json is larger than 20 bytes"},
		"entries of one":    {layout, bundle.Limits{Entries: 3}, "the archive has more than 3 entries"},
		"bytes of one":      {layout, bundle.Limits{MaxBytes: image.Size}, "the archive has more than the allowed"},
		"configs":           {old, bundle.Limits{Kept: 10}, "the archive has too many images"},
	} {
		t.Run(name, func(t *testing.T) { says(t, consume(bytes.NewReader(test.data), test.limits), test.want) })
	}
}

// TestMemoryIsLimited reads endless archives, and small ones that decompress to large ones.
func TestMemoryIsLimited(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(20)) // count live memory rather than garbage
	header := func(name string, kind byte, size int64) []byte {
		var buf bytes.Buffer
		if err := tar.NewWriter(&buf).WriteHeader(&tar.Header{Name: name, Typeflag: kind, Size: size, Format: tar.FormatGNU}); err != nil {
			t.Fatal(err)
		}
		return buf.Bytes()
	}
	folders := func(i int) []byte { return header(fmt.Sprint(i), tar.TypeDir, 0) }
	files := func(i int) []byte { return header(fmt.Sprint(i), tar.TypeReg, 0) }
	long := func(int) []byte { return header(strings.Repeat("n", 400), tar.TypeReg, 0)[:1024] }
	zeros := func(int) []byte { return make([]byte, 1<<20) }
	configs := func(i int) []byte {
		data := append(make([]byte, 1<<20-10), fmt.Sprintf("%010d", i)...)
		data[0] = '{'
		return append(header(fmt.Sprint(i), tar.TypeReg, 1<<20), data...)
	}
	junk := func(i int) []byte {
		return append(header(fmt.Sprint(i)+"/json", tar.TypeReg, 1<<20), make([]byte, 1<<20)...)
	}
	for name, more := range map[string]func(i int) []byte{"folders": folders, "files": files, "long names": long, "zeros": zeros, "junk": junk, "configs": configs} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := consume(&flood{more: more}, bundle.Limits{Entries: 5000, MaxBytes: 160 << 20})
			runtime.ReadMemStats(&after)
			isInvalid(t, err)
			if after.HeapSys > before.HeapSys+96<<20 {
				t.Errorf("reading took %d MiB of memory", (after.HeapSys-before.HeapSys)>>20)
			}
		})
	}
}

// flood is an endless reader of the results of more.
type flood struct {
	more func(i int) []byte
	rest []byte
	i    int
}

func (f *flood) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		f.rest = f.more(f.i)
		f.i++
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}
