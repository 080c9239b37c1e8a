package bundle_test

import (
	"bytes"
	"io"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"

	"airmirror/sync/bundle"
)

// TestLimitsAreInclusive checks that content of exactly the allowed size is accepted, and that one byte or entry less is
// not enough.
func TestLimitsAreInclusive(t *testing.T) {
	_, contents, data := someBundle(t)
	document, _ := raw(t, data)
	doc := contents.Document
	entries := len(doc.Manifests) + len(doc.Blobs)
	var total, largestIndex int64
	for _, m := range doc.Manifests {
		total += m.Size
	}
	for _, b := range doc.Blobs {
		total += b.Size
	}
	for _, file := range doc.Files {
		largestIndex = max(largestIndex, file.Size)
	}
	c := content{}
	image := c.image(t, "amd64", "layer")
	layout, folder := c.layoutOf(t, nil), c.folder(t, image)
	var stored int64
	for _, blob := range c {
		stored += int64(len(blob.data))
	}
	inFolder := func(limits bundle.Limits) error {
		r, err := bundle.OpenFolder(folder, limits)
		for err == nil {
			_, err = r.Next()
		}
		if err == io.EOF {
			err = nil
		}
		return err
	}
	in := func(data []byte) func(bundle.Limits) error {
		return func(limits bundle.Limits) error { return consume(bytes.NewReader(data), limits) }
	}
	for name, test := range map[string]struct {
		read   func(bundle.Limits) error
		limit  int64
		limits func(int64) bundle.Limits
	}{
		"document":            {in(data), int64(len(document)), func(n int64) bundle.Limits { return bundle.Limits{Document: n} }},
		"index":               {in(data), largestIndex, func(n int64) bundle.Limits { return bundle.Limits{Index: n} }},
		"entries":             {in(data), int64(entries), func(n int64) bundle.Limits { return bundle.Limits{Entries: int(n)} }},
		"bytes":               {in(data), total, func(n int64) bundle.Limits { return bundle.Limits{MaxBytes: n} }},
		"entries of a folder": {inFolder, int64(len(c)), func(n int64) bundle.Limits { return bundle.Limits{Entries: int(n)} }},
		"bytes of a folder":   {inFolder, stored, func(n int64) bundle.Limits { return bundle.Limits{MaxBytes: n} }},
		"entries of a layout": {in(layout), int64(len(c)) + 4, func(n int64) bundle.Limits { return bundle.Limits{Entries: int(n)} }}, // with two folders and two files
		"bytes of a layout":   {in(layout), stored, func(n int64) bundle.Limits { return bundle.Limits{MaxBytes: n} }},
	} {
		t.Run(name, func(t *testing.T) {
			if err := test.read(test.limits(test.limit)); err != nil {
				t.Errorf("with a limit of %d: %v", test.limit, err)
			}
			isInvalid(t, test.read(test.limits(test.limit-1)))
		})
	}
}

// TestSizesDoNotOverflow checks that a document whose sizes add up to more than a file can have is refused.
func TestSizesDoNotOverflow(t *testing.T) {
	c, images := some(t)
	for name, sizes := range map[string][]int64{
		"one":  {math.MaxInt64 / 2},
		"two":  {math.MaxInt64/2 - 1<<30, 1 << 31},
		"less": {-1},
	} {
		doc := c.document(images)
		for i, size := range sizes {
			doc.Blobs[i].Size = size
		}
		if _, err := bundle.Compose(doc, c.load); err == nil {
			t.Errorf("%s: a bundle with blobs of %d bytes was composed", name, sizes)
		}
	}
}

func TestTextIsShortened(t *testing.T) {
	for text, want := range map[string]string{
		strings.Repeat("x", 1000):       strings.Repeat("x", 1000),
		strings.Repeat("x", 1001):       strings.Repeat("x", 997) + "…",
		strings.Repeat("ü", 501):        strings.Repeat("ü", 498) + "…",
		"x" + strings.Repeat("ü", 500):  "x" + strings.Repeat("ü", 498) + "…",
		"a\x1b[31mb":                    bundle.Text("a\x1b[31mb"),
		digest.FromString("x").String(): digest.FromString("x").String(),
	} {
		got := bundle.Text(text)
		if got != want || len(got) > 1000 || !utf8.ValidString(got) || strings.Contains(got, "\x1b") {
			t.Errorf("%d bytes became %d: %q", len(text), len(got), got)
		}
	}
}

// TestDirFormatIsNamed checks that the error for the dir: format of skopeo says what to do, and that another manifest.json
// is not taken for it.
func TestDirFormatIsNamed(t *testing.T) {
	const dir = "dir: format of skopeo"
	says(t, consume(bytes.NewReader(tarOf(t, entry{name: "manifest.json", data: `{"schemaVersion":2,"config":{}}`})), bundle.Limits{}), dir)
	err := consume(bytes.NewReader(tarOf(t, entry{name: "manifest.json", data: `{"config":{}}`})), bundle.Limits{})
	says(t, err, "manifest.json is invalid")
	if strings.Contains(err.Error(), dir) {
		t.Errorf("a manifest.json without a schemaVersion: %v", err)
	}
}
